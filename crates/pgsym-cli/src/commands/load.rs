//! `pgsym load MODULE…`: would the server load it, and if not, what would it say.

use std::path::PathBuf;

use pgsym_core::report::Loads;
use pgsym_core::tree::ServerChoice;

use super::Status;
use crate::args::{Common, Process};
use crate::output::Output;

/// Options of `pgsym load`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each module is loaded alone after --preload. The verdict is the linker's and dfmgr.c's: what a \
    module's _PG_init decides is not predicted. Exit status 1: a module fails."
)]
pub(crate) struct Args {
    /// Modules, or directories of them
    #[arg(required = true, value_name = "MODULE")]
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
        let loads = Loads::new(&tree);
        output.write(&loads)?;
        Ok(Status::from_findings(loads.has_failure()))
    }
}
