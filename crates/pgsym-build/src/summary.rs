//! What a build did, for build scripts that look at the result and for tests.

use std::path::PathBuf;

use pgsym_core::exports::ExportSet;

use crate::linker::Linker;
use crate::pg_config::PgConfig;

/// What [`Extension::try_emit`](crate::Extension::try_emit) found and told Cargo.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Summary {
    /// The installation that the C parts were compiled against; none when there was nothing to compile.
    pub pg_config: Option<PgConfig>,
    /// What the module will export, and why.
    pub exports: ExportSet,
    /// The linker that will link the module; none when nothing has to be forced into it.
    pub linker: Option<Linker>,
    /// The linker that was replaced because it cannot export C symbols from a Rust module.
    pub instead_of: Option<Linker>,
    /// The arguments for the link of the cdylib, in order.
    pub link_args: Vec<String>,
    /// The list of all exports in OUT_DIR.
    pub map: PathBuf,
    /// What the compiler said about code that it accepted.
    pub warnings: Vec<String>,
}
