//! The options that describe the process being modelled, and the settings that they make.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::str::FromStr;

use pgsym_core::extension::{ExtensionSettings, SearchSettings, preload_names};
use pgsym_core::model::MachArch;
use pgsym_core::name::Name;
use pgsym_core::postgres::Profile;
use pgsym_core::resolve::{CpuLevel, Libc, LoaderOptions};
use pgsym_core::tree::{ServerChoice, Settings};

use super::Root;

/// The process that loads the modules.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Process")]
pub(crate) struct Process {
    /// The postgres binary, its prefix, or the pg_config beside it; nothing of it is executed
    #[arg(long, value_name = "PATH")]
    pub(crate) server: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) root: Root,
    /// The server's LD_LIBRARY_PATH; never taken from this program's environment
    #[arg(long, value_name = "DIRS")]
    pub(crate) library_path: Option<OsString>,
    /// The server's dynamic_library_path
    #[arg(long, value_name = "DIRS")]
    pub(crate) dynamic_library_path: Option<String>,
    /// The server's extension_control_path (PostgreSQL 18)
    #[arg(long, value_name = "DIRS", value_parser = parse_control_path)]
    pub(crate) extension_control_path: Option<String>,
    /// shared_preload_libraries, in the setting's own grammar: loaded first, in this order
    #[arg(long, value_name = "NAMES", value_parser = parse_preload)]
    pub(crate) preload: Vec<Preload>,
    /// glibc, glibc-VERSION or musl; read from the server's PT_INTERP when not given
    #[arg(long, value_name = "LIBC")]
    pub(crate) libc: Option<LibcName>,
    /// The architecture that universal Mach-O files are loaded for; every one of the server's when not given
    #[arg(long, value_name = "ARCH", value_parser = parse_arch)]
    pub(crate) arch: Option<MachArch>,
    /// A macOS SDK, whose stubs (.tbd) tell which libraries the system has and which symbols they list
    #[arg(long, value_name = "DIR")]
    pub(crate) sdk: Option<PathBuf>,
    /// The major version: its built-in server, 13 to 18, takes the place of any that the tree has; a --server must be of it
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = parse_major)]
    pub(crate) pg_version: Vec<u32>,
    /// pg_config --sharedir, where the layout does not tell it
    #[arg(long, value_name = "DIR")]
    pub(crate) sharedir: Option<PathBuf>,
    /// pg_config --pkglibdir, where the layout does not tell it
    #[arg(long, value_name = "DIR")]
    pub(crate) pkglibdir: Option<PathBuf>,
    /// The processor that the process runs on, which decides about glibc-hwcaps and ISA levels: x86-64-v1 to v4, or
    /// native for this machine's [default: not known; libraries are those of the baseline]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) cpu: Option<Cpu>,
}

/// `--libc`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LibcName(Libc);

impl FromStr for LibcName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let libc = match text.split_once('-') {
            None if text == "musl" => Some(Libc::Musl),
            None if text == "glibc" => Some(Libc::NEWEST_GLIBC),
            Some(("glibc", version)) => {
                parse_glibc(version).ok().map(|(major, minor)| Libc::Glibc(major, minor))
            }
            _ => None,
        };
        libc.map(Self).ok_or_else(|| "write glibc, glibc-2.36 or musl".to_owned())
    }
}

/// `--cpu`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cpu {
    /// That of this machine.
    Native,
    /// A micro-architecture level.
    Level(CpuLevel),
}

impl FromStr for Cpu {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "native" => Self::Native,
            "x86-64-v1" | "v1" => Self::Level(CpuLevel::V1),
            "x86-64-v2" | "v2" => Self::Level(CpuLevel::V2),
            "x86-64-v3" | "v3" => Self::Level(CpuLevel::V3),
            "x86-64-v4" | "v4" => Self::Level(CpuLevel::V4),
            _ => return Err("write native, x86-64-v1, x86-64-v2, x86-64-v3 or x86-64-v4".to_owned()),
        })
    }
}

/// `--preload`.
#[derive(Debug, Clone)]
pub(crate) struct Preload(Vec<String>);

fn parse_preload(text: &str) -> Result<Preload, String> {
    preload_names(text).map(Preload).ok_or_else(|| {
        "invalid list syntax in parameter \"shared_preload_libraries\": the server starts without any of them".to_owned()
    })
}

