//! Which ELF files a comparison runs over: found by their first bytes, each once, in path order.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the first bytes of an ELF file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ElfHead {
    /// `EI_CLASS`: 1 for 32 bits, 2 for 64.
    pub(crate) class: u8,
    /// `EI_DATA`: 1 for little endian, 2 for big.
    pub(crate) data: u8,
    /// `e_type`: 2 for programs, 3 for shared objects and position-independent programs.
    pub(crate) kind: u16,
    /// `e_machine`.
    pub(crate) machine: u16,
}

impl ElfHead {
    /// Reads it; nothing for what is no regular ELF file.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let mut bytes = [0; 20];
        if !std::fs::metadata(path).ok()?.is_file() {
            return None;
        }
        std::fs::File::open(path).ok()?.read_exact(&mut bytes).ok()?;
        let [0x7f, b'E', b'L', b'F', class, data, .., k0, k1, m0, m1] = bytes else { return None };
        let half = |a, b| if data == 2 { u16::from_be_bytes([a, b]) } else { u16::from_le_bytes([a, b]) };
        Some(Self { class, data, kind: half(k0, k1), machine: half(m0, m1) })
    }

    /// Whether this machine's own loader takes it: the head of the running program is the same.
    pub(crate) fn is_native(self) -> bool {
        Self::read(Path::new("/proc/self/exe"))
            .is_some_and(|own| (own.class, own.data, own.machine) == (self.class, self.data, self.machine))
    }
}

/// Every ELF file below `root` that is no symbolic link, hard links once, in path order.
pub(crate) fn below(root: &Path) -> Vec<(PathBuf, ElfHead)> {
    let mut seen = BTreeSet::new();
    walkdir::WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| {
            let head = ElfHead::read(entry.path())?;
            let metadata = entry.metadata().ok()?;
            seen.insert((metadata.dev(), metadata.ino())).then(|| (entry.into_path(), head))
        })
        .collect()
}
