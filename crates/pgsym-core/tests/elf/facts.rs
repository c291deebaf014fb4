//! What a sound file says.

use pgsym_core::model::{
    Binding, Class, DependencyKind, Endian, NameHash, ObjectKind, Relro, SearchPathKind, SymbolKind, Table,
    Visibility,
};
use pgsym_core::parse::Facets;
use pgsym_testkit as kit;
use pgsym_testkit::{
    Bind, Export, ExportKind, HashStyle, Import, Machine, Note, SharedObject, VersionDefault,
};

use crate::{elf, names, read, try_read};

/// One object with something of everything.
fn rich(machine: Machine) -> SharedObject {
    SharedObject::for_machine(machine)
        .soname("rich.so.1")
        .needed("libpq.so.5")
        .needed("libc.so.6")
        .runpath("$ORIGIN/../lib:/opt/lib")
        .bind(Bind::Now)
        .relro(kit::Relro::Present)
        .import_versioned("memcpy", "libc.so.6", "GLIBC_2.14")
        .import("palloc")
        .weak_import("__gmon_start__")
        .export_versioned("api", "RICH_1", VersionDefault::Default)
        .export_versioned("api_old", "RICH_0", VersionDefault::Hidden)
        .add_export(
            Export::new("shared_counter", ExportKind::Object(4))
                .binding(kit::Binding::Unique)
                .visibility(kit::Visibility::Protected),
        )
        .note(Note::BuildId(vec![1, 2, 3, 4]))
        .note(Note::AbiTag([3, 2, 0]))
}

#[test]
fn every_machine_and_encoding_reads_the_same() {
    for machine in Machine::ALL {
        let module = read(&rich(machine));
        let elf = elf(&module);
        assert_eq!(module.kind, ObjectKind::SharedObject, "{machine:?}");
        assert_eq!(module.target.machine.0, machine.e_machine());
        assert_eq!(module.soname.as_ref().unwrap(), &"rich.so.1");
        let needed: Vec<String> = module.needed().iter().map(|needed| needed.name.to_string()).collect();
        assert_eq!(needed, ["libpq.so.5", "libc.so.6"], "{machine:?}");
        assert!(module.needed().iter().all(|needed| needed.kind == DependencyKind::Needed));
        let runpath = module.search_path(SearchPathKind::Runpath).unwrap();
        assert_eq!(runpath.raw, "$ORIGIN/../lib:/opt/lib");
        assert_eq!(module.search_path(SearchPathKind::Rpath), None);
        assert_eq!(elf.relro, Relro::Full, "{machine:?}");
        assert_eq!(elf.build_id, Table::Read(vec![1, 2, 3, 4]), "{machine:?}");
        assert_eq!(elf.abi_tag.get().unwrap().kernel, [3, 2, 0]);
        let symbols = module.symbols.get().unwrap();
        assert_eq!(names(symbols.imports()), ["memcpy", "palloc", "__gmon_start__"], "{machine:?}");
        let mut exports = names(symbols.exports());
        exports.retain(|name| !name.starts_with("RICH_"));
        exports.sort();
        assert_eq!(exports, ["api", "api_old", "shared_counter"], "{machine:?}");
        assert_eq!(elf.sections.get().unwrap().disagreements, [""; 0], "{machine:?}");
    }
}

#[test]
fn either_byte_order_of_either_class_reads_the_same() {
    for class in [kit::Class::Elf32, kit::Class::Elf64] {
        for endian in [kit::Endian::Little, kit::Endian::Big] {
            let module = read(&rich(Machine::Other(0x1234)).class(class).endian(endian));
            let expected = (
                if class == kit::Class::Elf32 { Class::Bits32 } else { Class::Bits64 },
                if endian == kit::Endian::Little { Endian::Little } else { Endian::Big },
            );
            assert_eq!((module.target.class, module.target.endian), expected);
            let symbols = module.symbols.get().unwrap();
            assert_eq!(names(symbols.imports()), ["memcpy", "palloc", "__gmon_start__"]);
            assert_eq!(elf(&module).version_needs.get().unwrap()[0].versions[0].name, "GLIBC_2.14");
        }
    }
}

#[test]
fn versions_bindings_and_visibilities_are_kept() {
    let module = read(&rich(Machine::X86_64));
    let symbols = module.symbols.get().unwrap();
    let find = |name: &str| symbols.iter().find(|symbol| symbol.name() == name.as_bytes()).unwrap();
    let memcpy = find("memcpy").version().unwrap();
    assert_eq!((memcpy.name.to_string().as_str(), memcpy.is_hidden), ("GLIBC_2.14", false));
    let need = &elf(&module).version_needs.get().unwrap()[memcpy.need.unwrap() as usize];
    assert_eq!(need.file, "libc.so.6");
    assert!(find("palloc").version().is_none());
    assert_eq!(find("__gmon_start__").binding(), Binding::Weak);
    assert!(!find("api").version().unwrap().is_hidden);
    assert!(find("api_old").version().unwrap().is_hidden);
    let counter = find("shared_counter");
    assert_eq!(counter.binding(), Binding::Unique);
    assert_eq!(counter.visibility(), Visibility::Protected);
    assert_eq!(counter.kind(), SymbolKind::Object);
    assert_eq!(counter.value().unwrap().size, 4);
}

