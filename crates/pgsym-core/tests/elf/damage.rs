//! Damage costs the table that it hits: an unreadable table is never an empty one, and the others stay.

use pgsym_core::error::{FileError, FileErrorKind};
use pgsym_core::model::Table;
use pgsym_core::parse::Facets;
use pgsym_core::parse::elf::{Header, Ident};
use pgsym_testkit::{
    Damage, HashStyle, HeaderField, Machine, Magic, ProgramHeaderField, SharedObject, VersionDefault,
};

use crate::{elf, names, read, try_read};

fn module() -> SharedObject {
    SharedObject::new()
        .soname("m.so")
        .needed("libc.so.6")
        .runpath("/opt/lib")
        .import_versioned("memcpy", "libc.so.6", "GLIBC_2.14")
        .export_versioned("f", "M_1", VersionDefault::Default)
        .magic(Magic::pg(15))
}

fn refuse(object: &SharedObject) -> FileError {
    try_read(&object.build(), Facets::ALL).unwrap_err()
}

#[test]
fn what_is_no_elf_file_is_said_to_be_none() {
    let error = |bytes: &[u8]| try_read(bytes, Facets::LINK).unwrap_err();
    assert_eq!(error(b"").kind, FileErrorKind::TooShort);
    assert_eq!(error(b"\x7fEL").kind, FileErrorKind::TooShort);
    assert_eq!(error(b"INPUT(libfoo.so.1)").kind, FileErrorKind::NotAnObject);
    assert_eq!(error(&[0; 4096]).kind, FileErrorKind::NotAnObject);
    assert_eq!(refuse(&module().damage(Damage::Truncated(40))).kind, FileErrorKind::TooShort);
    assert_eq!(refuse(&module().damage(Damage::Ident(4, 3))).offset, Some(4));
    assert_eq!(refuse(&module().damage(Damage::Ident(5, 0))).offset, Some(5));
}

#[test]
fn headers_are_told_as_they_stand() {
    let bytes = module().osabi(9).abi_version(2).build();
    let ident = Ident::of(&bytes).unwrap();
    assert!(ident.has_magic());
    assert_eq!((ident.version(), ident.os_abi(), ident.abi_version()), (1, 9, 2));
    assert_eq!(ident.padding(), [0; 7]);
    let header = Header::decode(&bytes[..64]).unwrap();
    assert_eq!(header.version, 1);
    assert_eq!(header.program_headers.entry_size, 56);
    assert_eq!(header.program_headers.offset, 64);
}

#[test]
fn a_program_header_table_outside_the_file_ends_the_reading() {
    let error = refuse(&module().damage(Damage::Header(HeaderField::PhOff, 1 << 40)));
    assert_eq!(error.kind, FileErrorKind::TooShort);
    let error = refuse(&module().damage(Damage::Header(HeaderField::PhEntSize, 57)));
    assert_eq!(error.to_string(), "e_phentsize is 57, not 56");
}

#[test]
fn an_unreadable_dynamic_takes_what_hangs_on_it() {
    for damage in [
        Damage::DynamicOutside,
        Damage::ProgramHeader(object::elf::PT_DYNAMIC.0, ProgramHeaderField::Address, 0x7000_0000),
    ] {
        let module = read(&module().damage(damage));
        assert!(module.dependencies.error().is_some());
        assert!(module.symbols.error().is_some());
        assert!(module.postgres.error().is_some());
        assert!(elf(&module).dynamic.error().is_some());
        assert!(elf(&module).version_needs.error().is_some());
        assert!(elf(&module).relocations.error().is_some());
    }
}

#[test]
fn the_dynamic_table_ends_at_its_null_and_not_at_its_size() {
    let short = Damage::ProgramHeader(object::elf::PT_DYNAMIC.0, ProgramHeaderField::FileSize, 16);
    let module = read(&module().damage(short));
    assert_eq!(module.needed().len(), 1);
    assert!(module.symbols.get().is_some());
}

#[test]
fn an_empty_dynamic_is_that_of_a_debug_file() {
    let empty = Damage::ProgramHeader(object::elf::PT_DYNAMIC.0, ProgramHeaderField::FileSize, 0);
    let module = read(&module().damage(empty));
    assert!(matches!(module.dependencies, Table::Absent));
    assert!(matches!(module.symbols, Table::Absent));
}

#[test]
fn each_table_is_unreadable_on_its_own() {
    let outside = |tag: object::elf::DynamicTag| {
        read(&module().damage(Damage::Dynamic(tag.0.cast_unsigned(), 0x7fff_0000)))
    };
    let m = outside(object::elf::DT_SYMTAB);
    assert!(m.symbols.error().is_some() && m.postgres.error().is_some());
    assert_eq!(m.needed().len(), 1);

    let m = outside(object::elf::DT_GNU_HASH);
    assert!(m.symbols.error().is_some());
    assert_eq!(elf(&m).version_needs.get().unwrap().len(), 1);

    // Without its version records an import would look unversioned: the symbols are not known either.
    let m = outside(object::elf::DT_VERNEED);
    assert!(elf(&m).version_needs.error().is_some());
    assert!(m.symbols.error().is_some());
    assert_eq!(elf(&m).version_definitions.get().unwrap().len(), 2);

    let m = outside(object::elf::DT_VERSYM);
    assert!(m.symbols.error().is_some());

    let m = outside(object::elf::DT_STRTAB);
    assert!(m.dependencies.error().is_some());
    assert_eq!(elf(&m).unreadable_entries.len(), 2, "soname and runpath");
    assert!(elf(&m).dynamic.get().is_some());

    let m = outside(object::elf::DT_JMPREL);
    assert!(elf(&m).relocations.error().is_some());
    assert!(m.symbols.get().is_some());
    assert_eq!(elf(&m).relocations.error().unwrap().kind, FileErrorKind::Malformed);
}

