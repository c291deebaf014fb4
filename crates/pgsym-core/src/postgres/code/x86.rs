//! x86-64 and i386. Instructions have no fixed width, and a decoder for all of them would be larger than the rest
//! of this crate; the few opcodes that form an address are searched at every byte instead.
//!
//! ```text
//! x86-64   [REX] 8d /r, mod 00 rm 101, d32     lea r, [rip + d32]     the constant
//!          [REX] 8b /r, mod 00 rm 101, d32     mov r, [rip + d32]     the GOT slot of the constant
//! i386     e8 rel32  [58+r]  05 imm32 | 81 c0+r imm32                 r = address behind the call + imm32
//!          8d /r mod 01|10 base r, disp        lea r, [r + disp]      the constant
//!          8b /r mod 01|10 base r, disp        mov r, [r + disp]      the GOT slot of the constant
//! ```

use super::{Code, Place, Reference};

/// Whether the code returns without changing rax any more: only the end of a frame stands before `ret`.
fn returns(mut code: &[u8]) -> bool {
    loop {
        code = match code {
            [0xc3, ..] => return true,
            // pop of any register but rax, leave
            [0x59..=0x5f | 0xc9, rest @ ..] => rest,
            // add rsp, imm8; add esp, imm8; mov ebx, [ebp + d8]
            [0x48, 0x83, 0xc4, _, rest @ ..] | [0x83, 0xc4, _, rest @ ..] | [0x8b, 0x5d, _, rest @ ..] => {
                rest
            }
            _ => return false,
        };
    }
}

/// x86-64, and x32, whose code is the same: addresses relative to the next instruction.
///
/// pgrx's function calls a hook before it returns, so the first reference may be an unrelated one: what counts
/// as returned is the one that goes to rax right before the end.
pub(super) fn rip_relative(code: Code<'_>) -> Vec<Reference> {
    let body = code.body();
    let mut found = Vec::new();
    for at in 0..body.len() {
        let Some(&[opcode @ (0x8d | 0x8b), modrm, d0, d1, d2, d3]) = body[at..].first_chunk() else {
            continue;
        };
        if modrm & 0xc7 != 0x05 {
            continue;
        }
        let displacement = i64::from(i32::from_le_bytes([d0, d1, d2, d3]));
        let next = code.address.wrapping_add(at as u64 + 6);
        let address = next.wrapping_add_signed(displacement);
        let place = if opcode == 0x8d { Place::Here(address) } else { Place::Behind(address) };
        // REX.R (bit 2 of 0x4X) makes the register r8 to r15.
        let rex = at.checked_sub(1).and_then(|before| body.get(before)).copied().unwrap_or(0);
        let is_rax = modrm & 0x38 == 0 && (rex & 0xf0 != 0x40 || rex & 0x04 == 0);
        let is_returned = is_rax && returns(&body[at + 6..]);
        found.push(Reference { place, is_returned });
    }
    found
}

/// i386, position-independent: addresses relative to the GOT, whose own address comes from a call.
pub(super) fn got_relative(code: Code<'_>) -> Vec<Reference> {
    let body = code.body();
    let mut found = Vec::new();
    let mut bases: [Option<u64>; 8] = [None; 8];
    for at in 0..body.len() {
        let rest = &body[at..];
        if let Some((register, base)) = base_after_call(code.address.wrapping_add(at as u64), rest) {
            bases[register] = Some(base);
        }
        let &[opcode @ (0x8d | 0x8b), modrm, ref operand @ ..] = rest else { continue };
        let (displacement, behind) = match (modrm >> 6, operand) {
            (0b01, &[d, ref behind @ ..]) => (i64::from(d.cast_signed()), behind),
            (0b10, &[d0, d1, d2, d3, ref behind @ ..]) => {
                (i64::from(i32::from_le_bytes([d0, d1, d2, d3])), behind)
            }
            _ => continue,
        };
        // rm 100 is a SIB byte, which these shapes do not use; no call sets esp, so its base is unknown.
        let Some(base) = bases[usize::from(modrm & 7)] else { continue };
        let address = base.wrapping_add_signed(displacement) & u64::from(u32::MAX);
        let place = if opcode == 0x8d { Place::Here(address) } else { Place::Behind(address) };
        found.push(Reference { place, is_returned: modrm & 0x38 == 0 && returns(behind) });
    }
    found
}

