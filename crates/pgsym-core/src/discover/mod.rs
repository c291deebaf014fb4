//! Which files of the roots are worth parsing, and which installation they belong to. Everything that follows
//! works on this sorted list.

mod below;
mod layout;
mod roots;
mod sniff;

pub use below::{installations_below, serving};
pub use layout::{Installation, find_installation, server_at};
pub use roots::{Roots, standing};
use sniff::format_of;
pub use sniff::{Format, has_library_name, sniff};

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use crate::error::{Error, FileError, FileErrorKind, os_text};
use crate::extension::name::{ControlName, control_name};
use crate::fs::{FileId, FileKind, Fs, WalkEntry};
use crate::name::{path_bytes, shown_path};

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
    let mut found: Vec<(WalkEntry, bool)> = Vec::new();
    let mut control_directories = BTreeSet::new();
    for (given, root) in roots.given().iter().zip(roots.paths()) {
        let metadata = fs.metadata(root).or_else(|error| match fs.symlink_metadata(root) {
            // A link that leads nowhere is a file to report, not a question that cannot be answered.
            Ok(link) => Ok(link),
            Err(_) => Err(Error::Path {
                what: "cannot read",
                path: given.clone(),
                seen: os_text(&error),
                advice: "name a module, a directory or an installation prefix",
            }),
        })?;
        if metadata.kind == FileKind::Directory {
            let entries = fs.walk(root).map_err(|error| Error::Path {
                what: "cannot read",
                path: given.clone(),
                seen: os_text(&error),
                advice: "run as a user who may read it",
            })?;
            let controls = entries.iter().filter(|entry| is_control(&entry.path));
            control_directories.extend(controls.filter_map(|entry| entry.path.parent().map(Path::to_owned)));
            found.extend(entries.into_iter().map(|entry| (entry, false)));
        } else {
            let kind = fs.symlink_metadata(root).map(|metadata| metadata.kind).map_err(FileError::from);
            found.push((WalkEntry { path: root.clone(), kind }, true));
        }
    }
    found.sort_by(|(a, a_is_named), (b, b_is_named)| (&a.path, !a_is_named).cmp(&(&b.path, !b_is_named)));
    found.dedup_by(|(a, _), (b, _)| a.path == b.path);
    Ok(Discovery { candidates: keep_binaries(fs, roots, found), control_directories })
}

fn is_control(path: &Path) -> bool {
    let name = path.file_name().map(Path::new).map(path_bytes).unwrap_or_default();
    matches!(control_name(name), Some(ControlName::Primary(_)))
}

fn keep_binaries(fs: &dyn Fs, roots: &Roots, found: Vec<(WalkEntry, bool)>) -> Vec<Candidate> {
    use rayon::prelude::*;
    let looked_at: Vec<Option<(Candidate, Option<FileId>, bool)>> =
        found.into_par_iter().map(|(entry, is_named)| look_at(fs, roots, entry, is_named)).collect();
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
    roots: &Roots,
    entry: WalkEntry,
    is_named: bool,
) -> Option<(Candidate, Option<FileId>, bool)> {
    let WalkEntry { path, kind } = entry;
    let wanted = is_named || has_library_name(&path);
    let kind = match kind {
        Ok(kind) => kind,
        // A directory that cannot be entered may hide modules, so it is always reported.
        Err(error) => {
            let shown = roots.shown(&path);
            return Some((Candidate { path, shown, format: Err(error), is_named }, None, false));
        }
    };
    let opened = if kind == FileKind::File { fs.open_regular(&path) } else { fs.open(&path) };
    let (format, id) = match opened {
        Ok((source, metadata)) => (format_of(&*source), Some(metadata.id)),
        Err(error) => {
            let metadata = fs.metadata(&path).ok();
            let leads_to_directory =
                metadata.is_some_and(|metadata| metadata.kind == FileKind::Directory) && !wanted;
            let error = if leads_to_directory { linked_directory(fs, roots, &path)? } else { error.into() };
            (Err(error), metadata.map(|metadata| metadata.id))
        }
    };
    let keep = match &format {
        Ok(Format::Elf | Format::MachO) => true,
        Err(FileError { kind: FileErrorKind::LinkedDirectory, .. }) => true,
        Ok(Format::Other | Format::Empty | Format::LinkerScript) | Err(_) => wanted,
    };
    keep.then(|| {
        let shown = roots.shown(&path);
        (Candidate { path, shown, format, is_named }, id, kind == FileKind::Symlink)
    })
}

/// What is said of a symbolic link to a directory: nothing where that one is walked anyway.
fn linked_directory(fs: &dyn Fs, roots: &Roots, path: &Path) -> Option<FileError> {
    let target = fs.canonicalize(path).ok()?;
    // Whatever links lead to the root.
    let is_above = |root: &PathBuf| fs.canonicalize(root).is_ok_and(|root| target.starts_with(root));
    let is_walked = roots.paths().iter().any(is_above);
    let message =
        || format!("a symbolic link to the directory {}, which is not entered", shown_path(&target));
    (!is_walked).then(|| FileError::new(FileErrorKind::LinkedDirectory, message()))
}

/// The path below a directory as a person would name it: relative to the root where it is below one.
pub fn short_path<'p>(path: &'p Path, roots: &[PathBuf]) -> &'p Path {
    roots
        .iter()
        .filter_map(|root| path.strip_prefix(root).ok())
        .find(|rest| !rest.as_os_str().is_empty())
        .unwrap_or(path)
}
