//! `pgsym`: finds in the files what PostgreSQL would stumble over when it loads an extension. This file parses
//! the command line, runs the command and turns its end into an exit status: 0 clean, 1 findings, 2 the question could
//! not be answered.

mod args;
mod commands;
mod memory;
mod output;
mod second_opinion;
mod terminal;

use std::process::ExitCode;

use clap::Parser as _;

use commands::{Cli, Status};

fn main() -> ExitCode {
    memory::prepare();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return terminal::command_line_error(&error),
    };
    // A fault of our own is no answer either: the panic's message is on stderr already.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cli.command.run()));
    match outcome {
        Ok(Ok(Status::Clean)) => ExitCode::SUCCESS,
        Ok(Ok(Status::Findings)) => ExitCode::from(1),
        Ok(Ok(Status::Unanswered)) => ExitCode::from(2),
        Ok(Err(error)) => {
            terminal::report_error(&error);
            ExitCode::from(2)
        }
        Err(_) => ExitCode::from(2),
    }
}
