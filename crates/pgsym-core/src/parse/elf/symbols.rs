//! `.dynsym` into compact records. How many there are is told by the hash table, and where that tells nothing
//! by the highest symbol that a relocation uses: no section header is asked.
//!
//! ```text
//! Elf64_Sym  st_name:u32 st_info:u8 st_other:u8 st_shndx:u16 st_value:u64 st_size:u64   (24 bytes)
//! Elf32_Sym  st_name:u32 st_value:u32 st_size:u32 st_info:u8 st_other:u8 st_shndx:u16   (16 bytes)
//! ```

use bstr::ByteSlice as _;
use object::elf;

use super::dynamic::Dynamic;
use super::encoding::{Encoding, u16_at, u32_at, u64_at};
use super::hash::Hash;
use super::memory::Memory;
use crate::error::FileError;
use crate::limits;
use crate::model::{Endian, HashTable, SymbolRecord, SymbolTable, SymbolValue, VersionName};

/// The tables of [`SymbolTable`] that were read before it.
pub(crate) struct Parts {
    pub(crate) names: Vec<u8>,
    pub(crate) versions: Vec<Option<VersionName>>,
    pub(crate) hash: Hash,
    /// One more than the highest symbol that a relocation uses, where the hash table tells of none.
    pub(crate) used: u32,
}

/// Whether `st_value` and `st_size` are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    Keep,
    Drop,
}

/// Reads `.dynsym`; the caller has seen that there is a DT_SYMTAB.
pub(crate) fn read(
    memory: Memory<'_>,
    dynamic: &Dynamic,
    address: u64,
    parts: Parts,
    values: Values,
) -> Result<SymbolTable, FileError> {
    let Parts { names, versions, hash, used } = parts;
    let encoding = memory.encoding();
    let count = hash.symbols.unwrap_or(used).max(1);
    if count as usize > limits::DYNAMIC_SYMBOLS {
        return Err(FileError::limit(format!(
            "there are {count} dynamic symbols, more than {}",
            limits::DYNAMIC_SYMBOLS
        )));
    }
    let size = if encoding.is_64() { 24 } else { 16 };
    let told = dynamic.value(elf::DT_SYMENT).unwrap_or(size);
    if told != size {
        return Err(FileError::malformed(format!("DT_SYMENT is {told}, not {size}")));
    }
    let symbols = memory.read(address, u64::from(count) * size, "DT_SYMTAB")?;
    let versym = match dynamic.value(elf::DT_VERSYM) {
        Some(address) => Some(memory.read(address, u64::from(count) * 2, "DT_VERSYM")?),
        None => None,
    };
    let versym = versym.as_deref();
    let (records, values) = match (encoding.is_64(), encoding.endian) {
        (true, Endian::Little) => compact::<24, false>(&symbols, versym, values),
        (true, Endian::Big) => compact::<24, true>(&symbols, versym, values),
        (false, Endian::Little) => compact::<16, false>(&symbols, versym, values),
        (false, Endian::Big) => compact::<16, true>(&symbols, versym, values),
    };
    if let Some(bad) = records.iter().position(|record| record.name as usize >= names.len()) {
        // A table without any name has an empty string table, which even the null symbol points past.
        if bad != 0 || records.len() > 1 {
            let at = memory.file_range(address).map_or(0, |range| range.start) + bad as u64 * size;
            return Err(FileError::malformed(format!(
                "st_name of dynamic symbol {bad} is {:#x}, past the last NUL of DT_STRTAB",
                records[bad].name
            ))
            .at(at));
        }
    }
    names_within_limit(&names, &records)?;
    let table = hash.table;
    chains_within(&table, records.len())?;
    let names = names.into_boxed_slice();
    Ok(SymbolTable { names, records, values, versions, hash: table, ..SymbolTable::default() })
}

