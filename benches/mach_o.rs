//! Reading every export and import of Mach-O files, all slices: pgsym, and a plain loop over the same tables with the
//! `object` crate, which keeps nothing.
//!
//! The fixtures of `testdata/macho` are small; what PGSYM_BENCH_MACHO names is read too, and otherwise the packages that
//! `cargo xtask oracle macho` fetched, where they are there. Files are in memory, one thread reads them.

#[path = "support/plain_macho.rs"]
mod plain_macho;

use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pgsym_core::fs::{FileId, FileKind, Metadata};
use pgsym_core::model::Module;
use pgsym_core::parse::{Facets, macho, parse};

/// Names seen, so that no loop can be left out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    slices: u64,
    exports: u64,
    imports: u64,
    name_bytes: u64,
}

/// The bytes of the Mach-O files below a directory, in path order.
fn files(root: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        let mut entries: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        entries.sort();
        for path in entries {
            match std::fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => pending.push(path),
                Ok(metadata) if metadata.is_file() => {
                    let Ok(bytes) = std::fs::read(&path) else { continue };
                    if macho::is_macho(bytes.get(..8).unwrap_or_default()) {
                        found.push(bytes);
                    }
                }
                _ => {}
            }
        }
    }
    found
}

fn read(bytes: &Vec<u8>, facets: Facets) -> Option<Module> {
    let metadata = Metadata {
        id: FileId { device: 0, inode: 0 },
        kind: FileKind::File,
        len: bytes.len() as u64,
        mode: 0o644,
        uid: 0,
    };
    parse(Path::new("/bench"), metadata, bytes, facets).ok()
}

fn by_pgsym(files: &[Vec<u8>]) -> Seen {
    let mut seen = Seen::default();
    for module in files.iter().filter_map(|bytes| read(bytes, Facets::SYMBOLS)) {
        let further = module.macho().into_iter().flat_map(|macho| &macho.further_slices);
        let slices = further.filter_map(|slice| slice.module.as_deref().ok()).chain([&module]);
        for macho in slices.filter_map(|module| module.macho()) {
            seen.slices += 1;
            for export in macho.exports.get().into_iter().flatten() {
                seen.exports += 1;
                seen.name_bytes += export.name.as_bytes().len() as u64;
            }
            for import in macho.imports.get().into_iter().flatten() {
                seen.imports += 1;
                seen.name_bytes += import.name.as_bytes().len() as u64;
            }
        }
    }
    seen
}

fn by_object(files: &[Vec<u8>]) -> Seen {
    let mut seen = Seen::default();
    for bytes in files {
        plain_macho::read(bytes, &mut seen);
    }
    seen
}

fn corpus() -> Option<(String, PathBuf)> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let named = std::env::var_os("PGSYM_BENCH_MACHO").map(PathBuf::from);
    let fetched = || {
        let entries = std::fs::read_dir(workspace.join("target/corpus/macho")).ok()?;
        let mut places: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        places.sort();
        places.into_iter().find(|place| place.to_string_lossy().contains("npm-darwin-arm64-18"))
    };
    let path = named.or_else(fetched)?;
    Some((format!("a real tree ({})", path.file_name()?.to_string_lossy()), path))
}

fn trees(criterion: &mut Criterion) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/macho");
    for (name, root) in [("fixtures".to_owned(), fixtures)].into_iter().chain(corpus()) {
        let files = files(&root);
        let (ours, plain) = (by_pgsym(&files), by_object(&files));
        assert_eq!((ours.slices, ours.exports), (plain.slices, plain.exports), "other slices or exports");
        // pgsym keeps an import once; the loop meets it at every pointer that opcodes bind.
        assert!(ours.imports <= plain.imports, "{ours:?} {plain:?}");
        let mut group = criterion.benchmark_group(format!("exports and imports of Mach-O: {name}"));
        group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
        group.throughput(Throughput::Elements(ours.exports + ours.imports));
        group.bench_function("pgsym", |bencher| bencher.iter(|| by_pgsym(&files)));
        group.bench_function("object's plain loop", |bencher| bencher.iter(|| by_object(&files)));
        group.bench_function("pgsym, dependencies alone", |bencher| {
            let needed = |bytes| read(bytes, Facets::LINK).map(|module| module.needed().len());
            bencher.iter(|| files.iter().filter_map(needed).sum::<usize>());
        });
        group.finish();
    }
}

criterion_group!(benches, trees);
criterion_main!(benches);
