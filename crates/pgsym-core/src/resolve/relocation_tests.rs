//! What opening a module ends at after everything was found: the server's answer to modules that only relocation, or
//! nothing at all, refuses. Each was seen on a real server or loader first.

use std::path::Path;

use object::elf;
use pgsym_testkit::{
    Damage, Export, ExportKind, Import, ProgramHeaderField, Reference, SharedObject, Stack, TextRelocations,
};

use crate::postgres::{self, Verdict};
use crate::resolve::Libc;
use crate::rules::testing::{Case, library, module};
use crate::tree::Tree;

fn file_of<'t>(tree: &'t Tree, name: &str) -> &'t crate::tree::TreeFile {
    tree.files().iter().find(|file| file.path.ends_with(name)).unwrap()
}

fn verdict(case: &Case) -> Verdict {
    let tree = case.tree();
    let expected = tree.server().unwrap().facts.magic.as_ref();
    postgres::load(tree.process().unwrap(), Path::new("/pg/lib/x.so"), expected).0
}

fn failure(case: &Case) -> String {
    match verdict(case) {
        Verdict::Fails(message) => message.primary,
        other => panic!("{other:?}"),
    }
}

const COULD_NOT: &str = "could not load library \"/pg/lib/x.so\": ";

/// A module that reaches a variable of its library by an offset from the thread pointer.
fn static_user(name: &str) -> SharedObject {
    module().needed(name).add_import(Import::tls("state").reference(Reference::ThreadOffset))
}

fn with_static_tls(name: &str, size: u32) -> SharedObject {
    library(name).add_export(Export::new("state", ExportKind::Tls(size)))
}

#[test]
fn static_tls_beyond_the_surplus_is_refused() {
    let case = |size| {
        Case::new()
            .object("/usr/lib/liba.so.1", &with_static_tls("liba.so.1", size))
            .object("x.so", &static_user("liba.so.1"))
    };
    assert_eq!(verdict(&case(1600)), Verdict::Loads);
    assert_eq!(
        failure(&case(3000)),
        format!("{COULD_NOT}/usr/lib/liba.so.1: cannot allocate memory in static TLS block")
    );
}

#[test]
fn a_library_that_found_its_symbols_in_one_company_is_looked_at_again_in_another() {
    // It does not name the library that defines what it uses.
    let case = Case::new()
        .object("/usr/lib/libuser.so.1", &library("libuser.so.1").import("made_elsewhere"))
        .object("/usr/lib/libmaker.so.1", &library("libmaker.so.1").export("made_elsewhere"))
        .object("a.so", &module().needed("libuser.so.1").needed("libmaker.so.1"))
        .object("b.so", &module().needed("libmaker.so.1").needed("libuser.so.1"))
        .object("x.so", &module().needed("libuser.so.1"));
    let tree = case.tree();
    let failure = |name: &str| {
        let attempt = tree.process().unwrap().dlopen(&file_of(&tree, name).path);
        attempt.failure.map(|failure| failure.message)
    };
    let undefined = "/usr/lib/libuser.so.1: undefined symbol: made_elsewhere";
    for (name, expected) in
        [("a.so", None), ("x.so", Some(undefined)), ("b.so", None), ("x.so", Some(undefined))]
    {
        assert_eq!(failure(name).as_deref(), expected, "{name}");
    }
}

#[test]
fn what_was_preloaded_has_taken_its_share() {
    let case = |variable: &str| {
        let other = library("libb.so.1").add_export(Export::new(variable, ExportKind::Tls(1024)));
        let user =
            module().needed("libb.so.1").add_import(Import::tls(variable).reference(Reference::ThreadOffset));
        Case::new()
            .object("/usr/lib/liba.so.1", &with_static_tls("liba.so.1", 1024))
            .object("/usr/lib/libb.so.1", &other)
            .object("first.so", &static_user("liba.so.1"))
            .object("x.so", &user)
            .settings(|settings| settings.preload = vec!["first".to_owned()])
    };
    assert_eq!(
        failure(&case("other")),
        format!("{COULD_NOT}/usr/lib/libb.so.1: cannot allocate memory in static TLS block")
    );
    // The same name is the first one's variable, which has its room already.
    assert_eq!(verdict(&case("state")), Verdict::Loads);
}

#[test]
fn glibc_2_41_makes_no_stack_executable() {
    let case = |version| Case::with_glibc(version).object("x.so", &module().stack(Stack::Executable));
    assert_eq!(verdict(&case("2.36")), Verdict::Loads);
    assert_eq!(
        failure(&case("2.41")),
        format!(
            "{COULD_NOT}/pg/lib/x.so: cannot enable executable stack as shared object requires: Invalid argument"
        )
    );
}

