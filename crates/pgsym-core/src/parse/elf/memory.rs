//! The memory picture that the loader would build: addresses translated to file ranges through PT_LOAD.
//! Every table of the dynamic section is found through it, never through a section header.

use std::ops::Range;

use object::elf;

use crate::error::FileError;
use crate::limits;
use crate::model::{Endian, Segment, Target};
use crate::source::{Source, read_range};

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

    pub(crate) fn source(&self) -> &'a dyn Source {
        self.source
    }

    /// The PT_LOAD segments in file order.
    pub(crate) fn loads(&self) -> impl DoubleEndedIterator<Item = &'a Segment> {
        self.segments.iter().filter(|segment| segment.kind == elf::PT_LOAD.0)
    }

    /// The file bytes that stand at `address`, up to the end of their segment. Later segments are mapped
    /// over earlier ones (MAP_FIXED), so the last one that holds the address is the one that is seen.
    pub(crate) fn file_range(&self, address: u64) -> Option<Range<u64>> {
        self.loads().rev().find_map(|segment| {
            let inside = address.checked_sub(segment.address)?;
            if inside >= segment.file_size {
                return None;
            }
            let start = segment.offset.checked_add(inside)?;
            Some(start..segment.offset.checked_add(segment.file_size)?)
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
            if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
                return Ok(bytes[..end].to_vec());
            }
            if (bytes.len() as u64) < window || window >= limits::NAME_BYTES as u64 {
                return Err(FileError::malformed(format!("{what} has no terminating NUL")));
            }
            window *= 8;
        }
    }

    /// The 32-bit word at the start of `bytes`, in the file's byte order.
    pub(crate) fn u32(&self, bytes: &[u8], offset: usize) -> Option<u32> {
        let word: [u8; 4] = bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()?;
        Some(match self.target.endian {
            Endian::Little => u32::from_le_bytes(word),
            Endian::Big => u32::from_be_bytes(word),
        })
    }

    /// The pointer-sized word at `offset` of `bytes`, in the file's byte order.
    pub(crate) fn pointer(&self, bytes: &[u8], offset: usize) -> Option<u64> {
        if self.target.pointer_size() == 4 {
            return self.u32(bytes, offset).map(u64::from);
        }
        let word: [u8; 8] = bytes.get(offset..offset.checked_add(8)?)?.try_into().ok()?;
        Some(match self.target.endian {
            Endian::Little => u64::from_le_bytes(word),
            Endian::Big => u64::from_be_bytes(word),
        })
    }
}

fn outside(what: &str, address: u64) -> FileError {
    FileError::malformed(format!(
        "{what} at address {address:#x} lies outside the file bytes of every PT_LOAD"
    ))
}
