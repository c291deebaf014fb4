use crate::check::{Finding, Severity, Sink, TreeCx, declare_rule};
use crate::collide::{Collisions, Judgement, NameCollision, Outvoted, Whose};
use crate::name::shown_path;
use crate::rules::evidence::{base_name, listed};
use crate::rules::meeting::{rename, who};
use crate::tree::Tree;

declare_rule! {
    /// The server has a library already, and another file of that name is therefore never opened.
    ///
    /// ## What it checks
    ///
    /// The searches that DT_NEEDED entries of the module, and of the libraries that it brings, would make by themselves,
    /// against the objects of the server's process. A name that an object of the process answers to is never searched.
    /// On macOS an image answers to its path and its install name, so this is about `@rpath/…` and absolute names; what
    /// is named by `@loader_path` is always opened.
    ///
    /// ## Why it matters
    ///
    /// The module was tested with its own build of the library and runs with the server's. Versions and symbols that only
    /// the private build has are missing, and the module does not load; the rest behaves as the server's build does.
    ///
    /// ## When it fires
    ///
    /// A module with `$ORIGIN/priv` in its DT_RUNPATH ships libssl.so.3 there, and the server is linked with libssl.so.3.
    /// Where the file that is passed over is not the package's own (it lies neither in the tree nor beside the module),
    /// it is the server that comes with a copy of what the system has: good to know, and a warning where that copy
    /// lacks something.
    ///
    /// ## How to fix
    ///
    /// Drop the private copy and depend on the package that the server's library comes from. Where the private build is
    /// needed, give it a name of its own, as file, as DT_SONAME and in the DT_NEEDED of all who use it, and version nodes,
    /// without which its symbols still meet the server's:
    ///
    /// ```text
    /// mv libfoo.so.1 libfoo-private.so.1
    /// patchelf --set-soname libfoo-private.so.1 libfoo-private.so.1
    /// patchelf --replace-needed libfoo.so.1 libfoo-private.so.1 x.so
    /// ```
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
        let Some(first) = name.wanted_by.first().and_then(|&index| tree.files().get(index)) else { continue };
        let start = |message| sink.finding(&first.path, &name.name, message);
        let finding = match name.loser_is {
            Whose::Tree | Whose::Beside => private(tree, collisions, name, start),
            Whose::Others => of_others(tree, collisions, name, start),
        };
        sink.report(with_details(finding, tree, name));
    }
}

/// A copy that the module's package ships.
fn private(
    tree: &Tree,
    collisions: &Collisions,
    name: &NameCollision,
    start: impl FnOnce(String) -> Finding,
) -> Finding {
    let winner = shown_path(&collisions.universe.get(name.winner).path).to_string();
    let finding = start(format!(
        "{} is never opened: the server has loaded {winner}, which answers to {}.",
        shown_path(&name.loser),
        name.name
    ));
    let drop = format!("drop the private copy and depend on the package of {winner}");
    match rename(tree, collisions, &name.loser, &name.name, &name.requesters) {
        Some(commands) => finding.help(format!(
            "{drop}; or, where this build is needed, give it a name of its own (and its symbols version nodes): {commands}"
        )),
        None => finding.help(drop),
    }
}

/// A file of the system, or of another package: the server's copy stands in for it.
fn of_others(
    tree: &Tree,
    collisions: &Collisions,
    name: &NameCollision,
    start: impl FnOnce(String) -> Finding,
) -> Finding {
    let winner = shown_path(&collisions.universe.get(name.winner).path).to_string();
    let asker = name.requesters.first().map(|&id| who(tree, collisions, id)).unwrap_or_default();
    let (loser, name_of) = (shown_path(&name.loser), &name.name);
    let given = format!("{asker} would find {name_of} at {loser}, and is given the server's {winner}");
    if name.judgement() == Judgement::Noted {
        start(format!("{given}, which has every version and symbol that it asks for."))
            .severity(Severity::Info)
    } else {
        start(format!("{given}, which lacks what it asks for.")).help(format!(
            "give the server a {name_of} that is no older than {loser}, or build {asker} for the server's"
        ))
    }
}

/// Who asks, what they would miss, and how they searched.
pub(super) fn with_details(mut finding: Finding, tree: &Tree, name: &NameCollision) -> Finding {
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
    use crate::report::CollisionReport;
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
    fn the_commands_rename_file_soname_and_users() {
        let help = firing().one(&PRIVATE_COPY_NEVER_USED).help;
        assert!(
            help.ends_with(
                "mv /pg/lib/priv/libfoo.so.1 /pg/lib/priv/libfoo-private.so.1 && patchelf --set-soname \
                 libfoo-private.so.1 /pg/lib/priv/libfoo-private.so.1 && patchelf --replace-needed libfoo.so.1 \
                 libfoo-private.so.1 /pg/lib/x.so"
            ),
            "{help}"
        );
    }

    /// A server that ships its own libfoo; a module brings a library of the system, which would find the system's.
    fn relocatable(ours: &SharedObject, bar: &SharedObject) -> Case {
        Case::new()
            .object("/pg/bin/postgres", &server().runpath("$ORIGIN/../deps"))
            .object("/pg/deps/libfoo.so.1", ours)
            .object("x.so", &module().needed("libbar.so.1").import("bar"))
            .object("/lib/x86_64-linux-gnu/libbar.so.1", bar)
            .object("/lib/x86_64-linux-gnu/libfoo.so.1", &library("libfoo.so.1").export("foo").export("new"))
    }

    fn bar() -> SharedObject {
        library("libbar.so.1").export("bar").needed("libfoo.so.1").import("foo")
    }

    #[test]
    fn a_library_of_the_system_is_no_private_copy() {
        let case = relocatable(&library("libfoo.so.1").export("foo"), &bar());
        let finding = case.one(&PRIVATE_COPY_NEVER_USED);
        assert_eq!((finding.severity, &*finding.help), (Severity::Info, ""));
        assert!(!CollisionReport::new(&case.tree()).has_harm());
        assert_eq!(
            finding.message,
            "libbar.so.1 (brought by x.so) would find libfoo.so.1 at /lib/x86_64-linux-gnu/libfoo.so.1, and is given the \
             server's /pg/bin/../deps/libfoo.so.1, which has every version and symbol that it asks for."
        );
    }

    #[test]
    fn a_servers_copy_that_lacks_something_is_a_warning_that_patches_nothing() {
        let case = relocatable(&library("libfoo.so.1").export("foo"), &bar().import("new"));
        let finding = case.one(&PRIVATE_COPY_NEVER_USED);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.texts("it lacks"), ["new"]);
        assert!(!finding.help.contains("patchelf"), "{}", finding.help);
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
