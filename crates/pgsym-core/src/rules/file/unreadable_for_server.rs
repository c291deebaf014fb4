use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::check::{Finding, Severity, Sink, TreeCx, declare_rule};
use crate::fs::{Fs, Metadata};
use crate::name::shown_path;
use crate::rules::evidence::{base_name, listed};
use crate::tree::{Role, ServerSource, Tree};

declare_rule! {
    /// Only root may read a file that the server has to open.
    ///
    /// ## What it checks
    ///
    /// Modules, the libraries beside them, control files and scripts that belong to root and that neither a group nor
    /// everybody may read, and directories of root below the paths asked about that neither may enter.
    ///
    /// ## Why it matters
    ///
    /// PostgreSQL refuses to run as root, so its user is another one: `could not open extension control file "…":
    /// Permission denied`, `cannot open shared object file: Permission denied`. Whoever looks as root does not see it.
    ///
    /// It is an error in the directories of a server that others may run: there it fails. Elsewhere it is a
    /// warning: a tree that a build has staged under umask 077 may get its permissions when it is packaged.
    ///
    /// ## When it fires
    ///
    /// `make install` ran under `umask 077`, or a recipe copied the module with `install -m 600`.
    ///
    /// ## How to fix
    ///
    /// `chmod a+rX`, or install with `install -m 755` for modules and `-m 644` for the other files.
    ///
    /// ## What it cannot see
    ///
    /// Files of other owners, one of whom may be the server's user, and files that a group may read, which may be its
    /// group; access control lists; directories above the paths asked about. `pgsym load` reads the module all the same.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/main/main.c `check_root`; path_resolution(7), "Permissions".
    pub(crate) static UNREADABLE_FOR_SERVER = {
        code: "PGS904",
        name: "unreadable-for-server",
        group: File,
        severity: Warning,
        check: Tree(check),
    }
}

/// What the server opens a file as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Binary,
    Control,
    Script,
}

impl Use {
    /// The server's words: src/backend/commands/extension.c `parse_extension_control_file`, `read_whole_file`;
    /// src/backend/utils/fmgr/dfmgr.c `internal_load_library`.
    fn says(self, path: &Path) -> String {
        let path = shown_path(path);
        match self {
            Self::Binary => format!(
                "could not load library \"{path}\": {path}: cannot open shared object file: Permission denied"
            ),
            Self::Control => format!("could not open extension control file \"{path}\": Permission denied"),
            Self::Script => format!("could not open file \"{path}\" for reading: Permission denied"),
        }
    }
}

/// What only root gets at, by the directory that is closed or that the files lie in.
#[derive(Default)]
struct Closed {
    directories: BTreeMap<PathBuf, usize>,
    files: BTreeMap<PathBuf, BTreeSet<(PathBuf, Use)>>,
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let fs = tree.store().fs();
    let mut known: BTreeMap<PathBuf, bool> = BTreeMap::new();
    let mut closed = Closed::default();
    for (path, used) in opened(tree) {
        let root = tree.roots().paths().iter().find(|root| path.starts_with(root));
        let above = path.ancestors().skip(1).take_while(|above| root.is_some_and(|root| *above != root));
        let mut above: Vec<&Path> = above.collect();
        above.reverse();
        let shut = above.into_iter().find(|directory| {
            *known.entry((*directory).to_owned()).or_insert_with(|| only_root(fs, directory, 0o011))
        });
        if let Some(shut) = shut {
            *closed.directories.entry(shut.to_owned()).or_default() += 1;
        } else if only_root(fs, path, 0o044) {
            let directory = path.parent().unwrap_or(path).to_owned();
            closed.files.entry(directory).or_default().insert((path.to_owned(), used));
        }
    }
    for (directory, count) in &closed.directories {
        let what = if *count == 1 { "a file".to_owned() } else { format!("{count} files") };
        let message = format!(
            "{} is root's, and nobody else may enter it: the server cannot open {what} below it.",
            shown_path(directory)
        );
        let finding = sink.finding(directory, base_name(directory), message);
        report(tree, sink, finding, directory);
    }
    for files in closed.files.values() {
        let Some((path, used)) = files.first() else { continue };
        let message = match files.len() {
            1 => "Only root may read the file: the server cannot open it.".to_owned(),
            2 => "Only root may read the file and another beside it.".to_owned(),
            count => format!("Only root may read the file and {} others beside it.", count - 1),
        };
        let mut finding = sink.finding(path, base_name(path), message);
        if tree.server().is_some() {
            finding = finding.evidence("the server", format!("ERROR:  {}", used.says(path)));
        }
        let others: Vec<String> = files.iter().skip(1).map(|(path, _)| base_name(path)).collect();
        if !others.is_empty() {
            finding = finding.evidence("also", listed(others));
        }
        report(tree, sink, finding, path);
    }
}

