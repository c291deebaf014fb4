//! Objects and tools that the integration tests share.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use pgsym_testkit::{
    Bind, Cet, CodeShape, Export, ExportKind, HashStyle, Import, Machine, Magic, Note, RelativeStyle,
    RelocationStyle, SharedObject, VersionDefault, VersionNeed,
};

/// Runs a tool; `None`, and a loud line, when the machine lacks it.
pub(crate) fn run(tool: &str, arguments: &[&str], file: &Path) -> Option<Output> {
    match Command::new(tool).args(arguments).arg(file).env("LC_ALL", "C").output() {
        Ok(output) => Some(output),
        Err(error) => {
            not_run(&format!("{tool} {}: {error}", arguments.join(" ")));
            None
        }
    }
}

/// Says which check could not be made, past the test harness's capture of printed text.
pub(crate) fn not_run(what: &str) {
    writeln!(std::io::stderr(), "not run: {what}").expect("stderr can be written");
}

/// A library with one of everything the builder can write, for one processor.
pub(crate) fn everything(machine: Machine) -> SharedObject {
    SharedObject::for_machine(machine)
        .soname("libeverything.so.1")
        .needed("libc.so.6")
        .runpath("$ORIGIN:/opt/lib")
        .import("puts")
        .import_versioned("free", "libc.so.6", "GLIBC_2.2.5")
        .add_import(Import::object("stdout").version("libc.so.6", "GLIBC_2.2.5"))
        .weak_import("__gmon_start__")
        .version_requirement("libc.so.6", "GLIBC_ABI_OPTIONAL", VersionNeed::Weak)
        .export_returning("answer", 42)
        .export_versioned("old", "V1", VersionDefault::Hidden)
        .export_versioned("old", "V2", VersionDefault::Default)
        .version_definition("V1", &[])
        .version_definition("V2", &["V1"])
        .export_object("counter", 8)
        .add_export(Export::new("thread_local_counter", ExportKind::Tls(8)))
        .add_export(Export::new("constant", ExportKind::Absolute(0x1234)))
        .pg_function("add_one")
        .magic(Magic::pg(18).name("demo").module_version("1.0"))
        .local_function("hidden_helper")
        .note(Note::BuildId((0..20).collect()))
        .note(Note::AbiTag([3, 2, 0]))
        .note(Note::Cet(Cet::Both))
        .hash_style(HashStyle::Both)
        .relative_words(3)
        .bss(64)
}

/// Variants of [`everything`] over processors, relocation formats and code shapes, each with a name.
pub(crate) fn variants() -> Vec<(String, SharedObject)> {
    let mut list: Vec<(String, SharedObject)> =
        Machine::ALL.iter().map(|&machine| (format!("{machine:?}"), everything(machine))).collect();
    for machine in [Machine::X86_64, Machine::I386, Machine::S390x] {
        let packed = everything(machine).relative_style(RelativeStyle::Packed).bind(Bind::Now);
        list.push((format!("{machine:?} RELR, bound now"), packed));
    }
    list.push((
        "X86_64 with REL".to_owned(),
        everything(Machine::X86_64).relocation_style(RelocationStyle::Rel),
    ));
    for shape in [CodeShape::LandingPad, CodeShape::FramePointer, CodeShape::Pgrx, CodeShape::GotLoad] {
        list.push((format!("X86_64 {shape:?}"), everything(Machine::X86_64).code_shape(shape)));
    }
    list.push(("empty".to_owned(), SharedObject::new()));
    list.push(("only exports".to_owned(), SharedObject::new().export("f").hash_style(HashStyle::SysV)));
    list
}
