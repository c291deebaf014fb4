//! Facts of one module: machine, magic block, libraries, search path, mapping, versions.

use pgsym_testkit::{Machine, Magic, Note, Relro, SharedObject, Stack, TextRelocations, VersionNeed};

use super::{compared, lines, of_kind, one};
use crate::check::Severity;
use crate::diff::ChangeKind;
use crate::rules::testing::{Case, Uses as _, library, module};
use crate::tree::ServerChoice;

fn with(object: &SharedObject) -> Case {
    Case::new().object("x.so", object)
}

/// The same without a server.
fn alone(object: &SharedObject) -> Case {
    with(object).roots(&["/pg/lib/x.so"]).settings(|settings| settings.server = ServerChoice::None)
}

#[test]
fn a_module_that_does_not_load_any_more_is_an_error_in_the_servers_words() {
    let found = compared(with(&module()), with(&module().needed("libgone.so.1")));
    assert_eq!(lines(&found), ["x.so: load error", "x.so: needed-added warning"]);
    assert_eq!(
        of_kind(&found, ChangeKind::Load).texts("the server"),
        [
            "ERROR:  could not load library \"/pg/lib/x.so\": libgone.so.1: cannot open shared object file: No such file or \
             directory"
        ]
    );
    // The reverse is good news, and what fails on both sides is none.
    let found = compared(with(&module().needed("libgone.so.1")), with(&module()));
    assert_eq!(lines(&found), ["x.so: load info", "x.so: needed-removed info"]);
    let found = compared(
        with(&module().needed("libgone.so.1")),
        with(&module().needed("libgone.so.1").runpath("/r")),
    );
    assert_eq!(lines(&found), ["x.so: search-path info"]);
}

#[test]
fn another_major_is_refused_by_the_same_server_and_taken_by_its_own() {
    let (old, new) = (SharedObject::new().magic(Magic::pg(15)), SharedObject::new().magic(Magic::pg(16)));
    // The verdict of the server is the error; what caused it is told beside it.
    assert_eq!(lines(&compared(with(&old), with(&new))), ["x.so: load error", "x.so: server-major info"]);
    // Without a server the old build says which server loads it.
    let change = one(alone(&old), alone(&new));
    assert_eq!((change.kind, change.severity), (ChangeKind::ServerMajor, Severity::Error));
    assert_eq!(
        change.texts("the server"),
        [
            "ERROR:  incompatible library \"/pg/lib/x.so\": version mismatch",
            "DETAIL:  Server is version 15, library is version 16."
        ]
    );
    let for_major =
        |case: Case, major| case.settings(|settings| settings.server = ServerChoice::Version(major));
    let upgrade = compared(for_major(alone(&old), 15), for_major(alone(&new), 16));
    assert_eq!(lines(&upgrade), ["x.so: server-major info"]);
}

#[test]
fn directories_that_name_their_major_are_an_upgrade() {
    let of = |major: u32| {
        let path = format!("/stage/usr/lib/postgresql/{major}/lib/x.so");
        Case::new()
            .object(&path, &SharedObject::new().magic(Magic::pg(major)))
            .roots(&["/stage"])
            .settings(|settings| settings.server = ServerChoice::None)
    };
    assert_eq!(lines(&compared(of(15), of(16))), ["x.so: server-major info"]);
}

#[test]
fn fields_of_the_magic_block_are_refused() {
    let magic = |magic: Magic| SharedObject::new().magic(magic);
    let change = one(alone(&magic(Magic::pg(15))), alone(&magic(Magic::pg(15).abi_extra("EDB"))));
    assert_eq!((change.kind, change.severity), (ChangeKind::Abi, Severity::Error));
    assert!(change.message.contains("with ABI PostgreSQL and is with ABI EDB"), "{}", change.message);
    let change =
        one(alone(&magic(Magic::pg(15)).pg_function("f")), alone(&SharedObject::new().pg_function("f")));
    assert_eq!(change.kind, ChangeKind::MagicBlock);
}

#[test]
fn name_and_version_of_18_are_good_to_know() {
    let of =
        |version: &str| alone(&SharedObject::new().magic(Magic::pg(18).name("x").module_version(version)));
    let change = one(of("1.0"), of("1.1"));
    assert_eq!((change.kind, change.severity), (ChangeKind::ModuleVersion, Severity::Info));
    assert_eq!((change.old.as_deref(), change.new.as_deref()), (Some("1.0"), Some("1.1")));
}

#[test]
fn another_machine_is_refused() {
    let of = |machine| alone(&SharedObject::for_machine(machine).magic(Magic::pg(15)));
    let change = one(of(Machine::X86_64), of(Machine::Aarch64));
    assert_eq!((change.kind, change.severity), (ChangeKind::Machine, Severity::Error));
}

