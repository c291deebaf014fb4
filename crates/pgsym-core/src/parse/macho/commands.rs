//! The header and the load commands: everything that stands before the first page of code. One command that
//! contradicts itself costs its own fact; a list that cannot be walked ends the file.

use object::endian::Endianness;
use object::macho;
use object::read::macho::{LoadCommandData, LoadCommandIterator, LoadCommandVariant, Section as _};

use super::object_error;
use crate::error::FileError;
use crate::limits;
use crate::model::{
    Dependency, DependencyKind, Dylib, DylibVersions, LoadCommand, MachArch, MachSection, MachSegment,
    MachVersion, PlatformVersion, SearchPath, SearchPathKind,
};
use crate::name::Name;
use crate::source::{Source, read_range};

/// What the header and the load commands say.
pub(super) struct Commands {
    pub(super) arch: MachArch,
    pub(super) is_64: bool,
    pub(super) is_big_endian: bool,
    pub(super) file_type: macho::FileType,
    pub(super) flags: u32,
    pub(super) list: Vec<LoadCommand>,
    pub(super) id: Option<(Name, DylibVersions)>,
    /// An error where one library's name cannot be read: the numbers of all after it would be wrong.
    pub(super) dependencies: Result<Vec<Dependency>, FileError>,
    pub(super) dylibs: Vec<Dylib>,
    pub(super) rpaths: Vec<SearchPath>,
    pub(super) platforms: Vec<PlatformVersion>,
    pub(super) uuid: Option<[u8; 16]>,
    pub(super) segments: Vec<MachSegment>,
    pub(super) header_padding: Option<u64>,
    pub(super) faults: Vec<FileError>,
    pub(super) linkedit: Linkedit,
}

/// Where the tables of `__LINKEDIT` lie.
#[derive(Default)]
pub(super) struct Linkedit {
    pub(super) endian: Endianness,
    pub(super) is_64: bool,
    pub(super) is_two_level: bool,
    pub(super) symtab: Option<SymtabPlace>,
    pub(super) dyld_info: Option<DyldInfoPlaces>,
    pub(super) exports_trie: Option<Range>,
    pub(super) chained_fixups: Option<Range>,
    pub(super) code_signature: Option<Range>,
}

/// Offset and length in bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct Range {
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Range {
    fn new(offset: u32, size: u32) -> Self {
        Self { offset: offset.into(), size: size.into() }
    }

    /// Its bytes.
    pub(super) fn read(self, source: &dyn Source, what: &'static str) -> Result<Vec<u8>, FileError> {
        if self.size > limits::LINKEDIT_BYTES {
            return Err(FileError::limit(format!("{what} has {} bytes", self.size)).at(self.offset));
        }
        read_range(source, self.offset, self.size, what)
    }
}

/// LC_SYMTAB.
#[derive(Clone, Copy)]
pub(super) struct SymtabPlace {
    pub(super) symbols: u64,
    pub(super) count: u32,
    pub(super) strings: Range,
}

/// LC_DYLD_INFO.
#[derive(Clone, Copy)]
pub(super) struct DyldInfoPlaces {
    pub(super) rebase: Range,
    pub(super) bind: Range,
    pub(super) weak_bind: Range,
    pub(super) lazy_bind: Range,
    pub(super) export: Range,
}

/// `mach_header` and `mach_header_64` in bytes.
const HEADER_32: u64 = 28;
const HEADER_64: u64 = 32;

impl Commands {
    /// Reads header and load commands of a slice.
    pub(super) fn read(source: &dyn Source) -> Result<Self, FileError> {
        let magic = read_range(source, 0, 4, "the Mach-O header")?;
        let (is_64, is_big_endian) = match *magic {
            [0xcf, 0xfa, 0xed, 0xfe] => (true, false),
            [0xce, 0xfa, 0xed, 0xfe] => (false, false),
            [0xfe, 0xed, 0xfa, 0xcf] => (true, true),
            [0xfe, 0xed, 0xfa, 0xce] => (false, true),
            _ => return Err(FileError::malformed("the slice does not begin with a Mach-O magic").at(0)),
        };
        let endian = if is_big_endian { Endianness::Big } else { Endianness::Little };
        if is_64 {
            Self::read_as::<macho::MachHeader64<Endianness>>(source, endian, HEADER_64)
        } else {
            Self::read_as::<macho::MachHeader32<Endianness>>(source, endian, HEADER_32)
        }
    }

