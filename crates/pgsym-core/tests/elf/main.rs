//! The ELF reader against files whose every fact is known, because the testkit builds them: all classes, byte orders
//! and machines, and damage that must cost one table and no more.

mod damage;
mod facts;
mod magic;
mod sections;

use std::path::Path;

use pgsym_core::error::FileError;
use pgsym_core::fs::{FileId, FileKind, Metadata};
use pgsym_core::model::{Elf, Module};
use pgsym_core::parse::{Facets, parse};
use pgsym_testkit::SharedObject;

fn try_read(bytes: &[u8], facets: Facets) -> Result<Module, FileError> {
    let metadata = Metadata {
        id: FileId { device: 1, inode: 1 },
        kind: FileKind::File,
        len: bytes.len() as u64,
        mode: 0o644,
        uid: 0,
    };
    parse(Path::new("/m.so"), metadata, &bytes.to_vec(), facets)
}

/// Reads everything of an object.
fn read(object: &SharedObject) -> Module {
    try_read(&object.build(), Facets::ALL).unwrap()
}

fn elf(module: &Module) -> &Elf {
    module.elf().unwrap()
}

/// The names of an iterator of symbols, as text.
fn names<'a>(symbols: impl Iterator<Item = pgsym_core::model::Symbol<'a>>) -> Vec<String> {
    symbols.map(|symbol| String::from_utf8_lossy(symbol.name()).into_owned()).collect()
}
