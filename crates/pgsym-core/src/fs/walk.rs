//! The walk over the machine's own files: sixty thousand of them below a `/usr/lib`, of which two thousand are objects.
//! A file that turns out to be none costs three system calls (`openat` below its open directory, `pread`, `close`) and
//! no memory; each directory is a task of its own for whichever thread is free.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::Scope;
use rustix::fs::{AtFlags, CWD, Dir, DirEntry, FileType, Mode, OFlags, openat, statat};
use rustix::io::{pread, retry_on_intr};

use super::real::regular;
use super::{FileKind, HEAD_BYTES, Met, Place, Visit, directory_error};
use crate::limits;

/// Goes through everything below `host`, which stands at `directory` in the tree.
pub(super) fn walk(host: &Path, directory: &Path, visit: &Visit<'_>) -> io::Result<()> {
    let root = Level::open(host, OFlags::empty(), directory.to_owned(), PathBuf::new(), 0)?;
    let walk = Walk { host, directory, visit, met: AtomicUsize::new(0) };
    rayon::scope(|scope| walk.through(scope, root));
    // Which files a bound leaves out would depend on the threads, so that there is no answer with some of them.
    if walk.met.into_inner() > limits::WALK_FILES {
        let seen = format!("there are more than {} files below it", limits::WALK_FILES);
        return Err(io::Error::new(io::ErrorKind::QuotaExceeded, seen));
    }
    Ok(())
}

struct Walk<'a> {
    host: &'a Path,
    directory: &'a Path,
    visit: &'a Visit<'a>,
    /// Entries met so far, by all threads.
    met: AtomicUsize,
}

impl Walk<'_> {
    /// Opens a directory that was met, and goes through it.
    fn enter<'s>(&'s self, scope: &Scope<'s>, below: PathBuf, depth: usize) {
        let path = self.directory.join(&below);
        // What has taken the directory's place since may be a link to anywhere.
        match Level::open(&self.host.join(&below), OFlags::NOFOLLOW, path.clone(), below, depth) {
            Ok(level) => self.through(scope, level),
            Err(error) => self.fail(Place::of(&path), error),
        }
    }

    /// Meets everything in a directory.
    fn through<'s>(&'s self, scope: &Scope<'s>, mut level: Level) {
        while let Some(entry) = level.entries.read() {
            let entry = match entry {
                Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => continue,
                Ok(entry) => entry,
                Err(error) => return self.fail(Place::of(&level.path), error.into()),
            };
            if self.met.fetch_add(1, Ordering::Relaxed) >= limits::WALK_FILES {
                return;
            }
            self.meet(scope, &level, &entry);
        }
    }

    fn meet<'s>(&'s self, scope: &Scope<'s>, level: &Level, entry: &DirEntry) {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        let place = Place { directory: &level.path, name };
        match level.kind(entry) {
            Ok(FileKind::Directory) => {
                let depth = level.depth + 1;
                if let Some(error) = directory_error(place, depth) {
                    (self.visit)(place, Met::Failed(error));
                }
                if depth < limits::WALK_DEPTH {
                    let below = level.below.join(name);
                    scope.spawn(move |scope| self.enter(scope, below, depth));
                }
            }
            Ok(FileKind::File) => {
                let mut head = [0; HEAD_BYTES];
                match level.read(entry, &mut head) {
                    Ok((file, length)) => {
                        let metadata = || regular(&file.metadata()?);
                        (self.visit)(place, Met::File { head: &head[..length], metadata: &metadata });
                    }
                    Err(_) => (self.visit)(place, Met::Unread(FileKind::File)),
                }
            }
            Ok(kind) => (self.visit)(place, Met::Unread(kind)),
            Err(error) => self.fail(place, error),
        }
    }

    fn fail(&self, place: Place<'_>, error: io::Error) {
        (self.visit)(place, Met::Failed(error.into()));
    }
}

/// An open directory.
struct Level {
    entries: Dir,
    /// Its path in the tree.
    path: PathBuf,
    /// The same from where the walk began.
    below: PathBuf,
    depth: usize,
    /// Whether its files are made as they are read: below `/proc` and `/sys`, whose file systems have no blocks.
    has_made_files: bool,
}

impl Level {
    fn open(host: &Path, flags: OFlags, path: PathBuf, below: PathBuf, depth: usize) -> io::Result<Self> {
        let flags = flags | OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let entries = Dir::new(retry_on_intr(|| openat(CWD, host, flags, Mode::empty()))?)?;
        let has_made_files = entries.statvfs().is_ok_and(|system| system.f_blocks == 0);
        Ok(Self { entries, path, below, depth, has_made_files })
    }