fn report(tree: &Tree, sink: &mut Sink<'_>, finding: Finding, path: &Path) {
    let severity = if is_installed(tree, path) { Severity::Error } else { Severity::Warning };
    sink.report(finding.severity(severity).help("chmod a+rX it, and install with -m 755 or -m 644"));
}

/// The files that the server would open.
fn opened(tree: &Tree) -> BTreeSet<(&Path, Use)> {
    let binaries = tree.files().iter().filter(|file| matches!(file.role, Role::Module | Role::Library));
    let mut opened: BTreeSet<(&Path, Use)> = binaries.map(|file| (&*file.path, Use::Binary)).collect();
    for record in tree.inventory().in_scope() {
        opened.insert((&record.extension.control_path, Use::Control));
        let scripts = record.scripts.iter().filter(|script| script.is_reachable());
        opened.extend(scripts.map(|script| (&*script.path, Use::Script)));
    }
    opened.retain(|(path, _)| tree.contains(path));
    opened
}

/// Whether a file or directory is root's, and a permission is there neither for its group nor for others.
fn only_root(fs: &dyn Fs, path: &Path, permission: u32) -> bool {
    let is_shut = |metadata: Metadata| metadata.uid == 0 && metadata.mode & permission == 0;
    fs.metadata(path).is_ok_and(is_shut)
}

/// Whether a path lies in the directories of a server that is installed for others than root: they may run it.
fn is_installed(tree: &Tree, path: &Path) -> bool {
    let Some(server) = tree.server().filter(|server| server.source == ServerSource::Binary) else {
        return false;
    };
    let places = [Some(&server.installation.pkglibdir), server.installation.sharedir.as_ref()];
    places.into_iter().flatten().any(|place| path.starts_with(place))
        && tree
            .store()
            .fs()
            .metadata(&server.installation.server)
            .is_ok_and(|metadata| metadata.mode & 0o011 != 0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module()).fs(|fs| fs.mode("/pg/lib/x.so", 0o700))
    }

    pub(crate) fn silent() -> Case {
        firing().fs(|fs| fs.mode("/pg/lib/x.so", 0o750))
    }

    /// The server's binary as it is installed: others may run it.
    fn installed(case: Case) -> Case {
        case.fs(|fs| fs.mode("/pg/bin/postgres", 0o755))
    }

    #[test]
    fn a_module_that_only_root_may_read_is_an_error_where_the_server_is_installed() {
        let finding = installed(firing()).one(&UNREADABLE_FOR_SERVER);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(finding.message, "Only root may read the file: the server cannot open it.");
        assert_eq!(
            finding.texts("the server"),
            [
                "ERROR:  could not load library \"/pg/lib/x.so\": /pg/lib/x.so: cannot open shared object file: \
                 Permission denied"
            ]
        );
    }

    #[test]
    fn a_staged_tree_is_a_warning() {
        // The server itself is for root only, too: nothing of it is installed yet.
        let case = firing().fs(|fs| fs.mode("/pg/bin/postgres", 0o700));
        assert_eq!(case.one(&UNREADABLE_FOR_SERVER).severity, Severity::Warning);
    }

    #[test]
    fn files_of_another_owner_may_be_the_servers() {
        assert!(firing().fs(|fs| fs.owner("/pg/lib/x.so", 1000)).run(&UNREADABLE_FOR_SERVER).is_empty());
    }

    #[test]
    fn a_directory_that_only_root_may_enter_is_told_in_place_of_its_files() {
        let case = Case::new()
            .object("sub/x.so", &module())
            .object("sub/y.so", &module())
            .fs(|fs| fs.mode("/pg/lib/sub", 0o700).mode("/pg/lib/sub/x.so", 0o600));
        let finding = case.one(&UNREADABLE_FOR_SERVER);
        assert_eq!(
            finding.message,
            "/pg/lib/sub is root's, and nobody else may enter it: the server cannot open 2 files below it."
        );
        // What is above the question is not asked about.
        let above = Case::new().object("x.so", &module()).fs(|fs| fs.mode("/pg/lib", 0o700));
        assert!(above.run(&UNREADABLE_FOR_SERVER).is_empty());
    }

    #[test]
    fn control_files_and_scripts_count() {
        let case = Case::new()
            .file("/pg/share/extension/x.control", "default_version = '1.0'")
            .file("/pg/share/extension/x--1.0.sql", "SELECT 1;")
            .roots(&["/pg"])
            .fs(|fs| fs.mode("/pg/share/extension/x.control", 0o600))
            .fs(|fs| fs.mode("/pg/share/extension/x--1.0.sql", 0o600));
        let finding = case.one(&UNREADABLE_FOR_SERVER);
        assert_eq!(finding.path, Path::new("/pg/share/extension/x--1.0.sql"));
        assert_eq!(finding.texts("also"), ["x.control"]);
    }
}
