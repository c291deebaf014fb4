//! Runs the host of a tree under the real loader and writes down what it did: which files it mapped in which order at start and
//! at each dlopen, or the text it gave for a failure.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use super::describe::{HOST, HOST_LINK, Start, Tree};

/// What happened to a tree's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Record {
    /// The start, then each dlopen; nothing follows a failed start.
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    /// `start`, or the argument of dlopen.
    pub(super) what: String,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// Objects that this step added, in load order.
    Loaded(Vec<Object>),
    /// The loader's text.
    Failed(String),
}

/// A mapped file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Object {
    /// As the loader names it: the path it opened.
    pub(super) name: String,
    /// The same without links; equal for two names of one file.
    pub(super) file: PathBuf,
}

/// How the host is started: its path.
pub(super) fn host_path(tree: &Tree, root: &Path) -> PathBuf {
    root.join(match tree.host.start {
        Start::Absolute => HOST,
        Start::ThroughLink => HOST_LINK,
    })
}

pub(super) fn record(tree: &Tree, root: &Path) -> Result<Record> {
    let working_directory = root.join(tree.working_directory);
    let mut command = Command::new(host_path(tree, root));
    command.args(&tree.opens).current_dir(&working_directory).env_clear();
    if let Some(list) = &tree.library_path {
        command.env("LD_LIBRARY_PATH", list);
    }
    if is_root() {
        // `nobody`: root could read the files that nobody can.
        command.uid(65534).gid(65534);
    }
    let output = command.output().with_context(|| format!("run {}", command.get_program().display()))?;
    if let Some(signal) = output.status.signal() {
        bail!("the host of seed {} died of signal {signal}", tree.seed);
    }
    let text = String::from_utf8(output.stdout).context("the host prints UTF-8")?;
    if text.is_empty() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && !error.is_empty(), "the host of seed {} says nothing", tree.seed);
        return Ok(Record {
            steps: vec![Step { what: "start".to_owned(), outcome: Outcome::Failed(error) }],
        });
    }
    parse(tree, &text, &working_directory)
}

/// Whether this process may act as another user.
pub(super) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

fn parse(tree: &Tree, text: &str, working_directory: &Path) -> Result<Record> {
    let mut steps = Vec::new();
    let mut known: Vec<&str> = Vec::new();
    let names = std::iter::once("start").chain(tree.opens.iter().map(String::as_str));
    for (block, what) in text.split("step\n").skip(1).zip(names) {
        let (head, rest) = block.split_once('\n').context("a step has a first line")?;
        let objects: Vec<&str> = rest.lines().filter_map(|line| line.strip_prefix("object ")).collect();
        ensure!(objects.starts_with(&known), "seed {}: {what} changed the objects before it", tree.seed);
        let added = &objects[known.len()..];
        let outcome = match head.strip_prefix("error ") {
            Some(error) => {
                ensure!(added.is_empty(), "seed {}: {what} failed and left objects behind", tree.seed);
                Outcome::Failed(error.to_owned())
            }
            None => Outcome::Loaded(
                added
                    .iter()
                    .enumerate()
                    // The first object of all is the program itself; the kernel's has no file, and under musl no name.
                    .filter(|(position, name)| {
                        let is_program = what == "start" && *position == 0;
                        !is_program && !["linux-vdso.so.1", ""].contains(name)
                    })
                    .map(|(_, name)| object(name, working_directory))
                    .collect::<Result<_>>()?,
            ),
        };
        steps.push(Step { what: what.to_owned(), outcome });
        known = objects;
    }
    ensure!(steps.len() == tree.opens.len() + 1, "seed {}: the host stopped early", tree.seed);
    Ok(Record { steps })
}

fn object(name: &str, working_directory: &Path) -> Result<Object> {
    let file = working_directory.join(name).canonicalize().with_context(|| format!("find {name}"))?;
    Ok(Object { name: name.to_owned(), file })
}
