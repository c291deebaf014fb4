//! The reader of text-based stubs against what LLVM writes: each library of the packages is made into a stub by
//! `llvm-readtapi`, in every version that it writes, and the symbols of that stub must be those that the library's trie has.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use pgsym_core::model::MachArch;
use pgsym_core::parse::tbd;

use super::llvm;
use crate::support::command::{clean, run};
use crate::support::report::Report;

const VERSIONS: &[&str] = &["tbd-v3", "tbd-v4", "tbd-v5"];

const LIMIT: Duration = Duration::from_mins(2);

/// Compares the stubs of one library.
pub(super) fn compare(file: &Path, tools: &Path) -> Result<Report> {
    let mut report = Report::default();
    let directory = tempfile::tempdir()?;
    let mut slices = Vec::new();
    for arch in llvm::architectures(file, tools)? {
        let target = MachArch::from_name(&arch).context("LLVM names an architecture that pgsym does not")?;
        slices.push((target, llvm::export_names(file, &arch, tools)?));
    }
    for version in VERSIONS {
        let stub = directory.path().join(version);
        let mut readtapi = clean(tools.join("llvm-readtapi"));
        readtapi.arg("-stubify").arg(file).arg(format!("--filetype={version}")).arg("-o").arg(&stub);
        let finished = run(&mut readtapi, LIMIT)?;
        if !finished.status.success() {
            // It makes stubs of libraries alone.
            report.not_run("files that llvm-readtapi makes no stub of", 1);
            return Ok(report);
        }
        let bytes = std::fs::read(&stub).context("llvm-readtapi wrote no stub")?;
        for (arch, expected) in &slices {
            let subject = format!("{} ({arch}): {version}", file.display());
            let found: BTreeSet<String> = match tbd::parse(&bytes, *arch) {
                Ok(stub) => stub.libraries[0].exports.iter().map(ToString::to_string).collect(),
                Err(error) => {
                    report.same(&subject, "readable", &error.to_string());
                    continue;
                }
            };
            report.compared("symbols of stubs", expected.len());
            let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
                one.difference(other).take(20).cloned().collect::<Vec<_>>().join("\n")
            };
            report.same(&subject, &only(expected, &found), &only(&found, expected));
        }
    }
    Ok(report)
}
