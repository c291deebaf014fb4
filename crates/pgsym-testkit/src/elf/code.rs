//! Machine code of the functions that PostgreSQL's entry points need: one that returns a number, and one that returns the
//! address of a constant, in the shapes compilers give it. The shapes of `Pg_magic_func` matter because a
//! stripped module's magic block is found by reading them.

use super::encoding::Endian;
use super::machine::Machine;

/// How a function that returns an address is compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeShape {
    /// Optimised: x86-64 `lea rax,[rip+d]; ret`, aarch64 `adrp x0; add x0; ret`.
    Plain,
    /// The same behind `endbr64` (`-fcf-protection`) or `bti c` (`-mbranch-protection=standard`).
    LandingPad,
    /// x86-64 at -O0: `push rbp; mov rbp,rsp; lea rax; pop rbp; ret`.
    FramePointer,
    /// x86-64 pgrx: an unrelated `lea rsi`, a call of a hook, then `lea rax`, and after the `ret` an indirect call.
    Pgrx,
    /// aarch64 relaxed by the linker: `adr x0; nop; ret`.
    AdrNop,
    /// x86-64 through the GOT: `mov rax,[rip+slot]; ret`. The slot is in `.data.rel.ro`, with a relative relocation.
    GotLoad,
    /// i386 position-independent: `call thunk; add eax,imm; lea eax,[eax+d]; ret`.
    PcThunk,
    /// These bytes, whatever they mean.
    Opaque(Vec<u8>),
}

impl CodeShape {
    /// What an optimising compiler writes; for processors whose code the builder does not speak, a bare return.
    pub fn default_for(machine: Machine) -> Self {
        match machine {
            Machine::X86_64 | Machine::X32 | Machine::Aarch64 => Self::Plain,
            Machine::I386 => Self::PcThunk,
            other => Self::Opaque(returns(other, Endian::Little, 0)),
        }
    }
}

/// Addresses a function's code refers to. All are zero while sizes are measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CodeAddresses {
    /// Of the function itself.
    pub(crate) start: u64,
    /// What it returns.
    pub(crate) target: u64,
    /// A GOT slot that holds the target.
    pub(crate) slot: u64,
    /// A datum that has nothing to do with the target.
    pub(crate) unrelated: u64,
    /// A local function that only returns; on i386 the thunk that loads the return address into eax.
    pub(crate) helper: u64,
    /// i386's `_GLOBAL_OFFSET_TABLE_`.
    pub(crate) got: u64,
}

const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
const BTI_C: u32 = 0xd503_245f;
const A64_NOP: u32 = 0xd503_201f;
const A64_RET: u32 = 0xd65f_03c0;

/// Code of a function that returns `at.target`.
///
/// A shape another processor's compiler would write is a mistake in the test and panics.
pub(crate) fn returns_address(shape: &CodeShape, machine: Machine, at: CodeAddresses) -> Vec<u8> {
    let mut code = Vec::new();
    match (shape, machine) {
        (CodeShape::Opaque(bytes), _) => code.extend_from_slice(bytes),
        (CodeShape::Plain, Machine::X86_64 | Machine::X32) => {
            rip_relative(&mut code, &[0x48, 0x8d, 0x05], at.start, at.target); // lea rax,[rip+d]
            code.push(0xc3);
        }
        (CodeShape::LandingPad, Machine::X86_64 | Machine::X32) => {
            code.extend_from_slice(&ENDBR64);
            rip_relative(&mut code, &[0x48, 0x8d, 0x05], at.start, at.target);
            code.push(0xc3);
        }
        (CodeShape::FramePointer, Machine::X86_64 | Machine::X32) => {
            code.extend_from_slice(&[0x55, 0x48, 0x89, 0xe5]); // push rbp; mov rbp,rsp
            rip_relative(&mut code, &[0x48, 0x8d, 0x05], at.start, at.target);
            code.extend_from_slice(&[0x5d, 0xc3]); // pop rbp; ret
        }
        (CodeShape::GotLoad, Machine::X86_64 | Machine::X32) => {
            rip_relative(&mut code, &[0x48, 0x8b, 0x05], at.start, at.slot); // mov rax,[rip+d]
            code.push(0xc3);
        }
        (CodeShape::Pgrx, Machine::X86_64 | Machine::X32) => {
            code.push(0x50); // push rax
            rip_relative(&mut code, &[0x48, 0x8d, 0x35], at.start, at.unrelated); // lea rsi,[rip+d]
            code.extend_from_slice(&[0xbf, 1, 0, 0, 0]); // mov edi,1
            rip_relative(&mut code, &[0xe8], at.start, at.helper); // call hook
            rip_relative(&mut code, &[0x48, 0x8d, 0x05], at.start, at.target); // lea rax,[rip+d]
            code.extend_from_slice(&[0x59, 0xc3]); // pop rcx; ret
            rip_relative(&mut code, &[0xff, 0x15], at.start, at.unrelated); // call [rip+d]: the landing pad
            code.extend_from_slice(&[0x0f, 0x0b]); // ud2
        }
        (CodeShape::PcThunk, Machine::I386) => {
            rip_relative(&mut code, &[0xe8], at.start, at.helper); // call __x86.get_pc_thunk.ax
            let after_call = at.start.wrapping_add(code.len() as u64);
            code.push(0x05); // add eax,imm32
            code.extend_from_slice(&(at.got.wrapping_sub(after_call) as u32).to_le_bytes());
            code.extend_from_slice(&[0x8d, 0x80]); // lea eax,[eax+d32]
            code.extend_from_slice(&(at.target.wrapping_sub(at.got) as u32).to_le_bytes());
            code.push(0xc3);
        }
        (CodeShape::Plain, Machine::Aarch64) => adrp_add(&mut code, at.start, at.target),
        (CodeShape::LandingPad, Machine::Aarch64) => {
            code.extend_from_slice(&BTI_C.to_le_bytes());
            adrp_add(&mut code, at.start + 4, at.target);
        }
        (CodeShape::AdrNop, Machine::Aarch64) => {
            let distance = at.target.wrapping_sub(at.start) as u32;
            let adr = 0x1000_0000 | (distance & 3) << 29 | ((distance >> 2) & 0x7_ffff) << 5; // adr x0
            for instruction in [adr, A64_NOP, A64_RET] {
                code.extend_from_slice(&instruction.to_le_bytes());
            }
        }
        (shape, machine) => panic!("{shape:?} is no shape of {machine:?}'s compilers"),
    }
    code
}

