//! The bind opcodes of LC_DYLD_INFO. Pointer number N of `__DATA` (segment 1, or 2 in a program, which does not
//! matter to a reader of names) belongs to import number N.

use super::bytes::Out;
use super::image::{From, MachImportSpec};

/// Binds at load.
pub(super) fn bind(imports: &[MachImportSpec]) -> Vec<u8> {
    let mut out = Out::default();
    for (number, import) in imports.iter().enumerate() {
        if !import.is_lazy && import.from != From::Weak {
            ordinal(&mut out, import.from);
            symbol(&mut out, import);
            out.byte(0x51); // SET_TYPE pointer
            place(&mut out, number);
        }
    }
    finish(out)
}

/// Coalesced definitions.
pub(super) fn weak(imports: &[MachImportSpec]) -> Vec<u8> {
    let mut out = Out::default();
    for (number, import) in imports.iter().enumerate() {
        if import.from == From::Weak {
            symbol(&mut out, import);
            out.byte(0x51);
            place(&mut out, number);
        }
    }
    finish(out)
}

/// Binds at the first call: each ends with DONE.
pub(super) fn lazy(imports: &[MachImportSpec]) -> Vec<u8> {
    let mut out = Out::default();
    for (number, import) in imports.iter().enumerate() {
        if import.is_lazy && import.from != From::Weak {
            out.byte(0x71);
            out.uleb(8 * number as u64);
            ordinal(&mut out, import.from);
            symbol(&mut out, import);
            out.byte(0x90);
            out.byte(0);
        }
    }
    out.0
}

fn ordinal(out: &mut Out, from: From) {
    match from.number() {
        number @ 0..=15 => out.byte(0x10 | number.cast_unsigned() as u8),
        number if number > 15 => {
            out.byte(0x20);
            out.uleb(number.cast_unsigned().into());
        }
        number => out.byte(0x30 | (number.cast_unsigned() as u8 & 0xf)),
    }
}

fn symbol(out: &mut Out, import: &MachImportSpec) {
    out.byte(0x40 | u8::from(import.is_weak));
    out.string(&import.name);
}

fn place(out: &mut Out, number: usize) {
    out.byte(0x71);
    out.uleb(8 * number as u64);
    out.byte(0x90);
}

fn finish(mut out: Out) -> Vec<u8> {
    if !out.0.is_empty() {
        out.byte(0);
    }
    out.0
}
