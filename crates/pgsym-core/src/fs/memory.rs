//! A tree in memory, for tests of everything above: the same rules for links, no disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{DirEntry, FileId, FileKind, FollowLast, Fs, Metadata, resolve};
use crate::source::Source;

/// Files, directories and links by absolute path.
#[derive(Debug, Clone, Default)]
pub struct MemoryFs {
    nodes: BTreeMap<PathBuf, Node>,
    inodes: u64,
}

#[derive(Debug, Clone)]
struct Node {
    inode: u64,
    mode: u32,
    uid: u32,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    File(Vec<u8>),
    Directory,
    Symlink(PathBuf),
    Special,
}

impl MemoryFs {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, its directories with it.
    #[must_use]
    pub fn file(self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) -> Self {
        self.insert(path.as_ref(), 0o644, Content::File(bytes.into()))
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, path: impl AsRef<Path>) -> Self {
        self.insert(path.as_ref(), 0o755, Content::Directory)
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(self, path: impl AsRef<Path>, target: impl AsRef<Path>) -> Self {
        self.insert(path.as_ref(), 0o777, Content::Symlink(target.as_ref().to_owned()))
    }

    /// Adds a FIFO.
    #[must_use]
    pub fn special(self, path: impl AsRef<Path>) -> Self {
        self.insert(path.as_ref(), 0o644, Content::Special)
    }

    /// Adds a second name for a file that is there.
    #[must_use]
    pub fn hard_link(mut self, path: impl AsRef<Path>, existing: impl AsRef<Path>) -> Self {
        let node = self.nodes.get(existing.as_ref()).cloned();
        self = self.insert(path.as_ref(), 0o644, Content::Special);
        if let (Some(node), Some(slot)) = (node, self.nodes.get_mut(path.as_ref())) {
            *slot = node;
        }
        self
    }

    /// Sets the permission bits of a path that is there.
    #[must_use]
    pub fn mode(mut self, path: impl AsRef<Path>, mode: u32) -> Self {
        if let Some(node) = self.nodes.get_mut(path.as_ref()) {
            node.mode = mode;
        }
        self
    }

    /// Sets the owner of a path that is there.
    #[must_use]
    pub fn owner(mut self, path: impl AsRef<Path>, uid: u32) -> Self {
        if let Some(node) = self.nodes.get_mut(path.as_ref()) {
            node.uid = uid;
        }
        self
    }

    fn insert(mut self, path: &Path, mode: u32, content: Content) -> Self {
        for ancestor in path.ancestors().skip(1) {
            if !self.nodes.contains_key(ancestor) {
                self.inodes += 1;
                let node = Node { inode: self.inodes, mode: 0o755, uid: 0, content: Content::Directory };
                self.nodes.insert(ancestor.to_owned(), node);
            }
        }
        self.inodes += 1;
        self.nodes.insert(path.to_owned(), Node { inode: self.inodes, mode, uid: 0, content });
        self
    }

    fn find(&self, path: &Path, follow_last: FollowLast) -> io::Result<(PathBuf, &Node)> {
        let resolved = resolve(path, follow_last, &mut |candidate| match self.nodes.get(candidate) {
            None => {
                let parent = candidate.parent().and_then(|parent| self.nodes.get(parent));
                let below_a_file = parent.is_some_and(|node| !matches!(node.content, Content::Directory));
                Err(io::Error::from_raw_os_error(if below_a_file { libc::ENOTDIR } else { libc::ENOENT }))
            }
            Some(Node { content: Content::Symlink(target), .. }) => Ok(Some(target.clone())),
            Some(_) => Ok(None),
        })?;
        let node = self.nodes.get(&resolved).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
        Ok((resolved, node))
    }
}

impl Node {
    fn metadata(&self) -> Metadata {
        let (kind, len) = match &self.content {
            Content::File(bytes) => (FileKind::File, bytes.len() as u64),
            Content::Directory => (FileKind::Directory, 0),
            Content::Symlink(target) => (FileKind::Symlink, target.as_os_str().len() as u64),
            Content::Special => (FileKind::Special, 0),
        };
        Metadata { id: FileId { device: 1, inode: self.inode }, kind, len, mode: self.mode, uid: self.uid }
    }
}

impl Fs for MemoryFs {
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Source>, Metadata)> {
        let (_, node) = self.find(path, FollowLast::Yes)?;
        match &node.content {
            _ if node.mode & 0o444 == 0 => Err(io::Error::from_raw_os_error(libc::EACCES)),
            Content::File(bytes) => Ok((Box::new(bytes.clone()), node.metadata())),
            Content::Directory => Err(io::Error::from_raw_os_error(libc::EISDIR)),
            Content::Symlink(_) | Content::Special => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "not a regular file"))
            }
        }
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.find(path, FollowLast::Yes).map(|(_, node)| node.metadata())
    }

    fn symlink_metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.find(path, FollowLast::No).map(|(_, node)| node.metadata())
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        match &self.find(path, FollowLast::No)?.1.content {
            Content::Symlink(target) => Ok(target.clone()),
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let (directory, node) = self.find(path, FollowLast::Yes)?;
        if !matches!(node.content, Content::Directory) {
            return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
        }
        // A BTreeMap of paths is sorted by components, so this directory's entries come sorted by name.
        Ok(self
            .nodes
            .range(directory.clone()..)
            .take_while(|(path, _)| path.starts_with(&directory))
            .filter(|(path, _)| path.parent() == Some(&directory))
            .filter_map(|(path, node)| {
                Some(DirEntry { name: path.file_name()?.to_owned(), kind: node.metadata().kind })
            })
            .collect())
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.find(path, FollowLast::Yes).map(|(path, _)| path)
    }
}
