//! The fat header: big-endian in every file, 0xcafebabe with 32-bit and 0xcafebabf with 64-bit places.
//!
//! ```text
//! magic u32, nfat_arch u32, then for each slice
//!     cputype u32, cpusubtype u32, offset u32|u64, size u32|u64, align u32 [, reserved u32]
//! ```

use object::read::macho::{FatArch as _, MachOFatFile32, MachOFatFile64};

use super::object_error;
use crate::error::FileError;
use crate::limits;
use crate::model::MachArch;
use crate::source::{Source, read_range};

/// One slice as the fat header has it.
pub(super) struct FatEntry {
    /// What it is for.
    pub(super) arch: MachArch,
    /// Offset and size in bytes, inside the file and apart from the slices before it; or why not.
    pub(super) range: Result<(u64, u64), FileError>,
}

/// The slices that the fat header lists.
pub(super) fn slices(source: &dyn Source) -> Result<Vec<FatEntry>, FileError> {
    let head = read_range(source, 0, 8, "the fat header")?;
    let (&[_, _, _, last], &[a, b, c, d]) =
        (head.first_chunk().unwrap_or(&[0; 4]), head.last_chunk().unwrap_or(&[0; 4]));
    let count = u32::from_be_bytes([a, b, c, d]) as usize;
    if count > limits::FAT_SLICES {
        return Err(FileError::limit(format!("nfat_arch is {count}, more than {}", limits::FAT_SLICES)));
    }
    let is_64 = last == 0xbf;
    let entry_size = if is_64 { 32 } else { 20 };
    let table = read_range(source, 0, 8 + count as u64 * entry_size, "the fat header")?;
    let raw: Vec<(u32, u32, u64, u64)> = if is_64 {
        let file = MachOFatFile64::parse(&*table).map_err(object_error)?;
        let entry = |arch: &object::macho::FatArch64| {
            (arch.cputype().0, arch.cpusubtype().0, arch.offset(), arch.size())
        };
        file.arches().iter().map(entry).collect()
    } else {
        let file = MachOFatFile32::parse(&*table).map_err(object_error)?;
        let entry = |arch: &object::macho::FatArch32| {
            (arch.cputype().0, arch.cpusubtype().0, arch.offset().into(), arch.size().into())
        };
        file.arches().iter().map(entry).collect()
    };
    let mut taken: Vec<(u64, u64)> = vec![(0, table.len() as u64)];
    Ok(raw
        .into_iter()
        .map(|(cpu_type, cpu_subtype, offset, size)| {
            let arch = MachArch { cpu_type, cpu_subtype };
            FatEntry { arch, range: place(source.len(), offset, size, arch, &mut taken) }
        })
        .collect())
}

/// Checks a slice's place against the file and the slices before it.
fn place(
    len: u64,
    offset: u64,
    size: u64,
    arch: MachArch,
    taken: &mut Vec<(u64, u64)>,
) -> Result<(u64, u64), FileError> {
    let end = offset.checked_add(size).filter(|&end| end <= len);
    let Some(end) = end else {
        return Err(FileError::too_short(format!(
            "the {arch} slice of the fat header reaches past the end of the file"
        ))
        .at(offset));
    };
    if taken.iter().any(|&(start, stop)| offset < stop && start < end) {
        return Err(FileError::malformed(format!(
            "the {arch} slice of the fat header overlaps the header or another slice"
        ))
        .at(offset));
    }
    taken.push((offset, end));
    Ok((offset, size))
}
