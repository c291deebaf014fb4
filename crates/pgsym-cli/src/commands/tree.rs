//! `pgsym tree FILE…`: which file satisfies each dependency, in load order, and why.

use std::path::PathBuf;

use pgsym_core::report::Dependencies;
use pgsym_core::tree::{Reading, ServerChoice};

use super::Status;
use crate::args::{Common, Process};
use crate::output::Output;

/// Options of `pgsym tree`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Without --server, FILE is the program, as `ld.so --list FILE` treats it. \
    Exit status 1: a dependency is missing.")]
pub(crate) struct Args {
    /// Modules, libraries, programs, or directories of them
    #[arg(required = true, value_name = "FILE")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    process: Process,
    #[command(flatten)]
    common: Common,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        let output = Output::new(&self.common)?;
        let mut settings = self.process.settings(ServerChoice::None)?;
        settings.reading = Reading::Links;
        let tree = output.load(&self.process, &self.paths, settings)?;
        let dependencies = Dependencies::new(&tree);
        output.write(&dependencies)?;
        output.note_nothing(dependencies.files.is_empty());
        Ok(Status::from_findings(dependencies.has_missing()))
    }
}
