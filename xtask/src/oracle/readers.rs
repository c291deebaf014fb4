//! What pgsym reads from a file against what two other programs read from it.
//!
//! Every ELF file below the directories given (`/usr/lib` unless told otherwise) is read by pgsym, by goblin in this
//! process – so only trees that one trusts – and by `llvm-readelf`. Compared are the needed libraries, soname,
//! rpath, runpath, flags, every dynamic symbol with its version, the version records and the build id.

mod goblin;
mod llvm;
mod ours;
mod view;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rayon::prelude::*;

use crate::support::report::{Difference, Exception, Report};
use crate::support::{Outcome, command, debian, elf_files};

/// Which trees.
#[derive(Debug, clap::Args)]
pub(crate) struct Readers {
    /// Files, or directories with files; all of them trusted
    #[arg(default_value = "/usr/lib")]
    paths: Vec<PathBuf>,
}

/// The program to compare with, and the Debian package that has it.
const READELF: (&str, &str) = ("llvm-readelf", "llvm");

/// Every difference that is known and stays, with its reason.
const EXCEPTIONS: &[Exception] = &[Exception {
    // goblin goes by PT_NOTE as pgsym does, so a build id that pgsym missed there would still show.
    applies: |difference| {
        difference.subject.ends_with(": build_id (llvm-readelf)") && difference.found == "None"
    },
    reason: "Go's linker covers only its own note with PT_NOTE: the GNU build id can be found by its section alone",
}];

/// Runs the comparison.
pub(crate) fn run(arguments: &Readers) -> Result<Outcome> {
    if !command::exists(READELF.0) {
        debian::need(&[READELF.1])?;
    }
    let files: Vec<PathBuf> =
        arguments.paths.iter().flat_map(|root| elf_files::below(root)).map(|(path, _)| path).collect();
    let parts: Vec<Report> = files.par_iter().map(|path| compare(path)).collect::<Result<_>>()?;
    let mut report = Report::new("what pgsym, goblin and llvm-readelf read");
    for part in parts {
        report.absorb(part);
    }
    Ok(report.finish(EXCEPTIONS))
}

fn compare(path: &Path) -> Result<Report> {
    let mut report = Report::default();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let others = [
        ("goblin", goblin::read(&bytes).map_err(anyhow::Error::from)),
        (READELF.0, llvm::read(READELF.0, path)),
    ];
    let ours = match ours::read(path) {
        Ok(ours) => ours,
        Err(error) => {
            report.differs(Difference {
                subject: format!("{}: readable", path.display()),
                expected: "every table can be read".to_owned(),
                found: format!("{error:#}"),
            });
            return Ok(report);
        }
    };
    for (reader, theirs) in others {
        match theirs {
            Err(error) => report.not_run(&format!("{reader} cannot read {}: {error:#}", path.display()), 1),
            Ok(theirs) => {
                report.compared(&format!("files with {reader}"), 1);
                report.compared(&format!("dynamic symbols with {reader}"), ours.symbols.len());
                for difference in ours.differences(&theirs) {
                    let subject = format!("{}: {} ({reader})", path.display(), difference.field);
                    let view::Difference { expected, found, .. } = difference;
                    report.differs(Difference { subject, expected, found });
                }
            }
        }
    }
    Ok(report)
}
