use crate::check::{Severity, Sink, TreeCx, declare_rule};

declare_rule! {
    /// The server that the modules are judged by does not start itself, or what stands in its place is none.
    ///
    /// ## What it checks
    ///
    /// The libraries of the server's own binary and the versions that they need of each other, where that binary is none of
    /// the tree's files: of a file of the tree the other rules tell. And whether the `bin/postgres` that the layout leads to is
    /// a server at all.
    ///
    /// ## Why it matters
    ///
    /// `postgres: error while loading shared libraries: libx.so.1: cannot open shared object file`: no module is loaded by
    /// a server that does not run. The tree's modules are judged as if it ran with what there is of its libraries, so a
    /// symbol may be missing that the library which is missing would define. Without a server their imports are not judged
    /// at all.
    ///
    /// ## When it fires
    ///
    /// `--server` names a binary that was unpacked from a package whose dependencies are not installed. A script that starts
    /// the server from elsewhere stands in its place.
    ///
    /// ## How to fix
    ///
    /// Install what the server needs, name the system that has it with `--root`, or name another server.
    ///
    /// ## What it cannot see
    ///
    /// Symbols that the server's libraries lack, and what its own code decides. Where no system of the server's machine is
    /// here, nothing is known of its libraries.
    ///
    /// ## References
    ///
    /// glibc elf/rtld.c `dl_main`.
    pub(crate) static SERVER_DOES_NOT_START = {
        code: "PGS109",
        name: "server-does-not-start",
        group: Loader,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    if let (None, Some((path, seen))) = (tree.server(), tree.unread_server()) {
        let message =
            format!("What stands in the server's place is none: {seen}. The modules are judged without one.");
        let finding = sink.finding(path, "postgres", message);
        sink.report(finding.help("name the server with --server, or its major version with --pg-version"));
        return;
    }
    let (Some(server), Some(why)) = (tree.server(), tree.start_refused()) else { return };
    if tree.find(server.module.id).is_some() {
        return;
    }
    let message = "The server that the modules are judged by does not start itself.";
    let finding = sink.finding(&server.installation.server, "postgres", message).severity(Severity::Warning);
    sink.report(finding.evidence("the loader", why).help(
        "install what it needs, name the system that has it with --root, or another server with --server",
    ));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};
    use pgsym_testkit::{Kind, Magic, SharedObject};

    fn server(needed: &str) -> SharedObject {
        SharedObject::new()
            .kind(Kind::PieExecutable)
            .interp("/lib64/ld-linux-x86-64.so.2")
            .needed("libc.so.6")
            .needed(needed)
            .dynamic_string(0x6fff_f000, "postgres (PostgreSQL) 15.8")
            .magic(Magic::pg(15))
    }

    pub(crate) fn firing() -> Case {
        Case::new().object("/pg/bin/postgres", &server("libgone.so.9")).object("x.so", &module())
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("/pg/bin/postgres", &server("libc.so.6")).object("x.so", &module())
    }

    #[test]
    fn a_server_outside_of_the_tree_that_lacks_a_library_is_a_warning_in_the_loaders_words() {
        let finding = firing().one(&SERVER_DOES_NOT_START);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(
            finding.texts("the loader"),
            [
                "/pg/bin/postgres: error while loading shared libraries: libgone.so.9: cannot open shared object file: No \
                 such file or directory"
            ]
        );
    }

    #[test]
    fn a_script_in_the_place_of_the_server_ends_no_audit() {
        let script =
            Case::new().file("/pg/bin/postgres", "#!/bin/sh\nexec /else/postgres").object("x.so", &module());
        let finding = script.one(&SERVER_DOES_NOT_START);
        assert_eq!(
            (finding.severity, &*finding.path),
            (Severity::Warning, std::path::Path::new("/pg/bin/postgres"))
        );
        assert!(finding.message.contains("neither a program nor a profile"), "{}", finding.message);
    }

    #[test]
    fn one_in_the_tree_is_a_missing_dependency() {
        assert!(firing().roots(&["/pg"]).run(&SERVER_DOES_NOT_START).is_empty());
    }
}
