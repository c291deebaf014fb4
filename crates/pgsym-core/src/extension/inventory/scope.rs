//! Which extensions a question is about, and scripts that belong to none.

use std::path::{Path, PathBuf};

use bstr::ByteSlice;

use super::{ExtensionRecord, Function, Surroundings};
use crate::extension::places::{Places, SearchSettings};
use crate::extension::tree::Extension;
use crate::fs::{FileId, FileKind, Fs};
use crate::name::path_bytes;

/// Which extensions the question is about: those below a root; those of which a root is a file; those of the installation, when a root holds its
/// modules or its control files, which a staging tree of the same layout does not; and those of which a named file is a
/// module.
#[derive(Default)]
pub(super) struct Scope {
    roots: Vec<PathBuf>,
    whole_installation: bool,
    named_modules: Vec<FileId>,
}

impl Scope {
    pub(super) fn new(around: &Surroundings<'_>, search: &SearchSettings) -> Self {
        let canonical = |path: &Path| around.fs.canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let parts: Vec<PathBuf> = around
            .installation
            .into_iter()
            .flat_map(|found| [Some(&found.pkglibdir), found.sharedir.as_ref()])
            .flatten()
            .chain(&search.pkglibdir)
            .chain(&search.sharedir)
            .map(|path| canonical(path))
            .collect();
        let roots: Vec<PathBuf> = around.roots.iter().map(|root| canonical(root)).collect();
        let whole_installation = roots.iter().any(|root| parts.iter().any(|part| part.starts_with(root)));
        let named_modules = around
            .roots
            .iter()
            .filter_map(|root| around.fs.metadata(root).ok())
            .filter(|metadata| metadata.kind == FileKind::File)
            .map(|metadata| metadata.id)
            .collect();
        Self { roots: around.roots.to_vec(), whole_installation, named_modules }
    }

    pub(super) fn may_include(&self, extension: &Extension) -> bool {
        !self.named_modules.is_empty() || self.has_place(extension)
    }

    fn has_place(&self, extension: &Extension) -> bool {
        self.has_path(&extension.control_path) || self.roots.iter().any(|root| is_script_of(root, extension))
    }

    fn has_path(&self, path: &Path) -> bool {
        self.whole_installation || self.roots.iter().any(|root| path.starts_with(root))
    }

    pub(super) fn includes(&self, fs: &dyn Fs, extension: &Extension, functions: &[Function]) -> bool {
        self.has_place(extension)
            || functions
                .iter()
                .filter_map(|function| function.library.path())
                .any(|path| fs.metadata(path).is_ok_and(|metadata| self.named_modules.contains(&metadata.id)))
    }
}

/// Whether a path that was asked about is a script, or a secondary control file, of an extension.
fn is_script_of(path: &Path, extension: &Extension) -> bool {
    let name = path.file_name().map(Path::new).map(path_bytes);
    let rest = name.and_then(|name| name.strip_prefix(extension.name.as_slice()));
    rest.is_some_and(|rest| rest.starts_with(b"--")) && path.parent() == Some(&extension.script_directory)
}

/// Files named `x--….sql` beside control files, where no `x` is an extension.
pub(super) fn orphan_scripts(
    fs: &dyn Fs,
    places: &Places,
    scope: &Scope,
    extensions: &[ExtensionRecord],
) -> Vec<PathBuf> {
    let is_known = |name: &[u8]| {
        extensions.binary_search_by(|record| record.extension.name.as_slice().cmp(name)).is_ok()
    };
    let mut found = Vec::new();
    for directory in places.control.iter().filter(|directory| scope.has_path(&directory.path)) {
        for entry in fs.read_dir(&directory.path).unwrap_or_default() {
            let path = directory.path.join(&entry.name);
            let name = path_bytes(Path::new(&entry.name));
            let mut owners = name.find_iter("--").filter_map(|at| name.get(..at)).peekable();
            if name.ends_with(b".sql") && owners.peek().is_some() && !owners.any(is_known) {
                found.push(path);
            }
        }
    }
    found
}
