//! What each element of an object's DT_RPATH and DT_RUNPATH means on the disk: where it leads, whether that is
//! there, and who may write to it. The loader does not ask the last, a careful packager does; it is gathered
//! here because rules do no input or output.

use std::path::{Component, Path, PathBuf};

use super::environment::{Libc, LoaderEnv};
use super::store::FileStore;
use super::token::{Expanded, Tokens, expand};
use crate::fs::Metadata;
use crate::limits;
use crate::model::{Module, SearchPathKind};
use crate::name::{Name, path_bytes, path_from_bytes};

/// One element of a search path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchElement {
    /// Which tag holds it.
    pub kind: SearchPathKind,
    /// Index of the tag's entry in `.dynamic`.
    pub entry: u32,
    /// The element as it stands in the file.
    pub text: Name,
    /// Where it leads.
    pub meaning: Meaning,
}

/// Where an element of a search path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// Nowhere: the loader forgets it, being in a DT_RPATH beside a DT_RUNPATH, or holding a token without a value.
    Forgotten,
    /// It has no characters: the current directory.
    Empty,
    /// Below the current directory; the text with its tokens expanded.
    Relative(Name),
    /// A directory.
    Directory(SearchDirectory),
}

/// A directory that the loader searches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchDirectory {
    /// As the loader opens it: tokens expanded, `..` and symbolic links as they are.
    pub path: PathBuf,
    /// Every symbolic link and `..` resolved; for a directory that does not exist, `..` alone.
    pub resolved: PathBuf,
    /// Whether it exists and is a directory.
    pub exists: bool,
    /// It and the directories above it, as far as they exist, the nearest first, up to those that hold the file itself:
    /// who can replace the file needs no search path.
    pub ancestors: Vec<(PathBuf, Metadata)>,
}

/// The elements of a file's search paths in file order. `path` is where the server opens the file.
pub(crate) fn elements_of(
    module: &Module,
    path: &Path,
    env: &LoaderEnv,
    store: &FileStore,
) -> Vec<SearchElement> {
    let origin = env.absolute(path).and_then(|path| path.parent().map(Path::to_owned));
    // Symbolic links resolved, as those of the directories are.
    let own = store.fs().canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let tokens = Tokens {
        origin: origin.as_deref().map(path_bytes),
        lib: env.lib.as_bytes(),
        platform: env.platform.as_ref().map(Name::as_bytes),
    };
    let mut elements = Vec::new();
    for search_path in &module.search_paths {
        // Both loaders read DT_RUNPATH instead of DT_RPATH where there are both.
        let is_forgotten = search_path.kind == SearchPathKind::Rpath
            && module.search_path(SearchPathKind::Runpath).is_some();
        let raw = search_path.raw.as_bytes();
        if raw.is_empty() {
            continue;
        }
        for text in raw.split(|&byte| byte == b':').take(limits::SEARCH_PATH_ELEMENTS) {
            let meaning =
                if is_forgotten { Meaning::Forgotten } else { meaning(text, env.libc, tokens, &own, store) };
            let text = Name::from(text);
            elements.push(SearchElement { kind: search_path.kind, entry: search_path.entry, text, meaning });
        }
    }
    elements
}

fn meaning(text: &[u8], libc: Libc, tokens: Tokens<'_>, own: &Path, store: &FileStore) -> Meaning {
    if text.is_empty() {
        // musl's `path_open` skips them.
        return if libc == Libc::Musl { Meaning::Forgotten } else { Meaning::Empty };
    }
    match expand(text, tokens) {
        Expanded::Discarded => Meaning::Forgotten,
        Expanded::Text(text) if text.is_empty() => Meaning::Forgotten,
        Expanded::Text(text) if text.first() != Some(&b'/') => Meaning::Relative(Name::from(&*text)),
        Expanded::Text(text) => Meaning::Directory(directory(path_from_bytes(text.into_owned()), own, store)),
    }
}

fn directory(path: PathBuf, own: &Path, store: &FileStore) -> SearchDirectory {
    let fs = store.fs();
    let canonical = fs.canonicalize(&path).ok();
    let exists = canonical.is_some() && store.is_directory(&path);
    let resolved = canonical.unwrap_or_else(|| without_dots(&path));
    // From the root down, so that a long path below something missing costs one question.
    let mut ancestors: Vec<(PathBuf, Metadata)> = Vec::new();
    let mut above: Vec<&Path> = resolved.ancestors().collect();
    above.reverse();
    for ancestor in above {
        let Ok(metadata) = fs.metadata(ancestor) else { break };
        ancestors.push((ancestor.to_owned(), metadata));
    }
    ancestors.reverse();
    ancestors.truncate(ancestors.iter().take_while(|(ancestor, _)| !own.starts_with(ancestor)).count());
    SearchDirectory { path, resolved, exists, ancestors }
}

/// An absolute path with `.` and `..` taken out by their names alone.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::Normal(name) => plain.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}
