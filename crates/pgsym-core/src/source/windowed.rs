//! Reads ranges with `pread`: the way taken for trees. A few kilobytes of each file are touched, it scales with
//! threads (no page faults under a shared lock), and a file that shrinks meanwhile is an error, not a SIGBUS.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::Source;

/// An open file, read range by range.
#[derive(Debug)]
pub struct Windowed {
    file: File,
    len: u64,
}

impl Windowed {
    /// Takes over an open regular file of `len` bytes.
    pub fn new(file: File, len: u64) -> Self {
        Self { file, len }
    }
}

impl Source for Windowed {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}
