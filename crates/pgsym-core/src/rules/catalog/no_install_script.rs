use super::support::{on_control, server_says};
use crate::check::{Sink, TreeCx, declare_rule};
use crate::extension::ExtensionRecord;
use crate::extension::tree::{Extension, Plan};
use crate::name::{Shown, bytes_as_path, shown_path};
use crate::rules::evidence::{base_name, listed};

declare_rule! {
    /// There is no script that installs the default version, and no chain of updates to it.
    ///
    /// ## What it checks
    ///
    /// The script directory of each extension: the install script of `default_version`, or else the
    /// shortest chain of update scripts that the server would choose, starting at any install script.
    ///
    /// ## Why it matters
    ///
    /// `CREATE EXTENSION` reports `has no installation script nor update path`, on every server that the
    /// package reaches. It usually means that the build renamed the scripts, or that a control file was
    /// shipped for a module that needs none.
    ///
    /// ## When it fires
    ///
    /// `default_version = '1.1'`, and the directory holds `x--1.0.sql` and no `x--1.0--1.1.sql`.
    ///
    /// ## How to fix
    ///
    /// Ship the script, correct `default_version`, or drop the control file: LOAD and
    /// shared_preload_libraries need none.
    ///
    /// ## What it cannot see
    ///
    /// Scripts that are made when the package is installed. In a whole image it is silent about control files that none
    /// of its servers comes to: the links in `/etc/alternatives`, test fixtures and sources that were not built.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/commands/extension.c `find_install_path`.
    pub(crate) static NO_INSTALL_SCRIPT = {
        code: "PGS603",
        name: "no-install-script",
        group: Catalog,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let inventory = cx.tree().inventory();
    for record in inventory.in_scope() {
        let extension = &record.extension;
        let Plan::NoScript { version } = &extension.plan else { continue };
        let script = format!("{}--{}.sql", Shown(&extension.name), Shown(version));
        let message = format!(
            "default_version is '{}', but there is no {script} and no chain of update scripts that ends there.",
            Shown(version)
        );
        let mut finding = on_control(sink, record, message);
        finding = match &extension.files {
            Ok(_) => finding.evidence("looked in", shown_path(&extension.script_directory)),
            Err(error) => finding.evidence("looked in", error),
        };
        let versions = || extension.graph.versions().map(Shown);
        if versions().next().is_some() {
            finding = finding.evidence("versions", listed(versions()));
        }
        finding = server_says(finding, &extension.plan_error().unwrap_or_default());
        let is_link_to_it = |other: &&ExtensionRecord| {
            other.extension.name != extension.name
                && other.extension.control_id.is_some()
                && other.extension.control_id == extension.control_id
        };
        sink.report(finding.help(match inventory.extensions.iter().find(is_link_to_it) {
            Some(link) => format!(
                "{} is this file too: keep it by that name alone, where the server lists it",
                base_name(&link.extension.control_path)
            ),
            None => match script_of_other_name(cx, extension, version) {
                Some((script, owner)) => format!(
                    "{script} is there, which is for {owner}: install this file as {owner}.control, as packages of several \
                     versions do by update-alternatives, or rename the script"
                ),
                None => "ship the script, or drop the control file: LOAD needs none".to_owned(),
            },
        }));
    }
}

/// The script of the same version for an extension that has no control file, and of whose name this one is `NAME-…`, with
/// that name: Debian's postgis-3.control stands beside postgis--3.3.2.sql, and is postgis.control once it is installed.
fn script_of_other_name(cx: &TreeCx<'_>, extension: &Extension, version: &[u8]) -> Option<(String, String)> {
    let names = (0..extension.name.len()).rev().filter(|&at| extension.name.get(at) == Some(&b'-'));
    names.filter_map(|at| extension.name.get(..at)).find_map(|owner| {
        let script = [owner, b"--", version, b".sql"].concat();
        let control = [owner, b".control"].concat();
        let directory = extension.control_path.parent()?;
        let fs = cx.tree().store().fs();
        let is_script = fs.metadata(&extension.script_directory.join(bytes_as_path(&script))).is_ok();
        let is_free = fs.symlink_metadata(&directory.join(bytes_as_path(&control))).is_err();
        (is_script && is_free).then(|| (Shown(&script).to_string(), Shown(owner).to_string()))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, server};
    use crate::rules::testing::Case;

    pub(crate) fn firing() -> Case {
        case().file("/pg/share/extension/x.control", "default_version = '1.0'")
    }

    pub(crate) fn silent() -> Case {
        case().extension("", "")
    }

    #[test]
    fn a_chain_that_ends_short_of_the_default_version_is_no_chain() {
        let case = case()
            .file("/pg/share/extension/x.control", "default_version = '1.2'")
            .file("/pg/share/extension/x--1.0.sql", "")
            .file("/pg/share/extension/x--1.0--1.1.sql", "");
        let findings = case.run(&NO_INSTALL_SCRIPT);
        assert_eq!(findings.len(), 1);
        assert_eq!(
            server(&findings[0]),
            "extension \"x\" has no installation script nor update path for version \"1.2\""
        );
        assert!(findings[0].evidence.iter().any(|evidence| evidence.text == "1.0, 1.1"));
    }

    #[test]
    fn a_control_file_that_another_one_leads_to_is_not_to_be_dropped() {
        // Debian's postgis.control leads to postgis-3.control.
        let case = case()
            .file("/pg/share/extension/x-3.control", "default_version = '1.0'")
            .symlink("/pg/share/extension/x.control", "x-3.control")
            .file("/pg/share/extension/x--1.0.sql", "");
        let findings = case.run(&NO_INSTALL_SCRIPT);
        assert_eq!(findings.len(), 1);
        assert_eq!(
            findings[0].help,
            "x.control is this file too: keep it by that name alone, where the server lists it"
        );
    }

    #[test]
    fn a_control_file_that_waits_for_its_name_is_told_so() {
        // Debian's postgresql-15-postgis-3-scripts as it is packed.
        let help = |name: &str| {
            let case = case()
                .file("/pg/share/extension/my-gis-3.control", "default_version = '3.3.2'")
                .file(&format!("/pg/share/extension/{name}--3.3.2.sql"), "");
            case.run(&NO_INSTALL_SCRIPT)[0].help.clone()
        };
        assert_eq!(
            help("my-gis"),
            "my-gis--3.3.2.sql is there, which is for my-gis: install this file as my-gis.control, as packages of \
             several versions do by update-alternatives, or rename the script"
        );
        assert!(help("my").starts_with("my--3.3.2.sql"));
        assert!(help("other").starts_with("ship the script"));
    }

    #[test]
    fn a_script_directory_that_is_a_file_is_told() {
        let case = case()
            .file("/pg/share/extension/x.control", "default_version = 1\ndirectory = 'scripts'")
            .file("/pg/share/scripts", "");
        let findings = case.run(&NO_INSTALL_SCRIPT);
        let said = "could not open directory \"/pg/share/scripts\": Not a directory";
        assert!(findings[0].evidence.iter().any(|evidence| evidence.text == said), "{findings:?}");
    }

    #[test]
    fn cyclic_updates_end_in_one_finding() {
        let case = case()
            .file("/pg/share/extension/x.control", "default_version = 'a'")
            .file("/pg/share/extension/x--a--b.sql", "")
            .file("/pg/share/extension/x--b--a.sql", "");
        assert_eq!(case.run(&NO_INSTALL_SCRIPT).len(), 1);
    }

    #[test]
    fn an_update_chain_installs_as_well_as_a_script() {
        let case = case()
            .file("/pg/share/extension/x.control", "default_version = '1.1'")
            .file("/pg/share/extension/x--1.0.sql", "")
            .file("/pg/share/extension/x--1.0--1.1.sql", "");
        assert_eq!(case.run(&NO_INSTALL_SCRIPT), []);
    }
}
