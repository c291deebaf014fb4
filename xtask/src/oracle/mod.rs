//! Oracles: programs whose behaviour pgsym predicts, asked what really happens.

mod linkers;

/// Which oracle.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Oracle {
    /// Small extension crates, each built with every linker, against the exports that they were meant to have.
    Linkers(linkers::Linkers),
}

impl Oracle {
    /// Runs it; an error when there are differences.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Linkers(arguments) => linkers::run(arguments),
        }
    }
}
