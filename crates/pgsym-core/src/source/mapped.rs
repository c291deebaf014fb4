//! A whole file in memory by `mmap`: for programs that read most of one file that nobody else writes.
//! Trees are read through [`Windowed`](super::Windowed), which measured faster and cannot be killed by a truncation.

use std::fs::File;
use std::io;

use super::Source;

/// A mapped file.
#[derive(Debug)]
pub struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps a file.
    ///
    /// The file must not be truncated while the value lives: the kernel answers a read past the new end with
    /// SIGBUS, which ends the process. Use it on files that you own.
    #[expect(unsafe_code, reason = "mmap is the point of this type; the crate's only unsafe block")]
    pub fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the map is private and read-only, so nothing of ours can be aliased mutably through it. What
        // remains is another process changing the file underneath: bytes read twice may then differ, which
        // every reader here survives since it checks each number where it uses it, and a truncation ends the
        // process, which the documentation leaves to the caller to exclude.
        unsafe { memmap2::Mmap::map(file).map(Self) }
    }
}

impl Source for Mapped {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        super::copy_from(&self.0, offset, buffer)
    }
}
