//! The project's own commands: comparisons with programs whose behaviour pgsym predicts (`oracle`), figures against
//! peers (`bench-tree`), files made from the sources (`generate`) and what a change must pass (`ci`). They need a
//! machine with compilers or PostgreSQL, and so do not belong into the shipped program.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer's command talks to a terminal")]

mod bench_tree;
mod ci;
mod demo;
mod generate;
mod oracle;
mod profiles;
mod support;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compares pgsym with what it models: the real loader, the server, independent readers
    #[command(subcommand)]
    Oracle(oracle::Oracle),
    /// Prints one table of time and memory against peers, over real trees
    BenchTree(bench_tree::Options),
    /// A worker of bench-tree
    #[command(hide = true)]
    BenchWork(bench_tree::work::Options),
    /// Writes the files that are made from the sources, or checks that they are up to date
    Generate(generate::Options),
    /// Writes the demo tree in testdata, or checks that it is what the sources describe
    Demo(demo::Options),
    /// Writes the built-in table of what the servers 13 to 18 export
    Profiles(profiles::Options),
    /// Runs what a change must pass: format, lints, tests, generated files
    Ci,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Oracle(oracle) => oracle.run(),
        Command::BenchTree(options) => bench_tree::run(&options),
        Command::BenchWork(options) => bench_tree::work::run(&options),
        Command::Generate(options) => generate::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Profiles(options) => profiles::run(&options),
        Command::Ci => ci::run(),
    };
    match outcome {
        Ok(support::Outcome::Good) => ExitCode::SUCCESS,
        Ok(support::Outcome::Bad) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
