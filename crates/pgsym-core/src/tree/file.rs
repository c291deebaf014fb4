//! One file of a tree: what it is, what it says, what it is for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::{DyldLoad, Load, Reading, Settings};
use crate::discover::{Candidate, Format};
use crate::error::{FileError, FileErrorKind};
use crate::fs::{FileId, Fs, Metadata};
use crate::hash::HashSet;
use crate::model::{Module, ObjectKind};
use crate::name::Name;
use crate::parse::{Facets, parse};
use crate::postgres::{Magic, SymbolClass, Verdict, classify};
use crate::resolve::dyld::DyldProcess;
use crate::resolve::{FileStore, SearchElement};

/// One file of a tree.
pub struct TreeFile {
    /// Its path inside the tree, absolute: what rules and processes work on.
    pub path: PathBuf,
    /// The same as the caller would name it: what answers show.
    pub shown: PathBuf,
    /// What it is, or why that cannot be told.
    pub format: Result<Format, FileError>,
    /// The parsed binary, or why it cannot be parsed.
    pub module: Result<Arc<Module>, FileError>,
    /// Every slice of a fat Mach-O file that can be read, in file order; [`Self::module`] is one of them.
    pub slices: Vec<Arc<Module>>,
    /// What it is for.
    pub role: Role,
    /// What `stat` says of it; none where that fails, and under [`Reading::Links`].
    pub metadata: Option<Metadata>,
    /// The elements of its DT_RPATH and DT_RUNPATH, in file order.
    pub search_elements: Vec<SearchElement>,
    /// For a library with another name than its DT_SONAME: whether its directory has a file of that name. Not looked
    /// for under [`Reading::Links`].
    pub has_soname_sibling: bool,
    /// What loading it does; none for what no process of this tree loads (object files, unreadable files, libraries
    /// and programs for other machines).
    pub load: Option<Load>,
    /// Why it was not loaded, where the files before it brought all that one run keeps.
    pub not_loaded: Option<FileError>,
    /// What loading it does if it is a Mach-O file: once for each architecture, in the order of the server's slices.
    pub dyld: Vec<DyldLoad>,
    /// Whether the caller named it.
    pub is_named: bool,
}

/// What loading a file comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadOutcome {
    /// It is loaded.
    Loads,
    /// It is not: what the server says after `ERROR:`, or what the loader says where no server is known.
    Fails(String),
    /// It cannot be told; why, where there is more to say than that nothing loads it.
    Unknown(Option<String>),
}

impl TreeFile {
    /// What loading the file comes to: the server's verdict, or without a server that of the loader on the file as its own
    /// process. Of a Mach-O file the first architecture that fails decides.
    pub fn outcome(&self) -> LoadOutcome {
        if let Some(load) = self.deciding_load() {
            return match (&load.verdict, &load.failure) {
                (Some(Verdict::Loads), _) | (None, None) => LoadOutcome::Loads,
                (Some(Verdict::Fails(message)), _) => LoadOutcome::Fails(message.primary.clone()),
                (Some(Verdict::Unknown(why) | Verdict::Crashes(why)), _) => {
                    LoadOutcome::Unknown(Some(why.clone()))
                }
                (None, Some(failure)) => LoadOutcome::Fails(failure.clone()),
            };
        }
        let Some(load) = &self.load else { return LoadOutcome::Unknown(None) };
        match (&load.verdict, &load.failure) {
            (Some(Verdict::Loads), _) | (None, None) => LoadOutcome::Loads,
            (Some(Verdict::Fails(message)), _) => LoadOutcome::Fails(message.primary.clone()),
            (Some(Verdict::Crashes(why)), _) => LoadOutcome::Fails(why.clone()),
            (Some(Verdict::Unknown(why)), _) => LoadOutcome::Unknown(Some(why.clone())),
            (None, Some(error)) => match load.process.env().why_unknown(error) {
                Some(why) => LoadOutcome::Unknown(Some(why)),
                None => LoadOutcome::Fails(error.message.clone()),
            },
        }
    }

    /// Of a Mach-O file the load that decides: the first that fails, or else the first.
    pub(crate) fn deciding_load(&self) -> Option<&DyldLoad> {
        let fails = |load: &&DyldLoad| match &load.verdict {
            Some(verdict) => *verdict != Verdict::Loads,
            None => load.failure.is_some(),
        };
        self.dyld.iter().find(fails).or(self.dyld.first())
    }
}

/// What a file of a tree is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A PostgreSQL module: it has a magic block, or everything else that a module has.
    Module,
    /// A library that modules need, or one that has nothing of a module.
    Library,
    /// An executable program.
    Program,
    /// Anything that a process does not load: object files, unreadable files.
    Other,
}

pub(super) fn parse_all(store: &FileStore, candidates: Vec<Candidate>, settings: &Settings) -> Vec<TreeFile> {
    let total = candidates.len();
    let done = AtomicUsize::new(0);
    candidates
        .into_par_iter()
        .map(|candidate| {
            let file = parse_one(store, candidate, settings);
            if let Some(progress) = &settings.progress {
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            }
            file
        })
        .collect()
}

