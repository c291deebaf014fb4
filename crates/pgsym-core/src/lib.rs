//! Reads PostgreSQL extension trees as the loader and the server would, and says what is wrong in them. Nothing
//! under audit is executed, and nothing is taken from this process's environment.
//!
//! The program that a packager would write first: load a tree, ask what a module needs and exports, list what is
//! wrong.
//!
//! ```
//! use std::path::PathBuf;
//! use std::sync::Arc;
//!
//! use pgsym_core::check::{Selection, check};
//! use pgsym_core::fs::RealFs;
//! use pgsym_core::name::Shown;
//! use pgsym_core::tree::{Settings, Tree};
//!
//! # let directory = tempfile::tempdir()?;
//! # let object = pgsym_testkit::SharedObject::new().magic(pgsym_testkit::Magic::pg(17)).needed("libnowhere.so.1");
//! # std::fs::write(directory.path().join("x.so"), object.build())?;
//! let roots = [PathBuf::from("/usr/lib/postgresql/17/lib")];
//! # let roots = [directory.path().to_owned()];
//! // Relative paths stand in the working directory; without one they are refused.
//! let settings = Settings { working_directory: std::env::current_dir().ok(), ..Settings::default() };
//! let tree = Tree::load(Arc::new(RealFs::new()), &roots, settings)?;
//! for file in tree.modules() {
//!     let Ok(module) = &file.module else { continue };
//!     println!("{}", file.path.display());
//!     for dependency in module.needed() {
//!         println!("  needs {}", dependency.name);
//!     }
//!     for symbol in module.symbols.get().into_iter().flat_map(|symbols| symbols.exports()) {
//!         println!("  exports {}", Shown(symbol.name()));
//!     }
//! }
//! let findings = check(&tree, &Selection::default());
//! for finding in &findings {
//!     println!("{} {}: {}", finding.rule.code, finding.path.display(), finding.message);
//! }
//! # assert!(findings.iter().any(|finding| finding.rule.name == "missing-dependency"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The phases are the folders, and each works on what those before it returned:
//!
//! 1. [`discover`] walks the roots and finds the installation that they belong to.
//! 2. [`parse`] reads one binary into a [`model::Module`], taking everything where the loader takes it.
//! 3. [`resolve`] starts the server's process and opens modules in it; every edge keeps its search trace.
//! 4. [`postgres`] and [`extension`] say what PostgreSQL finds in modules, control files and scripts.
//! 5. [`check`](mod@check) runs the [`rules`] over the [`tree::Tree`] that holds all of this.
//! 6. [`diff`](mod@diff) says what changed between two such trees.
//! 7. [`report`] turns the result into documents: JSON for programs, text for people.
//!
//! A bad file is data: a [`FileError`] in its place, and the run goes on. A bad question is an [`Error`].

#[cfg(feature = "audit")]
pub mod check;
#[cfg(feature = "audit")]
pub mod collide;
#[cfg(feature = "audit")]
pub mod diff;
#[cfg(feature = "audit")]
pub mod discover;
pub mod error;
pub mod exports;
pub mod extension;
pub mod fs;
mod hash;
pub mod limits;
pub mod model;
pub mod name;
pub mod parse;
pub mod postgres;
#[cfg(feature = "audit")]
pub mod report;
#[cfg(feature = "audit")]
pub mod resolve;
#[cfg(feature = "audit")]
pub mod rules;
pub mod source;
#[cfg(feature = "audit")]
pub mod tree;

pub use error::{Error, FileError, FileErrorKind};
