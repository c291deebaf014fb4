//! `pgsym why NAME PATH…`: who brings this library in, by which chain, after which searches.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

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
    /// The library: the name it is needed by, its file name, its DT_SONAME or its path
    name: OsString,
    /// Modules, directories (searched recursively) or installation prefixes
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    process: Process,
    #[command(flatten)]
    common: Common,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        let output = Output::new(&self.common)?;
        let settings = self.process.settings(ServerChoice::Detect)?;
        let tree = output.load(&self.process, &self.paths, settings)?;
        let why = Why::new(&tree, &Name::from(self.name.as_bytes()));
        output.write(&why)?;
        let is_missing = why.providers.iter().any(|provider| provider.path.name().is_none());
        Ok(Status::from_findings(is_missing || why.providers.is_empty()))
    }
}
