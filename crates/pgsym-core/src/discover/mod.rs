//! Which files of the roots are worth parsing, and which installation they belong to. Everything that follows
//! works on this sorted list.

mod layout;
mod sniff;

pub use layout::{Installation, find_installation, server_at};
use sniff::sniff_with_metadata;
pub use sniff::{Format, has_library_name, sniff};

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::error::{Error, FileError, os_text};
use crate::fs::{FileId, FileKind, Fs};

/// One file that a run looks at.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Where it was found.
    pub path: PathBuf,
    /// What its first bytes say; why they cannot be read.
    pub format: Result<Format, FileError>,
    /// Whether the caller named it, rather than a directory above it.
    pub is_named: bool,
}

/// Walks the roots and returns what looks like a binary, or has a library's name and does not, in path order, each
/// file once however many names lead to it.
pub fn discover(fs: &dyn Fs, roots: &[PathBuf]) -> Result<Vec<Candidate>, Error> {
    let mut found = Vec::new();
    for root in roots {
        let metadata = fs.metadata(root).or_else(|error| match fs.symlink_metadata(root) {
            // A link that leads nowhere is a file to report, not a question that cannot be answered.
            Ok(link) => Ok(link),
            Err(_) => Err(Error::Path {
                what: "cannot read",
                path: root.clone(),
                seen: os_text(&error),
                advice: "name a module, a directory or an installation prefix",
            }),
        })?;
        if metadata.kind == FileKind::Directory {
            let entries = fs.walk(root).map_err(|error| Error::Path {
                what: "cannot read",
                path: root.clone(),
                seen: os_text(&error),
                advice: "run as a user who may read it",
            })?;
            found.extend(entries.into_iter().map(|entry| (entry.path, entry.error, false)));
        } else {
            found.push((root.clone(), None, true));
        }
    }
    found.sort_by(|a, b| (&a.0, !a.2).cmp(&(&b.0, !b.2)));
    found.dedup_by(|a, b| a.0 == b.0);
    Ok(keep_binaries(fs, found))
}

fn keep_binaries(fs: &dyn Fs, found: Vec<(PathBuf, Option<FileError>, bool)>) -> Vec<Candidate> {
    use rayon::prelude::*;
    let looked_at: Vec<Option<(Candidate, Option<FileId>, bool)>> =
        found.into_par_iter().map(|(path, error, is_named)| look_at(fs, path, error, is_named)).collect();
    // A file's own name goes before symbolic links to it, which then add nothing.
    let mut seen: HashSet<FileId> =
        looked_at.iter().flatten().filter(|(_, _, is_link)| !is_link).filter_map(|(_, id, _)| *id).collect();
    let mut taken: HashSet<FileId> = HashSet::new();
    looked_at
        .into_iter()
        .flatten()
        .filter(|(_, id, is_link)| match id {
            None => true,
            Some(id) if *is_link => seen.insert(*id),
            Some(id) => taken.insert(*id),
        })
        .map(|(candidate, ..)| candidate)
        .collect()
}

/// A candidate with its identity and whether its path is a symbolic link; nothing for what is no business of ours.
fn look_at(
    fs: &dyn Fs,
    path: PathBuf,
    error: Option<FileError>,
    is_named: bool,
) -> Option<(Candidate, Option<FileId>, bool)> {
    let wanted = is_named || has_library_name(&path);
    if let Some(error) = error {
        // A directory that cannot be entered may hide modules, so it is always reported.
        return Some((Candidate { path, format: Err(error), is_named }, None, false));
    }
    let is_link = fs.symlink_metadata(&path).is_ok_and(|metadata| metadata.kind == FileKind::Symlink);
    let (format, id) = match sniff_with_metadata(fs, &path) {
        Ok((format, metadata)) => (Ok(format), Some(metadata.id)),
        Err(error) => (Err(error), fs.metadata(&path).ok().map(|metadata| metadata.id)),
    };
    let keep = match &format {
        Ok(Format::Elf | Format::MachO) => true,
        Ok(Format::Other | Format::Empty | Format::LinkerScript) | Err(_) => wanted,
    };
    keep.then_some((Candidate { path, format, is_named }, id, is_link))
}

/// The path below a directory as a person would name it: relative to the root where it is below one.
pub fn short_path<'p>(path: &'p Path, roots: &[PathBuf]) -> &'p Path {
    roots
        .iter()
        .filter_map(|root| path.strip_prefix(root).ok())
        .find(|rest| !rest.as_os_str().is_empty())
        .unwrap_or(path)
}
