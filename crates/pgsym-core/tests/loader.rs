//! Cases that random trees found against the real loader (`cargo xtask oracle trees`), each as small as it could be made,
//! with the loader's own words.

use std::path::Path;
use std::sync::Arc;

use pgsym_core::fs::MemoryFs;
use pgsym_core::model::{Class, Endian, Target};
use pgsym_core::parse::Facets;
use pgsym_core::resolve::{FileStore, Libc, LoaderEnv, LoaderOptions, MainObject, Process};
use pgsym_testkit::{Damage, Import, Kind, ProgramHeaderField, SharedObject};

const GLIBC_2_36: &[u8] = b"\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0\
    ld.so (Debian GLIBC 2.36-9) stable release version 2.36.\n\0";

/// A process of Debian 12 in which `/app/host` runs, with `/run` as current directory.
fn process(files: MemoryFs, libc: Option<Libc>) -> Process {
    started(files, libc, "/app/host")
}

fn started(files: MemoryFs, libc: Option<Libc>, program: &str) -> Process {
    let host = SharedObject::new().kind(Kind::PieExecutable).interp("/lib64/ld-linux-x86-64.so.2");
    let fs = Arc::new(
        files
            .file("/app/host", host.build())
            .file("/lib64/ld-linux-x86-64.so.2", GLIBC_2_36)
            .directory("/run"),
    );
    let target = Target {
        machine: object::elf::EM_X86_64,
        class: Class::Bits64,
        endian: Endian::Little,
        os_abi: 0,
        abi_version: 0,
        flags: 0,
    };
    let options = LoaderOptions { libc, current_directory: Some("/run".into()), ..LoaderOptions::default() };
    let env = Arc::new(LoaderEnv::read(&*fs, target, None, &options));
    let store = Arc::new(FileStore::new(fs, Facets::SYMBOLS));
    Process::start(store, env, Path::new(program), MainObject::Program).unwrap()
}

/// The paths that a dlopen adds, or the error text.
fn dlopen(process: &Process, path: &str) -> Result<Vec<String>, String> {
    let attempt = process.dlopen(Path::new(path));
    match attempt.failure {
        Some(failure) => Err(failure.message),
        None => Ok(attempt
            .process
            .added_since(process)
            .map(|(_, object)| object.path().display().to_string())
            .collect()),
    }
}

fn needs(library: &str) -> SharedObject {
    SharedObject::new().needed(library)
}

#[test]
fn a_token_in_the_opened_path_is_expanded_for_the_program() {
    let process = process(MemoryFs::new().file("/mods/m.so", SharedObject::new().build()), None);
    assert_eq!(dlopen(&process, "$ORIGIN/../mods/m.so").unwrap(), ["/app/../mods/m.so"]);
    assert_eq!(
        dlopen(&process, "$ORIGIN/missing.so").unwrap_err(),
        "$ORIGIN/missing.so: cannot open shared object file: No such file or directory"
    );
}

#[test]
fn what_dlopen_brings_along_must_allow_to_be_opened_too() {
    let files = MemoryFs::new()
        .file("/mods/m.so", needs("liba.so").runpath("/a").build())
        .file("/a/liba.so", SharedObject::new().no_dlopen().build());
    // The text names what was asked for, not the file that was found.
    assert_eq!(
        dlopen(&process(files, None), "/mods/m.so").unwrap_err(),
        "liba.so: shared object cannot be dlopen()ed"
    );
}

#[test]
fn a_relative_element_that_is_a_file_ends_its_list_until_glibc_2_37() {
    let files = || {
        MemoryFs::new()
            .file("/mods/m.so", needs("liba.so").runpath("../app/host:/a").build())
            .file("/a/liba.so", SharedObject::new().build())
    };
    assert_eq!(
        dlopen(&process(files(), Some(Libc::Glibc(2, 36))), "/mods/m.so").unwrap_err(),
        "liba.so: cannot open shared object file: No such file or directory"
    );
    let newer = process(files(), Some(Libc::Glibc(2, 38)));
    assert_eq!(dlopen(&newer, "/mods/m.so").unwrap(), ["/mods/m.so", "/a/liba.so"]);
}

#[test]
fn an_absolute_element_that_is_a_file_is_passed_over() {
    let files = MemoryFs::new()
        .file("/mods/m.so", needs("liba.so").runpath("/app/host:/a").build())
        .file("/a/liba.so", SharedObject::new().build());
    let loaded = dlopen(&process(files, Some(Libc::Glibc(2, 36))), "/mods/m.so").unwrap();
    assert_eq!(loaded, ["/mods/m.so", "/a/liba.so"]);
}

#[test]
fn debian_passes_over_the_other_byte_order_of_another_machine_only() {
    let candidate = |first: SharedObject| {
        MemoryFs::new()
            .file("/mods/m.so", needs("liba.so").runpath("/a:/b").build())
            .file("/a/liba.so", first.build())
            .file("/b/liba.so", SharedObject::new().build())
    };
    // e_machine of a big-endian file, read as little endian, is another number: an s390x library, for example.
    let foreign = candidate(SharedObject::new().endian(pgsym_testkit::Endian::Big));
    assert_eq!(dlopen(&process(foreign, None), "/mods/m.so").unwrap(), ["/mods/m.so", "/b/liba.so"]);
    let lie = candidate(SharedObject::new().damage(Damage::Ident(5, 2)));
    assert_eq!(
        dlopen(&process(lie, None), "/mods/m.so").unwrap_err(),
        "/a/liba.so: ELF file data encoding not little-endian"
    );
}

