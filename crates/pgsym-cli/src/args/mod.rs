//! Options that commands share: how the answer is written ([`Common`]), where paths are looked up ([`Root`]), and
//! the process that is modelled ([`Process`]).

mod process;
mod severity;

pub(crate) use process::{Process, parse_glibc};
pub(crate) use severity::{FailOn, Shown};

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use clap::ValueEnum;
use pgsym_core::Error;
use pgsym_core::fs::{Fs, RealFs};

/// How the answer is written.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Common {
    /// Text for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
    /// Write the answer to a file, which is replaced as a whole
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Colours; `auto` asks the terminal
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Colour,
    /// Threads, at most four for each processor; as many as there are processors when not given
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<Jobs>,
    /// No progress on standard error
    #[arg(long)]
    pub(crate) no_progress: bool,
    /// Nothing on standard error but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// `--jobs`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jobs(pub(crate) NonZeroUsize);

impl FromStr for Jobs {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| "write a number of threads, 1 or more")
    }
}

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs; `docs/schema` describes it.
    Json,
}

/// When text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where paths are looked up.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Process")]
pub(crate) struct Root {
    /// A foreign root: every absolute path, those given here included, is looked up inside DIR
    #[arg(long = "root", value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

impl Root {
    /// The tree of files.
    pub(crate) fn fs(&self) -> anyhow::Result<Arc<dyn Fs>> {
        Ok(match &self.directory {
            Some(directory) => Arc::new(RealFs::with_root(directory)?),
            None => Arc::new(RealFs::new()),
        })
    }

    /// An error, which below a foreign root says so: its paths are those inside.
    pub(crate) fn explain(&self, error: Error) -> anyhow::Error {
        match (&self.directory, error) {
            (Some(directory), Error::Path { what, path, seen, advice }) => anyhow::anyhow!(
                "{what} {} inside the root {}: {seen}; {advice}",
                path.display(),
                directory.display()
            ),
            (_, error) => error.into(),
        }
    }

    /// Where relative paths stand. Inside a foreign root there is no current directory but its top.
    pub(crate) fn working_directory(&self) -> Option<PathBuf> {
        match &self.directory {
            Some(_) => Some(PathBuf::from("/")),
            None => std::env::current_dir().ok(),
        }
    }
}
