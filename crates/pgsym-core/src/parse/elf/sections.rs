//! The section headers: a second view of what the segments say, which linkers write, `strip` may remove and no
//! loader reads. Tools that go by it can be led astray, so each difference is told; what only sections have is
//! `.symtab`, where entry points that a version script made local still show.

use bstr::ByteSlice as _;
use object::elf;

use super::dynamic::Dynamic;
use super::encoding::Encoding;
use super::header::{Header, HeaderTable};
use super::memory::Memory;
use crate::error::FileError;
use crate::limits;
use crate::model::{DependencyKind, Module, SectionView, Segment};
use crate::name::{Name, Shown};
use crate::source::{Source, read_range};

/// One section header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    pub(super) kind: elf::SectionType,
    address: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
    link: u32,
    entry_size: u64,
}

/// All section headers of a file.
pub(super) struct Sections(Vec<Section>);

impl Sections {
    fn read(source: &dyn Source, header: &Header) -> Result<Self, FileError> {
        let HeaderTable { offset, count, entry_size } = header.section_headers;
        let encoding = Encoding::from(header.target);
        let size: u64 = if encoding.is_64() { 64 } else { 40 };
        if offset == 0 {
            return Ok(Self(Vec::new()));
        }
        if u64::from(entry_size) != size {
            return Err(FileError::malformed(format!("e_shentsize is {entry_size}, not {size}")));
        }
        let first = read_range(source, offset, size, "the section header table")?;
        let first = section(encoding, &first);
        // A count that does not fit 16 bits stands in sh_size of the first entry.
        let count = match (count, first) {
            (0, Some(first)) => first.size,
            (count, _) => u64::from(count),
        };
        if count > limits::SECTIONS as u64 {
            return Err(FileError::limit(format!(
                "there are {count} section headers, more than {}",
                limits::SECTIONS
            ))
            .at(offset));
        }
        let bytes = read_range(source, offset, count * size, "the section header table")?;
        Ok(Self(bytes.chunks_exact(size as usize).filter_map(|entry| section(encoding, entry)).collect()))
    }

    pub(super) fn of_kind(&self, kind: elf::SectionType) -> Option<&Section> {
        self.0.iter().find(|section| section.kind == kind)
    }

    /// The section that `sh_link` names.
    pub(super) fn linked(&self, section: &Section) -> Option<&Section> {
        self.0.get(section.link as usize)
    }
}

fn section(encoding: Encoding, entry: &[u8]) -> Option<Section> {
    let word = encoding.word_size();
    // sh_name, sh_type: u32; flags, addr, offset, size: words; link, info: u32; addralign, entsize: words.
    let at = |index: usize| encoding.word(entry, 8 + index * word);
    Some(Section {
        kind: elf::SectionType(encoding.u32(entry, 4)?),
        address: at(1)?,
        offset: at(2)?,
        size: at(3)?,
        link: encoding.u32(entry, 8 + 4 * word)?,
        entry_size: encoding.word(entry, 8 + 4 * word + 8 + word)?,
    })
}

/// Reads the section headers and compares them with what was read through the segments.
pub(super) fn read(
    memory: Memory<'_>,
    header: &Header,
    module: &Module,
    dynamic: Option<&Dynamic>,
    segments: &[Segment],
) -> Result<SectionView, FileError> {
    let sections = Sections::read(memory.source(), header)?;
    let mut view = SectionView { count: sections.0.len() as u32, ..SectionView::default() };
    let mut compare = Comparison { memory, sections: &sections, clauses: &mut view.disagreements };
    compare.dynamic_section(segments);
    let header = segments.iter().rfind(|segment| segment.kind == elf::PT_DYNAMIC.0);
    view.dynamic_has_no_bytes = header.is_some_and(|header| {
        let empty = |section: &Section| section.kind == elf::SHT_NOBITS && section.address == header.address;
        sections.0.iter().any(empty)
    });
    if let Some(dynamic) = dynamic {
        compare.tables(dynamic);
        compare.string_table(dynamic);
        compare.symbol_count(module);
        compare.needed(module);
    }
    view.hidden_entry_points = super::hidden::read(memory, &sections, module);
    Ok(view)
}

struct Comparison<'a> {
    memory: Memory<'a>,
    sections: &'a Sections,
    clauses: &'a mut Vec<Name>,
}

