//! What only Mach-O has: the slice of a fat file, load commands, the two-level namespace with its ordinals, the
//! platform and the code signature. Names of symbols stand here as dyld sees them, with the leading underscore of
//! the C compiler; [`Module::symbols`](super::Module::symbols) has them as people write them.

use std::fmt;
use std::sync::Arc;

use object::macho;

use super::{Module, Table};
use crate::error::FileError;
use crate::name::Name;

/// Mach-O facts, beside those in [`Module`].
#[derive(Debug, Clone)]
pub struct MachO {
    /// What it is for and where in the file it lies.
    pub slice: Slice,
    /// `filetype`: MH_EXECUTE, MH_DYLIB, MH_BUNDLE.
    pub file_type: macho::FileType,
    /// `flags` of the header (MH_TWOLEVEL, MH_WEAK_DEFINES).
    pub flags: u32,
    /// Every load command, in file order.
    pub commands: Vec<LoadCommand>,
    /// LC_ID_DYLIB; its name is [`Module::soname`](super::Module::soname).
    pub id: Option<DylibVersions>,
    /// One for each of [`Module::dependencies`](super::Module::dependencies), in the same order.
    pub dylibs: Vec<Dylib>,
    /// LC_BUILD_VERSION and LC_VERSION_MIN_*; a zippered library has two.
    pub platforms: Vec<PlatformVersion>,
    /// LC_UUID.
    pub uuid: Option<[u8; 16]>,
    /// LC_SEGMENT and LC_SEGMENT_64.
    pub segments: Vec<MachSegment>,
    /// Bytes between the end of the load commands and the first section's content: how far `install_name_tool` can
    /// grow a name in place. Unknown where no section has content.
    pub header_padding: Option<u64>,
    /// Load commands and tables that contradict the specification, each costing one fact.
    pub faults: Vec<FileError>,
    /// What other images can bind to, sorted by name; read when
    /// [`Facets::SYMBOLS`](crate::parse::Facets::SYMBOLS) was asked for.
    pub exports: Table<Vec<MachExport>>,
    /// Where the exports were read.
    pub export_source: ExportSource,
    /// What other images must define, each symbol once per library, sorted; read with the exports.
    pub imports: Table<Vec<MachImport>>,
    /// Where the imports were read.
    pub import_source: ImportSource,
    /// LC_CODE_SIGNATURE; read when [`Facets::SIGNATURE`](crate::parse::Facets::SIGNATURE) was asked for.
    pub signature: Table<CodeSignature>,
    /// The file's further slices, in its order; only on the first slice that can be read.
    pub further_slices: Vec<FatSlice>,
}

impl MachO {
    /// Whether imports name the library that defines them; without MH_TWOLEVEL every lookup is flat.
    pub fn is_two_level(&self) -> bool {
        self.flags & macho::MH_TWOLEVEL.0 != 0
    }

    /// The macOS entry of [`Self::platforms`], or else the first.
    pub fn platform(&self) -> Option<&PlatformVersion> {
        self.platforms.iter().find(|entry| entry.platform == macho::PLATFORM_MACOS).or(self.platforms.first())
    }

    /// The export of a name as it stands in the file, underscore included.
    pub fn export(&self, name: &[u8]) -> Option<&MachExport> {
        let exports = self.exports.get()?;
        let at = exports.binary_search_by(|export| export.name.as_bytes().cmp(name)).ok()?;
        exports.get(at)
    }

    /// The segment that an address lies in.
    pub fn segment_at(&self, address: u64) -> Option<&MachSegment> {
        self.segments
            .iter()
            .find(|segment| address >= segment.address && address - segment.address < segment.memory_size)
    }

    /// The section that an address lies in.
    pub fn section_at(&self, address: u64) -> Option<&MachSection> {
        self.segment_at(address)?
            .sections
            .iter()
            .find(|section| address >= section.address && address - section.address < section.size)
    }

    /// Where the header is mapped before sliding: the address of `__TEXT`.
    pub fn base_address(&self) -> u64 {
        self.segments.iter().find(|segment| segment.name == "__TEXT").map_or(0, |segment| segment.address)
    }
}

/// A part of a fat file, or the whole of a thin one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// What it is for.
    pub arch: MachArch,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Length in bytes.
    pub size: u64,
    /// Whether the file has a fat header.
    pub is_fat: bool,
}

/// A further slice of a fat file.
#[derive(Debug, Clone)]
pub struct FatSlice {
    /// What the fat header says that it is for.
    pub arch: MachArch,
    /// The slice, or why it cannot be read.
    pub module: Result<Arc<Module>, FileError>,
}

