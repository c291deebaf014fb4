//! What decides dyld's search beside the files: the process's architecture, the DYLD_* variables, and which
//! libraries the system has without a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sdk::{Listed, Sdk};
use super::trace::DyldVia;
use crate::model::{MachArch, MachVersion};
use crate::name::path_bytes;

/// dyld's environment, as a value.
#[derive(Clone)]
pub struct DyldEnv {
    /// What the process runs as.
    pub arch: MachArch,
    /// DYLD_LIBRARY_PATH: looked at before anything else, by the last component of the name.
    pub library_path: Vec<PathBuf>,
    /// DYLD_FALLBACK_LIBRARY_PATH, in the place of the fallback directories.
    pub fallback_library_path: Option<Vec<PathBuf>>,
    /// The current directory of the process, which relative names mean. Unknown for a server.
    pub current_directory: Option<PathBuf>,
    /// The libraries of the system.
    pub system: SystemLibraries,
}

/// What the system has in its shared cache, where no file shows it.
#[derive(Clone)]
pub enum SystemLibraries {
    /// Everything below the directories that the cache is made from; what they export is not known.
    ByPrefix,
    /// What an SDK has a stub for.
    Sdk(Arc<Sdk>),
}

/// A path as macOS shows the second place where it looks for system files, since macOS 13.
pub(super) const CRYPTEX: &str = "/System/Volumes/Preboot/Cryptexes/OS";

/// The SDK of macOS 14: dyld keeps the fallback directories for images built before
/// (`Malformed::sdkOnOrAfter2022`, whose name says another year).
pub(super) const SDK_WITHOUT_FALLBACKS: MachVersion = MachVersion::new(14, 0, 0);

/// The SDK of macOS 26: dyld refuses an image that names an LC_RPATH or a library twice (`Policy`, fall 2025).
pub(crate) const SDK_WITHOUT_DUPLICATES: MachVersion = MachVersion::new(26, 0, 0);

impl DyldEnv {
    /// The environment of a process without DYLD_* variables.
    pub fn new(arch: MachArch) -> Self {
        Self {
            arch,
            library_path: Vec::new(),
            fallback_library_path: None,
            current_directory: None,
            system: SystemLibraries::ByPrefix,
        }
    }

    /// Whether the shared cache has a library of this path. By prefix alone, a path counts that a file names itself; one
    /// that dyld puts together out of a search directory and a name says nothing of what is there, unless it is Swift's.
    pub(super) fn is_in_shared_cache(&self, path: &Path, via: DyldVia) -> bool {
        match &self.system {
            SystemLibraries::ByPrefix => {
                let is_named = match via {
                    DyldVia::Fallback | DyldVia::LibraryPath => false,
                    DyldVia::Rpath { .. } => path_bytes(path).starts_with(b"/usr/lib/swift/libswift"),
                    DyldVia::Loaded
                    | DyldVia::Path
                    | DyldVia::LoaderPath
                    | DyldVia::ExecutablePath
                    | DyldVia::System => true,
                };
                is_named && might_be_in_shared_cache(path)
            }
            SystemLibraries::Sdk(sdk) => sdk.has(path),
        }
    }
}

impl SystemLibraries {
    /// Whether a library of the system has a symbol, underscore included, as far as an SDK says.
    pub(super) fn lists(&self, library: &Path, symbol: &[u8], arch: MachArch) -> Listed {
        match self {
            Self::ByPrefix => Listed::Unknown,
            Self::Sdk(sdk) => sdk.lists(library, symbol, arch),
        }
    }
}

/// dyld's own prefixes (Loader.cpp, `mightBeInSharedCache`).
pub fn might_be_in_shared_cache(path: &Path) -> bool {
    let path = path_bytes(path);
    [
        &b"/usr/lib/"[..],
        b"/System/Library/",
        b"/System/iOSSupport/usr/lib/",
        b"/System/iOSSupport/System/Library/",
        b"/System/DriverKit/",
    ]
    .iter()
    .any(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_libraries_are_told_from_local_ones() {
        assert!(might_be_in_shared_cache(Path::new("/usr/lib/libSystem.B.dylib")));
        assert!(!might_be_in_shared_cache(Path::new("/usr/local/lib/libpq.5.dylib")));
        assert!(!might_be_in_shared_cache(Path::new("/opt/homebrew/lib/libpq.5.dylib")));
    }
}
