//! 64-bit POWER: addresses relative to the TOC pointer r2, which an ELFv2 function derives from its own address in
//! r12 when it is called from outside; `paddi` of POWER10 is relative to the instruction.
//!
//! ```text
//! addis rt, ra, i   15:6 t:5 a:5 i:16      addi rt, ra, i   14:6 t:5 a:5 i:16
//! ld rt, i(ra)      58:6 t:5 a:5 i:14 00   blr              4e800020
//! mr ra, rs         31:6 s:5 a:5 s:5 01101111000
//! ```

use super::{Code, Place, Reference, Registers, Value};
use crate::model::Endian;

const BLR: u32 = 0x4e80_0020;

pub(super) fn references(code: Code<'_>, endian: Endian) -> Vec<Reference> {
    let mut registers = Registers::<32>::new();
    registers.set(12, Some(Value::Part(code.address)));
    let mut is_suffix = false;
    for (index, bytes) in code.body().as_chunks::<4>().0.iter().enumerate() {
        if is_suffix {
            is_suffix = false;
            continue;
        }
        let word = match endian {
            Endian::Little => u32::from_le_bytes(*bytes),
            Endian::Big => u32::from_be_bytes(*bytes),
        };
        let (t, a) = (word >> 21 & 31, word >> 16 & 31);
        let immediate = i64::from((word as u16).cast_signed());
        match word >> 26 {
            // addis: the upper half; what it gives is rarely an address of its own
            15 => {
                let value = registers.address(a).map(|base| base.wrapping_add_signed(immediate << 16));
                registers.set(t, value.map(Value::Part));
            }
            // addi; r2 is the TOC pointer itself, no constant
            14 => {
                let value = registers.address(a).map(|base| base.wrapping_add_signed(immediate));
                let place =
                    |address| if t == 2 { Value::Part(address) } else { Value::At(Place::Here(address)) };
                registers.set(t, value.map(place));
            }
            58 if word % 4 == 0 => {
                let slot = registers.address(a).map(|base| base.wrapping_add_signed(immediate & !3));
                registers.set(t, slot.map(|address| Value::At(Place::Behind(address))));
            }
            // prefix of an 8-byte instruction: paddi rt, 0, i, 1
            1 => {
                is_suffix = true;
                if let Some((t, address)) = paddi(&code, index, word, endian) {
                    registers.set(t, Some(Value::At(Place::Here(address))));
                }
            }
            // bl
            18 if word & 1 == 1 => {
                registers.forget(3..=12);
                registers.forget(0..=0);
            }
            // mr
            31 if word & 0x7ff == 0x378 && t == word >> 11 & 31 => {
                let value = registers.get(t);
                registers.set(a, value);
            }
            _ if word == BLR => registers.returns(3),
            _ if is_harmless(word) => {}
            _ => registers.forget_all(),
        }
    }
    registers.found
}

/// Instructions that change no register that could hold an address: std, stdu, nop, mflr r0, mtlr.
fn is_harmless(word: u32) -> bool {
    word >> 26 == 62 || word == 0x6000_0000 || word == 0x7c08_02a6 || word & 0xfc1f_ffff == 0x7c08_03a6
}

/// `paddi rt, 0, d, 1`: prefix 000001 10 0 R=1 .. d0:18, suffix 14:6 t:5 0:5 d1:16.
fn paddi(code: &Code<'_>, index: usize, prefix: u32, endian: Endian) -> Option<(u32, u64)> {
    if prefix >> 20 != 0x061 {
        return None;
    }
    let bytes = *code.body().as_chunks::<4>().0.get(index + 1)?;
    let suffix = match endian {
        Endian::Little => u32::from_le_bytes(bytes),
        Endian::Big => u32::from_be_bytes(bytes),
    };
    if suffix >> 26 != 14 || suffix >> 16 & 31 != 0 {
        return None;
    }
    let displacement = u64::from(prefix & 0x3_ffff) << 16 | u64::from(suffix & 0xffff);
    // 34 bits with their sign.
    let displacement = (displacement << 30).cast_signed() >> 30;
    let pc = code.address.wrapping_add(index as u64 * 4);
    Some((suffix >> 21 & 31, pc.wrapping_add_signed(displacement)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{decode, returned};
    use super::*;
    use crate::model::Class;
    use object::elf::EM_PPC64;

    fn words(words: &[u32]) -> Vec<Reference> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        decode(EM_PPC64, Class::Bits64, Endian::Little, &bytes)
    }

    #[test]
    fn the_toc_pointer_comes_from_the_functions_own_address() {
        // addis r2, r12, 2; addi r2, r2, 0x6f00; addis r3, r2, -2; addi r3, r3, -0x100; blr
        let found = words(&[0x3c4c_0002, 0x3842_6f00, 0x3c62_fffe, 0x3863_ff00, BLR]);
        assert_eq!(returned(&found), [Place::Here(0x1000 + 0x6f00 - 0x100)]);
    }

    #[test]
    fn a_got_load_is_behind_its_slot() {
        // addis r2, r12, 2; addi r2, r2, 0; ld r3, -0x7fe8(r2); blr
        let found = words(&[0x3c4c_0002, 0x3842_0000, 0xe862_8018, BLR]);
        assert_eq!(returned(&found), [Place::Behind(0x21000 - 0x7fe8)]);
    }

    #[test]
    fn power10_is_relative_to_the_instruction() {
        // paddi r3, 0, 0x120, 1; blr
        let found = words(&[0x0610_0000, 0x3860_0120, BLR]);
        assert_eq!(returned(&found), [Place::Here(0x1120)]);
    }
}
