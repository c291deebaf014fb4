use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::check::{Finding, Severity, Sink, TreeCx, declare_rule};
use crate::collide::{Capture, Cause, Collisions, MemberId, Versions};
use crate::name::Name;
use crate::rules::evidence::{base_name, count, listed};
use crate::rules::meeting::{home, is_of_tree, keep_private, who, with_symbols};
use crate::tree::Tree;

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
    /// not static. Definers that all have the same names are one finding. Versions of one module side by side
    /// (`timescaledb-2.11.0.so`, `timescaledb-2.12.0.so`) are alternatives, of which a session loads one: what they have in
    /// common is good to know, since a session that goes on after `ALTER EXTENSION … UPDATE` has two of them.
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
    for meeting in meetings(collisions) {
        let finding = tell(tree, collisions, &meeting, sink);
        sink.report(finding);
    }
    for versions in collisions.universe.versions().iter().filter(|versions| !versions.shared.is_empty()) {
        let finding = tell_versions(collisions, versions, sink);
        sink.report(finding);
    }
}

/// A definer, or all the versions of one: their meetings with somebody else have one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Definer {
    /// It, or the first of the versions.
    first: MemberId,
    /// By index into the universe's versions.
    versions: Option<usize>,
}

impl Definer {
    fn of(collisions: &Collisions, id: MemberId) -> Self {
        let versions = collisions.universe.get(id).versions;
        let first = versions.and_then(|at| collisions.universe.versions().get(at)?.members.first());
        Self { first: first.copied().unwrap_or(id), versions }
    }

    fn name(self, tree: &Tree, collisions: &Collisions) -> String {
        match self.versions.and_then(|at| collisions.universe.versions().get(at)) {
            Some(versions) => format!("{} versions of {}", versions.members.len(), versions.stem),
            None => who(tree, collisions, self.first),
        }
    }
}

/// Definers that all define the same names.
struct Meeting<'c> {
    definers: BTreeSet<Definer>,
    captures: Vec<&'c Capture>,
}

/// The captures, each cause once: those of a pair of definers together, from whichever side and by whichever user, and
/// pairs that meet in exactly the same names together where they have a definer in common.
fn meetings(collisions: &Collisions) -> Vec<Meeting<'_>> {
    let mut pairs: BTreeMap<(Definer, Definer), Vec<&Capture>> = BTreeMap::new();
    let is_ours = |capture: &&Capture| capture.cause == Cause::Module && !capture.is_unversioned();
    for capture in collisions.captures.iter().filter(is_ours) {
        let (one, other) = (Definer::of(collisions, capture.meant), Definer::of(collisions, capture.captor));
        pairs.entry((one.min(other), one.max(other))).or_default().push(capture);
    }
    let mut by_names: BTreeMap<BTreeSet<&Name>, Vec<Meeting<'_>>> = BTreeMap::new();
    for ((one, other), captures) in pairs {
        let names = captures.iter().flat_map(|capture| &capture.symbols).map(|symbol| &symbol.name).collect();
        let known = by_names.entry(names).or_default();
        let mut meeting = Meeting { definers: BTreeSet::from([one, other]), captures };
        // Whoever has one of the two takes this pair in, which may be what two earlier ones have in common.
        while let Some(at) = known.iter().position(|known| !known.definers.is_disjoint(&meeting.definers)) {
            let mut joined = known.swap_remove(at);
            joined.definers.append(&mut meeting.definers);
            joined.captures.append(&mut meeting.captures);
            meeting = joined;
        }
        known.push(meeting);
    }
    by_names.into_values().flatten().collect()
}

fn tell(tree: &Tree, collisions: &Collisions, meeting: &Meeting<'_>, sink: &Sink<'_>) -> Finding {
    let symbols: BTreeSet<&Name> =
        meeting.captures.iter().flat_map(|capture| &capture.symbols).map(|symbol| &symbol.name).collect();
    let first = symbols.first().map(ToString::to_string).unwrap_or_default();
    // The tree's own first: there it can be mended.
    let is_in_tree = |definer: &Definer| is_of_tree(tree, collisions.universe.get(definer.first));
    let mut definers: Vec<Definer> = meeting.definers.iter().copied().collect();
    definers.sort_by_key(|definer| !is_in_tree(definer));
    let home_of =
        definers.first().map_or(Path::new(""), |definer| home(tree, collisions.universe.get(definer.first)));
    let definers: Vec<String> = definers.iter().map(|definer| definer.name(tree, collisions)).collect();
    let (whose, all) = match definers.as_slice() {
        [one, other] => (format!("{one} and by {other}"), "both"),
        several => (listed(several), "all"),
    };
    // Between libraries of the system a packager of modules can do nothing.
    let severity = if meeting.definers.iter().any(is_in_tree) { Severity::Warning } else { Severity::Info };
    let finding = sink
        .finding(
            home_of,
            format!("{first} {}", definers.iter().skip(1).cloned().collect::<Vec<_>>().join(", ")),
            format!(
                "{} defined by {whose}: whichever is loaded first serves the users of {all}.",
                names(&first, symbols.len())
            ),
        )
        .severity(severity);
    let finding = with_symbols(finding, &meeting.captures);
    let users: BTreeSet<(Definer, Option<Definer>)> = meeting
        .captures
        .iter()
        .map(|capture| {
            let (user, meant) =
                (Definer::of(collisions, capture.victim), Definer::of(collisions, capture.meant));
            (user, (user != meant).then_some(meant))
        })
        .collect();
    let finding = users.into_iter().fold(finding, |finding, (user, meant)| {
        let means = meant.map_or_else(|| "its own".to_owned(), |meant| meant.name(tree, collisions));
        finding.evidence("used by", format!("{}, which means {means}", user.name(tree, collisions)))
    });
    let advice = meeting.captures.first().filter(|_| severity != Severity::Info);
    finding.help(advice.map_or("", |capture| keep_private(collisions, capture)))
}

