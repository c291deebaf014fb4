//! `pgsym completions SHELL`: generated from the same definitions as the options themselves.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Status};
use crate::output::write_stdout;

/// Options of `pgsym completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "pgsym", &mut text);
        write_stdout(&text)?;
        Ok(Status::Clean)
    }
}
