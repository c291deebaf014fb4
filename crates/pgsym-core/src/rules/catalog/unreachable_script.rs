use std::collections::BTreeMap;
use std::path::Path;

use bstr::ByteSlice as _;

use super::support::on_control;
use crate::check::{Sink, TreeCx, declare_rule};
use crate::extension::ExtensionRecord;
use crate::extension::name::{ScriptName, script_name};
use crate::name::Shown;
use crate::rules::evidence::{base_name, listed};

declare_rule! {
    /// A script that no CREATE EXTENSION and no ALTER EXTENSION UPDATE can ever run.
    ///
    /// ## What it checks
    ///
    /// The files named like scripts: those with a third `--`, which the server ignores; those that start at
    /// `unpackaged`, the syntax for which went away in 13; and those of which no extension has the name, together for each
    /// control file that is missing.
    ///
    /// ## Why it matters
    ///
    /// They are dead weight, and now and then the visible half of a mistake: a control file that was not
    /// packaged, or a version with `--` in its name.
    ///
    /// ## When it fires
    ///
    /// `x--1.0--1.1--beta.sql`; `y--1.0.sql` where there is no `y.control`.
    ///
    /// ## How to fix
    ///
    /// Remove the file, rename it, or ship the control file.
    ///
    /// ## What it cannot see
    ///
    /// Scripts for versions that nobody has installed any more.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/commands/extension.c `get_ext_ver_list`.
    pub(crate) static UNREACHABLE_SCRIPT = {
        code: "PGS607",
        name: "unreachable-script",
        group: Catalog,
        severity: Info,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let inventory = cx.tree().inventory();
    for record in inventory.in_scope() {
        let ignored = files(record, |script| script == ScriptName::Ignored);
        if !ignored.is_empty() {
            let message = format!("the server ignores {}: a third -- is in the name.", listed(&ignored));
            sink.report(on_control(sink, record, message).help("rename the version or remove the file"));
        }
        let unpackaged = files(record, |script| matches!(script, ScriptName::Update(b"unpackaged", _)));
        if !unpackaged.is_empty() {
            let message = format!(
                "nothing can run {}: CREATE EXTENSION … FROM went away in PostgreSQL 13.",
                listed(&unpackaged)
            );
            sink.report(on_control(sink, record, message).help("remove the file"));
        }
    }
    // One missing control file is one cause, however many scripts wait for it.
    let mut orphans: BTreeMap<(Option<&Path>, &[u8]), Vec<&Path>> = BTreeMap::new();
    for path in &inventory.orphan_scripts {
        let name = path.file_name().map_or(&b""[..], std::ffi::OsStr::as_encoded_bytes);
        let extension = name.find("--").map_or(name, |at| &name[..at]);
        orphans.entry((path.parent(), extension)).or_default().push(path);
    }
    for ((_, extension), scripts) in orphans {
        let Some(first) = scripts.first() else { continue };
        let extension = Shown(extension);
        let message = match scripts.len() {
            1 => format!("{} belongs to no extension: there is no {extension}.control.", base_name(first)),
            number => format!(
                "{number} scripts of {extension} belong to no extension: there is no {extension}.control."
            ),
        };
        let mut finding = sink.finding(first, extension, message);
        if scripts.len() > 1 {
            finding = finding.evidence("scripts", listed(scripts.iter().map(|script| base_name(script))));
        }
        sink.report(finding.help("ship the control file, or remove the scripts"));
    }
}

fn files(record: &ExtensionRecord, is_hit: impl Fn(ScriptName<'_>) -> bool) -> Vec<String> {
    let files = record.extension.files.as_deref().unwrap_or_default();
    files
        .iter()
        .filter(|file| script_name(&record.extension.name, file).is_some_and(&is_hit))
        .map(|file| Shown(file).to_string())
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case};
    use crate::rules::testing::Case;

    pub(crate) fn firing() -> Case {
        case().extension("", "").file("/pg/share/extension/y--1.0.sql", "")
    }

    pub(crate) fn silent() -> Case {
        case().extension("", "").file("/pg/share/extension/x--0.9--1.0.sql", "")
    }

    #[test]
    fn three_ways_to_be_unreachable() {
        let case = case()
            .extension("", "")
            .file("/pg/share/extension/x--1--2--3.sql", "")
            .file("/pg/share/extension/x--unpackaged--1.0.sql", "")
            .file("/pg/share/extension/y--1.0.sql", "");
        let messages: Vec<_> =
            case.run(&UNREACHABLE_SCRIPT).iter().map(|finding| finding.message.clone()).collect();
        assert_eq!(messages.len(), 3);
        assert!(messages[1].contains("the server ignores x--1--2--3.sql"), "{messages:?}");
        assert!(messages[0].contains("nothing can run x--unpackaged--1.0.sql"), "{messages:?}");
        assert!(messages[2].contains("y--1.0.sql belongs to no extension"), "{messages:?}");
    }

    #[test]
    fn a_control_file_that_is_missing_is_told_once() {
        let case = case()
            .extension("", "")
            .file("/pg/share/extension/y--1.0.sql", "")
            .file("/pg/share/extension/y--1.0--1.1.sql", "")
            .file("/pg/share/extension/y_data--1.0.sql", "");
        let findings = case.run(&UNREACHABLE_SCRIPT);
        let messages: Vec<&str> = findings.iter().map(|finding| &*finding.message).collect();
        assert_eq!(
            messages,
            [
                "2 scripts of y belong to no extension: there is no y.control.",
                "y_data--1.0.sql belongs to no extension: there is no y_data.control."
            ]
        );
    }

    #[test]
    fn an_update_from_an_old_version_is_reachable() {
        let case = case().extension("", "").file("/pg/share/extension/x--0.9--1.0.sql", "");
        assert_eq!(case.run(&UNREACHABLE_SCRIPT), []);
    }
}
