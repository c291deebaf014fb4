//! `pgsym collisions PATH…`: pairs of copies and pairs of exports that meet in one process.

use std::path::PathBuf;

use pgsym_core::report::CollisionReport;
use pgsym_core::tree::ServerChoice;

use super::Status;
use crate::args::{Common, Process};
use crate::output::Output;

/// Options of `pgsym collisions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every order of loading is judged: what the server has comes first, modules may come in any \
    order. Exit status 1: something is harmful or depends on the order."
)]
pub(crate) struct Args {
    /// Modules, directories or an installation prefix
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
        let report = CollisionReport::new(&tree);
        if !report.has_server() {
            if let [first, ..] = tree.other_servers() {
                anyhow::bail!(
                    "{} PostgreSQL servers belong to these paths, such as {}, and none is taken, so there is no process to \
                     meet in; name one with --server",
                    tree.other_servers().len(),
                    first.display()
                );
            }
            anyhow::bail!(
                "no PostgreSQL server belongs to these paths, so there is no process to meet in; name one with --server"
            );
        }
        output.write(&report)?;
        Ok(Status::from_findings(report.has_harm()))
    }
}
