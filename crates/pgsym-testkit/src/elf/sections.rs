//! The sections, in file order, with their contents for a given placement. They are made several times: at first with every
//! address zero, which is enough to know the sizes, then with the addresses that follow from the sizes.

use super::code::CodeAddresses;
use super::damage::{Damage, has};
use super::description::{HashStyle, SymbolTable};
use super::encoding::Sink;
use super::layout::Places;
use super::plan::{Body, DATA, DATA_REL_RO, GOT, GOT_PLT, Plan, RODATA, TDATA, TEXT};
use super::relocations::{self, RelocationStyle};
use super::shared_object::SharedObject;
use super::strings::StringTable;
use super::{dynamic, hash, notes, symbols};

pub(crate) const INTERP: &str = ".interp";
pub(crate) const HASH: &str = ".hash";
pub(crate) const GNU_HASH: &str = ".gnu.hash";
pub(crate) const DYNSYM: &str = ".dynsym";
pub(crate) const DYNSTR: &str = ".dynstr";
pub(crate) const VERSYM: &str = ".gnu.version";
pub(crate) const VERDEF: &str = ".gnu.version_d";
pub(crate) const VERNEED: &str = ".gnu.version_r";
pub(crate) const RELR: &str = ".relr.dyn";
pub(crate) const DYNAMIC: &str = ".dynamic";
const BSS: &str = ".bss";
const SYMTAB: &str = ".symtab";
const STRTAB: &str = ".strtab";
pub(crate) const SHSTRTAB: &str = ".shstrtab";

/// Name of DT_REL(A)'s section.
pub(crate) fn relocations(object: &SharedObject) -> &'static str {
    match object.relocation_style {
        RelocationStyle::Rela => ".rela.dyn",
        RelocationStyle::Rel => ".rel.dyn",
    }
}

/// Name of DT_JMPREL's section.
pub(crate) fn jump_slots(object: &SharedObject) -> &'static str {
    match object.relocation_style {
        RelocationStyle::Rela => ".rela.plt",
        RelocationStyle::Rel => ".rel.plt",
    }
}

/// `sh_type`.
pub(crate) mod kind {
    pub(crate) const PROGBITS: u32 = 1;
    pub(crate) const SYMTAB: u32 = 2;
    pub(crate) const STRTAB: u32 = 3;
    pub(crate) const RELA: u32 = 4;
    pub(crate) const HASH: u32 = 5;
    pub(crate) const DYNAMIC: u32 = 6;
    pub(crate) const NOTE: u32 = 7;
    pub(crate) const NOBITS: u32 = 8;
    pub(crate) const REL: u32 = 9;
    pub(crate) const DYNSYM: u32 = 11;
    pub(crate) const RELR: u32 = 19;
    pub(crate) const GNU_HASH: u32 = 0x6fff_fff6;
    pub(crate) const VERDEF: u32 = 0x6fff_fffd;
    pub(crate) const VERNEED: u32 = 0x6fff_fffe;
    pub(crate) const VERSYM: u32 = 0x6fff_ffff;
}

const SHF_WRITE: u64 = 1;
const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;
const SHF_INFO_LINK: u64 = 0x40;
const SHF_TLS: u64 = 0x400;

/// The PT_LOAD a section belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Region {
    ReadOnly,
    Text,
    /// Writable until PT_GNU_RELRO is applied.
    Relro,
    Data,
    /// Not in memory.
    File,
}

#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) region: Region,
    pub(crate) align: u64,
    pub(crate) entry_size: u64,
    /// Name of the section of `sh_link`; empty for none.
    pub(crate) link: &'static str,
    pub(crate) info: u32,
    pub(crate) bytes: Vec<u8>,
    /// Size in memory of a section without bytes.
    pub(crate) zeroes: u64,
}

impl Section {
    fn new(name: &'static str, kind: u32, region: Region, align: u64, sink: Sink) -> Self {
        let flags = match region {
            Region::ReadOnly => SHF_ALLOC,
            Region::Text => SHF_ALLOC | SHF_EXECINSTR,
            Region::Relro | Region::Data => SHF_ALLOC | SHF_WRITE,
            Region::File => 0,
        };
        let bytes = sink.bytes;
        Self { name, kind, flags, region, align, entry_size: 0, link: "", info: 0, bytes, zeroes: 0 }
    }

