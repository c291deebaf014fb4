//! Files of the repository that are made from the sources. Each is a path and the function that renders it; writing
//! and checking treat all of them alike.

use anyhow::{Context, Result};
use clap::Args;

mod rules;

use crate::support::{Outcome, workspace};

/// What to do with the generated files.
#[derive(Args)]
pub(crate) struct Options {
    /// Change nothing; end with exit status 1 when a file is not up to date
    #[arg(long)]
    pub(crate) check: bool,
}

/// One generated file.
pub(crate) struct Generated {
    /// Its path below the workspace.
    pub(crate) path: String,
    /// What it must contain.
    pub(crate) text: String,
}

/// Renders every generated file. Each generator adds its line here.
fn render() -> Vec<Generated> {
    schemas().chain(rules::pages()).collect()
}

/// The JSON Schema of each document that a command writes.
fn schemas() -> impl Iterator<Item = Generated> {
    pgsym_core::report::schemas()
        .into_iter()
        .map(|(command, text)| Generated { path: format!("docs/schema/{command}.json"), text })
}

/// Writes or checks the generated files.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let mut outcome = Outcome::Good;
    let files = render();
    for path in rules::stale(&files)? {
        if options.check {
            println!("{path} is of no rule: run `cargo xtask generate`");
            outcome = Outcome::Bad;
        } else {
            std::fs::remove_file(workspace().join(&path)).with_context(|| format!("cannot remove {path}"))?;
            println!("removed {path}");
        }
    }
    for Generated { path, text } in files {
        let place = workspace().join(&path);
        if std::fs::read_to_string(&place).is_ok_and(|present| present == text) {
            continue;
        }
        if options.check {
            println!("{path} is not up to date: run `cargo xtask generate`");
            outcome = Outcome::Bad;
            continue;
        }
        if let Some(parent) = place.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        std::fs::write(&place, text).with_context(|| format!("cannot write {path}"))?;
        println!("wrote {path}");
    }
    Ok(outcome)
}
