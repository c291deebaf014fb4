//! The least that reading exports and imports can cost: the `object` crate's iterators over each slice, whose names are
//! looked at and not kept.

use object::endian::Endianness;
use object::read::macho::{FatArch, MachOFatFile32, MachOFatFile64, MachOFile64};
use object::{NameOrOrdinal, Object as _};

use super::Seen;

/// Looks at every slice of a file.
pub(crate) fn read(bytes: &[u8], seen: &mut Seen) {
    let data = |arch: &dyn Fn() -> object::Result<Vec<(u64, u64)>>, seen: &mut Seen| {
        for (offset, size) in arch().unwrap_or_default() {
            if let Some(slice) = bytes.get(offset as usize..(offset + size) as usize) {
                read_slice(slice, seen);
            }
        }
    };
    match bytes.get(..4) {
        Some([0xca, 0xfe, 0xba, 0xbe]) => data(
            &|| Ok(MachOFatFile32::parse(bytes)?.arches().iter().map(FatArch::file_range).collect()),
            seen,
        ),
        Some([0xca, 0xfe, 0xba, 0xbf]) => data(
            &|| Ok(MachOFatFile64::parse(bytes)?.arches().iter().map(FatArch::file_range).collect()),
            seen,
        ),
        _ => read_slice(bytes, seen),
    }
}

fn read_slice(bytes: &[u8], seen: &mut Seen) {
    let Ok(file) = MachOFile64::<Endianness>::parse(bytes) else { return };
    seen.slices += 1;
    for export in file.exports().into_iter().flatten().flatten() {
        seen.exports += 1;
        seen.name_bytes += length(&export.name());
    }
    for import in file.imports().into_iter().flatten().flatten() {
        seen.imports += 1;
        seen.name_bytes += length(&import.name());
    }
}

/// Mach-O has names alone.
fn length(name: &NameOrOrdinal<&[u8]>) -> u64 {
    match name {
        NameOrOrdinal::Name(name) => name.len() as u64,
        NameOrOrdinal::Ordinal(_) => 0,
    }
}
