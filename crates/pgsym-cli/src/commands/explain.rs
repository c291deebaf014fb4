//! `pgsym explain CODE`: what a rule checks, why, and how to mend what it finds.

use anyhow::Context as _;
use pgsym_core::report::Explanation;

use super::Status;
use crate::args::Common;
use crate::output::Output;

/// Options of `pgsym explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A rule's code or name: PGS101, missing-dependency
    code: String,
    #[command(flatten)]
    common: Common,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        let output = Output::new(&self.common)?;
        let explanation = Explanation::of(&self.code)
            .with_context(|| format!("no rule is called {:?}; `pgsym rules` lists them", self.code))?;
        output.write(&explanation)?;
        Ok(Status::Clean)
    }
}