/// `--extension-control-path`: the server refuses relative directories when its search comes that far.
fn parse_control_path(text: &str) -> Result<String, String> {
    let is_usable = |element: &str| element == "$system" || element.starts_with('/');
    if text.is_empty() || text.split(':').all(is_usable) {
        return Ok(text.to_owned());
    }
    Err("write absolute directories or $system, separated by colons".to_owned())
}

/// One of `--pg-version`.
fn parse_major(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "write a major version such as 16")
}

/// `--arch`.
fn parse_arch(text: &str) -> Result<MachArch, String> {
    MachArch::from_name(text).ok_or_else(|| "write arm64, arm64e, x86_64, x86_64h or i386".to_owned())
}

/// A glibc version: "2.28".
pub(crate) fn parse_glibc(text: &str) -> Result<(u32, u32), String> {
    text.split_once('.')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
        .ok_or_else(|| "write a version such as 2.28".to_owned())
}

impl Process {
    /// The settings of a run; `default` says which server is meant when none is given.
    pub(crate) fn settings(&self, default: ServerChoice) -> anyhow::Result<Settings> {
        if let [_, _, ..] = self.pg_version[..] {
            anyhow::bail!("--pg-version: several versions are given; this command takes one");
        }
        self.settings_for(default, self.pg_version.first().copied())
    }

    /// The settings of one run for each `--pg-version`, or of a single one where none is given.
    pub(crate) fn matrix(&self, default: &ServerChoice) -> anyhow::Result<Vec<Settings>> {
        if self.pg_version.is_empty() {
            return Ok(vec![self.settings_for(default.clone(), None)?]);
        }
        self.pg_version.iter().map(|&version| self.settings_for(default.clone(), Some(version))).collect()
    }

    fn settings_for(&self, default: ServerChoice, pg_version: Option<u32>) -> anyhow::Result<Settings> {
        let name = |text: &OsString| Name::from(text.as_bytes());
        let working_directory = self.root.working_directory();
        let server = match (&self.server, pg_version) {
            (Some(path), _) => ServerChoice::At(path.clone()),
            (None, Some(major)) if Profile::built_in_majors().contains(&major) => {
                ServerChoice::Version(major)
            }
            (None, Some(major)) => {
                let majors = Profile::built_in_majors();
                anyhow::bail!(
                    "--pg-version {major}: no server of this major version is built in; write {} to {}, or name a server \
                     with --server",
                    majors.start(),
                    majors.end()
                );
            }
            (None, None) => default,
        };
        Ok(Settings {
            loader: LoaderOptions {
                libc: self.libc.map(|LibcName(libc)| libc),
                library_path: self.library_path.as_ref().map(name),
                // A server's current directory is its data directory, which is not known.
                current_directory: working_directory.clone().filter(|_| server == ServerChoice::None),
                cpu: self.cpu_level(),
                ..LoaderOptions::default()
            },
            server,
            preload: self.preload.iter().flat_map(|Preload(names)| names.clone()).collect(),
            pg_major: pg_version,
            extensions: ExtensionSettings {
                search: SearchSettings {
                    dynamic_library_path: self.dynamic_library_path.clone(),
                    extension_control_path: self.extension_control_path.clone(),
                    sharedir: self.sharedir.clone(),
                    pkglibdir: self.pkglibdir.clone(),
                },
                ..ExtensionSettings::default()
            },
            working_directory,
            arch: self.arch,
            sdk: self.sdk.clone(),
            ..Settings::default()
        })
    }

    /// The level that was named. Without a name it is not known, whatever this machine has: an answer is about files.
    fn cpu_level(&self) -> Option<CpuLevel> {
        Some(match self.cpu? {
            Cpu::Level(level) => level,
            Cpu::Native => CpuLevel::of_this_machine(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libc_names() {
        let libc = |text: &str| text.parse::<LibcName>().map(|LibcName(libc)| libc);
        assert_eq!(libc("musl"), Ok(Libc::Musl));
        assert_eq!(libc("glibc-2.36"), Ok(Libc::Glibc(2, 36)));
        assert!(libc("glibc-").is_err() && libc("uclibc").is_err());
    }

    #[test]
    fn glibc_versions() {
        assert_eq!(parse_glibc("2.28"), Ok((2, 28)));
        assert!(parse_glibc("2").is_err() && parse_glibc("2.x").is_err());
    }
}
