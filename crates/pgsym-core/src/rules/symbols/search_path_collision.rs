use super::private_copy_never_used::{set_soname, with_details};
use crate::check::{Sink, TreeCx, declare_rule};
use crate::collide::Searched;
use crate::name::shown_path;
use crate::rules::meeting::who;

declare_rule! {
    /// The search paths of two modules lead one name to two files.
    ///
    /// ## What it checks
    ///
    /// Every name that a module, or a library that it brings, needs: which file it leads to when that module is alone with
    /// the server. Two modules whose searches end at different files under one name cannot both have theirs.
    ///
    /// ## Why it matters
    ///
    /// The first module that is loaded decides; the second one is given the first one's file without any search. What
    /// works in one session fails in the next, where another function was called first.
    ///
    /// ## When it fires
    ///
    /// Two modules in one directory each ship a `libduckdb.so`, found by `$ORIGIN/…` in their DT_RUNPATH.
    ///
    /// ## How to fix
    ///
    /// Give each build its own soname, and its symbols a version node (a soname alone does not keep equal symbols
    /// apart): `patchelf --set-soname`, `patchelf --replace-needed`, `-Wl,--version-script`.
    ///
    /// ## What it cannot see
    ///
    /// Which of the modules are ever used in the same session.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `_dl_map_object`; dyld Loader.cpp `getLoader`, JustInTimeLoader.cpp `matchesPath`: on macOS an
    /// image whose install name is asked for is reused, wherever it lies.
    pub(crate) static SEARCH_PATH_COLLISION = {
        code: "PGS211",
        name: "search-path-collision",
        group: Symbols,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let Some(collisions) = tree.collisions() else { return };
    for name in collisions.names.iter().filter(|name| !name.is_server) {
        let winner = collisions.universe.get(name.winner);
        let Some(first) = name.wanted_by.first().and_then(|&index| tree.files().get(index)) else { continue };
        let finding = sink.finding(
            &first.path,
            &name.name,
            format!(
                "{} leads to {} here and to {} for others: whichever is loaded first serves both.",
                name.name,
                shown_path(&name.loser),
                shown_path(&winner.path)
            ),
        );
        let finding = finding.evidence("the other", who(tree, collisions, name.winner));
        let command = set_soname(&name.searched, &shown_path(&name.loser).to_string());
        let help = match name.searched {
            Searched::Elf(_) => {
                format!("give one of the two a soname and version nodes of its own: {command}")
            }
            Searched::Dyld(_) => format!("give one of the two an install name of its own: {command}"),
        };
        sink.report(with_details(finding, tree, name).help(help));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::{From, MachImage};

    use super::*;
    use crate::rules::testing::{CPU, bundle};
    use crate::rules::testing::{Case, library, module};

    pub(crate) fn firing() -> Case {
        Case::new()
            .object("a.so", &module().needed("libduck.so").runpath("$ORIGIN/a").import("duck"))
            .object("b.so", &module().needed("libduck.so").runpath("$ORIGIN/b").import("duck"))
            .object("a/libduck.so", &library("libduck.so").export("duck"))
            .object("b/libduck.so", &library("libduck.so").export("duck"))
    }

    pub(crate) fn silent() -> Case {
        Case::new()
            .object("a.so", &module().needed("libduck.so").runpath("$ORIGIN/a").import("duck"))
            .object("b.so", &module().needed("libduck.so").runpath("$ORIGIN/b").import("duck"))
            .object("a/libduck.so", &library("libduck.so").export("duck"))
            .fs(|fs| fs.hard_link("/pg/lib/b/libduck.so", "/pg/lib/a/libduck.so"))
    }

    #[test]
    fn a_pair_is_one_finding_that_names_both_files() {
        let finding = firing().one(&SEARCH_PATH_COLLISION);
        assert!(
            finding.message.contains("/pg/lib/a/libduck.so")
                && finding.message.contains("/pg/lib/b/libduck.so"),
            "{}",
            finding.message
        );
    }

    #[test]
    fn on_macos_an_image_is_reused_where_its_install_name_is_asked_for() {
        let case = |name: &str| {
            let user = |rpath: &str| bundle().library(name).rpath(rpath).import("duck", From::Library(2));
            let duck = MachImage::dylib(CPU, "@rpath/libduck.dylib").export("duck");
            Case::mac()
                .image("a.so", &user("@loader_path/a"))
                .image("b.so", &user("@loader_path/b"))
                .image("a/libduck.dylib", &duck)
                .image("b/libduck.dylib", &duck)
        };
        let finding = case("@rpath/libduck.dylib").one(&SEARCH_PATH_COLLISION);
        assert!(finding.message.starts_with("@rpath/libduck.dylib leads to"), "{}", finding.message);
        assert!(finding.help.contains("install_name_tool -id"), "{}", finding.help);
        // A name that becomes a path of its own is nobody else's.
        assert!(case("@loader_path/a/libduck.dylib").run(&SEARCH_PATH_COLLISION).is_empty());
    }
}
