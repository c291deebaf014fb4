//! The search for binaries: the walk tells of each file by its first bytes, on as many threads as there are, and what is
//! kept is put into an order that does not depend on them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rayon::prelude::*;

use super::layout::is_layout_directory;
use super::sniff::{format_of, has_library_name, is_library_name};
use super::{Candidate, Discovery, Format, OpenFile, Roots, WindowsBinaries};
use crate::error::{FileError, FileErrorKind};
use crate::extension::name::{ControlName, control_name};
use crate::fs::{FileId, FileKind, Fs, Met, Place, head_of};
use crate::hash::HashSet;
use crate::limits;
use crate::name::{path_bytes, shown_path};

/// A walk over all roots.
pub(super) struct Search<'a> {
    fs: &'a dyn Fs,
    roots: &'a Roots,
    /// The roots, every link resolved; only links to directories ask for them.
    resolved: OnceLock<Vec<PathBuf>>,
    found: Mutex<Found>,
    /// Files that stay open so far.
    held: AtomicUsize,
}

/// What it has come to so far.
#[derive(Default)]
struct Found {
    candidates: Vec<Looked>,
    /// What the walk does not tell of: symbolic links, files that it could not read, paths that were named.
    unread: Vec<Unread>,
    control_directories: BTreeSet<PathBuf>,
    /// The directories behind links that were walked, every link resolved.
    linked: Vec<PathBuf>,
}

/// A candidate with what tells it from others.
struct Looked {
    candidate: Candidate,
    id: Option<FileId>,
    /// Whether its path is a symbolic link.
    is_link: bool,
}

/// A path to look at by itself.
struct Unread {
    path: PathBuf,
    /// What `lstat` tells of it.
    kind: FileKind,
    is_named: bool,
}

