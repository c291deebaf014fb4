//! What changes for databases and programs when one build replaces another: two trees, compared by the facts that an
//! audit of each works on. Files are joined by their place, extensions by their name; a severity says what
//! happens to somebody who runs the old build:
//!
//! - an error: a database, a module or a command that works with the old build fails with the new one;
//! - a warning: that can happen, and depends on what the files do not tell;
//! - an info: it is good to know.
//!
//! A table that could not be read yields nothing of what it may hold, and stands among [`Diff::uncompared`].

mod catalog;
mod change;
mod exports;
mod extension;
mod file;
mod gone;
mod hardening;
mod magic;
mod module;
mod pair;
#[cfg(test)]
mod tests;
mod update;
mod versions;

pub use change::{Change, ChangeKind};

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use self::catalog::Older;
use self::exports::{Exports, Gone};
use self::file::Compared;
use self::pair::{ExtensionPair, Key, Pair, extension_pairs, named_file, pairs};
use crate::check::Severity;
use crate::discover::named_pkglibdir;
use crate::extension::{ExtensionRecord, Library};
use crate::fs::FileId;
use crate::model::Module;
use crate::name::{Name, Shown};
use crate::tree::{Tree, TreeFile};

/// What changed from one tree to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// The files with changes, by place.
    pub files: Vec<FileChanges>,
    /// The extensions with changes, by name.
    pub extensions: Vec<ExtensionChanges>,
    /// What could not be compared, by path, side and table.
    pub uncompared: Vec<Uncompared>,
    /// How many files are on both sides.
    pub common_files: usize,
    /// How many extensions are on both sides.
    pub common_extensions: usize,
}

/// The changes of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChanges {
    /// Its place: below `$libdir`, or below the path that was asked about.
    pub place: PathBuf,
    /// The old file, as the caller would name it.
    pub old: Option<PathBuf>,
    /// The new one.
    pub new: Option<PathBuf>,
    /// What changed, the worst first.
    pub changes: Vec<Change>,
}

/// The changes of one extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionChanges {
    /// Its name.
    pub name: Vec<u8>,
    /// The old default version.
    pub old_version: Option<Vec<u8>>,
    /// The new one.
    pub new_version: Option<Vec<u8>>,
    /// What changed, the worst first.
    pub changes: Vec<Change>,
}

/// Which build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The one that users run.
    Old,
    /// The one that is to be shipped.
    New,
}

/// Something that could not be read, so that nothing is said of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uncompared {
    /// The file, as the caller would name it.
    pub path: PathBuf,
    /// Whose file it is.
    pub side: Side,
    /// What of it: "the file", a table.
    pub what: String,
    /// Why.
    pub error: String,
}

impl Uncompared {
    fn functions(sides: &Sides<'_>, library: &Library) -> Self {
        let unread = library.objects().iter().find(|(_, module)| module.symbols.get().is_none());
        let error = unread.and_then(|(_, module)| module.symbols.error()).map(ToString::to_string);
        let path = unread.map(|(path, _)| path.as_path()).or(library.path()).unwrap_or(Path::new(""));
        Self {
            path: sides.new.shown(path),
            side: Side::New,
            what: format!("the functions in {}", Shown(&library.name)),
            error: error.unwrap_or_else(|| "the file cannot be read".to_owned()),
        }
    }
}

impl Diff {
    /// All changes.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        let of_files = self.files.iter().flat_map(|file| &file.changes);
        of_files.chain(self.extensions.iter().flat_map(|extension| &extension.changes))
    }

    /// How many changes are at least this bad.
    pub fn count_from(&self, severity: Severity) -> usize {
        self.changes().filter(|change| change.severity >= severity).count()
    }
}

/// Both trees, and what is known of them together.
struct Sides<'t> {
    old: &'t Tree,
    new: &'t Tree,
    /// The major versions that the two are for.
    majors: (Option<u32>, Option<u32>),
    /// Whether two files were named.
    are_files: bool,
    pairs: Vec<(Key, Pair<'t>)>,
    extensions: Vec<ExtensionPair<'t>>,
    old_by_id: HashMap<FileId, &'t TreeFile>,
    new_by_id: HashMap<FileId, &'t TreeFile>,
    new_sonames: HashSet<&'t Name>,
    /// By path in the old tree: those that the old name leads to.
    successors: HashMap<&'t Path, &'t TreeFile>,
    /// By path in the new tree.
    predecessors: HashMap<&'t Path, &'t TreeFile>,
}

impl<'t> Sides<'t> {
    fn new(old: &'t Tree, new: &'t Tree) -> Self {
        let pairs = pairs(old, new);
        let both = || pairs.iter().filter_map(|(_, pair)| Some((pair.old?, pair.new?, pair.is_renamed)));
        Self {
            old,
            new,
            majors: (major(old), major(new)),
            are_files: named_file(old).is_some() && named_file(new).is_some(),
            extensions: extension_pairs(old, new),
            old_by_id: by_id(old),
            new_by_id: by_id(new),
            new_sonames: modules(new).filter_map(|module| module.soname.as_ref()).collect(),
            successors: both()
                .filter(|(.., is_renamed)| !is_renamed)
                .map(|(old, new, _)| (&*old.path, new))
                .collect(),
            predecessors: both().map(|(old, new, _)| (&*new.path, old)).collect(),
            pairs,
        }
    }

    /// Whether both servers are known, so that loading a file tells whether they take it.
    fn have_servers(&self) -> bool {
        self.old.server().is_some() && self.new.server().is_some()
    }

