//! `pgsym symbols FILE…`: exports and imports, classified.

use std::path::PathBuf;

use pgsym_core::parse::Facets;
use pgsym_core::report::{FileSymbols, Symbols};
use regex::bytes::Regex;

use super::Status;
use crate::args::{Common, Root};
use crate::output::Output;

/// Options of `pgsym symbols`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Binaries, or directories of them
    #[arg(required = true, value_name = "FILE")]
    paths: Vec<PathBuf>,
    /// Only symbols whose name matches this regular expression
    #[arg(long = "match", value_name = "REGEX", value_parser = Regex::new)]
    pattern: Option<Regex>,
    #[command(flatten)]
    root: Root,
    #[command(flatten)]
    common: Common,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        let output = Output::new(&self.common)?;
        let fs = self.root.fs()?;
        let wanted = |name: &[u8]| self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(name));
        let mut symbols = Symbols::default();
        let mut unread = Vec::new();
        for file in crate::output::parse_named(&*fs, &self.root, &self.paths, Facets::SYMBOLS)? {
            if file.is_named {
                unread.extend(file.module.as_ref().err().map(|error| (file.path.clone(), error.clone())));
            }
            symbols.files.extend(FileSymbols::of_file(&file.path, &file.module, &wanted));
        }
        output.write(&symbols)?;
        crate::output::refuse_unread(&unread)?;
        Ok(Status::Clean)
    }
}
