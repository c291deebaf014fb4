//! The Mach-O reader over built images: what was described is read back in every encoding, and what a file cannot
//! mean costs one fact or one file, never the run.

mod hostile;
mod linked;
mod read_back;

use std::path::Path;

use pgsym_core::error::FileError;
use pgsym_core::fs::{FileId, FileKind, Metadata};
use pgsym_core::model::{MachO, Module};
use pgsym_core::parse::{Facets, parse};

/// Reads a file from memory, all tables.
fn read(bytes: &[u8]) -> Result<Module, FileError> {
    let metadata = Metadata {
        id: FileId { device: 1, inode: 1 },
        kind: FileKind::File,
        len: bytes.len() as u64,
        mode: 0o644,
        uid: 0,
    };
    parse(Path::new("/x.so"), metadata, &bytes.to_vec(), Facets::ALL)
}

/// The Mach-O part of a module.
fn macho(module: &Module) -> &MachO {
    module.macho().expect("a Mach-O file was built")
}
