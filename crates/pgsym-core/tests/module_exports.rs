//! What a finished module exports, read from built files as the loader would read them.

use pgsym_core::exports::{Cause, Difference, ModuleExports};
use pgsym_testkit::{
    Damage, Export, FatWidth, MachCpu, MachImage, SharedObject, SymbolTable, VersionDefault, Visibility, fat,
};

fn differences(bytes: &[u8], intended: &[&str]) -> Vec<Difference> {
    ModuleExports::read(bytes).unwrap().compare(intended.iter().copied()).differences
}

fn missing(name: &str, cause: Cause) -> Difference {
    Difference::Missing { name: name.to_owned(), cause }
}

#[test]
fn only_what_the_loader_finds_is_exported() {
    let module = SharedObject::new()
        .export("f")
        .export_versioned("g", "V1", VersionDefault::Default)
        .add_export(Export::function("hidden").visibility(Visibility::Hidden))
        .local_function("inside")
        .import("palloc");
    let seen = differences(&module.build(), &["f", "g", "hidden", "inside", "palloc", "nowhere"]);
    let versioned = Difference::Versioned { name: "g".to_owned(), version: "V1".to_owned() };
    let expected = [
        missing("hidden", Cause::Inside),
        missing("inside", Cause::Inside),
        missing("nowhere", Cause::NotLinked),
        missing("palloc", Cause::Imported),
        versioned,
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_stripped_module_keeps_its_exports_and_forgets_why_others_are_missing() {
    let module = SharedObject::new().export("f").local_function("inside").symbol_table(SymbolTable::Stripped);
    assert_eq!(differences(&module.build(), &["f", "inside"]), [missing("inside", Cause::Stripped)]);
}

#[test]
fn lost_section_headers_lose_no_exports() {
    let module = SharedObject::new().export("f").export("g");
    for damage in [Damage::NoSectionHeaders, Damage::SectionsDisagree] {
        assert_eq!(differences(&module.clone().damage(damage).build(), &["f", "g"]), []);
    }
}

#[test]
fn an_unreadable_table_is_an_error_and_not_an_empty_set() {
    let module = SharedObject::new().export("f").damage(Damage::Truncated(200));
    assert!(ModuleExports::read(&module.build()).is_err());
}

#[test]
fn a_mach_o_bundle_exports_what_its_trie_holds_without_the_underscore() {
    let bundle = MachImage::bundle(MachCpu::Arm64).export("Pg_magic_func").export("_PG_init");
    let seen = differences(&bundle.build(), &["Pg_magic_func", "_PG_init", "f"]);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].name(), "f");
}

#[test]
fn a_fat_module_exports_what_every_slice_does() {
    let slice = |cpu| MachImage::bundle(cpu).export("f");
    let slices = [
        (MachCpu::X86_64, slice(MachCpu::X86_64).export("g").build()),
        (MachCpu::Arm64, slice(MachCpu::Arm64).build()),
    ];
    let seen = differences(&fat(FatWidth::Bits32, &slices), &["f", "g"]);
    assert_eq!(seen.iter().map(Difference::name).collect::<Vec<_>>(), ["g"]);
}

#[test]
fn objects_and_other_files_are_refused_with_what_they_are() {
    for (bytes, words) in [(&b"#!/bin/sh"[..], "neither an ELF nor a Mach-O file"), (b"", "neither")] {
        let error = ModuleExports::read(bytes).unwrap_err();
        assert!(error.message.contains(words), "{error}");
    }
}
