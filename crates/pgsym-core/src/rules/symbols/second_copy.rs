use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::collide::{Judgement, Relation};
use crate::name::shown_path;
use crate::rules::evidence::base_name;
use crate::rules::meeting::{home, who};

declare_rule! {
    /// Two files of one library come into the same process.
    ///
    /// ## What it checks
    ///
    /// The sonames of everything that the server and the modules bring, without their versions and hashes:
    /// `libssl.so.1.1`, `libssl.so.3` and `libssl-9ad06800.so.1.1` are one library. Of each pair: which names both define,
    /// with which version nodes, and whether any relocation really crosses from the users of one to the other. On macOS
    /// each import names its library, so two copies stay apart: a note says so.
    ///
    /// ## Why it matters
    ///
    /// All modules share one global scope. Where the version nodes do not keep two copies apart, half of the calls
    /// go to the one and half to the other, and structures that differ between them are read with the wrong layout.
    ///
    /// ## When it fires
    ///
    /// The server has loaded libssl.so.3; a module brings a build of OpenSSL 1.0 whose symbols carry no version.
    ///
    /// ## How to fix
    ///
    /// Link against the library that the server has. Where a private copy must be, hide it: link it statically with
    /// `-Wl,--exclude-libs,ALL`, or give its symbols a version node of their own.
    ///
    /// ## What it cannot see
    ///
    /// Objects that one copy made and another one is given, and state that both share: signal handlers, environment
    /// variables, exit handlers.
    ///
    /// ## References
    ///
    /// glibc elf/dl-lookup.c `check_match`.
    pub(crate) static SECOND_COPY = {
        code: "PGS210",
        name: "second-copy",
        group: Symbols,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let Some(collisions) = tree.collisions() else { return };
    for copies in &collisions.copies {
        let (first, second) = (collisions.universe.get(copies.first), collisions.universe.get(copies.second));
        let severity = match (copies.judgement, copies.relation) {
            (Judgement::Harmless, _) => Severity::Info,
            (Judgement::Harmful, Relation::Unversioned) => Severity::Error,
            _ => Severity::Warning,
        };
        let what = if severity == Severity::Info { "which stay apart" } else { "which are mixed" };
        let finding = sink
            .finding(
                home(tree, second),
                &copies.family,
                format!(
                    "{} and {} are two copies of {} in one process, {what}: {}.",
                    base_name(&first.path),
                    base_name(&second.path),
                    copies.family,
                    copies.reason()
                ),
            )
            .severity(severity)
            .evidence("first", format!("{} {}", shown_path(&first.path), who(tree, collisions, copies.first)))
            .evidence(
                "second",
                format!("{} {}", shown_path(&second.path), who(tree, collisions, copies.second)),
            )
            .evidence("both define", format!("{} names", copies.shared_names));
        let help = if severity != Severity::Info && first.module.macho().is_some() {
            format!("link against {}, with a two-level namespace", base_name(&first.path))
        } else if severity == Severity::Info {
            String::new()
        } else {
            format!(
                "link against {}, or hide the other copy: -Wl,--exclude-libs,ALL with a static one",
                base_name(&first.path)
            )
        };
        sink.report(finding.help(help));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::{From, MachImage, VersionDefault};

    use super::*;
    use crate::rules::testing::{CPU, Case, bundle, library, module};

    /// Two modules, each with its own release of libfoo.
    fn two(old: &pgsym_testkit::SharedObject, new: &pgsym_testkit::SharedObject) -> Case {
        Case::new()
            .object("a.so", &module().needed("libfoo.so.1").import("foo"))
            .object("b.so", &module().needed("libfoo.so.2").import("foo"))
            .object("/lib/x86_64-linux-gnu/libfoo.so.1", old)
            .object("/lib/x86_64-linux-gnu/libfoo.so.2", new)
    }

    pub(crate) fn firing() -> Case {
        let old = library("libfoo.so.1").export_versioned("foo", "FOO_1", VersionDefault::Default);
        let new = library("libfoo.so.2").export_versioned("foo", "FOO_2", VersionDefault::Default);
        Case::new()
            .object("a.so", &module().needed("libfoo.so.1").import_versioned("foo", "libfoo.so.1", "FOO_1"))
            .object("b.so", &module().needed("libfoo.so.2").import_versioned("foo", "libfoo.so.2", "FOO_2"))
            .object("/lib/x86_64-linux-gnu/libfoo.so.1", &old)
            .object("/lib/x86_64-linux-gnu/libfoo.so.2", &new)
    }

    pub(crate) fn silent() -> Case {
        Case::new()
            .object("a.so", &module().needed("libfoo.so.1").import("foo"))
            .object("b.so", &module().needed("libfoo.so.1").import("foo"))
            .object("/lib/x86_64-linux-gnu/libfoo.so.1", &library("libfoo.so.1").export("foo"))
    }

    #[test]
    fn different_version_nodes_are_harmless() {
        let finding = firing().one(&SECOND_COPY);
        assert_eq!(finding.severity, Severity::Info);
        assert!(finding.message.contains("which stay apart"), "{}", finding.message);
    }

    #[test]
    fn copies_without_versions_are_mixed_in_one_order_or_the_other() {
        let finding = two(&library("libfoo.so.1").export("foo"), &library("libfoo.so.2").export("foo"))
            .one(&SECOND_COPY);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.message.contains("which are mixed"), "{}", finding.message);
    }

    #[test]
    fn on_macos_two_copies_stay_apart_because_imports_name_their_library() {
        let user = |name: &str| bundle().library(name).import("foo", From::Library(2));
        let copy = |id: &str| MachImage::dylib(CPU, id).export("foo");
        let finding = Case::mac()
            .image("a.so", &user("@loader_path/a/libfoo.1.dylib"))
            .image("b.so", &user("@loader_path/b/libfoo.2.dylib"))
            .image("a/libfoo.1.dylib", &copy("@rpath/libfoo.1.dylib"))
            .image("b/libfoo.2.dylib", &copy("@rpath/libfoo.2.dylib"))
            .one(&SECOND_COPY);
        assert_eq!(finding.severity, Severity::Info);
        assert!(finding.message.contains("two-level namespace"), "{}", finding.message);
    }
}
