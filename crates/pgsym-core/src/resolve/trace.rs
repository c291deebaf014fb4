//! What a search looked at and why it ended as it did: the material of every explanation. Kept for
//! satisfied and unsatisfied edges alike.

use std::fmt;
use std::path::PathBuf;

use super::process::ObjectId;
use crate::model::{Class, DependencyKind};
use crate::name::Name;

/// Which rule of the loader produced a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// An object of the process already answers to the name.
    Loaded,
    /// The name holds a slash: it is the path.
    Path,
    /// DT_RPATH of an object on the way to the requester.
    Rpath(ObjectId),
    /// LD_LIBRARY_PATH.
    LibraryPath,
    /// The requester's own DT_RUNPATH.
    Runpath,
    /// `ld.so.cache`.
    Cache,
    /// A directory built into the loader (musl: or of its path file).
    Default,
    /// The server's profile, which says where its loader found the library.
    Profile,
}

impl Via {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Path => "path",
            Self::Rpath(_) => "rpath",
            Self::LibraryPath => "library-path",
            Self::Runpath => "runpath",
            Self::Cache => "cache",
            Self::Default => "default",
            Self::Profile => "profile",
        }
    }
}

/// One candidate that the loader would try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// By which rule.
    pub via: Via,
    /// The search path element as it stands in the file, where there is one.
    pub element: Option<Name>,
    /// The candidate's path, or the directory's where none of its files was tried.
    pub path: PathBuf,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of one candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was opened.
    Found,
    /// No such file.
    Missing,
    /// The directory does not exist.
    NoDirectory,
    /// It cannot be read.
    Denied,
    /// Of the other word size: the loader tries on.
    OtherClass(Class),
    /// For another machine: the loader tries on.
    OtherMachine(String),
    /// Its ABI note asks for a newer kernel or another system: the loader tries on.
    OtherSystem,
    /// Unusable, and the loader stops here.
    Refused(Refusal),
    /// The cache has no entry for the name.
    NoEntry,
    /// A rule kept the loader from looking; which.
    Skipped(&'static str),
    /// Relative to a current directory that is not known.
    UnknownDirectory,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found => f.write_str("found"),
            Self::Missing => f.write_str("no such file"),
            Self::NoDirectory => f.write_str("no such directory"),
            Self::Denied => f.write_str("permission denied"),
            Self::OtherClass(Class::Bits32) => f.write_str("wrong ELF class (32-bit)"),
            Self::OtherClass(Class::Bits64) => f.write_str("wrong ELF class (64-bit)"),
            Self::OtherMachine(arch) => write!(f, "wrong machine ({arch})"),
            Self::OtherSystem => f.write_str("for a newer kernel or another system"),
            Self::Refused(refusal) => write!(f, "refused: {refusal}"),
            Self::NoEntry => f.write_str("no entry"),
            Self::Skipped(reason) => write!(f, "skipped: {reason}"),
            Self::UnknownDirectory => f.write_str("relative to the server's data directory"),
        }
    }
}

/// Why the loader stops at a file, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The loader's sentence: `file too short`.
    pub message: String,
    /// The system's sentence behind it: `Is a directory`.
    pub os: Option<String>,
}

impl Refusal {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), os: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(os) = &self.os {
            write!(f, ": {os}")?;
        }
        Ok(())
    }
}

/// One dependency of one object, and what became of it.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Who asks.
    pub requester: ObjectId,
    /// Index into the requester's dependencies.
    pub dependency: usize,
    /// The name, tokens expanded.
    pub name: Name,
    /// How it is asked for.
    pub kind: DependencyKind,
    /// The object, or why there is none.
    pub target: Result<ObjectId, LoadError>,
    /// The rule that found it; [`Via::Loaded`] where no search took place.
    pub via: Option<Via>,
    /// Every candidate, in the loader's order.
    pub searched: Vec<Probe>,
}

/// Why an object or one of its dependencies cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// What `dlerror` says, word for word.
    pub message: String,
    /// The kind of failure.
    pub kind: LoadErrorKind,
    /// The object whose entry led to it, where it is not the opened file itself.
    pub requester: Option<ObjectId>,
}

/// The kinds of [`LoadError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoadErrorKind {
    /// No candidate exists.
    NotFound,
    /// No candidate exists in what there is, and the system of the file's machine is not there.
    NoSystem,
    /// No candidate exists here, and the server's profile says that the server has one.
    Elsewhere,
    /// A candidate exists and stops the search.
    Refused,
    /// A version that an object needs is not defined by the library chosen.
    VersionNotFound,
    /// A symbol is defined by nothing in scope.
    UndefinedSymbol,
    /// The same in the place of a server of which one minor release is known: a later one may have added it.
    LaterMinor,
    /// An object asks for a newer processor.
    IsaLevel,
    /// An object wants room in the static TLS block, and there is none.
    StaticTls,
    /// The process does not survive it: what it writes before it ends is the message.
    Crash,
    /// A file could be opened but not understood here; whether the loader survives it is not known.
    Unreadable,
    /// A bound of `limits.rs`: the process is larger than what is modelled.
    Limit,
}

impl LoadErrorKind {
    /// Whether a whole file is missing or unusable, rather than something inside one.
    pub fn is_of_a_file(self) -> bool {
        matches!(
            self,
            Self::NotFound
                | Self::NoSystem
                | Self::Elsewhere
                | Self::Refused
                | Self::Unreadable
                | Self::Limit
        )
    }
}
