//! Small file trees on disk for tests: [`TreeBuilder`] makes a temporary directory and fills it. Paths are relative to its root;
//! parents are made as needed, and everything is removed when the builder is dropped.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::SharedObject;

/// A file tree in a temporary directory. Every method panics when the disk refuses: a test cannot go on
/// without its tree.
#[derive(Debug)]
pub struct TreeBuilder {
    directory: TempDir,
    root: PathBuf,
}

impl Default for TreeBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl TreeBuilder {
    /// An empty tree in the system's temporary directory.
    pub fn new() -> Self {
        let directory = TempDir::with_prefix("tree-").expect("a temporary directory can be made");
        // The canonical path, because loaders and resolvers report canonical paths.
        let root = directory.path().canonicalize().expect("the new directory exists");
        Self { directory, root }
    }

    /// The root, absolute and without symbolic links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The absolute path of an entry.
    pub fn path(&self, entry: impl AsRef<Path>) -> PathBuf {
        self.root.join(entry)
    }

    /// A file with these contents.
    pub fn file(self, entry: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Self {
        let path = self.with_parent(entry.as_ref());
        fs::write(&path, contents).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
        self
    }

    /// A built object.
    pub fn object(self, entry: impl AsRef<Path>, object: &SharedObject) -> Self {
        self.file(entry, object.build())
    }

    /// A directory.
    pub fn directory(self, entry: impl AsRef<Path>) -> Self {
        let path = self.path(entry);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("make {}: {error}", path.display()));
        self
    }

    /// A symbolic link whose text is `target`, existing or not.
    pub fn symlink(self, entry: impl AsRef<Path>, target: impl AsRef<Path>) -> Self {
        let path = self.with_parent(entry.as_ref());
        symlink(target, &path).unwrap_or_else(|error| panic!("link {}: {error}", path.display()));
        self
    }

    /// A second name of an entry of the tree.
    pub fn hard_link(self, entry: impl AsRef<Path>, existing: impl AsRef<Path>) -> Self {
        let path = self.with_parent(entry.as_ref());
        fs::hard_link(self.path(existing), &path)
            .unwrap_or_else(|error| panic!("hard link {}: {error}", path.display()));
        self
    }

    /// Changes the permission bits of an entry.
    pub fn mode(self, entry: impl AsRef<Path>, mode: u32) -> Self {
        let path = self.path(entry);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .unwrap_or_else(|error| panic!("chmod {}: {error}", path.display()));
        self
    }

    /// A named pipe, made by `mkfifo` of coreutils.
    pub fn fifo(self, entry: impl AsRef<Path>) -> Self {
        let path = self.with_parent(entry.as_ref());
        let status = Command::new("mkfifo").arg(&path).status();
        assert!(status.is_ok_and(|status| status.success()), "mkfifo {} failed", path.display());
        self
    }

    /// Leaves the tree on disk and returns its root.
    pub fn keep(self) -> PathBuf {
        let _ = self.directory.keep();
        self.root
    }

    fn with_parent(&self, entry: &Path) -> PathBuf {
        let path = self.root.join(entry);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).unwrap_or_else(|error| panic!("make {}: {error}", parent.display()));
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    use super::*;

    #[test]
    fn every_kind_of_entry_is_there_and_gone_after_the_drop() {
        let tree = TreeBuilder::new()
            .file("lib/a.so", b"abc")
            .hard_link("lib/b.so", "lib/a.so")
            .symlink("lib/c.so", "a.so")
            .symlink("dangling", "nowhere")
            .directory("empty")
            .fifo("pipe")
            .mode("lib/a.so", 0o400);
        let inode = |entry| fs::metadata(tree.path(entry)).unwrap().ino();
        assert_eq!(inode("lib/a.so"), inode("lib/b.so"));
        assert_eq!(inode("lib/a.so"), inode("lib/c.so"));
        assert_eq!(fs::metadata(tree.path("lib/b.so")).unwrap().mode() & 0o777, 0o400);
        assert!(fs::symlink_metadata(tree.path("dangling")).unwrap().is_symlink());
        assert!(!tree.path("dangling").exists());
        assert!(tree.path("empty").is_dir());
        assert!(fs::metadata(tree.path("pipe")).unwrap().file_type().is_fifo());
        let root = tree.root().to_owned();
        drop(tree);
        assert!(!root.exists());
    }

    #[test]
    fn a_kept_tree_outlives_its_builder() {
        let root = TreeBuilder::new().file("f", b"").keep();
        assert!(root.join("f").exists());
        fs::remove_dir_all(root).unwrap();
    }
}
