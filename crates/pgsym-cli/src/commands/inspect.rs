//! `pgsym inspect FILE…`: every fact read from one binary.

use std::path::PathBuf;

use pgsym_core::parse::Facets;
use pgsym_core::report::{Inspection, inspect};

use super::Status;
use crate::args::{Common, Root};
use crate::output::{NamedFiles, Output};
use crate::second_opinion;

/// Options of `pgsym inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status 1: the second opinion differs or fails.")]
pub(crate) struct Args {
    /// Binaries, or directories of them
    #[arg(required = true, value_name = "FILE")]
    paths: Vec<PathBuf>,
    /// Let goblin read each ELF file too, in a child process under limits, and show where the two readers differ
    #[arg(long)]
    second_opinion: bool,
    #[command(flatten)]
    root: Root,
    #[command(flatten)]
    common: Common,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        let output = Output::new(&self.common)?;
        let fs = self.root.fs()?;
        let mut inspection = Inspection::default();
        let mut unread = Vec::new();
        let mut is_doubtful = false;
        for file in NamedFiles::find(&*fs, &self.root, &self.paths, Facets::ALL)?.read() {
            let mut facts = inspect(&file.path, &file.module);
            if file.is_named {
                unread.extend(file.module.as_ref().err().map(|error| (file.path.clone(), error.clone())));
            }
            if self.second_opinion {
                let opinion = second_opinion::ask(&*fs, &file.path, file.module.as_ref().ok())?;
                is_doubtful |= opinion.failure.is_some() || !opinion.disagreements.is_empty();
                facts.second_opinion = Some(opinion);
            }
            inspection.files.push(facts);
        }
        output.write(&inspection)?;
        output.note_nothing(inspection.files.is_empty());
        crate::output::refuse_unread(&unread)?;
        Ok(Status::from_findings(is_doubtful))
    }
}
