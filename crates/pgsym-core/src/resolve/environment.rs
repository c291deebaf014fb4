//! Everything outside the files that decides a search: the C library and its version, the directories built
//! into its loader, the cache, LD_LIBRARY_PATH, the processor. A value, so that two runs with the same one agree.

use std::path::{Path, PathBuf};

use object::elf;

use super::cache::LdSoCache;
use super::trace::{LoadError, LoadErrorKind};
use crate::error::FileError;
use crate::fs::Fs;
use crate::limits;
use crate::model::{Class, Endian, Table, Target};
use crate::name::{Name, bytes_as_path, shown_path};
use crate::source::read_range;

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

impl std::fmt::Display for Libc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Glibc(major, minor) => write!(f, "glibc {major}.{minor}"),
            Self::Musl => f.write_str("musl"),
        }
    }
}

/// The x86-64 micro-architecture level of the processor, which decides about `glibc-hwcaps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum CpuLevel {
    /// The baseline.
    #[default]
    V1,
    /// SSE4.2.
    V2,
    /// AVX2.
    V3,
    /// AVX-512.
    V4,
}

impl std::fmt::Display for CpuLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V1 => "x86-64-v1",
            Self::V2 => "x86-64-v2",
            Self::V3 => "x86-64-v3",
            Self::V4 => "x86-64-v4",
        })
    }
}

impl CpuLevel {
    /// The level of this machine's processor, decided as glibc does (sysdeps/x86/get-isa-level.h).
    #[cfg(target_arch = "x86_64")]
    pub fn of_this_machine() -> Self {
        use std::is_x86_feature_detected as has;
        let v2 = has!("cmpxchg16b")
            && has!("popcnt")
            && has!("sse3")
            && has!("ssse3")
            && has!("sse4.1")
            && has!("sse4.2");
        let v3 = v2
            && has!("avx")
            && has!("avx2")
            && has!("bmi1")
            && has!("bmi2")
            && has!("f16c")
            && has!("fma")
            && has!("lzcnt")
            && has!("movbe");
        let v4 = v3
            && has!("avx512f")
            && has!("avx512bw")
            && has!("avx512cd")
            && has!("avx512dq")
            && has!("avx512vl");
        match (v2, v3, v4) {
            (_, _, true) => Self::V4,
            (_, true, _) => Self::V3,
            (true, ..) => Self::V2,
            _ => Self::V1,
        }
    }

    /// The level of this machine's processor: other machines have no such levels.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn of_this_machine() -> Self {
        Self::V1
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

/// What glibc up to 2.36 calls some processors of Intel: directories of these names are searched, and `$PLATFORM` is one
/// of them (`init_cpu_features`, sysdeps/x86/cpu-features.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LegacyNames {
    /// `haswell` or `xeon_phi`, instead of what the kernel says.
    pub platform: Option<&'static str>,
    /// `avx512_1`.
    pub hwcap: Option<&'static str>,
}

impl LoaderEnv {
    /// Reads what the loader of `target` knows from the tree: version, directories and `$LIB` from the loader
    /// itself (`interpreter`, or the usual path for the machine), and the cache.
    pub fn read(fs: &dyn Fs, target: Target, interpreter: Option<&Path>, options: &LoaderOptions) -> Self {
        let usual = usual_interpreter(target);
        let interpreter = interpreter.or(usual.map(Path::new));
        let is_musl = match options.libc {
            Some(libc) => libc == Libc::Musl,
            None => interpreter
                .and_then(Path::file_name)
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"ld-musl-")),
        };
        if is_musl {
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
        }
    }

    /// musl: no cache, no subdirectories; the default path is a file or built in.
    fn musl(fs: &dyn Fs, target: Target, interpreter: Option<&Path>, options: &LoaderOptions) -> Self {
        let names_musl = |path: &&Path| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"ld-musl-"))
        };
        let loader =
            interpreter.filter(names_musl).map_or_else(|| super::musl_interpreter(target), Path::to_owned);
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
            LoadErrorKind::LaterMinor => Some(format!(
                "{}: no server that is built in has it, and what minor releases after theirs added is not known \
                 (--server)",
                error.message
            )),
            _ => None,
        }
    }

    /// The directories below a `--root` or elsewhere that the loader would search without being told.
    pub fn is_system_directory(&self, directory: &Path) -> bool {
        self.system_directories.iter().any(|system| system == directory)
    }
}

/// What stands in the loader's own file.
#[derive(Debug, Default)]
struct LoaderFacts {
    version: Option<(u32, u32)>,
    system_directories: Vec<PathBuf>,
    /// `ld.so (Debian GLIBC 2.36-9+deb12u14)`
    is_multiarch_build: bool,
}