/// `call` of a thunk that returns its return address (or of the next instruction, then `pop r`), and the
/// `add r, imm32` behind it: the register and what it then holds.
fn base_after_call(address: u64, bytes: &[u8]) -> Option<(usize, u64)> {
    let rest = bytes.strip_prefix(&[0xe8])?;
    let behind = address.wrapping_add(5);
    let rest = rest.get(4..)?;
    let rest = match rest {
        [0x58..=0x5f, rest @ ..] => rest,
        rest => rest,
    };
    let (register, immediate) = match rest {
        [0x05, immediate @ ..] => (0, immediate),
        [0x81, modrm @ 0xc0..=0xc7, immediate @ ..] => (usize::from(modrm & 7), immediate),
        _ => return None,
    };
    let immediate = i32::from_le_bytes(*immediate.first_chunk()?);
    Some((register, behind.wrapping_add_signed(i64::from(immediate)) & u64::from(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{decode, returned};
    use super::*;
    use crate::model::{Class, Endian};
    use object::elf::{EM_386, EM_X86_64};

    fn x86_64(bytes: &[u8]) -> Vec<Reference> {
        decode(EM_X86_64, Class::Bits64, Endian::Little, bytes)
    }

    #[test]
    fn a_leaf_returns_its_lea() {
        // lea rax, [rip+0x100]; ret
        let found = x86_64(&[0x48, 0x8d, 0x05, 0x00, 0x01, 0, 0, 0xc3]);
        assert_eq!(returned(&found), [Place::Here(0x1107)]);
    }

    #[test]
    fn cet_and_a_frame_do_not_matter() {
        // endbr64; push rbp; mov rbp, rsp; lea rax, [rip-4]; pop rbp; ret
        let code = [
            0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5, 0x48, 0x8d, 0x05, 0xfc, 0xff, 0xff, 0xff, 0x5d,
            0xc3,
        ];
        assert_eq!(returned(&x86_64(&code)), [Place::Here(0x100b)]);
    }

    #[test]
    fn of_pgrx_the_last_lea_before_ret_is_returned() {
        // push rax; lea rsi, [rip+0x10]; mov edi, 1; call hook; lea rax, [rip+0x20]; pop rcx; ret; call [rip+0]
        let code = [
            0x50, 0x48, 0x8d, 0x35, 0x10, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0x48, 0x8d, 0x05,
            0x20, 0, 0, 0, 0x59, 0xc3, 0xff, 0x15, 0, 0, 0, 0,
        ];
        let found = x86_64(&code);
        assert_eq!(found.len(), 2);
        assert_eq!(returned(&found), [Place::Here(0x1039)]);
    }

    #[test]
    fn a_got_load_is_behind_its_slot() {
        // mov rax, [rip+0x2fe0]; ret
        let found = x86_64(&[0x48, 0x8b, 0x05, 0xe0, 0x2f, 0, 0, 0xc3]);
        assert_eq!(returned(&found), [Place::Behind(0x3fe7)]);
    }

    #[test]
    fn r8_is_not_returned() {
        // lea r8, [rip+0]; ret
        let found = x86_64(&[0x4c, 0x8d, 0x05, 0, 0, 0, 0, 0xc3]);
        assert_eq!(found.len(), 1);
        assert!(returned(&found).is_empty());
    }

    #[test]
    fn i386_adds_the_thunks_answer() {
        // call __x86.get_pc_thunk.ax; add eax, 0x2ff4; lea eax, [eax-0x1000]; ret
        let code = [0xe8, 0x10, 0, 0, 0, 0x05, 0xf4, 0x2f, 0, 0, 0x8d, 0x80, 0x00, 0xf0, 0xff, 0xff, 0xc3];
        let found = decode(EM_386, Class::Bits32, Endian::Little, &code);
        assert_eq!(returned(&found), [Place::Here(0x1005 + 0x2ff4 - 0x1000)]);
    }

    #[test]
    fn i386_of_clang_pops_its_own_address() {
        // call 1f; 1: pop eax; add eax, 0x2ff4 (81 c0); lea eax, [eax+0x10]; ret
        let code = [0xe8, 0, 0, 0, 0, 0x58, 0x81, 0xc0, 0xf4, 0x2f, 0, 0, 0x8d, 0x40, 0x10, 0xc3];
        let found = decode(EM_386, Class::Bits32, Endian::Little, &code);
        assert_eq!(returned(&found), [Place::Here(0x1005 + 0x2ff4 + 0x10)]);
    }
}