/// The loop over the whole table, one copy for each kind of file: it is what reading a tree spends its time in.
fn compact<const SIZE: usize, const BIG: bool>(
    symbols: &[u8],
    versym: Option<&[u8]>,
    values: Values,
) -> (Box<[SymbolRecord]>, Box<[SymbolValue]>) {
    let symbols = symbols.as_chunks::<SIZE>().0;
    let record = |symbol: &[u8; SIZE], version| {
        let rest = if SIZE == 24 { 4 } else { 12 };
        SymbolRecord {
            name: u32_at::<BIG>(symbol, 0),
            version,
            section: u16_at::<BIG>(symbol, rest + 2),
            info: symbol[rest],
            other: symbol[rest + 1],
        }
    };
    let records = match versym {
        None => symbols.iter().map(|symbol| record(symbol, elf::VER_NDX_GLOBAL.0)).collect(),
        Some(versym) => symbols
            .iter()
            .zip(versym.as_chunks::<2>().0)
            .map(|(symbol, version)| record(symbol, u16_at::<BIG>(version, 0)))
            .collect(),
    };
    let values = match values {
        Values::Drop => Box::default(),
        Values::Keep => symbols
            .iter()
            .map(|symbol| {
                if SIZE == 24 {
                    let [value, size] = [8, 16].map(|at| u64_at::<BIG>(symbol, at));
                    SymbolValue { value, size }
                } else {
                    let [value, size] = [4, 8].map(|at| u64::from(u32_at::<BIG>(symbol, at)));
                    SymbolValue { value, size }
                }
            })
            .collect(),
    };
    (records, values)
}

/// Refuses a table in which many symbols share one huge name: walking over all names would take hours.
///
/// Names between NULs that come every 4 KiB have less than 8 KiB, so most files are settled by one look per
/// page; the others have their names added up.
fn names_within_limit(names: &[u8], records: &[SymbolRecord]) -> Result<(), FileError> {
    const PAGE: usize = 4096;
    let pages_have_ends = names.chunks(PAGE).all(|page| page.contains(&0));
    if pages_have_ends && (records.len() * 2 * PAGE) as u64 <= limits::SYMBOL_NAME_BYTES {
        return Ok(());
    }
    let mut left = limits::SYMBOL_NAME_BYTES;
    for record in records {
        let name = names.get(record.name as usize..).unwrap_or_default();
        let window = &name[..name.len().min(limits::NAME_BYTES)];
        let length = window.find_byte(0).unwrap_or(limits::NAME_BYTES) as u64;
        left = left.checked_sub(length).ok_or_else(|| {
            FileError::limit(format!(
                "the names of the dynamic symbols add up to more than {} bytes",
                limits::SYMBOL_NAME_BYTES
            ))
        })?;
    }
    Ok(())
}

/// A hash table that leads past the symbols belongs to another symbol table.
fn chains_within(table: &HashTable, symbols: usize) -> Result<(), FileError> {
    let end = match table {
        HashTable::None => 0,
        HashTable::Gnu { chains, .. } if chains.is_empty() => 0,
        HashTable::Gnu { first, chains, .. } => *first as usize + chains.len(),
        HashTable::Sysv { chains, .. } => chains.len(),
    };
    if end <= symbols {
        return Ok(());
    }
    Err(FileError::malformed(format!("the hash table covers {end} symbols of {symbols}")))
}

/// Whether a file of this encoding with this tag set has a symbol table at all.
pub(crate) fn address(dynamic: &Dynamic) -> Option<u64> {
    dynamic.value(elf::DT_SYMTAB)
}

/// One entry of a symbol table of either kind, for the few that are looked at one by one.
pub(crate) struct RawSymbol {
    pub(crate) name: u32,
    pub(crate) info: u8,
    pub(crate) section: u16,
}

/// Decodes one entry of `.symtab`.
pub(crate) fn decode(encoding: Encoding, entry: &[u8]) -> Option<RawSymbol> {
    let rest = if encoding.is_64() { 4 } else { 12 };
    Some(RawSymbol {
        name: encoding.u32(entry, 0)?,
        info: *entry.get(rest)?,
        section: encoding.u16(entry, rest + 2)?,
    })
}