    fn entries(mut self, size: u64) -> Self {
        self.entry_size = size;
        self
    }

    fn link(mut self, name: &'static str) -> Self {
        self.link = name;
        self
    }

    fn info(mut self, info: u32) -> Self {
        self.info = info;
        self
    }

    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64 + self.zeroes
    }
}

/// All sections but the null section; `.dynsym`, `.dynstr` and `.dynamic` always, others when they have contents.
pub(crate) fn all(plan: &Plan<'_>, places: &Places) -> Vec<Section> {
    let mut list = read_only(plan, places);
    list.push(Section::new(TEXT, kind::PROGBITS, Region::Text, 16, text(plan, places)));
    list.extend(writable(plan, places));
    list.retain(|section| section.size() > 0);
    list.extend(unallocated(plan, places));
    let mut section_names = StringTable::new();
    for section in &list {
        section_names.add(section.name.as_bytes());
    }
    section_names.add(SHSTRTAB.as_bytes());
    let mut sink = plan.object.encoding.sink();
    sink.raw(section_names.bytes());
    list.push(Section::new(SHSTRTAB, kind::STRTAB, Region::File, 1, sink));
    list
}

fn read_only(plan: &Plan<'_>, places: &Places) -> Vec<Section> {
    let object = plan.object;
    let encoding = object.encoding;
    let word = encoding.word_size();
    let new = |name, kind, align, fill: &dyn Fn(&mut Sink)| {
        let mut sink = encoding.sink();
        fill(&mut sink);
        Section::new(name, kind, Region::ReadOnly, align, sink)
    };
    let mut list = vec![new(INTERP, kind::PROGBITS, 1, &|sink| {
        if let Some(path) = &object.interp {
            sink.raw(path).u8(0);
        }
    })];
    for note in notes::sections(&object.notes, object.machine, encoding) {
        list.push(new(note.name, kind::NOTE, note.align, &|sink| {
            sink.raw(&note.bytes);
        }));
    }
    let hash_entry = object.machine.hash_entry_size();
    if matches!(object.hash_style, HashStyle::SysV | HashStyle::Both) {
        let section = new(HASH, kind::HASH, word, &|sink| {
            hash::write_sysv(sink, &plan.symbols, hash_entry, &object.damage);
        });
        list.push(section.entries(hash_entry).link(DYNSYM));
    }
    if matches!(object.hash_style, HashStyle::Gnu | HashStyle::Both) {
        let section = new(GNU_HASH, kind::GNU_HASH, word, &|sink| {
            hash::write_gnu(sink, &plan.symbols, plan.imports, &object.damage);
        });
        list.push(section.entries(encoding.pick(4, 0)).link(DYNSYM));
    }
    let dynsym = new(DYNSYM, kind::DYNSYM, word, &|sink| symbols::write_dynamic(sink, plan, places));
    list.push(dynsym.entries(symbols::entry_size(encoding)).link(DYNSTR).info(1));
    list.push(new(DYNSTR, kind::STRTAB, 1, &|sink| {
        sink.raw(plan.dynstr.bytes());
        if has(&object.damage, &Damage::StringsUnterminated) {
            sink.bytes.pop();
        }
    }));
    if !plan.versions.is_empty() {
        let versym = new(VERSYM, kind::VERSYM, 2, &|sink| {
            sink.u16(0);
            for symbol in &plan.symbols {
                sink.u16(symbol.versym);
            }
        });
        list.push(versym.entries(2).link(DYNSYM));
    }
    let verdef = new(VERDEF, kind::VERDEF, word, &|sink| {
        plan.versions.write_definitions(sink, &plan.dynstr, &object.damage);
    });
    list.push(verdef.link(DYNSTR).info(plan.versions.definition_count() as u32));
    let verneed = new(VERNEED, kind::VERNEED, word, &|sink| {
        plan.versions.write_needs(sink, &plan.dynstr, &object.damage);
    });
    list.push(verneed.link(DYNSTR).info(plan.versions.need_count() as u32));

    let (table, entry) = match object.relocation_style {
        RelocationStyle::Rela => (kind::RELA, 3 * word),
        RelocationStyle::Rel => (kind::REL, 2 * word),
    };
    let dynamic = new(relocations(object), table, word, &|sink| {
        relocations::write_dynamic(sink, plan, places);
    });
    list.push(dynamic.entries(entry).link(DYNSYM));
    let packed = new(RELR, kind::RELR, word, &|sink| relocations::write_packed(sink, plan, places));
    list.push(packed.entries(word));
    let jumps = new(jump_slots(object), table, word, &|sink| {
        relocations::write_jump_slots(sink, plan, places);
    });
    let mut jumps = jumps.entries(entry).link(DYNSYM).info(u32::from(places.index(GOT_PLT)));
    jumps.flags |= SHF_INFO_LINK;
    list.push(jumps);
    list.push(new(RODATA, kind::PROGBITS, 16, &|sink| {
        sink.raw(&plan.rodata);
    }));
    list
}

