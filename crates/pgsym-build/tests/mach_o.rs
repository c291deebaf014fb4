//! The macOS arguments, proven with clang and `ld64.lld` beside a list like rustc's: the finished image exports
//! what was meant, and nothing else. Needs Debian's `clang`, `lld` and `llvm`.

mod support;

use std::path::Path;
use std::process::Command;

use pgsym_build::{Extension, MacUndefined};
use pgsym_core::exports::ModuleExports;
use support::Package;

const SHIM: &str = "extern void *palloc(unsigned long);\n\
    void *Pg_magic_func(void) { return 0; }\nvoid *f(void) { return palloc(1); }\n\
    void *pg_finfo_f(void) { return 0; }\nint helper(void) { return 2; }\n";

/// What rustc would bring: an object of its own and its list of exports.
const RUST: &str = "int rust_twice(int value) { return 2 * value; }\nint inside(void) { return 1; }\n";

/// A server that modules are bundled for.
const SERVER: &str =
    "void *palloc(unsigned long size) { return (void *) size; }\nint main(void) { return 0; }\n";

const LIB_SYSTEM: &str = "--- !tapi-tbd\ntbd-version: 4\ntargets: [ arm64-macos ]\n\
    install-name: '/usr/lib/libSystem.B.dylib'\nexports:\n  - targets: [ arm64-macos ]\n    \
    symbols: [ dyld_stub_binder ]\n...\n";

/// Not a test: the script that the tests run in a process of its own.
#[test]
#[expect(
    clippy::print_stdout,
    reason = "a build script's lines begin where the test harness has not written yet"
)]
fn the_build_script() {
    let Some(script) = support::script_of_this_process() else { return };
    println!();
    let mut extension = Extension::new();
    extension.archive("libshim.a").rust_export("rust_twice");
    if script == "bundle" {
        extension.mac_undefined(MacUndefined::BundleLoaderAt("postgres".into()));
    }
    extension.emit();
}

/// A package for Apple silicon with everything compiled.
fn package(test: &str) -> Package {
    let mut package = Package::new(test, 16);
    for (name, value) in [
        ("TARGET", "aarch64-apple-darwin"),
        ("CARGO_CFG_TARGET_OS", "macos"),
        ("CARGO_CFG_TARGET_ENV", ""),
        ("CARGO_CFG_TARGET_ARCH", "aarch64"),
    ] {
        package.set(name, value);
    }
    package.file("shim.c", SHIM).file("rust.c", RUST).file("server.c", SERVER);
    package.file("rust.list", "_rust_twice\n").file("libSystem.tbd", LIB_SYSTEM);
    for source in ["shim.c", "rust.c", "server.c"] {
        run(&package, "clang", &["--target=arm64-apple-macos12", "-c", source]);
    }
    run(&package, "llvm-ar", &["rcs", "libshim.a", "shim.o"]);
    package
}

fn run(package: &Package, program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).current_dir(&package.directory).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Links as rustc would for a cdylib, with more arguments at the end.
fn link(package: &Package, output: &str, more: &[&str]) -> Vec<u8> {
    let mut arguments =
        vec!["--target=arm64-apple-macos12", "-fuse-ld=lld", "-mlinker-version=711", "-nostdlib"];
    arguments.extend(["-o", output]);
    arguments.extend(more);
    run(package, "clang", &arguments);
    std::fs::read(package.path(Path::new(output))).unwrap()
}

const CDYLIB: [&str; 6] =
    ["-dynamiclib", "-Wl,-exported_symbols_list,rust.list", "rust.o", "-L.", "-lshim", "libSystem.tbd"];

const INTENDED: [&str; 4] = ["Pg_magic_func", "f", "pg_finfo_f", "rust_twice"];

fn assert_exports(image: &[u8]) {
    let exports = ModuleExports::read(image).unwrap();
    let names: Vec<&str> = exports.exports.keys().map(String::as_str).collect();
    assert_eq!(names, INTENDED);
    assert!(exports.imports.contains("palloc"), "{exports:?}");
}

/// `filetype` of `mach_header_64`: 6 is MH_DYLIB, 8 MH_BUNDLE.
fn file_type(image: &[u8]) -> u32 {
    u32::from_le_bytes(image[12..16].try_into().unwrap())
}

#[test]
fn without_our_arguments_every_c_symbol_is_lost() {
    let package = package("mach-o-naive");
    let lookup = ["-Wl,-undefined,dynamic_lookup"];
    let image = link(&package, "naive.dylib", &[&CDYLIB[..], &lookup].concat());
    let exports = ModuleExports::read(&image).unwrap();
    assert_eq!(exports.exports.keys().collect::<Vec<_>>(), ["rust_twice"]);
}

#[test]
fn a_dylib_with_dynamic_lookup_exports_exactly_what_was_meant() {
    let package = package("mach-o-dylib");
    let arguments = package.lines("lookup", "rustc-cdylib-link-arg");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let image = link(&package, "module.dylib", &[&CDYLIB[..], &arguments].concat());
    assert_eq!(file_type(&image), 6);
    assert_exports(&image);
    let list = package.read("out/pg_exports.list");
    assert_eq!(list, "_Pg_magic_func\n_f\n_pg_finfo_f\n_rust_twice\n");
}

#[test]
fn a_bundle_for_a_server_exports_exactly_what_was_meant() {
    let package = package("mach-o-bundle");
    link(&package, "postgres", &["server.o", "libSystem.tbd"]);
    let arguments = package.lines("bundle", "rustc-cdylib-link-arg");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let image = link(&package, "module.bundle", &[&CDYLIB[..], &arguments].concat());
    assert_eq!(file_type(&image), 8);
    assert_exports(&image);
}
