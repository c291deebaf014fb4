use super::support::{on_control, server_says};
use crate::check::{Sink, TreeCx, declare_rule};
use crate::extension::tree::Plan;

declare_rule! {
    /// A control file names no default version.
    ///
    /// ## What it checks
    ///
    /// Whether `default_version` is set in each control file that can be read.
    ///
    /// ## Why it matters
    ///
    /// `CREATE EXTENSION x` without a VERSION clause fails, and so does CASCADE from an extension that
    /// requires it. The parameter is optional only for authors who want to force users to name a version.
    ///
    /// ## When it fires
    ///
    /// A control file with a comment and a module_pathname, and nothing else.
    ///
    /// ## How to fix
    ///
    /// Add `default_version = '1.0'`.
    ///
    /// ## What it cannot see
    ///
    /// Whether the omission is meant.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/commands/extension.c `CreateExtensionInternal`.
    pub(crate) static MISSING_DEFAULT_VERSION = {
        code: "PGS605",
        name: "missing-default-version",
        group: Catalog,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for record in cx.tree().inventory().in_scope() {
        if record.extension.plan != Plan::NoDefaultVersion {
            continue;
        }
        let message = "default_version is not set: CREATE EXTENSION needs a VERSION clause.".to_owned();
        let finding = server_says(on_control(sink, record, message), "version to install must be specified");
        sink.report(finding.help("add default_version to the control file"));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, server};
    use crate::rules::testing::Case;

    pub(crate) fn firing() -> Case {
        case().file("/pg/share/extension/x.control", "comment = 'x'")
    }

    pub(crate) fn silent() -> Case {
        case().extension("", "")
    }

    #[test]
    fn a_control_file_without_a_version_needs_one_in_every_command() {
        let case = case().file("/pg/share/extension/x.control", "comment = 'x'");
        assert_eq!(server(&case.run(&MISSING_DEFAULT_VERSION)[0]), "version to install must be specified");
    }

    #[test]
    fn a_version_is_enough() {
        assert_eq!(case().extension("", "").run(&MISSING_DEFAULT_VERSION), []);
    }
}
