//! Entry points that are in the object but not exported: a version script with `local: *;`, or hidden
//! visibility, keeps them from the server, and only `.symtab` still tells that they were written.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use object::elf;

use super::memory::Memory;
use super::sections::Sections;
use crate::error::FileError;
use crate::limits;
use crate::model::{Module, SymbolTable, Table};
use crate::name::Name;
use crate::postgres::{FINFO_PREFIX, MAGIC_FUNCTION, SymbolClass, classify};
use crate::source::read_range;

/// Symbols decoded at a time, so that a large `.symtab` never stands in memory whole.
const BATCH: u64 = 16 << 10;

/// Finds the functions in `.symtab` that the server would look up by name and that the dynamic table lacks.
pub(super) fn read(memory: Memory<'_>, sections: &Sections, module: &Module) -> Table<Vec<Name>> {
    Table::from_optional(scan(memory, sections, module))
}

fn scan(memory: Memory<'_>, sections: &Sections, module: &Module) -> Result<Option<Vec<Name>>, FileError> {
    let Some(symtab) = sections.of_kind(elf::SHT_SYMTAB) else { return Ok(None) };
    let Some(strtab) = sections.linked(symtab) else {
        return Err(FileError::malformed("sh_link of .symtab names no section"));
    };
    let encoding = memory.encoding();
    let size = if encoding.is_64() { 24 } else { 16 };
    let count = symtab.size / size;
    if count > limits::STATIC_SYMBOLS as u64 {
        return Err(FileError::limit(format!(
            ".symtab has {count} symbols, more than {}",
            limits::STATIC_SYMBOLS
        ))
        .at(symtab.offset));
    }
    if strtab.size > limits::STRING_TABLE_BYTES {
        return Err(FileError::limit(format!(
            ".strtab has {} bytes, more than {}",
            strtab.size,
            limits::STRING_TABLE_BYTES
        ))
        .at(strtab.offset));
    }
    let names = read_range(memory.source(), strtab.offset, strtab.size, ".strtab")?;
    let mut functions = LocalFunctions::default();
    let mut done = 0;
    while done < count {
        let batch = BATCH.min(count - done);
        let offset = symtab.offset.checked_add(done * size).ok_or_else(|| {
            FileError::malformed(".symtab lies past the end of the address space").at(symtab.offset)
        })?;
        let bytes = read_range(memory.source(), offset, batch * size, ".symtab")?;
        for entry in bytes.chunks_exact(size as usize) {
            let Some(symbol) = super::symbols::decode(encoding, entry) else { continue };
            let is_local = symbol.info >> 4 == elf::STB_LOCAL.0;
            let is_function = symbol.info & 0xf == elf::STT_FUNC.0;
            if is_local && is_function && symbol.section != elf::SHN_UNDEF.0 {
                functions.see(&names, symbol.name)?;
            }
        }
        done += batch;
    }
    Ok(Some(functions.hidden(&names, module)))
}

/// Names and offsets in `.strtab` of local functions.
#[derive(Default)]
struct LocalFunctions<'a> {
    /// Names with a meaning of their own.
    fixed: BTreeSet<&'a [u8]>,
    /// Bytes of the names that went into `fixed`, each counted as often as a symbol has it: long names that
    /// share most of their bytes would otherwise make the set slow.
    fixed_bytes: u64,
    /// Everything else: an entry point if there is a finfo record for it.
    others: Vec<u32>,
}

impl<'a> LocalFunctions<'a> {
    fn see(&mut self, names: &'a [u8], offset: u32) -> Result<(), FileError> {
        let Some(start) = names.get(offset as usize..) else { return Ok(()) };
        let has_meaning = start.starts_with(FINFO_PREFIX)
            || start.starts_with(b"_PG_")
            || start.starts_with(MAGIC_FUNCTION);
        if !has_meaning {
            self.others.push(offset);
            return Ok(());
        }
        let Some(name) = name_at(names, offset) else { return Ok(()) };
        self.fixed_bytes += name.len() as u64;
        if self.fixed_bytes > limits::OWNED_NAME_BYTES {
            return Err(FileError::limit(format!(
                "the local entry points' names have more than {} bytes",
                limits::OWNED_NAME_BYTES
            )));
        }
        self.fixed.insert(name);
        Ok(())
    }

    /// Those of the names that the dynamic table lacks.
    fn hidden(mut self, names: &[u8], module: &Module) -> Vec<Name> {
        let exports = module.symbols.get().into_iter().flat_map(SymbolTable::exports);
        let mut exported = BTreeSet::new();
        let mut records: BTreeSet<&[u8]> = BTreeSet::new();
        for symbol in exports {
            let symbol = symbol.name();
            exported.insert(symbol);
            records.extend(symbol.strip_prefix(FINFO_PREFIX));
        }
        records.extend(self.fixed.iter().filter_map(|name| name.strip_prefix(FINFO_PREFIX)));
        records.remove(&b""[..]);
        let mut hidden: BTreeSet<&[u8]> =
            self.fixed.iter().copied().filter(|name| is_entry_point(name)).collect();
        if !records.is_empty() {
            self.others.sort_unstable();
            self.others.dedup();
            let others = self.others.iter().filter_map(|&offset| name_at(names, offset));
            hidden.extend(others.filter(|name| records.contains(name)));
        }
        hidden.into_iter().filter(|name| !exported.contains(name)).map(Name::from).collect()
    }
}

/// Whether a name has a meaning of its own to the server.
fn is_entry_point(name: &[u8]) -> bool {
    !matches!(classify(name, || false), SymbolClass::Other)
}

/// The name at an offset; one longer than any entry point's is none.
fn name_at(names: &[u8], offset: u32) -> Option<&[u8]> {
    let start = names.get(offset as usize..)?;
    let window = &start[..start.len().min(limits::ENTRY_POINT_NAME_BYTES)];
    window.find_byte(0).map(|end| &start[..end])
}
