//! 32-bit ARM: a distance from the literal pool (or from `movw` and `movt`) is added to pc. In Thumb code pc reads
//! as the instruction's address + 4, in ARM code + 8.
//!
//! ```text
//! Thumb  ldr rt, [pc, #i·4]   01001 t:3 i:8            add rd, pc   01000100 d 1111 ddd
//!        ldr.w rt, [pc, #i]   f8df t:4 i:12            bx lr        4770
//!        movw, movt rd, #i    11110 i 10 t 100 i4 0 i3 d i8   (t: top half)
//!        ldr rt, [rn]         01101 00000 n:3 t:3      pop {…, pc}  10111101 list
//!        adds rd, #i          00110 d:3 i:8            add.w rd, rn, #i  f1 0 n · i3 d i8
//! ARM    ldr rt, [pc, #i]     e59f t:4 i:12            add rd, pc, rm  e08f d:4 00 m
//!        ldr rt, [rn]         e59n t000                ldr rt, [pc, rm]  e79f t:4 00 m       bx lr  e12fff1e
//! ```

use super::{Code, Place, Reference, Registers, Value};

pub(super) fn references(code: Code<'_>) -> Vec<Reference> {
    if code.is_thumb { thumb(code) } else { arm(code) }
}

/// The word of the literal pool at an address.
fn literal(code: &Code<'_>, address: u64) -> Option<Value> {
    let at = usize::try_from(address.checked_sub(code.address)?).ok()?;
    let word = code.bytes.get(at..)?.first_chunk()?;
    Some(Value::Part(u64::from(u32::from_le_bytes(*word))))
}

fn sum(a: u64, b: u64) -> u64 {
    a.wrapping_add(b) & u64::from(u32::MAX)
}

fn here(address: u64) -> Value {
    Value::At(Place::Here(address))
}

fn behind(address: u64) -> Value {
    Value::At(Place::Behind(address))
}

fn thumb(code: Code<'_>) -> Vec<Reference> {
    let mut registers = Registers::<16>::new();
    let halves = code.body().as_chunks::<2>().0;
    let mut index = 0;
    while let Some(half) = halves.get(index) {
        let first = u32::from(u16::from_le_bytes(*half));
        let pc = code.address.wrapping_add(index as u64 * 2 + 4);
        // 11101, 11110 and 11111 begin a 32-bit instruction.
        if first >> 11 >= 0b11101 {
            let Some(second) = halves.get(index + 1) else { break };
            wide(&code, &mut registers, pc, first, u32::from(u16::from_le_bytes(*second)));
            index += 2;
            continue;
        }
        index += 1;
        match first {
            _ if first >> 11 == 0b01001 => {
                let address = (pc & !3).wrapping_add(u64::from(first & 0xff) * 4);
                registers.set(first >> 8 & 7, literal(&code, address));
            }
            _ if first & 0xff78 == 0x4478 => {
                let d = first & 7 | first >> 4 & 8;
                let address = registers.address(d).map(|part| here(sum(part, pc)));
                registers.set(d, address);
            }
            _ if first >> 6 == 0b01_1010_0000 => {
                let slot = registers.address(first >> 3 & 7).map(behind);
                registers.set(first & 7, slot);
            }
            _ if first & 0xff00 == 0x4600 => {
                let value = registers.get(first >> 3 & 15);
                registers.set(first & 7 | first >> 4 & 8, value);
            }
            // adds: from the anchor of a section to one of its constants
            _ if first >> 11 == 0b00110 => {
                let d = first >> 8 & 7;
                let address = registers.address(d).map(|base| here(sum(base, u64::from(first & 0xff))));
                registers.set(d, address);
            }
            // blx register
            _ if first & 0xff80 == 0x4780 => registers.forget(0..=3),
            0x4770 => registers.returns(0),
            _ if first & 0xff00 == 0xbd00 => registers.returns(0),
            // add rd, sp: a frame
            _ if first >> 11 == 0b10101 => registers.set(first >> 8 & 7, None),
            // push, moving sp, nop and other hints
            _ if first & 0xfe00 == 0xb400 || first & 0xff00 == 0xb000 || first & 0xff0f == 0xbf00 => {}
            _ => registers.forget_all(),
        }
    }
    registers.found
}

