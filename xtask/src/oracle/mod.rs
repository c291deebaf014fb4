//! Oracles: programs whose behaviour pgsym predicts, asked what really happens. Each is one file (or folder) with the
//! options it takes and a `run`; a new one adds its variant and its line in `run`. What cannot be compared is an
//! error, exit status 2; what differs is [`Outcome::Bad`], exit status 1.

mod bindings;
mod functions;
mod linkers;
mod load;
mod loader;
mod macho;
mod magic;
mod readers;
mod scripts;
mod trees;

use crate::support::Outcome;

/// Which oracle.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Oracle {
    /// Small extension crates, each built with every linker, against the exports that they were meant to have
    Linkers(linkers::Linkers),
    /// Every symbol reference of every module against LD_DEBUG=bindings of the server that loads it
    Bindings(bindings::Options),
    /// `CREATE EXTENSION` for every control file against `pgsym functions` and the audit, for PostgreSQL 15 and 18
    Functions(functions::Options),
    /// `LOAD` in a running PostgreSQL 15 against the predicted verdict and message, alone and after preloaded modules
    Load(load::Options),
    /// Resolution against `ld.so --list`, over every module and shared library of a Debian system
    Loader(loader::Options),
    /// Magic blocks and finfo records, read statically, against what the modules return when they are called
    Magic(magic::Options),
    /// What pgsym reads from every ELF file of a trusted tree, against goblin and llvm-readelf
    Readers(readers::Readers),
    /// Every extension script of Debian, and damaged ones, against PostgreSQL's own parser
    Scripts(scripts::Options),
    /// The Mach-O reader against LLVM's, over PostgreSQL builds for macOS from npm and PyPI
    Macho(macho::Options),
    /// Random trees of libraries against the real loader of glibc or musl
    Trees(trees::Trees),
}

impl Oracle {
    /// Runs it.
    pub(crate) fn run(&self) -> anyhow::Result<Outcome> {
        match self {
            Self::Linkers(arguments) => linkers::run(arguments),
            Self::Bindings(options) => bindings::run_oracle(options),
            Self::Functions(options) => functions::run(options),
            Self::Load(options) => load::run(options),
            Self::Loader(options) => loader::run(options),
            Self::Magic(options) => magic::run(options),
            Self::Readers(arguments) => readers::run(arguments),
            Self::Scripts(options) => scripts::run(options),
            Self::Macho(options) => macho::run(options),
            Self::Trees(arguments) => trees::run(arguments),
        }
    }
}
