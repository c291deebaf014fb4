//! Resolution: a process with many libraries, from a tree in memory (the rules alone) and from the machine's own
//! PostgreSQL modules (with the files), where there are any.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use pgsym_core::fs::{Fs, MemoryFs, RealFs};
use pgsym_core::model::{Class, Endian, Target};
use pgsym_core::parse::Facets;
use pgsym_core::resolve::{FileStore, LoaderEnv, LoaderOptions, MainObject, Process};
use pgsym_testkit::SharedObject;

const X86_64: Target = Target {
    machine: object::elf::EM_X86_64,
    class: Class::Bits64,
    endian: Endian::Little,
    os_abi: 0,
    abi_version: 0,
    flags: 0,
};

/// As many libraries as a module of PostGIS brings, each of which needs the four behind it.
const LIBRARIES: usize = 120;

fn start(store: &Arc<FileStore>, env: &Arc<LoaderEnv>, file: &Path) -> usize {
    Process::start(Arc::clone(store), Arc::clone(env), file, MainObject::Listed)
        .map_or(0, |process| process.len())
}

fn in_memory(criterion: &mut Criterion) {
    let library = |index: usize| {
        (index + 1..LIBRARIES.min(index + 5)).fold(SharedObject::new().rpath("/none:/l"), |object, next| {
            object.needed(format!("lib{next}.so"))
        })
    };
    let fs = (0..LIBRARIES).fold(MemoryFs::new().directory("/none"), |files, index| {
        files.file(format!("/l/lib{index}.so"), library(index).build())
    });
    let fs: Arc<dyn Fs> = Arc::new(fs);
    let env = Arc::new(LoaderEnv::read(&*fs, X86_64, None, &LoaderOptions::default()));
    let store = Arc::new(FileStore::new(fs, Facets::LINK));
    let first = Path::new("/l/lib0.so");
    assert_eq!(start(&store, &env, first), LIBRARIES);
    criterion.bench_function("120 libraries, all files known", |bencher| {
        bencher.iter(|| start(&store, &env, black_box(first)));
    });
}

fn on_disk(criterion: &mut Criterion) {
    let Ok(entries) = std::fs::read_dir("/usr/lib/postgresql/15/lib") else { return };
    let mut modules: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    modules.retain(|path| path.extension().is_some_and(|extension| extension == "so"));
    modules.sort();
    criterion.bench_function("every module of PostgreSQL 15, each file read once", |bencher| {
        bencher.iter(|| {
            let fs: Arc<dyn Fs> = Arc::new(RealFs::new());
            let env = Arc::new(LoaderEnv::read(&*fs, X86_64, None, &LoaderOptions::default()));
            let store = Arc::new(FileStore::new(fs, Facets::LINK));
            modules.iter().map(|module| start(&store, &env, module)).sum::<usize>()
        });
    });
}

criterion_group!(benches, in_memory, on_disk);
criterion_main!(benches);
