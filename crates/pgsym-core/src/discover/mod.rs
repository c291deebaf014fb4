//! Which files of the roots are worth parsing, and which installation they belong to. Everything that follows
//! works on this sorted list.

mod below;
mod layout;
mod roots;
mod search;
mod sniff;

pub use below::{installations_below, serving};
pub use layout::{Installation, Installations, find_installation, server_at};
pub(crate) use layout::{named_pkglibdir, staged_root};
pub use roots::{Roots, standing};
pub use sniff::{Format, has_library_name, sniff};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use bstr::ByteSlice as _;

use self::search::Search;
use crate::error::{Error, FileError, os_text};
use crate::extension::name::{ControlName, control_name};
use crate::fs::{FileKind, Fs, Metadata};
use crate::name::{Shown, bytes_as_path, path_bytes};
use crate::source::Source;

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
    /// Whether another name of the same file goes before: only of what the caller named.
    pub is_repeated: bool,
    opened: Option<OpenFile>,
}

impl Candidate {
    /// Opens the file, or hands it out as it was opened for its first bytes: that saves one in six system calls of a
    /// short run. Fails as [`Fs::open_regular`] does.
    pub fn open(&self, fs: &dyn Fs) -> io::Result<(Arc<dyn Source>, Metadata)> {
        match &self.opened {
            Some(OpenFile { source, metadata }) => Ok((Arc::clone(source), *metadata)),
            None => fs.open_regular(&self.path).map(|(source, metadata)| (Arc::from(source), metadata)),
        }
    }
}

/// A file that waits for whoever reads more of it than its first bytes.
#[derive(Clone)]
struct OpenFile {
    source: Arc<dyn Source>,
    metadata: Metadata,
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenFile").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

/// What a walk over the roots met.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// What looks like a binary, or has a library's name and does not, in path order, each file once however many
    /// names lead to it.
    pub candidates: Vec<Candidate>,
    /// The directories below the roots that hold a control file of an extension, in path order.
    pub control_directories: BTreeSet<PathBuf>,
    /// The directories behind symbolic links that were walked as if they were below a root, every link resolved.
    pub linked: Vec<PathBuf>,
    /// The Windows binaries, which are no candidates unless they were named.
    pub windows: WindowsBinaries,
}

/// The Windows binaries that a walk met.
#[derive(Debug, Clone, Default)]
pub struct WindowsBinaries {
    /// How many, in path order.
    pub count: usize,
    /// How many of them are libraries by their name, or were named by the caller.
    pub libraries: usize,
    /// The first of those, or of all.
    pub first: Option<PathBuf>,
}

impl WindowsBinaries {
    fn add(&mut self, candidate: &Candidate) {
        let is_dll =
            candidate.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("dll"));
        let is_library = is_dll || candidate.is_named;
        if self.first.is_none() || (is_library && self.libraries == 0) {
            self.first = Some(candidate.path.clone());
        }
        self.count += 1;
        self.libraries += usize::from(is_library);
    }

    /// Fails where the files of a question are a Windows build: there are libraries of one and no others.
    pub fn refuse(&self, roots: &Roots, candidates: &[Candidate]) -> Result<(), Error> {
        let is_read = |candidate: &Candidate| matches!(candidate.format, Ok(Format::Elf | Format::MachO));
        let first = self.first.as_ref().filter(|_| self.libraries > 0);
        match first {
            Some(first) if !candidates.iter().any(is_read) => Err(Error::Path {
                what: "cannot judge",
                path: roots.shown(first),
                seen: "it is a Windows binary (PE), and Windows builds are not read".to_owned(),
                advice: "name a tree of ELF or Mach-O files",
            }),
            _ => Ok(()),
        }
    }
}