/// The local function a shape calls.
pub(crate) fn helper(machine: Machine) -> &'static [u8] {
    match machine {
        Machine::I386 => &[0x8b, 0x04, 0x24, 0xc3], // mov eax,[esp]; ret
        _ => &[0xc3],
    }
}

/// Code of a function that returns a number.
pub(crate) fn returns(machine: Machine, endian: Endian, value: u32) -> Vec<u8> {
    let instructions = |words: &[u32], endian: Endian| -> Vec<u8> {
        words
            .iter()
            .flat_map(|word| match endian {
                Endian::Little => word.to_le_bytes(),
                Endian::Big => word.to_be_bytes(),
            })
            .collect()
    };
    match machine {
        Machine::X86_64 | Machine::X32 | Machine::I386 => {
            let [a, b, c, d] = value.to_le_bytes();
            vec![0xb8, a, b, c, d, 0xc3] // mov eax,imm32; ret
        }
        // mov w0,#imm16; ret
        Machine::Aarch64 => instructions(&[0x5280_0000 | (value & 0xffff) << 5, A64_RET], Endian::Little),
        // mov r0,#imm8; bx lr
        Machine::Arm => instructions(&[0xe3a0_0000 | (value & 0xff), 0xe12f_ff1e], Endian::Little),
        // li r3,imm15; blr
        Machine::Ppc64Le | Machine::Ppc => {
            instructions(&[0x3860_0000 | (value & 0x7fff), 0x4e80_0020], endian)
        }
        // lghi %r2,imm15; br %r14
        Machine::S390x => {
            let [.., high, low] = (value & 0x7fff).to_be_bytes();
            vec![0xa7, 0x29, high, low, 0x07, 0xfe]
        }
        // addi a0,zero,imm11; ret
        Machine::RiscV64 => instructions(&[0x0000_0513 | (value & 0x7ff) << 20, 0x0000_8067], Endian::Little),
        // addi.w $a0,$zero,imm11; jr $ra
        Machine::LoongArch64 => {
            instructions(&[0x0280_0004 | (value & 0x7ff) << 10, 0x4c00_0020], Endian::Little)
        }
        Machine::Other(_) => vec![0; 16],
    }
}

/// Appends an opcode and the 32-bit distance from the instruction's end to `target`.
fn rip_relative(code: &mut Vec<u8>, opcode: &[u8], start: u64, target: u64) {
    code.extend_from_slice(opcode);
    let end = start.wrapping_add(code.len() as u64 + 4);
    code.extend_from_slice(&(target.wrapping_sub(end) as u32).to_le_bytes());
}

fn adrp_add(code: &mut Vec<u8>, pc: u64, target: u64) {
    let pages = ((target >> 12).wrapping_sub(pc >> 12)) as u32;
    let adrp = 0x9000_0000 | (pages & 3) << 29 | ((pages >> 2) & 0x7_ffff) << 5;
    let add = 0x9100_0000 | ((target & 0xfff) as u32) << 10;
    for instruction in [adrp, add, A64_RET] {
        code.extend_from_slice(&instruction.to_le_bytes());
    }
}
