//! Which file of the old tree became which of the new one. A module is known by its path below `$libdir`, since that is
//! how catalogs and settings name it; everything else by its path below what was asked about. What is left over on both
//! sides belongs together where something says so: another name of the same file, one DT_SONAME in one directory (minor
//! versions of a library), or one extension whose functions lie in it (`module_pathname`).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::discover::{named_pkglibdir, short_path};
use crate::extension::ExtensionRecord;
use crate::fs::{FileId, FileKind};
use crate::tree::{Role, Tree, TreeFile};

/// Two files that are one, or a file without its counterpart.
#[derive(Clone, Copy)]
pub(super) struct Pair<'t> {
    pub(super) old: Option<&'t TreeFile>,
    pub(super) new: Option<&'t TreeFile>,
    /// Whether the two have different names, so that the old one leads nowhere any more.
    pub(super) is_renamed: bool,
}

impl Pair<'_> {
    const EMPTY: Self = Self { old: None, new: None, is_renamed: false };
}

/// Where a file is, whichever side it is on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    /// Below `$libdir`.
    Libdir(PathBuf),
    /// Below the path that was asked about.
    Root(PathBuf),
}

impl Key {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Libdir(path) | Self::Root(path) => path,
        }
    }
}

/// The path that was asked about, where it is a file.
pub(super) fn named_file(tree: &Tree) -> Option<&Path> {
    let [root] = tree.roots().paths() else { return None };
    let metadata = tree.store().fs().metadata(root).ok()?;
    (metadata.kind != FileKind::Directory).then_some(root)
}

/// The pairs, by key.
pub(super) fn pairs<'t>(old: &'t Tree, new: &'t Tree) -> Vec<(Key, Pair<'t>)> {
    if named_file(old).is_some() && named_file(new).is_some() {
        // Whoever names two files means one to be the other.
        let (old, new) = (old.files().first(), new.files().first());
        let name = new.or(old).and_then(|file| file.path.file_name()).unwrap_or_default();
        return vec![(Key::Root(name.into()), Pair { old, new, is_renamed: false })];
    }
    let (old_keys, new_keys) = (Keys::of(old), Keys::of(new));
    let several: HashSet<Key> = old_keys.several().chain(new_keys.several()).collect();
    let mut found: BTreeMap<Key, Pair<'t>> = BTreeMap::new();
    for (key, file) in old_keys.of_files(&several) {
        found.entry(key).or_insert(Pair::EMPTY).old = Some(file);
    }
    for (key, file) in new_keys.of_files(&several) {
        found.entry(key).or_insert(Pair::EMPTY).new = Some(file);
    }
    // One side may not say what its `$libdir` is: a directory of modules, or one that was unpacked anywhere.
    let of = |keys: &Keys<'t>, file: &'t TreeFile| keys.key(&file.path).path().to_owned();
    join(&mut found, Name::Same, |file| Some(of(&old_keys, file)), |file| Some(of(&new_keys, file)));
    let of = |keys: &Keys<'t>, file: &'t TreeFile| keys.below_root(&file.path);
    join(&mut found, Name::Same, |file| Some(of(&old_keys, file)), |file| Some(of(&new_keys, file)));
    join_aliases(&mut found, &old_keys, &new_keys);
    join(
        &mut found,
        Name::Other,
        |file| soname_in_place(&old_keys, file),
        |file| soname_in_place(&new_keys, file),
    );
    let (of_old, of_new) = (extensions_by_module(old), extensions_by_module(new));
    join(
        &mut found,
        Name::Other,
        |file| only_extension(&of_old, file).map(<[u8]>::to_vec),
        |file| only_extension(&of_new, file).map(<[u8]>::to_vec),
    );
    found.into_iter().collect()
}

/// An extension of the old tree and that of the new one.
pub(super) type ExtensionPair<'t> = (Option<&'t ExtensionRecord>, Option<&'t ExtensionRecord>);

/// The extensions that the question is about, joined by name; where a tree has several of one name, as one with several
/// installations has, by the place of the control file as well.
pub(super) fn extension_pairs<'t>(old: &'t Tree, new: &'t Tree) -> Vec<ExtensionPair<'t>> {
    let mut several: HashSet<&[u8]> = HashSet::new();
    for tree in [old, new] {
        let mut seen = HashSet::new();
        let names = tree.inventory().in_scope().map(|record| record.extension.name.as_slice());
        several.extend(names.filter(|name| !seen.insert(*name)));
    }
    let key = |tree: &Tree, record: &'t ExtensionRecord| {
        let name = record.extension.name.as_slice();
        let place = short_path(&record.extension.control_path, tree.roots().paths());
        (name, if several.contains(name) { place.to_owned() } else { PathBuf::new() })
    };
    let mut found: BTreeMap<(&[u8], PathBuf), ExtensionPair<'t>> = BTreeMap::new();
    for record in old.inventory().in_scope() {
        found.entry(key(old, record)).or_default().0 = Some(record);
    }
    for record in new.inventory().in_scope() {
        found.entry(key(new, record)).or_default().1 = Some(record);
    }
    found.into_values().collect()
}

/// The keys of one tree's files.
struct Keys<'t> {
    tree: &'t Tree,
    /// What `$libdir` stands for, longest first.
    libdirs: Vec<PathBuf>,
    in_order: Vec<Key>,
}

