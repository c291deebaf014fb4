//! What only ELF has. Every table that can be damaged on its own is a [`Table`] of its own, so that one bad
//! pointer costs one fact and not the file.

use super::Table;
use crate::error::FileError;
use crate::name::Name;

/// ELF facts, beside those in [`Module`](super::Module).
#[derive(Debug, Clone, Default)]
pub struct Elf {
    /// PT_INTERP: the loader that a program asks for.
    pub interpreter: Table<Name>,
    /// The program headers, in file order.
    pub segments: Vec<Segment>,
    /// `.dynamic` as the loader reads it, from PT_DYNAMIC through PT_LOAD, up to DT_NULL and without it.
    pub dynamic: Table<Vec<DynamicEntry>>,
    /// Entries of `.dynamic` in pages that cannot be written to, of those that glibc writes.
    pub read_only_entries: ReadOnlyEntries,
    /// DT_FLAGS (DF_*), with DT_SYMBOLIC, DT_TEXTREL and DT_BIND_NOW folded in as glibc does
    /// (`elf_get_dynamic_info`).
    pub flags: u64,
    /// DT_SONAME, DT_RPATH or DT_RUNPATH where their string cannot be read: what they say is then not known.
    pub unreadable_entries: Vec<FileError>,
    /// DT_FLAGS_1 (DF_1_*).
    pub flags_1: u64,
    /// DT_VERNEED; read when [`Facets::LINK`](crate::parse::Facets::LINK) was asked for.
    pub version_needs: Table<Vec<VersionNeed>>,
    /// DT_VERDEF; read as DT_VERNEED is.
    pub version_definitions: Table<Vec<VersionDefinition>>,
    /// Whether there is a DT_VERSYM.
    pub has_version_symbols: bool,
    /// `p_flags` of PT_GNU_STACK, or nothing where there is no such header.
    pub stack_flags: Option<u32>,
    /// How much is read-only after relocation.
    pub relro: Relro,
    /// PT_TLS.
    pub tls: Option<TlsSegment>,
    /// What relocations do; read when [`Facets::RELOCATIONS`](crate::parse::Facets::RELOCATIONS) was asked for.
    pub relocations: Table<Relocations>,
    /// NT_GNU_BUILD_ID.
    pub build_id: Table<Vec<u8>>,
    /// NT_GNU_ABI_TAG: the oldest kernel.
    pub abi_tag: Table<AbiTag>,
    /// NT_GNU_PROPERTY_TYPE_0.
    pub properties: Table<GnuProperties>,
    /// `.note.dlopen`: libraries that the code opens by itself.
    pub dlopen_notes: Table<Vec<DlopenNote>>,
    /// What the section headers say; read when [`Facets::SECTIONS`](crate::parse::Facets::SECTIONS) was asked for.
    pub sections: Table<SectionView>,
}

/// One program header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// `p_type`.
    pub kind: u32,
    /// `p_flags`.
    pub flags: u32,
    /// `p_offset` in bytes.
    pub offset: u64,
    /// `p_vaddr`.
    pub address: u64,
    /// `p_filesz` in bytes.
    pub file_size: u64,
    /// `p_memsz` in bytes.
    pub memory_size: u64,
    /// `p_align`.
    pub align: u64,
}

/// One entry of `.dynamic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DynamicEntry {
    /// `d_tag`.
    pub tag: i64,
    /// `d_un`.
    pub value: u64,
}

/// Addresses of the first entries of `.dynamic` that lie in a page whose last PT_LOAD is without PF_W.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOnlyEntries {
    /// Of those whose address glibc rebases in place (`elf_get_dynamic_info`, elf/get-dynamic-info.h).
    pub rebased: Option<u64>,
    /// DT_DEBUG, which it fills in for the program (`elf_setup_debug_entry`).
    pub debug: Option<u64>,
}

/// One verneed record: the versions needed of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionNeed {
    /// `vn_file`.
    pub file: Name,
    /// The versions.
    pub versions: Vec<NeededVersion>,
}

/// One vernaux record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededVersion {
    /// `vna_name`.
    pub name: Name,
    /// `vna_hash`.
    pub hash: u32,
    /// VER_FLG_WEAK: absence is not an error.
    pub is_weak: bool,
    /// `vna_other` without the hidden bit: the index that versym uses.
    pub index: u16,
}

