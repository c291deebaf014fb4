use std::collections::HashSet;
use std::path::Path;

use crate::check::{Sink, TreeCx, declare_rule};
use crate::fs::FileId;
use crate::name::{Name, path_bytes, shown_path};
use crate::rules::command::{add_to_search_path, file_word, origin_path};
use crate::rules::evidence::{base_name, needed_entry, probe_line};
use crate::rules::reach::judged;
use crate::tree::{Tree, TreeFile};

declare_rule! {
    /// A dependency is satisfied only because something else loaded the library before.
    ///
    /// ## What it checks
    ///
    /// Every DT_NEEDED entry of the tree's own files that is answered by an object already in the process. If the
    /// search that the loader is spared would find nothing, and the object is none that the server itself always
    /// brings, the file works by luck.
    ///
    /// ## Why it matters
    ///
    /// Libraries load breadth first and are matched by name before any search, so a library without a search path of
    /// its own can live on what its module happened to load earlier. Drop that entry (a rebuild with `--as-needed` is
    /// enough), reorder the modules, or open the library from elsewhere, and it is not found any more.
    ///
    /// ## When it fires
    ///
    /// The module needs `liba.so.1` and `libb.so.1` and has a DT_RUNPATH for both; `liba.so.1` needs `libb.so.1` too and
    /// has no search path. DT_RUNPATH is not inherited: it is the module's own entry that saves `liba.so.1`.
    ///
    /// ## How to fix
    ///
    /// Give the requester its own search path: `patchelf --set-rpath '$ORIGIN' liba.so.1`, with the elements that it has
    /// already before it.
    ///
    /// ## What it cannot see
    ///
    /// Orders of loading other than the one modelled: the preloaded modules, then this one.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `_dl_map_object`, elf/dl-deps.c `_dl_map_object_deps`.
    pub(crate) static DEPENDENCY_BY_LUCK = {
        code: "PGS103",
        name: "dependency-by-luck",
        group: Loader,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let mut told: HashSet<(FileId, &Name)> = HashSet::new();
    for (_, load) in judged(tree) {
        for luck in &load.lucky {
            let Some(object) = load.process.object(luck.requester) else { continue };
            let Some(edge) = object.edges().get(luck.edge) else { continue };
            let target = edge.target.as_ref().ok().and_then(|&target| load.process.object(target));
            let (Some(file), Some(target)) = (tree.find(object.id()), target) else { continue };
            if !told.insert((object.id(), &edge.name)) {
                continue;
            }
            let loader = target.loader().and_then(|loader| load.process.object(loader));
            let by = loader.map_or_else(|| "the process".to_owned(), |loader| base_name(loader.path()));
            let entry = object.module().needed().get(edge.dependency).map(needed_entry).unwrap_or_default();
            let message = format!(
                "{entry} is satisfied only because {by} loaded {} before: a search on behalf of this file finds \
                 nothing.",
                shown_path(target.path())
            );
            let mut finding = sink.finding(&file.path, &edge.name, message);
            for probe in &luck.searched {
                finding = finding.evidence("searched", probe_line(&load.process, probe));
            }
            sink.report(finding.help(format!(
                "give this file a search path that leads to {}: {}",
                edge.name,
                add_to_search_path(
                    object.module(),
                    way_to(tree, file, target.path()),
                    &file_word(&file.path)
                )
            )));
        }
    }
}

/// The element that leads from a file to a library: by `$ORIGIN` where they have a directory in common.
fn way_to(tree: &Tree, file: &TreeFile, library: &Path) -> Vec<u8> {
    let directory_of = |path: &Path| tree.store().fs().canonicalize(path.parent()?).ok();
    let Some(to) = directory_of(library) else { return b"$ORIGIN".to_vec() };
    directory_of(&file.path)
        .and_then(|from| origin_path(&from, &to))
        .unwrap_or_else(|| path_bytes(&to).to_vec())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, Uses as _, library, module};

    pub(crate) fn firing() -> Case {
        Case::new()
            .object("x.so", &module().uses("libb.so.1").uses("liba.so.1").runpath("$ORIGIN/deps"))
            .object("deps/liba.so.1", &library("liba.so.1").uses("libb.so.1"))
            .object("deps/libb.so.1", &library("libb.so.1"))
    }

    pub(crate) fn silent() -> Case {
        firing().object("deps/liba.so.1", &library("liba.so.1").uses("libb.so.1").runpath("$ORIGIN"))
    }

    #[test]
    fn a_library_that_lives_on_its_modules_search_is_told() {
        let finding = firing().one(&DEPENDENCY_BY_LUCK);
        assert_eq!(finding.path.to_str(), Some("/pg/lib/deps/liba.so.1"));
        assert_eq!(
            finding.message,
            ".dynamic[1] DT_NEEDED libb.so.1 is satisfied only because x.so loaded /pg/lib/deps/libb.so.1 before: a \
             search on behalf of this file finds nothing."
        );
        assert_eq!(
            finding.help,
            "give this file a search path that leads to libb.so.1: patchelf --set-rpath '$ORIGIN' liba.so.1"
        );
    }

    #[test]
    fn what_the_server_itself_brings_is_no_luck() {
        let case = Case::new().object("x.so", &module());
        assert_eq!(case.run(&DEPENDENCY_BY_LUCK), []);
    }
}
