//! The memory picture that the loader would build: addresses translated to file ranges through PT_LOAD.
//! Every table of the dynamic section is found through it, never through a section header.

use std::ops::Range;

use bstr::ByteSlice as _;
use object::elf;

use super::encoding::Encoding;
use crate::error::FileError;
use crate::limits;
use crate::model::{Segment, Target};
use crate::source::{Source, read_range};

/// The smallest page of the machines that pgsym reads: larger ones map more.
pub(crate) const PAGE: u64 = 4096;

/// Whether a whole page of a segment's file bytes lies behind the end of a file of `length` bytes: touching it is SIGBUS.
#[cfg(feature = "audit")]
pub(crate) fn loses_a_page(segment: &Segment, length: u64) -> bool {
    segment.offset.saturating_add(segment.file_size).div_ceil(PAGE) > length.div_ceil(PAGE)
}

/// One file seen at its addresses, before relocation.
#[derive(Clone, Copy)]
pub(crate) struct Memory<'a> {
    source: &'a dyn Source,
    segments: &'a [Segment],
    target: Target,
}

impl<'a> Memory<'a> {
    pub(crate) fn new(source: &'a dyn Source, segments: &'a [Segment], target: Target) -> Self {
        Self { source, segments, target }
    }

    pub(crate) fn target(&self) -> Target {
        self.target
    }

    pub(crate) fn encoding(&self) -> Encoding {
        Encoding::from(self.target)
    }

    pub(crate) fn source(&self) -> &'a dyn Source {
        self.source
    }

    /// The same picture of bytes that another source has.
    pub(crate) fn through<'b>(self, source: &'b dyn Source) -> Memory<'b>
    where
        'a: 'b,
    {
        Memory { source, ..self }
    }

    /// The PT_LOAD segments in file order.
    pub(crate) fn loads(&self) -> impl DoubleEndedIterator<Item = &'a Segment> {
        self.segments.iter().filter(|segment| segment.kind == elf::PT_LOAD.0)
    }

    /// The file bytes that stand at `address`, up to the end of their segment. Later segments are mapped
    /// over earlier ones (MAP_FIXED), so the last one that holds the address is the one that is seen.
    ///
    /// Whole pages are mapped (`_dl_map_segments`, elf/dl-map-segments.h): what the file has before the segment's first
    /// byte in its first page is there too, and what it has behind the last byte in the last page, unless the segment goes
    /// on in memory, where that rest is zeroed.
    pub(crate) fn file_range(&self, address: u64) -> Option<Range<u64>> {
        self.loads().rev().filter(|segment| segment.file_size > 0).find_map(|segment| {
            let before = (segment.address % PAGE).min(segment.offset);
            let end = segment.address.checked_add(segment.file_size)?;
            let behind = if segment.memory_size > segment.file_size { 0 } else { end.wrapping_neg() % PAGE };
            let inside = address.checked_sub(segment.address - before)?;
            let start = (segment.offset - before).checked_add(inside)?;
            let end = segment.offset.checked_add(segment.file_size)?.checked_add(behind)?;
            (start < end).then_some(start..end)
        })
    }

    /// `length` bytes at `address`, which must lie in one segment's file bytes.
    pub(crate) fn read(&self, address: u64, length: u64, what: &'static str) -> Result<Vec<u8>, FileError> {
        let range = self.file_range(address).ok_or_else(|| outside(what, address))?;
        if length > range.end - range.start {
            return Err(FileError::malformed(format!("{what} reaches past its segment")).at(range.start));
        }
        read_range(self.source, range.start, length, what)
    }

    /// Up to `length` bytes at `address`: fewer where the segment or the file ends first.
    pub(crate) fn read_up_to(
        &self,
        address: u64,
        length: u64,
        what: &'static str,
    ) -> Result<Vec<u8>, FileError> {
        let range = self.file_range(address).ok_or_else(|| outside(what, address))?;
        let end = range.end.min(self.source.len());
        let available = end.saturating_sub(range.start);
        read_range(self.source, range.start, length.min(available), what)
    }

    /// A NUL-terminated string at `address`, without its NUL.
    pub(crate) fn read_string(&self, address: u64, what: &'static str) -> Result<Vec<u8>, FileError> {
        let mut window = 256;
        loop {
            let bytes = self.read_up_to(address, window, what)?;
            if let Some(end) = bytes.find_byte(0) {
                return Ok(bytes[..end].to_vec());
            }
            if (bytes.len() as u64) < window || window >= limits::NAME_BYTES as u64 {
                return Err(FileError::malformed(format!("{what} has no terminating NUL")));
            }
            window *= 8;
        }
    }
}