impl Unread {
    fn is_link(&self) -> bool {
        self.kind == FileKind::Symlink
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(fs: &'a dyn Fs, roots: &'a Roots) -> Self {
        Self { fs, roots, resolved: OnceLock::new(), found: Mutex::default(), held: AtomicUsize::new(0) }
    }

    fn resolved(&self) -> &[PathBuf] {
        let resolve =
            || self.roots.paths().iter().filter_map(|root| self.fs.canonicalize(root).ok()).collect();
        self.resolved.get_or_init(resolve)
    }

    /// Adds a path that the caller named, of which `lstat` tells the kind.
    pub(super) fn add_named(&self, path: &Path, kind: FileKind) {
        self.found().unread.push(Unread { path: path.to_owned(), kind, is_named: true });
    }

    /// Adds the directory of an extension that the caller named.
    pub(super) fn add_control_directory(&self, directory: PathBuf) {
        self.found().control_directories.insert(directory);
    }

    /// Keeps what is of interest in what a walk meets.
    pub(super) fn meet(&self, place: Place<'_>, met: Met<'_>) {
        let name = path_bytes(Path::new(place.name));
        if matches!(control_name(name), Some(ControlName::Primary(_))) && !is_alternatives(place.directory) {
            self.found().control_directories.insert(place.directory.to_owned());
        }
        let is_wanted = || is_library_name(name);
        let (format, id) = match met {
            Met::File { head, metadata } => {
                let format = format_of(head);
                if !format.is_binary() && !is_wanted() {
                    return;
                }
                let Ok(metadata) = metadata() else { return self.leave(place, FileKind::File) };
                (Ok(format), Some(metadata.id))
            }
            Met::Unread(kind) if kind == FileKind::Symlink || is_wanted() => return self.leave(place, kind),
            Met::Unread(_) => return,
            // A directory that cannot be entered may hide modules, so it is always reported.
            Met::Failed(error) => (Err(error), None),
        };
        let candidate = self.candidate(place.path(), format, false, None);
        let looked = Looked { candidate, id, is_link: false };
        self.found().candidates.push(looked);
    }

    /// Walks on behind the symbolic links that stand for a directory of the layout: a pkglibdir that is kept on another
    /// volume is still the server's. Other links to directories stay what they are.
    pub(super) fn follow_layout_links(&self) {
        let mut others = Vec::new();
        loop {
            let is_layout = |unread: &Unread| {
                unread.is_link() && !unread.is_named && is_layout_directory(self.fs, &unread.path)
            };
            let unread = std::mem::take(&mut self.found().unread);
            let (mut links, rest): (Vec<Unread>, Vec<Unread>) = unread.into_iter().partition(is_layout);
            others.extend(rest);
            if links.is_empty() {
                break;
            }
            // The threads that met them did so in any order.
            links.sort_by(|a, b| a.path.cmp(&b.path));
            for link in links {
                if !self.walk_behind(&link.path) {
                    others.push(link);
                }
            }
        }
        self.found().unread = others;
    }

    /// Whether a link led to a directory that is walked now. What is walked anyway, and what lies above it, is never
    /// walked again, so that links cannot go round.
    fn walk_behind(&self, link: &Path) -> bool {
        let Ok(target) = self.fs.canonicalize(link) else { return false };
        let walked: Vec<PathBuf> = self.resolved().iter().chain(&self.found().linked).cloned().collect();
        if walked.iter().any(|walked| target.starts_with(walked) || walked.starts_with(&target)) {
            return false;
        }
        let is_walked = self.fs.walk(link, &|place, met| self.meet(place, met)).is_ok();
        if is_walked {
            self.found().linked.push(target);
        }
        is_walked
    }

    fn leave(&self, place: Place<'_>, kind: FileKind) {
        self.found().unread.push(Unread { path: place.path(), kind, is_named: false });
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn candidate(
        &self,
        path: PathBuf,
        format: Result<Format, FileError>,
        is_named: bool,
        opened: Option<OpenFile>,
    ) -> Candidate {
        let shown = self.roots.shown(&path);
        Candidate { path, shown, format, is_named, is_repeated: false, opened }
    }

    /// Everything of interest, in path order.
    pub(super) fn finish(self) -> Discovery {
        let Found { candidates: mut looked, unread, control_directories, linked } =
            std::mem::take(&mut *self.found());
        let known: HashSet<FileId> = looked.iter().filter_map(|looked| looked.id).collect();
        looked.par_extend(unread.into_par_iter().filter_map(|unread| self.look_at(unread, &known, &linked)));
        // Stable: of a library's directory that cannot be entered either, the first thing to say stays.
        looked.sort_by(|a, b| a.order().cmp(&b.order()));
        looked.dedup_by(|a, b| a.candidate.path == b.candidate.path);
        // A file's own name goes before symbolic links to it, which then add nothing.
        let own = looked.iter().filter(|looked| !looked.is_link);
        let mut seen: HashSet<FileId> = own.filter_map(|looked| looked.id).collect();
        let mut taken: HashSet<FileId> = HashSet::default();
        looked.retain_mut(|looked| {
            let is_new = match looked.id {
                None => true,
                Some(id) if looked.is_link => seen.insert(id),
                Some(id) => taken.insert(id),
            };
            looked.candidate.is_repeated = !is_new;
            // Whoever names three names wants three answers.
            is_new || looked.candidate.is_named
        });
        let mut candidates: Vec<Candidate> = looked.into_iter().map(|looked| looked.candidate).collect();
        let mut windows = WindowsBinaries::default();
        candidates.retain(|candidate| {
            // With the name of another system's library it is that one, damaged.
            let is_windows = candidate.format == Ok(Format::Windows) && !has_library_name(&candidate.path);
            if is_windows {
                windows.add(candidate);
            }
            !is_windows || candidate.is_named
        });
        Discovery { candidates, control_directories, linked, windows }
    }

    /// Nothing for what is no business of ours, nor for a link to one of the `known` files.
    fn look_at(&self, unread: Unread, known: &HashSet<FileId>, linked: &[PathBuf]) -> Option<Looked> {
        let is_link = unread.is_link();
        let Unread { path, kind, is_named } = unread;
        let ignored = |id: FileId| is_link && !is_named && known.contains(&id);
        let is_wanted = is_named || has_library_name(&path);
        let opened = if kind == FileKind::File { self.fs.open_regular(&path) } else { self.fs.open(&path) };
        let looked_into = opened.map_err(FileError::from).and_then(|(source, metadata)| {
            let format = format_of(&head_of(&*source)?);
            Ok((format, OpenFile { source: Arc::from(source), metadata }))
        });
        let mut opened = None;
        let (format, id) = match looked_into {
            Ok((_, OpenFile { metadata, .. })) if ignored(metadata.id) => return None,
            Ok((format, file)) => {
                let id = file.metadata.id;
                if format.is_object() && self.held.fetch_add(1, Ordering::Relaxed) < limits::FILES_HELD_OPEN {
                    opened = Some(file);
                }
                (Ok(format), Some(id))
            }
            Err(error) => {
                let metadata = self.fs.metadata(&path).ok();
                let id = metadata.map(|metadata| metadata.id);
                if id.is_some_and(ignored) {
                    return None;
                }
                let leads_to_directory =
                    metadata.is_some_and(|metadata| metadata.kind == FileKind::Directory);
                let of_directory = leads_to_directory && !is_wanted;
                (Err(if of_directory { self.linked_directory(&path, linked)? } else { error }), id)
            }
        };
        let is_kept = match &format {
            Ok(format) => format.is_binary(),
            Err(error) => error.kind == FileErrorKind::LinkedDirectory,
        };
        (is_kept || is_wanted).then(|| Looked {
            candidate: self.candidate(path, format, is_named, opened),
            id,
            is_link,
        })
    }

    /// What is said of a symbolic link to a directory: nothing where that one is walked anyway, by whatever name.
    fn linked_directory(&self, path: &Path, linked: &[PathBuf]) -> Option<FileError> {
        let target = self.fs.canonicalize(path).ok()?;
        let is_walked = self.resolved().iter().chain(linked).any(|walked| target.starts_with(walked));
        let message =
            || format!("a symbolic link to the directory {}, which is not entered", shown_path(&target));
        (!is_walked).then(|| FileError::new(FileErrorKind::LinkedDirectory, message()))
    }
}

/// Whether a directory is the one of update-alternatives(1), whose links have names of its own: that of PostGIS's control
/// file is one of a server's share directory by way of it, and no server lists this directory.
fn is_alternatives(directory: &Path) -> bool {
    directory.ends_with("etc/alternatives")
}

impl Looked {
    /// By path; of two spellings of one path, the one that was named.
    fn order(&self) -> (&Path, bool) {
        (&self.candidate.path, !self.candidate.is_named)
    }
}
