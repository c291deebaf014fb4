use super::support::{control_errors, older_control_errors, on_control, server_says};
use crate::check::{Sink, TreeCx, declare_rule};
use crate::extension::control::ControlErrorKind;
use crate::name::shown_path;

declare_rule! {
    /// A control file sets a parameter that the server does not know, or not there.
    ///
    /// ## What it checks
    ///
    /// The names of all parameters, which are compared with their case, and the two that a secondary
    /// control file must not set, `directory` and `default_version`.
    ///
    /// ## Why it matters
    ///
    /// The server stops at the first unknown name. A parameter of a newer major, such as `no_relocate`
    /// (16), makes the extension unusable on every older one.
    ///
    /// ## When it fires
    ///
    /// ```text
    /// Default_Version = '1.0'
    /// ```
    ///
    /// ## How to fix
    ///
    /// Spell the name as the manual does; keep parameters of a newer major out of packages for older ones.
    ///
    /// ## What it cannot see
    ///
    /// Whether a known parameter is needed.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/commands/extension.c `parse_extension_control_file`.
    pub(crate) static UNKNOWN_CONTROL_KEY = {
        code: "PGS602",
        name: "unknown-control-key",
        group: Catalog,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for record in cx.tree().inventory().in_scope() {
        for error in control_errors(record, |kind| kind == ControlErrorKind::UnknownKey) {
            let Some(place) = &error.place else { continue };
            let message = format!(
                "{}:{} sets a parameter that PostgreSQL {} does not take there: CREATE EXTENSION fails.",
                shown_path(&place.path),
                place.line,
                cx.tree().inventory().major
            );
            let finding = server_says(on_control(sink, record, message), &error.message);
            sink.report(finding.help("remove the line, or spell the parameter as the manual does"));
        }
        for older in older_control_errors(record, |kind| kind == ControlErrorKind::UnknownKey) {
            let Some(place) = &older.error.place else { continue };
            let message = format!(
                "{}:{} sets a parameter that PostgreSQL {} does not take there.",
                shown_path(&place.path),
                place.line,
                cx.tree().inventory().major
            );
            let finding = older.weigh(record, on_control(sink, record, message));
            let finding = server_says(finding, &older.error.message);
            sink.report(finding.help("remove the line, or spell the parameter as the manual does"));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, server};
    use crate::rules::testing::Case;

    pub(crate) fn firing() -> Case {
        case().extension("Comment = 'x'", "")
    }

    pub(crate) fn silent() -> Case {
        case().extension("comment = 'x'", "")
    }

    #[test]
    fn case_matters_in_parameter_names() {
        let case = case().extension("Comment = 'x'", "");
        let findings = case.run(&UNKNOWN_CONTROL_KEY);
        let said = "unrecognized parameter \"Comment\" in file \"/pg/share/extension/x.control\"";
        assert_eq!(server(&findings[0]), said);
    }

    #[test]
    fn a_parameter_of_a_newer_major_is_unknown_to_an_older_one() {
        let case = || case().extension("no_relocate = 'x'", "");
        assert_eq!(case().major(15).run(&UNKNOWN_CONTROL_KEY).len(), 1);
        assert_eq!(case().major(16).run(&UNKNOWN_CONTROL_KEY), []);
    }
}