impl LoaderFacts {
    /// Reads the loader's read-only data as text. glibc's build puts `system_dirs` there as one array of
    /// NUL-terminated directories with trailing slashes (elf/dl-load.c, SYSTEM_DIRS), and the sentence
    /// `… release version 2.36.` (elf/dl-usage.c).
    fn read(fs: &dyn Fs, path: &Path) -> Result<Self, FileError> {
        let (source, _) = fs.open(path)?;
        let bytes = read_range(&*source, 0, source.len().min(limits::LOADER_BYTES), "the loader")?;
        Ok(Self {
            version: release_version(&bytes),
            system_directories: system_directories(&bytes),
            is_multiarch_build: is_multiarch_build(&bytes),
        })
    }
}

fn is_multiarch_build(bytes: &[u8]) -> bool {
    use bstr::ByteSlice as _;
    [&b"(Debian GLIBC "[..], b"(Ubuntu GLIBC "].iter().any(|banner| bytes.find(banner).is_some())
}

fn release_version(bytes: &[u8]) -> Option<(u32, u32)> {
    use bstr::ByteSlice as _;
    let sentence = b"release version ";
    let start = bytes.find(sentence)? + sentence.len();
    let text = bytes.get(start..(start + 16).min(bytes.len()))?;
    let digits = |bytes: &[u8]| -> Option<(u32, usize)> {
        let length = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        Some((std::str::from_utf8(&bytes[..length]).ok()?.parse().ok()?, length))
    };
    let (major, length) = digits(text)?;
    let (minor, _) = digits(text.get(length..)?.strip_prefix(b".")?)?;
    Some((major, minor))
}

/// The longest run of two or more absolute directories with trailing slashes, each ended by a NUL.
fn system_directories(bytes: &[u8]) -> Vec<PathBuf> {
    use bstr::ByteSlice as _;
    let is_directory = |text: &&[u8]| {
        text.len() > 1
            && text.len() < 256
            && text.starts_with(b"/")
            && text.ends_with(b"/")
            && text.iter().all(u8::is_ascii_graphic)
    };
    let mut best: Vec<&[u8]> = Vec::new();
    let mut done = 0;
    // Between two of them stands the end of one and the start of the next.
    for at in bytes.find_iter(b"/\0/") {
        if at < done {
            continue;
        }
        // The first string of the array may follow other bytes without a NUL between: none was seen to.
        let start = bytes[..at].rfind_byte(0).map_or(0, |nul| nul + 1);
        let run: Vec<&[u8]> = bytes[start..].split(|&byte| byte == 0).take_while(is_directory).collect();
        done = start + run.iter().map(|text| text.len() + 1).sum::<usize>();
        if run.len() > best.len() && run.len() >= 2 {
            best = run;
        }
    }
    best.iter().map(|text| bytes_as_path(&text[..text.len() - 1]).to_owned()).collect()
}

/// `$LIB` is the part of the first system directory behind `/` or `/usr/` (DL_DST_LIB is made from the same
/// build variable, `slibdir`).
fn lib_token(first: &Path) -> Name {
    let below = first.strip_prefix("/usr").or_else(|_| first.strip_prefix("/")).unwrap_or(first);
    Name::from(crate::name::path_bytes(below))
}

/// The loader that programs of a machine name in PT_INTERP, after the psABI of each.
pub fn usual_interpreter(target: Target) -> Option<&'static str> {
    Some(match (target.machine, target.class, target.endian) {
        (elf::EM_X86_64, Class::Bits64, _) => "/lib64/ld-linux-x86-64.so.2",
        (elf::EM_X86_64, Class::Bits32, _) => "/libx32/ld-linux-x32.so.2",
        (elf::EM_386, ..) => "/lib/ld-linux.so.2",
        (elf::EM_AARCH64, ..) => "/lib/ld-linux-aarch64.so.1",
        (elf::EM_ARM, ..) => "/lib/ld-linux-armhf.so.3",
        (elf::EM_PPC64, _, Endian::Little) => "/lib64/ld64.so.2",
        (elf::EM_S390, Class::Bits64, _) => "/lib/ld64.so.1",
        (elf::EM_RISCV, Class::Bits64, _) => "/lib/ld-linux-riscv64-lp64d.so.1",
        (elf::EM_LOONGARCH, Class::Bits64, _) => "/lib64/ld-linux-loongarch-lp64d.so.1",
        _ => return None,
    })
}

/// Where no loader is at hand: the layout of the FHS with the Debian directories before it, which do
/// not exist elsewhere.
fn usual_directories(target: Target) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    if let Some(tuple) = multiarch_tuple(target) {
        directories.push(PathBuf::from(format!("/lib/{tuple}")));
        directories.push(PathBuf::from(format!("/usr/lib/{tuple}")));
    }
    let names: &[&str] = match target.class {
        Class::Bits64 => &["/lib64", "/usr/lib64", "/lib", "/usr/lib"],
        Class::Bits32 => &["/lib", "/usr/lib"],
    };
    directories.extend(names.iter().map(PathBuf::from));
    directories
}

