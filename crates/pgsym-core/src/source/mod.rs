//! The bytes of one file, read by offset. A table is asked for once, so a source only has to be able to read a
//! range; which of the ways to do that is taken is measured in `benches/` and decided in `fs`.

mod mapped;
mod nearby;
mod windowed;

pub use mapped::Mapped;
pub use windowed::Windowed;

pub(crate) use nearby::Nearby;

use std::io;

use crate::error::FileError;

/// Bytes of one file by offset.
pub trait Source: Send + Sync {
    /// Length in bytes when the file was opened.
    fn len(&self) -> u64;

    /// Fills `buffer` from `offset`, or fails; a file that ends first is [`io::ErrorKind::UnexpectedEof`].
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// The same as a table of its own; `length` is checked against the length of the file before.
    fn read_table_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_exact_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Whether the file holds nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads `length` bytes at `offset`, checked against the length of the file first, so that no length
/// taken from the file can make us allocate more than the file holds.
pub fn read_range(
    source: &dyn Source,
    offset: u64,
    length: u64,
    what: &'static str,
) -> Result<Vec<u8>, FileError> {
    let end = offset.checked_add(length);
    if end.is_none_or(|end| end > source.len()) {
        return Err(FileError::too_short(format!("{what} reaches past the end of the file")).at(offset));
    }
    let length =
        usize::try_from(length).map_err(|_| FileError::limit(format!("{what} does not fit in memory")))?;
    source.read_table_at(offset, length).map_err(|error| FileError::from(error).at(offset))
}

/// Bytes already in memory: an archive member, a test's fixture.
impl Source for Vec<u8> {
    fn len(&self) -> u64 {
        Vec::len(self) as u64
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        copy_from(self, offset, buffer)
    }
}

/// Bytes that somebody else holds.
impl Source for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        copy_from(self, offset, buffer)
    }
}

/// The shared body of the sources that hold all their bytes.
fn copy_from(bytes: &[u8], offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    buffer.copy_from_slice(range_of(bytes, offset, buffer.len())?);
    Ok(())
}

fn range_of(bytes: &[u8], offset: u64, length: usize) -> io::Result<&[u8]> {
    let start = usize::try_from(offset).ok();
    let range = start.and_then(|start| bytes.get(start..start.checked_add(length)?));
    range.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
