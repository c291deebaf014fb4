//! The extensions of an installation: their control files in search order, the scripts beside them, and the
//! chain of scripts that installing the default version runs.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::control::{Control, ControlError, read_primary, read_secondary};
use super::library_path::control_directory_error;
use super::name::{ControlName, InvalidName, NameKind, check_name, control_name};
use super::script::SCHEMA;
use super::update_graph::{Step, UpdateGraph};
use crate::fs::{FileId, FileKind, Fs};
use crate::name::{Shown, bytes_as_path, path_bytes};

/// Where the scripts of a control file are when it does not say `directory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScriptLayout {
    /// Beside it, as every released server has them.
    Beside,
    /// In a directory `sql` beside it: one directory per extension, as the packaging proposal has them.
    SqlSubdirectory,
}

/// A directory that is searched for control files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ControlDirectory {
    /// Its path.
    pub path: PathBuf,
    /// Where its extensions keep their scripts.
    pub layout: ScriptLayout,
    /// Whether the server's settings name it; one that was found below a root may be relative.
    pub is_setting: bool,
    /// Which of [`Places::sites`](super::Places::sites) it belongs to.
    pub site: usize,
}

/// An extension that CREATE EXTENSION would find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its name.
    pub name: Vec<u8>,
    /// Which of [`Places::sites`](super::Places::sites) it belongs to.
    pub site: usize,
    /// Its control file.
    pub control_path: PathBuf,
    /// Which file that is: two extensions may share one by a symbolic link.
    pub control_id: Option<FileId>,
    /// Control files of the same name in later directories, which are never read.
    pub shadowed: Vec<PathBuf>,
    /// The control file's parameters.
    pub control: Result<Control, ControlError>,
    /// Where its scripts are.
    pub script_directory: PathBuf,
    /// The files in that directory that begin with `name--`, in byte order, or why it cannot be listed.
    pub files: Result<Vec<Vec<u8>>, String>,
    /// Its versions and updates.
    pub graph: UpdateGraph,
    /// What `CREATE EXTENSION name` would run.
    pub plan: Plan,
}

/// What installing an extension's default version comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// These scripts, in order.
    Chain(Vec<Step>),
    /// The extension's name is one that the server refuses.
    InvalidName(InvalidName),
    /// The control file cannot be used; [`Extension::control`] says why.
    BadControl,
    /// The control file names no default version.
    NoDefaultVersion,
    /// The default version's name is one that the server refuses.
    InvalidVersion(InvalidName),
    /// There is no script for the version and no chain of updates to it.
    NoScript {
        /// The version.
        version: Vec<u8>,
    },
}

impl Extension {
    /// The server's message for a plan that is no chain.
    pub fn plan_error(&self) -> Option<String> {
        match &self.plan {
            Plan::Chain(_) => None,
            Plan::InvalidName(name) | Plan::InvalidVersion(name) => Some(name.message.clone()),
            Plan::BadControl => self.control.as_ref().err().map(|error| error.message.clone()),
            Plan::NoDefaultVersion => Some("version to install must be specified".to_owned()),
            // The server lists the directory only when there is no direct script.
            Plan::NoScript { .. } if self.files.is_err() => self.files.clone().err(),
            Plan::NoScript { version } => Some(format!(
                "extension \"{}\" has no installation script nor update path for version \"{}\"",
                Shown(&self.name),
                Shown(version)
            )),
        }
    }

    /// The path of a step's script.
    pub fn script_path(&self, step: &Step) -> PathBuf {
        self.script_directory.join(bytes_as_path(&step.file_name(&self.name)))
    }

    /// The parameters in force while a step's script runs: those of the version it leads to.
    ///
    /// # Errors
    ///
    /// The server's error for the primary or the secondary control file.
    pub fn control_for(&self, fs: &dyn Fs, step: &Step, major: u32) -> Result<Control, ControlError> {
        let primary = self.control.as_ref().map_err(Clone::clone)?;
        let file = [&self.name, b"--".as_slice(), step.version(), b".control"].concat();
        // The listing knows whether there is one, which saves a look for each of a thousand scripts.
        if self.files.as_ref().is_ok_and(|files| files.binary_search(&file).is_err()) {
            return Ok(primary.clone());
        }
        read_secondary(fs, &self.script_directory.join(bytes_as_path(&file)), major, primary)
    }
}

