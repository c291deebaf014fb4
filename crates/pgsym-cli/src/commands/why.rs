//! `pgsym why NAME PATH…`: who brings this library in, by which chain, after which searches; for a symbol, who
//! provides it to whom.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::builder::TypedValueParser as _;
use pgsym_core::name::Name;
use pgsym_core::report::Why;
use pgsym_core::tree::ServerChoice;

use super::Status;
use crate::args::{Common, Process};
use crate::output::Output;

/// Options of `pgsym why`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status 1: nothing asks for it, or it is missing.")]
pub(crate) struct Args {
    /// A library (the name it is needed by, its file name, its DT_SONAME or its path) or a symbol
    #[arg(value_parser = clap::builder::OsStringValueParser::new().try_map(not_empty))]
    name: OsString,
    /// Modules, directories (searched recursively) or installation prefixes
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    process: Process,
    #[command(flatten)]
    common: Common,
}

fn not_empty(name: OsString) -> Result<OsString, &'static str> {
    if name.is_empty() { Err("name a library or a symbol") } else { Ok(name) }
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        let output = Output::new(&self.common)?;
        let settings = self.process.settings(ServerChoice::Detect)?;
        let tree = output.load(&self.process, &self.paths, settings)?;
        let why = Why::new(&tree, &Name::from(self.name.as_bytes()));
        output.write(&why)?;
        Ok(Status::from_findings(why.is_unasked() || why.has_missing()))
    }
}
