//! The two kinds of failure, never mixed: a bad *file* is a [`FileError`], becomes a finding and the run goes
//! on; a bad *question* is an [`Error`], goes up to whoever asked and ends the run.

use crate::name::shown_path;
use std::borrow::Cow;
use std::fmt;
use std::io;
#[cfg(feature = "audit")]
use std::path::Path;
use std::path::PathBuf;

/// Why one file, or one table of it, cannot be used.
///
/// It carries no path: whoever holds the error knows which file it was reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// What kind of trouble it is.
    pub kind: FileErrorKind,
    /// One clause, lower case, naming the field: "DT_STRTAB points outside every PT_LOAD".
    pub message: Cow<'static, str>,
    /// Bytes from the start of the file to the offending field, where that is known.
    pub offset: Option<u64>,
}

/// The kinds of [`FileError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// The operating system refused: the message is its own.
    Io(io::ErrorKind),
    /// Symbolic links that lead in a circle.
    LinkLoop,
    /// Not a regular file: a directory, FIFO, socket or device.
    NotRegular,
    /// A symbolic link to a directory, which a walk does not enter.
    LinkedDirectory,
    /// The file ends before the structure does.
    TooShort,
    /// The first bytes are not those of a format that pgsym reads.
    NotAnObject,
    /// A field contradicts the specification or another field.
    Malformed,
    /// A bound of `limits.rs` was reached.
    Limit,
    /// Legal, but of a kind that pgsym does not model.
    Unsupported,
}

impl FileError {
    /// A field that contradicts the specification.
    pub fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: FileErrorKind::Malformed, message: message.into(), offset: None }
    }

    /// A structure that the end of the file cuts off.
    pub fn too_short(message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: FileErrorKind::TooShort, message: message.into(), offset: None }
    }

    /// A bound of `limits.rs` that was reached.
    pub fn limit(message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: FileErrorKind::Limit, message: message.into(), offset: None }
    }

    /// Some other kind of trouble.
    pub fn new(kind: FileErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), offset: None }
    }

    /// The same error, pinned to a file offset in bytes.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            _ if error.raw_os_error() == Some(libc::ELOOP) => FileErrorKind::LinkLoop,
            // What `Fs::open` says of a FIFO, socket or device.
            io::ErrorKind::Unsupported => FileErrorKind::NotRegular,
            kind => FileErrorKind::Io(kind),
        };
        Self { kind, message: os_text(&error).into(), offset: None }
    }
}

/// The operating system's sentence without Rust's "(os error 2)" behind it.
pub(crate) fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((sentence, _)) => sentence.to_owned(),
        None => text,
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(offset) = self.offset {
            write!(f, " (file offset {offset:#x})")?;
        }
        Ok(())
    }
}

impl std::error::Error for FileError {}

impl Error {
    /// The same about a path as the caller spelled it.
    #[cfg(feature = "audit")]
    pub(crate) fn about(self, given: &Path) -> Self {
        match self {
            Self::Path { what, seen, advice, .. } => {
                Self::Path { what, path: given.to_owned(), seen, advice }
            }
            other @ Self::Value { .. } => other,
        }
    }
}

/// Why a question cannot be answered. Programs exit with status 2 on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A path that the caller named cannot be used.
    #[error("{what} {}: {seen}; {advice}", shown_path(path))]
    Path {
        /// What was tried: "cannot read", "no PostgreSQL server in".
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What was seen there.
        seen: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// A setting's value cannot be used.
    #[error("{option} {value:?}: {seen}; {advice}")]
    Value {
        /// The option or setting by its name.
        option: &'static str,
        /// The value as given.
        value: String,
        /// What is wrong with it.
        seen: String,
        /// What to write instead.
        advice: String,
    },
}