/// Debian's name of a machine.
fn multiarch_tuple(target: Target) -> Option<&'static str> {
    Some(match (target.machine, target.class, target.endian) {
        (elf::EM_X86_64, Class::Bits64, _) => "x86_64-linux-gnu",
        (elf::EM_386, ..) => "i386-linux-gnu",
        (elf::EM_AARCH64, ..) => "aarch64-linux-gnu",
        (elf::EM_ARM, ..) => "arm-linux-gnueabihf",
        (elf::EM_PPC64, _, Endian::Little) => "powerpc64le-linux-gnu",
        (elf::EM_S390, Class::Bits64, _) => "s390x-linux-gnu",
        (elf::EM_RISCV, Class::Bits64, _) => "riscv64-linux-gnu",
        _ => return None,
    })
}

pub(crate) fn musl_arch(target: Target) -> &'static str {
    match (target.machine, target.class, target.endian) {
        (elf::EM_X86_64, Class::Bits64, _) => "x86_64",
        (elf::EM_X86_64, Class::Bits32, _) => "x32",
        (elf::EM_386, ..) => "i386",
        (elf::EM_AARCH64, ..) => "aarch64",
        (elf::EM_ARM, ..) => "armhf",
        (elf::EM_PPC64, _, Endian::Little) => "powerpc64le",
        (elf::EM_S390, ..) => "s390x",
        (elf::EM_RISCV, ..) => "riscv64",
        (elf::EM_LOONGARCH, ..) => "loongarch64",
        _ => "unknown",
    }
}

/// AT_PLATFORM as the kernel gives it.
fn platform(target: Target) -> Option<Name> {
    let name = match (target.machine, target.class) {
        (elf::EM_X86_64, _) => "x86_64",
        (elf::EM_386, _) => "i686",
        (elf::EM_AARCH64, _) => "aarch64",
        (elf::EM_ARM, _) => "v7l",
        _ => return None,
    };
    Some(Name::from(name))
}

/// The `glibc-hwcaps` subdirectories that a processor supports, best first (sysdeps/*/dl-hwcaps-subdirs.c).
fn hwcaps(target: Target, cpu: CpuLevel) -> Vec<Name> {
    if (target.machine, target.class) != (elf::EM_X86_64, Class::Bits64) {
        return Vec::new();
    }
    [(CpuLevel::V4, "x86-64-v4"), (CpuLevel::V3, "x86-64-v3"), (CpuLevel::V2, "x86-64-v2")]
        .into_iter()
        .filter(|&(level, _)| level <= cpu)
        .map(|(_, name)| Name::from(name))
        .collect()
}

/// The subdirectories of glibc up to 2.36: every subset of `tls`, the platform, the processor's hwcap and on x86-64 the
/// hwcap `x86_64`, in falling order (elf/dl-hwcaps.c `_dl_important_hwcaps`; the order was read off LD_DEBUG=libs).
fn legacy_subdirectories(target: Target, platform: Option<&Name>, hwcap: Option<&str>) -> Vec<Name> {
    let mut parts = vec!["tls".to_owned()];
    parts.extend(platform.map(ToString::to_string));
    parts.extend(hwcap.map(str::to_owned));
    if target.machine == elf::EM_X86_64 {
        parts.push("x86_64".to_owned());
    }
    let mut subdirectories: Vec<Name> = Vec::new();
    for mask in (1..1_u32 << parts.len()).rev() {
        let chosen: Vec<&str> = parts
            .iter()
            .enumerate()
            .filter(|(index, _)| mask & (1 << (parts.len() - 1 - index)) != 0)
            .map(|(_, part)| part.as_str())
            .collect();
        let name = Name::from(chosen.join("/").as_str());
        // The second probe of the same directory cannot answer differently.
        if !subdirectories.contains(&name) {
            subdirectories.push(name);
        }
    }
    subdirectories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_subdirectories_come_in_the_order_of_the_loader() {
        let target = Target::X86_64;
        let names = |platform, hwcap| -> Vec<String> {
            let found = legacy_subdirectories(target, Some(&Name::from(platform)), hwcap);
            found.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            names("x86_64", None),
            ["tls/x86_64/x86_64", "tls/x86_64", "tls", "x86_64/x86_64", "x86_64"]
        );
        // As a processor with AVX-512 lists them.
        assert_eq!(
            names("haswell", Some("avx512_1"))[..8],
            [
                "tls/haswell/avx512_1/x86_64",
                "tls/haswell/avx512_1",
                "tls/haswell/x86_64",
                "tls/haswell",
                "tls/avx512_1/x86_64",
                "tls/avx512_1",
                "tls/x86_64",
                "tls"
            ]
        );
    }

    #[test]
    fn directories_and_version_are_read_from_the_loader_itself() {
        let text =
            b"junk\0/etc/ld.so.cache\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0\
            ld.so (Debian GLIBC 2.36-9) stable release version 2.36.\n\0";
        let directories = system_directories(text);
        assert_eq!(directories.len(), 4);
        assert_eq!(directories[0], Path::new("/lib/x86_64-linux-gnu"));
        assert_eq!(release_version(text), Some((2, 36)));
        assert!(is_multiarch_build(text));
        assert_eq!(lib_token(&directories[0]), Name::from("lib/x86_64-linux-gnu"));
        assert_eq!(lib_token(Path::new("/usr/lib64")), Name::from("lib64"));
    }
}
