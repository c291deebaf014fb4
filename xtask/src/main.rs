//! The project's own commands, which need a machine with compilers or PostgreSQL and so do not belong into the shipped program.

mod oracle;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
enum Command {
    /// Compare pgsym with the programs whose behaviour it predicts.
    #[command(subcommand)]
    Oracle(oracle::Oracle),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Oracle(oracle) => oracle.run(),
    }
}
