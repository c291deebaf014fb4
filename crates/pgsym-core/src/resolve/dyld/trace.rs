//! What dyld looked at, and in which words it says so.

use std::fmt;
use std::path::PathBuf;

use super::image::ImageId;
use crate::model::DependencyKind;
use crate::name::{Name, shown_path};

/// Which rule of dyld produced a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DyldVia {
    /// An image of the process already answers to the name.
    Loaded,
    /// The name is the path.
    Path,
    /// `@loader_path`.
    LoaderPath,
    /// `@executable_path`.
    ExecutablePath,
    /// An LC_RPATH of an image on the way to the one that asks.
    Rpath {
        /// Whose.
        owner: ImageId,
        /// Index into its search paths.
        entry: u32,
    },
    /// DYLD_LIBRARY_PATH.
    LibraryPath,
    /// DYLD_FALLBACK_LIBRARY_PATH, or the directories that stand for it in old images.
    Fallback,
    /// The shared cache of the system.
    System,
}

impl DyldVia {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Path | Self::LoaderPath | Self::ExecutablePath => "path",
            Self::Rpath { .. } => "rpath-stack",
            Self::LibraryPath => "library-path",
            Self::Fallback => "default",
            Self::System => "system",
        }
    }
}

/// One candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DyldProbe {
    /// By which rule.
    pub via: DyldVia,
    /// The path tried, as it was put together.
    pub path: PathBuf,
    /// What came of it.
    pub outcome: DyldOutcome,
}

/// What came of one candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DyldOutcome {
    /// It was opened.
    Found,
    /// It is loaded already.
    Loaded,
    /// The shared cache has it.
    System,
    /// No such file.
    Missing {
        /// Whether the shared cache could have had it.
        maybe_cached: bool,
    },
    /// It is a directory or special file.
    NotAFile,
    /// It cannot be read: dyld's errno.
    Failed(i32),
    /// It is there and dyld does not take it: why, in dyld's words.
    Refused(String),
}

impl fmt::Display for DyldOutcome {
    /// dyld's own words, which stand in parentheses behind the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found => f.write_str("found"),
            Self::Loaded => f.write_str("already loaded"),
            Self::System => f.write_str("in the dyld cache"),
            Self::Missing { maybe_cached: false } => f.write_str("no such file"),
            Self::Missing { maybe_cached: true } => f.write_str("no such file, not in dyld cache"),
            Self::NotAFile => f.write_str("not a file"),
            Self::Failed(number) => write!(f, "errno={number}"),
            Self::Refused(reason) => f.write_str(reason),
        }
    }
}

impl DyldProbe {
    /// Whether the search went on after it.
    pub fn is_failure(&self) -> bool {
        !matches!(self.outcome, DyldOutcome::Found | DyldOutcome::Loaded | DyldOutcome::System)
    }
}

/// dyld's list of what it tried.
pub(super) fn tried(probes: &[DyldProbe]) -> String {
    let mut text = String::new();
    for probe in probes.iter().filter(|probe| probe.is_failure()) {
        text.push_str(if text.is_empty() { "tried: " } else { ", " });
        text.push_str(&format!("'{}' ({})", shown_path(&probe.path), probe.outcome));
    }
    text
}

/// One library of one image, and what became of it.
#[derive(Debug, Clone)]
pub struct DyldEdge {
    /// Who asks.
    pub requester: ImageId,
    /// Index into the requester's dependencies.
    pub dependency: usize,
    /// The name as it stands in the file.
    pub name: Name,
    /// How it is asked for.
    pub kind: DependencyKind,
    /// The image; none where there is none.
    pub target: Option<ImageId>,
    /// The rule that found it.
    pub via: Option<DyldVia>,
    /// Every candidate, in dyld's order.
    pub searched: Vec<DyldProbe>,
    /// Why there is none, in dyld's words; none too for a weak library that is missing.
    pub failure: Option<String>,
}

impl DyldEdge {
    /// Whether the process cannot do without what is missing here.
    pub fn is_missing(&self) -> bool {
        self.target.is_none() && !matches!(self.kind, DependencyKind::Weak | DependencyKind::Lazy)
    }
}