#[test]
fn the_loader_ignores_the_string_tables_size() {
    let module = read(&module().damage(Damage::Dynamic(object::elf::DT_STRSZ.0.cast_unsigned(), 1)));
    assert_eq!(module.needed()[0].name, "libc.so.6");
    assert_eq!(module.soname.as_ref().unwrap(), &"m.so");
    assert!(module.symbols.error().is_some(), "names outside DT_STRSZ are not believed");
}

#[test]
fn a_name_outside_the_string_table_is_pinned_to_its_symbol() {
    let module = read(&module().damage(Damage::SymbolName(2, 0xff_ffff)));
    let error = module.symbols.error().unwrap();
    assert!(error.message.starts_with("st_name of dynamic symbol 2 is 0xffffff"), "{error}");
    assert!(error.offset.is_some());
}

#[test]
fn hash_tables_that_lie_are_refused() {
    for damage in [
        Damage::GnuHashBuckets(0x7fff_ffff),
        Damage::GnuHashBuckets(0),
        Damage::GnuHashBloomSize(3),
        Damage::GnuHashSymbolOffset(1000),
        Damage::GnuHashChainsUnterminated,
    ] {
        let module = read(&module().hash_style(HashStyle::Gnu).damage(damage.clone()));
        assert!(module.symbols.error().is_some(), "{damage:?}");
    }
    for damage in [Damage::HashBuckets(0x7fff_ffff), Damage::HashChains(0x7fff_ffff), Damage::HashChains(1)] {
        let module = read(&module().hash_style(HashStyle::SysV).damage(damage.clone()));
        assert!(module.symbols.error().is_some(), "{damage:?}");
    }
}

#[test]
fn version_records_that_lie_are_followed_no_further_than_the_table() {
    let module_with = |damage| read(&module().damage(damage));
    assert!(elf(&module_with(Damage::VerneedNext(0x1000_0000))).version_needs.error().is_some());
    assert!(elf(&module_with(Damage::VerdefNext(0x1000_0000))).version_definitions.error().is_some());
    // The counts are not looked at, as the loader does not.
    let counted = module_with(Damage::VernauxCount(60_000));
    assert_eq!(elf(&counted).version_needs.get().unwrap()[0].versions.len(), 1);
}

#[test]
fn more_needed_libraries_than_the_limit_are_a_limit() {
    let module = read(&module().damage(Damage::RepeatNeeded(5000)));
    assert_eq!(module.dependencies.error().unwrap().kind, FileErrorKind::Limit);
}

#[test]
fn a_relocation_of_a_symbol_that_is_not_there_is_malformed() {
    let module = read(&module().damage(Damage::RelocationSymbol(0xff_ffff)));
    assert_eq!(elf(&module).relocations.error().unwrap().kind, FileErrorKind::Malformed);
    assert!(module.symbols.get().is_some());
}

#[test]
fn without_any_hash_table_the_loader_finds_no_export() {
    let module = read(&module().hash_style(HashStyle::Neither));
    let symbols = module.symbols.get().unwrap();
    assert_eq!(names(symbols.imports()), ["memcpy"]);
    assert_eq!(module.postgres.get().unwrap().magic, pgsym_core::postgres::Magic::Absent);
}

#[test]
fn the_last_of_overlapping_segments_is_seen() {
    let module = read(&module().damage(Damage::OverlappingLoads));
    assert_eq!(module.needed().len(), 1);
}

#[test]
fn relocations_of_mips_are_said_not_to_be_read() {
    let object = SharedObject::for_machine(Machine::Other(object::elf::EM_MIPS.0)).import("f").export("g");
    let module = read(&object);
    assert_eq!(elf(&module).relocations.error().unwrap().kind, FileErrorKind::Unsupported);
    assert_eq!(names(module.symbols.get().unwrap().imports()), ["f"]);
}

#[test]
fn more_load_segments_than_the_limit_are_a_limit() {
    let sound = module().build();
    let mut bytes = sound.clone();
    // The program headers move to the end: 300 copies of a PT_LOAD.
    let load = sound[64..].as_chunks::<56>().0.iter().find(|header| header[..4] == [1, 0, 0, 0]).unwrap();
    bytes.extend(load.repeat(300));
    bytes[32..40].copy_from_slice(&(sound.len() as u64).to_le_bytes());
    bytes[56..58].copy_from_slice(&300_u16.to_le_bytes());
    let error = try_read(&bytes, Facets::LINK).unwrap_err();
    assert_eq!((error.kind, error.offset), (FileErrorKind::Limit, Some(sound.len() as u64)));
}