#[test]
fn a_file_that_ends_before_its_program_headers_cannot_be_read() {
    let files = MemoryFs::new().file("/mods/m.so", SharedObject::new().damage(Damage::Truncated(64)).build());
    assert_eq!(dlopen(&process(files, None), "/mods/m.so").unwrap_err(), "/mods/m.so: cannot read file data");
}

#[test]
fn the_last_error_number_ends_the_message() {
    let files = MemoryFs::new()
        .file("/mods/m.so", needs("liba.so").runpath("/a").no_default_libraries().build())
        .symlink("/a/liba.so", "/app/host/below");
    assert_eq!(
        dlopen(&process(files, Some(Libc::Glibc(2, 36))), "/mods/m.so").unwrap_err(),
        "liba.so: cannot open shared object file: Not a directory"
    );
}

#[test]
fn musl_gives_enoexec_for_a_file_without_a_dynamic_segment() {
    // PT_DYNAMIC becomes PT_NULL.
    let damage = Damage::ProgramHeader(2, ProgramHeaderField::Type, 0);
    let files = MemoryFs::new()
        .file("/mods/m.so", needs("liba.so").runpath("/a").build())
        .file("/a/liba.so", SharedObject::new().damage(damage).build());
    let process = process(files, Some(Libc::Musl));
    assert_eq!(
        dlopen(&process, "/mods/m.so").unwrap_err(),
        "Error loading shared library liba.so: Exec format error (needed by /mods/m.so)"
    );
    assert_eq!(
        dlopen(&process, "/a/liba.so").unwrap_err(),
        "Error loading shared library /a/liba.so: Exec format error"
    );
}

#[test]
fn musl_tells_the_error_number_in_its_own_words() {
    let files = MemoryFs::new()
        .symlink("/mods/loop.so", "loop.so")
        .symlink("/mods/below.so", "/app/host/below")
        .file("/mods/secret.so", SharedObject::new().build())
        .mode("/mods/secret.so", 0o000);
    let process = process(files, Some(Libc::Musl));
    for (name, words) in [
        ("loop", "Symbolic link loop"),
        ("below", "Not a directory"),
        ("secret", "Permission denied"),
        ("missing", "No such file or directory"),
    ] {
        let path = format!("/mods/{name}.so");
        assert_eq!(
            dlopen(&process, &path).unwrap_err(),
            format!("Error loading shared library {path}: {words}")
        );
    }
}

#[test]
fn a_program_started_through_a_link_has_the_origin_of_its_file() {
    let files = || {
        let linked = SharedObject::new()
            .kind(Kind::PieExecutable)
            .interp("/lib64/ld-linux-x86-64.so.2")
            .needed("liba.so")
            .rpath("$ORIGIN");
        MemoryFs::new()
            .file("/bin/real", linked.build())
            .symlink("/links/program", "/bin/real")
            .file("/bin/liba.so", SharedObject::new().build())
    };
    for (libc, called) in [(Libc::Glibc(2, 36), "/bin/real"), (Libc::Musl, "/links/program")] {
        let process = started(files(), Some(libc), "/links/program");
        assert!(process.failure().is_none(), "{:?}", process.failure());
        let paths: Vec<String> =
            process.load_order().map(|(_, object)| object.path().display().to_string()).collect();
        assert_eq!(paths, [called, "/bin/liba.so"]);
    }
}

#[test]
fn the_origin_of_a_relative_path_is_relative_for_musl_and_absolute_for_glibc() {
    let files = || {
        MemoryFs::new()
            .file("/run/mods/m.so", needs("liba.so").rpath("$ORIGIN/../a").build())
            .file("/run/a/liba.so", SharedObject::new().build())
    };
    let loaded = |libc| dlopen(&process(files(), Some(libc)), "mods/m.so").unwrap();
    assert_eq!(loaded(Libc::Glibc(2, 36)), ["mods/m.so", "/run/mods/../a/liba.so"]);
    assert_eq!(loaded(Libc::Musl), ["mods/m.so", "mods/../a/liba.so"]);
}

#[test]
fn the_undefined_symbol_of_the_object_relocated_first_is_named() {
    let files = || {
        MemoryFs::new()
            .file("/mods/m.so", needs("liba.so").runpath("/a").import("outer").build())
            .file("/a/liba.so", SharedObject::new().import("inner").build())
    };
    let text = |libc| dlopen(&process(files(), Some(libc)), "/mods/m.so").unwrap_err();
    assert_eq!(text(Libc::Glibc(2, 36)), "/a/liba.so: undefined symbol: inner");
    assert_eq!(text(Libc::Musl), "Error relocating /mods/m.so: outer: symbol not found");
}

#[test]
fn of_two_undefined_symbols_glibc_names_the_variable_and_musl_the_call() {
    let module = SharedObject::new().import("called").add_import(Import::object("read"));
    let files = || MemoryFs::new().file("/mods/m.so", module.build());
    let text = |libc| dlopen(&process(files(), Some(libc)), "/mods/m.so").unwrap_err();
    assert_eq!(text(Libc::Glibc(2, 36)), "/mods/m.so: undefined symbol: read");
    assert_eq!(text(Libc::Musl), "Error relocating /mods/m.so: called: symbol not found");
}

#[test]
fn an_empty_runpath_makes_the_rpath_void() {
    let files = || {
        MemoryFs::new()
            .file("/mods/m.so", needs("liba.so").rpath("/a").runpath("").build())
            .file("/a/liba.so", SharedObject::new().build())
    };
    for libc in [Libc::Glibc(2, 36), Libc::Musl] {
        let error = dlopen(&process(files(), Some(libc)), "/mods/m.so").unwrap_err();
        assert!(error.contains("No such file or directory"), "{libc}: {error}");
    }
}
