//! `pgsym verify MODULE --map FILE`: the finished module exports exactly what was meant.

use std::path::PathBuf;

use anyhow::Context as _;
use pgsym_core::exports::{ListFormat, ModuleExports};
use pgsym_core::limits;
use pgsym_core::report::Verification;

use super::Status;
use crate::args::Common;
use crate::output::{Output, read_whole};

/// Options of `pgsym verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The finished module
    #[arg(value_name = "MODULE")]
    module: PathBuf,
    /// The list of intended exports: a version script, an exported-symbols list or a PGXS exports.txt
    #[arg(long, value_name = "FILE")]
    map: PathBuf,
    /// Exports that the list does not name are no difference
    #[arg(long)]
    allow_extra: bool,
    #[command(flatten)]
    common: Common,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        let output = Output::new(&self.common)?;
        let of_list = || format!("cannot read the list of exports {}", self.map.display());
        let text = read_whole(&self.map, limits::TEXT_FILE_BYTES)
            .and_then(|bytes| String::from_utf8(bytes).context("it is not UTF-8"))
            .with_context(of_list)?;
        let intended = ListFormat::guess(&text).read(&text).with_context(of_list)?;
        let of_module = || format!("cannot read the module {}", self.module.display());
        let bytes = read_whole(&self.module, limits::LINK_INPUT_BYTES).with_context(of_module)?;
        let exports = ModuleExports::read(&bytes).with_context(of_module)?;
        let verdict = exports.compare(intended.iter().map(String::as_str));
        let document = Verification::new(&self.module, &self.map, &verdict, self.allow_extra);
        output.write(&document)?;
        Ok(Status::from_findings(!document.is_good()))
    }
}