/// `cputype` and `cpusubtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachArch {
    /// `cputype`.
    pub cpu_type: u32,
    /// `cpusubtype`, capability bits included.
    pub cpu_subtype: u32,
}

impl MachArch {
    /// x86_64.
    pub const X86_64: Self = Self { cpu_type: macho::CPU_TYPE_X86_64.0, cpu_subtype: 3 };
    /// arm64.
    pub const ARM64: Self = Self { cpu_type: macho::CPU_TYPE_ARM64.0, cpu_subtype: 0 };

    /// The name that `lipo` uses: `arm64`, `arm64e`, `x86_64`.
    pub fn name(self) -> String {
        let subtype = self.cpu_subtype & !macho::CPU_SUBTYPE_MASK;
        let name = match (macho::CpuType(self.cpu_type), subtype) {
            (macho::CPU_TYPE_X86_64, 8) => "x86_64h",
            (macho::CPU_TYPE_X86_64, _) => "x86_64",
            (macho::CPU_TYPE_X86, _) => "i386",
            (macho::CPU_TYPE_ARM64, 2) => "arm64e",
            (macho::CPU_TYPE_ARM64, _) => "arm64",
            (macho::CPU_TYPE_ARM64_32, _) => "arm64_32",
            (macho::CPU_TYPE_ARM, 9) => "armv7",
            (macho::CPU_TYPE_ARM, 11) => "armv7s",
            (macho::CPU_TYPE_ARM, _) => "arm",
            (macho::CPU_TYPE_POWERPC, _) => "ppc",
            (macho::CPU_TYPE_POWERPC64, _) => "ppc64",
            _ => return format!("cputype {:#x} subtype {subtype:#x}", self.cpu_type),
        };
        name.to_owned()
    }

    /// The architecture of a name as [`Self::name`] writes it; `aarch64` is arm64 too.
    pub fn from_name(name: &str) -> Option<Self> {
        let of = |cpu_type: macho::CpuType, cpu_subtype| Some(Self { cpu_type: cpu_type.0, cpu_subtype });
        match name {
            "x86_64" | "x64" => Some(Self::X86_64),
            "x86_64h" => of(macho::CPU_TYPE_X86_64, 8),
            "arm64" | "aarch64" => Some(Self::ARM64),
            "arm64e" => of(macho::CPU_TYPE_ARM64, 2),
            "i386" => of(macho::CPU_TYPE_X86, 3),
            _ => None,
        }
    }

    /// How well a slice of `self` suits a process of `process`, best first; none where it cannot be loaded
    /// (dyld: `GradedArchitectures`). A process of third-party code is arm64, never arm64e, and an x86_64 one may run
    /// on a processor without x86_64h.
    pub fn grade(self, process: Self) -> Option<u32> {
        let subtype = |arch: Self| arch.cpu_subtype & !macho::CPU_SUBTYPE_MASK;
        if self.cpu_type != process.cpu_type {
            return None;
        }
        match (macho::CpuType(self.cpu_type), subtype(self), subtype(process)) {
            (macho::CPU_TYPE_ARM64, 2, 2) => Some(0),
            (macho::CPU_TYPE_ARM64, 2, _) | (macho::CPU_TYPE_ARM64, _, 2) => None,
            (macho::CPU_TYPE_X86_64, 8, 8) => Some(0),
            (macho::CPU_TYPE_X86_64, 8, _) => None,
            (macho::CPU_TYPE_X86_64, _, 8) => Some(1),
            _ => Some(0),
        }
    }
}

impl fmt::Display for MachArch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// One load command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadCommand {
    /// `cmd`.
    pub kind: macho::LoadCommandType,
    /// `cmdsize` in bytes.
    pub size: u32,
    /// Bytes from the start of the slice.
    pub offset: u64,
}

/// A version as three parts: X.Y.Z in 16, 8 and 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MachVersion(pub u32);

impl MachVersion {
    /// From its parts.
    pub const fn new(major: u16, minor: u8, patch: u8) -> Self {
        Self((major as u32) << 16 | (minor as u32) << 8 | patch as u32)
    }

    /// X.
    pub fn major(self) -> u32 {
        self.0 >> 16
    }

    /// Y.
    pub fn minor(self) -> u32 {
        self.0 >> 8 & 0xff
    }

    /// Z.
    pub fn patch(self) -> u32 {
        self.0 & 0xff
    }
}

