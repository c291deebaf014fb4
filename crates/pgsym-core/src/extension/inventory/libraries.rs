//! The binaries behind what scripts declare: each library is looked for once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bstr::ByteSlice;
use rayon::prelude::*;

use super::declared::{Declared, DeclaredFunction, DeclaredLoad, Presence};
use super::{Function, LoadStatement, Open, Surroundings};
use crate::extension::functions::{Library, find_library};
use crate::extension::library_path::{LibrarySettings, Loader, dlsuffix};
use crate::extension::places::Site;
use crate::extension::script::read_script;
use crate::fs::Fs;

/// Libraries that the server's own catalog names from the start, with the site of the server: encoding conversions in
/// `postgres.bki`, the Snowball stemmer in `snowball_create.sql`.
pub(super) fn server_libraries(fs: &dyn Fs, sites: &[Site]) -> Vec<(usize, Vec<u8>)> {
    const LIBDIR: &[u8] = b"$libdir/";
    let mut names = BTreeSet::new();
    let servers = sites.iter().enumerate().filter(|(index, site)| *index == 0 || site.is_installation);
    let servers = servers.filter_map(|(index, site)| Some((index, site.sharedir.as_ref()?)));
    let files = servers.flat_map(|(index, sharedir)| {
        ["postgres.bki", "snowball_create.sql"].map(|name| (index, sharedir.join(name)))
    });
    for (index, file) in files {
        let Ok(bytes) = read_script(fs, &file) else { continue };
        for at in bytes.find_iter(LIBDIR) {
            let rest = bytes.get(at + LIBDIR.len()..).unwrap_or_default();
            let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_-.".contains(b)).count();
            names.insert((index, [LIBDIR, rest.get(..length).unwrap_or_default()].concat()));
        }
    }
    names.into_iter().collect()
}

pub(super) type Libraries = BTreeMap<Key, Arc<Library>>;

/// A library is looked for once for each site that names it.
type Key = (usize, LoaderKey, Vec<u8>);

/// [`Loader`] as a key: only 18 and later tell the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LoaderKey {
    Function,
    File,
}

pub(super) fn find_libraries(
    around: &Surroundings<'_>,
    open: Open<'_>,
    sites: &[Site],
    declared: &[(usize, &Declared)],
    own: &[(usize, Vec<u8>)],
    major: u32,
) -> Libraries {
    let own = own.iter().map(|(site, name)| (*site, LoaderKey::Function, name.as_slice()));
    let mut names: Vec<(usize, LoaderKey, &[u8])> = declared
        .iter()
        .flat_map(|&(site, declared)| {
            let functions =
                declared.functions.iter().map(move |f| (site, LoaderKey::Function, f.probin.as_slice()));
            let loads = declared.loads.iter();
            let loads = loads.map(move |load| (site, LoaderKey::File, load.file.as_slice()));
            functions.chain(loads)
        })
        .chain(own)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_par_iter()
        .filter_map(|(at, key, name)| {
            let loader = match key {
                LoaderKey::Function => Loader::ExternalFunction,
                LoaderKey::File => Loader::File,
            };
            let library = library_at(around, open, sites.get(at)?, loader, name, major);
            Some(((at, key, name.to_vec()), Arc::new(library)))
        })
        .collect()
}

/// What a site finds for a name.
pub(super) fn library_at(
    around: &Surroundings<'_>,
    open: Open<'_>,
    site: &Site,
    loader: Loader,
    name: &[u8],
    major: u32,
) -> Library {
    let settings = LibrarySettings {
        libdirs: &site.libdirs,
        dynamic_library_path: &site.dynamic_library_path,
        dlsuffix: dlsuffix(around.is_macos, major),
        major,
    };
    let mut library = find_library(around.fs, &settings, loader, name, |path| {
        open(&[path.to_owned()]).pop().unwrap_or_default()
    });
    if site.is_path_assumed {
        let directory = library.path().and_then(Path::parent).map(Path::to_owned);
        library.hidden.retain(|hidden| hidden.parent() == directory.as_deref());
    }
    library
}

pub(super) fn functions(
    declared: Vec<DeclaredFunction>,
    site: usize,
    libraries: &Libraries,
) -> Vec<Function> {
    declared
        .into_iter()
        .filter_map(|function| {
            let library = libraries.get(&(site, LoaderKey::Function, function.probin.clone()))?;
            Some(Function {
                status: library.status(&function.prosrc),
                library: Arc::clone(library),
                name: function.name,
                probin: function.probin,
                prosrc: function.prosrc,
                version: function.version,
                is_installed: function.presence == Presence::Installed,
                is_created: function.presence <= Presence::Passing,
                script: function.script,
                position: function.position,
                others: function.others,
            })
        })
        .collect()
}

pub(super) fn loads(declared: Vec<DeclaredLoad>, site: usize, libraries: &Libraries) -> Vec<LoadStatement> {
    declared
        .into_iter()
        .filter_map(|DeclaredLoad { script, position, is_run, file }| {
            let library = Arc::clone(libraries.get(&(site, LoaderKey::File, file))?);
            Some(LoadStatement { script, position, is_run, library })
        })
        .collect()
}
