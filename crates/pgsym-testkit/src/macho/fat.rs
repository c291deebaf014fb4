//! Fat files: a big-endian header and the slices, each at a multiple of 16 KiB.

use super::image::MachCpu;

/// Whether the header has 32-bit or 64-bit places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FatWidth {
    /// 0xcafebabe
    Bits32,
    /// 0xcafebabf
    Bits64,
}

/// Puts slices into one file.
pub fn fat(width: FatWidth, slices: &[(MachCpu, Vec<u8>)]) -> Vec<u8> {
    const ALIGN: usize = 0x4000;
    let mut head = Vec::new();
    let mut word = |value: u32| head.extend(value.to_be_bytes());
    word(if width == FatWidth::Bits32 { 0xcafe_babe } else { 0xcafe_babf });
    word(slices.len() as u32);
    let mut at = ALIGN;
    for (cpu, bytes) in slices {
        let (cpu_type, cpu_subtype) = cpu.types();
        word(cpu_type);
        word(cpu_subtype);
        for number in [at as u32, bytes.len() as u32] {
            if width == FatWidth::Bits64 {
                word(0);
            }
            word(number);
        }
        word(14);
        if width == FatWidth::Bits64 {
            word(0);
        }
        at = (at + bytes.len()).next_multiple_of(ALIGN);
    }
    for (_, bytes) in slices {
        head.resize(head.len().next_multiple_of(ALIGN), 0);
        head.extend(bytes);
    }
    head
}
