//! Files that stand where the server would take them for modules, whatever they are.

use std::collections::HashSet;
use std::path::Path;

use crate::check::{Finding, ModuleCx, Sink};
use crate::model::ObjectKind;
use crate::postgres::Verdict;
use crate::tree::Tree;

/// Where modules lie: `$libdir`, and every directory with a module in it.
pub(super) fn module_directories(tree: &Tree) -> HashSet<&Path> {
    let of_modules = tree.modules().filter_map(|file| file.path.parent());
    of_modules.chain(tree.server().map(|server| &*server.installation.pkglibdir)).collect()
}

/// Whether a file stands where the server would take it for a module: by its name, and because it was asked about or has
/// modules beside it.
pub(super) fn is_in_place_of_module(cx: &ModuleCx<'_>, module_directories: &HashSet<&Path>) -> bool {
    cx.path().extension().is_some_and(|extension| extension == "so")
        && (cx.file().is_named
            || cx.path().parent().is_some_and(|directory| module_directories.contains(directory)))
}

/// An object file or a program where a module should be: the server refuses it in the loader's words.
pub(super) fn no_shared_object(cx: &ModuleCx<'_>, sink: &Sink<'_>) -> Option<Finding> {
    let kind = match cx.module()?.kind {
        _ if cx.module()?.is_debug_file() => "the debug information of another one, split from it",
        ObjectKind::Relocatable => "an object file, which is not linked yet",
        ObjectKind::Executable | ObjectKind::PositionIndependentExecutable => "a program",
        ObjectKind::Core => "a memory image of a crashed program",
        ObjectKind::SharedObject | ObjectKind::Other(_) => return None,
    };
    cx.elf()?;
    let consequence = "the server does not load it as a module";
    let message = format!("The file has a module's name and is {kind}: {consequence}.");
    let finding = sink
        .finding(cx.path(), "e_type", message)
        .help("install the module itself, linked with -shared, and keep other files out of its directory");
    let Some(process) = cx.tree().process() else { return Some(finding) };
    match crate::postgres::load(process, cx.path(), None).0 {
        Verdict::Fails(said) => {
            Some(said.to_string().lines().fold(finding, |finding, line| finding.evidence("the server", line)))
        }
        // What is left of the headers may lead the loader to anything.
        Verdict::Crashes(_) | Verdict::Unknown(_) if cx.module()?.is_debug_file() => Some(finding),
        // musl's loader takes programs that are position-independent.
        Verdict::Loads | Verdict::Crashes(_) | Verdict::Unknown(_) => None,
    }
}
