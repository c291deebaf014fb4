//! Reads ranges with `pread`: the way taken for trees. A few kilobytes of each file are touched, it scales with
//! threads (no page faults under a shared lock), and a file that shrinks meanwhile is an error, not a SIGBUS.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;

use super::Source;

/// The first page is kept once something of it was asked for: the headers lie there, which several readers want.
const PAGE: u64 = 4096;

/// An open file, read range by range.
#[derive(Debug)]
pub struct Windowed {
    file: File,
    len: u64,
    first_page: OnceLock<Box<[u8]>>,
}

impl Windowed {
    /// Takes over an open regular file of `len` bytes.
    pub fn new(file: File, len: u64) -> Self {
        Self { file, len, first_page: OnceLock::new() }
    }
}

impl Windowed {
    /// The first page, for a range that lies in it. None where it cannot be read any more: a file that has shrunk may still
    /// hold what was asked for.
    fn page_of(&self, offset: u64, length: usize) -> Option<&[u8]> {
        offset.checked_add(length as u64).filter(|&end| end <= PAGE.min(self.len))?;
        if let Some(page) = self.first_page.get() {
            return Some(page);
        }
        let page = self.read_new(0, PAGE.min(self.len) as usize).ok()?;
        Some(self.first_page.get_or_init(|| page.into()))
    }

    /// Reads into memory that nobody has filled with zeros before.
    #[cfg(feature = "audit")]
    fn read_new(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        use rustix::buffer::spare_capacity;
        use rustix::io::{pread, retry_on_intr};

        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let at = offset.saturating_add(bytes.len() as u64);
            if retry_on_intr(|| pread(&self.file, spare_capacity(&mut bytes), at))? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    /// The same without the library for it.
    #[cfg(not(feature = "audit"))]
    fn read_new(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

impl Source for Windowed {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self.page_of(offset, buffer.len()) {
            Some(page) => super::copy_from(page, offset, buffer),
            None => self.file.read_exact_at(buffer, offset),
        }
    }

    fn read_table_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        match self.page_of(offset, length) {
            Some(page) => super::range_of(page, offset, length).map(<[u8]>::to_vec),
            None => self.read_new(offset, length),
        }
    }
}
