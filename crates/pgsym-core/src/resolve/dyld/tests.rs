//! dyld's corners one by one: each test is a tree of a few images and what comes of loading it.

use std::path::Path;
use std::sync::Arc;

use pgsym_testkit::{ExportForm, FatWidth, Fixups, From, LibraryKind, MachCpu, MachImage, fat};

use super::{DyldAttempt, DyldEnv, DyldProcess, Provider};
use crate::fs::MemoryFs;
use crate::model::MachArch;
use crate::parse::Facets;
use crate::resolve::FileStore;

const ARM: MachCpu = MachCpu::Arm64;
const SERVER: &str = "/pg/bin/postgres";
const MODULE: &str = "/pg/lib/m.so";
const UUID: &str = "01020304-0506-0708-090A-0B0C0D0E0F10";

fn server() -> MachImage {
    MachImage::executable(ARM).export("palloc").rpath("@executable_path/../deps")
}

fn open(fs: MemoryFs) -> DyldAttempt {
    let store = Arc::new(FileStore::new(Arc::new(fs), Facets::SYMBOLS));
    let env = Arc::new(DyldEnv::new(MachArch::ARM64));
    let process = DyldProcess::start(store, env, Path::new(SERVER)).unwrap();
    assert_eq!(process.failure(), None);
    process.dlopen(Path::new(MODULE))
}

fn tree(module: &MachImage) -> MemoryFs {
    MemoryFs::new().file(SERVER, server().build()).file(MODULE, module.build())
}

