//! From `build.rs` of a PostgreSQL extension with C parts: compiles the C, finds what must be exported, and writes
//! the link arguments that really export it.
//!
//! ```no_run
//! // in main of build.rs
//! pgsym_build::Extension::new().file("src/shim.c").emit();
//! ```
//!
//! # Why this takes a crate
//!
//! rustc links a cdylib with its own version script, which ends in `local: *`. A C shim with `PG_MODULE_MAGIC` and
//! `PG_FUNCTION_INFO_V1` loses its symbols three times: its archive members are never pulled in, unreferenced sections
//! are collected, and what is left becomes local. The link succeeds, and the server says `missing magic block`. A
//! second version script alone does not help: it matches names that were never linked, and exports nothing.
//!
//! # What the environment can say
//!
//! | variable | meaning |
//! |---|---|
//! | `PG_CONFIG` | path of the `pg_config` to build for |
//! | `PGRX_PG_CONFIG_PATH`, `PGRX_PG_CONFIG_AS_ENV` and `PGRX_PG_CONFIG_*`, `PGRX_HOME` | as pgrx reads them, after `PG_CONFIG` |
//! | `PATH` | searched for `pg_config` last |
//! | `PGSYM_LINKER` | `lld`, `mold`, `gold` or `bfd`: the linker, where it cannot be found out |
//! | `PGSYM_MAP` | `check`: a checked-in map that differs is an error instead of being rewritten |
//! | `CC`, `CFLAGS`, `CXX`, `AR` … | as the `cc` crate reads them |

mod cargo_output;
mod compile;
mod env;
mod error;
mod extension;
mod link_args;
mod linker;
mod map;
mod pg_config;
mod sql;
mod summary;
mod target;
pub mod testing;

pub use error::{Error, ErrorKind};
pub use extension::Extension;
pub use link_args::MacUndefined;
pub use linker::Linker;
pub use pg_config::PgConfig;
pub use pgsym_core::exports::{Export, ExportSet, Provider};
pub use summary::Summary;
