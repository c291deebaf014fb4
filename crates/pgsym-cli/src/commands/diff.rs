//! `pgsym diff OLD NEW`: what changed for users between two builds.

use std::path::{Path, PathBuf};

use pgsym_core::fs::FileKind;
use pgsym_core::report::Comparison;
use pgsym_core::tree::{Reading, ServerChoice, Settings, Tree};

use super::Status;
use crate::args::{Common, FailOn, Process, Shown};
use crate::output::Output;

/// Options of `pgsym diff`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An error is what works with OLD and fails with NEW; a warning can hurt. The options of the process hold for \
    both sides; --pg-version 15,16 names a version for each. A side without a server is asked under that of the other. \
    Exit status 1: a change at or above --fail-on."
)]
pub(crate) struct Args {
    /// The build that users run: a module, a directory (searched recursively) or an installation prefix
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The build that is to be shipped, likewise
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// End with status 1 from this severity on
    #[arg(long, value_name = "SEVERITY", default_value = "error", hide_possible_values = false)]
    fail_on: FailOn,
    /// In text, tell changes from this severity on
    #[arg(long, value_name = "SEVERITY", default_value = "info")]
    show: Shown,
    /// The root of OLD's paths, in place of --root
    #[arg(long, value_name = "DIR", help_heading = "Process")]
    old_root: Option<PathBuf>,
    /// The root of NEW's paths, in place of --root
    #[arg(long, value_name = "DIR", help_heading = "Process")]
    new_root: Option<PathBuf>,
    /// The server of OLD, in place of --server
    #[arg(long, value_name = "PATH", help_heading = "Process")]
    old_server: Option<PathBuf>,
    /// The server of NEW, in place of --server
    #[arg(long, value_name = "PATH", help_heading = "Process")]
    new_server: Option<PathBuf>,
    #[command(flatten)]
    process: Process,
    #[command(flatten)]
    common: Common,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        let output = Output::new(&self.common)?;
        let (of_old, of_new) = self.processes()?;
        self.refuse_unlike(&of_old, &of_new)?;
        let is_one_root = of_old.root.directory == of_new.root.directory;
        let load = |process: &Process, path: &Path, server: ServerChoice| {
            let settings = Settings { reading: Reading::Comparing, ..process.settings(server)? };
            output.load(process, &[path.to_owned()], settings)
        };
        let server_of = |tree: &Tree| tree.server().map(|server| server.installation.server.clone());
        let other = |server: Option<PathBuf>| match server {
            Some(path) if is_one_root => ServerChoice::DetectOr(path),
            _ => ServerChoice::Detect,
        };
        let mut old = load(&of_old, &self.old, ServerChoice::Detect)?;
        let new = load(&of_new, &self.new, other(server_of(&old)))?;
        if old.server().is_none() && is_one_root && new.server().is_some() {
            old = load(&of_old, &self.old, other(server_of(&new)))?;
        }
        let mut comparison = Comparison::new(&old, &new);
        comparison.shown_from = self.show.severity();
        output.write(&comparison)?;
        Ok(self.fail_on.status(|severity| comparison.count_from(severity)))
    }

    /// The process of each side.
    fn processes(&self) -> anyhow::Result<(Process, Process)> {
        let (old_version, new_version) = match self.process.pg_version[..] {
            [] => (Vec::new(), Vec::new()),
            [both] => (vec![both], vec![both]),
            [old, new] => (vec![old], vec![new]),
            [_, _, ..] => anyhow::bail!(
                "--pg-version: more than two versions are given; write that of OLD and that of NEW"
            ),
        };
        let side = |root: &Option<PathBuf>, server: &Option<PathBuf>, pg_version| {
            let mut process = self.process.clone();
            process.root.directory = root.clone().or(process.root.directory);
            process.server = server.clone().or(process.server);
            Process { pg_version, ..process }
        };
        Ok((
            side(&self.old_root, &self.old_server, old_version),
            side(&self.new_root, &self.new_server, new_version),
        ))
    }

    /// A file and a directory have nothing in common that could change.
    fn refuse_unlike(&self, of_old: &Process, of_new: &Process) -> anyhow::Result<()> {
        let is_directory = |process: &Process, path: &Path| -> anyhow::Result<Option<bool>> {
            let fs = process.root.fs()?;
            let whole = process
                .root
                .working_directory()
                .map_or_else(|| path.to_owned(), |directory| directory.join(path));
            // What is not there is told where it is looked into.
            Ok(fs.metadata(&whole).ok().map(|metadata| metadata.kind == FileKind::Directory))
        };
        let (old, new) = (is_directory(of_old, &self.old)?, is_directory(of_new, &self.new)?);
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            let word = |is_directory| if is_directory { "a directory" } else { "a file" };
            anyhow::bail!(
                "cannot compare {}, {}, with {}, {}; name two files or two directories",
                self.old.display(),
                word(old),
                self.new.display(),
                word(new)
            );
        }
        Ok(())
    }
}
