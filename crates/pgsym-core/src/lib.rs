//! Reads PostgreSQL extension trees as the loader would, and says what is wrong in them.

pub mod error;
pub mod exports;
pub mod fs;
pub mod limits;
pub mod model;
pub mod name;
pub mod parse;
pub mod postgres;
#[cfg(feature = "audit")]
pub mod resolve;
pub mod source;

pub use error::{Error, FileError, FileErrorKind};
