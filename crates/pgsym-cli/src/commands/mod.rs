//! The commands: one file each, with its arguments and what it does. A new command is a file, a line in the enum
//! and a line in [`Command::run`].

mod audit;
mod collisions;
mod completions;
mod diff;
mod explain;
mod exports;
mod functions;
mod inspect;
mod load;
mod man;
mod profile;
mod rules;
mod symbols;
mod tree;
mod verify;
mod why;

use clap::{Parser, Subcommand};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "pgsym",
    version,
    about = "Finds in the files what PostgreSQL would stumble over when it loads an extension",
    after_help = "Exit status: 0 nothing at or above the threshold, 1 findings, 2 the question could not be answered.\n\
        `pgsym COMMAND --help` says more about a command; `pgsym rules` lists what is checked.",
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What is wrong in this tree: the gate for CI
    Audit(audit::Args),
    /// Would the server load it, and if not, what would it say
    Load(load::Args),
    /// Which file satisfies each dependency, in load order, and why
    Tree(tree::Args),
    /// Who brings this library in, by which chain, after which searches; or who defines this symbol
    Why(why::Args),
    /// Pairs of copies and of exports that meet in one process, with the verdict
    Collisions(collisions::Args),
    /// Exports and imports, classified as PostgreSQL sees them
    Symbols(symbols::Args),
    /// The C functions that the SQL scripts declare, and what backs each
    Functions(functions::Args),
    /// What changed for users between two builds
    Diff(diff::Args),
    /// A linker's list of exports from objects or archives, for builds without Cargo
    Exports(exports::Args),
    /// Whether a finished module exports exactly what was meant
    Verify(verify::Args),
    /// Every fact read from one binary
    Inspect(inspect::Args),
    /// What the model needs of a server, for --server where the server is not at hand
    Profile(profile::Args),
    /// What a rule checks, why, and how to mend what it finds
    Explain(explain::Args),
    /// The table of rules
    Rules(rules::Args),
    /// Completions for a shell, on standard output
    Completions(completions::Args),
    /// The manual page, on standard output
    Man(man::Args),
    /// The child process of `inspect --second-opinion`
    #[command(name = crate::second_opinion::CHILD_COMMAND, hide = true)]
    SecondOpinionChild,
}

/// How a command that wrote its document ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing at or above the threshold: exit status 0.
    Clean,
    /// Something at or above it: exit status 1.
    Findings,
    /// Part of the question has no answer, and the document says why: exit status 2.
    Unanswered,
}

impl Status {
    /// 1 where there is something.
    pub(crate) fn from_findings(any: bool) -> Self {
        if any { Self::Findings } else { Self::Clean }
    }
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        match self {
            Self::Audit(args) => args.run(),
            Self::Load(args) => args.run(),
            Self::Collisions(args) => args.run(),
            Self::Tree(args) => args.run(),
            Self::Why(args) => args.run(),
            Self::Symbols(args) => args.run(),
            Self::Functions(args) => args.run(),
            Self::Diff(args) => args.run(),
            Self::Exports(args) => args.run(),
            Self::Verify(args) => args.run(),
            Self::Inspect(args) => args.run(),
            Self::Profile(args) => args.run(),
            Self::Explain(args) => args.run(),
            Self::Rules(args) => args.run(),
            Self::Completions(args) => args.run(),
            Self::Man(args) => args.run(),
            Self::SecondOpinionChild => crate::second_opinion::child(),
        }
    }
}
