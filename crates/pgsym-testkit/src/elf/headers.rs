//! The ELF header, the program headers and the section headers (System V gABI, chapters 4 and 5).

use super::damage::{Damage, HeaderField, ProgramHeaderField, has};
use super::description::{Kind, Relro, Stack};
use super::encoding::{Class, Endian, Sink, align_up};
use super::layout::{self, Places};
use super::notes::GNU_PROPERTY;
use super::plan::{TDATA, TEXT};
use super::sections::{DYNAMIC, DYNSTR, DYNSYM, INTERP, Region, SHSTRTAB, Section, kind};
use super::shared_object::SharedObject;
use super::strings::StringTable;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const PT_PHDR: u32 = 6;
const PT_TLS: u32 = 7;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PT_GNU_RELRO: u32 = 0x6474_e552;
const PT_GNU_PROPERTY: u32 = 0x6474_e553;

const PF_X: u32 = 1;
const PF_W: u32 = 2;
const PF_R: u32 = 4;

/// A program header; the order of its fields on disk differs between the classes.
#[derive(Clone, Copy)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    file_size: u64,
    memory_size: u64,
    align: u64,
}

/// Bytes of the ELF header and the program headers.
pub(crate) fn before_sections(object: &SharedObject, list: &[Section]) -> u64 {
    let count = program_headers(object, list, &Places::default()).len() as u64;
    header_size(object) + count * entry_size(object)
}

fn header_size(object: &SharedObject) -> u64 {
    object.encoding.pick(52, 64)
}

fn entry_size(object: &SharedObject) -> u64 {
    object.encoding.pick(32, 56)
}

pub(crate) fn write_file_header(sink: &mut Sink, object: &SharedObject, list: &[Section], places: &Places) {
    let stripped = has(&object.damage, &Damage::NoSectionHeaders);
    let sections = |value: u64| if stripped { 0 } else { value };
    let entry = match object.kind {
        Kind::SharedLibrary | Kind::Relocatable => 0,
        Kind::PieExecutable | Kind::Executable => places.in_section(TEXT, 0),
    };
    let mut fields = [
        (
            HeaderField::Type,
            match object.kind {
                Kind::Relocatable => 1,
                Kind::Executable => 2,
                Kind::SharedLibrary | Kind::PieExecutable => 3,
            },
        ),
        (HeaderField::Machine, u64::from(object.machine.e_machine())),
        (HeaderField::Version, 1),
        (HeaderField::Entry, entry),
        (HeaderField::PhOff, header_size(object)),
        (HeaderField::ShOff, sections(places.section_headers)),
        (HeaderField::EhSize, header_size(object)),
        (HeaderField::PhEntSize, entry_size(object)),
        (HeaderField::PhNum, program_headers(object, list, places).len() as u64),
        (HeaderField::ShEntSize, object.encoding.pick(40, 64)),
        (HeaderField::ShNum, sections(list.len() as u64 + 1)),
        (HeaderField::ShStrNdx, sections(u64::from(places.index(SHSTRTAB)))),
    ];
    for (field, value) in &mut fields {
        for damage in &object.damage {
            if let Damage::Header(wanted, lie) = damage
                && wanted == field
            {
                *value = *lie;
            }
        }
    }
    sink.raw(b"\x7fELF");
    sink.u8(match object.encoding.class {
        Class::Elf32 => 1,
        Class::Elf64 => 2,
    });
    sink.u8(match object.encoding.endian {
        Endian::Little => 1,
        Endian::Big => 2,
    });
    sink.u8(1).u8(object.osabi).u8(object.abi_version).raw(&[0; 7]);
    for (field, value) in fields {
        match field {
            HeaderField::Version => {
                sink.u32(value as u32);
            }
            HeaderField::Entry | HeaderField::PhOff => {
                sink.word(value);
            }
            HeaderField::ShOff => {
                sink.word(value).u32(object.machine.e_flags());
            }
            _ => {
                sink.u16(value as u16);
            }
        }
    }
}

pub(crate) fn write_program_headers(
    sink: &mut Sink,
    object: &SharedObject,
    list: &[Section],
    places: &Places,
) {
    let mut headers = program_headers(object, list, places);
    for damage in &object.damage {
        let Damage::ProgramHeader(kind, field, lie) = damage else { continue };
        let Some(header) = headers.iter_mut().find(|header| header.kind == *kind) else { continue };
        match field {
            ProgramHeaderField::Type => header.kind = *lie as u32,
            ProgramHeaderField::Flags => header.flags = *lie as u32,
            ProgramHeaderField::Offset => header.offset = *lie,
            ProgramHeaderField::Address => header.address = *lie,
            ProgramHeaderField::FileSize => header.file_size = *lie,
            ProgramHeaderField::MemorySize => header.memory_size = *lie,
            ProgramHeaderField::Align => header.align = *lie,
        }
    }
    for header in headers {
        sink.u32(header.kind);
        match object.encoding.class {
            Class::Elf32 => {
                sink.word(header.offset).word(header.address).word(header.address);
                sink.word(header.file_size).word(header.memory_size).u32(header.flags);
            }
            Class::Elf64 => {
                sink.u32(header.flags).word(header.offset).word(header.address).word(header.address);
                sink.word(header.file_size).word(header.memory_size);
            }
        }
        sink.word(header.align);
    }
}

