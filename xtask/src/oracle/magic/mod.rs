//! Magic blocks and finfo records, read statically, against what the modules themselves return.
//!
//! Three comparisons. *Native*: every module of the installed PostgreSQL packages is loaded by a small host program,
//! which calls `Pg_magic_func` and each `pg_finfo_*`; the packages are trusted. *Toolchains*: a module of every major is
//! compiled with several compilers, options and linkers, called where this machine can, compared with its source where
//! it cannot. *Foreign*: the same server package of other architectures; its blocks must be those of the native modules
//! of the same name, and both static ways must agree.

mod foreign;
mod native;
mod toolchains;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use pgsym_core::fs::{Fs as _, RealFs};
use pgsym_core::model::Module;
use pgsym_core::parse::{Facets, parse};
use pgsym_core::postgres::{Magic, MagicEvidence, PgFacts};

use crate::support::report::{Exception, Report};
use crate::support::{Outcome, debian, workspace};

/// What to compare.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Compare with what is installed, and install nothing
    #[arg(long)]
    no_install: bool,
    /// Leave out the packages of other architectures, which are downloaded
    #[arg(long)]
    no_foreign: bool,
}

/// Debian's server, and the prefix of its extension packages.
const SERVER: &str = "postgresql-15";

/// Its modules and its program, below the root of a tree.
const MODULES: &str = "usr/lib/postgresql/15/lib";
const PROGRAM: &str = "usr/lib/postgresql/15/bin/postgres";

/// Every difference that is known and stays, with its reason. There is none.
const EXCEPTIONS: &[Exception] = &[];

/// Time for a compiler or a module's host.
const LIMIT: Duration = Duration::from_mins(2);

/// Runs the comparisons.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    if !options.no_install {
        let mut packages = debian::offered(&format!("{SERVER}-"))?;
        packages.extend([SERVER, "gcc", "libc6-dev", "clang", "lld", "mold"].map(str::to_owned));
        debian::need_all(&packages)?;
    }
    let work = workspace().join("target/oracle-magic");
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let host = native::Host::build(&work, Path::new("/").join(PROGRAM).as_path())?;
    let mut report = Report::new("magic blocks and finfo records against what the modules return");
    report.absorb(native::compare(&host)?);
    report.absorb(toolchains::compare(&work, &host)?);
    if options.no_foreign {
        report.not_run("architectures left out by --no-foreign", foreign::ARCHITECTURES.len());
    } else {
        report.absorb(foreign::compare(&work)?);
    }
    Ok(report.finish(EXCEPTIONS))
}

/// Reads a module's PostgreSQL facts.
fn read(path: &Path) -> Result<(Module, PgFacts)> {
    let (source, metadata) = RealFs::new().open(path)?;
    let module = parse(path, metadata, &*source, Facets::MAGIC_EVIDENCE)?;
    match (module.postgres.get().cloned(), module.postgres.error()) {
        (Some(facts), _) => Ok((module, facts)),
        (None, Some(error)) => Err(anyhow!("{error}")),
        (None, None) => Err(anyhow!("it has no dynamic symbols")),
    }
}

/// Whether the address, which only a loaded module can confirm, is part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Address {
    Shown,
    Hidden,
}

/// The facts in the words of the host program.
fn describe(facts: &PgFacts, address: Address) -> String {
    let mut text = String::new();
    match &facts.magic {
        Magic::Absent => text.push_str("no Pg_magic_func\n"),
        Magic::Unknown(error) => {
            let _ = writeln!(text, "unknown: {error}");
        }
        Magic::Found(block) => {
            if address == Address::Shown {
                let _ = writeln!(text, "address {:#x}", block.address);
            }
            let _ = writeln!(
                text,
                "ints {} {} {} {} {} {}",
                block.len,
                block.version,
                block.func_max_args,
                block.index_max_keys,
                block.name_data_len,
                block.float8_by_value
            );
            if let Some(extra) = block.abi_extra {
                text.push_str("abi ");
                for byte in extra {
                    let _ = write!(text, "{byte:02x}");
                }
                text.push('\n');
            }
            for (what, name) in [("name", &block.module_name), ("version", &block.module_version)] {
                if let Some(name) = name {
                    let _ = writeln!(text, "{what} {name}");
                }
            }
        }
    }
    for record in &facts.finfo {
        let version = record.api_version.as_ref().map_or_else(ToString::to_string, u32::to_string);
        let _ = writeln!(text, "pg_finfo_{} {version}", record.function);
    }
    text
}

/// What the evidence is called in the report.
fn evidence(facts: &PgFacts) -> &'static str {
    match facts.magic.block().map(|block| block.evidence) {
        Some(MagicEvidence::CodeAndData) => "by code and by data",
        Some(MagicEvidence::Code) => "by code alone",
        Some(MagicEvidence::Data) => "by data alone",
        None => "without a block",
    }
}

/// The modules of a directory, in order.
fn modules(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "so"));
    paths.sort();
    Ok(paths)
}
