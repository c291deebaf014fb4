//! Everything outside the files that decides a search: the C library and its version, the directories built
//! into its loader, the cache, LD_LIBRARY_PATH, the processor. A value, so that two runs with the same one agree.

mod cpu;
mod loader_file;
mod machine;

use std::fmt;
use std::path::{Path, PathBuf};

pub use self::cpu::{CpuLevel, LegacyNames};
use self::cpu::{hwcaps, legacy_subdirectories};
use self::loader_file::LoaderFacts;
pub(crate) use self::machine::musl_arch;
pub use self::machine::usual_interpreter;
use self::machine::{platform, usual_directories};
use super::cache::LdSoCache;
use super::trace::{LoadError, LoadErrorKind};
use crate::fs::Fs;
use crate::limits;
use crate::model::{Table, Target};
use crate::name::{Name, bytes_as_path, path_bytes, shown_path};

/// Which C library's loader is modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Libc {
    /// glibc of a version: (2, 36).
    Glibc(u32, u32),
    /// musl.
    Musl,
}

impl Libc {
    /// The newest glibc whose rules were checked; assumed where no version can be read.
    pub const NEWEST_GLIBC: Self = Self::Glibc(2, 42);

    /// Whether this is glibc, and at least of a version.
    pub fn is_glibc_since(self, major: u32, minor: u32) -> bool {
        matches!(self, Self::Glibc(a, b) if (a, b) >= (major, minor))
    }
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glibc(major, minor) => write!(f, "glibc {major}.{minor}"),
            Self::Musl => f.write_str("musl"),
        }
    }
}

/// What the loader knows before it opens the first library.
#[derive(Debug, Clone)]
pub struct LoaderEnv {
    /// The C library.
    pub libc: Libc,
    /// The machine that the process runs on.
    pub target: Target,
    /// LD_LIBRARY_PATH of the process; never taken from this program's own environment.
    pub library_path: Option<Name>,
    /// The current directory of the process, which relative and empty elements mean. Unknown for a server:
    /// it is the data directory.
    pub current_directory: Option<PathBuf>,
    /// The directories built into the loader, in order.
    pub system_directories: Vec<PathBuf>,
    /// What `$LIB` stands for.
    pub lib: Name,
    /// What `$PLATFORM` stands for.
    pub platform: Option<Name>,
    /// Subdirectories tried before each directory itself, in order: `glibc-hwcaps/x86-64-v3`, `tls`.
    pub subdirectories: Vec<Name>,
    /// The names of `glibc-hwcaps` subdirectories that the processor supports, best first.
    pub hwcaps: Vec<Name>,
    /// The processor, where it is known.
    pub cpu: Option<CpuLevel>,
    /// `/etc/ld.so.cache`.
    pub cache: Table<LdSoCache>,
    /// The loader: what the program names, or programs of the machine usually do.
    pub loader: Option<PathBuf>,
    /// Whether the loader is there. Without it no system of its machine is, and what a search does not find may be in one.
    pub has_system: bool,
    /// Whether a file of another machine is passed over before the rest of its `e_ident` is judged. Debian's and Ubuntu's
    /// builds of glibc do so, for their directories may hold libraries of several machines; others refuse a file of the other
    /// byte order for good (seen with 2.36-9+deb12u14: EI_DATA, EI_OSABI and padding do not matter there).
    pub skips_foreign_machines_first: bool,
    /// What is known of the program where its own file is not at hand.
    pub described: Option<Described>,
}

/// A program of which there is a description instead of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// Where the program lies, every link resolved: what its `$ORIGIN` starts from. Where that is not known, neither is
    /// `$ORIGIN`.
    pub program: Option<PathBuf>,
    /// Where its loader found libraries, by name.
    pub libraries: Vec<(Name, PathBuf)>,
}

/// What decides a [`LoaderEnv`] beside the files.
#[derive(Debug, Clone, Default)]
pub struct LoaderOptions {
    /// Instead of what the program's PT_INTERP says.
    pub libc: Option<Libc>,
    /// LD_LIBRARY_PATH.
    pub library_path: Option<Name>,
    /// The current directory of the process, where it is known.
    pub current_directory: Option<PathBuf>,
    /// The processor; where it is not known, the baseline's libraries are searched, which every one has.
    pub cpu: Option<CpuLevel>,
    /// What glibc up to 2.36 calls the processor beside that.
    pub legacy: LegacyNames,
}

