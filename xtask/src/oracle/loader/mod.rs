//! Resolution against the real loader: for every module of every PostgreSQL extension package of Debian and every
//! shared library below `/usr/lib`, the list that `ld.so --list FILE` prints and the one that pgsym's resolver comes
//! to must be the same text: same files, same order, same paths, missing libraries and refusals included.

mod candidates;
mod foreign_root;
mod listing;
mod musl;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use pgsym_core::fs::RealFs;
use pgsym_core::parse::Facets;
use pgsym_core::resolve::FileStore;
use rayon::prelude::*;

use self::candidates::Candidates;
use self::listing::{Variant, listed_by_loader, listed_by_pgsym};
use crate::support::report::{Exception, Report};
use crate::support::{Outcome, command, debian, elf_files};

/// What to compare.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Files and directories to compare, instead of the packages' modules and /usr/lib
    paths: Vec<PathBuf>,
    /// Compare with what is installed, and install nothing
    #[arg(long)]
    no_install: bool,
}

/// Of the files that are no part of the server, each so many-th is compared in other variants than the plain one.
const SAMPLE: usize = 20;

/// Debian's server, and the prefix of its extension packages.
const SERVER: &str = "postgresql-15";

/// Every difference that is known and stays, with its reason. There is none.
const EXCEPTIONS: &[Exception] = &[];

/// Runs the comparison.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    if !options.no_install && options.paths.is_empty() {
        let mut packages = debian::offered(&format!("{SERVER}-"))?;
        packages.extend([SERVER, "musl", "musl-tools"].map(str::to_owned));
        debian::need_all(&packages)?;
    }
    let roots = if options.paths.is_empty() {
        ["/usr/lib", "/usr/bin"].map(PathBuf::from).to_vec()
    } else {
        options.paths.clone()
    };
    let mut report = Report::new("resolution against ld.so --list");
    let mut files = Vec::new();
    for root in &roots {
        for (path, head) in elf_files::below(root) {
            if head.kind != ET_DYN && head.kind != ET_EXEC {
                continue;
            }
            if head.is_native() {
                files.push(path);
            } else {
                report.not_run("for another machine, which no loader here runs", 1);
            }
        }
    }
    report.absorb(compare(&files, &Variant::default()));
    // The other ways to call the loader cost as much each; every file of the server and a sample of the rest
    // will do.
    let sample: Vec<PathBuf> = files
        .iter()
        .enumerate()
        .filter(|(index, path)| index % SAMPLE == 0 || path.starts_with("/usr/lib/postgresql"))
        .map(|(_, path)| path.clone())
        .collect();
    let candidates = Candidates::new(&system_directory()?)?;
    for variant in candidates.variants() {
        report.absorb(compare(&sample, &variant));
    }
    if options.paths.is_empty() {
        report.absorb(foreign_root::compare()?);
        if command::exists("musl-gcc") {
            report.absorb(musl::compare()?);
        } else {
            report.not_run("musl's loader: the package musl-tools is not installed", 1);
        }
    }
    Ok(report.finish(EXCEPTIONS))
}

/// The loader that programs of this machine name.
const HOST_LOADER: &str =
    if cfg!(target_arch = "aarch64") { "/lib/ld-linux-aarch64.so.1" } else { "/lib64/ld-linux-x86-64.so.2" };

/// The libraries that the real loader brings for a file: names and paths.
fn tree_of(file: &Path) -> Result<Vec<(String, PathBuf)>> {
    let list = listed_by_loader(file, &Variant::default())?;
    Ok(list
        .lines()
        .filter_map(|line| line.split_once(" => "))
        .map(|(name, path)| (name.to_owned(), PathBuf::from(path)))
        .collect())
}

const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;

/// The directory of this machine's own libraries.
fn system_directory() -> Result<PathBuf> {
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"]
        .into_iter()
        .map(PathBuf::from)
        .find(|directory| directory.join("libz.so.1").exists())
        .ok_or_else(|| anyhow::anyhow!("this system's libraries are in no directory known here"))
}

/// Compares the lists of every file, under one way to call the loader.
fn compare(files: &[PathBuf], variant: &Variant) -> Report {
    let store = Arc::new(FileStore::new(Arc::new(RealFs::new()), Facets::LINK));
    let parts: Vec<Report> = files.par_iter().map(|file| compare_one(&store, file, variant)).collect();
    let mut report = Report::default();
    for part in parts {
        report.absorb(part);
    }
    report
}

fn compare_one(store: &Arc<FileStore>, file: &Path, variant: &Variant) -> Report {
    let mut report = Report::default();
    match listed_by_loader(file, variant) {
        Ok(expected) => {
            let found = listed_by_pgsym(store, file, variant);
            report.compared(variant.name(), 1);
            report.same(&format!("{} ({})", file.display(), variant.name()), &expected, &found);
        }
        Err(error) => report.not_run(&format!("{error:#}"), 1),
    }
    report
}
