use super::private_copy_never_used::with_details;
use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::collide::{Searched, Whose};
use crate::name::shown_path;
use crate::rules::meeting::{rename, who};

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
    /// Two modules in one directory each ship a `libduckdb.so`, found by `$ORIGIN/…` in their DT_RUNPATH. Between two
    /// files that are neither of the tree nor beside a module, and where nothing is lacking, it is only good to know.
    ///
    /// ## How to fix
    ///
    /// Give one build a name of its own, as file, as DT_SONAME and in the DT_NEEDED of all who use it, and its symbols a
    /// version node (`-Wl,--version-script`), since a soname alone does not keep equal symbols apart:
    ///
    /// ```text
    /// mv libduckdb.so libduckdb-private.so
    /// patchelf --set-soname libduckdb-private.so libduckdb-private.so
    /// patchelf --replace-needed libduckdb.so libduckdb-private.so x.so
    /// ```
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
        let rename = |path, users| rename(tree, collisions, path, &name.name, users);
        let commands =
            rename(&name.loser, &name.requesters).or_else(|| rename(&winner.path, &name.winners_requesters));
        let own = match name.searched {
            Searched::Elf(_) => "a name of its own (and its symbols version nodes)",
            Searched::Dyld(_) => "an install name of its own",
        };
        let help =
            commands.map_or_else(String::new, |commands| format!("give one of the two {own}: {commands}"));
        // Between two files that are nobody's here, a packager of modules can do nothing.
        let is_ours = name.loser_is != Whose::Others || tree.find(winner.module.id).is_some();
        let severity = if is_ours || !name.lacking.is_empty() { Severity::Warning } else { Severity::Info };
        sink.report(with_details(finding, tree, name).severity(severity).help(help));
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
    fn two_files_of_the_system_are_only_noted_and_never_patched() {
        let case = Case::new()
            .object("a.so", &module().needed("libduck.so").runpath("/opt/a").import("duck"))
            .object("b.so", &module().needed("libduck.so").runpath("/opt/b").import("duck"))
            .object("/opt/a/libduck.so", &library("libduck.so").export("duck"))
            .object("/opt/b/libduck.so", &library("libduck.so").export("duck"));
        let finding = case.one(&SEARCH_PATH_COLLISION);
        assert_eq!((finding.severity, &*finding.help), (Severity::Info, ""));
    }

    #[test]
    fn the_commands_rename_file_soname_and_users() {
        let help = firing().one(&SEARCH_PATH_COLLISION).help;
        assert!(
            help.contains("mv /pg/lib/b/libduck.so /pg/lib/b/libduck-private.so && ")
                && help.ends_with("--replace-needed libduck.so libduck-private.so /pg/lib/b.so"),
            "{help}"
        );
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
