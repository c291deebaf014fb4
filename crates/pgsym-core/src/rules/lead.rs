//! The commands that lead a file to a library of the tree: a link where the library has another name, an element of the search
//! path where its directory is not searched, or not before another.

use std::path::{Path, PathBuf};

use super::command::{file_word, origin_path, path_word, search_path_of, set_search_path};
use crate::name::Name;
use crate::tree::{Tree, TreeFile};

/// Where an element of a search path has to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Behind what is searched already.
    Last,
    /// Before it, because another file of the name is found there.
    First,
}

/// The directory of a file, every link resolved.
pub(crate) fn directory_of(tree: &Tree, path: &Path) -> Option<PathBuf> {
    tree.store().fs().canonicalize(path.parent()?).ok()
}

/// The path of a library by a name: its own, or that of the link beside it which has the name and leads to it.
pub(crate) fn named(tree: &Tree, library: &TreeFile, name: &Name) -> Option<PathBuf> {
    if is_called(library, name) {
        return Some(library.path.clone());
    }
    let fs = tree.store().fs();
    let link = library.path.with_file_name(name.as_path());
    let target = fs.canonicalize(&link).ok()?;
    (target == fs.canonicalize(&library.path).ok()?).then_some(link)
}

/// The commands after which a file finds a library of the tree by a name; none where nothing is to be done.
pub(crate) fn lead_to(
    tree: &Tree,
    requester: &TreeFile,
    name: &Name,
    library: &TreeFile,
    element: Option<Place>,
) -> Option<String> {
    let mut commands = Vec::new();
    if named(tree, library, name).is_none() {
        let link = library.path.with_file_name(name.as_path());
        // What is there leads elsewhere: nowhere, or to a file that is no good.
        let force = if tree.store().fs().symlink_metadata(&link).is_ok() { "f" } else { "" };
        commands.push(format!("ln -s{force} {} {}", file_word(&library.path), path_word(&link)));
    }
    if let Some(place) = element {
        let (from, to) = (directory_of(tree, &requester.path)?, directory_of(tree, &library.path)?);
        let element = origin_path(&from, &to)?;
        let module = requester.module.as_ref().ok()?;
        let mut elements = search_path_of(module);
        match place {
            Place::Last if elements.contains(&element) => {}
            Place::Last => elements.push(element),
            Place::First => {
                elements.retain(|known| *known != element);
                elements.insert(0, element);
            }
        }
        commands.push(set_search_path(module, &elements, &path_word(&requester.path)));
    }
    (!commands.is_empty()).then(|| commands.join(" && "))
}

pub(crate) fn is_called(file: &TreeFile, name: &Name) -> bool {
    file.path.file_name().is_some_and(|last| last == name.as_path())
}
