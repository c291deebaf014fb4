//! A table of a file that was read, was not asked for, is not there, or cannot be read: four different
//! answers. An empty list never stands for any of the last three.

use crate::error::FileError;

/// One table of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Table<T> {
    /// Nobody asked for it.
    #[default]
    NotRead,
    /// The file has none.
    Absent,
    /// The file has one, and it cannot be read.
    Unreadable(FileError),
    /// What it holds.
    Read(T),
}

impl<T> Table<T> {
    /// What it holds, if it was read.
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::Read(value) => Some(value),
            Self::NotRead | Self::Absent | Self::Unreadable(_) => None,
        }
    }

    /// Why it cannot be read.
    pub fn error(&self) -> Option<&FileError> {
        match self {
            Self::Unreadable(error) => Some(error),
            Self::NotRead | Self::Absent | Self::Read(_) => None,
        }
    }

    /// `None` is a table that the file does not have.
    pub fn from_optional(result: Result<Option<T>, FileError>) -> Self {
        match result {
            Ok(Some(value)) => Self::Read(value),
            Ok(None) => Self::Absent,
            Err(error) => Self::Unreadable(error),
        }
    }
}

impl<T> From<Result<T, FileError>> for Table<T> {
    fn from(result: Result<T, FileError>) -> Self {
        Self::from_optional(result.map(Some))
    }
}
