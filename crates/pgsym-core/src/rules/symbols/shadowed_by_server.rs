use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::collide::{Cause, Judgement};
use crate::rules::meeting::{home, keep_private, who, with_symbols};

declare_rule! {
    /// The server defines a symbol that the module defines too, and the server's definition is taken.
    ///
    /// ## What it checks
    ///
    /// References of the module, and of libraries that it brings, to names that they or a library which they name define,
    /// and that the server's binary, one of its libraries, or what it preloads defines as well.
    ///
    /// ## Why it matters
    ///
    /// The server comes first in the global scope, whatever the order of modules. A function that was copied from
    /// PostgreSQL's sources and changed is never called; the unchanged one is. A variable of the same name is the
    /// server's variable.
    ///
    /// ## When it fires
    ///
    /// A module carries a changed copy of tuplesort.c: its calls of `tuplesort_performsort` reach the server's. What a
    /// library means for itself or for another library is its distribution's choice, and only good to know.
    ///
    /// ## How to fix
    ///
    /// Make the copies static or hidden (`-fvisibility=hidden`), or rename them.
    ///
    /// ## What it cannot see
    ///
    /// Whether the two definitions do the same, as those of libpq and the server often do.
    ///
    /// ## References
    ///
    /// glibc elf/dl-lookup.c: the program is the first object of the global scope.
    pub(crate) static SHADOWED_BY_SERVER = {
        code: "PGS216",
        name: "shadowed-by-server",
        group: Symbols,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let Some(collisions) = tree.collisions() else { return };
    for capture in collisions.captures.iter().filter(|capture| capture.cause == Cause::Server) {
        let victim = collisions.universe.get(capture.victim);
        let captor = who(tree, collisions, capture.captor);
        let (name, whose) = (who(tree, collisions, capture.victim), who(tree, collisions, capture.meant));
        let whose = if capture.victim == capture.meant { "itself".to_owned() } else { whose };
        let is_own = capture.judgement(&collisions.universe) == Judgement::Harmful;
        let severity = if is_own { Severity::Warning } else { Severity::Info };
        let count = capture.symbols.len();
        let first = capture.symbols.first().map(|symbol| symbol.name.to_string()).unwrap_or_default();
        let names = if count == 1 { first.clone() } else { format!("{first} and {} more", count - 1) };
        let why = if collisions.universe.get(capture.captor).is_preloaded {
            "what is preloaded comes before every other module"
        } else {
            "the server is first"
        };
        let finding = sink
            .finding(
                home(tree, victim),
                format!("{first} {name}"),
                format!(
                    "{name} means {whose} with {names}, and {captor} takes it: {why} in the global scope."
                ),
            )
            .severity(severity);
        let help = if is_own { keep_private(collisions, capture) } else { "" };
        sink.report(with_symbols(finding, &[capture]).help(help));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::{Kind, Magic, SharedObject};

    use pgsym_testkit::From;

    use super::*;
    use crate::report::CollisionReport;
    use crate::rules::testing::bundle;
    use crate::rules::testing::{Case, library, module};

    fn with(server_exports: &str) -> Case {
        let server = SharedObject::new()
            .kind(Kind::PieExecutable)
            .interp("/lib64/ld-linux-x86-64.so.2")
            .needed("libc.so.6")
            .export(server_exports)
            .server("15.8", &Magic::pg(15));
        Case::new()
            .object("/pg/bin/postgres", &server)
            .object("x.so", &module().needed("libx.so.1").import("copied"))
            .object("/lib/x86_64-linux-gnu/libx.so.1", &library("libx.so.1").export("copied"))
    }

    pub(crate) fn firing() -> Case {
        with("copied")
    }

    pub(crate) fn silent() -> Case {
        with("other")
    }

    #[test]
    fn what_a_library_meant_for_itself_is_only_noted() {
        let finding = firing().one(&SHADOWED_BY_SERVER);
        assert_eq!(finding.severity, Severity::Info);
        assert_eq!(
            finding.message,
            "x.so means libx.so.1 (brought by x.so) with copied, and postgres takes it: the server is first in the global \
             scope."
        );
    }

    #[test]
    fn on_macos_the_server_takes_only_lookups_in_every_image() {
        let own =
            |from| Case::mac().image("a.so", &bundle().export("hash_create").import("hash_create", from));
        let finding = own(From::Flat).one(&SHADOWED_BY_SERVER);
        assert!(finding.message.contains("postgres takes it"), "{}", finding.message);
        assert!(own(From::SelfImage).run(&SHADOWED_BY_SERVER).is_empty());
    }

    #[test]
    fn the_command_and_the_audit_have_one_verdict() {
        let harm = |case: &Case| CollisionReport::new(&case.tree()).has_harm();
        assert!(!harm(&firing()));
        let own = with("hash_create").object("a.so", &module().export("hash_create").import("hash_create"));
        assert_eq!(own.one(&SHADOWED_BY_SERVER).severity, Severity::Warning);
        assert!(harm(&own));
    }

    #[test]
    fn what_only_preloading_brings_is_not_called_the_server() {
        let case = with("other")
            .object("first.so", &module().export("copied"))
            .settings(|settings| settings.preload = vec!["first".to_owned()]);
        let finding = case.one(&SHADOWED_BY_SERVER);
        assert!(
            finding.message.ends_with(
                "first.so takes it: what is preloaded comes before every other module in the global scope."
            ),
            "{}",
            finding.message
        );
        assert_eq!(CollisionReport::new(&case.tree()).symbols[0].cause, "preload");
    }
}
