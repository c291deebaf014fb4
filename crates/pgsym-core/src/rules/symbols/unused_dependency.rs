use std::collections::{BTreeMap, BTreeSet};

use super::{is_of_c_library, loaded};
use crate::check::{ModuleCx, Sink, declare_rule};
use crate::model::{DependencyKind, NameHash};
use crate::postgres::{SymbolClass, classify};
use crate::resolve::{Object, ObjectId};
use crate::rules::command::{file_word, word};
use crate::rules::evidence::{listed, needed_entry};
use crate::tree::Role;

declare_rule! {
    /// A file needs a library of which it uses nothing.
    ///
    /// ## What it checks
    ///
    /// DT_NEEDED entries of the tree's modules and libraries whose library defines neither any of the symbols that the file
    /// imports nor an entry point of PostgreSQL, and brings no other library that only it brings and that defines one.
    ///
    /// ## Why it matters
    ///
    /// The library is opened all the same, in each backend, with everything that it needs; a package dependency
    /// follows from it. Nothing fails.
    ///
    /// ## When it fires
    ///
    /// `pkg-config --libs` or `pg_config --libs` names more libraries than the module calls.
    ///
    /// ## How to fix
    ///
    /// Link with `-Wl,--as-needed` before the libraries; on a finished file `patchelf --remove-needed NAME x.so`.
    ///
    /// ## What it cannot see
    ///
    /// Libraries that are needed for what they do when they are opened, and symbols that the code looks up by `dlsym`.
    ///
    /// ## References
    ///
    /// GNU ld manual, `--as-needed`; dpkg-shlibdeps(1), "useless dependency".
    pub(crate) static UNUSED_DEPENDENCY = {
        code: "PGS204",
        name: "unused-dependency",
        group: Symbols,
        severity: Info,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    if !matches!(cx.role(), Role::Module | Role::Library) {
        return;
    }
    let Some((process, _, object)) = loaded(cx) else { return };
    if object.module().symbols.get().is_none() {
        return;
    }
    let definitions = cx.bindings().iter().filter_map(|binding| binding.definition);
    let providers: BTreeSet<ObjectId> = definitions.map(|definition| definition.object).collect();
    let direct: Vec<ObjectId> = object.edges().iter().filter_map(|edge| edge.target.clone().ok()).collect();
    // What each of them brings, and how many of them bring an object.
    let reach: BTreeMap<ObjectId, Vec<ObjectId>> =
        direct.iter().map(|&target| (target, process.closure(target))).collect();
    let mut bringers: BTreeMap<ObjectId, usize> = BTreeMap::new();
    for &id in reach.values().flatten() {
        *bringers.entry(id).or_default() += 1;
    }
    let mut unused = Vec::new();
    for edge in object.edges().iter().filter(|edge| edge.kind == DependencyKind::Needed) {
        let Ok(target) = edge.target else { continue };
        let Some(library) = process.object(target).filter(|library| library.module().symbols.get().is_some())
        else {
            continue;
        };
        let is_base = is_of_c_library(edge.name.as_bytes());
        if is_base || providers.contains(&target) || defines_import(object, library) || serves_sql(library) {
            continue;
        }
        let brought = &reach[&target];
        let brings = brought.iter().any(|id| providers.contains(id) && bringers[id] == 1);
        let of_server =
            |id: &ObjectId| cx.tree().process().is_some_and(|server| server.object(*id).is_some());
        if !brings || brought.iter().all(of_server) {
            unused.extend(object.module().needed().get(edge.dependency));
        }
    }
    let Some(first) = unused.first() else { return };
    let message = if unused.len() == 1 {
        format!("{} is opened with the file, which uses nothing of it.", needed_entry(first))
    } else {
        format!("{} libraries are opened with the file, which uses nothing of them.", unused.len())
    };
    let mut finding = sink.finding(cx.path(), &first.name, message);
    if unused.len() > 1 {
        finding = finding.evidence("unused", listed(unused.iter().map(|dependency| &dependency.name)));
    }
    let flags: Vec<String> = unused
        .iter()
        .map(|dependency| format!("--remove-needed {}", word(dependency.name.as_bytes())))
        .collect();
    sink.report(finding.help(format!(
        "link with -Wl,--as-needed, or: patchelf {} {}",
        flags.join(" "),
        file_word(cx.path())
    )));
}

/// Whether a library defines something that the file imports, though an earlier object may have been bound to.
fn defines_import(object: &Object, library: &Object) -> bool {
    let (Some(symbols), Some(exports)) = (object.module().symbols.get(), library.module().symbols.get())
    else {
        return true;
    };
    symbols
        .imports()
        .any(|symbol| exports.lookup(symbol.name(), NameHash::of(symbol.name())).next().is_some())
}

/// Whether the server finds something in a library by `dlsym` on the module's handle.
fn serves_sql(library: &Object) -> bool {
    library.module().symbols.get().is_some_and(|symbols| {
        symbols.exports().any(|symbol| classify(symbol.name(), || false) != SymbolClass::Other)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, library, module};

    fn case(imports: &str) -> Case {
        Case::new()
            .object(
                "x.so",
                &module().needed("libfoo.so.1").needed("libbar.so.1").import(imports).import("bar"),
            )
            .object("/usr/lib/libfoo.so.1", &library("libfoo.so.1").export("foo"))
            .object("/usr/lib/libbar.so.1", &library("libbar.so.1").export("bar"))
    }

    pub(crate) fn firing() -> Case {
        case("bar")
    }

    pub(crate) fn silent() -> Case {
        case("foo")
    }

    #[test]
    fn a_library_of_which_nothing_is_used_is_good_to_know() {
        let finding = firing().one(&UNUSED_DEPENDENCY);
        assert_eq!(
            finding.message,
            ".dynamic[1] DT_NEEDED libfoo.so.1 is opened with the file, which uses nothing of it."
        );
        assert_eq!(finding.help, "link with -Wl,--as-needed, or: patchelf --remove-needed libfoo.so.1 x.so");
    }

    #[test]
    fn a_library_that_brings_the_one_used_is_used() {
        let case = Case::new()
            .object("x.so", &module().needed("libumbrella.so.1").import("bar"))
            .object("/usr/lib/libumbrella.so.1", &library("libumbrella.so.1").needed("libbar.so.1"))
            .object("/usr/lib/libbar.so.1", &library("libbar.so.1").export("bar"));
        assert_eq!(case.run(&UNUSED_DEPENDENCY), []);
    }
}
