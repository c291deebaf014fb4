//! Symbol tables: `.dynsym`, and `.symtab` with the local functions, the imports and the exports.
//!
//! ```text
//! ELF32  name u32, value u32, size u32, info u8, other u8, shndx u16     16 bytes
//! ELF64  name u32, info u8, other u8, shndx u16, value u64, size u64     24 bytes
//! ```

use super::damage::Damage;
use super::encoding::{Class, Encoding, Sink};
use super::layout::Places;
use super::plan::{Plan, Symbol, Value};
use super::strings::StringTable;

const SHN_ABS: u16 = 0xfff1;

pub(crate) fn entry_size(encoding: Encoding) -> u64 {
    encoding.pick(16, 24)
}

pub(crate) fn write_dynamic(sink: &mut Sink, plan: &Plan<'_>, places: &Places) {
    write_null(sink);
    for (position, symbol) in plan.symbols.iter().enumerate() {
        let index = position as u32 + 1;
        let mut name = plan.dynstr.offset(&symbol.name);
        let (mut value, section) = resolve(symbol, places);
        let mut size = symbol.size;
        for damage in &plan.object.damage {
            match damage {
                Damage::SymbolName(at, lie) if *at == index => name = *lie,
                Damage::SymbolValue(at, lie) if *at == index => value = *lie,
                Damage::NoSymbolSizes => size = 0,
                _ => {}
            }
        }
        write(sink, symbol, name, value, size, section);
    }
}

/// Writes `.symtab` and returns its strings and the index of its first global symbol.
pub(crate) fn write_full(sink: &mut Sink, plan: &Plan<'_>, places: &Places) -> (StringTable, u32) {
    let mut strings = StringTable::new();
    write_null(sink);
    for symbol in plan.locals.iter().chain(&plan.symbols) {
        let (value, section) = resolve(symbol, places);
        let name = strings.add(&symbol.name);
        write(sink, symbol, name, value, symbol.size, section);
    }
    (strings, plan.locals.len() as u32 + 1)
}

fn resolve(symbol: &Symbol, places: &Places) -> (u64, u16) {
    match symbol.value {
        Value::Undefined => (0, 0),
        Value::At(location) => (places.address(location), places.index(location.section)),
        Value::Thread(offset) => (offset, places.index(super::plan::TDATA)),
        Value::Absolute(value) => (value, SHN_ABS),
    }
}

fn write_null(sink: &mut Sink) {
    let size = entry_size(sink.encoding);
    sink.raw(&vec![0; size as usize]);
}

fn write(sink: &mut Sink, symbol: &Symbol, name: u32, value: u64, size: u64, section: u16) {
    match sink.encoding.class {
        Class::Elf32 => sink.u32(name).word(value).word(size).u8(symbol.info).u8(symbol.other).u16(section),
        Class::Elf64 => sink.u32(name).u8(symbol.info).u8(symbol.other).u16(section).word(value).word(size),
    };
}