#[test]
fn a_new_library_is_a_warning_unless_the_tree_brings_it() {
    let new = module().uses("libnew.so.1").runpath("$ORIGIN");
    let old = || with(&module().runpath("$ORIGIN"));
    let brought = one(
        old().object("libnew.so.1", &library("libnew.so.1")),
        with(&new).object("libnew.so.1", &library("libnew.so.1")),
    );
    assert_eq!((brought.kind, brought.severity), (ChangeKind::NeededAdded, Severity::Info));
    let outside = one(old(), with(&new).object("/lib/x86_64-linux-gnu/libnew.so.1", &library("libnew.so.1")));
    assert_eq!((outside.kind, outside.severity), (ChangeKind::NeededAdded, Severity::Warning));
    assert_eq!(outside.texts("found here"), ["/lib/x86_64-linux-gnu/libnew.so.1"]);
}

#[test]
fn another_version_of_a_library_takes_the_place_of_the_old_one() {
    let of = |name: &str| {
        with(&module().needed(name)).object(&format!("/lib/x86_64-linux-gnu/{name}"), &library(name))
    };
    let change = one(of("libperl.so.5.36"), of("libperl.so.5.40"));
    assert_eq!(
        change.message,
        "libperl.so.5.40 is needed now in the place of libperl.so.5.36: it has to be installed wherever the new build goes."
    );
}

#[test]
fn the_order_of_libraries_is_good_to_know() {
    let of = |first: &str, second: &str| {
        [first, second].iter().fold(with(&module().needed(first).needed(second)), |case, name| {
            case.object(&format!("/lib/x86_64-linux-gnu/{name}"), &library(name))
        })
    };
    let change = one(of("liba.so.1", "libb.so.1"), of("libb.so.1", "liba.so.1"));
    assert_eq!((change.kind, change.severity), (ChangeKind::NeededOrder, Severity::Info));
}

#[test]
fn sonames_count_for_libraries() {
    let of =
        |name: &str| Case::new().object("libx.so", &SharedObject::new().soname(name).needed("libc.so.6"));
    let change = one(of("libx.so.1"), of("libx.so.2"));
    assert_eq!((change.kind, change.severity), (ChangeKind::Soname, Severity::Warning));
    let change = one(with(&module()), with(&module().soname("x.so.1")));
    assert_eq!((change.kind, change.severity), (ChangeKind::Soname, Severity::Info));
}

#[test]
fn mapping_gets_worse_and_better() {
    let plain = || with(&module());
    for (object, line) in [
        (module().stack(Stack::Executable), "x.so: executable-stack warning"),
        (module().text_relocations(TextRelocations::Tagged), "x.so: text-relocations warning"),
        (module().relro(Relro::Absent), "x.so: relro info"),
        (module().note(Note::IsaNeeded(0b100)), "x.so: isa-level warning"),
        (module().note(Note::IsaNeeded(0b10)), "x.so: isa-level info"),
    ] {
        assert_eq!(lines(&compared(plain(), with(&object))), [line]);
        let back = compared(with(&object), plain());
        assert!(back.changes().all(|change| change.severity == Severity::Info), "{back:#?}");
    }
    assert_eq!(lines(&compared(plain(), with(&module().note(Note::IsaNeeded(1))))), [""; 0]);
}

/// A C library with versions, and a module that asks for one of them.
fn asking(symbol: &str, version: &str) -> Case {
    let libc = ["GLIBC_2.2.5", "GLIBC_2.34", "GLIBC_2.38"]
        .into_iter()
        .fold(library("libc.so.6"), |libc, version| libc.version_definition(version, &[]))
        .export_versioned(symbol, version, pgsym_testkit::VersionDefault::Default);
    let object = module().import_versioned(symbol, "libc.so.6", version);
    Case::new().object("/lib/x86_64-linux-gnu/libc.so.6", &libc).object("x.so", &object)
}

#[test]
fn a_newer_glibc_is_a_warning_that_names_who_asks() {
    let change = one(asking("memcpy", "GLIBC_2.2.5"), asking("__isoc23_strtol", "GLIBC_2.38"));
    assert_eq!((change.kind, change.severity), (ChangeKind::GlibcFloor, Severity::Warning));
    assert_eq!(change.texts("asked by"), ["GLIBC_2.38: __isoc23_strtol"]);
    assert_eq!((change.old.as_deref(), change.new.as_deref()), (Some("2.2"), Some("2.38")));
    assert_eq!(change.help, "build on a system with glibc 2.2 or older");
    let back = one(asking("__isoc23_strtol", "GLIBC_2.38"), asking("memcpy", "GLIBC_2.2.5"));
    assert_eq!(back.severity, Severity::Info);
}

#[test]
fn new_versions_of_a_library_that_was_needed_before_are_a_warning() {
    let of = |versions: &[&str]| {
        let lib = ["V_1", "V_2"]
            .iter()
            .fold(library("libv.so.1"), |lib, version| lib.version_definition(*version, &[]));
        let object = versions.iter().fold(module().uses("libv.so.1"), |object, version| {
            object.version_requirement("libv.so.1", *version, VersionNeed::Strong)
        });
        with(&object).object("/lib/x86_64-linux-gnu/libv.so.1", &lib)
    };
    let change = one(of(&["V_1"]), of(&["V_1", "V_2"]));
    assert_eq!((change.kind, change.severity), (ChangeKind::LibraryVersion, Severity::Warning));
    assert_eq!(change.shown_names(), ["V_2"]);
    assert_eq!(lines(&compared(of(&["V_1", "V_2"]), of(&["V_1"]))), [""; 0]);
}