/// How many there are depends only on which sections exist.
fn program_headers(object: &SharedObject, list: &[Section], places: &Places) -> Vec<ProgramHeader> {
    let mut headers = Vec::new();
    if object.interp.is_some() {
        headers.push(ProgramHeader { kind: PT_PHDR, ..file_start(object, 0) });
        headers.extend(covering(PT_INTERP, PF_R, list, places, |section| section.name == INTERP));
    }
    headers.extend(loads(object, list, places));
    if has(&object.damage, &Damage::OverlappingLoads) {
        let size = header_size(object);
        let address = layout::base(object);
        headers.push(ProgramHeader {
            offset: size,
            address,
            file_size: size,
            memory_size: size,
            align: 1,
            ..file_start(object, 0)
        });
    }
    let mut dynamic = covering(PT_DYNAMIC, PF_R | PF_W, list, places, |section| section.name == DYNAMIC);
    if let Some(header) = &mut dynamic
        && has(&object.damage, &Damage::DynamicOutside)
    {
        header.offset += 0x1000_0000;
        header.address += 0x1000_0000;
    }
    headers.extend(dynamic);
    let is_note = |section: &Section| section.kind == kind::NOTE;
    headers.extend(covering(PT_NOTE, PF_R, list, places, |section| section.name == GNU_PROPERTY));
    headers.extend(covering(PT_NOTE, PF_R, list, places, |section| {
        is_note(section) && section.name != GNU_PROPERTY
    }));
    headers.extend(covering(PT_TLS, PF_R, list, places, |section| section.name == TDATA));
    headers.extend(covering(PT_GNU_PROPERTY, PF_R, list, places, |section| section.name == GNU_PROPERTY));
    let stack = match object.stack {
        Stack::NonExecutable => Some(PF_R | PF_W),
        Stack::Executable => Some(PF_R | PF_W | PF_X),
        Stack::Unstated => None,
    };
    headers.extend(stack.map(|flags| ProgramHeader {
        kind: PT_GNU_STACK,
        flags,
        offset: 0,
        address: 0,
        file_size: 0,
        memory_size: 0,
        align: 16,
    }));
    if object.relro == Relro::Present {
        let relro = covering(PT_GNU_RELRO, PF_R, list, places, |section| section.region == Region::Relro);
        headers.extend(relro.map(|header| ProgramHeader { align: 1, ..to_page_end(object, header) }));
    }
    headers
}

fn loads(object: &SharedObject, list: &[Section], places: &Places) -> Vec<ProgramHeader> {
    let last_read_only = list.iter().rfind(|section| section.region == Region::ReadOnly);
    let end = last_read_only
        .and_then(|section| places.get(section.name))
        .map_or(0, |place| place.offset + place.size);
    let mut headers = vec![ProgramHeader { kind: PT_LOAD, ..file_start(object, end) }];
    let regions = [(Region::Text, PF_R | PF_X), (Region::Relro, PF_R | PF_W), (Region::Data, PF_R | PF_W)];
    for (region, flags) in regions {
        let Some(mut header) = covering(PT_LOAD, flags, list, places, |section| section.region == region)
        else {
            continue;
        };
        if region == Region::Relro && object.relro == Relro::Present {
            header = to_page_end(object, header);
        }
        header.align = object.machine.page();
        headers.push(header);
    }
    headers
}

/// A header over the first `end` bytes; with 0, over the program headers themselves (PT_PHDR).
fn file_start(object: &SharedObject, end: u64) -> ProgramHeader {
    let whole = ProgramHeader {
        kind: PT_LOAD,
        flags: PF_R,
        offset: 0,
        address: layout::base(object),
        file_size: end,
        memory_size: end,
        align: object.machine.page(),
    };
    if end > 0 {
        return whole;
    }
    let size = header_size(object);
    let align = object.encoding.word_size();
    ProgramHeader { offset: size, address: whole.address + size, align, ..whole }
}

/// A header from the first to the last of the chosen sections; none when no section is chosen.
fn covering(
    kind: u32,
    flags: u32,
    list: &[Section],
    places: &Places,
    chosen: impl Fn(&Section) -> bool,
) -> Option<ProgramHeader> {
    let mut header: Option<ProgramHeader> = None;
    for section in list.iter().filter(|section| chosen(section)) {
        let place = places.get(section.name).unwrap_or_default();
        let header = header.get_or_insert(ProgramHeader {
            kind,
            flags,
            offset: place.offset,
            address: place.address,
            file_size: 0,
            memory_size: 0,
            align: section.align,
        });
        header.file_size = place.offset.wrapping_sub(header.offset) + section.bytes.len() as u64;
        header.memory_size = place.address.wrapping_sub(header.address) + section.size();
        header.align = header.align.max(section.align);
    }
    header
}

/// RELRO protects whole pages: the header reaches to the end of the last one.
fn to_page_end(object: &SharedObject, header: ProgramHeader) -> ProgramHeader {
    let end = align_up(header.address + header.memory_size, object.machine.page());
    ProgramHeader { memory_size: end - header.address, ..header }
}

pub(crate) fn write_section_headers(
    sink: &mut Sink,
    object: &SharedObject,
    list: &[Section],
    places: &Places,
) {
    let size = object.encoding.pick(40, 64);
    sink.raw(&vec![0; size]);
    // The same order of additions as when `.shstrtab` was written gives the same offsets.
    let mut names = StringTable::new();
    let disagree = has(&object.damage, &Damage::SectionsDisagree);
    for section in list {
        let mut place = places.get(section.name).unwrap_or_default();
        if disagree && [DYNSYM, DYNSTR].contains(&section.name) {
            place.offset += 16;
            place.address += 16;
            place.size /= 2;
        }
        sink.u32(names.add(section.name.as_bytes())).u32(section.kind).word(section.flags);
        sink.word(place.address).word(place.offset).word(place.size);
        sink.u32(u32::from(places.index(section.link))).u32(section.info);
        sink.word(section.align).word(section.entry_size);
    }
}
