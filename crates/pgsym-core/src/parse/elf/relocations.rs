//! The dynamic relocations: DT_RELA, DT_REL, DT_JMPREL and DT_RELR, and what they tell – which symbols are used
//! and how, whether code has to be patched, whether the static TLS block is needed.
//!
//! ```text
//! Elf64_Rela  r_offset:u64 r_info:u64 r_addend:i64     Elf64_Rel  without r_addend
//! Elf32_Rela  r_offset:u32 r_info:u32 r_addend:i32     r_info = symbol << 8 | type (32), symbol << 32 | type (64)
//! Relr        an even word is an address; an odd one a bitmap of the words that follow it
//! ```

use std::convert::Infallible;

use object::elf;

use super::dynamic::Dynamic;
use super::encoding::{Encoding, u32_at, u64_at};
use super::memory::Memory;
use crate::error::{FileError, FileErrorKind};
use crate::limits;
use crate::model::{Endian, Relocations, Segment, SymbolUse, TextRelocations};

/// The raw tables of one file.
pub(crate) struct Tables {
    encoding: Encoding,
    machine: elf::Machine,
    entries: Vec<EntryTable>,
    relr: Vec<u8>,
}

struct EntryTable {
    bytes: Vec<u8>,
    has_addends: bool,
    is_plt: bool,
}

/// One entry of DT_RELA, DT_REL or DT_JMPREL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `r_offset`: the address that is written.
    pub(crate) address: u64,
    /// Index in `.dynsym`, or 0.
    pub(crate) symbol: u32,
    /// `R_*`.
    pub(crate) kind: u32,
    /// `r_addend`; REL keeps it in place.
    pub(crate) addend: Option<i64>,
    /// Whether it stands in DT_JMPREL.
    pub(crate) is_plt: bool,
}

impl Tables {
    /// Reads all relocation tables; a file without any has empty ones.
    pub(crate) fn read(memory: Memory<'_>, dynamic: &Dynamic) -> Result<Self, FileError> {
        let machine = memory.target().machine;
        if matches!(machine, elf::EM_MIPS | elf::EM_MIPS_RS3_LE) {
            return Err(FileError::new(
                FileErrorKind::Unsupported,
                "relocations of MIPS, which the loader partly derives from the GOT, are not read",
            ));
        }
        let plt_is_rela = dynamic.value(elf::DT_PLTREL).is_none_or(|tag| tag.cast_signed() == elf::DT_RELA.0);
        let plt = table(dynamic, elf::DT_JMPREL, elf::DT_PLTRELSZ, "DT_PLTRELSZ is missing")?;
        let mut tables = Self { encoding: memory.encoding(), machine, entries: Vec::new(), relr: Vec::new() };
        let kinds = [
            (elf::DT_RELA, elf::DT_RELASZ, true, "DT_RELASZ is missing", "DT_RELA"),
            (elf::DT_REL, elf::DT_RELSZ, false, "DT_RELSZ is missing", "DT_REL"),
        ];
        for (tag, size_tag, has_addends, missing, what) in kinds {
            let Some((address, mut size)) = table(dynamic, tag, size_tag, missing)? else { continue };
            // Some linkers count the PLT's entries in DT_RELASZ too (glibc: elf_dynamic_do_*).
            if let Some((plt_address, plt_size)) = plt
                && plt_is_rela == has_addends
                && address.checked_add(size) == plt_address.checked_add(plt_size)
            {
                size = size.saturating_sub(plt_size);
            }
            tables.push(memory, (address, size), has_addends, false, what)?;
        }
        if let Some(place) = plt {
            tables.push(memory, place, plt_is_rela, true, "DT_JMPREL")?;
        }
        if let Some((address, size)) = table(dynamic, elf::DT_RELR, elf::DT_RELRSZ, "DT_RELRSZ is missing")? {
            within_limit(size / tables.encoding.word_size() as u64)?;
            tables.relr = memory.read(address, size, "DT_RELR")?;
        }
        Ok(tables)
    }

