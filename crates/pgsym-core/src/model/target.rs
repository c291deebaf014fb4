//! What machine a binary is for, in the terms of the ELF header.

use std::fmt;

use object::elf;

/// Word size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// ELFCLASS32.
    Bits32,
    /// ELFCLASS64.
    Bits64,
}

/// Byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endian {
    /// ELFDATA2LSB.
    Little,
    /// ELFDATA2MSB.
    Big,
}

/// What an object was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    /// `e_machine`.
    pub machine: elf::Machine,
    /// Word size.
    pub class: Class,
    /// Byte order.
    pub endian: Endian,
    /// `e_ident[EI_OSABI]`.
    pub os_abi: u8,
    /// `e_ident[EI_ABIVERSION]`.
    pub abi_version: u8,
    /// `e_flags`: on ARM, MIPS, RISC-V and others a part of the ABI.
    pub flags: u32,
}

impl Target {
    /// Where nothing else says for which machine.
    #[cfg(feature = "audit")]
    pub(crate) const X86_64: Self = Self {
        machine: elf::EM_X86_64,
        class: Class::Bits64,
        endian: Endian::Little,
        os_abi: 0,
        abi_version: 0,
        flags: 0,
    };

    /// Whether an object without PT_GNU_STACK has an executable stack: DEFAULT_STACK_PERMS has PF_X there
    /// (sysdeps/*/stackinfo.h of glibc).
    #[cfg(feature = "audit")]
    pub(crate) fn has_executable_stack_by_default(self) -> bool {
        match self.machine {
            elf::EM_X86_64 | elf::EM_386 | elf::EM_ARM | elf::EM_S390 => true,
            elf::EM_PPC => self.class == Class::Bits32,
            _ => false,
        }
    }

    /// Bytes of a pointer.
    pub fn pointer_size(self) -> u64 {
        match self.class {
            Class::Bits32 => 4,
            Class::Bits64 => 8,
        }
    }

    /// Whether a process of `self` can map an object of `other`: word size, byte order and machine.
    pub fn same_machine(self, other: Self) -> bool {
        (self.machine, self.class, self.endian) == (other.machine, other.class, other.endian)
    }

    /// The name that packagers use: `x86_64`, `aarch64`, `ppc64le`.
    pub fn arch(self) -> String {
        let name = match (self.machine, self.class, self.endian) {
            (elf::EM_X86_64, Class::Bits64, _) => "x86_64",
            (elf::EM_X86_64, Class::Bits32, _) => "x32",
            (elf::EM_386, ..) => "i386",
            (elf::EM_AARCH64, Class::Bits64, Endian::Little) => "aarch64",
            (elf::EM_AARCH64, Class::Bits64, Endian::Big) => "aarch64_be",
            (elf::EM_ARM, _, Endian::Little) => "arm",
            (elf::EM_ARM, _, Endian::Big) => "armeb",
            (elf::EM_S390, Class::Bits64, _) => "s390x",
            (elf::EM_S390, Class::Bits32, _) => "s390",
            (elf::EM_PPC64, _, Endian::Little) => "ppc64le",
            (elf::EM_PPC64, _, Endian::Big) => "ppc64",
            (elf::EM_PPC, ..) => "ppc",
            (elf::EM_RISCV, Class::Bits64, _) => "riscv64",
            (elf::EM_RISCV, Class::Bits32, _) => "riscv32",
            (elf::EM_LOONGARCH, Class::Bits64, _) => "loongarch64",
            (elf::EM_MIPS, Class::Bits64, Endian::Little) => "mips64el",
            (elf::EM_MIPS, Class::Bits64, Endian::Big) => "mips64",
            (elf::EM_MIPS, Class::Bits32, Endian::Little) => "mipsel",
            (elf::EM_MIPS, Class::Bits32, Endian::Big) => "mips",
            (machine, class, endian) => {
                let bits = if class == Class::Bits64 { 64 } else { 32 };
                let order = if endian == Endian::Little { "le" } else { "be" };
                return format!("machine {} ({bits}-bit {order})", machine.0);
            }
        };
        name.to_owned()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arch())
    }
}

/// What kind of object a file is, by `e_type` and DF_1_PIE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// ET_EXEC.
    Executable,
    /// ET_DYN with DF_1_PIE.
    PositionIndependentExecutable,
    /// ET_DYN.
    SharedObject,
    /// ET_REL.
    Relocatable,
    /// ET_CORE.
    Core,
    /// Any other `e_type`.
    Other(u16),
}
