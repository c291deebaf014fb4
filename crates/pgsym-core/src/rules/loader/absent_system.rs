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
    ///
    /// ## Why it matters
    ///
    /// The answer has a hole: missing libraries, missing versions and collisions with the system's libraries are not
    /// looked for.
    ///
    /// ## When it fires
    ///
    /// A package for aarch64 is audited on an x86_64 machine; one for Alpine on Debian.
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
        let library = if names.len() == 1 { "library" } else { "libraries" };
        let message = format!(
            "No system for {system} is here: whether it has the {} {library} that {} of the tree need and the tree has not \
             is not known.",
            names.len(),
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
    use crate::rules::testing::Case;
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
}
