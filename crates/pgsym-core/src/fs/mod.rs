//! The file system as a value: the machine's own, one below another root, or a tree in memory for tests.
//! This is the only folder of the core that touches files, and it only ever reads.

mod memory;
mod real;
#[cfg(feature = "audit")]
mod walk;

pub use memory::MemoryFs;
pub use real::RealFs;

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::error::{FileError, FileErrorKind};
use crate::limits;
use crate::name::path_bytes;
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

/// Bytes that a walk reads of each regular file: enough to see past the comment of a linker script.
pub const HEAD_BYTES: usize = 512;

/// Where a walk is: a path in two parts, which are put together only for what is kept.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The directory.
    pub directory: &'a Path,
    /// The name in it; empty for the root of a tree.
    pub name: &'a OsStr,
}

impl<'a> Place<'a> {
    fn of(path: &'a Path) -> Self {
        match (path.parent(), path.file_name()) {
            (Some(directory), Some(name)) => Self { directory, name },
            _ => Self { directory: path, name: OsStr::new("") },
        }
    }

    /// The whole path.
    pub fn path(self) -> PathBuf {
        if self.name.is_empty() { self.directory.to_owned() } else { self.directory.join(self.name) }
    }
}

/// What [`Fs::walk`] meets in a place.
pub enum Met<'a> {
    /// A regular file, which is open as long as it is looked at.
    File {
        /// Its first [`HEAD_BYTES`], or all it has.
        head: &'a [u8],
        /// `fstat`, for the few files that are of interest.
        metadata: &'a dyn Fn() -> io::Result<Metadata>,
    },
    /// A symbolic link, a special file, or a regular file that cannot be read: nothing of it was.
    Unread(FileKind),
    /// A directory that cannot be entered or stands where a library should, or what nobody can tell the kind of.
    Failed(FileError),
}

/// What looks at all that a walk meets, on whichever thread meets it.
pub type Visit<'a> = dyn Fn(Place<'_>, Met<'_>) + Sync + 'a;

/// What is to be said of a directory that a walk meets at some depth; where that is [`limits::WALK_DEPTH`] it is not
/// entered.
fn directory_error(place: Place<'_>, depth: usize) -> Option<FileError> {
    if depth >= limits::WALK_DEPTH {
        let message = format!("directories are nested deeper than {}", limits::WALK_DEPTH);
        return Some(FileError::limit(message));
    }
    let is_library =
        path_bytes(Path::new(place.name)).strip_suffix(b".so").is_some_and(|stem| !stem.is_empty());
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

    /// [`open`](Self::open) of what has just been seen to be a regular file, by a directory or by who read its first bytes.
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

    /// Goes through everything below a directory, in no particular order: the first bytes of every regular file, what is
    /// neither file nor directory, directories that cannot be entered or are named like a library. Symbolic links are
    /// met, not followed. Fails where the directory itself cannot be read.
    fn walk(&self, directory: &Path, visit: &Visit<'_>) -> io::Result<()> {
        self.read_dir(directory)?;
        let mut pending = vec![(directory.to_owned(), 0)];
        while let Some((directory, depth)) = pending.pop() {
            let entries = match self.read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) => {
                    visit(Place::of(&directory), Met::Failed(error.into()));
                    continue;
                }
            };
            for DirEntry { name, kind } in entries {
                let place = Place { directory: &directory, name: &name };
                match kind {
                    FileKind::Directory => {
                        let depth = depth + 1;
                        if let Some(error) = directory_error(place, depth) {
                            visit(place, Met::Failed(error));
                        }
                        if depth < limits::WALK_DEPTH {
                            pending.push((place.path(), depth));
                        }
                    }
                    FileKind::File => match self.head(&place.path()) {
                        Ok((head, metadata)) => {
                            visit(place, Met::File { head: &head, metadata: &|| Ok(metadata) });
                        }
                        Err(_) => visit(place, Met::Unread(kind)),
                    },
                    FileKind::Symlink | FileKind::Special => visit(place, Met::Unread(kind)),
                }
            }
        }
        Ok(())
    }

    /// The first [`HEAD_BYTES`] of a file.
    fn head(&self, path: &Path) -> Result<(Vec<u8>, Metadata), FileError> {
        let (source, metadata) = self.open(path)?;
        Ok((head_of(&*source)?, metadata))
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

/// The first [`HEAD_BYTES`] of an open file, or all it has.
pub(crate) fn head_of(source: &dyn Source) -> Result<Vec<u8>, FileError> {
    read_range(source, 0, source.len().min(HEAD_BYTES as u64), "the file")
}

/// Resolves every symbolic link of `path` by hand, so that an absolute link stays below the tree's root, and
/// `..` above the root is the root (as `chroot` does).
///
/// `link` tells of one literal absolute path what it is and, of a symbolic link, where it points. The
/// last component is followed when `follow_last` says so.
fn resolve(
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

/// Whether [`resolve`] follows a symbolic link in the last place.
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
