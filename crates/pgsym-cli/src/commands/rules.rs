//! `pgsym rules`: the table of rules.

use pgsym_core::report::RuleList;

use super::Status;
use crate::args::Common;
use crate::output::Output;

/// Options of `pgsym rules`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        Output::new(&self.common)?.write(&RuleList::new())?;
        Ok(Status::Clean)
    }
}