    /// Pointers whose values are known from elsewhere, as entries of DT_RELA: where they stand and what they
    /// will hold. A Mach-O file's chained fixups become relocations this way.
    pub(crate) fn of_pointers(encoding: Encoding, machine: elf::Machine, pointers: &[(u64, u64)]) -> Self {
        let mut bytes = Vec::with_capacity(pointers.len() * 24);
        for &(address, value) in pointers {
            for word in [address, 0, value] {
                match (encoding.is_64(), encoding.endian) {
                    (true, Endian::Little) => bytes.extend(word.to_le_bytes()),
                    (true, Endian::Big) => bytes.extend(word.to_be_bytes()),
                    (false, Endian::Little) => bytes.extend((word as u32).to_le_bytes()),
                    (false, Endian::Big) => bytes.extend((word as u32).to_be_bytes()),
                }
            }
        }
        let table = EntryTable { bytes, has_addends: true, is_plt: false };
        Self { encoding, machine, entries: vec![table], relr: Vec::new() }
    }

    fn push(
        &mut self,
        memory: Memory<'_>,
        (address, size): (u64, u64),
        has_addends: bool,
        is_plt: bool,
        what: &'static str,
    ) -> Result<(), FileError> {
        if size == 0 {
            return Ok(());
        }
        within_limit(size / self.entry_size(has_addends) as u64)?;
        let bytes = memory.read(address, size, what)?;
        self.entries.push(EntryTable { bytes, has_addends, is_plt });
        Ok(())
    }

    fn entry_size(&self, has_addends: bool) -> usize {
        self.encoding.word_size() * if has_addends { 3 } else { 2 }
    }

    /// Visits every entry of DT_RELA, DT_REL and DT_JMPREL, up to the first error.
    pub(crate) fn visit<E>(&self, visit: &mut impl FnMut(Entry) -> Result<(), E>) -> Result<(), E> {
        for table in &self.entries {
            match (self.encoding.is_64(), table.has_addends, self.encoding.endian) {
                (true, true, Endian::Little) => self.visit_table::<24, 8, false, E>(table, visit),
                (true, true, Endian::Big) => self.visit_table::<24, 8, true, E>(table, visit),
                (true, false, Endian::Little) => self.visit_table::<16, 8, false, E>(table, visit),
                (true, false, Endian::Big) => self.visit_table::<16, 8, true, E>(table, visit),
                (false, true, Endian::Little) => self.visit_table::<12, 4, false, E>(table, visit),
                (false, true, Endian::Big) => self.visit_table::<12, 4, true, E>(table, visit),
                (false, false, Endian::Little) => self.visit_table::<8, 4, false, E>(table, visit),
                (false, false, Endian::Big) => self.visit_table::<8, 4, true, E>(table, visit),
            }?;
        }
        Ok(())
    }

    /// Visits every entry.
    pub(crate) fn each(&self, mut visit: impl FnMut(Entry)) {
        let Ok(()) = self.visit(&mut |entry| {
            visit(entry);
            Ok::<_, Infallible>(())
        });
    }

    /// The loop over one table, one copy for each kind of file: a library like LLVM's has half a million entries.
    fn visit_table<const SIZE: usize, const WORD: usize, const BIG: bool, E>(
        &self,
        table: &EntryTable,
        visit: &mut impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        // On 64-bit SPARC the upper 24 bits of the type are data of R_SPARC_OLO10.
        let kind_mask = if self.machine == elf::EM_SPARCV9 { 0xff } else { u32::MAX };
        for entry in table.bytes.as_chunks::<SIZE>().0 {
            let word = |at: usize| {
                if WORD == 8 { u64_at::<BIG>(entry, at) } else { u64::from(u32_at::<BIG>(entry, at)) }
            };
            let info = word(WORD);
            let (symbol, kind) = if WORD == 8 {
                ((info >> 32) as u32, info as u32 & kind_mask)
            } else {
                ((info >> 8) as u32, (info & 0xff) as u32)
            };
            let addend = table.has_addends.then(|| {
                let addend = word(SIZE - WORD);
                if WORD == 8 { addend.cast_signed() } else { i64::from((addend as u32).cast_signed()) }
            });
            visit(Entry { address: word(0), symbol, kind, addend, is_plt: table.is_plt })?;
        }
        Ok(())
    }

    /// Bytes of an address.
    pub(crate) fn word_size(&self) -> u64 {
        self.encoding.word_size() as u64
    }

