//! What the commands share: running programs, Debian packages, lists of ELF files, and the report that ends a
//! comparison.

pub(crate) mod command;
pub(crate) mod cpu;
pub(crate) mod debian;
pub(crate) mod elf_files;
pub(crate) mod measure;
pub(crate) mod postgres;
pub(crate) mod report;
pub(crate) mod wire;

use std::path::PathBuf;

/// How a command ends when it could do its work; an error instead means that it could not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Exit status 0: nothing differs.
    Good,
    /// Exit status 1: something differs.
    Bad,
}

/// The checkout that this command was built from.
pub(crate) fn workspace() -> PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