/// One verdef record: a version that the object defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionDefinition {
    /// The first verdaux: the version's own name.
    pub name: Name,
    /// `vd_hash`.
    pub hash: u32,
    /// `vd_ndx` without the hidden bit.
    pub index: u16,
    /// VER_FLG_BASE: the object's own name.
    pub is_base: bool,
    /// VER_FLG_WEAK.
    pub is_weak: bool,
    /// The further verdaux names: the versions that it inherits.
    pub parents: Vec<Name>,
}

/// How much of the object is read-only after relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Relro {
    /// No PT_GNU_RELRO.
    #[default]
    None,
    /// PT_GNU_RELRO without immediate binding: the PLT's slots stay writable.
    Partial,
    /// PT_GNU_RELRO with DF_BIND_NOW or DF_1_NOW.
    Full,
}

/// PT_TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsSegment {
    /// `p_memsz` in bytes.
    pub size: u64,
    /// `p_align` in bytes.
    pub align: u64,
}

/// What the dynamic relocations do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Relocations {
    /// How many entries there are: DT_RELA and DT_REL, without the PLT's.
    pub count: u64,
    /// How many belong to the PLT (DT_JMPREL).
    pub plt_count: u64,
    /// How many addresses DT_RELR rebases.
    pub relr_count: u64,
    /// How often each symbol is referred to and how: by symbol index, sorted by it, each index once.
    pub symbols: Vec<SymbolUse>,
    /// Relocations inside a segment without PF_W, with the address of the first.
    pub text: Option<TextRelocations>,
    /// Relocations that need the thread's static TLS block (`R_X86_64_TPOFF64` and its kin).
    pub static_tls: u64,
    /// The symbol of the first of those, or 0 where it names none.
    pub first_static_tls: Option<u32>,
    /// Constructors that no entry of DT_REL, DT_RELA or DT_JMPREL rebases.
    pub packed_constructors: PackedConstructors,
}

/// How relocations use one symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SymbolUse {
    /// Index in `.dynsym`.
    pub symbol: u32,
    /// Entries of the PLT (`JUMP_SLOT`).
    pub calls: u32,
    /// Other entries: addresses in the GOT and in data.
    pub data: u32,
    /// Copy relocations (`R_*_COPY`), which only programs have.
    pub copies: u32,
    /// Place of the first of them among all relocations, in the order in which the loader applies them: the
    /// first symbol that cannot be found is the one that its message names.
    pub first: u32,
}

/// Words of DT_INIT_ARRAY that the ordinary tables leave as they are, in files that have packed relocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackedConstructors {
    /// DT_RELR rebases one.
    pub relr: bool,
    /// DT_RELR does not rebase one either.
    pub elsewhere: bool,
}

/// Relocations in segments that are not writable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextRelocations {
    /// How many.
    pub count: u64,
    /// Address of the first.
    pub first: u64,
}

/// NT_GNU_ABI_TAG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbiTag {
    /// 0 is Linux.
    pub os: u32,
    /// The oldest kernel: major, minor, patch.
    pub kernel: [u32; 3],
}

/// NT_GNU_PROPERTY_TYPE_0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GnuProperties {
    /// GNU_PROPERTY_X86_ISA_1_NEEDED: bit 0 baseline, 1 v2, 2 v3, 3 v4.
    pub x86_isa_needed: Option<u32>,
    /// GNU_PROPERTY_X86_ISA_1_USED.
    pub x86_isa_used: Option<u32>,
    /// GNU_PROPERTY_X86_FEATURE_1_AND: bit 0 IBT, 1 SHSTK.
    pub x86_features: Option<u32>,
    /// GNU_PROPERTY_AARCH64_FEATURE_1_AND: bit 0 BTI, 1 PAC.
    pub aarch64_features: Option<u32>,
}

/// One entry of a `.note.dlopen` note (the FDO packaging metadata specification).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DlopenNote {
    /// Alternatives, the first that opens is used.
    pub sonames: Vec<Name>,
    /// `required`, `recommended`, `suggested`.
    pub priority: Name,
    /// The feature that it serves, or empty.
    pub feature: Name,
    /// A sentence for people, or empty.
    pub description: Name,
}

/// What the section headers say of things that the segments say too, and what only they say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SectionView {
    /// Number of section headers.
    pub count: u32,
    /// Where the two views differ: each a clause naming both values.
    pub disagreements: Vec<Name>,
    /// Symbols of `.symtab` that PostgreSQL looks up by name, or that look like its finfo records, but which are
    /// local or hidden and so not in the dynamic table.
    pub hidden_entry_points: Table<Vec<Name>>,
    /// Whether the section at PT_DYNAMIC's address has no bytes in the file (SHT_NOBITS), as `eu-strip -f` leaves it.
    pub dynamic_has_no_bytes: bool,
}
