//! The images in `testdata/macho`, linked by clang and ld64.lld: the same program, libraries and modules with bind
//! opcodes on x86_64, with chained fixups on arm64, and with both slices in one file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgsym_core::fs::RealFs;
use pgsym_core::model::{ImportSource, MachArch};
use pgsym_core::parse::Facets;
use pgsym_core::resolve::FileStore;
use pgsym_core::resolve::dyld::{DyldAttempt, DyldEnv, DyldProcess, Provider};

fn directory(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/macho").join(kind).canonicalize().unwrap()
}

fn open(kind: &str, arch: MachArch, module: &str) -> DyldAttempt {
    let store = Arc::new(FileStore::new(Arc::new(RealFs::new()), Facets::SYMBOLS));
    let server = directory(kind).join("bin/postgres");
    let process = DyldProcess::start(store, Arc::new(DyldEnv::new(arch)), &server).unwrap();
    assert_eq!(process.failure(), None);
    process.dlopen(&directory(kind).join(module))
}

/// The name of the image that a symbol of the opened one is bound to.
fn provider(attempt: &DyldAttempt, name: &str) -> String {
    let bindings = attempt.process.bindings(attempt.root.unwrap());
    let binding = bindings.iter().find(|binding| binding.import.name == *format!("_{name}")).unwrap();
    match binding.provider {
        Provider::Image(id) => {
            let path = attempt.process.image(id).unwrap().path();
            path.file_name().unwrap().to_str().unwrap().to_owned()
        }
        Provider::System(_) => "system".to_owned(),
        other => format!("{other:?}"),
    }
}

const WAYS: [(&str, MachArch); 4] = [
    ("opcodes", MachArch::X86_64),
    ("chained", MachArch::ARM64),
    ("fat", MachArch::X86_64),
    ("fat", MachArch::ARM64),
];

#[test]
fn every_symbol_of_a_bundle_goes_where_the_linker_saw_it() {
    for (kind, arch) in WAYS {
        let attempt = open(kind, arch, "lib/module.so");
        assert_eq!(attempt.failure, None, "{kind} {arch}");
        assert_eq!(provider(&attempt, "palloc"), "postgres");
        assert_eq!(provider(&attempt, "outer"), "libouter.dylib");
        // libmiddle re-exports it.
        assert_eq!(provider(&attempt, "deep"), "libdeep.dylib");
        assert_eq!(provider(&attempt, "malloc"), "system");
        // A weak library that was not shipped.
        assert_eq!(provider(&attempt, "maybe"), "Null");
    }
}

#[test]
fn a_chain_of_rpaths_three_deep_is_followed() {
    for (kind, arch) in WAYS {
        let attempt = open(kind, arch, "lib/module.so");
        let names: Vec<String> = attempt
            .process
            .images()
            .filter(|(_, image)| image.module().is_some())
            .map(|(_, image)| image.path().file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        let wanted = ["postgres", "module.so", "libouter.dylib", "libmiddle.dylib", "libdeep.dylib"];
        assert_eq!(names, wanted, "{kind} {arch}");
    }
}

#[test]
fn dynamic_lookup_finds_the_server_first() {
    for (kind, arch) in &WAYS[..2] {
        assert_eq!(provider(&open(kind, *arch, "lib/flat.so"), "palloc"), "postgres");
    }
}

#[test]
fn the_linkers_two_ways_to_bind_are_told_apart() {
    for (kind, arch, source) in [
        ("opcodes", MachArch::X86_64, ImportSource::DyldInfo),
        ("chained", MachArch::ARM64, ImportSource::ChainedFixups),
    ] {
        let attempt = open(kind, arch, "lib/module.so");
        let image = attempt.process.image(attempt.root.unwrap()).unwrap();
        assert_eq!(image.macho().unwrap().import_source, source);
    }
}
