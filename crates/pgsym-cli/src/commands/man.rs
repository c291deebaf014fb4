//! `pgsym man [COMMAND]`: the manual page, generated from the same definitions as the options themselves.

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::{Cli, Status};
use crate::output::write_stdout;

/// Options of `pgsym man`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The page of one command: `pgsym man audit` is pgsym-audit(1)
    command: Option<String>,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        let mut cli = Cli::command();
        cli.build();
        let page = match &self.command {
            None => cli,
            Some(name) => {
                let command = cli
                    .find_subcommand(name)
                    .filter(|command| !command.is_hide_set())
                    .with_context(|| format!("no command is called {name:?}; `pgsym --help` lists them"))?;
                command.clone()
            }
        };
        let mut text = Vec::new();
        clap_mangen::Man::new(page).render(&mut text)?;
        write_stdout(&text)?;
        Ok(Status::Clean)
    }
}
