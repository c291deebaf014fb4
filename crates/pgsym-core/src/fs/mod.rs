//! The file system as a value: the machine's own, one below another root, or a tree in memory for tests.
//! This is the only folder of the core that touches files, and it only ever reads.

mod memory;
mod real;

pub use memory::MemoryFs;
pub use real::RealFs;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::error::{FileError, FileErrorKind};
use crate::limits;
use crate::source::{Source, read_range};

/// What identifies a file to the loader: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
}

/// What kind of file a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link (only from [`Fs::symlink_metadata`] and [`Fs::read_dir`]).
    Symlink,
    /// A FIFO, socket or device: never opened.
    Special,
}

/// What `stat` tells of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Device and inode.
    pub id: FileId,
    /// Its kind.
    pub kind: FileKind,
    /// Length in bytes.
    pub len: u64,
    /// Permission bits, `st_mode & 0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The entry's name, without its directory.
    pub name: OsString,
    /// Its own kind; a symbolic link is not followed.
    pub kind: FileKind,
}

/// One path that [`Fs::walk`] met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalkEntry {
    /// The path.
    pub path: PathBuf,
    /// What the directory says that it is, or why it cannot be looked at.
    pub kind: Result<FileKind, FileError>,
}

impl WalkEntry {
    /// A path that cannot be looked at.
    pub(crate) fn unreadable(path: PathBuf, error: FileError) -> Self {
        Self { path, kind: Err(error) }
    }
}

/// Why a directory is worth an entry of its own: it stands where a library should.
pub(crate) fn library_directory(path: &Path) -> Option<FileError> {
    let is_library =
        path.extension().is_some_and(|extension| extension == "so") && path.file_stem().is_some();
    is_library.then(|| FileError::new(FileErrorKind::NotRegular, "it is a directory"))
}

/// A tree of files, read only. Paths are absolute inside the tree, or relative to its current directory
/// where it has one.
pub trait Fs: Send + Sync {
    /// Opens a regular file, following symbolic links inside the tree.
    ///
    /// A directory is [`io::ErrorKind::IsADirectory`]; a FIFO, socket or device is
    /// [`io::ErrorKind::Unsupported`] and is not opened, so that nothing waits for a writer.
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Source>, Metadata)>;

    /// [`open`](Self::open) of what a directory has just said is a regular file.
    fn open_regular(&self, path: &Path) -> io::Result<(Box<dyn Source>, Metadata)> {
        self.open(path)
    }

    /// `stat`.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;

    /// `lstat`: the last component is not followed.
    fn symlink_metadata(&self, path: &Path) -> io::Result<Metadata>;

    /// The target of a symbolic link, as written in it.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;

    /// The entries of a directory, sorted by name.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// The path with every symbolic link resolved inside the tree, as the tree's own processes see it.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;

    /// Every file below a directory that is not a directory itself, and directories named like a library, in path order; symbolic links are met, not
    /// followed. A directory that cannot be entered is an entry with its error.
    fn walk(&self, directory: &Path) -> io::Result<Vec<WalkEntry>> {
        let mut found = Vec::new();
        let mut pending = vec![(directory.to_owned(), 0)];
        self.read_dir(directory)?;
        while let Some((directory, depth)) = pending.pop() {
            let error = match self.read_dir(&directory) {
                Ok(_) if depth > limits::WALK_DEPTH => {
                    FileError::limit(format!("directories are nested deeper than {}", limits::WALK_DEPTH))
                }
                Ok(entries) => {
                    for entry in entries {
                        let path = directory.join(entry.name);
                        match entry.kind {
                            FileKind::Directory => {
                                let error = library_directory(&path);
                                found.extend(error.map(|error| WalkEntry::unreadable(path.clone(), error)));
                                pending.push((path, depth + 1));
                            }
                            kind => found.push(WalkEntry { path, kind: Ok(kind) }),
                        }
                    }
                    continue;
                }
                Err(error) => error.into(),
            };
            found.push(WalkEntry::unreadable(directory, error));
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// The whole of a small file, up to `limit` bytes.
    fn read_small(&self, path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
        let (source, metadata) = self.open(path)?;
        if metadata.len > limit {
            return Err(FileError::limit(format!("the file has {} bytes, more than {limit}", metadata.len)));
        }
        read_range(&*source, 0, source.len(), "the file")
    }
}

/// Resolves every symbolic link of `path` by hand, so that an absolute link stays below the tree's root, and
/// `..` above the root is the root (as `chroot` does).
///
/// `link` tells of one literal absolute path what it is and, of a symbolic link, where it points. The
/// last component is followed when `follow_last` says so.
fn walk(
    path: &Path,
    follow_last: FollowLast,
    link: &mut dyn FnMut(&Path) -> io::Result<Option<PathBuf>>,
) -> io::Result<PathBuf> {
    let mut resolved = PathBuf::from("/");
    let mut pending: VecDeque<OsString> = VecDeque::new();
    push_components(&mut pending, path);
    let mut links = 0;
    while let Some(component) = pending.pop_front() {
        if component == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&component);
        if pending.is_empty() && follow_last == FollowLast::No {
            return Ok(next);
        }
        match link(&next)? {
            None => resolved = next,
            Some(target) => {
                links += 1;
                if links > limits::SYMLINKS {
                    return Err(io::Error::from_raw_os_error(libc::ELOOP));
                }
                if target.is_absolute() {
                    resolved = PathBuf::from("/");
                }
                push_components(&mut pending, &target);
            }
        }
    }
    Ok(resolved)
}

/// Whether [`walk`] follows a symbolic link in the last place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FollowLast {
    Yes,
    No,
}

/// Puts a path's components in front of those that wait.
fn push_components(pending: &mut VecDeque<OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => pending.push_front(name.to_owned()),
            Component::ParentDir => pending.push_front("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
}
