use super::support::{control_errors, on_control, server_says};
use crate::check::{Sink, TreeCx, declare_rule};
use crate::extension::control::ControlErrorKind;

declare_rule! {
    /// A control file is outside the grammar, or a parameter has a value of the wrong type.
    ///
    /// ## What it checks
    ///
    /// The file, its include directives and, for the versions that an installation passes through, the
    /// secondary control files, with the scanner of guc-file.l and the value rules of extension.c.
    ///
    /// ## Why it matters
    ///
    /// Control files look like postgresql.conf and are as strict: `default_version = 1.0` is a number and
    /// fine, `default_version = 1.0.1` is a syntax error, and double quotes are no quotes. One error and
    /// the extension cannot be created; `pg_available_extensions` fails for everybody, whatever extension
    /// they look for.
    ///
    /// ## When it fires
    ///
    /// ```text
    /// default_version = 1.0.1
    /// ```
    ///
    /// ## How to fix
    ///
    /// Put the value in single quotes: `default_version = '1.0.1'`.
    ///
    /// ## What it cannot see
    ///
    /// Parameters that are well formed and wrong: a `comment` in another encoding, a `schema` nobody wants.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/utils/misc/guc-file.l; src/backend/commands/extension.c
    /// `parse_extension_control_file`; the manual, "Extension Files".
    pub(crate) static CONTROL_SYNTAX = {
        code: "PGS601",
        name: "control-syntax",
        group: Catalog,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for record in cx.tree().inventory().in_scope() {
        for error in control_errors(record, |kind| kind != ControlErrorKind::UnknownKey) {
            let place = error.place.as_ref().map_or_else(
                || record.extension.control_path.display().to_string(),
                |place| format!("{}:{}:{}", place.path.display(), place.line, place.column),
            );
            let message = format!("{place} cannot be read: CREATE EXTENSION fails.");
            let finding = server_says(on_control(sink, record, message), &error.message);
            sink.report(finding.help("put the value in single quotes, and double a quote inside it"));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, function, server};
    use crate::rules::testing::Case;

    pub(crate) fn firing() -> Case {
        case().file("/pg/share/extension/x.control", "default_version = 1.0.1")
    }

    pub(crate) fn silent() -> Case {
        case().extension("comment = 'it''s'", "")
    }

    #[test]
    fn a_bare_version_of_three_numbers_is_two_tokens() {
        let case = case().file("/pg/share/extension/x.control", "comment = 'x'\ndefault_version = 1.0.1\n");
        let findings = case.run(&CONTROL_SYNTAX);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].message.contains("x.control:2:22 "), "{}", findings[0].message);
        let said = "syntax error in file \"/pg/share/extension/x.control\" line 2, near token \".1\"";
        assert_eq!(server(&findings[0]), said);
    }

    #[test]
    fn a_secondary_file_counts_when_its_version_is_installed() {
        let secondary = "/pg/share/extension/x--1.0.control";
        let broken = case().extension("", "").file(secondary, "trusted = perhaps");
        assert_eq!(server(&broken.run(&CONTROL_SYNTAX)[0]), "parameter \"trusted\" requires a Boolean value");
        let other = "/pg/share/extension/x--0.9.control";
        assert_eq!(case().extension("", "").file(other, "trusted = perhaps").run(&CONTROL_SYNTAX), []);
    }

    #[test]
    fn a_file_that_includes_itself_is_one_finding() {
        let case = case().file("/pg/share/extension/x.control", "include 'x.control'");
        assert_eq!(case.run(&CONTROL_SYNTAX).len(), 1);
    }

    #[test]
    fn a_quoted_version_is_fine() {
        let script = function("f", "$libdir/x");
        let case = case().extension("", &script).functions("/pg/lib/x.so", &["f"]);
        assert_eq!(case.run(&CONTROL_SYNTAX), []);
    }
}
