//! Magic blocks and finfo records of every major, machine and shape of code.

use pgsym_core::model::Module;
use pgsym_core::parse::Facets;
use pgsym_core::postgres::{Magic as Found, MagicBlock, MagicEvidence, PgFacts};
use pgsym_testkit::{
    Addends, Class, CodeShape, Damage, ExportKind, Machine, Magic, RelativeStyle, RelocationStyle,
    SharedObject,
};

use crate::{read, try_read};

fn facts(module: &Module) -> &PgFacts {
    module.postgres.get().unwrap()
}

fn block(module: &Module) -> &MagicBlock {
    match &facts(module).magic {
        Found::Found(block) => block,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_majors_block_is_read_on_every_machine() {
    for machine in Machine::ALL {
        for major in 13..=19 {
            let module = read(&SharedObject::for_machine(machine).magic(Magic::pg(major)));
            let is_64 = module.target.pointer_size() == 8;
            let block = block(&module);
            assert_eq!(block.major(), major, "{machine:?}");
            let len = match major {
                13 | 14 => 24,
                15..=17 => 56,
                _ if is_64 => 72,
                _ => 64,
            };
            assert_eq!(block.len, len, "{machine:?}");
            assert_eq!(block.func_max_args, 100);
            assert_eq!(block.index_max_keys, 32);
            assert_eq!(block.name_data_len, 64);
            assert_eq!(block.float8_by_value, u32::from(major == 19 || is_64));
            let abi = block.abi().map(|abi| abi.to_string());
            assert_eq!(abi.as_deref(), (major >= 15).then_some("PostgreSQL"));
            assert_eq!((&block.module_name, &block.module_version), (&None, &None));
            // Code that the builder writes and the reader decodes: the others have only the data.
            let decoded =
                matches!(machine, Machine::X86_64 | Machine::X32 | Machine::I386 | Machine::Aarch64);
            let evidence = if decoded { MagicEvidence::CodeAndData } else { MagicEvidence::Data };
            assert_eq!(block.evidence, evidence, "{machine:?}");
        }
    }
}

#[test]
fn the_data_is_not_searched_for_what_the_code_tells() {
    let module = try_read(&SharedObject::new().magic(Magic::pg(15)).build(), Facets::POSTGRES).unwrap();
    assert_eq!(block(&module).evidence, MagicEvidence::Code);
    let undecoded = SharedObject::for_machine(Machine::RiscV64).magic(Magic::pg(15));
    let module = try_read(&undecoded.build(), Facets::POSTGRES).unwrap();
    assert_eq!(block(&module).evidence, MagicEvidence::Data);
}

#[test]
fn every_shape_of_code_leads_to_the_block() {
    let shapes = [
        (Machine::X86_64, CodeShape::Plain),
        (Machine::X86_64, CodeShape::LandingPad),
        (Machine::X86_64, CodeShape::FramePointer),
        (Machine::X86_64, CodeShape::Pgrx),
        (Machine::X86_64, CodeShape::GotLoad),
        (Machine::X32, CodeShape::GotLoad),
        (Machine::Aarch64, CodeShape::LandingPad),
        (Machine::Aarch64, CodeShape::AdrNop),
        (Machine::I386, CodeShape::PcThunk),
    ];
    for (machine, shape) in shapes {
        for addends in [Addends::InPlaceToo, Addends::OnlyInTable] {
            let object = SharedObject::for_machine(machine)
                .code_shape(shape.clone())
                .addends(addends)
                .magic(Magic::pg(17))
                .pg_finfo("f", 1)
                .pg_finfo("g", 2);
            let module = read(&object);
            assert_eq!(block(&module).evidence, MagicEvidence::CodeAndData, "{machine:?} {shape:?}");
            let versions: Vec<_> =
                facts(&module).finfo.iter().map(|record| record.api_version.clone()).collect();
            assert_eq!(versions, [Ok(1), Ok(2)], "{machine:?} {shape:?} {addends:?}");
        }
    }
}

#[test]
fn names_of_18_are_followed_through_every_kind_of_relocation() {
    let named = Magic::pg(18).name("demo").module_version("1.2.3");
    let styles = [
        (RelocationStyle::Rela, RelativeStyle::Ordinary, Addends::InPlaceToo),
        // lld leaves zeros in the block.
        (RelocationStyle::Rela, RelativeStyle::Ordinary, Addends::OnlyInTable),
        (RelocationStyle::Rela, RelativeStyle::Packed, Addends::InPlaceToo),
        (RelocationStyle::Rel, RelativeStyle::Ordinary, Addends::InPlaceToo),
        (RelocationStyle::Rel, RelativeStyle::Packed, Addends::InPlaceToo),
    ];
    for machine in Machine::ALL {
        for (style, relative, addends) in styles {
            let object = SharedObject::for_machine(machine)
                .relocation_style(style)
                .relative_style(relative)
                .addends(addends)
                .magic(named.clone());
            let module = read(&object);
            let block = block(&module);
            assert_eq!(block.module_name.as_ref().unwrap(), &"demo", "{machine:?} {style:?} {relative:?}");
            assert_eq!(block.module_version.as_ref().unwrap(), &"1.2.3");
        }
    }
}

#[test]
fn one_name_may_be_set_without_the_other() {
    let module = read(&SharedObject::new().magic(Magic::pg(19).module_version("7")));
    assert_eq!(block(&module).module_name, None);
    assert_eq!(block(&module).module_version.as_ref().unwrap(), &"7");
}

#[test]
fn a_fork_keeps_all_32_bytes_of_its_abi_text() {
    let module = read(&SharedObject::new().magic(Magic::pg(16).abi_extra("EDB\0hidden")));
    let block = block(&module);
    assert_eq!(block.abi().unwrap(), "EDB");
    assert_eq!(&block.abi_extra.unwrap()[..10], b"EDB\0hidden");
}

#[test]
fn unusual_build_options_are_found_by_code_and_by_trying_every_word() {
    let magic = || Magic::pg(15).func_max_args(200).index_max_keys(64).name_data_len(128);
    assert_eq!(block(&read(&SharedObject::new().magic(magic()))).evidence, MagicEvidence::CodeAndData);
    let opaque = SharedObject::new().code_shape(CodeShape::Opaque(vec![0x90; 16])).magic(magic());
    let module = read(&opaque);
    assert_eq!(block(&module).evidence, MagicEvidence::Data);
    assert_eq!(block(&module).name_data_len, 128);
}

#[test]
fn without_the_function_there_is_no_block() {
    let module = read(&SharedObject::new().export_object("Pg_magic_data", 56));
    assert_eq!(facts(&module).magic, Found::Absent);
}

#[test]
fn a_function_without_a_block_is_unknown_not_absent() {
    let module = read(&SharedObject::new().export("Pg_magic_func"));
    assert!(matches!(facts(&module).magic, Found::Unknown(_)));
}

#[test]
fn a_block_with_a_version_that_no_server_has_is_unknown() {
    let module = read(&SharedObject::new().magic(Magic::pg(15).version(15)));
    assert!(matches!(facts(&module).magic, Found::Unknown(_)));
}

#[test]
fn a_function_that_lies_outside_the_file_costs_only_the_code() {
    let sound = SharedObject::new().magic(Magic::pg(15));
    let module = read(&sound);
    let symbols = module.symbols.get().unwrap();
    let function = symbols.iter().find(|symbol| symbol.name() == b"Pg_magic_func").unwrap();
    let module = read(&sound.damage(Damage::SymbolValue(function.index, 0x7fff_0000)));
    assert_eq!(block(&module).evidence, MagicEvidence::Data);
}

#[test]
fn opaque_finfo_code_is_an_error_of_its_record() {
    let object = SharedObject::new().code_shape(CodeShape::Opaque(vec![0x90, 0xc3])).pg_finfo("f", 1);
    let module = read(&object);
    let record = &facts(&module).finfo[0];
    assert_eq!(record.function, "f");
    assert_eq!(record.api_version.as_ref().unwrap_err().to_string(), "its code is of no known shape");
}

#[test]
fn a_record_without_a_size_ends_at_the_next_symbol() {
    let shapes = [(Machine::X86_64, CodeShape::FramePointer), (Machine::Aarch64, CodeShape::AdrNop)];
    for (machine, shape) in shapes {
        let object = SharedObject::for_machine(machine)
            .code_shape(shape)
            .pg_finfo("f", 1)
            .pg_finfo("g", 2)
            .damage(Damage::NoSymbolSizes);
        let module = read(&object);
        let versions: Vec<_> = facts(&module).finfo.iter().map(|record| record.api_version.clone()).collect();
        assert_eq!(versions, [Ok(1), Ok(2)], "{machine:?}");
    }
}

#[test]
fn two_returns_of_different_records_are_unknown() {
    // lea rax, [rip+1]; ret; and the constant behind it, twice.
    let returns = |constant: u8| [0x48, 0x8d, 0x05, 0x01, 0, 0, 0, 0xc3, constant, 0, 0, 0];
    let of = |constants: [u8; 2]| CodeShape::Opaque(constants.map(returns).concat());
    let read_version = |shape| {
        let module = read(&SharedObject::new().code_shape(shape).pg_finfo("f", 1));
        facts(&module).finfo[0].api_version.clone()
    };
    assert_eq!(read_version(of([5, 5])), Ok(5));
    assert_eq!(read_version(of([5, 6])).unwrap_err().to_string(), "its code is of no known shape");
}

#[test]
fn a_class_that_contradicts_the_machine_is_read_all_the_same() {
    let object = SharedObject::for_machine(Machine::S390x).class(Class::Elf32).magic(Magic::pg(15));
    assert_eq!(block(&read(&object)).evidence, MagicEvidence::Data);
}

#[test]
fn a_finfo_record_that_is_a_variable_is_no_function() {
    let object =
        SharedObject::new().add_export(pgsym_testkit::Export::new("pg_finfo_f", ExportKind::Object(4)));
    let module = read(&object);
    assert!(facts(&module).finfo[0].api_version.is_err());
}
