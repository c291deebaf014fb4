//! The real loader accepts what the builder writes: dlopen succeeds, dlsym finds the exports, calls return what the
//! description says. A small host is compiled with `cc`; without a compiler the tests say "not run".

use std::path::PathBuf;
use std::process::{Command, Output};

use pgsym_testkit::{
    Addends, Bind, CodeShape, Export, ExportKind, HashStyle, Import, Machine, Magic, RelativeStyle,
    RelocationStyle, SharedObject, TextRelocations, TreeBuilder, VersionDefault,
};

/// `host LIBRARY [FUNCTION SIZE]…`: prints what each function returns, as a number when SIZE is 0, else SIZE bytes at the
/// returned address in hexadecimal.
const HOST: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    void *handle = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
    if (!handle) { printf("%s\n", dlerror()); return 1; }
    for (int i = 2; i + 1 < argc; i += 2) {
        void *symbol = dlsym(handle, argv[i]);
        if (!symbol) { printf("%s\n", dlerror()); return 1; }
        int size = atoi(argv[i + 1]);
        if (size == 0) { printf("%d\n", ((int (*)(void)) symbol)()); continue; }
        const unsigned char *bytes = ((const unsigned char *(*)(void)) symbol)();
        for (int at = 0; at < size; at++) printf("%02x", bytes[at]);
        printf("\n");
    }
    return 0;
}
"#;

struct Host {
    tree: TreeBuilder,
    program: PathBuf,
}

impl Host {
    /// `None` when this machine has no compiler or another processor.
    fn compile(flags: &[&str]) -> Option<Self> {
        if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
            crate::support::not_run("the loader tests load x86-64 objects");
            return None;
        }
        let tree = TreeBuilder::new().file("host.c", HOST);
        let program = tree.path("host");
        let output = Command::new("cc").args(flags).arg(tree.path("host.c")).arg("-o").arg(&program).output();
        match output {
            Ok(output) if output.status.success() => Some(Self { tree, program }),
            Ok(output) => {
                crate::support::not_run(&format!(
                    "cc {flags:?}: {}",
                    String::from_utf8_lossy(&output.stderr)
                ));
                None
            }
            Err(error) => {
                crate::support::not_run(&format!("cc: {error}"));
                None
            }
        }
    }

    fn run(&self, object: &SharedObject, calls: &[(&str, u32)]) -> Output {
        let library = self.tree.path("under-test.so");
        std::fs::write(&library, object.build()).unwrap();
        let mut command = Command::new(&self.program);
        command.arg(library);
        for (function, size) in calls {
            command.arg(function).arg(size.to_string());
        }
        command.output().unwrap()
    }

    #[track_caller]
    fn expect(&self, object: &SharedObject, calls: &[(&str, u32)], expected: &[&str]) {
        let output = self.run(object, calls);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{:?}: {text}", output.status);
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_function_is_found_and_returns_its_number() {
    let Some(host) = Host::compile(&[]) else { return };
    for style in [HashStyle::Gnu, HashStyle::SysV, HashStyle::Both] {
        let mut object = SharedObject::new().hash_style(style);
        for number in 0..40 {
            object = object.export_returning(format!("function_{number}"), number);
        }
        for name in ["function_0", "function_7", "function_39"] {
            host.expect(&object, &[(name, 0)], &[&name["function_".len()..]]);
        }
    }
}

#[test]
fn imports_bind_to_the_c_library() {
    let Some(host) = Host::compile(&[]) else { return };
    let object = SharedObject::new()
        .needed("libc.so.6")
        .import("puts")
        .add_import(Import::object("stdout"))
        .import_versioned("malloc", "libc.so.6", "GLIBC_2.2.5")
        .weak_import("nobody_has_this")
        .export_returning("f", 3)
        .bind(Bind::Now);
    host.expect(&object, &[("f", 0)], &["3"]);
}

#[test]
fn an_import_nobody_provides_is_an_error_of_the_loader() {
    let Some(host) = Host::compile(&[]) else { return };
    let output = host.run(&SharedObject::new().import("nobody_has_this"), &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("undefined symbol: nobody_has_this"), "{text}");
    let versioned = SharedObject::new().needed("libc.so.6").import_versioned("puts", "libc.so.6", "NOBODY_1");
    let output = host.run(&versioned, &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("version `NOBODY_1' not found"), "{text}");
}

#[test]
fn the_default_version_is_the_one_found() {
    let Some(host) = Host::compile(&[]) else { return };
    let function = |value| Export::new("f", ExportKind::Function(value));
    let object = SharedObject::new()
        .soname("libv.so")
        .add_export(function(1).version("V1", VersionDefault::Hidden))
        .add_export(function(2).version("V2", VersionDefault::Default))
        .version_definition("V1", &[])
        .version_definition("V2", &["V1"]);
    host.expect(&object, &[("f", 0)], &["2"]);
}

#[test]
fn every_code_shape_returns_the_magic_block() {
    let Some(host) = Host::compile(&[]) else { return };
    let shapes = [
        CodeShape::Plain,
        CodeShape::LandingPad,
        CodeShape::FramePointer,
        CodeShape::Pgrx,
        CodeShape::GotLoad,
    ];
    // len 56, version 1700, 100, 32, 64, 1, "PostgreSQL"
    let head = "38000000a40600006400000020000000400000000100000050";
    for shape in shapes {
        let object = SharedObject::new().magic(Magic::pg(17)).pg_finfo("f", 1).code_shape(shape);
        host.expect(&object, &[("Pg_magic_func", 25), ("pg_finfo_f", 4)], &[head, "01000000"]);
    }
}

#[test]
fn pointers_are_relocated_in_every_format() {
    let Some(host) = Host::compile(&[]) else { return };
    // The words point at themselves; the loader would crash or refuse if a table were wrong.
    let object =
        SharedObject::new().magic(Magic::pg(18).name("n")).relative_words(100).export_returning("f", 5);
    for (style, addends) in [
        (RelativeStyle::Ordinary, Addends::InPlaceToo),
        (RelativeStyle::Ordinary, Addends::OnlyInTable),
        (RelativeStyle::Packed, Addends::OnlyInTable),
    ] {
        let object = object.clone().relative_style(style).addends(addends);
        let output = host.run(&object, &[("Pg_magic_func", 72), ("f", 0)]);
        let text = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "5");
        assert_ne!(&lines[0][112..128], "0000000000000000", "the name is not relocated under {style:?}");
        assert_eq!(&lines[0][128..144], "0000000000000000", "the version stays NULL");
    }
}

#[test]
fn thread_local_text_relocated_and_zeroed_memory_load() {
    let Some(host) = Host::compile(&[]) else { return };
    let object = SharedObject::new()
        .add_export(Export::new("t", ExportKind::Tls(16)))
        .text_relocations(TextRelocations::Tagged)
        .bss(100_000)
        .export_object("data", 4096)
        .export_returning("f", 8);
    host.expect(&object, &[("f", 0)], &["8"]);
}

#[test]
fn i386_objects_load_too() {
    let Some(host) = Host::compile(&["-m32"]) else { return };
    let object = SharedObject::for_machine(Machine::I386)
        .magic(Magic::pg(17))
        .export_returning("f", 77)
        .relative_words(40)
        .relocation_style(RelocationStyle::Rel);
    let head = "38000000a40600006400000020000000400000000000000050";
    host.expect(&object, &[("f", 0), ("Pg_magic_func", 25)], &["77", head]);
}
