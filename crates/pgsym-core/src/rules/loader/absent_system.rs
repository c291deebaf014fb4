use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::check::{Sink, TreeCx, declare_rule};
use crate::model::DependencyKind;
use crate::resolve::LoadErrorKind;
use crate::rules::evidence::{base_name, count, listed};
use crate::rules::reach::failed_edges;

declare_rule! {
    /// No system of a file's machine is here, in which its libraries could be searched for.
    ///
    /// ## What it checks
    ///
    /// Whether the dynamic loader that files of a machine and C library name is in the tree: `/lib/ld-linux-aarch64.so.1`
    /// for aarch64 and glibc. Where it is not, a library that the tree itself does not have may be in the system that the files
    /// are for, and nobody knows. One finding for each loader, which lists the libraries.
    /// And whether a library that the server has, as its profile says, is here.
    ///
    /// ## Why it matters
    ///
    /// The answer has a hole: missing libraries, missing versions and collisions with the system's libraries are not
    /// looked for.
    ///
    /// ## When it fires
    ///
    /// A package for aarch64 is audited on an x86_64 machine; one for Alpine on Debian. A module asks for a library that comes
    /// with the server, and `--server` names a profile that was written elsewhere.
    ///
    /// ## How to fix
    ///
    /// Unpack a system that the files are for, such as a container image, put the files into it, and name it:
    /// `pgsym audit --root DIR /usr/lib/postgresql`.
    ///
    /// ## What it cannot see
    ///
    /// Whether a system whose loader is there is complete: a library that it lacks is `missing-dependency`.
    ///
    /// ## References
    ///
    /// The psABI of each machine, "Program Interpreter".
    pub(crate) static ABSENT_SYSTEM = {
        code: "PGS107",
        name: "absent-system",
        group: Loader,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    systems(cx, sink);
    servers_own(cx, sink);
}

/// The libraries that the server has elsewhere.
fn servers_own(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let mut names = BTreeSet::new();
    let mut files: BTreeSet<&Path> = BTreeSet::new();
    for failed in failed_edges(
        tree,
        |edge| matches!(&edge.target, Err(error) if error.kind == LoadErrorKind::Elsewhere),
    ) {
        names.insert(failed.name().to_string());
        files.extend(failed.files.iter().map(|file| file.path.as_path()));
    }
    let Some(server) = tree.server().filter(|_| !names.is_empty()) else { return };
    let message = format!(
        "The server has {} that {} of the tree {}, says its profile, and {} not here: what {} is not known.",
        count_libraries(names.len()),
        count(files.len(), "file"),
        if files.len() == 1 { "needs" } else { "need" },
        if names.len() == 1 { "it is" } else { "they are" },
        if names.len() == 1 { "it has" } else { "they have" },
    );
    let finding = sink.finding(&server.installation.server, "libraries", message);
    let finding = finding.evidence("libraries", listed(&names));
    let finding = finding.evidence("files", listed(files.iter().map(|path| base_name(path))));
    sink.report(finding.help("name the system that has the server: --root DIR"));
}

fn count_libraries(number: usize) -> String {
    format!("{number} {}", if number == 1 { "library" } else { "libraries" })
}

fn systems(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let mut systems: BTreeMap<String, (BTreeSet<String>, BTreeSet<&Path>)> = BTreeMap::new();
    for failed in failed_edges(tree, |edge| {
        edge.kind != DependencyKind::Auxiliary
            && matches!(&edge.target, Err(error) if error.kind == LoadErrorKind::NoSystem)
    }) {
        let (names, files) = systems.entry(failed.load.process.env().system_words()).or_default();
        names.insert(failed.name().to_string());
        files.extend(failed.files.iter().map(|file| file.path.as_path()));
    }
    let about = tree.roots().paths().first().map_or(Path::new("/"), |root| root);
    for (system, (names, files)) in systems {
        let message = format!(
            "No system for {system} is here: whether it has the {} that {} of the tree need and the tree has not is not \
             known.",
            count_libraries(names.len()),
            count(files.len(), "file"),
        );
        let finding = sink.finding(about, &system, message).evidence("libraries", listed(&names));
        let finding = finding.evidence("files", listed(files.iter().map(|path| base_name(path))));
        sink.report(finding.help(format!("name a system for {system} that holds the files: --root DIR")));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::check::Selection;
    use crate::postgres::Verdict;
    use crate::rules::loader::missing_dependency::MISSING_DEPENDENCY;
    use crate::rules::testing::{Case, module};
    use crate::tree::ServerChoice;
    use pgsym_testkit::{Machine, SharedObject};

    fn foreign() -> SharedObject {
        SharedObject::for_machine(Machine::Aarch64)
    }

    fn case(own: &SharedObject) -> Case {
        Case::new()
            .object("libown.so.1", &foreign().soname("libown.so.1").needed("libc.so.6"))
            .object("libx.so", &own.clone().soname("libx.so"))
            .settings(|settings| settings.server = ServerChoice::None)
    }

    pub(crate) fn firing() -> Case {
        case(&foreign().needed("libown.so.1").needed("libz.so.1").runpath("$ORIGIN"))
    }

    pub(crate) fn silent() -> Case {
        // The system is there, and lacks a library.
        firing().object("/lib/ld-linux-aarch64.so.1", &foreign().soname("ld-linux-aarch64.so.1"))
    }

    #[test]
    fn the_whole_tree_is_one_finding() {
        let findings = firing().run_all();
        assert_eq!(findings.len(), 1, "{findings:#?}");
        let finding = firing().one(&ABSENT_SYSTEM);
        assert_eq!(finding.path, Path::new("/pg/lib"));
        assert_eq!(
            finding.message,
            "No system for aarch64 (/lib/ld-linux-aarch64.so.1) is here: whether it has the 2 libraries that 2 files of \
             the tree need and the tree has not is not known."
        );
        assert_eq!(finding.texts("libraries"), ["libc.so.6, libz.so.1"]);
    }

    #[test]
    fn a_library_that_a_system_lacks_is_missing() {
        let findings = crate::check::check(&silent().tree(), &Selection::default());
        let codes: Vec<&str> = findings.iter().map(|finding| finding.rule.code).collect();
        assert!(codes.contains(&"PGS101") && !codes.contains(&"PGS107"), "{codes:?}");
    }

    #[test]
    fn a_library_that_the_server_has_elsewhere_is_no_missing_one() {
        let case = |library: &str| {
            let profile = format!(
                "pgsym-profile 3\nmachine 62 64 little\nserver /opt/pg/bin/postgres\nneeded libc.so.6\n\
                 needed libown.so.1\nrunpath $ORIGIN/../lib\n{library}end {}\n",
                6 + library.lines().count()
            );
            Case::new()
                .file("/ci/x.profile", profile)
                .object("uses.so", &module().needed("libown.so.1"))
                .settings(|settings| settings.server = ServerChoice::At("/ci/x.profile".into()))
        };
        let told = case("library libown.so.1 /opt/pg/lib/libown.so.1\n");
        let finding = told.one(&ABSENT_SYSTEM);
        assert_eq!(
            finding.message,
            "The server has 1 library that 1 file of the tree needs, says its profile, and it is not here: what it has is \
             not known."
        );
        assert!(told.run(&MISSING_DEPENDENCY).is_empty());
        let tree = told.tree();
        let load = tree.files().iter().find(|file| file.path.ends_with("uses.so")).unwrap().load.as_ref();
        assert!(matches!(load.unwrap().verdict, Some(Verdict::Unknown(_))));
        // Of a library that the profile does not name, nothing is known but that it is nowhere.
        assert!(case("").run(&ABSENT_SYSTEM).is_empty());
        assert_eq!(case("").run(&MISSING_DEPENDENCY).len(), 1);
    }
}
