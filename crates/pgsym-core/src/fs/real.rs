//! The machine's files, or those below another root: with a root, each absolute path and each absolute
//! symbolic link is looked up inside it, as the processes of an image would.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

#[cfg(feature = "audit")]
use super::Visit;
use super::{DirEntry, FileId, FileKind, FollowLast, Fs, Metadata, resolve};
use crate::error::{Error, os_text};
use crate::source::{Source, Windowed};

/// Files on disk.
#[derive(Debug, Clone)]
pub struct RealFs {
    root: Option<PathBuf>,
}

impl RealFs {
    /// The machine's own tree.
    pub fn new() -> Self {
        Self { root: None }
    }

    /// The tree below `root`. Fails when that is not a directory that can be read.
    pub fn with_root(root: &Path) -> Result<Self, Error> {
        let refuse = |seen: String| Error::Path {
            what: "cannot use the root",
            path: root.to_owned(),
            seen,
            advice: "name a directory that holds a file system tree",
        };
        let root = fs::canonicalize(root).map_err(|error| refuse(os_text(&error)))?;
        if !root.is_dir() {
            return Err(refuse("it is not a directory".to_owned()));
        }
        // The machine's own root needs none of the walking by hand.
        Ok(Self { root: (root != Path::new("/")).then_some(root) })
    }

    /// The path on this machine of a path inside the tree.
    fn host(&self, path: &Path, follow_last: FollowLast) -> io::Result<PathBuf> {
        let Some(root) = &self.root else { return Ok(path.to_owned()) };
        let inside = Self::inside(root, path, follow_last)?;
        Ok(below(root, &inside))
    }

    fn inside(root: &Path, path: &Path, follow_last: FollowLast) -> io::Result<PathBuf> {
        resolve(path, follow_last, &mut |candidate| {
            let host = below(root, candidate);
            if fs::symlink_metadata(&host)?.is_symlink() { fs::read_link(&host).map(Some) } else { Ok(None) }
        })
    }
}

impl Default for RealFs {
    fn default() -> Self {
        Self::new()
    }
}

fn below(root: &Path, inside: &Path) -> PathBuf {
    root.join(inside.strip_prefix("/").unwrap_or(inside))
}

impl Fs for RealFs {
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Source>, Metadata)> {
        let host = self.host(path, FollowLast::Yes)?;
        // Looking first keeps devices with side effects closed.
        regular(&fs::metadata(&host)?)?;
        open_host(&host)
    }

    fn open_regular(&self, path: &Path) -> io::Result<(Box<dyn Source>, Metadata)> {
        open_host(&self.host(path, FollowLast::Yes)?)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        fs::metadata(self.host(path, FollowLast::Yes)?).map(|metadata| convert(&metadata))
    }

    fn symlink_metadata(&self, path: &Path) -> io::Result<Metadata> {
        fs::symlink_metadata(self.host(path, FollowLast::No)?).map(|metadata| convert(&metadata))
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(self.host(path, FollowLast::No)?)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.host(path, FollowLast::Yes)?)? {
            let entry = entry?;
            entries.push(DirEntry { name: entry.file_name(), kind: kind_of(entry.file_type()?) });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    #[cfg(feature = "audit")]
    fn walk(&self, directory: &Path, visit: &Visit<'_>) -> io::Result<()> {
        super::walk::walk(&self.host(directory, FollowLast::Yes)?, directory, visit)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        match &self.root {
            None => fs::canonicalize(path),
            Some(root) => {
                let inside = Self::inside(root, path, FollowLast::Yes)?;
                fs::symlink_metadata(below(root, &inside)).map(|_| inside)
            }
        }
    }
}

/// Opens what was seen to be a regular file; O_NONBLOCK covers a FIFO that has taken its place since.
fn open_host(host: &Path) -> io::Result<(Box<dyn Source>, Metadata)> {
    let file: File = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(host)?;
    let metadata = regular(&file.metadata()?)?;
    Ok((Box::new(Windowed::new(file, metadata.len)), metadata))
}

/// The metadata of a regular file; anything else is refused.
pub(super) fn regular(metadata: &fs::Metadata) -> io::Result<Metadata> {
    let metadata = convert(metadata);
    match metadata.kind {
        FileKind::File => Ok(metadata),
        FileKind::Directory => Err(io::Error::from_raw_os_error(libc::EISDIR)),
        FileKind::Symlink | FileKind::Special => {
            Err(io::Error::new(io::ErrorKind::Unsupported, "not a regular file"))
        }
    }
}

fn convert(metadata: &fs::Metadata) -> Metadata {
    Metadata {
        id: FileId { device: metadata.dev(), inode: metadata.ino() },
        kind: kind_of(metadata.file_type()),
        len: metadata.len(),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
    }
}

fn kind_of(kind: fs::FileType) -> FileKind {
    if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Directory
    } else if kind.is_symlink() {
        FileKind::Symlink
    } else {
        FileKind::Special
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn an_absolute_link_stays_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/lib")).unwrap();
        fs::write(root.path().join("usr/lib/x.so"), b"inside").unwrap();
        symlink("/usr/lib", root.path().join("lib")).unwrap();
        let fs = RealFs::with_root(root.path()).unwrap();
        assert_eq!(fs.canonicalize(Path::new("/lib/x.so")).unwrap(), Path::new("/usr/lib/x.so"));
        assert_eq!(fs.read_small(Path::new("/lib/x.so"), 100).unwrap(), b"inside");
    }

    #[test]
    fn parent_of_the_root_is_the_root() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("x"), b"").unwrap();
        let fs = RealFs::with_root(root.path()).unwrap();
        assert_eq!(fs.canonicalize(Path::new("/../../x")).unwrap(), Path::new("/x"));
    }

    #[test]
    fn a_link_loop_ends_in_an_error() {
        let root = tempfile::tempdir().unwrap();
        symlink("/b", root.path().join("a")).unwrap();
        symlink("/a", root.path().join("b")).unwrap();
        let fs = RealFs::with_root(root.path()).unwrap();
        assert_eq!(fs.metadata(Path::new("/a")).unwrap_err().raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn a_missing_root_is_a_question_that_cannot_be_answered() {
        let error = RealFs::with_root(Path::new("/no/such/root")).unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot use the root /no/such/root: No such file or directory; \
             name a directory that holds a file system tree"
        );
    }
}
