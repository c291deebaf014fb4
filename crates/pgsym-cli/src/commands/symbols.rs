//! `pgsym symbols FILE…`: exports and imports, classified.

use std::cell::RefCell;
use std::path::PathBuf;

use pgsym_core::parse::Facets;
use pgsym_core::report::{FileSymbols, PerFile, Symbols};
use regex::bytes::Regex;

use super::Status;
use crate::args::{Common, Root};
use crate::output::{NamedFile, NamedFiles, Output};

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
        let files = NamedFiles::find(&*fs, &self.root, &self.paths, Facets::SYMBOLS)?;
        let unread = RefCell::new(Vec::new());
        let answer = |file: NamedFile| {
            if let (true, Err(error)) = (file.is_named, &file.module) {
                unread.borrow_mut().push((file.path.clone(), error.clone()));
            }
            FileSymbols::of_file(&file.path, &file.module, &wanted)
        };
        output.write(&Symbols { files: PerFile::new(|| files.read().flat_map(answer)) })?;
        output.note_nothing(files.is_empty());
        crate::output::refuse_unread(&unread.borrow())?;
        Ok(Status::Clean)
    }
}