/// Every extension that the directories hold, by name and site; of two with one name at one site the first
/// directory's counts.
///
/// # Errors
///
/// The server's message for a directory that is not absolute, which every CREATE EXTENSION that searches that far
/// reports.
pub fn find_extensions(
    fs: &dyn Fs,
    directories: &[ControlDirectory],
    major: u32,
) -> (Vec<Extension>, Option<String>) {
    let mut error = None;
    let mut listings = Listings { fs, known: BTreeMap::new() };
    let mut found: BTreeMap<(Vec<u8>, usize), Extension> = BTreeMap::new();
    for directory in directories {
        if major >= 18 && directory.is_setting && error.is_none() {
            error = control_directory_error(&directory.path).map(str::to_owned);
        }
        let files = listings.list(&directory.path).unwrap_or_default();
        for file in files {
            let Some(ControlName::Primary(name)) = control_name(&file) else { continue };
            let path = directory.path.join(bytes_as_path(&file));
            let key = (name.to_vec(), directory.site);
            if let Some(extension) = found.get_mut(&key) {
                extension.shadowed.push(path);
                continue;
            }
            let extension = read_extension(&mut listings, name, path, directory, major);
            found.insert(key, extension);
        }
    }
    (found.into_values().collect(), error)
}

fn read_extension(
    listings: &mut Listings<'_>,
    name: &[u8],
    control_path: PathBuf,
    directory: &ControlDirectory,
    major: u32,
) -> Extension {
    let control = read_primary(listings.fs, &control_path, major);
    let written = control.as_ref().ok().and_then(|control| control.directory.as_deref());
    let script_directory = script_directory(&control_path, written, directory.layout);
    let files = listings.with_prefix(&script_directory, &[name, b"--"].concat());
    let graph = UpdateGraph::new(name, files.as_deref().unwrap_or_default().iter().map(Vec::as_slice));
    let plan = plan(name, &control, &graph);
    Extension {
        name: name.to_vec(),
        site: directory.site,
        control_id: listings.fs.metadata(&control_path).ok().map(|metadata| metadata.id),
        control_path,
        shadowed: Vec::new(),
        control,
        script_directory,
        files,
        graph,
        plan,
    }
}

/// `get_extension_script_directory`: a relative `directory` starts where the `extension` directory stands.
fn script_directory(control_path: &Path, written: Option<&[u8]>, layout: ScriptLayout) -> PathBuf {
    let beside = control_path.parent().unwrap_or(Path::new(""));
    match (written, layout) {
        (Some(directory), _) => beside.parent().unwrap_or(beside).join(bytes_as_path(directory)),
        (None, ScriptLayout::Beside) => beside.to_owned(),
        (None, ScriptLayout::SqlSubdirectory) => beside.join("sql"),
    }
}

/// `CreateExtensionInternal`, as far as it chooses scripts.
fn plan(name: &[u8], control: &Result<Control, ControlError>, graph: &UpdateGraph) -> Plan {
    if let Err(invalid) = check_name(NameKind::Extension, name) {
        return Plan::InvalidName(invalid);
    }
    let Ok(control) = control else { return Plan::BadControl };
    let Some(version) = &control.default_version else { return Plan::NoDefaultVersion };
    if let Err(invalid) = check_name(NameKind::Version, version) {
        return Plan::InvalidVersion(invalid);
    }
    match graph.install_chain(version) {
        Some(chain) => Plan::Chain(chain),
        None => Plan::NoScript { version: version.clone() },
    }
}

/// Among things sorted by name and site, the one that an extension of some site means by a name: its own
/// site's, or else the first of `open` sites.
pub(super) fn find_from<'t, T>(
    sorted: &'t [T],
    extension: impl Fn(&T) -> &Extension,
    name: &[u8],
    site: usize,
    is_open: impl Fn(usize) -> bool,
) -> Option<&'t T> {
    let start = sorted.partition_point(|one| extension(one).name.as_slice() < name);
    let named = sorted.get(start..).unwrap_or_default();
    let mut named = named.iter().take_while(|one| extension(one).name == name);
    let other = named.clone().find(|one| is_open(site) && is_open(extension(one).site));
    named.find(|one| extension(one).site == site).or(other)
}

/// The schema of each required extension, for `@extschema:name@`: its own, or the one everything goes to.
pub fn required_schemas(
    control: &Control,
    extensions: &[Extension],
    site: usize,
    major: u32,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    if major < 16 {
        return Vec::new();
    }
    let schema_of = |name: &[u8]| {
        let found = find_from(extensions, |extension| extension, name, site, |_| true)?;
        found.control.as_ref().ok()?.schema.clone()
    };
    control
        .requires
        .iter()
        .map(|name| (name.clone(), schema_of(name).unwrap_or_else(|| SCHEMA.to_vec())))
        .collect()
}

/// Directory listings, each taken once: most extensions share one directory.
struct Listings<'a> {
    fs: &'a dyn Fs,
    known: BTreeMap<PathBuf, Result<Vec<Vec<u8>>, String>>,
}

