//! What is being built for, from the variables that describe Cargo's target. The host plays no part.

use pgsym_core::exports::Platform;

use crate::env::Env;
use crate::error::{Error, ErrorKind};

/// The compilation target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The triple.
    pub(crate) triple: String,
    /// ELF or Mach-O.
    pub(crate) format: Format,
    arch: String,
    pointer_width: u8,
    is_little_endian: bool,
    /// musl with `crt-static`: rustc drops the crate type cdylib.
    pub(crate) drops_cdylib: bool,
}

/// The object format of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Linux, Android and the BSDs.
    Elf,
    /// macOS.
    MachO,
}

impl Target {
    /// Reads the target that Cargo builds for.
    pub(crate) fn from_env(env: &Env) -> Result<Self, Error> {
        let triple = env.required("TARGET")?;
        let os = env.required("CARGO_CFG_TARGET_OS")?;
        let format = match os.as_str() {
            "macos" => Format::MachO,
            "linux" | "android" | "freebsd" | "netbsd" | "openbsd" | "dragonfly" => Format::Elf,
            _ => {
                let message = format!(
                    "cannot make a PostgreSQL module for {triple}: its linker takes neither version scripts nor \
                     exported-symbols lists; targets on Linux, the BSDs and macOS can be built"
                );
                return Err(Error::new(ErrorKind::UnsupportedTarget, message));
            }
        };
        let features = env.text("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
        let is_static = features.split(',').any(|feature| feature == "crt-static");
        let is_musl = env.text("CARGO_CFG_TARGET_ENV").as_deref() == Some("musl");
        Ok(Self {
            triple,
            format,
            arch: env.required("CARGO_CFG_TARGET_ARCH")?,
            pointer_width: if env.required("CARGO_CFG_TARGET_POINTER_WIDTH")? == "32" { 32 } else { 64 },
            is_little_endian: env.required("CARGO_CFG_TARGET_ENDIAN")? == "little",
            drops_cdylib: is_musl && is_static,
        })
    }

    /// Checks that an object was compiled for this target.
    pub(crate) fn check(&self, label: &str, platform: Platform) -> Result<(), Error> {
        let is_macho = self.format == Format::MachO;
        // A machine that pgsym has no name for is left to the linker.
        let is_same_machine = platform.arch == "unknown"
            || (platform.arch, platform.pointer_width, platform.is_little_endian)
                == (self.arch.as_str(), self.pointer_width, self.is_little_endian);
        if is_same_machine && platform.is_macho == is_macho {
            return Ok(());
        }
        let order = if platform.is_little_endian { "little" } else { "big" };
        let format = if platform.is_macho { "Mach-O" } else { "ELF" };
        let message = format!(
            "{label} is {format} for {} ({}-bit, {order} endian), but the target is {}; compile it for the target \
             (CC_{} names the compiler that cc takes)",
            platform.arch,
            platform.pointer_width,
            self.triple,
            self.triple.replace('-', "_"),
        );
        Err(Error::new(ErrorKind::WrongArchitecture, message))
    }
}

/// The variables Cargo sets for a target, for tests.
#[cfg(test)]
pub(crate) fn variables(triple: &'static str) -> Vec<(&'static str, &'static str)> {
    let arch = triple.split('-').next().unwrap_or_default();
    let (os, environment) = match triple {
        _ if triple.contains("apple-darwin") => ("macos", ""),
        _ if triple.contains("windows") => ("windows", "msvc"),
        _ if triple.ends_with("musl") => ("linux", "musl"),
        _ => ("linux", "gnu"),
    };
    vec![
        ("TARGET", triple),
        ("HOST", "x86_64-unknown-linux-gnu"),
        ("CARGO_CFG_TARGET_OS", os),
        ("CARGO_CFG_TARGET_ENV", environment),
        ("CARGO_CFG_TARGET_ARCH", arch),
        ("CARGO_CFG_TARGET_POINTER_WIDTH", "64"),
        ("CARGO_CFG_TARGET_ENDIAN", if arch == "s390x" { "big" } else { "little" }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(triple: &'static str) -> Result<Target, Error> {
        Target::from_env(&Env::fixed(&variables(triple)))
    }

    #[test]
    fn the_target_decides_and_not_the_host() {
        assert_eq!(target("aarch64-apple-darwin").unwrap().format, Format::MachO);
        assert_eq!(target("aarch64-unknown-linux-gnu").unwrap().format, Format::Elf);
        let error = target("x86_64-pc-windows-msvc").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedTarget);
    }

    #[test]
    fn musl_without_dynamic_crt_has_no_cdylib() {
        let mut variables = variables("x86_64-unknown-linux-musl");
        variables.push(("CARGO_CFG_TARGET_FEATURE", "fxsr,crt-static"));
        assert!(Target::from_env(&Env::fixed(&variables)).unwrap().drops_cdylib);
        assert!(!target("x86_64-unknown-linux-musl").unwrap().drops_cdylib);
    }

    #[test]
    fn an_object_of_another_machine_is_refused() {
        let elf = |arch| Platform { is_macho: false, arch, pointer_width: 64, is_little_endian: true };
        let target = target("x86_64-unknown-linux-gnu").unwrap();
        target.check("shim.c", elf("x86_64")).unwrap();
        let error = target.check("shim.c", elf("aarch64")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongArchitecture);
        assert!(
            error.to_string().starts_with("shim.c is ELF for aarch64 (64-bit, little endian), but"),
            "{error}"
        );
    }
}
