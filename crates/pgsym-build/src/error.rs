//! The one error of this crate: a kind for programs, a sentence for people.

use std::fmt;

/// Why a build cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A variable that Cargo sets for build scripts is not there.
    NotABuildScript,
    /// No `pg_config`, or it cannot be run.
    PgConfigNotFound,
    /// `pg_config` ran and said something that cannot be used.
    PgConfigOutput,
    /// The server's headers are not installed.
    HeadersNotFound,
    /// The C or C++ compiler, or the archiver, failed.
    Compile,
    /// A compiled object or an archive cannot be read.
    Object,
    /// An object was compiled for another machine than the target.
    WrongArchitecture,
    /// The objects and what was asked for contradict each other: a name that is not defined, hidden, defined
    /// twice, without its record, or nothing to export at all.
    Exports,
    /// An SQL script cannot be read, or declares a C function that the module would not have.
    Sql,
    /// A file cannot be written.
    Write,
    /// The checked-in map differs and may not be changed now.
    MapOutOfDate,
    /// The linker in use cannot export the names, and no other can be taken.
    Linker,
    /// The target has no form of module that this crate can make.
    UnsupportedTarget,
    /// What a dependency should have left for this build script is not there.
    Dependency,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What kind of trouble it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
