//! What differs between processors: `e_machine`, the usual class and byte order, `e_flags`, and the numbers of the
//! dynamic relocations (processor supplements of the System V ABI; names as in `elf.h`).

use super::encoding::{Class, Encoding, Endian};
use super::relocations::RelocationStyle;

/// A processor, with the encoding its GNU/Linux port uses. [`SharedObject::class`] and
/// [`SharedObject::endian`] can contradict it.
///
/// [`SharedObject::class`]: crate::SharedObject::class
/// [`SharedObject::endian`]: crate::SharedObject::endian
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// `EM_X86_64`, 64-bit
    X86_64,
    /// `EM_X86_64`, `ELFCLASS32`
    X32,
    /// `EM_386`
    I386,
    /// `EM_AARCH64`, little endian
    Aarch64,
    /// `EM_ARM`, EABI 5, hard float
    Arm,
    /// `EM_PPC64`, ELFv2, little endian
    Ppc64Le,
    /// `EM_PPC`, big endian
    Ppc,
    /// `EM_S390`, 64-bit, big endian; its `DT_HASH` has 8-byte entries
    S390x,
    /// `EM_RISCV`, 64-bit, double float
    RiscV64,
    /// `EM_LOONGARCH`, 64-bit
    LoongArch64,
    /// Any other `e_machine`: x86-64's relocation numbers, 64-bit little endian.
    Other(u16),
}

/// Numbers of the dynamic relocations the builder uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RelocationNumbers {
    pub(crate) absolute: u32,
    pub(crate) glob_dat: u32,
    pub(crate) jump_slot: u32,
    pub(crate) relative: u32,
    pub(crate) tpoff: u32,
}

impl Machine {
    /// Every processor the builder knows by name.
    pub const ALL: [Self; 10] = [
        Self::X86_64,
        Self::X32,
        Self::I386,
        Self::Aarch64,
        Self::Arm,
        Self::Ppc64Le,
        Self::Ppc,
        Self::S390x,
        Self::RiscV64,
        Self::LoongArch64,
    ];

    /// `e_machine`.
    pub fn e_machine(self) -> u16 {
        match self {
            Self::X86_64 | Self::X32 => 62,
            Self::I386 => 3,
            Self::Aarch64 => 183,
            Self::Arm => 40,
            Self::Ppc64Le => 21,
            Self::Ppc => 20,
            Self::S390x => 22,
            Self::RiscV64 => 243,
            Self::LoongArch64 => 258,
            Self::Other(number) => number,
        }
    }

    /// The encoding of the processor's GNU/Linux port.
    pub fn encoding(self) -> Encoding {
        let class = match self {
            Self::X32 | Self::I386 | Self::Arm | Self::Ppc => Class::Elf32,
            _ => Class::Elf64,
        };
        let endian = match self {
            Self::Ppc | Self::S390x => Endian::Big,
            _ => Endian::Little,
        };
        Encoding { class, endian }
    }

    pub(crate) fn e_flags(self) -> u32 {
        match self {
            Self::Arm => 0x0500_0400,  // EF_ARM_EABI_VER5 | EF_ARM_ABI_FLOAT_HARD
            Self::Ppc64Le => 2,        // ELFv2
            Self::RiscV64 => 5,        // EF_RISCV_RVC | EF_RISCV_FLOAT_ABI_DOUBLE
            Self::LoongArch64 => 0x43, // object ABI v1, double float
            _ => 0,
        }
    }

    /// Largest page size of the port: the alignment of PT_LOAD.
    pub(crate) fn page(self) -> u64 {
        match self {
            Self::Aarch64 | Self::Ppc64Le | Self::Ppc | Self::Arm | Self::LoongArch64 => 0x1_0000,
            _ => 0x1000,
        }
    }

    /// Bytes of one `DT_HASH` entry: 4, but 8 on s390x (and Alpha).
    pub(crate) fn hash_entry_size(self) -> u64 {
        if self == Self::S390x { 8 } else { 4 }
    }

    pub(crate) fn relocation_style(self) -> RelocationStyle {
        match self {
            Self::I386 | Self::Arm => RelocationStyle::Rel,
            _ => RelocationStyle::Rela,
        }
    }

    pub(crate) fn relocations(self) -> RelocationNumbers {
        let numbers = |absolute, glob_dat, jump_slot, relative, tpoff| RelocationNumbers {
            absolute,
            glob_dat,
            jump_slot,
            relative,
            tpoff,
        };
        match self {
            Self::X86_64 | Self::Other(_) => numbers(1, 6, 7, 8, 18),
            Self::X32 => numbers(10, 6, 7, 8, 18),
            Self::I386 => numbers(1, 6, 7, 8, 14),
            Self::Aarch64 => numbers(257, 1025, 1026, 1027, 1030),
            Self::Arm => numbers(2, 21, 22, 23, 19),
            Self::Ppc64Le => numbers(38, 20, 21, 22, 73),
            Self::Ppc => numbers(1, 20, 21, 22, 73),
            Self::S390x => numbers(22, 10, 11, 12, 56),
            // These two have no GLOB_DAT: the plain word relocation fills the GOT.
            Self::RiscV64 | Self::LoongArch64 => numbers(2, 2, 5, 3, 11),
        }
    }
}
