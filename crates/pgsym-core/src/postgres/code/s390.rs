//! s390x: `larl %r2, constant` and a branch back; the GOT's way is `lgrl %r2, slot` or `larl` and `lg`.
//!
//! ```text
//! larl r, d   c0 r0 d32        lgrl r, d   c4 r8 d32       address = instruction + 2·d32
//! lgr r, s    b9 04 00 rs      br %r14     07 fe
//! lg r, d(b)  e3 rx bd dd dd 04
//! ```

use super::{Code, Place, Reference, Registers, Value};

pub(super) fn references(code: Code<'_>) -> Vec<Reference> {
    let mut registers = Registers::<16>::new();
    let body = code.body();
    let mut at = 0;
    while let Some(&first) = body.get(at) {
        let rest = &body[at..];
        let pc = code.address.wrapping_add(at as u64);
        let relative = |d: [u8; 4]| pc.wrapping_add_signed(i64::from(i32::from_be_bytes(d)) * 2);
        match *rest {
            [0xc0, r, d0, d1, d2, d3, ..] if r % 16 == 0 => {
                let address = relative([d0, d1, d2, d3]);
                registers.set(u32::from(r >> 4), Some(Value::At(Place::Here(address))));
            }
            [0xc4, r, d0, d1, d2, d3, ..] if r % 16 == 8 => {
                let address = relative([d0, d1, d2, d3]);
                registers.set(u32::from(r >> 4), Some(Value::At(Place::Behind(address))));
            }
            [0xe3, rx, bd, dl, dh, 0x04, ..] if rx % 16 == 0 => {
                let displacement =
                    i64::from(dh.cast_signed()) << 12 | i64::from(bd & 15) << 8 | i64::from(dl);
                let slot = registers.address(u32::from(bd >> 4));
                let slot = slot.map(|base| Value::At(Place::Behind(base.wrapping_add_signed(displacement))));
                registers.set(u32::from(rx >> 4), slot);
            }
            [0xb9, 0x04, 0, rs, ..] => {
                let value = registers.get(u32::from(rs & 15));
                registers.set(u32::from(rs >> 4), value);
            }
            // brasl, basr: the callee may change %r0 to %r5
            [0xc0, r, ..] if r % 16 == 5 => registers.forget(0..=5),
            [0x0d, ..] => registers.forget(0..=5),
            [0x07, 0xfe, ..] => registers.returns(2),
            // lmg: the end of a frame
            [0xeb, rr, _, _, _, 0x04, ..] if rr >> 4 <= rr & 15 => {
                registers.forget(usize::from(rr >> 4)..=usize::from(rr & 15));
            }
            // aghi, lghi and their kin: one register
            [0xa7, r, ..] => registers.set(u32::from(r >> 4), None),
            _ if is_harmless(rest) => {}
            _ => registers.forget_all(),
        }
        // The two topmost bits of an instruction tell its length.
        at += match first >> 6 {
            0 => 2,
            1 | 2 => 4,
            _ => 6,
        };
    }
    registers.found
}

/// Instructions that change no register: stores, and branches that are never taken.
fn is_harmless(bytes: &[u8]) -> bool {
    matches!(*bytes, [0xeb | 0xe3, _, _, _, _, 0x24, ..] | [0x07, 0x00..=0x0f, ..])
}

#[cfg(test)]
mod tests {
    use super::super::tests::{decode, returned};
    use super::*;
    use crate::model::{Class, Endian};
    use object::elf::EM_S390;

    #[test]
    fn larl_counts_halfwords() {
        // larl %r2, .+0x200; br %r14
        let code = [0xc0, 0x20, 0, 0, 0x01, 0, 0x07, 0xfe];
        let found = decode(EM_S390, Class::Bits64, Endian::Big, &code);
        assert_eq!(returned(&found), [Place::Here(0x1200)]);
    }

    #[test]
    fn lgrl_loads_from_the_got() {
        // lgrl %r2, .-2; br %r14
        let code = [0xc4, 0x28, 0xff, 0xff, 0xff, 0xff, 0x07, 0xfe];
        let found = decode(EM_S390, Class::Bits64, Endian::Big, &code);
        assert_eq!(returned(&found), [Place::Behind(0xffe)]);
    }
}
