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

    /// The file bytes that stand at `address`, as far as the picture goes on with the bytes behind them.
    pub(crate) fn file_range(&self, address: u64) -> Option<Range<u64>> {
        match self.piece(address)? {
            Piece::File(range) => Some(range),
            Piece::Zeros(_) => None,
        }
    }

    /// `p_flags` of the segment that is mapped last at the page of `address`: what the page allows.
    pub(crate) fn page_flags(&self, address: u64) -> Option<u32> {
        self.loads().rev().find(|segment| pages(segment).contains(&address)).map(|segment| segment.flags)
    }

    /// What stands at `address`, up to where it changes. Later segments are mapped over earlier ones (MAP_FIXED), so of those
    /// that hold the address the last one is seen, up to the first page of one behind it.
    ///
    /// Whole pages are mapped (`_dl_map_segments`, elf/dl-map-segments.h): what the file has before the segment's first
    /// byte in its first page is there too, and what it has behind the last byte in the last page, unless the segment goes
    /// on in memory, where that rest is zeroed.
    fn piece(&self, address: u64) -> Option<Piece> {
        let mut covered_from = u64::MAX;
        for segment in self.loads().rev() {
            let pages = pages(segment);
            if address < pages.start {
                covered_from = covered_from.min(pages.start);
            }
            if !pages.contains(&address) {
                continue;
            }
            let before = segment.address - pages.start;
            let data_end = segment.address.saturating_add(segment.file_size);
            let data_pages_end = next_page(data_end);
            let zeros_end = segment.address.saturating_add(segment.memory_size);
            if zeros_end > data_end
                && address >= data_end
                && (address < zeros_end || address >= data_pages_end)
            {
                let page_left =
                    if address < data_pages_end { zeros_end.min(data_pages_end) } else { pages.end };
                return Some(Piece::Zeros(page_left.min(covered_from) - address));
            }
            let end = if zeros_end > data_end && address < data_end { data_end } else { data_pages_end };
            let start = (segment.offset - before).checked_add(address - pages.start)?;
            let length = end.min(covered_from).checked_sub(address).filter(|&length| length > 0)?;
            return Some(Piece::File(start..start.checked_add(length)?));
        }
        None
    }

    /// `length` bytes at `address`, which must begin in file bytes.
    pub(crate) fn read(&self, address: u64, length: u64, what: &'static str) -> Result<Vec<u8>, FileError> {
        let range = self.file_range(address).ok_or_else(|| outside(what, address))?;
        if length <= range.end - range.start {
            return read_range(self.source, range.start, length, what);
        }
        if length > self.longest_table() {
            return Err(FileError::limit(format!("{what} is longer than the file")).at(range.start));
        }
        let mut bytes = Vec::new();
        self.extend(&mut bytes, address, length, what)?;
        if (bytes.len() as u64) < length {
            return Err(FileError::malformed(format!("{what} reaches past its segment")).at(range.start));
        }
        Ok(bytes)
    }

    /// Up to `length` bytes at `address`: fewer where the mapping or the file ends first.
    pub(crate) fn read_up_to(
        &self,
        address: u64,
        length: u64,
        what: &'static str,
    ) -> Result<Vec<u8>, FileError> {
        let range = self.file_range(address).ok_or_else(|| outside(what, address))?;
        if length <= range.end.min(self.source.len()).saturating_sub(range.start) {
            return read_range(self.source, range.start, length, what);
        }
        let mut bytes = Vec::new();
        self.extend(&mut bytes, address, length, what)?;
        Ok(bytes)
    }

    /// Many segments may map the same bytes of a file; no table is longer than all of them and the zeros behind them.
    fn longest_table(&self) -> u64 {
        self.source.len().saturating_add(limits::ZERO_FILLED_BYTES)
    }

    /// Appends what follows the bytes that were read from `address` on until there are `length` of them, from page to page and
    /// from segment to segment; fewer where the mapping or the file ends.
    fn extend(
        &self,
        bytes: &mut Vec<u8>,
        address: u64,
        length: u64,
        what: &'static str,
    ) -> Result<(), FileError> {
        let mut zeros = 0;
        while (bytes.len() as u64) < length {
            if bytes.len() as u64 > self.longest_table() {
                break;
            }
            let Some(at) = address.checked_add(bytes.len() as u64) else { break };
            let left = length - bytes.len() as u64;
            match self.piece(at) {
                None => break,
                Some(Piece::File(range)) => {
                    let there = range.end.min(self.source.len()).saturating_sub(range.start).min(left);
                    if there == 0 {
                        break;
                    }
                    bytes.extend_from_slice(&read_range(self.source, range.start, there, what)?);
                }
                Some(Piece::Zeros(there)) => {
                    // Who asks for more than is needed gets what is allowed.
                    let there = there.min(left).min(limits::ZERO_FILLED_BYTES - zeros);
                    if there == 0 {
                        break;
                    }
                    zeros += there;
                    bytes.resize(bytes.len() + there as usize, 0);
                }
            }
        }
        Ok(())
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

/// A stretch of memory.
enum Piece {
    /// These bytes of the file.
    File(Range<u64>),
    /// This many zeros.
    Zeros(u64),
}

/// The pages of a segment, from the first byte of the first to the end of the last.
fn pages(segment: &Segment) -> Range<u64> {
    let before = (segment.address % PAGE).min(segment.offset);
    let start = segment.address - before;
    let length = segment.file_size.max(segment.memory_size);
    // A page without file bytes of its own is mapped where the segment does not begin at its start.
    start..next_page(segment.address.saturating_add(length))
}

/// The address, or the start of the page behind it.
fn next_page(address: u64) -> u64 {
    address.saturating_add(address.wrapping_neg() % PAGE)
}

/// A table of unknown length: read from its address on as far as its reader goes, in growing steps.
pub(crate) struct Region<'a> {
    memory: Memory<'a>,
    address: u64,
    /// Where its first bytes stand in the file, as far as they go on there.
    file: Range<u64>,
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
        let file = memory.file_range(address).ok_or_else(|| outside(what, address))?;
        let mut region = Self { memory, address, file, bytes: Vec::new(), what };
        region.grow(expected.min(region.available()))?;
        Ok(region)
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.memory.encoding()
    }

    /// Bytes from the start of the file to the table.
    pub(crate) fn file_offset(&self) -> u64 {
        self.file.start
    }

    /// `length` bytes at `offset` from the start of the table.
    pub(crate) fn get(&mut self, offset: u64, length: u64) -> Result<&[u8], FileError> {
        let (start, what) = (self.file.start, self.what);
        let past = || {
            FileError::malformed(format!("{what} reaches past its segment")).at(start.saturating_add(offset))
        };
        let end = offset.checked_add(length).ok_or_else(past)?;
        if end > self.bytes.len() as u64 {
            let ahead = end.max(self.bytes.len() as u64 * 2);
            if end <= self.available() {
                self.grow(ahead.min(self.available()))?;
            } else if end <= self.file.end - start {
                return Err(FileError::too_short(format!("{what} reaches past the end of the file"))
                    .at(start.saturating_add(offset)));
            } else {
                self.memory.extend(&mut self.bytes, self.address, ahead, what)?;
            }
        }
        let bytes = usize::try_from(end).ok().and_then(|end| self.bytes.get(offset as usize..end));
        bytes.ok_or_else(past)
    }

    /// Bytes that go on in one piece of memory and that the file holds.
    fn available(&self) -> u64 {
        self.file.end.min(self.memory.source.len()).saturating_sub(self.file.start)
    }

    fn grow(&mut self, length: u64) -> Result<(), FileError> {
        let have = self.bytes.len() as u64;
        let Some(more) = length.checked_sub(have).filter(|&more| more > 0) else { return Ok(()) };
        let rest = read_range(self.memory.source, self.file.start + have, more, self.what)?;
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

    fn load(address: u64, offset: u64, file_size: u64, memory_size: u64) -> Segment {
        Segment { kind: elf::PT_LOAD.0, flags: 0, offset, address, file_size, memory_size, align: PAGE }
    }

    fn range(segments: &[Segment], address: u64) -> Option<Range<u64>> {
        let nothing: &[u8] = &[];
        Memory::new(&nothing, segments, Target::X86_64).file_range(address)
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
        assert_eq!(range(&both, 0x800), Some(0x800..0x1000), "up to the page that is covered");
        // Zeros cover as well.
        let zeros = [load(0, 0, 0x3000, 0x3000), load(0x1000, 0x1000, 0, 0x800)];
        assert_eq!(range(&zeros, 0x1800), None);
        assert_eq!(range(&zeros, 0x800), Some(0x800..0x1000));
        assert_eq!(range(&zeros, 0x2000), Some(0x2000..0x3000));
    }

    /// A file whose bytes tell their page, from 1 on.
    fn read(segments: &[Segment], address: u64, length: u64) -> Result<Vec<u8>, FileError> {
        let file: Vec<u8> = (0..4 * PAGE).map(|at| (at / PAGE) as u8 + 1).collect();
        Memory::new(&file, segments, Target::X86_64).read(address, length, "DT_STRTAB")
    }

    #[test]
    fn a_table_goes_on_in_the_segment_that_the_next_page_shows() {
        let apart = [load(0, 0, 0x1000, 0x1000), load(0x1000, 0x3000, 0x1000, 0x1000)];
        assert_eq!(read(&apart, 0xffe, 4).unwrap(), [1, 1, 4, 4]);
        // The last page of the first segment belongs to the second.
        let covered = [load(0, 0, 0x1800, 0x1800), load(0x1900, 0x3900, 0x100, 0x100)];
        assert_eq!(read(&covered, 0xffe, 4).unwrap(), [1, 1, 4, 4]);
        assert!(read(&apart, 0x1ffe, 4).unwrap_err().to_string().contains("reaches past its segment"));
    }

    #[test]
    fn a_table_goes_on_in_the_zeros_behind_a_segment_a_page_of_them_at_most() {
        let data = [load(0, 0, 0x800, 0x100_0000)];
        assert_eq!(read(&data, 0x7fe, 4).unwrap(), [1, 1, 0, 0]);
        assert!(read(&data, 0x7fe, 2 + limits::ZERO_FILLED_BYTES).is_ok());
        assert!(read(&data, 0x7fe, 3 + limits::ZERO_FILLED_BYTES).is_err());
    }

    #[test]
    fn a_table_of_unknown_length_may_end_in_the_zeros() {
        let file = vec![1_u8; 0x3000];
        let data = [load(0, 0, 0x3000 - 8, 0x100_0000)];
        let memory = Memory::new(&file, &data, Target::X86_64);
        let mut region = Region::open(memory, 0, 0x2000, "PT_DYNAMIC").unwrap();
        // What is read ahead is more than the zeros that are allowed.
        assert_eq!(region.get(0x3000 - 16, 16).unwrap(), [[1; 8], [0; 8]].concat());
        assert_eq!(region.get(0x3000, 16).unwrap(), [0; 16]);
        assert!(region.get(0x10_0000, 16).is_err());
    }

    #[test]
    fn pages_mapped_again_and_again_make_no_table_longer_than_the_file() {
        let again: Vec<Segment> = (0..200).map(|index| load(index * PAGE, 0, PAGE, PAGE)).collect();
        let error = read(&again, 0, 100 * PAGE).unwrap_err();
        assert_eq!(error.kind, crate::error::FileErrorKind::Limit);
    }

    #[test]
    fn the_flags_of_a_page_are_those_of_the_last_segment() {
        let mut both = [load(0, 0, 0x1800, 0x1800), load(0x1900, 0x4900, 0x100, 0x100)];
        both[0].flags = elf::PF_R.0 | elf::PF_W.0;
        both[1].flags = elf::PF_R.0;
        let nothing: &[u8] = &[];
        let memory = Memory::new(&nothing, &both, Target::X86_64);
        assert_eq!(memory.page_flags(0x1000), Some(elf::PF_R.0));
        assert_eq!(memory.page_flags(0x800), Some(elf::PF_R.0 | elf::PF_W.0));
        assert_eq!(memory.page_flags(0x2000), None);
    }
}
