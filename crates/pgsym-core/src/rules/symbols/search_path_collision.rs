use super::private_copy_never_used::with_details;
use crate::check::{Sink, TreeCx, declare_rule};
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
    /// glibc elf/dl-load.c `_dl_map_object`.
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
        sink.report(with_details(finding, tree, name).help(format!(
            "give one of the two a soname and version nodes of its own: patchelf --set-soname NEW {}",
            shown_path(&name.loser)
        )));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
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
}