/// The path of the image that a name of the module is bound to.
fn provider(attempt: &DyldAttempt, name: &str) -> String {
    let process = &attempt.process;
    let bindings = process.bindings(attempt.root.unwrap());
    let binding = bindings.iter().find(|binding| binding.import.name == *format!("_{name}")).unwrap();
    match binding.provider {
        Provider::Image(id) => process.image(id).unwrap().path().display().to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_bundle_binds_to_the_program_alone() {
    let module = MachImage::bundle(ARM)
        .library("/pg/lib/liba.dylib")
        .import("palloc", From::Executable)
        .import("helper", From::Executable);
    let fs = tree(&module)
        .file("/pg/lib/liba.dylib", MachImage::dylib(ARM, "/pg/lib/liba.dylib").export("helper").build());
    let attempt = open(fs);
    assert_eq!(provider(&attempt, "palloc"), SERVER);
    assert_eq!(
        attempt.failure.unwrap(),
        format!(
            "Symbol not found: _helper\n  Referenced from: <{UUID}> {MODULE}\n  Expected in:     <{UUID}> {SERVER}"
        )
    );
}

#[test]
fn flat_lookup_takes_the_first_image_in_load_order() {
    let module = MachImage::bundle(ARM)
        .library("@loader_path/a.dylib")
        .library("@loader_path/b.dylib")
        .import("f", From::Flat);
    let library = |name: &str| MachImage::dylib(ARM, &format!("/pg/lib/{name}")).export("f").build();
    let fs =
        tree(&module).file("/pg/lib/a.dylib", library("a.dylib")).file("/pg/lib/b.dylib", library("b.dylib"));
    assert_eq!(provider(&open(fs), "f"), "/pg/lib/a.dylib");
}

#[test]
fn a_name_that_no_image_has_fails_in_the_flat_namespace() {
    let attempt = open(tree(&MachImage::bundle(ARM).import("gone", From::Flat)));
    assert_eq!(attempt.failure.unwrap(), "symbol not found in flat namespace '_gone'");
}

#[test]
fn what_the_shared_cache_exports_is_not_known() {
    let module =
        MachImage::bundle(ARM).library("/usr/lib/libSystem.B.dylib").import("malloc", From::Library(1));
    let attempt = open(tree(&module));
    assert_eq!(attempt.failure, None);
    assert!(provider(&attempt, "malloc").starts_with("System(Some("));
}

#[test]
fn a_weak_library_may_be_missing_with_all_its_symbols() {
    let module = MachImage::bundle(ARM)
        .library_as(LibraryKind::Weak, "/gone.dylib")
        .import_weakly("f", From::Library(1))
        .import("palloc", From::Executable);
    let attempt = open(tree(&module));
    assert_eq!(attempt.failure, None);
    assert_eq!(provider(&attempt, "f"), "Null");
}

#[test]
fn symbols_come_through_reexports_and_under_new_names() {
    let module = MachImage::bundle(ARM)
        .library("@loader_path/outer.dylib")
        .import("plain", From::Library(1))
        .import("renamed", From::Library(1));
    let outer = MachImage::dylib(ARM, "/pg/lib/outer.dylib")
        .library_as(LibraryKind::Reexport, "@loader_path/inner.dylib")
        .export_as("renamed", ExportForm::Reexport(1, "_original".to_owned()));
    let inner = MachImage::dylib(ARM, "/pg/lib/inner.dylib").export("plain").export("original");
    let attempt = open(
        tree(&module).file("/pg/lib/outer.dylib", outer.build()).file("/pg/lib/inner.dylib", inner.build()),
    );
    assert_eq!(attempt.failure, None);
    assert_eq!(provider(&attempt, "plain"), "/pg/lib/inner.dylib");
    assert_eq!(provider(&attempt, "renamed"), "/pg/lib/inner.dylib");
}

#[test]
fn reexports_that_rename_in_a_circle_come_to_an_end() {
    let module = MachImage::bundle(ARM).library("@loader_path/a.dylib").import("x", From::Library(1));
    let circle = |own: &str, other: &str| {
        MachImage::dylib(ARM, &format!("/pg/lib/{own}"))
            .library(&format!("@loader_path/{other}"))
            .export_as("x", ExportForm::Reexport(1, "_y".to_owned()))
            .export_as("y", ExportForm::Reexport(1, "_x".to_owned()))
            .build()
    };
    let fs = tree(&module)
        .file("/pg/lib/a.dylib", circle("a.dylib", "b.dylib"))
        .file("/pg/lib/b.dylib", circle("b.dylib", "a.dylib"));
    assert!(provider(&open(fs), "x").starts_with("System"));
}

#[test]
fn a_strong_definition_goes_before_an_earlier_weak_one() {
    let module = MachImage::bundle(ARM)
        .library("@loader_path/weak.dylib")
        .library("@loader_path/strong.dylib")
        .import("inline", From::Weak);
    let weak = MachImage::dylib(ARM, "/pg/lib/weak.dylib").export_as("inline", ExportForm::Weak);
    // Coalescing passes over images without any weak definition, so the strong one needs one too.
    let strong =
        MachImage::dylib(ARM, "/pg/lib/strong.dylib").export("inline").export_as("other", ExportForm::Weak);
    let fs =
        tree(&module).file("/pg/lib/weak.dylib", weak.build()).file("/pg/lib/strong.dylib", strong.build());
    assert_eq!(provider(&open(fs), "inline"), "/pg/lib/strong.dylib");
}

#[test]
fn the_programs_rpaths_serve_a_library_of_a_module() {
    let module = MachImage::bundle(ARM).library("@loader_path/a.dylib");
    let a = MachImage::dylib(ARM, "/pg/lib/a.dylib").library("@rpath/deep.dylib");
    let deep = MachImage::dylib(ARM, "@rpath/deep.dylib");
    let attempt =
        open(tree(&module).file("/pg/lib/a.dylib", a.build()).file("/pg/deps/deep.dylib", deep.build()));
    assert_eq!(attempt.failure, None);
    let paths: Vec<String> =
        attempt.process.images().map(|(_, image)| image.path().display().to_string()).collect();
    assert_eq!(paths, [SERVER, MODULE, "/pg/lib/a.dylib", "/pg/deps/deep.dylib"]);
}

#[test]
fn loader_path_in_an_rpath_is_its_owners_directory() {
    let module = MachImage::bundle(ARM).rpath("@loader_path/sub").library("@loader_path/sub/a.dylib");
    let a = MachImage::dylib(ARM, "x").library("@rpath/b.dylib");
    let fs = tree(&module)
        .file("/pg/lib/sub/a.dylib", a.build())
        .file("/pg/lib/sub/b.dylib", MachImage::dylib(ARM, "y").build());
    assert_eq!(open(fs).failure, None);
}

#[test]
fn an_unresolved_rpath_lists_the_stack_twice_as_dyld_does() {
    let module = MachImage::bundle(ARM).rpath("@loader_path/sub").library("@rpath/gone.dylib");
    let attempt = open(tree(&module));
    assert_eq!(
        attempt.failure.unwrap(),
        format!(
            "Library not loaded: @rpath/gone.dylib\n  Referenced from: <{UUID}> {MODULE}\n  Reason: tried: \
            '/pg/lib/sub/gone.dylib' (no such file), '/pg/lib/sub/gone.dylib' (no such file), \
            '/pg/deps/gone.dylib' (no such file), '/pg/deps/gone.dylib' (no such file)"
        )
    );
}

#[test]
fn a_loaded_install_name_is_not_searched_again() {
    let module = MachImage::bundle(ARM).library("@loader_path/one/a.dylib").library("@rpath/a.dylib");
    let fs = tree(&module)
        .file("/pg/lib/one/a.dylib", MachImage::dylib(ARM, "@rpath/a.dylib").build())
        .file("/pg/deps/a.dylib", MachImage::dylib(ARM, "@rpath/a.dylib").build());
    let attempt = open(fs);
    assert_eq!(attempt.process.images().count(), 3, "the second a.dylib is not loaded");
}

#[test]
fn a_fallback_directory_does_not_make_a_library_the_systems() {
    // Built with the SDK of macOS 13, so that dyld looks in /usr/local/lib and /usr/lib too.
    let module = MachImage::bundle(ARM).library("@rpath/gone.dylib").macos((11, 0), (13, 0));
    let failure = open(tree(&module)).failure.unwrap();
    assert!(failure.ends_with("'/usr/lib/gone.dylib' (no such file, not in dyld cache)"), "{failure}");
}

#[test]
fn another_architecture_is_named_with_what_is_needed() {
    let module = MachImage::bundle(MachCpu::X86_64).build();
    let fs = MemoryFs::new().file(SERVER, server().build()).file(MODULE, module);
    assert_eq!(
        open(fs).failure.unwrap(),
        format!(
            "tried: '{MODULE}' (mach-o file, but is an incompatible architecture (have 'x86_64', need 'arm64')), \
            '/System/Volumes/Preboot/Cryptexes/OS{MODULE}' (no such file), \
            '{MODULE}' (mach-o file, but is an incompatible architecture (have 'x86_64', need 'arm64'))"
        )
    );
}

#[test]
fn of_a_fat_file_the_slice_of_the_process_is_taken() {
    let slice = |cpu: MachCpu| (cpu, MachImage::bundle(cpu).import("palloc", From::Executable).build());
    let module = fat(FatWidth::Bits64, &[slice(MachCpu::X86_64), slice(ARM)]);
    let attempt = open(MemoryFs::new().file(SERVER, server().build()).file(MODULE, module));
    assert_eq!(attempt.failure, None);
    let image = attempt.process.image(attempt.root.unwrap()).unwrap();
    assert_eq!(image.macho().unwrap().slice.arch, MachArch::ARM64);
}

#[test]
fn an_arm64e_slice_alone_does_not_help_an_arm64_process() {
    let slice = |cpu: MachCpu| (cpu, MachImage::bundle(cpu).build());
    let module = fat(FatWidth::Bits32, &[slice(MachCpu::X86_64), slice(MachCpu::Arm64e)]);
    let attempt = open(MemoryFs::new().file(SERVER, server().build()).file(MODULE, module));
    let failure = attempt.failure.unwrap();
    let words = "fat file, but missing compatible architecture (have 'x86_64,arm64e', need 'arm64')";
    assert!(failure.contains(words), "{failure}");
}

#[test]
fn the_first_unbound_symbol_is_the_first_of_the_table() {
    let module = MachImage::bundle(ARM).import("zzz", From::Executable).import("aaa", From::Executable);
    for fixups in [Fixups::Chained(1), Fixups::Chained(2), Fixups::Chained(3), Fixups::Opcodes] {
        let failure = open(tree(&module.clone().fixups(fixups))).failure.unwrap();
        assert!(failure.starts_with("Symbol not found: _zzz\n"), "{fixups:?}: {failure}");
    }
}

#[test]
fn a_new_sdk_makes_a_double_rpath_fatal() {
    let module = MachImage::bundle(ARM).rpath("@loader_path").rpath("@loader_path");
    assert_eq!(open(tree(&module)).failure, None);
    let failure = open(tree(&module.macos((13, 0), (26, 0)))).failure.unwrap();
    assert!(failure.contains(&format!("'{MODULE}' (duplicate LC_RPATH '@loader_path')")), "{failure}");
}