/// `soundex is`, `a and 2 more symbols are`.
fn names(first: &str, number: usize) -> String {
    match number {
        1 => format!("{first} is"),
        2 => format!("{first} and 1 more symbol are"),
        _ => format!("{first} and {} are", count(number - 1, "more symbol")),
    }
}

/// Versions of one module, which are not meant to meet.
fn tell_versions(collisions: &Collisions, versions: &Versions, sink: &Sink<'_>) -> Finding {
    let path = |id: &MemberId| &*collisions.universe.get(*id).path;
    let first = versions.shared.first().map(ToString::to_string).unwrap_or_default();
    let home = versions.members.first().map_or(Path::new(""), path);
    sink.finding(
        home,
        format!("versions of {}", versions.stem),
        format!(
            "{} defined by {} versions of {}, which are alternatives: only a session that goes on after ALTER \
             EXTENSION UPDATE has two of them.",
            names(&first, versions.shared.len()),
            versions.members.len(),
            versions.stem
        ),
    )
    .severity(Severity::Info)
    .evidence("versions", listed(versions.members.iter().map(|id| base_name(path(id)))))
    .evidence("symbols", listed(&versions.shared))
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::{ExportForm, From, Import, SharedObject};

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
            "helper is defined by a.so and by libb.so.1 (brought by b.so): whichever is loaded first serves the users \
             of both."
        );
        assert_eq!(finding.texts("used by"), ["b.so, which means libb.so.1 (brought by b.so)"]);
    }

    /// Modules by these names, each with a library of its own that defines the names and that it uses.
    fn modules(stems: &[(&str, &[&str])]) -> Case {
        stems.iter().fold(Case::new(), |case, (stem, names)| {
            let soname = format!("lib{stem}.so.1");
            let own = names.iter().fold(library(&soname), |own, name| own.export(*name));
            let user = names.iter().fold(module().needed(&*soname), |user, name| user.import(*name));
            case.object(&format!("{stem}.so"), &user).object(&format!("/lib/x86_64-linux-gnu/{soname}"), &own)
        })
    }

    #[test]
    fn several_that_define_the_same_names_are_one_finding() {
        let finding =
            modules(&[("q", &["f", "g"]), ("r", &["f", "g"]), ("s", &["f", "g"])]).one(&INTERPOSED_EXPORT);
        assert_eq!(
            finding.message,
            "f and 1 more symbol are defined by libq.so.1 (brought by q.so), libr.so.1 (brought by r.so), libs.so.1 \
             (brought by s.so): whichever is loaded first serves the users of all."
        );
        assert_eq!(finding.texts("used by").len(), 3);
    }

    #[test]
    fn other_names_are_another_finding() {
        let case = modules(&[("q", &["f", "g"]), ("r", &["f", "g"]), ("s", &["g"])]);
        let messages: Vec<String> =
            case.run(&INTERPOSED_EXPORT).into_iter().map(|finding| finding.message).collect();
        assert_eq!(messages.len(), 2, "{messages:#?}");
    }

    #[test]
    fn versions_of_one_module_are_alternatives() {
        let of = || module().export("helper").add_import(Import::function("helper"));
        let case = Case::new().object("x-1.0.so", &of()).object("x-1.1.so", &of()).object("x-1.2.so", &of());
        let finding = case.one(&INTERPOSED_EXPORT);
        assert_eq!(finding.severity, Severity::Info);
        assert_eq!(finding.texts("versions"), ["x-1.0.so, x-1.1.so, x-1.2.so"]);
    }

    #[test]
    fn versions_meet_another_module_once() {
        let of = || module().export("helper").add_import(Import::function("helper"));
        let case = Case::new().object("x-1.0.so", &of()).object("x-1.1.so", &of()).object("y.so", &of());
        let warnings: Vec<Finding> = case
            .run(&INTERPOSED_EXPORT)
            .into_iter()
            .filter(|finding| finding.severity == Severity::Warning)
            .collect();
        let messages: Vec<&str> = warnings.iter().map(|finding| &*finding.message).collect();
        assert_eq!(
            messages,
            [
                "helper is defined by 2 versions of x and by y.so: whichever is loaded first serves the users of both."
            ]
        );
    }

    #[test]
    fn two_files_of_one_name_are_never_both_loaded() {
        let of_soname = |soname: &str| crate::rules::testing::library(soname).export("q");
        let library = || of_soname("libq.so");
        let without_soname = || SharedObject::new().needed("libc.so.6").export("q");
        let renamed = || of_soname("libq-b.so");
        for of in [&library as &dyn Fn() -> SharedObject, &without_soname, &renamed] {
            let case = Case::new()
                .object("a.so", &module().needed("libq.so").runpath("$ORIGIN/a").import("q"))
                .object("b.so", &module().needed("libq.so").runpath("$ORIGIN/b").import("q"))
                .object("a/libq.so", &library())
                .object("b/libq.so", &of());
            assert_eq!(case.run(&INTERPOSED_EXPORT), []);
        }
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
