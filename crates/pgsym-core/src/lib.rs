//! Reads PostgreSQL extension trees as the loader would, and says what is wrong in them.

#[cfg(feature = "audit")]
pub mod check;
#[cfg(feature = "audit")]
pub mod collide;
#[cfg(feature = "audit")]
pub mod discover;
pub mod error;
pub mod exports;
pub mod extension;
pub mod fs;
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
