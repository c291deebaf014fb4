//! What PostgreSQL finds in a Mach-O module: the same statics behind the same kind of code as in ELF, so the same
//! decoders read them. Only two things differ: segments are mapped by other commands, and with chained fixups a
//! pointer in the file is a link of a chain and not an address.

use object::elf;
use object::read::macho::{DyldChainedFixups, Fixup};

use super::commands::Linkedit;
use super::object_error;
use crate::error::FileError;
use crate::model::{MachO, Segment, SymbolTable, Table, Target};
use crate::parse::Facets;
use crate::parse::elf::encoding::Encoding;
use crate::parse::elf::memory::Memory;
use crate::parse::elf::relocations::Tables;
use crate::postgres::{self, Image, PgFacts};
use crate::source::{Source, read_range};

/// `VM_PROT_EXECUTE`.
const EXECUTE: u32 = 4;

/// The segments in the terms of PT_LOAD, with offsets in the whole file.
pub(crate) fn load_segments(detail: &MachO) -> Vec<Segment> {
    detail
        .segments
        .iter()
        .filter(|segment| segment.name != "__LINKEDIT")
        .map(|segment| Segment {
            kind: elf::PT_LOAD.0,
            flags: if segment.protection & EXECUTE != 0 { elf::PF_X.0 } else { 0 },
            offset: detail.slice.offset.saturating_add(segment.offset),
            address: segment.address,
            file_size: segment.file_size,
            memory_size: segment.memory_size,
            align: 1,
        })
        .collect()
}

/// Reads magic block and finfo records. `file` is the whole file, `slice` the part that the offsets in `linkedit`
/// count from.
pub(super) fn facts(
    file: &dyn Source,
    slice: &dyn Source,
    linkedit: &Linkedit,
    detail: &MachO,
    target: Target,
    symbols: &Table<SymbolTable>,
    facets: Facets,
) -> Table<PgFacts> {
    let symbols = match symbols {
        Table::Read(symbols) => symbols,
        Table::Absent => return Table::Absent,
        Table::Unreadable(error) => return Table::Unreadable(error.clone()),
        Table::NotRead => return Table::NotRead,
    };
    let segments = load_segments(detail);
    let memory = Memory::new(file, &segments, target);
    let pointers = || {
        let pointers = rebased_pointers(slice, linkedit, detail)?;
        Ok(Tables::of_pointers(Encoding::from(target), target.machine, &pointers))
    };
    postgres::facts(&Image::new(memory, symbols, &pointers), facets).into()
}

/// The pointers of chained fixups that lead into the image itself: where they stand and what they will hold. Classic
/// rebases leave the address in place, so that without chains the list is empty.
fn rebased_pointers(
    slice: &dyn Source,
    linkedit: &Linkedit,
    detail: &MachO,
) -> Result<Vec<(u64, u64)>, FileError> {
    let Some(range) = linkedit.chained_fixups.filter(|range| range.size != 0) else { return Ok(Vec::new()) };
    let bytes = range.read(slice, "LC_DYLD_CHAINED_FIXUPS")?;
    let at = |error| object_error(error).at(range.offset);
    let fixups = DyldChainedFixups::parse(linkedit.endian, &bytes).map_err(at)?;
    let base = detail.base_address();
    let mut pointers = Vec::new();
    for segment in fixups.segments(linkedit.endian).map_err(at)? {
        let segment = segment.map_err(at)?;
        let Some(place) = detail.segments.get(segment.index() as usize) else {
            return Err(FileError::malformed("the chained fixups name a segment that the image has not"));
        };
        let content = read_range(slice, place.offset, place.file_size, "a segment with chained fixups")?;
        // Chains are linked in strides of at least four bytes; more links are chains that cross each other.
        let mut left = content.len() / 4;
        for fixup in segment.fixups(linkedit.endian, base, &content) {
            let (offset, fixup) = fixup.map_err(at)?;
            left = left.checked_sub(1).ok_or_else(|| {
                FileError::malformed("the chained fixups have more links than their segment has room for")
            })?;
            if let Fixup::Rebase(rebase) = fixup {
                let value = base.wrapping_add(rebase.target_offset);
                pointers.push((place.address.wrapping_add(offset), value));
            }
        }
    }
    Ok(pointers)
}