    /// Whether the servers are of different major versions.
    fn is_upgrade(&self) -> bool {
        matches!(self.majors, (Some(old), Some(new)) if old != new)
    }

    /// The file of the old tree behind a path.
    fn old_file(&self, path: &Path) -> Option<&'t TreeFile> {
        let metadata = self.old.store().fs().metadata(path).ok()?;
        self.old_by_id.get(&metadata.id).copied()
    }

    fn is_in_new(&self, path: &Path) -> bool {
        let metadata = self.new.store().fs().metadata(path);
        self.new.contains(path) || metadata.is_ok_and(|metadata| self.new_by_id.contains_key(&metadata.id))
    }

    /// What became of an extension of the old tree.
    fn extension_now(&self, record: &ExtensionRecord) -> Option<&'t ExtensionRecord> {
        let pair = self.extensions.iter().find(|(old, _)| old.is_some_and(|old| std::ptr::eq(old, record)));
        pair?.1
    }

    /// What became of a file of the old tree.
    fn counterpart_of(&self, old: &TreeFile) -> Option<&'t TreeFile> {
        self.successors.get(&*old.path).copied()
    }

    /// What a file of the new tree was.
    fn predecessor_of(&self, new: &TreeFile) -> Option<&'t TreeFile> {
        self.predecessors.get(&*new.path).copied()
    }
}

fn modules(tree: &Tree) -> impl Iterator<Item = &Arc<Module>> {
    tree.files().iter().filter_map(|file| file.module.as_ref().ok())
}

fn by_id(tree: &Tree) -> HashMap<FileId, &TreeFile> {
    let modules = tree.files().iter().filter_map(|file| Some((file.module.as_ref().ok()?.id, file)));
    modules.collect()
}

/// The major version that a tree is for: the server's, or what the names of its directories say.
fn major(tree: &Tree) -> Option<u32> {
    tree.pg_major().or_else(|| {
        let named: HashSet<u32> = tree.modules().filter_map(|file| named_pkglibdir(&file.path)?.1).collect();
        let mut named = named.into_iter();
        named.next().filter(|_| named.next().is_none())
    })
}

/// Compares two trees, both read for [`Reading::Comparing`](crate::tree::Reading::Comparing). The answer depends on the
/// trees alone.
pub fn diff(old: &Tree, new: &Tree) -> Diff {
    rayon::join(|| old.inventory(), || new.inventory());
    let sides = Sides::new(old, new);
    let mut catalogs = catalog::compare(&sides);
    // By the files themselves, so that two names of one pair are one comparison.
    let mut seen = HashSet::new();
    let is_first: Vec<bool> = sides
        .pairs
        .iter()
        .map(|(_, pair)| match (pair.old, pair.new) {
            (Some(old), Some(new)) => seen.insert((&old.path, &new.path)),
            _ => true,
        })
        .collect();
    let compared: Vec<Compared<'_>> = sides
        .pairs
        .par_iter()
        .zip(&is_first)
        .map(
            |((key, pair), is_first)| {
                if *is_first { file::compare(&sides, &catalogs, key, pair) } else { Compared::default() }
            },
        )
        .collect();
    let exports = || compared.iter().map(|compared| &compared.exports);
    let gone: HashSet<&[u8]> = exports().flat_map(|exports| &exports.gone).map(|gone| gone.name).collect();
    let importers = if gone.is_empty() { HashMap::new() } else { gone::importers(&sides, &gone) };
    let resized: HashSet<&[u8]> =
        exports().flat_map(|exports| &exports.resized).map(|one| one.name).collect();
    let imported = if resized.is_empty() { HashSet::new() } else { gone::imported(new, &resized) };
    // A thousand scripts are read for the sake of functions that are gone, and of nothing else.
    let is_function = |gone: &Gone<'_>| gone.kind == ChangeKind::FunctionRemoved;
    let is_asked = exports().flat_map(|exports| &exports.gone).any(is_function);
    let older = if is_asked { catalog::older(&sides) } else { Older::new() };

    let mut found = Diff::default();
    for ((key, pair), compared) in sides.pairs.iter().zip(compared) {
        let Compared { mut changes, exports, uncompared } = compared;
        found.uncompared.extend(uncompared);
        if let Some(old) = pair.old {
            let Exports { gone, resized, changes: of_exports } = exports;
            changes.extend(of_exports);
            changes.extend(gone::exports(&sides, &catalogs, &importers, &older, old, &gone));
            changes.extend(gone::resized(&sides, &imported, old, &resized));
            // Each change of a catalog stands with the file that it is about, once.
            changes.extend(catalogs.changes.remove(&old.path).unwrap_or_default());
        }
        found.common_files += usize::from(pair.old.is_some() && pair.new.is_some());
        if !changes.is_empty() {
            changes.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
            found.files.push(FileChanges {
                place: key.path().to_owned(),
                old: pair.old.map(|file| file.shown.clone()),
                new: pair.new.map(|file| file.shown.clone()),
                changes,
            });
        }
    }
    found.extensions = extension::compare(&sides);
    for extension in &mut found.extensions {
        extension.changes.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
    }
    found.common_extensions =
        sides.extensions.iter().filter(|(old, new)| old.is_some() && new.is_some()).count();
    found.uncompared.append(&mut catalogs.uncompared);
    found.uncompared.sort();
    found.uncompared.dedup();
    found
}