    /// Every address that DT_RELR rebases.
    pub(crate) fn relr(&self) -> impl Iterator<Item = u64> {
        let encoding = self.encoding;
        let size = encoding.word_size() as u64;
        let mut next = 0_u64;
        self.relr.chunks_exact(size as usize).filter_map(move |bytes| encoding.word(bytes, 0)).flat_map(
            move |word| {
                // Of an address only itself; of a bitmap, bit n stands for the nth word from `next`.
                let (base, bits) = if word & 1 == 0 { (word, 1) } else { (next, word >> 1) };
                let span = if word & 1 == 0 { 1 } else { size * 8 - 1 };
                next = base.wrapping_add(span * size);
                (0..span)
                    .filter(move |bit| bits >> bit & 1 == 1)
                    .map(move |bit| base.wrapping_add(bit * size))
            },
        )
    }

    /// One more than the highest symbol in use, or 1.
    pub(crate) fn symbol_end(&self) -> u32 {
        let mut highest = 0;
        self.each(|entry| highest = highest.max(entry.symbol));
        highest.saturating_add(1)
    }

    /// What the relocations tell. `symbols` is the length of `.dynsym`.
    pub(crate) fn summary(&self, segments: &[Segment], symbols: usize) -> Result<Relocations, FileError> {
        let kinds = Kinds::of(self.machine);
        let mut summary = Relocations::default();
        let mut uses = vec![SymbolUse { symbol: 0, calls: 0, data: 0, copies: 0, first: 0 }; symbols];
        let mut writable = Writable::new(segments);
        let mut place = 0_u32;
        // Most entries name no symbol and are of one type, R_*_RELATIVE: the last such type that means nothing more.
        let mut plain = None;
        self.visit(&mut |entry| {
            let count = if entry.is_plt { &mut summary.plt_count } else { &mut summary.count };
            *count += 1;
            if entry.symbol == 0 && plain == Some(entry.kind) && !writable.forbids(entry.address) {
                place += 1;
                return Ok(());
            }
            // R_*_NONE is 0 on every machine: nothing is written.
            if entry.kind != 0 && writable.forbids(entry.address) {
                let text = summary.text.get_or_insert(TextRelocations { count: 0, first: entry.address });
                text.count += 1;
            }
            if kinds.static_tls.contains(&entry.kind) {
                summary.static_tls += 1;
                summary.first_static_tls.get_or_insert(entry.symbol);
            }
            let here = place;
            place += 1;
            if entry.symbol == 0 {
                plain = Some(entry.kind).filter(|kind| !kinds.static_tls.contains(kind));
                return Ok(());
            }
            let symbol = uses.get_mut(entry.symbol as usize).ok_or_else(|| {
                FileError::malformed(format!(
                    "a relocation at address {:#x} uses symbol {} of {symbols}",
                    entry.address, entry.symbol
                ))
            })?;
            if symbol.symbol == 0 {
                symbol.symbol = entry.symbol;
                symbol.first = here;
            }
            let count = if Some(entry.kind) == kinds.copy {
                &mut symbol.copies
            } else if Some(entry.kind) == kinds.jump_slot || (kinds.jump_slot.is_none() && entry.is_plt) {
                &mut symbol.calls
            } else {
                &mut symbol.data
            };
            *count = count.saturating_add(1);
            Ok::<_, FileError>(())
        })?;
        for address in self.relr() {
            summary.relr_count += 1;
            // A bitmap of 8 bytes stands for up to 63 addresses, so the table's length alone is no bound.
            within_limit(summary.relr_count)?;
            if writable.forbids(address) {
                let text = summary.text.get_or_insert(TextRelocations { count: 0, first: address });
                text.count += 1;
            }
        }
        // A copy of just those: what was reserved for every symbol of a library would outlive the reading.
        summary.symbols = uses.iter().filter(|symbol| symbol.symbol != 0).copied().collect();
        Ok(summary)
    }
}

/// Address and size of a table, where it has an address.
fn table(
    dynamic: &Dynamic,
    address: elf::DynamicTag,
    size: elf::DynamicTag,
    missing: &'static str,
) -> Result<Option<(u64, u64)>, FileError> {
    let Some(address) = dynamic.value(address) else { return Ok(None) };
    let size = dynamic.value(size).ok_or_else(|| FileError::malformed(missing))?;
    Ok(Some((address, size)))
}

