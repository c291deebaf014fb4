//! Mach-O against LLVM's tools: for every binary of real PostgreSQL builds for macOS, and every slice of it, the
//! load commands, libraries, search paths, exports and imports that `llvm-objdump` and `llvm-nm` print and those
//! in the JSON of `pgsym inspect` and `pgsym symbols` must be the same text. Then each installation as a whole: the
//! libraries that are absent, and the symbols of its C functions. What cannot be fetched is told as not run; the
//! fixtures of the checkout are compared in any case.

mod corpus;
mod llvm;
mod ours;
mod stubs;
mod trees;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use pgsym_core::fs::{Fs as _, RealFs};
use pgsym_core::parse::macho;
use pgsym_core::source::read_range;
use rayon::prelude::*;

use crate::support::report::{Exception, Report};
use crate::support::{Outcome, debian, workspace};

/// What to compare.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Files and directories to compare, instead of the npm and PyPI packages
    paths: Vec<PathBuf>,
    /// Compare with what is installed and unpacked, and fetch nothing
    #[arg(long)]
    no_fetch: bool,
    /// The directory of LLVM's programs
    #[arg(long, default_value = "/usr/lib/llvm-19/bin")]
    llvm: PathBuf,
}

/// Debian's LLVM; 14 does not decode chained fixups.
const LLVM: &str = "llvm-19";

/// Every difference that is known and stays, with its reason.
const EXCEPTIONS: &[Exception] = &[];

/// One aspect of a slice as text, by its name; both sides write the same format.
type Facts = Vec<(&'static str, String)>;

/// Runs the comparison.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    if !options.no_fetch {
        debian::need(&[LLVM])?;
    }
    let mut report = Report::new("the JSON of Mach-O files against llvm-objdump and llvm-nm");
    let packages = match (&*options.paths, options.no_fetch) {
        ([], true) => corpus::unpacked(&mut report),
        ([], false) => corpus::fetch(&mut report),
        _ => Vec::new(),
    };
    let roots = match &*options.paths {
        [] => packages.iter().cloned().chain([workspace().join("testdata/macho")]).collect(),
        paths => paths.to_vec(),
    };
    let mut files = Vec::new();
    for root in &roots {
        files.extend(binaries(root)?);
    }
    let pgsym = ours::build()?;
    let parts: Vec<Result<Report>> =
        files.par_iter().map(|file| compare(&pgsym, file, &options.llvm)).collect();
    for part in parts {
        report.absorb(part?);
    }
    // The packages' libraries are built alike; those of one are enough.
    let one = packages.first().or(options.paths.first());
    let parts: Vec<Result<Report>> = files
        .par_iter()
        .filter(|file| one.is_some_and(|one| file.starts_with(one)))
        .filter(|file| file.extension().is_some_and(|extension| extension == "dylib"))
        .map(|file| stubs::compare(file, &options.llvm))
        .collect();
    for part in parts {
        report.absorb(part?);
    }
    let parts: Vec<Result<Report>> =
        packages.par_iter().map(|package| trees::compare(&pgsym, package, &options.llvm)).collect();
    for part in parts {
        report.absorb(part?);
    }
    Ok(report.finish(EXCEPTIONS))
}

/// The Mach-O files below a path, in order; symbolic links lead to files that are there anyway.
fn binaries(root: &Path) -> Result<Vec<PathBuf>> {
    let fs = RealFs::new();
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        let entry = entry?;
        if !entry.file_type().is_file() {
            continue;
        }
        let (source, _) = fs.open(entry.path())?;
        let first = read_range(&*source, 0, source.len().min(8), "the file")?;
        if macho::is_macho(&first) {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

fn compare(pgsym: &Path, file: &Path, llvm: &Path) -> Result<Report> {
    let mut report = Report::default();
    let slices = ours::slices(pgsym, file)?;
    report.compared("files", 1);
    for slice in slices {
        let subject = format!("{} ({})", file.display(), slice.arch);
        let expected = llvm::facts(file, &slice.arch, llvm)?;
        let found = match ours::facts(&slice, &expected) {
            Ok(found) => found,
            Err(error) => {
                report.same(&format!("{subject}: readable"), "", &error);
                continue;
            }
        };
        report.compared("slices", 1);
        for ((aspect, expected), (_, found)) in expected.facts.iter().zip(&found) {
            report.compared(aspect, expected.lines().count());
            report.same(&format!("{subject}: {aspect}"), expected, found);
        }
    }
    Ok(report)
}