    fn read_as<Mach>(source: &dyn Source, endian: Endianness, header_size: u64) -> Result<Self, FileError>
    where
        Mach: object::read::macho::MachHeader<Endian = Endianness>,
    {
        let head = read_range(source, 0, header_size, "the Mach-O header")?;
        let header = Mach::parse(&*head, 0).map_err(object_error)?;
        let (count, size) = (header.ncmds(endian) as usize, u64::from(header.sizeofcmds(endian)));
        if count > limits::LOAD_COMMANDS || size > limits::LOAD_COMMAND_BYTES {
            return Err(FileError::limit(format!("{count} load commands with {size} bytes")));
        }
        let head = read_range(source, 0, header_size + size, "the load commands")?;
        let header = Mach::parse(&*head, 0).map_err(object_error)?;
        let flags = header.flags(endian).0;
        let is_64 = header.is_type_64();
        let mut commands = Self {
            arch: MachArch { cpu_type: header.cputype(endian).0, cpu_subtype: header.cpusubtype(endian).0 },
            is_64,
            is_big_endian: header.is_big_endian(),
            file_type: header.filetype(endian),
            flags,
            list: Vec::with_capacity(count),
            id: None,
            dependencies: Ok(Vec::new()),
            dylibs: Vec::new(),
            rpaths: Vec::new(),
            platforms: Vec::new(),
            uuid: None,
            segments: Vec::new(),
            header_padding: None,
            faults: Vec::new(),
            linkedit: Linkedit {
                endian,
                is_64,
                is_two_level: flags & macho::MH_TWOLEVEL.0 != 0,
                ..Linkedit::default()
            },
        };
        let list = header.load_commands(endian, &*head, 0).map_err(object_error)?;
        commands.walk(list, endian)?;
        commands.check_places(source.len());
        commands.measure_padding(header_size + size);
        Ok(commands)
    }

    fn walk(
        &mut self,
        mut list: LoadCommandIterator<'_, Endianness>,
        endian: Endianness,
    ) -> Result<(), FileError> {
        while let Some(data) = list.next().map_err(object_error)? {
            let offset = data.offset();
            self.list.push(LoadCommand { kind: data.cmd(), size: data.cmdsize(), offset });
            match data.variant() {
                Ok(variant) => self.command(&data, variant, endian),
                Err(error) => self.faults.push(object_error(error).at(offset)),
            }
        }
        Ok(())
    }

