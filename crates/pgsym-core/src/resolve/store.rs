//! Each file of a run is opened and parsed once, whichever searches and however many processes meet it.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::dyld::Sdk;
use super::trace::Refusal;
use super::verify::FirstBytes;
use crate::error::{FileError, os_text};
use crate::fs::{FileId, Fs, Metadata};
use crate::hash::HashMap;
use crate::model::Module;
use crate::name::path_bytes;
use crate::parse::{Facets, parse};
use crate::source::Source;

/// The files that a run has met.
pub struct FileStore {
    fs: Arc<dyn Fs>,
    facets: Facets,
    /// By path, as bytes: hashing a path component by component costs more than many of the files.
    by_path: RwLock<HashMap<Vec<u8>, Arc<Opened>>>,
    by_id: RwLock<HashMap<FileId, Arc<File>>>,
    /// What stands at the directories of search paths, as far as anybody asked.
    places: RwLock<HashMap<Vec<u8>, Place>>,
    /// The SDK of macOS, where one was named.
    sdk: OnceLock<Arc<Sdk>>,
}

/// What became of opening one path.
#[derive(Debug, Clone)]
pub(crate) enum Opened {
    /// `open` or `fstat` failed.
    Failed(OpenFailure),
    /// It is a file.
    File(Arc<File>),
}

/// Why a path does not open.
#[derive(Debug, Clone)]
pub(crate) enum OpenFailure {
    /// ENOENT.
    Missing,
    /// ENOTDIR: a directory of the path is a file.
    NotADirectory,
    /// EACCES.
    Denied,
    /// It opens, but cannot be read as a file: a directory or special file.
    Unreadable(Refusal),
    /// Any other error number: the loader gives up on the rest of the list.
    Other(String),
}

/// One file.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) metadata: Metadata,
    pub(crate) first_bytes: Result<FirstBytes, Refusal>,
    pub(crate) module: Result<Arc<Module>, FileError>,
}

impl FileStore {
    /// A store that reads the given tables of each file, beside those that resolution needs.
    pub fn new(fs: Arc<dyn Fs>, facets: Facets) -> Self {
        Self {
            fs,
            facets,
            by_path: RwLock::default(),
            by_id: RwLock::default(),
            places: RwLock::default(),
            sdk: OnceLock::new(),
        }
    }

    /// The tree that it reads.
    pub fn fs(&self) -> &dyn Fs {
        &*self.fs
    }

    /// The SDK of macOS in a directory; of a run there is one.
    pub(crate) fn sdk(&self, directory: &Path) -> Arc<Sdk> {
        let sdk = || Arc::new(Sdk::new(directory.to_owned(), Arc::clone(&self.fs)));
        Arc::clone(self.sdk.get_or_init(sdk))
    }

    /// Enters a file that was parsed elsewhere, with more tables; later openings of the same file share it.
    pub fn insert(
        &self,
        path: &Path,
        metadata: Metadata,
        first: &dyn Source,
        module: Result<Arc<Module>, FileError>,
    ) {
        let file = Arc::new(File { metadata, first_bytes: FirstBytes::read(first, metadata), module });
        let mut files = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        let file = Arc::clone(files.entry(metadata.id).or_insert(file));
        drop(files);
        let mut paths = self.by_path.write().unwrap_or_else(PoisonError::into_inner);
        paths.entry(path_bytes(path).to_vec()).or_insert_with(|| Arc::new(Opened::File(file)));
    }

    /// The module at a path, parsed once.
    pub fn module(&self, path: &Path) -> Result<Arc<Module>, FileError> {
        match &*self.open(path) {
            Opened::File(file) => file.module.clone(),
            // Asked again for the sake of the error's own words.
            Opened::Failed(_) => match self.fs.open(path) {
                Err(error) => Err(error.into()),
                Ok(_) => Err(FileError::malformed("the file changed while it was read")),
            },
        }
    }

    /// The module at a path with its relocations read, which few files of a run need.
    pub(crate) fn with_relocations(&self, path: &Path) -> Result<Module, FileError> {
        let (source, metadata) = self.fs.open(path)?;
        parse(path, metadata, &*source, Facets::SYMBOLS | Facets::RELOCATIONS)
    }

    /// Opens a path, or remembers what came of it before.
    pub(crate) fn open(&self, path: &Path) -> Arc<Opened> {
        if let Some(opened) =
            self.by_path.read().unwrap_or_else(PoisonError::into_inner).get(path_bytes(path))
        {
            return Arc::clone(opened);
        }
        // Two threads may both do this; the file is the same for both.
        let opened = Arc::new(self.open_anew(path));
        let mut paths = self.by_path.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(paths.entry(path_bytes(path).to_vec()).or_insert(opened))
    }

    fn open_anew(&self, path: &Path) -> Opened {
        let (source, metadata) = match self.fs.open(path) {
            Ok(opened) => opened,
            Err(error) => return Opened::Failed(open_failure(&error)),
        };
        if let Some(file) = self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(&metadata.id) {
            return Opened::File(Arc::clone(file));
        }
        let file = Arc::new(File {
            metadata,
            first_bytes: FirstBytes::read(&*source, metadata),
            module: parse(path, metadata, &*source, self.facets).map(Arc::new),
        });
        let mut files = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        Opened::File(Arc::clone(files.entry(metadata.id).or_insert(file)))
    }

    /// Whether a directory exists.
    pub(crate) fn is_directory(&self, path: &Path) -> bool {
        self.place(path) == Place::Directory
    }

    /// What a search path's directory is. The loader of one process asks once for each; so does a run with many.
    pub(crate) fn place(&self, path: &Path) -> Place {
        if let Some(&known) = self.places.read().unwrap_or_else(PoisonError::into_inner).get(path_bytes(path))
        {
            return known;
        }
        let place = match self.fs.metadata(path) {
            Ok(metadata) if metadata.kind == crate::fs::FileKind::Directory => Place::Directory,
            Ok(_) => Place::File,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Place::File,
            Err(_) => Place::Nothing,
        };
        self.places.write().unwrap_or_else(PoisonError::into_inner).insert(path_bytes(path).to_vec(), place);
        place
    }
}

/// What stands where a search path names a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Directory,
    /// Or below a file.
    File,
    Nothing,
}

fn open_failure(error: &io::Error) -> OpenFailure {
    match error.kind() {
        io::ErrorKind::NotFound => OpenFailure::Missing,
        io::ErrorKind::NotADirectory => OpenFailure::NotADirectory,
        io::ErrorKind::PermissionDenied => OpenFailure::Denied,
        // `open` of a directory succeeds for the loader, `read` then fails.
        io::ErrorKind::IsADirectory => OpenFailure::Unreadable(Refusal {
            message: "cannot read file data".to_owned(),
            os: Some("Is a directory".to_owned()),
        }),
        // A FIFO or device: the loader would wait for it or read from it; either way no library comes of it.
        io::ErrorKind::Unsupported => OpenFailure::Unreadable(Refusal::new("file too short")),
        _ => OpenFailure::Other(os_text(error)),
    }
}
