//! `pgsym functions PATH…`: the C functions that SQL scripts declare, and what backs each.

use std::path::PathBuf;

use pgsym_core::extension::Reading;
use pgsym_core::report::{Functions, FunctionsOptions};
use pgsym_core::tree::{Reading as Files, ServerChoice};
use regex::bytes::Regex;

use super::Status;
use crate::args::{Common, Process};
use crate::output::Output;

/// Options of `pgsym functions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status 1: CREATE EXTENSION would fail at a function or a LOAD statement; with --all-scripts also ALTER \
    EXTENSION UPDATE, or either with a version that is named."
)]
pub(crate) struct Args {
    /// Modules, directories (searched recursively) or installation prefixes
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Scripts that installing the default versions does not run, too
    #[arg(long)]
    all_scripts: bool,
    /// Only extensions whose name matches this regular expression
    #[arg(long, value_name = "REGEX", value_parser = Regex::new)]
    extension: Option<Regex>,
    #[command(flatten)]
    process: Process,
    #[command(flatten)]
    common: Common,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        let output = Output::new(&self.common)?;
        let mut settings = self.process.settings(ServerChoice::Detect)?;
        settings.reading = Files::Loading;
        if self.all_scripts {
            settings.extensions.reading = Reading::All;
        }
        let tree = output.load(&self.process, &self.paths, settings)?;
        let wanted = |name: &[u8]| self.extension.as_ref().is_none_or(|pattern| pattern.is_match(name));
        let functions = Functions::new(&tree, &FunctionsOptions { extension: &wanted });
        output.write(&functions)?;
        Ok(Status::from_findings(functions.has_failures()))
    }
}
