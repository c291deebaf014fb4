//! The second view: what section headers add, and where they contradict the segments.

use pgsym_testkit::{Damage, HeaderField, Machine, Magic, SharedObject, SymbolTable};

use crate::{elf, read};

fn module() -> SharedObject {
    SharedObject::new().needed("libc.so.6").import("palloc").export("f").magic(Magic::pg(15))
}

#[test]
fn a_file_without_section_headers_loses_nothing_else() {
    let module = read(&module().damage(Damage::NoSectionHeaders));
    let view = elf(&module).sections.get().unwrap();
    assert_eq!((view.count, view.disagreements.len()), (0, 0));
    assert_eq!(module.needed().len(), 1);
    assert_eq!(module.symbols.get().unwrap().imports().count(), 1);
}

#[test]
fn sections_that_contradict_the_segments_are_told() {
    for machine in Machine::ALL {
        let object = SharedObject::for_machine(machine).needed("libc.so.6").import("f").export("g");
        let module = read(&object.damage(Damage::SectionsDisagree));
        let view = elf(&module).sections.get().unwrap();
        let clauses: Vec<String> = view.disagreements.iter().map(ToString::to_string).collect();
        assert!(
            clauses.iter().any(|clause| clause.starts_with("the section of type SHT_DYNSYM has address")),
            "{machine:?}: {clauses:?}"
        );
        assert!(clauses.iter().any(|clause| clause.contains("by DT_STRSZ")), "{machine:?}: {clauses:?}");
    }
}

#[test]
fn section_headers_outside_the_file_are_unreadable() {
    let module = read(&module().damage(Damage::Header(HeaderField::ShOff, 1 << 40)));
    assert!(elf(&module).sections.error().is_some());
    assert!(module.symbols.get().is_some());
}

#[test]
fn local_entry_points_are_found_in_the_symbol_table() {
    let object = module()
        .pg_finfo("exported_record", 1)
        .local_function("_PG_init")
        .local_function("pg_finfo_hidden")
        .local_function("hidden")
        .local_function("exported_record")
        .local_function("helper");
    let module = read(&object);
    let hidden = elf(&module).sections.get().unwrap().hidden_entry_points.get().unwrap();
    let hidden: Vec<String> = hidden.iter().map(ToString::to_string).collect();
    assert_eq!(hidden, ["_PG_init", "exported_record", "hidden", "pg_finfo_hidden"]);
}

#[test]
fn a_stripped_file_cannot_tell() {
    let module = read(&module().symbol_table(SymbolTable::Stripped));
    let hidden = &elf(&module).sections.get().unwrap().hidden_entry_points;
    assert_eq!(*hidden, pgsym_core::model::Table::Absent);
}