impl<'t> Keys<'t> {
    fn of(tree: &'t Tree) -> Self {
        let of_server = tree.server().map(|server| server.installation.pkglibdir.clone());
        let sites = tree.inventory().places.sites.iter().flat_map(|site| site.libdirs.iter().cloned());
        let mut libdirs: Vec<PathBuf> = of_server.into_iter().chain(sites).collect();
        libdirs.sort_by_key(|path| (std::cmp::Reverse(path.components().count()), path.clone()));
        libdirs.dedup();
        let mut keys = Self { tree, libdirs, in_order: Vec::new() };
        keys.in_order = tree.files().iter().map(|file| keys.key(&file.path)).collect();
        keys
    }

    fn key(&self, path: &Path) -> Key {
        let known = self.libdirs.iter().find_map(|libdir| path.strip_prefix(libdir).ok());
        let by_name = || path.strip_prefix(named_pkglibdir(path)?.0).ok();
        match known.or_else(by_name) {
            Some(rest) => Key::Libdir(rest.to_owned()),
            None => self.below_root(path),
        }
    }

    fn below_root(&self, path: &Path) -> Key {
        Key::Root(short_path(path, self.tree.roots().paths()).to_owned())
    }

    /// Keys that are those of several files: of a tree with several installations.
    fn several(&self) -> impl Iterator<Item = Key> {
        let mut seen = HashSet::new();
        self.in_order.iter().filter(move |key| !seen.insert(*key)).cloned()
    }

    fn of_files(&self, several: &HashSet<Key>) -> impl Iterator<Item = (Key, &'t TreeFile)> {
        self.tree.files().iter().zip(&self.in_order).map(|(file, key)| {
            let key = if several.contains(key) { self.below_root(&file.path) } else { key.clone() };
            (key, file)
        })
    }

    /// The file of this tree that a key leads to, whatever it is called itself.
    fn find(&self, key: &Key) -> Option<&'t TreeFile> {
        let above = match key {
            Key::Libdir(_) => &self.libdirs,
            Key::Root(_) => self.tree.roots().paths(),
        };
        let id = |path: PathBuf| self.tree.store().fs().metadata(&path).ok().map(|metadata| metadata.id);
        let ids: Vec<FileId> = above.iter().filter_map(|above| id(above.join(key.path()))).collect();
        ids.into_iter().find_map(|id| self.tree.find(id))
    }
}

/// Files whose name on the other side leads to a file that has another name of its own: a symbolic or hard link.
fn join_aliases<'t>(found: &mut BTreeMap<Key, Pair<'t>>, old: &Keys<'t>, new: &Keys<'t>) {
    for (key, pair) in found.iter_mut() {
        match (pair.old, pair.new) {
            (Some(_), None) => pair.new = new.find(key),
            (None, Some(_)) => pair.old = old.find(key),
            _ => {}
        }
    }
}

/// Whether the files that are joined have the name that others know them by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Same,
    Other,
}

/// Joins what is left over on both sides and answers the same to a question that nothing else on its side answers so.
fn join<'t, A: Ord>(
    found: &mut BTreeMap<Key, Pair<'t>>,
    name: Name,
    of_old: impl Fn(&'t TreeFile) -> Option<A>,
    of_new: impl Fn(&'t TreeFile) -> Option<A>,
) {
    let mut answers: BTreeMap<A, (Vec<Key>, Vec<Key>)> = BTreeMap::new();
    for (key, pair) in found.iter() {
        match (pair.old, pair.new) {
            (Some(old), None) => {
                if let Some(answer) = of_old(old) {
                    answers.entry(answer).or_default().0.push(key.clone());
                }
            }
            (None, Some(new)) => {
                if let Some(answer) = of_new(new) {
                    answers.entry(answer).or_default().1.push(key.clone());
                }
            }
            _ => {}
        }
    }
    for (old, new) in answers.into_values() {
        if let ([old], [new]) = (&old[..], &new[..])
            && let Some(left) = found.remove(old)
            && let Some(pair) = found.get_mut(new)
        {
            (pair.old, pair.is_renamed) = (left.old, name == Name::Other);
        }
    }
}

/// A library's directory and DT_SONAME.
fn soname_in_place<'t>(keys: &Keys<'t>, file: &'t TreeFile) -> Option<(Key, &'t [u8])> {
    let module = file.module.as_ref().ok().filter(|_| file.role == Role::Library)?;
    Some((keys.key(file.path.parent()?), module.soname.as_ref()?.as_bytes()))
}

/// The extensions of which each module has functions that their default version installs.
fn extensions_by_module(tree: &Tree) -> HashMap<&Path, BTreeSet<&[u8]>> {
    let mut found: HashMap<&Path, BTreeSet<&[u8]>> = HashMap::new();
    for record in tree.inventory().in_scope() {
        for function in record.functions.iter().filter(|function| function.is_installed) {
            if let Some(path) = function.library.path() {
                found.entry(path).or_default().insert(&record.extension.name);
            }
        }
    }
    found
}

fn only_extension<'a>(of: &HashMap<&Path, BTreeSet<&'a [u8]>>, file: &TreeFile) -> Option<&'a [u8]> {
    let names = of.get(&*file.path)?;
    names.first().copied().filter(|_| names.len() == 1)
}
