//! What the processor decides: the subdirectories that glibc searches before each directory itself, today's
//! `glibc-hwcaps` and those of old.

use std::fmt;

use object::elf;

use crate::model::{Class, Target};
use crate::name::Name;

/// The x86-64 micro-architecture level of the processor, which decides about `glibc-hwcaps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum CpuLevel {
    /// The baseline.
    #[default]
    V1,
    /// SSE4.2.
    V2,
    /// AVX2.
    V3,
    /// AVX-512.
    V4,
}

impl fmt::Display for CpuLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "x86-64-v1",
            Self::V2 => "x86-64-v2",
            Self::V3 => "x86-64-v3",
            Self::V4 => "x86-64-v4",
        })
    }
}

impl CpuLevel {
    /// The level of this machine's processor, decided as glibc does (sysdeps/x86/get-isa-level.h).
    #[cfg(target_arch = "x86_64")]
    pub fn of_this_machine() -> Self {
        use std::is_x86_feature_detected as has;
        let v2 = has!("cmpxchg16b")
            && has!("popcnt")
            && has!("sse3")
            && has!("ssse3")
            && has!("sse4.1")
            && has!("sse4.2");
        let v3 = v2
            && has!("avx")
            && has!("avx2")
            && has!("bmi1")
            && has!("bmi2")
            && has!("f16c")
            && has!("fma")
            && has!("lzcnt")
            && has!("movbe");
        let v4 = v3
            && has!("avx512f")
            && has!("avx512bw")
            && has!("avx512cd")
            && has!("avx512dq")
            && has!("avx512vl");
        match (v2, v3, v4) {
            (_, _, true) => Self::V4,
            (_, true, _) => Self::V3,
            (true, ..) => Self::V2,
            _ => Self::V1,
        }
    }

    /// The level of this machine's processor: other machines have no such levels.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn of_this_machine() -> Self {
        Self::V1
    }
}

/// What glibc up to 2.36 calls some processors of Intel: directories of these names are searched, and `$PLATFORM` is one
/// of them (`init_cpu_features`, sysdeps/x86/cpu-features.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LegacyNames {
    /// `haswell` or `xeon_phi`, instead of what the kernel says.
    pub platform: Option<&'static str>,
    /// `avx512_1`.
    pub hwcap: Option<&'static str>,
}

/// The `glibc-hwcaps` subdirectories that a processor supports, best first (sysdeps/*/dl-hwcaps-subdirs.c).
pub(super) fn hwcaps(target: Target, cpu: CpuLevel) -> Vec<Name> {
    if (target.machine, target.class) != (elf::EM_X86_64, Class::Bits64) {
        return Vec::new();
    }
    [(CpuLevel::V4, "x86-64-v4"), (CpuLevel::V3, "x86-64-v3"), (CpuLevel::V2, "x86-64-v2")]
        .into_iter()
        .filter(|&(level, _)| level <= cpu)
        .map(|(_, name)| Name::from(name))
        .collect()
}

/// The subdirectories of glibc up to 2.36: every subset of `tls`, the platform, the processor's hwcap and on x86-64 the
/// hwcap `x86_64`, in falling order (elf/dl-hwcaps.c `_dl_important_hwcaps`; the order was read off LD_DEBUG=libs).
pub(super) fn legacy_subdirectories(
    target: Target,
    platform: Option<&Name>,
    hwcap: Option<&str>,
) -> Vec<Name> {
    let mut parts = vec!["tls".to_owned()];
    parts.extend(platform.map(ToString::to_string));
    parts.extend(hwcap.map(str::to_owned));
    if target.machine == elf::EM_X86_64 {
        parts.push("x86_64".to_owned());
    }
    let mut subdirectories: Vec<Name> = Vec::new();
    for mask in (1..1_u32 << parts.len()).rev() {
        let chosen: Vec<&str> = parts
            .iter()
            .enumerate()
            .filter(|(index, _)| mask & (1 << (parts.len() - 1 - index)) != 0)
            .map(|(_, part)| part.as_str())
            .collect();
        let name = Name::from(chosen.join("/").as_str());
        // The second probe of the same directory cannot answer differently.
        if !subdirectories.contains(&name) {
            subdirectories.push(name);
        }
    }
    subdirectories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_subdirectories_come_in_the_order_of_the_loader() {
        let target = Target::X86_64;
        let names = |platform, hwcap| -> Vec<String> {
            let found = legacy_subdirectories(target, Some(&Name::from(platform)), hwcap);
            found.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            names("x86_64", None),
            ["tls/x86_64/x86_64", "tls/x86_64", "tls", "x86_64/x86_64", "x86_64"]
        );
        // As a processor with AVX-512 lists them.
        assert_eq!(
            names("haswell", Some("avx512_1"))[..8],
            [
                "tls/haswell/avx512_1/x86_64",
                "tls/haswell/avx512_1",
                "tls/haswell/x86_64",
                "tls/haswell",
                "tls/avx512_1/x86_64",
                "tls/avx512_1",
                "tls/x86_64",
                "tls"
            ]
        );
    }
}
