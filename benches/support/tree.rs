//! The files that the benches read.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// ELF files below the tree, found once in path order.
pub(crate) fn elf_files() -> Vec<PathBuf> {
    let root = std::env::var_os("PGSYM_BENCH_TREE").unwrap_or_else(|| "/usr/lib".into());
    let mut files = Vec::new();
    let mut pending = vec![PathBuf::from(root)];
    while let Some(directory) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => pending.push(entry.path()),
                Ok(kind) if kind.is_file() && begins_as_elf(&entry.path()) => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

fn begins_as_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

/// A file mapped into memory, as programs built on goblin usually read one.
#[expect(unsafe_code, reason = "mmap; the tree is one that nobody writes to")]
pub(crate) fn map(path: &Path) -> io::Result<memmap2::Mmap> {
    // SAFETY: the map is private and read-only, and the bench's tree is not truncated while it runs.
    unsafe { memmap2::Mmap::map(&File::open(path)?) }
}
