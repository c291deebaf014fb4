use crate::check::{Sink, TreeCx, declare_rule};
use crate::collide::{NameCollision, Outvoted, Searched};
use crate::name::shown_path;
use crate::rules::evidence::{base_name, listed};
use crate::tree::Tree;

declare_rule! {
    /// The module ships a library that the server has already, and which is therefore never opened.
    ///
    /// ## What it checks
    ///
    /// The searches that the module's DT_NEEDED entries would make by themselves, against the objects of the server's
    /// process. A name that an object of the process answers to is never searched. On macOS an image answers to its path
    /// and its install name, so this is about `@rpath/…` and absolute names; what is named by `@loader_path` is
    /// always opened.
    ///
    /// ## Why it matters
    ///
    /// The module was tested with its own build of the library and runs with the server's. Versions and symbols that only
    /// the private build has are missing, and the module does not load; the rest behaves as the server's build does.
    ///
    /// ## When it fires
    ///
    /// A module with `$ORIGIN/priv` in its DT_RUNPATH ships libssl.so.3 there, and the server is linked with libssl.so.3.
    ///
    /// ## How to fix
    ///
    /// Drop the private copy and depend on the package that the server's library comes from, or give the private one a
    /// soname and version nodes of its own.
    ///
    /// ## What it cannot see
    ///
    /// Whether the two builds behave differently.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `_dl_map_object`: names and sonames of loaded objects come before any search; dyld Loader.cpp
    /// `getLoader`, JustInTimeLoader.cpp `matchesPath`.
    pub(crate) static PRIVATE_COPY_NEVER_USED = {
        code: "PGS213",
        name: "private-copy-never-used",
        group: Symbols,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let Some(collisions) = tree.collisions() else { return };
    for name in collisions.names.iter().filter(|name| name.is_server) {
        let winner = shown_path(&collisions.universe.get(name.winner).path).to_string();
        let Some(first) = name.wanted_by.first().and_then(|&index| tree.files().get(index)) else { continue };
        let finding = sink.finding(
            &first.path,
            &name.name,
            format!(
                "{} is never opened: the server has loaded {winner}, which answers to {}.",
                shown_path(&name.loser),
                name.name
            ),
        );
        let finding = with_details(finding, tree, name);
        let own_name = set_soname(&name.searched, &shown_path(&name.loser).to_string());
        sink.report(finding.help(format!(
            "drop the private copy and depend on the package of {winner}, or give it a name of its own: {own_name}"
        )));
    }
}

/// The command that gives a library another name.
pub(super) fn set_soname(searched: &Searched, path: &str) -> String {
    match searched {
        Searched::Elf(_) => format!("patchelf --set-soname NEW {path}"),
        Searched::Dyld(_) => format!("install_name_tool -id NEW {path} && codesign -f -s - {path}"),
    }
}

/// Who asks, what they would miss, and how they searched.
pub(super) fn with_details(
    mut finding: crate::check::Finding,
    tree: &Tree,
    name: &NameCollision,
) -> crate::check::Finding {
    let users = name.wanted_by.iter().filter_map(|&index| tree.files().get(index));
    finding = finding.evidence("wanted by", listed(users.map(|file| base_name(&file.path))));
    if !name.lacking.is_empty() {
        let lacking = name.lacking.iter().map(|lacking| match lacking {
            Outvoted::Version(version) => format!("version {version}"),
            Outvoted::Symbol(symbol) => symbol.to_string(),
        });
        finding = finding.evidence("it lacks", listed(lacking));
    }
    for (via, path, outcome) in name.searched.lines() {
        finding = finding.evidence("searched", format!("{via} {}: {outcome}", shown_path(path)));
    }
    finding
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::{From, Kind, MachImage, Magic, SharedObject};

    use super::*;
    use crate::rules::testing::{CPU, Case, bundle, library, module};

    fn server() -> SharedObject {
        SharedObject::new()
            .kind(Kind::PieExecutable)
            .interp("/lib64/ld-linux-x86-64.so.2")
            .needed("libc.so.6")
            .needed("libfoo.so.1")
            .server("15.8", &Magic::pg(15))
    }

    pub(crate) fn firing() -> Case {
        Case::new()
            .object("/pg/bin/postgres", &server())
            .object("/lib/x86_64-linux-gnu/libfoo.so.1", &library("libfoo.so.1").export("foo"))
            .object("x.so", &module().needed("libfoo.so.1").runpath("$ORIGIN/priv").import("foo"))
            .object("priv/libfoo.so.1", &library("libfoo.so.1").export("foo"))
    }

    pub(crate) fn silent() -> Case {
        Case::new()
            .object("/pg/bin/postgres", &server())
            .object("/lib/x86_64-linux-gnu/libfoo.so.1", &library("libfoo.so.1").export("foo"))
            .object("x.so", &module().needed("libfoo.so.1").import("foo"))
    }

    #[test]
    fn the_path_that_is_never_opened_is_named() {
        let finding = firing().one(&PRIVATE_COPY_NEVER_USED);
        assert_eq!(
            finding.message,
            "/pg/lib/priv/libfoo.so.1 is never opened: the server has loaded \
             /lib/x86_64-linux-gnu/libfoo.so.1, which answers to libfoo.so.1."
        );
    }

    #[test]
    fn symbols_that_only_the_private_copy_has_are_named() {
        let case = firing()
            .object(
                "x.so",
                &module().needed("libfoo.so.1").runpath("$ORIGIN/priv").import("foo").import("bar"),
            )
            .object("priv/libfoo.so.1", &library("libfoo.so.1").export("foo").export("bar"));
        assert_eq!(case.one(&PRIVATE_COPY_NEVER_USED).texts("it lacks"), ["bar"]);
    }

    #[test]
    fn on_macos_the_servers_image_answers_to_its_install_name() {
        let case = |lacks: bool| {
            let server = MachImage::executable(CPU)
                .library("@rpath/libfoo.dylib")
                .rpath("@loader_path/../deps")
                .export("palloc")
                .constant(b"postgres (PostgreSQL) 15.8")
                .magic(15);
            let foo = MachImage::dylib(CPU, "@rpath/libfoo.dylib").export("foo");
            let module = bundle().library("@rpath/libfoo.dylib").rpath("@loader_path/priv");
            Case::mac()
                .image("/pg/bin/postgres", &server)
                .image("/pg/deps/libfoo.dylib", &foo)
                .image("priv/libfoo.dylib", &foo.export("newer"))
                .image("a.so", &module.import(if lacks { "newer" } else { "foo" }, From::Library(2)))
        };
        let finding = case(false).one(&PRIVATE_COPY_NEVER_USED);
        assert!(
            finding.message.starts_with("/pg/lib/priv/libfoo.dylib is never opened"),
            "{}",
            finding.message
        );
        assert!(finding.texts("it lacks").is_empty());
        assert_eq!(case(true).one(&PRIVATE_COPY_NEVER_USED).texts("it lacks"), ["newer"]);
    }
}