    fn kind(&self, entry: &DirEntry) -> io::Result<FileKind> {
        let kind = match entry.file_type() {
            // Some file systems do not say.
            FileType::Unknown => {
                let status = statat(self.entries.fd()?, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(status.st_mode)
            }
            known => known,
        };
        Ok(match kind {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Symlink,
            _ => FileKind::Special,
        })
    }

    /// Opens a regular file and reads its first bytes; `O_NONBLOCK` covers a FIFO that has taken its place since.
    fn read(&self, entry: &DirEntry, head: &mut [u8; HEAD_BYTES]) -> io::Result<(File, usize)> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = self.entries.fd()?;
        let file = File::from(retry_on_intr(|| openat(directory, entry.file_name(), flags, Mode::empty()))?);
        let mut wanted = HEAD_BYTES;
        if self.has_made_files {
            // To read a file without a length, such as /proc/kmsg, can take away what it says from whom it is for.
            wanted = wanted.min(usize::try_from(regular(&file.metadata()?)?.len).unwrap_or(HEAD_BYTES));
        }
        if wanted == 0 {
            return Ok((file, 0));
        }
        let length = retry_on_intr(|| pread(&file, &mut head[..wanted], 0))?;
        Ok((file, length))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::symlink;
    use std::sync::Mutex;

    use super::*;
    use crate::fs::{Fs, MemoryFs, RealFs};

    /// What a walk says of each path, shortened.
    fn told(fs: &dyn Fs, directory: &Path) -> BTreeMap<PathBuf, String> {
        let told = Mutex::new(BTreeMap::new());
        let visit = |place: Place<'_>, met: Met<'_>| {
            let words = match met {
                Met::File { head, metadata } => format!("{} of {}", head.len(), metadata().unwrap().len),
                Met::Unread(kind) => format!("{kind:?}"),
                Met::Failed(error) => error.to_string(),
            };
            let path = place.path().strip_prefix(directory).unwrap().to_owned();
            assert_eq!(told.lock().unwrap().insert(path.clone(), words), None, "{}", path.display());
        };
        fs.walk(directory, &visit).unwrap();
        told.into_inner().unwrap()
    }

    #[test]
    fn files_on_disk_and_in_memory_are_met_alike() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/b.so")).unwrap();
        for (path, length) in [("x", 600), ("a/y", 3), ("a/b.so/z", 0)] {
            std::fs::write(root.path().join(path), vec![b'x'; length]).unwrap();
        }
        symlink("a", root.path().join("to-directory")).unwrap();
        symlink("loop", root.path().join("loop")).unwrap();
        let memory = MemoryFs::new()
            .file("/x", vec![b'x'; 600])
            .file("/a/y", "xxx")
            .file("/a/b.so/z", "")
            .symlink("/to-directory", "a")
            .symlink("/loop", "loop");
        let found = told(&RealFs::new(), root.path());
        assert_eq!(found, told(&memory, Path::new("/")));
        assert_eq!(found, told(&RealFs::with_root(root.path()).unwrap(), Path::new("/")));
        assert_eq!(found[Path::new("x")], "512 of 600");
        assert_eq!(found[Path::new("a/b.so")], "it is a directory");
        assert_eq!(found[Path::new("to-directory")], "Symlink");
        assert_eq!(found.len(), 6);
    }

    #[test]
    fn a_directory_too_deep_is_not_entered() {
        let root = tempfile::tempdir().unwrap();
        let deep: PathBuf = ["d"; limits::WALK_DEPTH].iter().collect();
        std::fs::create_dir_all(root.path().join(&deep)).unwrap();
        std::fs::write(root.path().join(&deep).join("x.so"), "").unwrap();
        let expected = BTreeMap::from([(deep.clone(), "directories are nested deeper than 128".to_owned())]);
        assert_eq!(told(&RealFs::new(), root.path()), expected);
        let memory = MemoryFs::new().file(Path::new("/").join(&deep).join("x.so"), "");
        assert_eq!(told(&memory, Path::new("/")), expected);
    }

    #[test]
    fn what_is_no_directory_is_not_walked() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("x"), "").unwrap();
        let error = RealFs::new().walk(&root.path().join("x"), &|_, _| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_that_is_made_on_reading_is_not_read() {
        let told = told(&RealFs::new(), Path::new("/proc/sys/kernel"));
        assert_eq!(told.get(Path::new("ostype")).map(String::as_str), Some("0 of 0"), "{told:?}");
    }
}
