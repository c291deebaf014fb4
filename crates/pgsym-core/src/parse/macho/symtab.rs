//! LC_SYMTAB: what an image exports and imports where nothing newer says it. dyld looks here only for lack of an
//! export trie; imports stand here in every image that was not stripped.

use object::endian::Endianness;
use object::macho;
use object::pod;

use super::commands::Linkedit;
use crate::error::FileError;
use crate::limits;
use crate::model::{ExportTarget, MachExport, Ordinal};
use crate::name::Name;
use crate::source::{Source, read_range};

/// `N_EXT`, `N_TYPE`, `N_STAB` and the types of `n_type`.
const N_STAB: u8 = 0xe0;
const N_TYPE: u8 = 0x0e;
const N_EXT: u8 = 0x01;
const N_UNDF: u8 = 0x0;
const N_SECT: u8 = 0xe;
/// `n_desc` of an import that may be missing, and of a definition that is coalesced.
const N_WEAK_REF: u16 = 0x40;
const N_WEAK_DEF: u16 = 0x80;

/// One entry, of either width.
struct Entry<'a> {
    name: &'a [u8],
    kind: u8,
    desc: u16,
    value: u64,
}

/// Defined external symbols.
pub(super) fn exports(
    source: &dyn Source,
    linkedit: &Linkedit,
    base: u64,
) -> Result<Option<Vec<MachExport>>, FileError> {
    let mut exports = Vec::new();
    let found = walk(source, linkedit, &mut |entry| {
        if entry.kind & N_STAB == 0 && entry.kind & N_TYPE == N_SECT && entry.kind & N_EXT != 0 {
            let is_weak = entry.desc & N_WEAK_DEF != 0;
            let weak = if is_weak { macho::EXPORT_SYMBOL_FLAGS_WEAK_DEFINITION.0 } else { 0 };
            exports.push(MachExport {
                name: Name::from(entry.name),
                flags: macho::ExportSymbolFlags(weak),
                target: ExportTarget::Address(entry.value.wrapping_sub(base)),
            });
        }
        Ok(())
    })?;
    Ok(found.map(|()| exports))
}

/// Undefined symbols, each with the library's number from `n_desc`; without MH_TWOLEVEL all lookups are flat.
pub(super) fn imports(
    source: &dyn Source,
    linkedit: &Linkedit,
    add: &mut dyn FnMut(&[u8], Ordinal, bool) -> Result<(), FileError>,
) -> Result<Option<()>, FileError> {
    walk(source, linkedit, &mut |entry| {
        if entry.kind & N_STAB == 0 && entry.kind & N_TYPE == N_UNDF && entry.kind & N_EXT != 0 {
            let number = (entry.desc >> 8) as u8;
            let from = match number {
                _ if !linkedit.is_two_level => Ordinal::Flat,
                0 => Ordinal::SelfImage,
                0xfe => Ordinal::Flat,
                0xff => Ordinal::Executable,
                number => Ordinal::Library(number.into()),
            };
            add(entry.name, from, entry.desc & N_WEAK_REF != 0)?;
        }
        Ok(())
    })
}

fn walk(
    source: &dyn Source,
    linkedit: &Linkedit,
    visit: &mut dyn FnMut(Entry<'_>) -> Result<(), FileError>,
) -> Result<Option<()>, FileError> {
    let Some(place) = linkedit.symtab else { return Ok(None) };
    if place.count as usize > limits::STATIC_SYMBOLS {
        return Err(FileError::limit(format!("LC_SYMTAB has {} symbols", place.count)).at(place.symbols));
    }
    let size = if linkedit.is_64 { 16 } else { 12 };
    let table = read_range(source, place.symbols, u64::from(place.count) * size, "the symbols of LC_SYMTAB")?;
    let strings = place.strings.read(source, "the strings of LC_SYMTAB")?;
    let endian = linkedit.endian;
    let count = place.count as usize;
    let mut name_bytes = 0_u64;
    let mut each = |strx: u32, kind: u8, desc: u16, value: u64| {
        let name = string(&strings, strx)?;
        // Many entries may share one long string.
        name_bytes += name.len() as u64;
        if name_bytes > limits::MACH_NAME_BYTES {
            return Err(FileError::limit("the names of LC_SYMTAB"));
        }
        visit(Entry { name, kind, desc, value })
    };
    let cut = |()| FileError::malformed("LC_SYMTAB is cut off");
    if linkedit.is_64 {
        let (entries, _) = pod::slice_from_bytes::<macho::Nlist64<Endianness>>(&table, count).map_err(cut)?;
        for entry in entries {
            each(
                entry.n_strx.get(endian),
                entry.n_type.0,
                entry.n_desc.get(endian).0,
                entry.n_value.get(endian),
            )?;
        }
    } else {
        let (entries, _) = pod::slice_from_bytes::<macho::Nlist32<Endianness>>(&table, count).map_err(cut)?;
        for entry in entries {
            let value = u64::from(entry.n_value.get(endian));
            each(entry.n_strx.get(endian), entry.n_type.0, entry.n_desc.get(endian).0, value)?;
        }
    }
    Ok(Some(()))
}

fn string(strings: &[u8], at: u32) -> Result<&[u8], FileError> {
    let rest = strings.get(at as usize..);
    let rest = rest.ok_or_else(|| FileError::malformed("n_strx points outside the strings of LC_SYMTAB"))?;
    // The last string may lack its NUL.
    let end = bstr::ByteSlice::find_byte(rest, 0).unwrap_or(rest.len());
    let name = rest.get(..end).unwrap_or_default();
    if name.len() > limits::NAME_BYTES {
        return Err(FileError::limit("a name in LC_SYMTAB is longer than any symbol"));
    }
    Ok(name)
}