impl Comparison<'_> {
    fn say(&mut self, clause: &str) {
        self.clauses.push(Name::from(clause));
    }

    fn dynamic_section(&mut self, segments: &[Segment]) {
        let header = segments.iter().rfind(|segment| segment.kind == elf::PT_DYNAMIC.0);
        let section = self.sections.of_kind(elf::SHT_DYNAMIC);
        match (section, header) {
            (Some(section), Some(header)) => self.place("SHT_DYNAMIC", section, "PT_DYNAMIC", header.address),
            (Some(_), None) => self.say("there is a section of type SHT_DYNAMIC, but no PT_DYNAMIC"),
            (None, _) => {}
        }
    }

    /// One table: the section's address against the tag's, and where each says that the bytes lie.
    fn place(&mut self, kind: &str, section: &Section, tag: &str, address: u64) {
        if section.address != address {
            self.say(&format!(
                "the section of type {kind} has address {:#x}, {tag} {address:#x}",
                section.address
            ));
            return;
        }
        let loaded = self.memory.file_range(address).map(|range| range.start);
        if let Some(loaded) = loaded
            && loaded != section.offset
        {
            self.say(&format!(
                "the section of type {kind} has file offset {:#x}, {tag} leads to {loaded:#x}",
                section.offset
            ));
        }
    }

    fn tables(&mut self, dynamic: &Dynamic) {
        let tables = [
            (elf::SHT_DYNSYM, "SHT_DYNSYM", elf::DT_SYMTAB, "DT_SYMTAB"),
            (elf::SHT_GNU_HASH, "SHT_GNU_HASH", elf::DT_GNU_HASH, "DT_GNU_HASH"),
            (elf::SHT_HASH, "SHT_HASH", elf::DT_HASH, "DT_HASH"),
            (elf::SHT_GNU_VERSYM, "SHT_GNU_VERSYM", elf::DT_VERSYM, "DT_VERSYM"),
            (elf::SHT_GNU_VERNEED, "SHT_GNU_VERNEED", elf::DT_VERNEED, "DT_VERNEED"),
            (elf::SHT_GNU_VERDEF, "SHT_GNU_VERDEF", elf::DT_VERDEF, "DT_VERDEF"),
        ];
        for (kind, kind_name, tag, tag_name) in tables {
            let Some(section) = self.sections.of_kind(kind) else { continue };
            match dynamic.value(tag) {
                Some(address) => self.place(kind_name, section, tag_name, address),
                None => self.say(&format!("there is a section of type {kind_name}, but no {tag_name}")),
            }
        }
    }

    fn string_table(&mut self, dynamic: &Dynamic) {
        let strings =
            self.sections.of_kind(elf::SHT_DYNSYM).and_then(|section| self.sections.linked(section)).copied();
        let Some(strings) = strings else { return };
        if let Some(address) = dynamic.value(elf::DT_STRTAB) {
            self.place("SHT_STRTAB of the dynamic symbols", &strings, "DT_STRTAB", address);
        }
        if let Some(size) = dynamic.value(elf::DT_STRSZ)
            && size != strings.size
        {
            self.say(&format!(
                "the string table of the dynamic symbols has {} bytes as a section, {size} by DT_STRSZ",
                strings.size
            ));
        }
    }

    /// Only where the hash table tells how many symbols there are: the relocations of a program without
    /// exports need not use all of them.
    fn symbol_count(&mut self, module: &Module) {
        let (Some(section), Some(symbols)) = (self.sections.of_kind(elf::SHT_DYNSYM), module.symbols.get())
        else {
            return;
        };
        let Some(count) = section.size.checked_div(section.entry_size) else { return };
        if symbols.hash.is_counting() && count != symbols.len() as u64 {
            self.say(&format!(
                "there are {count} dynamic symbols by their section, {} by the hash table",
                symbols.len()
            ));
        }
    }

    /// The needed libraries as a tool sees them that goes by SHT_DYNAMIC and its linked string table.
    fn needed(&mut self, module: &Module) {
        let Some(names) = self.needed_by_section() else { return };
        let loaded = module.needed().iter().filter(|dependency| dependency.kind == DependencyKind::Needed);
        let loaded: Vec<&Name> = loaded.map(|dependency| &dependency.name).collect();
        if module.dependencies.get().is_some() && names.iter().ne(loaded.iter().copied()) {
            let list = |names: &mut dyn Iterator<Item = &Name>| {
                let shown: Vec<String> =
                    names.take(8).map(|name| Shown(name.as_bytes()).to_string()).collect();
                if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") }
            };
            self.say(&format!(
                "DT_NEEDED is {} by the section, {} by the segment",
                list(&mut names.iter()),
                list(&mut loaded.iter().copied())
            ));
        }
    }

    fn needed_by_section(&self) -> Option<Vec<Name>> {
        let source = self.memory.source();
        let encoding = self.memory.encoding();
        let section = self.sections.of_kind(elf::SHT_DYNAMIC)?;
        let strings = self.sections.linked(section)?;
        let size = encoding.word_size() * 2;
        if section.size > (limits::DYNAMIC_ENTRIES * size) as u64 || strings.size > limits::STRING_TABLE_BYTES
        {
            return None;
        }
        let entries = read_range(source, section.offset, section.size, "SHT_DYNAMIC").ok()?;
        let mut names = Vec::new();
        for entry in entries.chunks_exact(size) {
            match encoding.signed_word(entry, 0).map(elf::DynamicTag) {
                Some(elf::DT_NULL) | None => break,
                Some(elf::DT_NEEDED) if names.len() < limits::NEEDED => {
                    let at = encoding.word(entry, encoding.word_size())?;
                    // A soname has at most 255 bytes, being a file's name.
                    let length = strings.size.checked_sub(at)?.min(256);
                    let bytes =
                        read_range(source, strings.offset.checked_add(at)?, length, "SHT_STRTAB").ok()?;
                    let end = bytes.find_byte(0)?;
                    names.push(Name::from(&bytes[..end]));
                }
                Some(_) => {}
            }
        }
        Some(names)
    }
}
