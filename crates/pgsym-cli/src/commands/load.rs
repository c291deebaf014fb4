//! `pgsym load MODULE…`: would the server load it, and if not, what would it say.

use std::path::PathBuf;

use pgsym_core::report::Loads;
use pgsym_core::tree::{Reading, ServerChoice};

use super::Status;
use crate::args::{Common, Process};
use crate::output::Output;

/// Options of `pgsym load`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each module is loaded alone after --preload. The verdict is the linker's and dfmgr.c's: what a \
    module's _PG_init decides is not predicted. Several versions, --pg-version 15,16,17, give a matrix. Exit status 1: a module fails; 2: of one nothing can be told, or there is none."
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
        let mut answers = Vec::new();
        for mut settings in self.process.matrix(&ServerChoice::Detect)? {
            settings.reading = Reading::Loading;
            let tree = output.load(&self.process, &self.paths, settings)?;
            answers.push(Loads::new(&tree));
        }
        let loads = Loads::joined(answers);
        output.write(&loads)?;
        if loads.modules.is_empty() {
            anyhow::bail!("there is no module among what was named; name a module, or a directory of them");
        }
        Ok(match Status::from_findings(loads.has_failure()) {
            Status::Clean if !loads.is_answered() => Status::Unanswered,
            status => status,
        })
    }
}