impl fmt::Display for MachVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major(), self.minor())?;
        if self.patch() != 0 {
            write!(f, ".{}", self.patch())?;
        }
        Ok(())
    }
}

/// The versions of a `dylib_command`. dyld reads them and compares nothing (dyld4, `loadDependents`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DylibVersions {
    /// `current_version`.
    pub current: MachVersion,
    /// `compatibility_version`.
    pub compatibility: MachVersion,
    /// `timestamp`: of no meaning but in a `dylib_use_command`.
    pub timestamp: u32,
}

/// One library that an image is linked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dylib {
    /// Which load command says so.
    pub command: macho::LoadCommandType,
    /// Its versions.
    pub versions: DylibVersions,
    /// The file may be missing.
    pub is_weak: bool,
    /// Its exports count as the image's own.
    pub is_reexported: bool,
    /// A cycle that is meant: initialised later.
    pub is_upward: bool,
    /// The number that imports name it by, from 1; none for LC_LAZY_LOAD_DYLIB, which dyld no longer reads.
    pub ordinal: Option<u32>,
}

/// LC_BUILD_VERSION or LC_VERSION_MIN_*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlatformVersion {
    /// Which system.
    pub platform: macho::Platform,
    /// The oldest release that it runs on.
    pub minimum: MachVersion,
    /// The SDK that it was built with.
    pub sdk: MachVersion,
}

/// The name of a platform as Apple's tools write it.
pub fn platform_name(platform: macho::Platform) -> &'static str {
    match platform {
        macho::PLATFORM_MACOS => "macOS",
        macho::PLATFORM_IOS => "iOS",
        macho::PLATFORM_TVOS => "tvOS",
        macho::PLATFORM_WATCHOS => "watchOS",
        macho::PLATFORM_BRIDGEOS => "bridgeOS",
        macho::PLATFORM_MACCATALYST => "macCatalyst",
        macho::PLATFORM_DRIVERKIT => "driverKit",
        _ => "another platform",
    }
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachSegment {
    /// `segname`.
    pub name: Name,
    /// `vmaddr`.
    pub address: u64,
    /// `vmsize` in bytes.
    pub memory_size: u64,
    /// `fileoff`: bytes from the start of the slice.
    pub offset: u64,
    /// `filesize` in bytes.
    pub file_size: u64,
    /// `initprot`.
    pub protection: u32,
    /// Its sections.
    pub sections: Vec<MachSection>,
}

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachSection {
    /// `sectname`.
    pub name: Name,
    /// `addr`.
    pub address: u64,
    /// `size` in bytes.
    pub size: u64,
    /// `offset`: bytes from the start of the slice.
    pub offset: u64,
    /// `flags`: S_* and S_ATTR_*.
    pub flags: u32,
}

impl MachSection {
    /// Whether it holds instructions (S_ATTR_PURE_INSTRUCTIONS or S_ATTR_SOME_INSTRUCTIONS).
    pub fn is_code(&self) -> bool {
        self.flags & 0x8000_0400 != 0
    }
}

/// Where the exports of an image were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportSource {
    /// LC_DYLD_EXPORTS_TRIE.
    ExportsTrie,
    /// `export_off` of LC_DYLD_INFO.
    DyldInfo,
    /// LC_SYMTAB, for lack of a trie.
    #[default]
    SymbolTable,
}

/// Where the imports of an image were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImportSource {
    /// LC_DYLD_CHAINED_FIXUPS.
    ChainedFixups,
    /// The bind opcodes of LC_DYLD_INFO.
    DyldInfo,
    /// LC_SYMTAB, for lack of either.
    #[default]
    SymbolTable,
}

/// One exported symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachExport {
    /// Its name in the file, `_` included.
    pub name: Name,
    /// EXPORT_SYMBOL_FLAGS_*.
    pub flags: macho::ExportSymbolFlags,
    /// What it leads to.
    pub target: ExportTarget,
}

impl MachExport {
    /// Whether it is coalesced with the same name of other images.
    pub fn is_weak_definition(&self) -> bool {
        self.flags.contains(macho::EXPORT_SYMBOL_FLAGS_WEAK_DEFINITION)
    }

    /// Whether another library defines it.
    pub fn is_reexport(&self) -> bool {
        matches!(self.target, ExportTarget::Reexport { .. })
    }
}

