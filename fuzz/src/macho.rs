//! Any bytes, read as a Mach-O file in full, every slice of it, and loaded as a program by the model of dyld: nothing may
//! panic, hang or grow out of proportion, and what the reader lets through must hold what it promises.

use std::path::Path;
use std::sync::Arc;

use pgsym_core::fs::{FileId, FileKind, MemoryFs, Metadata};
use pgsym_core::model::{Module, NameHash};
use pgsym_core::parse::{Facets, parse};
use pgsym_core::resolve::FileStore;
use pgsym_core::resolve::dyld::{DyldEnv, DyldProcess};

/// Reads `bytes` with every facet and walks through all of it.
///
/// # Panics
/// When the reader breaks a promise.
pub fn read_everything(bytes: &[u8]) {
    let metadata = Metadata {
        id: FileId { device: 0, inode: 0 },
        kind: FileKind::File,
        len: bytes.len() as u64,
        mode: 0o755,
        uid: 0,
    };
    let Ok(module) = parse(Path::new("/fuzz"), metadata, &bytes.to_vec(), Facets::ALL) else { return };
    let Some(macho) = module.macho() else { return };
    check(&module);
    for slice in &macho.further_slices {
        if let Ok(module) = &slice.module {
            check(module);
        }
    }
    let fs = Arc::new(MemoryFs::new().file("/fuzz", bytes));
    let store = Arc::new(FileStore::new(fs, Facets::SYMBOLS));
    let env = Arc::new(DyldEnv::new(macho.slice.arch));
    if let Ok(process) = DyldProcess::start(store, env, Path::new("/fuzz")) {
        for (id, _) in process.images() {
            for binding in process.bindings(id) {
                let _ = process.unbound(id, &binding);
            }
        }
    }
}

fn check(module: &Module) {
    let macho = module.macho().expect("a slice of a Mach-O file has Mach-O detail");
    assert!(module.needed().is_empty() || module.needed().len() == macho.dylibs.len());
    for dependency in module.needed() {
        assert!(!dependency.name.as_bytes().contains(&0));
        assert!((dependency.entry as usize) < macho.commands.len());
    }
    if let Some(exports) = macho.exports.get() {
        assert!(exports.is_sorted_by(|a, b| a.name <= b.name));
        for export in exports.iter().take(64) {
            assert!(macho.export(export.name.as_bytes()).is_some());
        }
    }
    if let Some(imports) = macho.imports.get() {
        assert!(imports.is_sorted_by(|a, b| a.name <= b.name));
    }
    let Some(symbols) = module.symbols.get() else {
        assert!(macho.exports.get().is_none() || macho.imports.get().is_none());
        return;
    };
    for symbol in symbols.exports().take(64) {
        let name = symbol.name();
        assert!(symbols.lookup(name, NameHash::of(name)).next().is_some());
    }
    if let Some(facts) = module.postgres.get() {
        assert!(facts.finfo.iter().all(|record| symbols.get(record.symbol).is_some()));
    }
}