/// Walks the roots, once for all who look for something in them.
pub fn discover(fs: &dyn Fs, roots: &Roots) -> Result<Discovery, Error> {
    let search = Search::new(fs, roots);
    for (given, root) in roots.given().iter().zip(roots.paths()) {
        let refuse = |error: &io::Error, advice| Error::Path {
            what: "cannot read",
            path: given.clone(),
            seen: os_text(error),
            advice,
        };
        let advice = "name a module, a directory or an installation prefix";
        let own = fs.symlink_metadata(root).map_err(|error| refuse(&error, advice))?;
        // A link that leads nowhere is a file to report, not a question that cannot be answered.
        let target = if own.kind == FileKind::Symlink { fs.metadata(root).unwrap_or(own) } else { own };
        if target.kind == FileKind::Directory {
            fs.walk(root, &|place, met| search.meet(place, met)).map_err(|error| {
                let is_too_long = error.kind() == io::ErrorKind::QuotaExceeded;
                let advice =
                    if is_too_long { "name directories in it" } else { "run as a user who may read it" };
                refuse(&error, advice)
            })?;
        } else if let Some(directory) = control_directory_of(fs, root, given)? {
            search.add_control_directory(directory);
        } else {
            search.add_named(root, own.kind);
        }
    }
    search.follow_layout_links();
    Ok(search.finish())
}

/// The directory with the control file of the extension to which a named file belongs, where it is a control file or
/// a script.
fn control_directory_of(fs: &dyn Fs, path: &Path, given: &Path) -> Result<Option<PathBuf>, Error> {
    let Some(directory) = path.parent() else { return Ok(None) };
    if is_control(path) {
        return Ok(Some(directory.to_owned()));
    }
    let name = path.file_name().map(Path::new).map(path_bytes).unwrap_or_default();
    let is_part = name.ends_with(b".sql") || name.ends_with(b".control");
    let owners: Vec<&[u8]> = name.find_iter("--").filter_map(|at| name.get(..at)).collect();
    if !is_part || owners.is_empty() {
        return Ok(None);
    }
    let control = |owner: &[u8]| [owner, b".control"].concat();
    // Scripts in a directory `sql` belong to the control file beside it.
    let beside = [Some(directory), directory.parent().filter(|_| directory.ends_with("sql"))];
    let of_owner = |directory: &&Path| {
        owners.iter().any(|owner| fs.metadata(&directory.join(bytes_as_path(&control(owner)))).is_ok())
    };
    match beside.into_iter().flatten().find(of_owner) {
        Some(directory) => Ok(Some(directory.to_owned())),
        None => Err(Error::Path {
            what: "cannot tell the extension of",
            path: given.to_owned(),
            seen: format!(
                "there is no {} beside it",
                Shown(&control(owners.first().copied().unwrap_or_default()))
            ),
            advice: "name the extension's control file",
        }),
    }
}

fn is_control(path: &Path) -> bool {
    let name = path.file_name().map(Path::new).map(path_bytes).unwrap_or_default();
    matches!(control_name(name), Some(ControlName::Primary(_)))
}