/// A 32-bit Thumb instruction.
fn wide(code: &Code<'_>, registers: &mut Registers<16>, pc: u64, first: u32, second: u32) {
    let d = second >> 8 & 15;
    if first & 0xff7f == 0xf85f {
        // ldr.w rt, [pc, #±i]
        let offset = u64::from(second & 0xfff);
        let base = pc & !3;
        let address = if first >> 7 & 1 == 1 { base.wrapping_add(offset) } else { base.wrapping_sub(offset) };
        registers.set(second >> 12, literal(code, address));
    } else if first & 0xfbf0 == 0xf240 || first & 0xfbf0 == 0xf2c0 {
        let immediate =
            u64::from((first & 15) << 12 | (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xff);
        let value = if first & 0x80 == 0 {
            Some(immediate)
        } else {
            registers.address(d).map(|low| low & 0xffff | immediate << 16)
        };
        registers.set(d, value.map(Value::Part));
    } else if first & 0xfbf0 == 0xf100 && second & 0x8000 == 0 {
        // add.w
        let constant = expand(first >> 10 & 1, second >> 12 & 7, second & 0xff);
        let address = registers.address(first & 15).map(|base| here(sum(base, u64::from(constant))));
        registers.set(d, address);
    } else if first & 0xfbf0 == 0xf200 && second & 0x8000 == 0 {
        // addw
        let immediate = u64::from((first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xff);
        let address = registers.address(first & 15).map(|base| here(sum(base, immediate)));
        registers.set(d, address);
    } else if first == 0xf85d && second & 0x0fff == 0x0b04 {
        // ldr rt, [sp], #4: the end of a frame
        registers.set(second >> 12, None);
    } else if first >> 11 == 0b11110 && second & 0xd000 >= 0xc000 {
        // bl, blx: the callee may change r0 to r3
        registers.forget(0..=3);
    } else if first != 0xe92d {
        // e92d is push.w
        registers.forget_all();
    }
}

/// `ThumbExpandImm` of the architecture manual: a byte repeated, or one with its top bit set, rotated.
fn expand(i: u32, imm3: u32, imm8: u32) -> u32 {
    let imm12 = i << 11 | imm3 << 8 | imm8;
    match imm12 >> 8 {
        0 => imm8,
        1 => imm8 << 16 | imm8,
        2 => imm8 << 24 | imm8 << 8,
        3 => imm8 << 24 | imm8 << 16 | imm8 << 8 | imm8,
        _ => (0x80 | imm8 & 0x7f).rotate_right(imm12 >> 7),
    }
}

fn arm(code: Code<'_>) -> Vec<Reference> {
    let mut registers = Registers::<16>::new();
    for (index, bytes) in code.body().as_chunks::<4>().0.iter().enumerate() {
        let word = u32::from_le_bytes(*bytes);
        let pc = code.address.wrapping_add(index as u64 * 4 + 8);
        let (d, n, m) = (word >> 12 & 15, word >> 16 & 15, word & 15);
        if word & 0xff7f_0000 == 0xe51f_0000 {
            let offset = u64::from(word & 0xfff);
            let address = if word >> 23 & 1 == 1 { pc.wrapping_add(offset) } else { pc.wrapping_sub(offset) };
            registers.set(d, literal(&code, address));
        } else if word & 0xfff0_0ff0 == 0xe080_0000 && (n == 15 || m == 15) {
            let part = registers.address(if n == 15 { m } else { n });
            registers.set(d, part.map(|part| here(sum(part, pc))));
        } else if word & 0xffff_0ff0 == 0xe79f_0000 {
            let part = registers.address(m);
            registers.set(d, part.map(|part| behind(sum(part, pc))));
        } else if word & 0xfff0_0fff == 0xe590_0000 {
            let slot = registers.address(n).map(behind);
            registers.set(d, slot);
        } else if word & 0xfff0_0000 == 0xe300_0000 {
            let immediate = u64::from(n << 12 | word & 0xfff);
            registers.set(d, Some(Value::Part(immediate)));
        } else if word & 0xfff0_0000 == 0xe340_0000 {
            let immediate = u64::from(n << 12 | word & 0xfff);
            let value = registers.address(d).map(|low| Value::Part(low & 0xffff | immediate << 16));
            registers.set(d, value);
        } else if word & 0xff00_0000 == 0xeb00_0000 {
            registers.forget(0..=3);
        } else if word & 0xfff0_0000 == 0xe280_0000 {
            // add with a rotated constant
            let immediate = (word & 0xff).rotate_right(word >> 7 & 0x1e);
            let address = registers.address(n).map(|base| here(sum(base, u64::from(immediate))));
            registers.set(d, address);
        } else if word & 0xffff_0ff0 == 0xe1a0_0000 {
            let value = registers.get(m);
            registers.set(d, value);
        } else if word & 0xfff0_0000 == 0xe240_0000 || word & 0xffff_0fff == 0xe49d_0004 {
            // sub, ldr rt, [sp], #4: a frame
            registers.set(d, None);
        } else if word == 0xe12f_ff1e || word & 0xffff_8000 == 0xe8bd_8000 {
            // bx lr, pop {…, pc}
            registers.returns(0);
        } else if word & 0xffff_0000 != 0xe92d_0000
            && word & 0xffff_0fff != 0xe52d_0004
            && word != 0xe320_f000
        {
            // neither push nor nop
            registers.forget_all();
        }
    }
    registers.found
}

#[cfg(test)]
mod tests {
    use super::super::tests::{decode, decode_thumb, returned};
    use super::*;
    use crate::model::{Class, Endian};
    use object::elf::EM_ARM;

    #[test]
    fn thumb_adds_a_literal_to_pc() {
        // ldr r0, [pc, #4]; add r0, pc; bx lr; nop; .word 0x200
        let code = [0x01, 0x48, 0x78, 0x44, 0x70, 0x47, 0x00, 0xbf, 0x00, 0x02, 0, 0];
        let found = decode_thumb(EM_ARM, Class::Bits32, Endian::Little, &code, true);
        assert_eq!(returned(&found), [Place::Here(0x1002 + 4 + 0x200)]);
    }

    #[test]
    fn thumb_goes_from_an_anchor_to_the_constant() {
        // ldr r0, [pc, #4]; add r0, pc; adds r0, #60; bx lr; .word 0x200
        let code = [0x01, 0x48, 0x78, 0x44, 0x3c, 0x30, 0x70, 0x47, 0x00, 0x02, 0, 0];
        let found = decode_thumb(EM_ARM, Class::Bits32, Endian::Little, &code, true);
        assert_eq!(returned(&found), [Place::Here(0x1002 + 4 + 0x200 + 60)]);
    }

    #[test]
    fn rotated_constants_are_expanded() {
        // add.w r0, r0, #492 is f500 70f6
        assert_eq!(expand(1, 7, 0xf6), 492);
        assert_eq!(expand(0, 0, 0x3c), 0x3c);
        assert_eq!(expand(0, 1, 0xab), 0x00ab_00ab);
        assert_eq!(expand(0, 4, 0), 0x8000_0000);
    }

    #[test]
    fn an_unknown_instruction_makes_the_result_unknown() {
        // ldr r0, [pc, #4]; add r0, pc; lsls r0, r0, #1; bx lr; .word 0x200
        let code = [0x01, 0x48, 0x78, 0x44, 0x40, 0x00, 0x70, 0x47, 0x00, 0x02, 0, 0];
        let found = decode_thumb(EM_ARM, Class::Bits32, Endian::Little, &code, true);
        assert!(returned(&found).is_empty());
    }

    #[test]
    fn thumb_of_clang_builds_the_distance_in_two_halves() {
        // movw r0, #0x1234; movt r0, #1; add r0, pc; bx lr
        let code = [0x41, 0xf2, 0x34, 0x20, 0xc0, 0xf2, 0x01, 0x00, 0x78, 0x44, 0x70, 0x47];
        let found = decode_thumb(EM_ARM, Class::Bits32, Endian::Little, &code, true);
        assert_eq!(returned(&found), [Place::Here(0x1_1234 + 0x1008 + 4)]);
    }

    #[test]
    fn arm_adds_a_literal_to_pc() {
        // ldr r0, [pc, #4]; add r0, pc, r0; bx lr; .word 0x100
        let words = [0xe59f_0004_u32, 0xe08f_0000, 0xe12f_ff1e, 0x100];
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let found = decode(EM_ARM, Class::Bits32, Endian::Little, &code);
        assert_eq!(returned(&found), [Place::Here(0x1004 + 8 + 0x100)]);
    }
}