fn text(plan: &Plan<'_>, places: &Places) -> Sink {
    let mut sink = plan.object.encoding.sink();
    for function in &plan.functions {
        let mut addresses = CodeAddresses {
            start: places.in_section(TEXT, function.offset),
            unrelated: places.address(plan.unrelated),
            helper: places.address(plan.helper),
            got: places.in_section(GOT_PLT, 0),
            ..CodeAddresses::default()
        };
        if let Body::Address { target, slot } = function.body {
            addresses.target = places.address(target);
            addresses.slot = slot.map_or(0, |slot| places.address(slot));
        }
        sink.bytes.resize(function.offset as usize, 0);
        sink.raw(&plan.code(function, addresses));
    }
    sink.bytes.resize(plan.text_size as usize, 0);
    relocations::fill_in_place(&mut sink.bytes, TEXT, plan, places);
    sink
}

fn writable(plan: &Plan<'_>, places: &Places) -> Vec<Section> {
    let encoding = plan.object.encoding;
    let word = encoding.word_size();
    let new = |name, kind, region, align, bytes: &[u8]| {
        let mut sink = encoding.sink();
        sink.raw(bytes);
        relocations::fill_in_place(&mut sink.bytes, name, plan, places);
        Section::new(name, kind, region, align, sink)
    };
    let mut tdata = new(TDATA, kind::PROGBITS, Region::Relro, 16, &plan.tdata);
    tdata.flags |= SHF_TLS;
    let mut dynamic = encoding.sink();
    dynamic::write(&mut dynamic, plan, places);
    let dynamic = Section::new(DYNAMIC, kind::DYNAMIC, Region::Relro, word, dynamic);
    let got = vec![0; (plan.got_words * word) as usize];
    let mut got_plt = vec![0; (plan.got_plt_words * word) as usize];
    if !got_plt.is_empty() {
        relocations::put_word(&mut got_plt, 0, places.in_section(DYNAMIC, 0), encoding);
    }
    let mut bss = new(BSS, kind::NOBITS, Region::Data, 16, &[]);
    bss.zeroes = plan.object.bss;
    vec![
        tdata,
        new(DATA_REL_RO, kind::PROGBITS, Region::Relro, 16, &plan.data_rel_ro),
        dynamic.entries(2 * word).link(DYNSTR),
        new(GOT, kind::PROGBITS, Region::Relro, word, &got).entries(word),
        new(GOT_PLT, kind::PROGBITS, Region::Data, word, &got_plt).entries(word),
        new(DATA, kind::PROGBITS, Region::Data, 16, &plan.data),
        bss,
    ]
}

fn unallocated(plan: &Plan<'_>, places: &Places) -> Vec<Section> {
    let wanted = match plan.object.symbol_table {
        SymbolTable::Always => true,
        SymbolTable::WhenLocal => !plan.locals.is_empty(),
        SymbolTable::Stripped => false,
    };
    if !wanted {
        return Vec::new();
    }
    let encoding = plan.object.encoding;
    let mut table = encoding.sink();
    let (strings, first_global) = symbols::write_full(&mut table, plan, places);
    let mut names = encoding.sink();
    names.raw(strings.bytes());
    vec![
        Section::new(SYMTAB, kind::SYMTAB, Region::File, encoding.word_size(), table)
            .entries(symbols::entry_size(encoding))
            .link(STRTAB)
            .info(first_global),
        Section::new(STRTAB, kind::STRTAB, Region::File, 1, names),
    ]
}
