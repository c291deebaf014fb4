//! Independent readers see what the description says, on every processor: `llvm-readelf`, `readelf`, `eu-readelf` and
//! `eu-elflint` without a warning, object and goblin with the same tables. A missing tool is a "not run" line.

use crate::support::{everything, run, variants};
use goblin::elf::Elf;
use pgsym_testkit::{Damage, Machine, Note, SharedObject, TreeBuilder};

/// What a tool's version may not know although the file is right, with the reason.
fn is_known_gap(tool: &str, name: &str, line: &str) -> bool {
    // LLVM refuses to print s390x's 8-byte DT_HASH; elfutils before 0.189 does not know RELR, and 0.188 not
    // LoongArch's relocation types.
    (tool == "llvm-readelf" && line.contains("non-standard 8 byte entries"))
        || (tool.starts_with("eu-") && name.contains("RELR") && line.contains("<unknown>: 19"))
        || (tool.starts_with("eu-") && name.starts_with("LoongArch"))
}

#[test]
fn readelf_tools_have_nothing_to_complain_about() {
    let tools = [
        ("llvm-readelf", &["-a", "-W"][..]),
        ("readelf", &["-a", "-W"]),
        ("eu-readelf", &["-a"]),
        ("eu-elflint", &["--gnu-ld", "--quiet"]),
    ];
    for (name, object) in variants() {
        let tree = TreeBuilder::new().object("x.so", &object);
        for (tool, arguments) in tools {
            let Some(output) = run(tool, arguments, &tree.path("x.so")) else { continue };
            let errors = String::from_utf8_lossy(&output.stderr);
            let text = String::from_utf8_lossy(&output.stdout);
            // eu-elflint prints complaints only, the others print the file.
            let suspicious = ["<corrupt", "<unknown>: ", "warning:", "<invalid"];
            let complaints: Vec<&str> = text
                .lines()
                .filter(|line| tool == "eu-elflint" || suspicious.iter().any(|bad| line.contains(bad)))
                .chain(errors.lines())
                .filter(|line| !line.is_empty() && !is_known_gap(tool, &name, line))
                .collect();
            assert!(complaints.is_empty(), "{tool} on {name}: {complaints:#?}");
        }
    }
}

#[test]
fn the_dlopen_note_is_seen_with_its_owner_type_and_text() {
    let json = r#"[{"soname":["libz.so.1"],"priority":"suggested"}]"#;
    let tree = TreeBuilder::new().object("x.so", &SharedObject::new().note(Note::Dlopen(json.to_owned())));
    let Some(output) = run("llvm-readelf", &["-n"], &tree.path("x.so")) else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(".note.dlopen") && text.contains("FDO") && text.contains("0x407c0c0a"), "{text}");
    assert!(text.contains(&format!("{:02x} {:02x} {:02x}", b'[', b'{', b'"')), "{text}");
}

#[test]
fn goblin_reads_the_description_back_through_the_dynamic_view() {
    for machine in Machine::ALL {
        let bytes = everything(machine).build();
        let elf = Elf::parse(&bytes).unwrap_or_else(|error| panic!("{machine:?}: {error}"));
        assert_eq!(elf.soname, Some("libeverything.so.1"), "{machine:?}");
        assert_eq!(elf.libraries, ["libc.so.6"]);
        assert_eq!(elf.runpaths, ["$ORIGIN:/opt/lib"]);
        let names: Vec<&str> =
            elf.dynsyms.iter().filter_map(|symbol| elf.dynstrtab.get_at(symbol.st_name)).collect();
        for name in ["puts", "free", "answer", "old", "counter", "Pg_magic_func", "pg_finfo_add_one"] {
            assert!(names.contains(&name), "{machine:?}: {name} is not in {names:?}");
        }
        assert!(elf.dynrels.iter().count() + elf.dynrelas.iter().count() > 3);
        assert_eq!(elf.pltrelocs.iter().count(), 3, "{machine:?}: puts, free, __gmon_start__");
    }
}