impl LoaderEnv {
    /// Reads what the loader of `target` knows from the tree: version, directories and `$LIB` from the loader
    /// itself (`interpreter`, or the usual path for the machine), and the cache.
    pub fn read(fs: &dyn Fs, target: Target, interpreter: Option<&Path>, options: &LoaderOptions) -> Self {
        let usual = usual_interpreter(target);
        let interpreter = interpreter.or(usual.map(Path::new));
        let is_of_musl = match options.libc {
            Some(libc) => libc == Libc::Musl,
            None => interpreter.is_some_and(is_musl),
        };
        if is_of_musl {
            return Self::musl(fs, target, interpreter, options);
        }
        let facts = interpreter.and_then(|path| LoaderFacts::read(fs, path).ok());
        let has_system = facts.is_some();
        let facts = facts.unwrap_or_default();
        let libc = options
            .libc
            .or(facts.version.map(|(major, minor)| Libc::Glibc(major, minor)))
            .unwrap_or(Libc::NEWEST_GLIBC);
        let system_directories = if facts.system_directories.is_empty() {
            usual_directories(target)
        } else {
            facts.system_directories
        };
        let lib = system_directories.first().map_or_else(|| Name::from("lib"), |first| lib_token(first));
        let legacy = if libc.is_glibc_since(2, 37) { LegacyNames::default() } else { options.legacy };
        let platform = legacy.platform.map(Name::from).or_else(|| platform(target));
        let hwcaps = hwcaps(target, options.cpu.unwrap_or_default());
        let mut subdirectories = Vec::new();
        if libc.is_glibc_since(2, 33) {
            subdirectories
                .extend(hwcaps.iter().map(|name| Name::from(format!("glibc-hwcaps/{name}").as_str())));
        }
        if !libc.is_glibc_since(2, 37) {
            subdirectories.extend(legacy_subdirectories(target, platform.as_ref(), legacy.hwcap));
        }
        Self {
            libc,
            target,
            library_path: options.library_path.clone(),
            current_directory: options.current_directory.clone(),
            system_directories,
            lib,
            platform,
            subdirectories,
            hwcaps: if libc.is_glibc_since(2, 33) { hwcaps } else { Vec::new() },
            cpu: options.cpu,
            cache: LdSoCache::read(fs, target),
            loader: interpreter.map(Path::to_owned),
            has_system,
            skips_foreign_machines_first: facts.is_multiarch_build,
            described: None,
        }
    }

    /// musl: no cache, no subdirectories; the default path is a file or built in.
    fn musl(fs: &dyn Fs, target: Target, interpreter: Option<&Path>, options: &LoaderOptions) -> Self {
        let loader = interpreter
            .filter(|path| is_musl(path))
            .map_or_else(|| super::musl_interpreter(target), Path::to_owned);
        let file = format!("/etc/ld-musl-{}.path", musl_arch(target));
        // ldso/dynlink.c `load_library`: elements end at a newline or colon, empty ones are skipped by `path_open`.
        let listed = fs.read_small(Path::new(&file), limits::TEXT_FILE_BYTES).ok().map(|text| {
            text.split(|byte| matches!(byte, b'\n' | b':'))
                .filter(|element| !element.is_empty())
                .map(|element| bytes_as_path(element).to_owned())
                .collect()
        });
        let built_in = || ["/lib", "/usr/local/lib", "/usr/lib"].map(PathBuf::from).to_vec();
        Self {
            libc: Libc::Musl,
            target,
            library_path: options.library_path.clone(),
            current_directory: options.current_directory.clone(),
            system_directories: listed.unwrap_or_else(built_in),
            lib: Name::default(),
            platform: None,
            subdirectories: Vec::new(),
            hwcaps: Vec::new(),
            cpu: options.cpu,
            cache: Table::Absent,
            has_system: fs.metadata(&loader).is_ok(),
            loader: Some(loader),
            skips_foreign_machines_first: false,
            described: None,
        }
    }

    /// The system that this environment is of, in words: "aarch64 (/lib/ld-linux-aarch64.so.1)".
    pub fn system_words(&self) -> String {
        match &self.loader {
            Some(loader) => format!("{} ({})", self.target, shown_path(loader)),
            None => self.target.to_string(),
        }
    }

    /// How a search ended that found nothing in the whole system.
    pub(super) fn nowhere(&self) -> LoadErrorKind {
        if self.has_system { LoadErrorKind::NotFound } else { LoadErrorKind::NoSystem }
    }

    /// Why nothing can be said of a file whose loading ended with an error, if that is so.
    pub fn why_unknown(&self, error: &LoadError) -> Option<String> {
        match error.kind {
            LoadErrorKind::Unreadable | LoadErrorKind::Limit => Some(error.message.clone()),
            LoadErrorKind::NoSystem => Some(format!(
                "no system for {} is here, and whether it has {} is not known (--root)",
                self.system_words(),
                error.message.split(':').next().unwrap_or_default()
            )),
            LoadErrorKind::Elsewhere => Some(format!(
                "{}: the server has the library, says its profile, and it is not here (--root)",
                error.message
            )),
            LoadErrorKind::LaterMinor => Some(format!(
                "{}: no server that is built in has it, and what minor releases after theirs added is not known \
                 (--server)",
                error.message
            )),
            _ => None,
        }
    }

    /// Where the description of the program has a library.
    pub(super) fn described_library(&self, name: &[u8]) -> Option<&Path> {
        let libraries = &self.described.as_ref()?.libraries;
        libraries.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, path)| &**path)
    }

    /// The directories below a `--root` or elsewhere that the loader would search without being told.
    pub fn is_system_directory(&self, directory: &Path) -> bool {
        self.system_directories.iter().any(|system| system == directory)
    }
}

/// `$LIB` is the part of the first system directory behind `/` or `/usr/` (DL_DST_LIB is made from the same
/// build variable, `slibdir`).
fn lib_token(first: &Path) -> Name {
    let below = first.strip_prefix("/usr").or_else(|_| first.strip_prefix("/")).unwrap_or(first);
    Name::from(path_bytes(below))
}

fn is_musl(loader: &Path) -> bool {
    loader.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"ld-musl-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_lib_is_the_first_directory_without_usr() {
        assert_eq!(lib_token(Path::new("/lib/x86_64-linux-gnu")), Name::from("lib/x86_64-linux-gnu"));
        assert_eq!(lib_token(Path::new("/usr/lib64")), Name::from("lib64"));
    }
}
