//! How rules word what they saw: entries, paths, searches, and the sentence that the server or the loader says. One
//! wording for all of them, every name from a file escaped.

use std::path::Path;

use crate::check::Finding;
use crate::model::Dependency;
use crate::name::{self, Shown, path_bytes, shown_path};
use crate::resolve::{Outcome, Probe, Process, Via};
use crate::tree::{Role, Tree, TreeFile};

pub(crate) use crate::name::count;

/// How many names a sentence or an evidence line lists before it counts the rest.
pub(crate) const LISTED: usize = 8;

/// The last component of a path.
pub(crate) fn base_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(|| shown_path(path).to_string(), |name| Shown(name.as_encoded_bytes()).to_string())
}

/// [`name::listed`] with as many names as an evidence line has.
pub(crate) fn listed(names: impl IntoIterator<Item = impl ToString>) -> String {
    name::listed(names, LISTED)
}

/// `.dynamic[7] DT_NEEDED libpq.so.5`.
pub(crate) fn needed_entry(dependency: &Dependency) -> String {
    format!(".dynamic[{}] {} {}", dependency.entry, dependency.kind.tag(), dependency.name)
}

/// One candidate of a search: the rule, the element, the path, what came of it.
pub(crate) fn probe_line(process: &Process, probe: &Probe) -> String {
    let rule = match probe.via {
        Via::Loaded => "already loaded".to_owned(),
        Via::Path => "path".to_owned(),
        Via::Rpath(owner) => match process.object(owner) {
            Some(owner) => format!("DT_RPATH of {}", base_name(owner.path())),
            None => "DT_RPATH".to_owned(),
        },
        Via::LibraryPath => "LD_LIBRARY_PATH".to_owned(),
        Via::Runpath => "DT_RUNPATH".to_owned(),
        Via::Cache => "ld.so.cache".to_owned(),
        Via::Default => "default".to_owned(),
        Via::Profile => "the server's profile".to_owned(),
    };
    match &probe.outcome {
        Outcome::NoEntry | Outcome::Skipped(_) => format!("{rule}: {}", probe.outcome),
        outcome => {
            let path = shown_path(&probe.path);
            match &probe.element {
                Some(element) if element.as_bytes() != directory_bytes(&probe.path) => {
                    let element = if element.is_empty() { "(empty)".to_owned() } else { element.to_string() };
                    format!("{rule} {element}: {path}: {outcome}")
                }
                _ => format!("{rule}: {path}: {outcome}"),
            }
        }
    }
}

fn directory_bytes(path: &Path) -> &[u8] {
    path.parent().map_or(&[][..], path_bytes)
}

/// What becomes of a file that the loader refuses.
pub(crate) fn consequence(file: &TreeFile) -> &'static str {
    match file.role {
        Role::Module => "the server cannot load the module",
        Role::Library => "whatever brings this library cannot be loaded",
        Role::Program => "the program does not start",
        Role::Other => "the file cannot be loaded",
    }
}

/// Adds what a person is told when the file is loaded, `message` being what `dlerror` says.
pub(crate) fn told(finding: Finding, tree: &Tree, file: &TreeFile, message: &str) -> Finding {
    let path = shown_path(&file.path);
    match file.role {
        // src/backend/utils/fmgr/dfmgr.c, internal_load_library.
        Role::Module if tree.server().is_some() => {
            finding.evidence("the server", format!("ERROR:  could not load library \"{path}\": {message}"))
        }
        Role::Program => {
            finding.evidence("the loader", format!("{path}: error while loading shared libraries: {message}"))
        }
        Role::Module | Role::Library | Role::Other => finding.evidence("the loader", message),
    }
}

/// The same where the message is the first one that loading the file ends with; of a second failure nobody is told.
pub(crate) fn told_if_first(finding: Finding, tree: &Tree, file: &TreeFile, message: &str) -> Finding {
    let first = file.load.as_ref().and_then(|load| load.failure.as_ref());
    if first.is_some_and(|first| first.message == message) {
        told(finding, tree, file, message)
    } else {
        finding
    }
}

/// The advice for a symbolic link that is absolute in a tree which is to be installed at `/`.
pub(crate) fn name_root(root: &std::path::Path) -> String {
    format!("name the tree as the root of its paths: --root {}", shown_path(root))
}
