//! Any bytes, read as an ELF file in full, and everything that was read used once: nothing may panic, hang or
//! grow out of proportion, and what the reader lets through must hold what it promises.

use std::path::Path;

use pgsym_core::fs::{FileId, FileKind, Metadata};
use pgsym_core::model::{NameHash, Table};
use pgsym_core::parse::elf::{Header, Ident};
use pgsym_core::parse::{Facets, parse};

/// Reads `bytes` with every facet and walks through all of it.
///
/// # Panics
/// When the reader breaks a promise.
pub fn read_everything(bytes: &[u8]) {
    let _ = Ident::of(bytes).map(|ident| (ident.class(), ident.endian(), ident.padding().len()));
    let _ = Header::decode(bytes);
    let metadata = Metadata {
        id: FileId { device: 0, inode: 0 },
        kind: FileKind::File,
        len: bytes.len() as u64,
        mode: 0o644,
        uid: 0,
    };
    let Ok(module) = parse(Path::new("/fuzz"), metadata, &bytes.to_vec(), Facets::ALL) else { return };
    let elf = module.elf().expect("an ELF file has ELF detail");
    for dependency in module.needed() {
        assert!(!dependency.name.as_bytes().contains(&0));
    }
    let Some(symbols) = module.symbols.get() else {
        assert!(module.postgres.get().is_none(), "entry points without symbols");
        return;
    };
    let needs = elf.version_needs.get().map_or(0, Vec::len);
    for symbol in symbols.iter() {
        assert!(!symbol.name().contains(&0));
        if let Some(need) = symbol.version().and_then(|version| version.need) {
            assert!((need as usize) < needs, "a version of a record that is not there");
        }
    }
    // A few lookups per file; each walks one chain.
    for symbol in symbols.exports().take(64) {
        let name = symbol.name();
        for found in symbols.lookup(name, NameHash::of(name)) {
            assert_eq!(found.name(), name);
        }
    }
    if let Table::Read(relocations) = &elf.relocations {
        assert!(relocations.symbols.is_sorted_by_key(|entry| entry.symbol));
        assert!(relocations.symbols.iter().all(|entry| symbols.get(entry.symbol).is_some()));
    }
    if let Some(facts) = module.postgres.get() {
        assert!(facts.finfo.iter().all(|record| symbols.get(record.symbol).is_some()));
    }
}
