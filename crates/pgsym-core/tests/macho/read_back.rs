//! What a description says, the reader says too.

use pgsym_core::model::{
    DependencyKind, ExportSource, ExportTarget, HashKind, ImportSource, MachArch, MachVersion, ObjectKind,
    Ordinal,
};
use pgsym_testkit::{
    ExportForm, ExportHome, FatWidth, Fixups, From, LibraryKind, MachCpu, MachImage, SignatureHash, fat,
};

use crate::{macho, read};

fn image() -> MachImage {
    MachImage::dylib(MachCpu::Arm64, "@rpath/libdemo.1.dylib")
        .library("/usr/lib/libSystem.B.dylib")
        .library_as(LibraryKind::Weak, "@rpath/weak.dylib")
        .library_as(LibraryKind::Reexport, "@loader_path/inner.dylib")
        .rpath("@loader_path")
        .rpath("/opt/lib")
        .export("demo")
        .export("demo_add")
        .export_as("inline", ExportForm::Weak)
        .export_as("alias", ExportForm::Reexport(3, "_original".to_owned()))
        .import("malloc", From::Library(1))
        .import_weakly("maybe", From::Library(2))
        .import("palloc", From::Executable)
        .import("anywhere", From::Flat)
        .import("own", From::SelfImage)
}

#[test]
fn load_commands_are_read_in_file_order() {
    let module = read(&image().macos((12, 3), (14, 2)).build()).unwrap();
    let detail = macho(&module);
    assert_eq!(module.soname.as_ref().unwrap(), "@rpath/libdemo.1.dylib");
    assert_eq!(module.kind, ObjectKind::SharedObject);
    assert_eq!(module.arch(), "arm64");
    let kinds: Vec<DependencyKind> = module.needed().iter().map(|dependency| dependency.kind).collect();
    assert_eq!(kinds, [DependencyKind::Needed, DependencyKind::Weak, DependencyKind::Reexport]);
    assert_eq!(detail.dylibs[2].ordinal, Some(3));
    assert_eq!(detail.dylibs[0].versions.current, MachVersion::new(1, 2, 3));
    let rpaths: Vec<String> = module.search_paths.iter().map(|path| path.raw.to_string()).collect();
    assert_eq!(rpaths, ["@loader_path", "/opt/lib"]);
    let platform = detail.platform().unwrap();
    assert_eq!((platform.minimum, platform.sdk), (MachVersion::new(12, 3, 0), MachVersion::new(14, 2, 0)));
    assert_eq!(detail.uuid.unwrap()[..3], [1, 2, 3]);
    assert_eq!(detail.faults, []);
}

#[test]
fn every_encoding_of_imports_says_the_same() {
    let wanted = [
        ("_anywhere", Ordinal::Flat, false),
        ("_malloc", Ordinal::Library(1), false),
        ("_maybe", Ordinal::Library(2), true),
        ("_own", Ordinal::SelfImage, false),
        ("_palloc", Ordinal::Executable, false),
    ];
    for (fixups, source) in [
        (Fixups::Chained(1), ImportSource::ChainedFixups),
        (Fixups::Chained(2), ImportSource::ChainedFixups),
        (Fixups::Chained(3), ImportSource::ChainedFixups),
        (Fixups::Opcodes, ImportSource::DyldInfo),
        (Fixups::SymbolTable, ImportSource::SymbolTable),
    ] {
        let home = if fixups == Fixups::SymbolTable { ExportHome::SymbolTable } else { ExportHome::Trie };
        let module = read(&image().fixups(fixups).export_home(home).build()).unwrap();
        let detail = macho(&module);
        assert_eq!(detail.import_source, source);
        let found: Vec<(String, Ordinal, bool)> = detail
            .imports
            .get()
            .unwrap()
            .iter()
            .map(|import| (import.name.to_string(), import.from, import.is_weak))
            .collect();
        assert_eq!(found, wanted.map(|(name, from, weak)| (name.to_owned(), from, weak)), "{fixups:?}");
    }
}

