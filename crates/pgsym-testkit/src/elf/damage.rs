//! Ways to break a file. Each switch changes one statement of a file that is otherwise consistent, so that a test can say which
//! lie it tells; combinations are allowed.

/// A field of the ELF header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderField {
    /// `e_type`
    Type,
    /// `e_machine`
    Machine,
    /// `e_version`
    Version,
    /// `e_entry`
    Entry,
    /// `e_phoff`
    PhOff,
    /// `e_shoff`
    ShOff,
    /// `e_ehsize`
    EhSize,
    /// `e_phentsize`
    PhEntSize,
    /// `e_phnum`
    PhNum,
    /// `e_shentsize`
    ShEntSize,
    /// `e_shnum`
    ShNum,
    /// `e_shstrndx`
    ShStrNdx,
}

/// A field of a program header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramHeaderField {
    /// `p_type`
    Type,
    /// `p_flags`
    Flags,
    /// `p_offset`
    Offset,
    /// `p_vaddr`
    Address,
    /// `p_filesz`
    FileSize,
    /// `p_memsz`
    MemorySize,
    /// `p_align`
    Align,
}

/// One way to break a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// No section header table, as after `sstrip`: `e_shoff`, `e_shnum` and `e_shstrndx` are 0.
    NoSectionHeaders,
    /// The section headers of `.dynsym` and `.dynstr` point 16 bytes further and claim half the size; the dynamic
    /// entries stay true.
    SectionsDisagree,
    /// Only the first bytes.
    Truncated(usize),
    /// A byte of `e_ident`: 4 class, 5 data, 6 version, 7 osabi, 8 abiversion.
    Ident(usize, u8),
    /// A field of the ELF header.
    Header(HeaderField, u64),
    /// A field of the first program header of a type.
    ProgramHeader(u32, ProgramHeaderField, u64),
    /// One more PT_LOAD, which maps the program headers' bytes where the ELF header already is.
    OverlappingLoads,
    /// The value of every dynamic entry with this tag: a table outside of the file, a count that lies.
    Dynamic(u64, u64),
    /// PT_DYNAMIC lies behind the file's end.
    DynamicOutside,
    /// No DT_NULL at the end of `.dynamic`.
    DynamicUnterminated,
    /// The last string of `.dynstr` has no NUL, and DT_STRSZ ends with it.
    StringsUnterminated,
    /// This many extra DT_NEEDED entries, all of the string at offset 1.
    RepeatNeeded(u32),
    /// `st_name` of a dynamic symbol (1 is the first real one).
    SymbolName(u32, u32),
    /// `st_value` of a dynamic symbol.
    SymbolValue(u32, u64),
    /// `st_size` 0 in every dynamic symbol, as assembly without `.size` leaves it.
    NoSymbolSizes,
    /// `nbuckets` of GNU_HASH.
    GnuHashBuckets(u32),
    /// `symoffset` of GNU_HASH.
    GnuHashSymbolOffset(u32),
    /// `bloom_size` of GNU_HASH.
    GnuHashBloomSize(u32),
    /// No chain value of GNU_HASH has its end bit.
    GnuHashChainsUnterminated,
    /// `nbucket` of DT_HASH.
    HashBuckets(u32),
    /// `nchain` of DT_HASH, the usual source of the number of symbols.
    HashChains(u32),
    /// `vn_cnt` of the first verneed.
    VernauxCount(u16),
    /// `vn_next` of the first verneed; 0 with a large DT_VERNEEDNUM stays on the spot.
    VerneedNext(u32),
    /// `vna_next` of the first vernaux; 0 with a large `vn_cnt` stays on the spot.
    VernauxNext(u32),
    /// `vd_cnt` of the first verdef.
    VerdauxCount(u16),
    /// `vd_next` of the first verdef.
    VerdefNext(u32),
    /// `r_info`'s symbol index of the first relocation with a symbol.
    RelocationSymbol(u32),
    /// Bytes at a file offset, after everything else but the truncation.
    Patch(usize, Vec<u8>),
}

/// The value of the last damage of a one-field variant, if there is one.
macro_rules! find {
    ($damage:expr, $variant:ident) => {
        $damage.iter().rev().find_map(|damage| match damage {
            $crate::elf::damage::Damage::$variant(value) => Some(*value),
            _ => None,
        })
    };
}
pub(crate) use find;

/// Whether a damage without fields is asked for.
pub(crate) fn has(damage: &[Damage], wanted: &Damage) -> bool {
    damage.contains(wanted)
}

/// Changes finished bytes.
pub(crate) fn finish(mut bytes: Vec<u8>, damage: &[Damage]) -> Vec<u8> {
    for change in damage {
        match change {
            Damage::Ident(position, value) => bytes[*position] = *value,
            Damage::Patch(offset, patch) => {
                let end = offset + patch.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*offset..end].copy_from_slice(patch);
            }
            _ => {}
        }
    }
    if let Some(length) = find!(damage, Truncated) {
        bytes.truncate(length);
    }
    bytes
}