/// The path below a directory as a person would name it: relative to the root where it is below one.
pub fn short_path<'p>(path: &'p Path, roots: &[PathBuf]) -> &'p Path {
    roots
        .iter()
        .filter_map(|root| path.strip_prefix(root).ok())
        .find(|rest| !rest.as_os_str().is_empty())
        .unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::MemoryFs;
    use crate::limits;

    const ELF: &[u8] = b"\x7fELF";

    fn found(fs: &MemoryFs, root: &str) -> (Vec<String>, Vec<String>) {
        let found = discover(fs, &Roots::new(fs, &[root.into()], None)).unwrap();
        let text = |path: &PathBuf| path.display().to_string();
        let candidates = found.candidates.iter().map(|candidate| text(&candidate.path)).collect();
        (candidates, found.control_directories.iter().map(text).collect())
    }

    #[test]
    fn a_pkglibdir_and_a_sharedir_behind_links_are_walked() {
        let fs = MemoryFs::new()
            .file("/host/pg/bin/postgres", ELF)
            .symlink("/host/pg/lib/postgresql", "../../modules")
            .file("/host/modules/x.so", ELF)
            .symlink("/host/modules/round", "..")
            .symlink("/host/pg/share", "/else/share")
            .symlink("/else/share/extension", "/else/controls")
            .file("/else/controls/x.control", "")
            // What is no part of the layout is told of, and not entered.
            .symlink("/host/pg/doc", "/else/doc")
            .file("/else/doc/y.so", ELF);
        let (files, controls) = found(&fs, "/host/pg");
        assert_eq!(
            files,
            [
                "/host/pg/bin/postgres",
                "/host/pg/doc",
                "/host/pg/lib/postgresql/round",
                "/host/pg/lib/postgresql/x.so"
            ]
        );
        assert_eq!(controls, ["/host/pg/share/extension"]);
        // Below a common root there is nothing behind the links that is not walked anyway.
        assert!(found(&fs, "/host").0.contains(&"/host/modules/x.so".to_owned()));
    }

    #[test]
    fn the_links_of_alternatives_are_no_control_files() {
        let fs = MemoryFs::new()
            .file("/i/usr/share/postgresql/17/extension/x-3.control", "")
            .symlink(
                "/i/usr/share/postgresql/17/extension/x.control",
                "/i/etc/alternatives/postgresql-17-x.control",
            )
            .symlink(
                "/i/etc/alternatives/postgresql-17-x.control",
                "/i/usr/share/postgresql/17/extension/x-3.control",
            );
        assert_eq!(found(&fs, "/i").1, ["/i/usr/share/postgresql/17/extension"]);
        assert_eq!(found(&fs, "/i/etc").1, [""; 0]);
    }

    #[test]
    fn a_file_of_an_extension_leads_to_its_control_file() {
        let fs = MemoryFs::new()
            .file("/s/extension/x-y.control", "")
            .file("/s/extension/x-y--1.sql", "")
            .file("/s/extension/x-y--1.control", "")
            .file("/s/extension/z--1.sql", "")
            .file("/p/x/x.control", "")
            .file("/p/x/sql/x--1--2.sql", "");
        for (named, directory) in [
            ("/s/extension/x-y.control", "/s/extension"),
            ("/s/extension/x-y--1.sql", "/s/extension"),
            ("/s/extension/x-y--1.control", "/s/extension"),
            ("/p/x/sql/x--1--2.sql", "/p/x"),
        ] {
            assert_eq!(found(&fs, named), (Vec::new(), vec![directory.to_owned()]), "{named}");
        }
        let alone = discover(&fs, &Roots::new(&fs, &["/s/extension/z--1.sql".into()], None));
        assert!(alone.unwrap_err().to_string().contains("no z.control beside it"));
    }

    #[test]
    fn only_so_many_files_stay_open() {
        let paths: Vec<PathBuf> =
            (0..limits::FILES_HELD_OPEN + 2).map(|n| format!("/{n}.so").into()).collect();
        let fs = paths.iter().fold(MemoryFs::new(), |fs, path| fs.file(path, ELF));
        let found = discover(&fs, &Roots::new(&fs, &paths, None)).unwrap().candidates;
        let open = found.iter().filter(|candidate| candidate.opened.is_some()).count();
        assert_eq!((found.len(), open), (paths.len(), limits::FILES_HELD_OPEN));
        assert!(found.iter().all(|candidate| candidate.open(&fs).is_ok_and(|(source, _)| source.len() == 4)));
    }

    #[test]
    fn links_of_the_layout_that_go_round_end() {
        let fs = MemoryFs::new()
            .file("/pg/bin/postgres", ELF)
            .symlink("/pg/lib", "/a")
            .symlink("/a/postgresql", "/b")
            .symlink("/b/15", "/a")
            .file("/a/x.so", ELF);
        assert_eq!(found(&fs, "/pg").0, ["/pg/bin/postgres", "/pg/lib/x.so"]);
    }
}