/// What an export leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportTarget {
    /// An offset from the image's base, in bytes; of an absolute symbol its value.
    Address(u64),
    /// A symbol of another library.
    Reexport {
        /// The library's number, from 1.
        ordinal: u64,
        /// The symbol there; empty for the same name.
        name: Name,
    },
    /// A stub and the function that chooses its target.
    Resolver {
        /// Offset of the stub.
        stub: u64,
        /// Offset of the resolver.
        resolver: u64,
    },
}

/// One imported symbol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MachImport {
    /// Its name in the file, `_` included.
    pub name: Name,
    /// Who must define it.
    pub from: Ordinal,
    /// How it is used; sorted last so that equal names stand together.
    pub usage: ImportUsage,
    /// Whether it may be missing.
    pub is_weak: bool,
    /// Its place in the table that it was read from, from 0: dyld stops at the first that it cannot bind.
    pub order: u32,
}

/// Which table an import stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImportUsage {
    /// Bound when the image is loaded.
    Bind,
    /// Bound at the first call, or at load with RTLD_NOW.
    Lazy,
    /// Coalesced with other images' weak definitions.
    Weak,
    /// Undefined in LC_SYMTAB.
    Symbol,
}

/// Which image must define an import (`BIND_SPECIAL_DYLIB_*` and the numbers above 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ordinal {
    /// The image itself.
    SelfImage,
    /// The library of that number, from 1.
    Library(u32),
    /// The main executable.
    Executable,
    /// Any loaded image, in load order.
    Flat,
    /// Any loaded image with a weak definition.
    Weak,
    /// A number without a meaning.
    Unknown(i32),
}

impl From<macho::BindDylib> for Ordinal {
    fn from(ordinal: macho::BindDylib) -> Self {
        match ordinal {
            macho::BIND_SPECIAL_DYLIB_SELF => Self::SelfImage,
            macho::BIND_SPECIAL_DYLIB_MAIN_EXECUTABLE => Self::Executable,
            macho::BIND_SPECIAL_DYLIB_FLAT_LOOKUP => Self::Flat,
            macho::BIND_SPECIAL_DYLIB_WEAK_LOOKUP => Self::Weak,
            macho::BindDylib(number) => u32::try_from(number).map_or(Self::Unknown(number), Self::Library),
        }
    }
}

/// LC_CODE_SIGNATURE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeSignature {
    /// The identifier of the code directory.
    pub identifier: Name,
    /// The team that signed.
    pub team: Option<Name>,
    /// CS_ADHOC: signed by nobody.
    pub is_ad_hoc: bool,
    /// CS_LINKER_SIGNED: `install_name_tool` renews it by itself.
    pub is_linker_signed: bool,
    /// Hardened runtime (CS_RUNTIME).
    pub is_hardened: bool,
    /// One for each code directory, the kernel uses the strongest.
    pub directories: Vec<CodeDirectory>,
}

/// One code directory and what its hashes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeDirectory {
    /// The hash function.
    pub hash: HashKind,
    /// Bytes of the slice that are covered.
    pub code_limit: u64,
    /// Pages hashed.
    pub pages: u32,
    /// The pages whose content has another hash: number of the first and how many; none where all agree.
    pub stale: Option<StalePages>,
}

/// Pages that were changed after signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StalePages {
    /// Number of the first, from 0.
    pub first: u32,
    /// How many there are.
    pub count: u32,
}

/// The hash function of a code directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashKind {
    /// SHA-1.
    Sha1,
    /// SHA-256, whole or cut to 20 bytes.
    Sha256,
    /// Another, which is not checked.
    Other(u8),
}

/// A Mach-O name as people write it: without the underscore that the C compiler puts before each.
pub fn without_underscore(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"_").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm64e_slice_is_no_use_to_an_arm64_process() {
        let arm64e = MachArch::from_name("arm64e").unwrap();
        assert_eq!(arm64e.grade(MachArch::ARM64), None);
        assert_eq!(MachArch::ARM64.grade(MachArch::ARM64), Some(0));
        assert_eq!(MachArch::X86_64.grade(MachArch::ARM64), None);
    }

    #[test]
    fn versions_show_two_parts_or_three() {
        assert_eq!(MachVersion::new(13, 0, 0).to_string(), "13.0");
        assert_eq!(MachVersion::new(1345, 120, 2).to_string(), "1345.120.2");
    }

    #[test]
    fn one_underscore_is_the_compilers() {
        assert_eq!(without_underscore(b"__PG_init"), b"_PG_init");
        assert_eq!(without_underscore(b"dyld_stub_binder"), b"dyld_stub_binder");
    }
}
