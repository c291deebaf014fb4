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

impl Source for Windowed {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let is_in_first_page =
            offset.checked_add(buffer.len() as u64).is_some_and(|end| end <= PAGE.min(self.len));
        if !is_in_first_page {
            return self.file.read_exact_at(buffer, offset);
        }
        if let Some(page) = self.first_page.get() {
            return super::copy_from(page, offset, buffer);
        }
        let mut page = vec![0; PAGE.min(self.len) as usize].into_boxed_slice();
        // A file that has shrunk may still hold what was asked for.
        if self.file.read_exact_at(&mut page, 0).is_err() {
            return self.file.read_exact_at(buffer, offset);
        }
        super::copy_from(self.first_page.get_or_init(|| page), offset, buffer)
    }
}
