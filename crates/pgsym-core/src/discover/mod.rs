//! Which files of the roots are worth parsing, and which installation they belong to. Everything that follows
//! works on this sorted list.

mod below;
mod layout;
mod roots;
mod search;
mod sniff;

pub use below::{installations_below, serving};
pub use layout::{Installation, find_installation, server_at};
pub use roots::{Roots, standing};
pub use sniff::{Format, has_library_name, sniff};

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use self::search::Search;
use crate::error::{Error, FileError, os_text};
use crate::fs::{FileKind, Fs};

/// One file that a run looks at.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Where it was found, absolute as its root is.
    pub path: PathBuf,
    /// The same as the caller would name it.
    pub shown: PathBuf,
    /// What its first bytes say; why they cannot be read.
    pub format: Result<Format, FileError>,
    /// Whether the caller named it, rather than a directory above it.
    pub is_named: bool,
    /// Whether another name of the same file goes before: only of what the caller named.
    pub is_repeated: bool,
}

/// What a walk over the roots met.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// What looks like a binary, or has a library's name and does not, in path order, each file once however many
    /// names lead to it.
    pub candidates: Vec<Candidate>,
    /// The directories below the roots that hold a control file of an extension, in path order.
    pub control_directories: BTreeSet<PathBuf>,
}

/// Walks the roots, once for all who look for something in them.
pub fn discover(fs: &dyn Fs, roots: &Roots) -> Result<Discovery, Error> {
    let search = Search::new(fs, roots);
    for (given, root) in roots.given().iter().zip(roots.paths()) {
        let refuse = |error: &io::Error, advice| Error::Path {
            what: "cannot read",
            path: given.clone(),
            seen: os_text(error),
            advice,
        };
        let metadata = fs.metadata(root).or_else(|error| match fs.symlink_metadata(root) {
            // A link that leads nowhere is a file to report, not a question that cannot be answered.
            Ok(link) => Ok(link),
            Err(_) => Err(refuse(&error, "name a module, a directory or an installation prefix")),
        })?;
        if metadata.kind == FileKind::Directory {
            fs.walk(root, &|place, met| search.meet(place, met)).map_err(|error| {
                let is_too_long = error.kind() == io::ErrorKind::QuotaExceeded;
                let advice =
                    if is_too_long { "name directories in it" } else { "run as a user who may read it" };
                refuse(&error, advice)
            })?;
        } else {
            search.add_named(root);
        }
    }
    Ok(search.finish())
}

/// The path below a directory as a person would name it: relative to the root where it is below one.
pub fn short_path<'p>(path: &'p Path, roots: &[PathBuf]) -> &'p Path {
    roots
        .iter()
        .filter_map(|root| path.strip_prefix(root).ok())
        .find(|rest| !rest.as_os_str().is_empty())
        .unwrap_or(path)
}
