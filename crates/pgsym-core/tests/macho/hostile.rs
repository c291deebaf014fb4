//! Files that no linker writes.

use pgsym_core::error::FileErrorKind;
use pgsym_core::model::Table;
use pgsym_testkit::{ExportHome, FatWidth, Fixups, From, MachCpu, MachImage, SignatureHash, fat};

use crate::{macho, read};

/// The bytes of the load command of a number, to be changed.
fn command(bytes: &mut [u8], number: u32) -> &mut [u8] {
    let mut at = 32;
    loop {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let (kind, size) = (word(at), word(at + 4) as usize);
        if kind == number {
            return &mut bytes[at..at + size];
        }
        at += size;
    }
}

fn word(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

const LC_SYMTAB: u32 = 0x2;
const LC_LOAD_DYLIB: u32 = 0xc;
const LC_DYLD_INFO_ONLY: u32 = 0x8000_0022;
const LC_DYLD_EXPORTS_TRIE: u32 = 0x8000_0033;
const LC_DYLD_CHAINED_FIXUPS: u32 = 0x8000_0034;

fn module() -> MachImage {
    MachImage::bundle(MachCpu::X86_64)
        .library("/usr/lib/libSystem.B.dylib")
        .export("alpha")
        .export("beta")
        .import("malloc", From::Library(1))
        .import("palloc", From::Executable)
}

#[test]
fn a_trie_that_leads_back_is_unreadable() {
    let mut bytes = module().build();
    let (at, size) = {
        let command = command(&mut bytes, LC_DYLD_EXPORTS_TRIE);
        (word(command, 8), word(command, 12))
    };
    // Two children that are the same node, a hundred times: 2^100 names.
    let mut trie = Vec::new();
    while trie.len() + 10 < size {
        let next = trie.len() as u8 + 8;
        trie.extend([0, 2, b'a', 0, next, b'b', 0, next]);
    }
    trie.resize(size, 0);
    bytes[at..at + size].copy_from_slice(&trie);
    let parsed = read(&bytes).unwrap();
    assert!(macho(&parsed).exports.error().unwrap().message.contains("two parents"));
    assert!(matches!(parsed.symbols, Table::Unreadable(_)));
}

#[test]
fn endless_bind_counts_are_counted_and_not_followed() {
    let mut bytes = module().fixups(Fixups::Opcodes).export_home(ExportHome::Trie).build();
    let at = word(command(&mut bytes, LC_DYLD_INFO_ONLY), 16);
    let mut stream = vec![0x11, 0x40, b'_', b'x', 0, 0x51, 0x72, 0, 0xc0];
    // DO_BIND_ULEB_TIMES_SKIPPING_ULEB 2^42
    stream.extend([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0, 0]);
    bytes[at..at + stream.len()].copy_from_slice(&stream);
    let parsed = read(&bytes).unwrap();
    let error = macho(&parsed).imports.error().unwrap();
    assert!(error.message.contains("more pointers than the segments have room for"), "{error}");
}

#[test]
fn a_bind_before_its_symbol_is_unreadable() {
    let mut bytes = module().fixups(Fixups::Opcodes).build();
    let at = word(command(&mut bytes, LC_DYLD_INFO_ONLY), 16);
    bytes[at] = 0x90;
    let parsed = read(&bytes).unwrap();
    assert!(macho(&parsed).imports.error().unwrap().message.contains("before its symbol"));
}

#[test]
fn a_count_of_chained_imports_beyond_the_table_is_unreadable() {
    let mut bytes = module().build();
    let at = word(command(&mut bytes, LC_DYLD_CHAINED_FIXUPS), 8);
    put(&mut bytes, at + 16, u32::MAX);
    let parsed = read(&bytes).unwrap();
    assert_eq!(macho(&parsed).imports.error().unwrap().kind, FileErrorKind::Malformed);
}

#[test]
fn compressed_names_are_unreadable_because_dyld_refuses_them() {
    let mut bytes = module().build();
    let at = word(command(&mut bytes, LC_DYLD_CHAINED_FIXUPS), 8);
    put(&mut bytes, at + 24, 1);
    let parsed = read(&bytes).unwrap();
    let error = macho(&parsed).imports.error().unwrap();
    assert_eq!(error.kind, FileErrorKind::Malformed);
    assert!(error.message.contains("compressed (symbols_format 1), which dyld refuses"), "{error}");
}

#[test]
fn a_library_whose_name_lies_outside_its_command_makes_all_unreadable() {
    let mut bytes = module().build();
    put(command(&mut bytes, LC_LOAD_DYLIB), 8, 4096);
    let parsed = read(&bytes).unwrap();
    assert!(parsed.dependencies.error().is_some());
}

#[test]
fn tables_that_overlap_are_a_fault_each() {
    let mut bytes = module().build();
    let trie = word(command(&mut bytes, LC_DYLD_EXPORTS_TRIE), 8) as u32;
    put(command(&mut bytes, LC_SYMTAB), 8, trie);
    let parsed = read(&bytes).unwrap();
    let faults: Vec<String> = macho(&parsed).faults.iter().map(ToString::to_string).collect();
    assert!(faults.iter().any(|fault| fault.contains("overlaps")), "{faults:?}");
}

#[test]
fn a_command_of_no_length_ends_the_file() {
    let mut bytes = module().build();
    put(&mut bytes, 36, 0);
    assert_eq!(read(&bytes).unwrap_err().kind, FileErrorKind::Malformed);
}

#[test]
fn more_commands_than_bytes_are_refused() {
    let mut bytes = module().build();
    put(&mut bytes, 16, u32::MAX);
    assert_eq!(read(&bytes).unwrap_err().kind, FileErrorKind::Limit);
    let mut bytes = module().build();
    put(&mut bytes, 20, 15 << 20);
    assert_eq!(read(&bytes).unwrap_err().kind, FileErrorKind::TooShort);
}

#[test]
fn a_slice_outside_the_file_costs_that_slice() {
    let slices =
        [(MachCpu::X86_64, module().build()), (MachCpu::Arm64, MachImage::bundle(MachCpu::Arm64).build())];
    let mut bytes = fat(FatWidth::Bits32, &slices);
    bytes.truncate(bytes.len() - 1);
    let parsed = read(&bytes).unwrap();
    let error = macho(&parsed).further_slices[0].module.as_ref().unwrap_err();
    assert!(error.message.contains("past the end of the file"), "{error}");
}

#[test]
fn slices_that_overlap_are_refused() {
    let slices =
        [(MachCpu::X86_64, module().build()), (MachCpu::Arm64, MachImage::bundle(MachCpu::Arm64).build())];
    let mut bytes = fat(FatWidth::Bits32, &slices);
    let first: [u8; 4] = bytes[16..20].try_into().unwrap();
    bytes[36..40].copy_from_slice(&first);
    let parsed = read(&bytes).unwrap();
    assert!(macho(&parsed).further_slices[0].module.as_ref().unwrap_err().message.contains("overlaps"));
}

#[test]
fn a_fat_file_of_no_slice_is_an_error() {
    assert!(read(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 0]).is_err());
    assert!(read(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 44]).is_err());
}

#[test]
fn every_prefix_of_a_file_is_read_or_refused() {
    let bytes = module().signed(SignatureHash::Sha256).fixups(Fixups::Opcodes).build();
    for end in (0..bytes.len()).step_by(7).chain(0..2048) {
        let _ = read(&bytes[..end]);
    }
}

#[test]
fn no_single_byte_brings_the_reader_down() {
    let images = [
        module().signed(SignatureHash::Sha1).build(),
        module().fixups(Fixups::Opcodes).export_home(ExportHome::DyldInfo).build(),
        module().fixups(Fixups::SymbolTable).export_home(ExportHome::SymbolTable).build(),
    ];
    for image in images {
        let linkedit = image.len() - 0x400.min(image.len());
        for at in (0..1024).chain(linkedit..image.len()) {
            for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut bytes = image.clone();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
                let _ = read(&bytes);
            }
        }
    }
}
