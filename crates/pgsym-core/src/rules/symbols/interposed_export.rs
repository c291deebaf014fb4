use std::collections::BTreeSet;

use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::collide::{Capture, Cause, MemberId};
use crate::rules::meeting::{home, keep_private, who, with_symbols};

declare_rule! {
    /// Two modules define the same symbol, and the one that is loaded first serves both.
    ///
    /// ## What it checks
    ///
    /// References that a relocation makes, and that bind to one file when their module is alone with the server: whether a
    /// file that another module brings has a definition that they would take as well. Definitions that are hidden,
    /// protected, or bound by DT_SYMBOLIC are nobody else's business; nor are inline functions of C++, of which one
    /// definition is meant to serve all. Versioned references that an unversioned definition takes are
    /// unversioned-capture's. On macOS only imports are looked at that name no library (`-undefined dynamic_lookup`) or
    /// that are coalesced with other images' weak definitions.
    ///
    /// ## Why it matters
    ///
    /// The server opens modules with RTLD_GLOBAL: what the first one exports, the second one's calls go to, although it has
    /// a function of that name of its own. It crashes, or it silently works on the other module's variables, in
    /// sessions that happen to load the two in the wrong order.
    ///
    /// ## When it fires
    ///
    /// ogr_fdw and pointcloud both carry a `stringbuffer_append`; PostgreSQL 15 modules export every function that is
    /// not static.
    ///
    /// ## How to fix
    ///
    /// Compile with `-fvisibility=hidden` (the default of PGXS since 16), link static libraries with
    /// `-Wl,--exclude-libs,ALL`, or list the entry points in a version script; prefix what must stay visible.
    ///
    /// ## What it cannot see
    ///
    /// Whether the two definitions do the same, and which modules ever meet in one session.
    ///
    /// ## References
    ///
    /// glibc elf/dl-lookup.c `do_lookup_x`, elf/dl-open.c `add_to_global_update`.
    pub(crate) static INTERPOSED_EXPORT = {
        code: "PGS215",
        name: "interposed-export",
        group: Symbols,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let Some(collisions) = tree.collisions() else { return };
    let is_in_tree = |id: MemberId| collisions.universe.get(id).file.is_some();
    let mut done: BTreeSet<(MemberId, MemberId)> = BTreeSet::new();
    for capture in collisions
        .captures
        .iter()
        .filter(|capture| capture.cause == Cause::Module && !capture.is_unversioned())
    {
        // The same pair of definers, seen from its other side or by another user, is the same finding.
        let pair = (capture.meant.min(capture.captor), capture.meant.max(capture.captor));
        if !done.insert(pair) {
            continue;
        }
        let between: Vec<&Capture> = collisions
            .captures
            .iter()
            .filter(|other| other.cause == Cause::Module)
            .filter(|other| (other.meant.min(other.captor), other.meant.max(other.captor)) == pair)
            .collect();
        let symbols: BTreeSet<_> =
            between.iter().flat_map(|capture| &capture.symbols).map(|symbol| &symbol.name).collect();
        let (meant, captor) = (who(tree, collisions, capture.meant), who(tree, collisions, capture.captor));
        // Between two libraries of the system a packager of modules can do nothing.
        let severity = if is_in_tree(capture.meant) || is_in_tree(capture.captor) {
            Severity::Warning
        } else {
            Severity::Info
        };
        let first = symbols.first().map(ToString::to_string).unwrap_or_default();
        let names = match symbols.len() {
            1 => format!("{first} is"),
            2 => format!("{first} and 1 more symbol are"),
            count => format!("{first} and {} more symbols are", count - 1),
        };
        let finding = sink
            .finding(
                home(tree, collisions.universe.get(capture.meant)),
                format!("{first} {captor}"),
                format!("{names} defined by {meant} and by {captor}: whichever is loaded first serves the users of both."),
            )
            .severity(severity);
        let finding = with_symbols(finding, capture);
        let finding = between.iter().fold(finding, |finding, capture| {
            finding.evidence(
                "used by",
                format!(
                    "{}, which means {}",
                    who(tree, collisions, capture.victim),
                    who(tree, collisions, capture.meant)
                ),
            )
        });
        let help = if severity == Severity::Info { "" } else { keep_private(collisions, capture) };
        sink.report(finding.help(help));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::{ExportForm, From};

    use super::*;
    use crate::rules::testing::bundle;
    use crate::rules::testing::{Case, library, module};

    pub(crate) fn firing() -> Case {
        Case::new()
            .object("a.so", &module().export("helper"))
            .object("b.so", &module().needed("libb.so.1").import("helper"))
            .object("/lib/x86_64-linux-gnu/libb.so.1", &library("libb.so.1").export("helper"))
    }

    pub(crate) fn silent() -> Case {
        // Both define it, and nobody refers to it.
        Case::new().object("a.so", &module().export("helper")).object("b.so", &module().export("helper"))
    }

    #[test]
    fn the_pair_and_its_user_are_named() {
        let finding = firing().one(&INTERPOSED_EXPORT);
        assert_eq!(
            finding.message,
            "helper is defined by libb.so.1 (brought by b.so) and by a.so: whichever is loaded first serves the users \
             of both."
        );
        assert_eq!(finding.texts("used by"), ["b.so, which means libb.so.1 (brought by b.so)"]);
    }

    #[test]
    fn two_libraries_of_the_system_are_only_noted() {
        let case = Case::new()
            .object("a.so", &module().needed("liba.so.1").import("other"))
            .object("b.so", &module().needed("libb.so.1").import("helper"))
            .object("/lib/x86_64-linux-gnu/liba.so.1", &library("liba.so.1").export("helper").export("other"))
            .object("/lib/x86_64-linux-gnu/libb.so.1", &library("libb.so.1").export("helper"));
        assert_eq!(case.one(&INTERPOSED_EXPORT).severity, Severity::Info);
    }

    #[test]
    fn on_macos_only_lookups_in_every_image_can_be_taken() {
        let both = |from| {
            let a = bundle().export("shared").import("shared", from);
            Case::mac().image("a.so", &a).image("b.so", &bundle().export("shared"))
        };
        let finding = both(From::Flat).one(&INTERPOSED_EXPORT);
        assert!(finding.message.starts_with("shared is defined by a.so and by b.so"), "{}", finding.message);
        assert!(finding.help.contains("-bundle_loader"), "{}", finding.help);
        assert!(both(From::SelfImage).run(&INTERPOSED_EXPORT).is_empty());
    }

    #[test]
    fn weak_definitions_are_coalesced_and_those_of_cpp_are_meant_to_be() {
        let both = |name: &str| {
            let image = bundle().export_as(name, ExportForm::Weak).import(name, From::Weak);
            Case::mac().image("a.so", &image).image("b.so", &image).run(&INTERPOSED_EXPORT)
        };
        assert_eq!(both("shared").len(), 1);
        assert_eq!(both("_ZN1x4sizeEv").len(), 0);
    }
}
