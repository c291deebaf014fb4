//! What systems of a machine usually have, and what the machine is called in their paths.

use std::path::PathBuf;

use object::elf;

use crate::model::{Class, Endian, Target};
use crate::name::Name;

/// The loader that programs of a machine name in PT_INTERP, after the psABI of each.
pub fn usual_interpreter(target: Target) -> Option<&'static str> {
    Some(match (target.machine, target.class, target.endian) {
        (elf::EM_X86_64, Class::Bits64, _) => "/lib64/ld-linux-x86-64.so.2",
        (elf::EM_X86_64, Class::Bits32, _) => "/libx32/ld-linux-x32.so.2",
        (elf::EM_386, ..) => "/lib/ld-linux.so.2",
        (elf::EM_AARCH64, ..) => "/lib/ld-linux-aarch64.so.1",
        (elf::EM_ARM, ..) => "/lib/ld-linux-armhf.so.3",
        (elf::EM_PPC64, _, Endian::Little) => "/lib64/ld64.so.2",
        (elf::EM_S390, Class::Bits64, _) => "/lib/ld64.so.1",
        (elf::EM_RISCV, Class::Bits64, _) => "/lib/ld-linux-riscv64-lp64d.so.1",
        (elf::EM_LOONGARCH, Class::Bits64, _) => "/lib64/ld-linux-loongarch-lp64d.so.1",
        _ => return None,
    })
}

/// Where no loader is at hand: the layout of the FHS with the Debian directories before it, which do
/// not exist elsewhere.
pub(super) fn usual_directories(target: Target) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    if let Some(tuple) = multiarch_tuple(target) {
        directories.push(PathBuf::from(format!("/lib/{tuple}")));
        directories.push(PathBuf::from(format!("/usr/lib/{tuple}")));
    }
    let names: &[&str] = match target.class {
        Class::Bits64 => &["/lib64", "/usr/lib64", "/lib", "/usr/lib"],
        Class::Bits32 => &["/lib", "/usr/lib"],
    };
    directories.extend(names.iter().map(PathBuf::from));
    directories
}

/// Debian's name of a machine.
fn multiarch_tuple(target: Target) -> Option<&'static str> {
    Some(match (target.machine, target.class, target.endian) {
        (elf::EM_X86_64, Class::Bits64, _) => "x86_64-linux-gnu",
        (elf::EM_386, ..) => "i386-linux-gnu",
        (elf::EM_AARCH64, ..) => "aarch64-linux-gnu",
        (elf::EM_ARM, ..) => "arm-linux-gnueabihf",
        (elf::EM_PPC64, _, Endian::Little) => "powerpc64le-linux-gnu",
        (elf::EM_S390, Class::Bits64, _) => "s390x-linux-gnu",
        (elf::EM_RISCV, Class::Bits64, _) => "riscv64-linux-gnu",
        _ => return None,
    })
}

pub(crate) fn musl_arch(target: Target) -> &'static str {
    match (target.machine, target.class, target.endian) {
        (elf::EM_X86_64, Class::Bits64, _) => "x86_64",
        (elf::EM_X86_64, Class::Bits32, _) => "x32",
        (elf::EM_386, ..) => "i386",
        (elf::EM_AARCH64, ..) => "aarch64",
        (elf::EM_ARM, ..) => "armhf",
        (elf::EM_PPC64, _, Endian::Little) => "powerpc64le",
        (elf::EM_S390, ..) => "s390x",
        (elf::EM_RISCV, ..) => "riscv64",
        (elf::EM_LOONGARCH, ..) => "loongarch64",
        _ => "unknown",
    }
}

/// AT_PLATFORM as the kernel gives it.
pub(super) fn platform(target: Target) -> Option<Name> {
    let name = match (target.machine, target.class) {
        (elf::EM_X86_64, _) => "x86_64",
        (elf::EM_386, _) => "i686",
        (elf::EM_AARCH64, _) => "aarch64",
        (elf::EM_ARM, _) => "v7l",
        _ => return None,
    };
    Some(Name::from(name))
}
