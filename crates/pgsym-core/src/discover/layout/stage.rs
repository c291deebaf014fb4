//! Staging trees, which hold a package as it will lie below `/`.

use std::path::{Path, PathBuf};

use super::is_there;
use crate::fs::Fs;

/// The root of a staging tree (DESTDIR) in which an absolute symbolic link finds what it is meant for: the nearest
/// directory above it below which its target is, where it leads nowhere from here.
pub(crate) fn staged_root(fs: &dyn Fs, path: &Path) -> Option<PathBuf> {
    let target = fs.read_link(path).ok().filter(|target| target.is_absolute())?;
    if is_there(fs, path) {
        return None;
    }
    let below = target.strip_prefix("/").ok()?;
    // /usr/lib/x.so is no stage for a link to /lib/y.so.
    let is_root = |above: &&Path| above.parent().is_some() && !above.ends_with("usr");
    let above = path.ancestors().skip(1).filter(is_root);
    above.into_iter().find(|above| is_there(fs, &above.join(below))).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::MemoryFs;

    #[test]
    fn a_stage_is_where_an_absolute_link_finds_its_target() {
        let fs = MemoryFs::new()
            .file("/stage/usr/lib/x/x-1.so", "")
            .symlink("/stage/usr/lib/pg/x.so", "/usr/lib/x/x-1.so")
            .symlink("/stage/usr/lib/pg/gone.so", "/usr/lib/x/x-2.so")
            .symlink("/stage/usr/lib/pg/near.so", "../gone.so")
            .file("/usr/lib/y.so", "")
            .symlink("/usr/lib/pg/broken.so", "/lib/y.so")
            .symlink("/usr/lib/pg/y.so", "/usr/lib/y.so");
        let root = |path: &str| staged_root(&fs, Path::new(path));
        assert_eq!(root("/stage/usr/lib/pg/x.so"), Some("/stage".into()));
        for path in [
            "/stage/usr/lib/pg/gone.so",
            "/stage/usr/lib/pg/near.so",
            "/usr/lib/pg/broken.so",
            "/usr/lib/pg/y.so",
        ] {
            assert_eq!(root(path), None, "{path}");
        }
    }
}