#[test]
fn a_library_without_a_version_table_aborts_an_old_loader() {
    let user = module().import_versioned("f", "libbare.so.1", "V1").needed("libbare.so.1");
    let case = |version| {
        Case::with_glibc(version)
            .object("x.so", &user)
            .object("/usr/lib/libbare.so.1", &library("libbare.so.1").export("f"))
    };
    assert_eq!(verdict(&case("2.37")), Verdict::Loads);
    match verdict(&case("2.36")) {
        Verdict::Crashes(message) => assert!(message.contains("check_match: Assertion"), "{message}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn symbols_that_cannot_be_read_are_not_missing() {
    for damage in [Damage::DynamicOutside, Damage::Dynamic(11, 16)] {
        match verdict(&Case::new().object("x.so", &module().damage(damage.clone()))) {
            Verdict::Unknown(why) => assert!(why.contains("are not known"), "{why}"),
            other => panic!("{damage:?}: {other:?}"),
        }
    }
}

#[test]
fn a_filtee_stands_before_its_filter() {
    let filter = library("libfilter.so.1").export("f").dynamic_string(0x7fff_ffff, "libfiltee.so.1");
    let case = Case::new()
        .object("/usr/lib/libfilter.so.1", &filter)
        .object("/usr/lib/libfiltee.so.1", &library("libfiltee.so.1").export("f"))
        .object("x.so", &module().needed("libfilter.so.1").import("f"));
    let tree = case.tree();
    let load = file_of(&tree, "x.so").load.as_ref().unwrap();
    let process = &load.process;
    assert!(matches!(process.env().libc, Libc::Glibc(..)));
    let names = |ids: Vec<crate::resolve::ObjectId>| -> Vec<String> {
        let paths = ids.into_iter().map(|id| process.object(id).unwrap().path());
        paths.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let closure = names(process.closure(load.root.unwrap()));
    assert_eq!(closure, ["x.so", "libc.so.6", "libfiltee.so.1", "libfilter.so.1"]);
    let order = names(process.load_order().map(|(id, _)| id).collect());
    assert_eq!(order[order.len() - 2..], ["libfiltee.so.1", "libfilter.so.1"]);
    let bindings = process.bindings(load.root.unwrap());
    let f = bindings.iter().find(|binding| binding.reference.symbol.name() == b"f").unwrap();
    assert!(process.object(f.definition.unwrap().object).unwrap().path().ends_with("libfiltee.so.1"));
}

#[test]
fn an_empty_dependency_is_the_program() {
    let case = Case::new().object("x.so", &module().needed(""));
    assert_eq!(verdict(&case), Verdict::Loads);
}

#[test]
fn text_relocations_that_are_not_announced_end_the_process() {
    let case = |how| Case::new().object("x.so", &module().text_relocations(how));
    assert_eq!(verdict(&case(TextRelocations::Tagged)), Verdict::Loads);
    let tree = case(TextRelocations::Silent).tree();
    let Some(Verdict::Crashes(why)) = &file_of(&tree, "x.so").load.as_ref().unwrap().verdict else {
        panic!()
    };
    assert!(why.ends_with("without DF_TEXTREL that is SIGSEGV"), "{why}");
}

#[test]
fn a_magic_function_that_is_a_variable_ends_the_process() {
    let object = SharedObject::new().needed("libc.so.6").export_object("Pg_magic_func", 64);
    let case = Case::new().object("x.so", &object);
    assert_eq!(
        verdict(&case),
        Verdict::Crashes("Pg_magic_func is data, and the server calls it: SIGSEGV".to_owned())
    );
}

/// A module whose PT_LOAD of this number claims a gigabyte of the file.
fn claiming_a_gigabyte(number: usize) -> Case {
    let mut bytes = module().build();
    let loads = (0..usize::from(bytes[56]))
        .map(|index| 64 + index * 56)
        .filter(|&at| bytes[at..at + 4] == [1, 0, 0, 0]);
    let header = loads.collect::<Vec<_>>()[number];
    for field in [32, 40] {
        // p_filesz, p_memsz
        bytes[header + field..header + field + 8].copy_from_slice(&(1_u64 << 30).to_le_bytes());
    }
    Case::new().file("x.so", bytes)
}

#[test]
fn a_first_segment_that_covers_the_last_one_is_refused() {
    assert_eq!(
        failure(&claiming_a_gigabyte(0)),
        format!("{COULD_NOT}/pg/lib/x.so: ELF load command address/offset not page-aligned")
    );
}

#[test]
fn a_first_segment_behind_the_last_one_is_refused() {
    let damage = Damage::ProgramHeader(elf::PT_LOAD.0, ProgramHeaderField::Address, 1 << 32);
    assert_eq!(
        failure(&Case::new().object("x.so", &module().damage(damage))),
        format!("{COULD_NOT}/pg/lib/x.so: failed to map segment from shared object")
    );
}

#[test]
fn whether_missing_pages_of_a_read_only_segment_are_touched_is_not_known() {
    let Verdict::Unknown(why) = verdict(&claiming_a_gigabyte(1)) else { panic!() };
    assert!(why.contains("the file is cut off, and whether anything touches what is missing"), "{why}");
}