    fn command(
        &mut self,
        data: &LoadCommandData<'_, Endianness>,
        variant: LoadCommandVariant<'_, Endianness>,
        endian: Endianness,
    ) {
        let entry = self.list.len() as u32 - 1;
        match variant {
            LoadCommandVariant::Segment32(segment, rest) => {
                self.segment(segment, rest, data.offset(), endian);
            }
            LoadCommandVariant::Segment64(segment, rest) => {
                self.segment(segment, rest, data.offset(), endian);
            }
            LoadCommandVariant::Dylib(command) => self.dylib(data, command, entry, endian),
            LoadCommandVariant::IdDylib(command) => match string(data, command.dylib.name, endian) {
                Ok(name) => self.id = Some((name, versions(&command.dylib, endian))),
                Err(error) => self.faults.push(error),
            },
            LoadCommandVariant::Rpath(command) => match string(data, command.path, endian) {
                Ok(raw) if self.rpaths.len() < limits::SEARCH_PATH_ELEMENTS => {
                    self.rpaths.push(SearchPath { raw, kind: SearchPathKind::LcRpath, entry });
                }
                Ok(_) => self.faults.push(FileError::limit("more LC_RPATH than are looked at")),
                Err(error) => self.faults.push(error),
            },
            LoadCommandVariant::Uuid(command) => self.uuid = Some(command.uuid),
            LoadCommandVariant::BuildVersion(command, _) => self.platforms.push(PlatformVersion {
                platform: command.platform.get(endian),
                minimum: MachVersion(command.minos.get(endian).0),
                sdk: MachVersion(command.sdk.get(endian).0),
            }),
            LoadCommandVariant::VersionMin(command) => {
                let platform = match data.cmd() {
                    macho::LC_VERSION_MIN_MACOSX => macho::PLATFORM_MACOS,
                    macho::LC_VERSION_MIN_IPHONEOS => macho::PLATFORM_IOS,
                    macho::LC_VERSION_MIN_TVOS => macho::PLATFORM_TVOS,
                    _ => macho::PLATFORM_WATCHOS,
                };
                self.platforms.push(PlatformVersion {
                    platform,
                    minimum: MachVersion(command.version.get(endian).0),
                    sdk: MachVersion(command.sdk.get(endian).0),
                });
            }
            LoadCommandVariant::Symtab(command) => {
                self.linkedit.symtab = Some(SymtabPlace {
                    symbols: command.symoff.get(endian).into(),
                    count: command.nsyms.get(endian),
                    strings: Range::new(command.stroff.get(endian), command.strsize.get(endian)),
                });
            }
            LoadCommandVariant::DyldInfo(info) => {
                let range = |offset: object::U32<Endianness>, size: object::U32<Endianness>| {
                    Range::new(offset.get(endian), size.get(endian))
                };
                self.linkedit.dyld_info = Some(DyldInfoPlaces {
                    rebase: range(info.rebase_off, info.rebase_size),
                    bind: range(info.bind_off, info.bind_size),
                    weak_bind: range(info.weak_bind_off, info.weak_bind_size),
                    lazy_bind: range(info.lazy_bind_off, info.lazy_bind_size),
                    export: range(info.export_off, info.export_size),
                });
            }
            LoadCommandVariant::LinkeditData(command) => {
                let range = Range::new(command.dataoff.get(endian), command.datasize.get(endian));
                match data.cmd() {
                    macho::LC_DYLD_EXPORTS_TRIE => self.linkedit.exports_trie = Some(range),
                    macho::LC_DYLD_CHAINED_FIXUPS => self.linkedit.chained_fixups = Some(range),
                    macho::LC_CODE_SIGNATURE => self.linkedit.code_signature = Some(range),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn dylib(
        &mut self,
        data: &LoadCommandData<'_, Endianness>,
        command: &macho::DylibCommand<Endianness>,
        entry: u32,
        endian: Endianness,
    ) {
        let Ok(dependencies) = &mut self.dependencies else { return };
        if dependencies.len() >= limits::NEEDED {
            self.dependencies = Err(FileError::limit(format!("more than {} libraries", limits::NEEDED)));
            return;
        }
        let name = match string(data, command.dylib.name, endian) {
            Ok(name) => name,
            Err(error) => {
                self.dependencies = Err(error);
                return;
            }
        };
        let (mut is_weak, mut is_reexported, mut is_upward) = (
            data.cmd() == macho::LC_LOAD_WEAK_DYLIB,
            data.cmd() == macho::LC_REEXPORT_DYLIB,
            data.cmd() == macho::LC_LOAD_UPWARD_DYLIB,
        );
        // Since macOS 15 a `dylib_use_command` has the attributes as bits (mach_o/UnsafeHeader.cpp,
        // `loadCommandToDylibKind`), and a re-export is never weak.
        if let Ok(Some(flags)) = data.dylib_use_flags(endian, command) {
            is_weak = flags.contains(macho::DYLIB_USE_WEAK_LINK);
            is_reexported = flags.contains(macho::DYLIB_USE_REEXPORT);
            is_upward = flags.contains(macho::DYLIB_USE_UPWARD);
            is_weak &= !is_reexported;
        }
        let is_lazy = data.cmd() == macho::LC_LAZY_LOAD_DYLIB;
        let numbered = self.dylibs.iter().filter(|dylib| dylib.ordinal.is_some()).count() as u32;
        self.dylibs.push(Dylib {
            command: data.cmd(),
            versions: versions(&command.dylib, endian),
            is_weak,
            is_reexported,
            is_upward,
            ordinal: (!is_lazy).then_some(numbered + 1),
        });
        let kind = match (is_lazy, is_weak, is_reexported, is_upward) {
            (true, ..) => DependencyKind::Lazy,
            (_, true, ..) => DependencyKind::Weak,
            (_, _, true, _) => DependencyKind::Reexport,
            (.., true) => DependencyKind::Upward,
            _ => DependencyKind::Needed,
        };
        dependencies.push(Dependency { name, kind, entry });
    }

    fn segment<S>(&mut self, segment: &S, rest: &[u8], offset: u64, endian: Endianness)
    where
        S: object::read::macho::Segment<Endian = Endianness>,
    {
        let sections = match segment.sections(endian, rest) {
            Ok(sections) => sections,
            Err(error) => {
                self.faults.push(object_error(error).at(offset));
                &[]
            }
        };
        self.segments.push(MachSegment {
            name: Name::from(segment.name()),
            address: segment.vmaddr(endian).into(),
            memory_size: segment.vmsize(endian).into(),
            offset: segment.fileoff(endian).into(),
            file_size: segment.filesize(endian).into(),
            protection: segment.initprot(endian).0,
            sections: sections
                .iter()
                .map(|section| MachSection {
                    name: Name::from(section.name()),
                    address: section.addr(endian).into(),
                    size: section.size(endian).into(),
                    offset: section.offset(endian).into(),
                    flags: section.flags(endian).0,
                })
                .collect(),
        });
    }

    /// Notes tables of `__LINKEDIT` that reach out of the slice or into each other.
    fn check_places(&mut self, len: u64) {
        let linkedit = &self.linkedit;
        let mut places: Vec<(&'static str, Range)> = Vec::new();
        if let Some(symtab) = linkedit.symtab {
            let entry = if self.is_64 { 16 } else { 12 };
            let size = u64::from(symtab.count) * entry;
            places.push(("the symbols of LC_SYMTAB", Range { offset: symtab.symbols, size }));
            places.push(("the strings of LC_SYMTAB", symtab.strings));
        }
        if let Some(info) = linkedit.dyld_info {
            places.extend([
                ("the rebases of LC_DYLD_INFO", info.rebase),
                ("the binds of LC_DYLD_INFO", info.bind),
                ("the weak binds of LC_DYLD_INFO", info.weak_bind),
                ("the lazy binds of LC_DYLD_INFO", info.lazy_bind),
                ("the exports of LC_DYLD_INFO", info.export),
            ]);
        }
        places.extend(linkedit.exports_trie.map(|range| ("LC_DYLD_EXPORTS_TRIE", range)));
        places.extend(linkedit.chained_fixups.map(|range| ("LC_DYLD_CHAINED_FIXUPS", range)));
        places.extend(linkedit.code_signature.map(|range| ("LC_CODE_SIGNATURE", range)));
        places.retain(|(_, range)| range.size != 0);
        places.sort_by_key(|(_, range)| (range.offset, range.size));
        let mut before: Option<(&'static str, u64)> = None;
        for (what, range) in places {
            let end = range.offset.saturating_add(range.size);
            if end > len {
                let error = FileError::too_short(format!("{what} reaches past the end of the file"));
                self.faults.push(error.at(range.offset));
            }
            if let Some((other, stop)) = before
                && range.offset < stop
            {
                let error = FileError::malformed(format!("{what} overlaps {other}"));
                self.faults.push(error.at(range.offset));
            }
            if before.is_none_or(|(_, stop)| end > stop) {
                before = Some((what, end));
            }
        }
        for segment in &self.segments {
            if segment.offset.checked_add(segment.file_size).is_none_or(|end| end > len) {
                let error = FileError::too_short(format!(
                    "segment {} reaches past the end of the file",
                    segment.name
                ));
                self.faults.push(error.at(segment.offset));
            }
        }
    }

    fn measure_padding(&mut self, end: u64) {
        /// `S_ZEROFILL` and its kin have no content in the file.
        const SECTION_TYPE: u32 = 0xff;
        let has_content = |section: &&MachSection| {
            section.offset != 0
                && section.size != 0
                && !matches!(section.flags & SECTION_TYPE, 0x1 | 0xc | 0x12)
        };
        let first = self
            .segments
            .iter()
            .flat_map(|segment| &segment.sections)
            .filter(has_content)
            .map(|section| section.offset)
            .min();
        self.header_padding = first.map(|first| first.saturating_sub(end));
    }
}

fn versions(dylib: &macho::Dylib<Endianness>, endian: Endianness) -> DylibVersions {
    DylibVersions {
        current: MachVersion(dylib.current_version.get(endian).0),
        compatibility: MachVersion(dylib.compatibility_version.get(endian).0),
        timestamp: dylib.timestamp.get(endian),
    }
}

/// The string of a load command, which must lie inside it.
fn string(
    data: &LoadCommandData<'_, Endianness>,
    place: macho::LcStr<Endianness>,
    endian: Endianness,
) -> Result<Name, FileError> {
    let name = data.string(endian, place).map_err(|error| object_error(error).at(data.offset()))?;
    if name.len() > limits::NAME_BYTES {
        return Err(FileError::limit(format!("a name of {} bytes", name.len())).at(data.offset()));
    }
    Ok(Name::from(name))
}
