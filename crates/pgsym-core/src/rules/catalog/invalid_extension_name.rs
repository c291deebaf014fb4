use super::support::{on_control, server_says};
use crate::check::{Sink, TreeCx, declare_rule};
use crate::extension::tree::Plan;

declare_rule! {
    /// The name of an extension, or of its default version, is one that the server refuses.
    ///
    /// ## What it checks
    ///
    /// The name of each control file and each `default_version`: not empty, no `--`, no `-` at either end,
    /// no `/`.
    ///
    /// ## Why it matters
    ///
    /// Scripts are named `extension--version.sql`, so the server refuses names that would make those
    /// ambiguous, before it looks for any script.
    ///
    /// ## When it fires
    ///
    /// ```text
    /// default_version = '1.0--beta'
    /// ```
    ///
    /// ## How to fix
    ///
    /// Rename the extension or the version; a single `-` inside is fine.
    ///
    /// ## What it cannot see
    ///
    /// Control files whose name contains `--`: the server takes them for secondary ones, and so does this
    /// rule.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/commands/extension.c `check_valid_extension_name`,
    /// `check_valid_version_name`.
    pub(crate) static INVALID_EXTENSION_NAME = {
        code: "PGS604",
        name: "invalid-extension-name",
        group: Catalog,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for record in cx.tree().inventory().in_scope() {
        let (what, invalid) = match &record.extension.plan {
            Plan::InvalidName(invalid) => ("the extension's name", invalid),
            Plan::InvalidVersion(invalid) => ("default_version", invalid),
            _ => continue,
        };
        let message = format!("{what} is one that the server refuses: {}", invalid.detail);
        let finding = server_says(on_control(sink, record, message), &invalid.message);
        sink.report(finding.help("rename it, and its scripts with it"));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, server};
    use crate::rules::testing::Case;

    pub(crate) fn firing() -> Case {
        case().file("/pg/share/extension/x.control", "default_version = '1--2'")
    }

    pub(crate) fn silent() -> Case {
        case().extension("", "")
    }

    #[test]
    fn double_dashes_and_outer_dashes_are_refused() {
        let case = case()
            .file("/pg/share/extension/x.control", "default_version = '1--2'")
            .file("/pg/share/extension/y-.control", "default_version = '1'");
        let findings = case.run(&INVALID_EXTENSION_NAME);
        let said: Vec<_> = findings.iter().map(server).collect();
        assert_eq!(said, ["invalid extension version name: \"1--2\"", "invalid extension name: \"y-\""]);
    }

    #[test]
    fn a_dash_inside_is_fine() {
        let case = case()
            .file("/pg/share/extension/a-b.control", "default_version = '1-2'")
            .file("/pg/share/extension/a-b--1-2.sql", "");
        assert_eq!(case.run(&INVALID_EXTENSION_NAME), []);
    }
}