impl Listings<'_> {
    fn list(&mut self, directory: &Path) -> Result<Vec<Vec<u8>>, String> {
        self.entries(directory).clone()
    }

    fn entries(&mut self, directory: &Path) -> &Result<Vec<Vec<u8>>, String> {
        let fs = self.fs;
        self.known.entry(directory.to_owned()).or_insert_with(|| {
            let entries = fs.read_dir(directory).map_err(|error: io::Error| {
                let reason = crate::error::os_text(&error);
                format!("could not open directory \"{}\": {reason}", Shown(path_bytes(directory)))
            })?;
            let is_file = |kind| kind != FileKind::Directory;
            Ok(entries
                .into_iter()
                .filter(|entry| is_file(entry.kind))
                .map(|entry| path_bytes(Path::new(&entry.name)).to_vec())
                .collect())
        })
    }

    fn with_prefix(&mut self, directory: &Path, prefix: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        match self.entries(directory) {
            Err(error) => Err(error.clone()),
            Ok(files) => {
                let start = files.partition_point(|file| file.as_slice() < prefix);
                let rest = files.get(start..).unwrap_or_default();
                Ok(rest.iter().take_while(|file| file.starts_with(prefix)).cloned().collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::MemoryFs;

    fn beside(path: &str) -> ControlDirectory {
        ControlDirectory { path: path.into(), layout: ScriptLayout::Beside, is_setting: true, site: 0 }
    }

    fn find(fs: &MemoryFs, directories: &[ControlDirectory]) -> Vec<Extension> {
        find_extensions(fs, directories, 15).0
    }

    #[test]
    fn an_extension_is_its_control_file_and_the_scripts_of_its_name() {
        let fs = MemoryFs::new()
            .file("/s/extension/a.control", "default_version = 1.1")
            .file("/s/extension/a--1.0.sql", "")
            .file("/s/extension/a--1.0--1.1.sql", "")
            .file("/s/extension/a--1.1.control", "comment = c")
            .file("/s/extension/ab--1.1.sql", "");
        let extensions = find(&fs, &[beside("/s/extension")]);
        assert_eq!(extensions.len(), 1);
        let extension = &extensions[0];
        let Plan::Chain(chain) = &extension.plan else { panic!("{:?}", extension.plan) };
        let paths: Vec<_> = chain.iter().map(|step| extension.script_path(step)).collect();
        let expected = ["/s/extension/a--1.0.sql", "/s/extension/a--1.0--1.1.sql"].map(PathBuf::from);
        assert_eq!(paths, expected);
        assert_eq!(extension.control_for(&fs, &chain[0], 15).unwrap().comment, None);
        assert_eq!(extension.control_for(&fs, &chain[1], 15).unwrap().comment.unwrap(), b"c");
    }

    #[test]
    fn scripts_are_where_the_control_file_or_the_layout_says() {
        let fs = MemoryFs::new()
            .file("/s/extension/a.control", "default_version = 1\ndirectory = 'own/a'")
            .file("/s/own/a/a--1.sql", "")
            .file("/s/extension/b.control", "default_version = 1\ndirectory = '/else'")
            .file("/else/b--1.sql", "")
            .file("/p/c/c.control", "default_version = 1")
            .file("/p/c/sql/c--1.sql", "");
        let per_extension = ControlDirectory {
            path: "/p/c".into(),
            layout: ScriptLayout::SqlSubdirectory,
            is_setting: false,
            site: 0,
        };
        let extensions = find(&fs, &[beside("/s/extension"), per_extension]);
        assert!(
            extensions.iter().all(|extension| matches!(extension.plan, Plan::Chain(_))),
            "{extensions:?}"
        );
    }

    #[test]
    fn the_first_directory_wins() {
        let fs = MemoryFs::new()
            .file("/one/a.control", "default_version = 1")
            .file("/two/a.control", "default_version = 2")
            .file("/two/a--2.sql", "");
        let extensions = find(&fs, &[beside("/one"), beside("/missing"), beside("/two")]);
        assert_eq!(extensions[0].control_path, Path::new("/one/a.control"));
        assert_eq!(extensions[0].shadowed, [PathBuf::from("/two/a.control")]);
        assert_eq!(
            extensions[0].plan_error().unwrap(),
            "extension \"a\" has no installation script nor update path for version \"1\""
        );
    }

    #[test]
    fn what_cannot_be_installed_says_why_in_the_servers_words() {
        let fs = MemoryFs::new()
            .file("/e/a.control", "comment = x")
            .file("/e/b.control", "default_version = '1--2'")
            .file("/e/-c.control", "default_version = 1")
            .file("/e/d.control", "default_version = ")
            .file("/e/f.control", "default_version = 1\ndirectory = '/e/a.control'");
        let extensions = find(&fs, &[beside("/e")]);
        let errors: Vec<_> = extensions.iter().map(|extension| extension.plan_error().unwrap()).collect();
        assert_eq!(
            errors,
            [
                "invalid extension name: \"-c\"",
                "version to install must be specified",
                "invalid extension version name: \"1--2\"",
                "syntax error in file \"/e/d.control\" line 0, near end of line",
                "could not open directory \"/e/a.control\": Not a directory",
            ]
        );
    }

    #[test]
    fn a_relative_search_path_is_an_error_of_the_setting() {
        let (_, error) = find_extensions(&MemoryFs::new(), &[beside("$system/x/extension")], 18);
        assert!(error.unwrap().contains("extension_control_path"));
    }
}
