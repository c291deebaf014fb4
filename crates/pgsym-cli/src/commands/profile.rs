//! `pgsym profile POSTGRES`: what the model needs of a server, as text for `--server` where the server is not at hand.

use std::path::PathBuf;

use pgsym_core::postgres::Profile;
use pgsym_core::tree::{ServerChoice, Settings, Tree};

use super::Status;
use crate::args::Root;
use crate::output::{replace, write_stdout};

/// Options of `pgsym profile`.
#[derive(Debug, clap::Args)]
#[command(after_help = "pgsym profile /usr/lib/postgresql/17 > pg17.profile, then --server pg17.profile. \
    The majors 13 to 18 are built in: --pg-version.")]
pub(crate) struct Args {
    /// The postgres binary, its prefix, or the pg_config beside it; nothing of it is executed
    #[arg(value_name = "POSTGRES")]
    server: PathBuf,
    /// Write the profile to a file, which is replaced as a whole
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    root: Root,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Status> {
        let settings = Settings {
            server: ServerChoice::At(self.server.clone()),
            working_directory: self.root.working_directory(),
            ..Settings::default()
        };
        let tree = Tree::load(self.root.fs()?, &[], settings).map_err(|error| self.root.explain(error))?;
        if tree.server().is_some_and(|server| server.module.macho().is_some()) {
            anyhow::bail!(
                "cannot write a profile of {}: it is a Mach-O program, and profiles are of ELF servers; give the \
                 binary itself to --server",
                self.server.display()
            );
        }
        let (Some(server), Some(process)) = (tree.server(), tree.process()) else {
            anyhow::bail!("no server was read from {}; name the postgres binary", self.server.display());
        };
        let mut text = Vec::new();
        Profile::of(server, process).write(&mut text)?;
        match &self.output {
            None => write_stdout(&text)?,
            Some(path) => replace(path, &text)?,
        }
        Ok(Status::Clean)
    }
}
