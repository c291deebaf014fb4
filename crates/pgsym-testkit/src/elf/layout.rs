//! Where everything lies. The file is the ELF header, the program headers, the sections without gaps but for alignment, and the
//! section headers; in memory each PT_LOAD starts on a new page at the same place within the page as in the
//! file, as lld lays files out. So a library takes one or two kilobytes, and no page is both writable and code.

use std::collections::BTreeMap;

use super::damage::{self, Damage, has};
use super::description::Kind;
use super::encoding::align_up;
use super::headers;
use super::plan::{Location, Plan};
use super::sections::{self, Region, Section};
use super::shared_object::SharedObject;

/// Address of the first byte of an `ET_EXEC` file, the x86-64 port's default.
const EXECUTABLE_BASE: u64 = 0x40_0000;

/// A placed section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) index: u16,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) size: u64,
}

/// Every section's place, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    sections: BTreeMap<&'static str, Place>,
    /// Where the section header table begins.
    pub(crate) section_headers: u64,
}

impl Places {
    pub(crate) fn get(&self, name: &str) -> Option<Place> {
        self.sections.get(name).copied()
    }

    pub(crate) fn index(&self, name: &str) -> u16 {
        self.get(name).unwrap_or_default().index
    }

    pub(crate) fn address(&self, location: Location) -> u64 {
        self.in_section(location.section, location.offset)
    }

    pub(crate) fn in_section(&self, name: &str, offset: u64) -> u64 {
        self.get(name).unwrap_or_default().address.wrapping_add(offset)
    }
}

/// The file's bytes.
pub(crate) fn write(object: &SharedObject) -> Vec<u8> {
    let plan = Plan::new(object);
    let mut places = Places::default();
    // The first round learns which sections there are, the second which dynamic entries they need, the third
    // the addresses; the last only finds that nothing moves any more.
    for _ in 0..6 {
        let list = sections::all(&plan, &places);
        let next = place(object, &list);
        if next == places {
            return damage::finish(assemble(object, &list, &places), &object.damage);
        }
        places = next;
    }
    unreachable!("sizes depend on addresses only through which sections exist")
}

/// The base address of the file's first byte.
pub(crate) fn base(object: &SharedObject) -> u64 {
    if object.kind == Kind::Executable { EXECUTABLE_BASE } else { 0 }
}

fn place(object: &SharedObject, list: &[Section]) -> Places {
    let page = object.machine.page();
    let mut offset = headers::before_sections(object, list);
    let mut address = base(object) + offset;
    let mut region = Region::ReadOnly;
    let mut places = Places::default();
    for (position, section) in list.iter().enumerate() {
        if section.region != region {
            region = section.region;
            // p_offset and p_vaddr must be equal modulo the page.
            address = align_up(address, page) + offset % page;
        }
        let padding = align_up(offset, section.align) - offset;
        offset += padding;
        address += padding;
        let in_memory = section.region != Region::File;
        places.sections.insert(
            section.name,
            Place {
                index: position as u16 + 1,
                offset,
                address: if in_memory { address } else { 0 },
                size: section.size(),
            },
        );
        offset += section.bytes.len() as u64;
        address += section.size();
    }
    places.section_headers = align_up(offset, 8);
    places
}

fn assemble(object: &SharedObject, list: &[Section], places: &Places) -> Vec<u8> {
    let mut sink = object.encoding.sink();
    headers::write_file_header(&mut sink, object, list, places);
    headers::write_program_headers(&mut sink, object, list, places);
    for section in list {
        let offset = places.get(section.name).unwrap_or_default().offset;
        sink.bytes.resize(offset as usize, 0);
        sink.raw(&section.bytes);
    }
    if !has(&object.damage, &Damage::NoSectionHeaders) {
        sink.bytes.resize(places.section_headers as usize, 0);
        headers::write_section_headers(&mut sink, object, list, places);
    }
    sink.bytes
}
