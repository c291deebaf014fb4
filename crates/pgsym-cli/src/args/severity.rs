//! `--fail-on` and `--show`: from which severity on something counts, and is told.

use clap::ValueEnum;
use pgsym_core::check::Severity;

use crate::commands::Status;

/// From which severity on what was found fails the run.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FailOn {
    Error,
    Warning,
    Info,
    Never,
}

impl FailOn {
    /// The status, by how many are at least as bad as a severity.
    pub(crate) fn status(self, count_from: impl Fn(Severity) -> usize) -> Status {
        let severity = match self {
            Self::Error => Severity::Error,
            Self::Warning => Severity::Warning,
            Self::Info => Severity::Info,
            Self::Never => return Status::Clean,
        };
        Status::from_findings(count_from(severity) > 0)
    }
}

/// From which severity on text tells what was found, one by one.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Shown {
    Error,
    Warning,
    Info,
}

impl Shown {
    /// The severity.
    pub(crate) fn severity(self) -> Severity {
        match self {
            Self::Error => Severity::Error,
            Self::Warning => Severity::Warning,
            Self::Info => Severity::Info,
        }
    }
}
