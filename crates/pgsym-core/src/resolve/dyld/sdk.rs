//! An SDK of macOS: which libraries the system has, and what the stub of each lists. A stub lists what may be linked, which
//! is not all that the library has, so that a name which is missing there is doubtful and not absent.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::environment::might_be_in_shared_cache;
use crate::fs::Fs;
use crate::limits;
use crate::model::MachArch;
use crate::name::{Name, path_bytes};
use crate::parse::tbd::{self, Stub, StubLibrary};

/// One SDK, each stub of it read once.
pub struct Sdk {
    directory: PathBuf,
    fs: Arc<dyn Fs>,
    /// By library and architecture; none where the stub is missing or cannot be read.
    stubs: Mutex<HashMap<(PathBuf, MachArch), Option<Arc<Stub>>>>,
}

/// Whether a stub lists a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// It, or one that it re-exports, does.
    Yes,
    /// None of them does.
    No,
    /// One of them cannot be read.
    Unknown,
}

impl Sdk {
    /// The SDK in a directory (`MacOSX.sdk`).
    pub fn new(directory: PathBuf, fs: Arc<dyn Fs>) -> Self {
        Self { directory, fs, stubs: Mutex::default() }
    }

    /// Whether the system has a library of this path.
    pub(super) fn has(&self, library: &Path) -> bool {
        might_be_in_shared_cache(library)
            && self.place(library).is_some_and(|stub| self.fs.metadata(&stub).is_ok())
    }

    /// Whether a library lists a symbol, underscore included.
    pub(crate) fn lists(&self, library: &Path, symbol: &[u8], arch: MachArch) -> Listed {
        let mut pending = vec![Name::from(path_bytes(library))];
        let mut seen: Vec<Name> = Vec::new();
        let mut answer = Listed::No;
        // The libraries that come along in a stub are known by it alone.
        let mut along: Vec<Arc<Stub>> = Vec::new();
        while let Some(name) = pending.pop() {
            if seen.contains(&name) {
                continue;
            }
            if seen.len() >= limits::REEXPORT_STEPS {
                return Listed::Unknown;
            }
            let known = along.iter().find_map(|stub| library_of(stub, &name));
            let own = if known.is_some() { None } else { self.stub(name.as_path(), arch) };
            match known.or_else(|| own.as_deref().and_then(|stub| stub.libraries.first())) {
                None => answer = Listed::Unknown,
                Some(found) if found.exports(symbol) => return Listed::Yes,
                Some(found) => pending.extend(found.reexported.iter().cloned()),
            }
            along.extend(own);
            seen.push(name);
        }
        answer
    }

    fn stub(&self, library: &Path, arch: MachArch) -> Option<Arc<Stub>> {
        let mut stubs = self.stubs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = stubs.get(&(library.to_owned(), arch)) {
            return known.clone();
        }
        let read = self.place(library).and_then(|place| self.fs.read_small(&place, limits::STUB_BYTES).ok());
        let stub = read.and_then(|bytes| tbd::parse(&bytes, arch).ok()).map(Arc::new);
        stubs.insert((library.to_owned(), arch), stub.clone());
        stub
    }

    fn place(&self, library: &Path) -> Option<PathBuf> {
        Some(self.directory.join(library.strip_prefix("/").ok()?).with_extension("tbd"))
    }
}

fn library_of<'s>(stub: &'s Stub, name: &Name) -> Option<&'s StubLibrary> {
    stub.libraries.iter().find(|library| library.install_name == *name)
}
