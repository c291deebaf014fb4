//! AArch64: `adrp` gives the page and `add` the rest; a linker may have relaxed the pair to `adr` and `nop`, and
//! `ldr` takes the pointer from the GOT instead.
//!
//! ```text
//! adrp xd, page   1 immlo:2 10000 immhi:19 d:5          adr xd, label    0 immlo:2 10000 immhi:19 d:5
//! add xd, xn, #i  1001000100 imm12 n:5 d:5              ldr xt, [xn, #i] 1111100101 imm12 n:5 t:5
//! mov xd, xm      10101010000 m:5 000000 11111 d:5      ret              d65f03c0
//! ```

use super::{Code, Place, Reference, Registers, Value};

const RET: u32 = 0xd65f_03c0;

pub(super) fn references(code: Code<'_>) -> Vec<Reference> {
    let mut registers = Registers::<32>::new();
    for (index, bytes) in code.body().as_chunks::<4>().0.iter().enumerate() {
        let word = u32::from_le_bytes(*bytes);
        let pc = code.address.wrapping_add(index as u64 * 4);
        let (d, n) = (word & 31, word >> 5 & 31);
        let imm12 = u64::from(word >> 10 & 0xfff);
        if word & 0x1f00_0000 == 0x1000_0000 {
            // adr, adrp
            let immediate = (word >> 5 & 0x7_ffff) << 2 | word >> 29 & 3;
            // 21 bits with their sign.
            let immediate = i64::from((immediate << 11).cast_signed() >> 11);
            registers.set(
                d,
                Some(if word >> 31 == 1 {
                    Value::Part((pc & !0xfff).wrapping_add_signed(immediate << 12))
                } else {
                    Value::At(Place::Here(pc.wrapping_add_signed(immediate)))
                }),
            );
        } else if word & 0xff80_0000 == 0x9100_0000 {
            // add, immediate
            let shift = if word >> 22 & 1 == 1 { 12 } else { 0 };
            let sum = registers.address(n).map(|base| base.wrapping_add(imm12 << shift));
            registers.set(d, sum.map(|address| Value::At(Place::Here(address))));
        } else if word & 0xffc0_0000 == 0xf940_0000 {
            // ldr, unsigned offset
            let slot = registers.address(n).map(|base| base.wrapping_add(imm12 * 8));
            registers.set(d, slot.map(|address| Value::At(Place::Behind(address))));
        } else if word & 0xffe0_ffe0 == 0xaa00_03e0 {
            // mov, register
            let value = registers.get(word >> 16 & 31);
            registers.set(d, value);
        } else if word & 0xfc00_0000 == 0x9400_0000 || word & 0xffff_fc1f == 0xd63f_0000 {
            // bl, blr: the callee may change x0 to x18
            registers.forget(0..=18);
        } else if word & 0x3a40_0000 == 0x2840_0000 {
            // ldp: the end of a frame
            registers.set(d, None);
            registers.set(word >> 10 & 31, None);
        } else if word == RET {
            registers.returns(0);
        } else if !is_harmless(word) {
            registers.forget_all();
        }
    }
    registers.found
}

/// Instructions that change no register but the stack pointer and x30.
fn is_harmless(word: u32) -> bool {
    // hints: nop, bti, paciasp, autiasp
    word & 0xffff_f01f == 0xd503_201f
        // stp, with a new stack pointer or not
        || word & 0x3a40_0000 == 0x2800_0000
        // str, unsigned offset
        || word & 0xffc0_0000 == 0xf900_0000
        // b: of the landing pads that a Rust debug build jumps over
        || word & 0xfc00_0000 == 0x1400_0000
}

#[cfg(test)]
mod tests {
    use super::super::tests::{decode, returned};
    use super::*;
    use crate::model::{Class, Endian};
    use object::elf::EM_AARCH64;

    fn words(words: &[u32]) -> Vec<Reference> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        decode(EM_AARCH64, Class::Bits64, Endian::Little, &bytes)
    }

    #[test]
    fn page_and_rest_make_the_address() {
        // bti c; adrp x0, 0x3000; add x0, x0, #0x128; ret
        let found = words(&[0xd503_245f, 0xd000_0000, 0x9104_a000, RET]);
        assert_eq!(returned(&found), [Place::Here(0x3128)]);
    }

    #[test]
    fn a_relaxed_pair_is_an_adr() {
        // adr x0, .+0x40; nop; ret
        assert_eq!(returned(&words(&[0x1000_0200, 0xd503_201f, RET])), [Place::Here(0x1040)]);
    }

    #[test]
    fn pages_below_are_found_too() {
        // adrp x0, 0x0; add x0, x0, #8; ret
        assert_eq!(returned(&words(&[0xf0ff_ffe0, 0x9100_2000, RET])), [Place::Here(8)]);
    }

    #[test]
    fn a_got_load_is_behind_its_slot() {
        // adrp x0, 0x11000; ldr x0, [x0, #0xfe8]; ret
        assert_eq!(returned(&words(&[0x9000_0080, 0xf947_f400, RET])), [Place::Behind(0x11fe8)]);
    }

    #[test]
    fn an_unknown_instruction_makes_the_result_unknown() {
        // adrp x0; add x0, x0, #8; eor x0, x0, x1; ret
        let found = words(&[0xd000_0000, 0x9100_2000, 0xca01_0000, RET]);
        assert!(returned(&found).is_empty());
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_call_forgets_the_result_register() {
        // adrp x0; add x0, x0, #8; bl; ret
        let found = words(&[0xd000_0000, 0x9100_2000, 0x9400_0000, RET]);
        assert!(returned(&found).is_empty());
        assert_eq!(found.len(), 1);
    }
}