#[test]
fn object_reads_the_same_symbols_through_sections() {
    fn names<Elf: object::read::elf::FileHeader<Endian = object::Endianness>>(bytes: &[u8]) -> Vec<String> {
        let header = Elf::parse(bytes).unwrap();
        let endian = header.endian().unwrap();
        let sections = header.sections(endian, bytes).unwrap();
        assert!(sections.iter().all(|section| sections.section_name(endian, section).is_ok()));
        let symbols = sections.symbols(endian, bytes, object::elf::SHT_DYNSYM).unwrap();
        let versions = sections.versions(endian, bytes).unwrap().unwrap();
        symbols
            .enumerate()
            .skip(1)
            .map(|(index, symbol)| {
                let name = String::from_utf8_lossy(symbols.symbol_name(endian, symbol).unwrap()).into_owned();
                let version = versions.version(versions.version_index(endian, index).into()).unwrap();
                match version {
                    Some(version) => format!("{name}@{}", String::from_utf8_lossy(version.name())),
                    None => name,
                }
            })
            .collect()
    }
    for machine in Machine::ALL {
        let bytes = everything(machine).build();
        let names = match machine.encoding().class {
            pgsym_testkit::Class::Elf32 => names::<object::elf::FileHeader32<object::Endianness>>(&bytes),
            pgsym_testkit::Class::Elf64 => names::<object::elf::FileHeader64<object::Endianness>>(&bytes),
        };
        for expected in ["puts", "free@GLIBC_2.2.5", "old@V1", "old@V2", "answer"] {
            assert!(names.iter().any(|name| name == expected), "{machine:?}: {expected} is not in {names:?}");
        }
    }
}

#[test]
fn without_section_headers_the_dynamic_view_is_unchanged() {
    let whole = everything(Machine::X86_64).build();
    let stripped = everything(Machine::X86_64).damage(Damage::NoSectionHeaders).build();
    let whole = Elf::parse(&whole).unwrap();
    let stripped = Elf::parse(&stripped).unwrap();
    assert!(stripped.section_headers.is_empty());
    assert_eq!(stripped.libraries, whole.libraries);
    assert_eq!(stripped.dynsyms.len(), whole.dynsyms.len());
}

#[test]
fn the_same_description_gives_the_same_bytes() {
    for (name, object) in variants() {
        assert_eq!(object.build(), object.build(), "{name}");
    }
}

#[test]
fn every_damage_changes_the_file_and_only_when_asked() {
    let plain = everything(Machine::X86_64);
    let bytes = plain.build();
    let damages = [
        Damage::NoSectionHeaders,
        Damage::SectionsDisagree,
        Damage::Truncated(100),
        Damage::Ident(5, 2),
        Damage::Header(pgsym_testkit::HeaderField::PhNum, 0xffff),
        Damage::Header(pgsym_testkit::HeaderField::PhEntSize, 7),
        Damage::ProgramHeader(1, pgsym_testkit::ProgramHeaderField::FileSize, u64::MAX),
        Damage::OverlappingLoads,
        Damage::Dynamic(5, 0x7fff_0000),
        Damage::DynamicOutside,
        Damage::DynamicUnterminated,
        Damage::StringsUnterminated,
        Damage::RepeatNeeded(10_000),
        Damage::SymbolName(1, u32::MAX),
        Damage::SymbolValue(5, u64::MAX),
        Damage::GnuHashBuckets(u32::MAX),
        Damage::GnuHashSymbolOffset(u32::MAX),
        Damage::GnuHashBloomSize(0),
        Damage::GnuHashChainsUnterminated,
        Damage::HashBuckets(0),
        Damage::HashChains(u32::MAX),
        Damage::VernauxCount(u16::MAX),
        Damage::VerneedNext(16),
        Damage::VernauxNext(0),
        Damage::VerdauxCount(u16::MAX),
        Damage::VerdefNext(0),
        Damage::RelocationSymbol(0xffff),
        Damage::Patch(0, b"MZ".to_vec()),
    ];
    for damage in damages {
        let broken = plain.clone().damage(damage.clone()).build();
        assert_ne!(broken, bytes, "{damage:?}");
    }
    assert_eq!(SharedObject::new().damage(Damage::Truncated(0)).build(), b"");
}
