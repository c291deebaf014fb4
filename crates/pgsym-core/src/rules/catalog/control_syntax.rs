use super::support::{control_errors, name_root, older_control_errors, on_control, server_says, staged_root};
use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::extension::ExtensionRecord;
use crate::extension::control::{ControlError, ControlErrorKind};
use crate::name::shown_path;

declare_rule! {
    /// A control file is outside the grammar, or a parameter has a value of the wrong type.
    ///
    /// ## What it checks
    ///
    /// The file, its include directives and, for the versions that an installation passes through, the
    /// secondary control files, with the scanner of guc-file.l and the value rules of extension.c. With `--all-scripts` those
    /// of the other versions, too: a warning where ALTER EXTENSION UPDATE passes through them.
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
    /// Put the value in single quotes: `default_version = '1.0.1'`. What else may be wrong is told with the
    /// finding.
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
            let message = format!("{} cannot be read: CREATE EXTENSION fails.", place_of(record, error));
            let finding = server_says(on_control(sink, record, message), &error.message);
            let staged = staged_root(cx, &record.extension.control_path);
            let is_staged = error.kind == ControlErrorKind::Unreadable && staged.is_some();
            let finding = if is_staged { finding.severity(Severity::Warning) } else { finding };
            let help = staged.filter(|_| is_staged).map(|root| name_root(&root));
            sink.report(finding.help(help.unwrap_or_else(|| help_with(error.kind).to_owned())));
        }
        for older in older_control_errors(record, |kind| kind != ControlErrorKind::UnknownKey) {
            let message = format!("{} cannot be read.", place_of(record, older.error));
            let finding = older.weigh(record, on_control(sink, record, message));
            let finding = server_says(finding, &older.error.message);
            sink.report(finding.help(help_with(older.error.kind)));
        }
    }
}

fn place_of(record: &ExtensionRecord, error: &ControlError) -> String {
    error.place.as_ref().map_or_else(
        || shown_path(&record.extension.control_path).to_string(),
        |place| format!("{}:{}:{}", shown_path(&place.path), place.line, place.column),
    )
}

fn help_with(kind: ControlErrorKind) -> &'static str {
    match kind {
        ControlErrorKind::Syntax => "put the value in single quotes, and double a quote inside it",
        ControlErrorKind::UnknownKey => "take the parameter out",
        ControlErrorKind::Boolean => "write true or false",
        ControlErrorKind::List => {
            "write names with commas between them, and in double quotes where they are no plain words"
        }
        ControlErrorKind::Encoding => "write an encoding of the server such as 'UTF8', or leave encoding out",
        ControlErrorKind::SchemaOfRelocatable => "leave schema out, or set relocatable = false",
        ControlErrorKind::Include => "take the include directive out",
        ControlErrorKind::IncludedFile => "ship the file that is included, or take the directive out",
        ControlErrorKind::Unreadable => "ship the file, or what the link leads to, readable for the server",
        ControlErrorKind::Limit => "",
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
        let older = case().extension("", "").file(other, "trusted = perhaps").all_scripts();
        let older = older.file("/pg/share/extension/x--0.8--0.9.sql", "");
        let older = older.file("/pg/share/extension/x--0.9--1.0.sql", "");
        let finding = older.one(&CONTROL_SYNTAX);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.texts("fails"), ["ALTER EXTENSION x UPDATE from version 0.8"]);
    }

    #[test]
    fn the_fix_is_one_for_what_is_wrong() {
        for (control, help) in [
            ("relocatable = true\nschema = 's'", "leave schema out"),
            ("encoding = 'KLINGON'", "such as 'UTF8'"),
            ("superuser = 'maybe'", "true or false"),
            ("requires = 'a b'", "commas between them"),
            ("include 'nosuch'", "file that is included"),
            ("include_dir 'nosuch'", "file that is included"),
            ("include 'x.control'", "take the include directive out"),
            ("comment = a,b", "single quotes"),
        ] {
            let finding = case().extension(control, "").one(&CONTROL_SYNTAX);
            assert!(finding.help.contains(help), "{control}: {}", finding.help);
        }
    }

    #[test]
    fn a_link_that_leads_nowhere_is_no_extension() {
        let broken = case().fs(|fs| fs.symlink("/pg/share/extension/x.control", "gone"));
        let finding = broken.one(&CONTROL_SYNTAX);
        assert_eq!(server(&finding), "extension \"x\" is not available");
        assert!(finding.help.contains("what the link leads to"), "{}", finding.help);
        let before = broken.major(14).roots(&["/pg/share"]).one(&CONTROL_SYNTAX);
        assert!(server(&before).starts_with("could not open extension control file"), "{before:?}");
        // An empty one.
        let empty = case().fs(|fs| fs.symlink("/pg/share/extension/x.control", "/dev/null"));
        assert_eq!(empty.run(&CONTROL_SYNTAX), []);
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
