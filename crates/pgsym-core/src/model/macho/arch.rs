//! Which machine a Mach-O file, or a slice of a fat one, is for, and which slice dyld takes.

use std::fmt;
use std::sync::Arc;

use object::macho;

use super::super::Module;
use crate::error::FileError;

/// A part of a fat file, or the whole of a thin one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// What it is for.
    pub arch: MachArch,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Length in bytes.
    pub size: u64,
    /// Whether the file has a fat header.
    pub is_fat: bool,
}

/// A further slice of a fat file.
#[derive(Debug, Clone)]
pub struct FatSlice {
    /// What the fat header says that it is for.
    pub arch: MachArch,
    /// The slice, or why it cannot be read.
    pub module: Result<Arc<Module>, FileError>,
}

/// `cputype` and `cpusubtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachArch {
    /// `cputype`.
    pub cpu_type: u32,
    /// `cpusubtype`, capability bits included.
    pub cpu_subtype: u32,
}

impl MachArch {
    /// x86_64.
    pub const X86_64: Self = Self { cpu_type: macho::CPU_TYPE_X86_64.0, cpu_subtype: 3 };
    /// arm64.
    pub const ARM64: Self = Self { cpu_type: macho::CPU_TYPE_ARM64.0, cpu_subtype: 0 };

    /// The name that `lipo` uses: `arm64`, `arm64e`, `x86_64`.
    pub fn name(self) -> String {
        let subtype = self.cpu_subtype & !macho::CPU_SUBTYPE_MASK;
        let name = match (macho::CpuType(self.cpu_type), subtype) {
            (macho::CPU_TYPE_X86_64, 8) => "x86_64h",
            (macho::CPU_TYPE_X86_64, _) => "x86_64",
            (macho::CPU_TYPE_X86, _) => "i386",
            (macho::CPU_TYPE_ARM64, 2) => "arm64e",
            (macho::CPU_TYPE_ARM64, _) => "arm64",
            (macho::CPU_TYPE_ARM64_32, _) => "arm64_32",
            (macho::CPU_TYPE_ARM, 9) => "armv7",
            (macho::CPU_TYPE_ARM, 11) => "armv7s",
            (macho::CPU_TYPE_ARM, _) => "arm",
            (macho::CPU_TYPE_POWERPC, _) => "ppc",
            (macho::CPU_TYPE_POWERPC64, _) => "ppc64",
            _ => return format!("cputype {:#x} subtype {subtype:#x}", self.cpu_type),
        };
        name.to_owned()
    }

    /// The architecture of a name as [`Self::name`] writes it; `aarch64` is arm64 too.
    pub fn from_name(name: &str) -> Option<Self> {
        let of = |cpu_type: macho::CpuType, cpu_subtype| Some(Self { cpu_type: cpu_type.0, cpu_subtype });
        match name {
            "x86_64" | "x64" => Some(Self::X86_64),
            "x86_64h" => of(macho::CPU_TYPE_X86_64, 8),
            "arm64" | "aarch64" => Some(Self::ARM64),
            "arm64e" => of(macho::CPU_TYPE_ARM64, 2),
            "i386" => of(macho::CPU_TYPE_X86, 3),
            _ => None,
        }
    }

    /// How well a slice of `self` suits a process of `process`, best first; none where it cannot be loaded
    /// (dyld: `GradedArchitectures`). A process of third-party code is arm64, never arm64e, and an x86_64 one may run
    /// on a processor without x86_64h.
    pub fn grade(self, process: Self) -> Option<u32> {
        let subtype = |arch: Self| arch.cpu_subtype & !macho::CPU_SUBTYPE_MASK;
        if self.cpu_type != process.cpu_type {
            return None;
        }
        match (macho::CpuType(self.cpu_type), subtype(self), subtype(process)) {
            (macho::CPU_TYPE_ARM64, 2, 2) => Some(0),
            (macho::CPU_TYPE_ARM64, 2, _) | (macho::CPU_TYPE_ARM64, _, 2) => None,
            (macho::CPU_TYPE_X86_64, 8, 8) => Some(0),
            (macho::CPU_TYPE_X86_64, 8, _) => None,
            (macho::CPU_TYPE_X86_64, _, 8) => Some(1),
            _ => Some(0),
        }
    }
}

impl fmt::Display for MachArch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm64e_slice_is_no_use_to_an_arm64_process() {
        let arm64e = MachArch::from_name("arm64e").unwrap();
        assert_eq!(arm64e.grade(MachArch::ARM64), None);
        assert_eq!(MachArch::ARM64.grade(MachArch::ARM64), Some(0));
        assert_eq!(MachArch::X86_64.grade(MachArch::ARM64), None);
    }
}