fn parse_one(store: &FileStore, candidate: Candidate, settings: &Settings) -> TreeFile {
    let module = match &candidate.format {
        Ok(Format::Elf | Format::MachO) => parse_caught(store, &candidate, settings.own()),
        Ok(Format::Empty) => Err(FileError::too_short("the file is empty")),
        Ok(Format::LinkerScript) => Err(FileError::new(
            FileErrorKind::NotAnObject,
            "the file is a linker script: text, which the linker follows and the loader refuses",
        )),
        Ok(Format::Windows) => {
            Err(FileError::new(FileErrorKind::NotAnObject, "the file is a Windows binary (PE)"))
        }
        Ok(Format::Other) => {
            Err(FileError::new(FileErrorKind::NotAnObject, "the file is neither ELF nor Mach-O"))
        }
        Err(error) => Err(error.clone()),
    };
    let Candidate { path, shown, format, is_named, .. } = candidate;
    let role = module.as_ref().map_or(Role::Other, |module| role(module));
    let is_for_rules = settings.reading == Reading::Everything;
    let metadata = is_for_rules.then(|| store.fs().metadata(&path).ok()).flatten();
    let has_soname_sibling =
        is_for_rules && module.as_ref().is_ok_and(|module| has_soname_sibling(store.fs(), &path, module));
    TreeFile {
        path,
        shown,
        format,
        slices: module.as_ref().map_or_else(|_| Vec::new(), slices),
        module,
        role,
        metadata,
        search_elements: Vec::new(),
        has_soname_sibling,
        load: None,
        not_loaded: None,
        dyld: Vec::new(),
        is_named,
    }
}

/// The slices of a file that has several.
fn slices(module: &Arc<Module>) -> Vec<Arc<Module>> {
    let further = module.macho().into_iter().flat_map(|macho| &macho.further_slices);
    let further: Vec<Arc<Module>> = further.filter_map(|slice| slice.module.clone().ok()).collect();
    if further.is_empty() {
        return Vec::new();
    }
    std::iter::once(Arc::clone(module)).chain(further).collect()
}

/// Whether the directory of a library has a file of the name that its DT_SONAME says, the library's own name
/// included.
fn has_soname_sibling(fs: &dyn Fs, path: &Path, module: &Module) -> bool {
    // An install name is a path; whoever links the library looks for its last component.
    let is_usable = |soname: &&Name| module.macho().is_some() || !soname.has_slash();
    let soname = module.soname.as_ref().filter(is_usable).and_then(|soname| soname.as_path().file_name());
    let Some(soname) = soname else { return false };
    let has = |path: &Path| {
        path.file_name().is_some_and(|name| name == soname)
            || fs.metadata(&path.with_file_name(soname)).is_ok()
    };
    // A symbolic link from elsewhere, such as /usr/bin/ld.so, is not where anybody looks for the library.
    has(path) || fs.canonicalize(path).is_ok_and(|resolved| has(&resolved))
}

/// Parses a file; even a fault of our own costs that one file and names it.
fn parse_caught(store: &FileStore, candidate: &Candidate, facets: Facets) -> Result<Arc<Module>, FileError> {
    let path = &candidate.path;
    let (source, metadata) = candidate.open(store.fs())?;
    let parsed =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| parse(path, metadata, &*source, facets)));
    let module = parsed
        .unwrap_or_else(|_| Err(FileError::malformed("the reader failed on this file: please report it")))
        .map(Arc::new);
    store.insert(path, metadata, &*source, module.clone());
    module
}

/// What a file is for, by itself.
fn role(module: &Module) -> Role {
    if module.is_debug_file() {
        return Role::Other;
    }
    match module.kind {
        ObjectKind::Executable | ObjectKind::PositionIndependentExecutable => return Role::Program,
        ObjectKind::Relocatable | ObjectKind::Core | ObjectKind::Other(_) => return Role::Other,
        ObjectKind::SharedObject => {}
    }
    if module.postgres.get().is_some_and(|facts| !matches!(facts.magic, Magic::Absent)) {
        return Role::Module;
    }
    let has_entry_point = module.symbols.get().is_some_and(|symbols| {
        symbols.exports().any(|symbol| classify(symbol.name(), || false) != SymbolClass::Other)
    });
    let hides_entry_point = module
        .elf()
        .and_then(|elf| elf.sections.get())
        .and_then(|sections| sections.hidden_entry_points.get())
        .is_some_and(|hidden| !hidden.is_empty());
    if has_entry_point || hides_entry_point { Role::Module } else { Role::Library }
}

/// A file without a magic block that some other file of the tree needs is a library, whatever it exports.
pub(super) fn demote_needed_libraries(files: &mut [TreeFile]) {
    let is_in_doubt = |file: &TreeFile| {
        let Ok(module) = &file.module else { return false };
        let has_magic = || module.postgres.get().is_some_and(|facts| !matches!(facts.magic, Magic::Absent));
        file.role == Role::Module && !has_magic()
    };
    // Hardly any tree has one, and what thousands of files need is worth no look then.
    if !files.iter().any(is_in_doubt) {
        return;
    }
    let mut needed: HashSet<FileId> = files
        .iter()
        .filter_map(|file| file.load.as_ref())
        .flat_map(|load| {
            load.process.load_order().filter(|(id, _)| Some(*id) != load.root).map(|(_, object)| object.id())
        })
        .collect();
    for load in files.iter().flat_map(|file| &file.dyld) {
        let images = load.process.iter().flat_map(DyldProcess::images);
        needed.extend(images.filter(|(id, _)| Some(*id) != load.root).filter_map(|(_, image)| image.id()));
    }
    for file in files.iter_mut().filter(|file| is_in_doubt(file)) {
        if file.module.as_ref().is_ok_and(|module| needed.contains(&module.id)) {
            file.role = Role::Library;
        }
    }
}