#[test]
fn either_hash_table_leads_to_every_export() {
    for style in [HashStyle::Gnu, HashStyle::SysV, HashStyle::Both] {
        for machine in Machine::ALL {
            let module = read(&rich(machine).hash_style(style));
            let symbols = module.symbols.get().unwrap();
            for export in symbols.exports() {
                let name = export.name();
                let found: Vec<u32> =
                    symbols.lookup(name, NameHash::of(name)).map(|symbol| symbol.index).collect();
                assert_eq!(found, [export.index], "{style:?} {machine:?}");
            }
            assert_eq!(symbols.lookup(b"absent", NameHash::of(b"absent")).count(), 0);
        }
    }
}

#[test]
fn without_exports_the_relocations_tell_how_many_symbols_there_are() {
    let object =
        SharedObject::new().import("first").add_import(Import::object("second")).hash_style(HashStyle::Gnu);
    let module = read(&object);
    assert_eq!(names(module.symbols.get().unwrap().imports()), ["first", "second"]);
}

#[test]
fn uses_of_symbols_are_counted_by_kind() {
    for machine in Machine::ALL {
        let object = SharedObject::for_machine(machine)
            .import("called")
            .add_import(Import::object("taken"))
            .add_import(Import::function("unused").reference(kit::Reference::None))
            .relative_words(3);
        let module = read(&object);
        let relocations = elf(&module).relocations.get().unwrap();
        let symbols = module.symbols.get().unwrap();
        let uses: Vec<(String, u32, u32)> = relocations
            .symbols
            .iter()
            .map(|entry| {
                let name = symbols.get(entry.symbol).unwrap().name();
                (String::from_utf8_lossy(name).into_owned(), entry.calls, entry.data)
            })
            .collect();
        assert_eq!(uses, [("called".to_owned(), 1, 0), ("taken".to_owned(), 0, 1)], "{machine:?}");
        assert_eq!(relocations.plt_count, 1);
        assert_eq!(relocations.count + relocations.relr_count, 1 + 3, "{machine:?}");
        assert_eq!(relocations.text, None);
        assert_eq!(relocations.static_tls, 0);
    }
}

#[test]
fn packed_relative_relocations_are_counted() {
    let object = SharedObject::new().relative_words(200).relative_style(kit::RelativeStyle::Packed);
    let module = read(&object);
    assert_eq!(elf(&module).relocations.get().unwrap().relr_count, 200);
}

#[test]
fn static_tls_and_text_relocations_are_seen() {
    for machine in Machine::ALL {
        let object = SharedObject::for_machine(machine)
            .add_import(Import::tls("thread_state"))
            .text_relocations(kit::TextRelocations::Flagged);
        let module = read(&object);
        let relocations = elf(&module).relocations.get().unwrap();
        assert_eq!(relocations.static_tls, 1, "{machine:?}");
        assert_eq!(relocations.text.unwrap().count, 1, "{machine:?}");
        assert_ne!(elf(&module).flags & object::elf::DF_TEXTREL.0, 0);
    }
}

#[test]
fn only_what_was_asked_for_is_read() {
    let module = try_read(&rich(Machine::X86_64).build(), Facets::LINK).unwrap();
    assert_eq!(module.needed().len(), 2);
    assert_eq!(elf(&module).version_needs.get().unwrap().len(), 1);
    assert!(matches!(module.symbols, Table::NotRead));
    assert!(matches!(module.postgres, Table::NotRead));
    let elf = elf(&module);
    assert!(matches!(elf.relocations, Table::NotRead));
    assert!(matches!(elf.build_id, Table::NotRead));
    assert!(matches!(elf.sections, Table::NotRead));
    let module = try_read(&rich(Machine::X86_64).build(), Facets::FILES).unwrap();
    assert_eq!(module.needed().len(), 2);
    assert!(matches!(crate::elf(&module).version_needs, Table::NotRead));
    assert!(matches!(crate::elf(&module).version_definitions, Table::NotRead));
    let module = try_read(&rich(Machine::X86_64).build(), Facets::POSTGRES).unwrap();
    let symbol = module.symbols.get().unwrap().exports().next().unwrap();
    assert_eq!(symbol.value(), None, "values are kept only when asked for");
}

#[test]
fn of_a_tag_that_counts_once_the_last_entry_wins() {
    let module = read(&SharedObject::new().rpath("/first").rpath("/second").soname("only.so"));
    assert_eq!(module.search_path(SearchPathKind::Rpath).unwrap().raw, "/second");
}

#[test]
fn older_tags_fold_into_the_flags() {
    let object = SharedObject::new()
        .dynamic_entry(object::elf::DT_SYMBOLIC.0.cast_unsigned(), 0)
        .dynamic_entry(object::elf::DT_BIND_NOW.0.cast_unsigned(), 0);
    let flags = elf(&read(&object)).flags;
    assert_eq!(flags, object::elf::DF_SYMBOLIC.0 | object::elf::DF_BIND_NOW.0);
}

#[test]
fn dlopen_notes_are_decoded() {
    let json = r#"[{"soname":["libfoo.so.2","libfoo.so.1"],"priority":"suggested","feature":"foo"}]"#;
    let module = read(&SharedObject::new().note(Note::Dlopen(json.to_owned())));
    let notes = elf(&module).dlopen_notes.get().unwrap();
    assert_eq!(notes.len(), 1);
    let sonames: Vec<String> = notes[0].sonames.iter().map(ToString::to_string).collect();
    assert_eq!(sonames, ["libfoo.so.2", "libfoo.so.1"]);
    assert_eq!(notes[0].priority, "suggested");
    assert!(notes[0].description.is_empty());
}
