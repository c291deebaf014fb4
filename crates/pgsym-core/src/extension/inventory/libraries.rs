//! The binaries behind what scripts declare: each library is looked for once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bstr::ByteSlice;
use rayon::prelude::*;

use super::declared::{Declared, DeclaredFunction, Presence};
use super::{ExtensionSettings, Function, LoadStatement, Surroundings};
use crate::extension::functions::{Library, find_library, status};
use crate::extension::library_path::{LibrarySettings, Loader};
use crate::extension::script::{Position, read_script};

/// Libraries that the server's own catalog names from the start: encoding conversions in `postgres.bki`, the Snowball
/// stemmer in `snowball_create.sql`.
pub(super) fn server_libraries(around: &Surroundings<'_>, settings: &ExtensionSettings) -> Vec<Vec<u8>> {
    const LIBDIR: &[u8] = b"$libdir/";
    let sharedir = settings.search.sharedir.as_ref();
    let sharedir = sharedir.or_else(|| around.installation.and_then(|found| found.sharedir.as_ref()));
    let mut names = BTreeSet::new();
    for file in
        sharedir.iter().flat_map(|dir| ["postgres.bki", "snowball_create.sql"].map(|name| dir.join(name)))
    {
        let Ok(bytes) = read_script(around.fs, &file) else { continue };
        for at in bytes.find_iter(LIBDIR) {
            let rest = bytes.get(at + LIBDIR.len()..).unwrap_or_default();
            let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_-.".contains(b)).count();
            names.insert([LIBDIR, rest.get(..length).unwrap_or_default()].concat());
        }
    }
    names.into_iter().collect()
}

pub(super) type Libraries = BTreeMap<(LoaderKey, Vec<u8>), Arc<Library>>;

/// [`Loader`] as a key: only 18 and later tell the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LoaderKey {
    Function,
    File,
}

pub(super) fn find_libraries(
    around: &Surroundings<'_>,
    settings: &LibrarySettings<'_>,
    declared: &[Declared],
    own: &[Vec<u8>],
) -> Libraries {
    let own = own.iter().map(|name| (LoaderKey::Function, name.as_slice()));
    let mut names: Vec<(LoaderKey, &[u8])> = declared
        .iter()
        .flat_map(|declared| {
            let functions = declared.functions.iter().map(|f| (LoaderKey::Function, f.probin.as_slice()));
            let loads = declared.loads.iter().map(|(.., name)| (LoaderKey::File, name.as_slice()));
            functions.chain(loads)
        })
        .chain(own)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_par_iter()
        .map(|(key, name)| {
            let loader = match key {
                LoaderKey::Function => Loader::ExternalFunction,
                LoaderKey::File => Loader::File,
            };
            let library = find_library(around.fs, settings, loader, name, |path| (around.open)(path));
            ((key, name.to_vec()), Arc::new(library))
        })
        .collect()
}

pub(super) fn functions(declared: Vec<DeclaredFunction>, libraries: &Libraries) -> Vec<Function> {
    declared
        .into_iter()
        .filter_map(|function| {
            let library = libraries.get(&(LoaderKey::Function, function.probin.clone()))?;
            Some(Function {
                status: status(library, &function.prosrc),
                library: Arc::clone(library),
                name: function.name,
                probin: function.probin,
                prosrc: function.prosrc,
                version: function.version,
                is_installed: function.presence == Presence::Installed,
                is_created: function.presence != Presence::Unreachable,
                script: function.script,
                position: function.position,
            })
        })
        .collect()
}

pub(super) fn loads(
    declared: Vec<(PathBuf, Position, Vec<u8>)>,
    libraries: &Libraries,
) -> Vec<LoadStatement> {
    declared
        .into_iter()
        .filter_map(|(script, position, name)| {
            let library = Arc::clone(libraries.get(&(LoaderKey::File, name))?);
            Some(LoadStatement { script, position, library })
        })
        .collect()
}
