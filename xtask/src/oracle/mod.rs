//! Oracles: programs whose behaviour pgsym predicts, asked what really happens. Each is one file (or folder) with the
//! options it takes and a `run`; a new one adds its variant and its line in `run`. What cannot be compared is an
//! error, exit status 2; what differs is [`Outcome::Bad`], exit status 1.

mod linkers;
mod loader;

use crate::support::Outcome;

/// Which oracle.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Oracle {
    /// Small extension crates, each built with every linker, against the exports that they were meant to have
    Linkers(linkers::Linkers),
    /// Resolution against `ld.so --list`, over every module and shared library of a Debian system
    Loader(loader::Options),
}

impl Oracle {
    /// Runs it.
    pub(crate) fn run(&self) -> anyhow::Result<Outcome> {
        match self {
            Self::Linkers(arguments) => linkers::run(arguments),
            Self::Loader(options) => loader::run(options),
        }
    }
}