/// A table of unknown length: read from its address on as far as its reader goes, in growing steps.
pub(crate) struct Region<'a> {
    memory: Memory<'a>,
    start: u64,
    end: u64,
    bytes: Vec<u8>,
    what: &'static str,
}

impl<'a> Region<'a> {
    /// Opens the table at `address`; `expected` bytes of it are read first.
    pub(crate) fn open(
        memory: Memory<'a>,
        address: u64,
        expected: u64,
        what: &'static str,
    ) -> Result<Self, FileError> {
        let range = memory.file_range(address).ok_or_else(|| outside(what, address))?;
        let mut region = Self { memory, start: range.start, end: range.end, bytes: Vec::new(), what };
        region.grow(expected.min(region.available()))?;
        Ok(region)
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.memory.encoding()
    }

    /// Bytes from the start of the file to the table.
    pub(crate) fn file_offset(&self) -> u64 {
        self.start
    }

    /// `length` bytes at `offset` from the start of the table.
    pub(crate) fn get(&mut self, offset: u64, length: u64) -> Result<&[u8], FileError> {
        let end = offset.checked_add(length).filter(|&end| end <= self.end - self.start);
        let Some(end) = end else {
            let at = self.start.saturating_add(offset);
            return Err(FileError::malformed(format!("{} reaches past its segment", self.what)).at(at));
        };
        if end > self.bytes.len() as u64 {
            let at = self.start.saturating_add(offset);
            if end > self.available() {
                return Err(
                    FileError::too_short(format!("{} reaches past the end of the file", self.what)).at(at)
                );
            }
            self.grow(end.max(self.bytes.len() as u64 * 2).min(self.available()))?;
        }
        self.bytes.get(offset as usize..end as usize).ok_or_else(|| outside(self.what, self.start))
    }

    /// Bytes that both the segment and the file hold.
    fn available(&self) -> u64 {
        self.end.min(self.memory.source.len()).saturating_sub(self.start)
    }

    fn grow(&mut self, length: u64) -> Result<(), FileError> {
        let have = self.bytes.len() as u64;
        let Some(more) = length.checked_sub(have).filter(|&more| more > 0) else { return Ok(()) };
        let rest = read_range(self.memory.source, self.start + have, more, self.what)?;
        if self.bytes.is_empty() {
            self.bytes = rest;
        } else {
            self.bytes.extend_from_slice(&rest);
        }
        Ok(())
    }
}

fn outside(what: &str, address: u64) -> FileError {
    FileError::malformed(format!(
        "{what} at address {address:#x} lies outside the file bytes of every PT_LOAD"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Class, Endian};

    fn load(address: u64, offset: u64, file_size: u64, memory_size: u64) -> Segment {
        Segment { kind: elf::PT_LOAD.0, flags: 0, offset, address, file_size, memory_size, align: PAGE }
    }

    fn range(segments: &[Segment], address: u64) -> Option<Range<u64>> {
        let target = Target {
            machine: elf::EM_X86_64,
            class: Class::Bits64,
            endian: Endian::Little,
            os_abi: 0,
            abi_version: 0,
            flags: 0,
        };
        let nothing: &[u8] = &[];
        Memory::new(&nothing, segments, target).file_range(address)
    }

    #[test]
    fn whole_pages_of_the_file_are_mapped() {
        let code = [load(0x1100, 0x100, 0x200, 0x200)];
        assert_eq!(range(&code, 0x1100), Some(0x100..0x1000));
        assert_eq!(range(&code, 0x1ff8), Some(0xff8..0x1000), "the rest of the last page");
        assert_eq!(range(&code, 0x1000), Some(0..0x1000), "the start of the first page");
        assert_eq!(range(&code, 0x2000), None);
        assert_eq!(range(&code, 0xfff), None);
    }

    #[test]
    fn what_goes_on_in_memory_is_zero_behind_its_file_bytes() {
        let data = [load(0x3100, 0x2100, 0x200, 0x900)];
        assert_eq!(range(&data, 0x32ff), Some(0x22ff..0x2300));
        assert_eq!(range(&data, 0x3300), None);
    }

    #[test]
    fn a_later_segment_covers_the_pages_of_an_earlier_one() {
        let both = [load(0, 0, 0x1800, 0x1800), load(0x1900, 0x4900, 0x100, 0x100)];
        assert_eq!(range(&both, 0x1000), Some(0x4000..0x5000));
        assert_eq!(range(&both, 0x800), Some(0x800..0x2000));
    }
}
