//! What only Mach-O has: the slice of a fat file, load commands, segments, the two-level namespace with its ordinals,
//! the platform and the code signature. Names of symbols stand here as dyld sees them, with the leading underscore of
//! the C compiler; [`Module::symbols`](super::Module::symbols) has them as people write them.

mod arch;
mod binding;
mod signature;

use std::fmt;

use object::macho;

pub use self::arch::{FatSlice, MachArch, Slice};
pub use self::binding::{
    ExportSource, ExportTarget, ImportSource, ImportUsage, MachExport, MachImport, Ordinal,
    without_underscore,
};
pub use self::signature::{CodeDirectory, CodeSignature, HashKind, StalePages};
use super::Table;
use crate::error::FileError;
use crate::name::Name;

/// Mach-O facts, beside those in [`Module`](super::Module).
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_show_two_parts_or_three() {
        assert_eq!(MachVersion::new(13, 0, 0).to_string(), "13.0");
        assert_eq!(MachVersion::new(1345, 120, 2).to_string(), "1345.120.2");
    }
}
