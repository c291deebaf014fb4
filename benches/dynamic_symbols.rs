//! Reading every dynamic symbol of a tree, name and version included: pgsym, a bare loop over the same tables, goblin.
//!
//! The tree is `/usr/lib`, or what PGSYM_BENCH_TREE names; it must be one that nobody writes to meanwhile. Files stand in the
//! page cache after the first round, one thread reads them.

#[path = "support/bare_loop.rs"]
mod bare_loop;
#[path = "support/tree.rs"]
mod tree;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pgsym_core::fs::{Fs as _, RealFs};
use pgsym_core::model::SymbolTable;
use pgsym_core::parse::{Facets, parse};

/// Names and versions seen, so that no loop can be left out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Seen {
    symbols: u64,
    name_bytes: u64,
    versioned: u64,
}

impl Seen {
    fn add(&mut self, name: &[u8], is_versioned: bool) {
        self.symbols += 1;
        self.name_bytes += name.len() as u64;
        self.versioned += u64::from(is_versioned);
    }
}

fn by_pgsym(path: &Path) -> Seen {
    let mut seen = Seen::default();
    let read = RealFs::new().open(path);
    let Ok((source, metadata)) = read else { return seen };
    let Ok(module) = parse(path, metadata, &*source, Facets::SYMBOLS) else { return seen };
    for symbol in module.symbols.get().into_iter().flat_map(SymbolTable::iter) {
        seen.add(symbol.name(), symbol.version_word() & 0x7fff > 1);
    }
    seen
}

fn by_bare_loop(path: &Path) -> Seen {
    let mut seen = Seen::default();
    if let Ok(file) = File::open(path) {
        bare_loop::read(&file, &mut |name, version| seen.add(name, version & 0x7fff > 1));
    }
    seen
}

fn by_goblin(path: &Path) -> Seen {
    let mut seen = Seen::default();
    let Ok(map) = tree::map(path) else { return seen };
    let Ok(elf) = goblin::elf::Elf::parse(&map) else { return seen };
    for (index, symbol) in elf.dynsyms.iter().enumerate().skip(1) {
        let name = elf.dynstrtab.get_at(symbol.st_name).unwrap_or_default();
        let version = elf.versym.as_ref().and_then(|table| table.get_at(index));
        seen.add(name.as_bytes(), version.is_some_and(|version| version.version() > 1));
    }
    seen
}

fn whole_tree(criterion: &mut Criterion) {
    let mut files = tree::elf_files();
    // The bare loop knows 64-bit little-endian files with section headers; a handful are others.
    files.retain(|path| by_bare_loop(path).symbols > 0);
    let total = |read: fn(&Path) -> Seen| {
        files.iter().map(|path| read(path)).fold(Seen::default(), |mut all, one| {
            all.symbols += one.symbols;
            all.name_bytes += one.name_bytes;
            all.versioned += one.versioned;
            all
        })
    };
    let expected = total(by_bare_loop);
    assert_eq!(total(by_pgsym), expected, "pgsym and the bare loop see different symbols");
    assert_eq!(total(by_goblin).symbols, expected.symbols, "goblin sees another number of symbols");
    let mut group = criterion.benchmark_group("every dynamic symbol of a tree");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(expected.symbols));
    group.bench_function("pgsym", |bencher| bencher.iter(|| total(by_pgsym)));
    group.bench_function("bare loop", |bencher| bencher.iter(|| total(by_bare_loop)));
    group.bench_function("goblin", |bencher| bencher.iter(|| total(by_goblin)));
    group.finish();
}

/// What resolution reads of each file: no symbols.
fn links_only(criterion: &mut Criterion) {
    let files = tree::elf_files();
    let read = |path: &Path| {
        let (source, metadata) = RealFs::new().open(path).ok()?;
        parse(path, metadata, &*source, Facets::LINK).ok().map(|module| module.needed().len())
    };
    let mut group = criterion.benchmark_group("dependencies of a tree");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(files.len() as u64));
    group.bench_function("pgsym", |bencher| {
        bencher.iter(|| files.iter().filter_map(|path| read(path)).sum::<usize>());
    });
    group.finish();
}

criterion_group!(benches, whole_tree, links_only);
criterion_main!(benches);
