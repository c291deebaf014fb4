//! Extensions on disk, as CREATE EXTENSION sees them: control files, versions and scripts, the C functions that the
//! scripts declare, and the search that leads from a function's file name to a module.
//!
//! The way of the data: [`tree`] finds control files ([`config_file`], [`control`]) and scripts ([`name`]) and
//! chooses the scripts that an installation runs ([`update_graph`]); [`script`] makes the server's replacements
//! ([`preprocess`]) and reads the SQL ([`sql`]); [`catalog`] keeps what is left after a chain of scripts; and
//! [`library_path`] finds the modules. `Inventory` (feature `audit`) does all of it for a tree. Those who have
//! only a script ask [`declared_c_functions`].

#[cfg(feature = "audit")]
mod functions;
#[cfg(feature = "audit")]
mod inventory;
#[cfg(feature = "audit")]
mod places;
#[cfg(feature = "audit")]
mod preload;

pub mod catalog;
pub mod config_file;
pub mod control;
mod encoding;
pub mod library_path;
pub mod name;
pub mod preprocess;
pub mod script;
pub mod sql;
pub mod tree;
pub mod update_graph;

#[cfg(feature = "audit")]
pub use functions::{Library, NearExport, NearExports, Objects, Opened, Refusal, Status};
#[cfg(feature = "audit")]
pub use inventory::{
    Cycle, ExtensionKey, ExtensionRecord, ExtensionSettings, Function, Inventory, LoadStatement,
    OperatorError, Reading, Required, Run, ScriptRecord,
};
#[cfg(feature = "audit")]
pub(crate) use inventory::{Declarations, NEWEST_MAJOR, Surroundings};
#[cfg(feature = "audit")]
pub use places::{Places, SearchSettings, Site};
#[cfg(feature = "audit")]
pub use preload::preload_names;
#[cfg(feature = "audit")]
pub(crate) use preload::{PreloadError, preload_path};
pub use script::{CFunction, declared_c_functions};
