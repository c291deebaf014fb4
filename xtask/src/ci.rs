//! What a change must pass before it is offered, in the order of what fails fastest.

use std::process::Command;

use anyhow::{Context, Result};

use crate::generate;
use crate::support::{Outcome, workspace};

/// Each step's name and what cargo is asked for.
const STEPS: &[(&str, &[&str])] = &[
    ("format", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]),
    ("tests", &["test", "--workspace", "--quiet"]),
];

/// Runs every step, also after one that failed, so that one run shows all there is to mend.
pub(crate) fn run() -> Result<Outcome> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut failed = Vec::new();
    for (name, arguments) in STEPS {
        println!("== {name}");
        let status = Command::new(&cargo)
            .args(*arguments)
            .current_dir(workspace())
            .status()
            .with_context(|| format!("cannot run cargo for the step {name}"))?;
        if !status.success() {
            failed.push(*name);
        }
    }
    println!("== generated files");
    if generate::run(&generate::Options { check: true })? == Outcome::Bad {
        failed.push("generated files");
    }
    if failed.is_empty() {
        println!("all steps passed");
        return Ok(Outcome::Good);
    }
    println!("failed: {}", failed.join(", "));
    Ok(Outcome::Bad)
}