#[test]
fn both_homes_of_the_trie_and_the_symbol_table_say_the_same() {
    for (home, source) in [
        (ExportHome::Trie, ExportSource::ExportsTrie),
        (ExportHome::DyldInfo, ExportSource::DyldInfo),
        (ExportHome::SymbolTable, ExportSource::SymbolTable),
    ] {
        let fixups = if home == ExportHome::SymbolTable { Fixups::SymbolTable } else { Fixups::Chained(1) };
        let module = read(&image().export_home(home).fixups(fixups).build()).unwrap();
        let detail = macho(&module);
        assert_eq!(detail.export_source, source);
        let names: Vec<String> =
            detail.exports.get().unwrap().iter().map(|export| export.name.to_string()).collect();
        // LC_SYMTAB has no re-exports.
        let wanted: &[&str] = match home {
            ExportHome::SymbolTable => &["_demo", "_demo_add", "_inline"],
            _ => &["_alias", "_demo", "_demo_add", "_inline"],
        };
        assert_eq!(names, wanted, "{home:?}");
        assert!(detail.export(b"_inline").unwrap().is_weak_definition());
        let ExportTarget::Address(address) = detail.export(b"_demo").unwrap().target else { panic!() };
        assert!(detail.section_at(address).unwrap().is_code());
    }
}

#[test]
fn people_see_names_without_the_compilers_underscore() {
    let module = read(&image().export("_PG_init").build()).unwrap();
    let symbols = module.symbols.get().unwrap();
    let exports: Vec<&[u8]> = symbols.exports().map(|symbol| symbol.name()).collect();
    assert!(exports.contains(&&b"_PG_init"[..]) && exports.contains(&&b"demo"[..]));
    let hashes = pgsym_core::model::NameHash::of(b"demo_add");
    assert_eq!(symbols.lookup(b"demo_add", hashes).count(), 1);
    assert!(symbols.iter().any(|symbol| symbol.is_import() && symbol.name() == b"palloc"));
}

#[test]
fn a_library_above_fifteen_needs_a_longer_ordinal() {
    let mut image = MachImage::bundle(MachCpu::X86_64).fixups(Fixups::Opcodes);
    for number in 0..20 {
        image = image.library(&format!("/lib{number}.dylib"));
    }
    let module = read(&image.import("f", From::Library(20)).build()).unwrap();
    assert_eq!(macho(&module).imports.get().unwrap()[0].from, Ordinal::Library(20));
}

#[test]
fn each_slice_of_a_fat_file_is_a_module() {
    for width in [FatWidth::Bits32, FatWidth::Bits64] {
        let slice = |cpu: MachCpu, name: &str| (cpu, MachImage::bundle(cpu).export(name).build());
        let bytes = fat(width, &[slice(MachCpu::X86_64, "intel"), slice(MachCpu::Arm64, "arm")]);
        let module = read(&bytes).unwrap();
        let detail = macho(&module);
        assert_eq!(detail.slice.arch, MachArch::X86_64);
        assert!(detail.export(b"_intel").is_some());
        let other = detail.further_slices[0].module.as_ref().unwrap();
        assert_eq!(macho(other).slice.arch, MachArch::ARM64);
        assert!(macho(other).export(b"_arm").is_some());
    }
}

#[test]
fn an_edit_after_signing_leaves_a_stale_page() {
    for (hash, kind) in [(SignatureHash::Sha1, HashKind::Sha1), (SignatureHash::Sha256, HashKind::Sha256)] {
        let mut bytes = image().signed(hash).build();
        let signed = read(&bytes).unwrap();
        let signature = macho(&signed).signature.get().unwrap();
        assert!(signature.is_ad_hoc);
        assert_eq!((signature.directories[0].hash, signature.directories[0].stale), (kind, None));
        // The install name of LC_ID_DYLIB lies in the first page.
        let at = bytes.windows(15).position(|window| window == b"@rpath/libdemo.").unwrap();
        bytes[at + 7] = b'X';
        let edited = read(&bytes).unwrap();
        let stale = macho(&edited).signature.get().unwrap().directories[0].stale.unwrap();
        assert_eq!((stale.first, stale.count), (0, 1));
    }
}

#[test]
fn header_padding_is_what_lies_before_the_first_section() {
    let padding =
        |bytes| macho(&read(&image().header_padding(bytes).build()).unwrap()).header_padding.unwrap();
    assert!((0x400..0x410).contains(&padding(0x400)));
    assert!(padding(0) < 16);
}
