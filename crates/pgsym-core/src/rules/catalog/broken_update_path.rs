use super::support::{on_control, server_says};
use crate::check::{Sink, TreeCx, declare_rule};
use crate::name::Shown;

declare_rule! {
    /// Update scripts lead out of a version, and none of them leads to the default version.
    ///
    /// ## What it checks
    ///
    /// Every version from which an update script starts: whether some chain of updates reaches
    /// `default_version`.
    ///
    /// ## Why it matters
    ///
    /// Users of that version run `ALTER EXTENSION … UPDATE` and are told that there is no update path,
    /// although the package ships scripts for them: a link in the middle is missing.
    ///
    /// ## When it fires
    ///
    /// `x--1.0--1.1.sql` and `x--1.2--1.3.sql` with default version 1.3: nobody gets from 1.1 to 1.2.
    ///
    /// ## How to fix
    ///
    /// Ship the missing script, here `x--1.1--1.2.sql`.
    ///
    /// ## What it cannot see
    ///
    /// Versions that have only an install script: not to offer updates from them may be meant. Scripts that
    /// start at `unpackaged`, which no server since 13 can run.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/commands/extension.c `identify_update_path`.
    pub(crate) static BROKEN_UPDATE_PATH = {
        code: "PGS606",
        name: "broken-update-path",
        group: Catalog,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for record in cx.tree().inventory().in_scope() {
        let extension = &record.extension;
        let Ok(control) = &extension.control else { continue };
        let Some(version) = &control.default_version else { continue };
        let dead_ends: Vec<String> = extension
            .graph
            .dead_ends(version)
            .into_iter()
            .filter(|from| *from != b"unpackaged")
            .map(|from| Shown(from).to_string())
            .collect();
        let Some(first) = dead_ends.first() else { continue };
        let message = format!(
            "update scripts start at version {}, but no chain of them leads to the default version {}.",
            dead_ends.join(", "),
            Shown(version)
        );
        let said = format!(
            "extension \"{}\" has no update path from version \"{first}\" to version \"{}\"",
            Shown(&extension.name),
            Shown(version)
        );
        let finding = server_says(on_control(sink, record, message), &said);
        sink.report(finding.help("ship the missing update script"));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, server};
    use crate::rules::testing::Case;

    pub(crate) fn firing() -> Case {
        case().extension("", "").file("/pg/share/extension/x--0.8--0.9.sql", "")
    }

    pub(crate) fn silent() -> Case {
        case().extension("", "").file("/pg/share/extension/x--0.9--1.0.sql", "")
    }

    #[test]
    fn a_missing_link_strands_the_versions_before_it() {
        let case = case()
            .file("/pg/share/extension/x.control", "default_version = '1.3'")
            .file("/pg/share/extension/x--1.3.sql", "")
            .file("/pg/share/extension/x--1.0--1.1.sql", "")
            .file("/pg/share/extension/x--1.2--1.3.sql", "");
        let findings = case.run(&BROKEN_UPDATE_PATH);
        assert_eq!(
            server(&findings[0]),
            "extension \"x\" has no update path from version \"1.0\" to version \"1.3\""
        );
    }

    #[test]
    fn a_whole_chain_and_an_old_install_script_are_fine() {
        let case = case()
            .file("/pg/share/extension/x.control", "default_version = '1.2'")
            .file("/pg/share/extension/x--0.9.sql", "")
            .file("/pg/share/extension/x--1.0.sql", "")
            .file("/pg/share/extension/x--1.0--1.1.sql", "")
            .file("/pg/share/extension/x--1.1--1.2.sql", "");
        assert_eq!(case.run(&BROKEN_UPDATE_PATH), []);
    }
}