fn within_limit(count: u64) -> Result<(), FileError> {
    if count <= limits::RELOCATIONS as u64 {
        return Ok(());
    }
    Err(FileError::limit(format!("there are {count} relocations, more than {}", limits::RELOCATIONS)))
}

/// Tells which addresses lie in segments without PF_W; relocations come sorted, so the last answer is tried
/// first.
struct Writable<'a> {
    segments: &'a [Segment],
    /// Where the segment of the last address begins.
    start: u64,
    /// Its length in memory; 0 where there is none.
    length: u64,
    forbids: bool,
}

impl<'a> Writable<'a> {
    fn new(segments: &'a [Segment]) -> Self {
        Self { segments, start: 0, length: 0, forbids: false }
    }

    fn forbids(&mut self, address: u64) -> bool {
        if address.wrapping_sub(self.start) >= self.length {
            self.look_up(address);
        }
        self.forbids
    }

    fn look_up(&mut self, address: u64) {
        let segment =
            self.segments.iter().filter(|segment| segment.kind == elf::PT_LOAD.0).rfind(|segment| {
                address.checked_sub(segment.address).is_some_and(|inside| inside < segment.memory_size)
            });
        (self.start, self.length, self.forbids) = segment.map_or((0, 0, false), |segment| {
            (segment.address, segment.memory_size, segment.flags & elf::PF_W.0 == 0)
        });
    }
}

/// The relocation types of one machine that mean something here.
struct Kinds {
    copy: Option<u32>,
    jump_slot: Option<u32>,
    /// Those that write an offset from the thread pointer: only the static TLS block has one.
    static_tls: &'static [u32],
}

impl Kinds {
    fn of(machine: elf::Machine) -> Self {
        let known = |copy: elf::RelocationType, jump_slot: elf::RelocationType, static_tls| Self {
            copy: Some(copy.0),
            jump_slot: Some(jump_slot.0),
            static_tls,
        };
        match machine {
            elf::EM_X86_64 => known(
                elf::R_X86_64_COPY,
                elf::R_X86_64_JUMP_SLOT,
                &[elf::R_X86_64_TPOFF64.0, elf::R_X86_64_TPOFF32.0],
            ),
            elf::EM_386 => known(
                elf::R_386_COPY,
                elf::R_386_JMP_SLOT,
                &[elf::R_386_TLS_TPOFF.0, elf::R_386_TLS_TPOFF32.0],
            ),
            elf::EM_AARCH64 => {
                known(elf::R_AARCH64_COPY, elf::R_AARCH64_JUMP_SLOT, &[elf::R_AARCH64_TLS_TPREL.0])
            }
            elf::EM_ARM => known(elf::R_ARM_COPY, elf::R_ARM_JUMP_SLOT, &[elf::R_ARM_TLS_TPOFF32.0]),
            elf::EM_PPC64 => known(elf::R_PPC64_COPY, elf::R_PPC64_JMP_SLOT, &[elf::R_PPC64_TPREL64.0]),
            elf::EM_PPC => known(elf::R_PPC_COPY, elf::R_PPC_JMP_SLOT, &[elf::R_PPC_TPREL32.0]),
            elf::EM_S390 => known(elf::R_390_COPY, elf::R_390_JMP_SLOT, &[elf::R_390_TLS_TPOFF.0]),
            elf::EM_RISCV => known(
                elf::R_RISCV_COPY,
                elf::R_RISCV_JUMP_SLOT,
                &[elf::R_RISCV_TLS_TPREL32.0, elf::R_RISCV_TLS_TPREL64.0],
            ),
            elf::EM_LOONGARCH => known(
                elf::R_LARCH_COPY,
                elf::R_LARCH_JUMP_SLOT,
                &[elf::R_LARCH_TLS_TPREL32.0, elf::R_LARCH_TLS_TPREL64.0],
            ),
            elf::EM_SPARC | elf::EM_SPARC32PLUS | elf::EM_SPARCV9 => known(
                elf::R_SPARC_COPY,
                elf::R_SPARC_JMP_SLOT,
                &[elf::R_SPARC_TLS_TPOFF32.0, elf::R_SPARC_TLS_TPOFF64.0],
            ),
            _ => Self { copy: None, jump_slot: None, static_tls: &[] },
        }
    }
}
