//! One slice of a file as a source of its own: every offset in a slice of a fat file counts from the slice's
//! start, and nothing in it may reach into the next one.

use std::io;

use crate::source::Source;

/// A range of another source.
pub(super) struct SliceSource<'a> {
    inner: &'a dyn Source,
    offset: u64,
    len: u64,
}

impl<'a> SliceSource<'a> {
    /// The range must lie inside the source; what reaches out of it cannot be read.
    pub(super) fn new(inner: &'a dyn Source, offset: u64, len: u64) -> Self {
        Self { inner, offset, len }
    }
}

impl Source for SliceSource<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let fits = offset.checked_add(buffer.len() as u64).is_some_and(|end| end <= self.len);
        match self.offset.checked_add(offset) {
            Some(start) if fits => self.inner.read_exact_at(start, buffer),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
