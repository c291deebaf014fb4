//! This machine's processor, as its own loader sees it: what pgsym predicts is compared with that loader.

use pgsym_core::resolve::{CpuLevel, LegacyNames, LoaderOptions};

/// The loader's options that stand for this machine.
pub(crate) fn own_loader() -> LoaderOptions {
    LoaderOptions {
        cpu: Some(CpuLevel::of_this_machine()),
        legacy: legacy_names(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
        ..LoaderOptions::default()
    }
}

/// `init_cpu_features` of glibc up to 2.36 (sysdeps/x86/cpu-features.c), from the flags that the kernel lists.
fn legacy_names(cpuinfo: &str) -> LegacyNames {
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
        line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
    };
    if field("vendor_id") != "GenuineIntel" {
        return LegacyNames::default();
    }
    let flags: Vec<&str> = field("flags").split(' ').collect();
    let has = |wanted: &[&str]| wanted.iter().all(|flag| flags.contains(flag));
    let is_phi = has(&["avx512cd", "avx512er", "avx512pf"]);
    let is_haswell = has(&["avx2", "bmi1", "bmi2", "abm", "movbe", "popcnt", "fma"]);
    let is_server = !has(&["avx512er"]) && has(&["avx512cd", "avx512bw", "avx512dq", "avx512vl"]);
    LegacyNames {
        platform: if is_phi { Some("xeon_phi") } else { is_haswell.then_some("haswell") },
        hwcap: is_server.then_some("avx512_1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processors_of_intel_have_old_names() {
        let flags = "flags : fpu fma movbe popcnt abm bmi1 avx2 bmi2";
        let of = |vendor: &str| legacy_names(&format!("processor\t: 0\nvendor_id\t: {vendor}\n{flags}\n"));
        assert_eq!(of("GenuineIntel"), LegacyNames { platform: Some("haswell"), hwcap: None });
        assert_eq!(of("AuthenticAMD"), LegacyNames::default());
    }
}
