//! What lies around a directory with control files, by the layouts of packages: its scripts, its installation, its modules.

use std::path::{Path, PathBuf};

use super::super::name::{ControlName, control_name, script_name};
use super::super::tree::ScriptLayout;
use crate::discover::{Installation, find_installation};
use crate::fs::{DirEntry, Fs};
use crate::name::path_bytes;

/// Where the scripts of the extensions of a directory are: beside the control files, or in `sql`. The source tree of an
/// extension that is built with PGXS usually has them beside and keeps its regression tests in `sql`.
pub(super) fn layout_of(fs: &dyn Fs, directory: &Path) -> ScriptLayout {
    let sql = fs.read_dir(&directory.join("sql")).unwrap_or_default();
    if sql.is_empty() || directory.ends_with("extension") {
        return ScriptLayout::Beside;
    }
    let beside = fs.read_dir(directory).unwrap_or_default();
    let name = |entry: &DirEntry| path_bytes(Path::new(&entry.name)).to_vec();
    let beside: Vec<Vec<u8>> = beside.iter().map(name).collect();
    let extensions: Vec<&[u8]> = beside
        .iter()
        .filter_map(|file| match control_name(file)? {
            ControlName::Primary(extension) => Some(extension),
            ControlName::Secondary(..) => None,
        })
        .collect();
    let is_script =
        |file: &Vec<u8>| extensions.iter().any(|extension| script_name(extension, file).is_some());
    if beside.iter().any(is_script) && !sql.iter().map(name).any(|file| is_script(&file)) {
        ScriptLayout::Beside
    } else {
        ScriptLayout::SqlSubdirectory
    }
}

/// The installation of which a directory is the one with the control files.
pub(super) fn installation_of(fs: &dyn Fs, directory: &Path) -> Option<Installation> {
    let found = find_installation(fs, directory)?;
    let system = found.sharedir.as_ref()?.join("extension");
    is_same(fs, &system, directory).then_some(found)
}

pub(super) fn is_same(fs: &dyn Fs, a: &Path, b: &Path) -> bool {
    a == b || matches!((fs.metadata(a), fs.metadata(b)), (Ok(a), Ok(b)) if a.id == b.id)
}

/// The module directory of a staging tree: `/stage/usr/lib/postgresql/17/lib` for
/// `/stage/usr/share/postgresql/17/extension`, where the server has the two below `usr` or any other prefix.
pub(super) fn stage_of(
    directory: &Path,
    sharedir: Option<&Path>,
    pkglibdir: Option<&Path>,
) -> Option<PathBuf> {
    let (system, pkglibdir) = (sharedir?.join("extension"), pkglibdir?);
    let whole = system.strip_prefix("/").ok().zip(pkglibdir.strip_prefix("/").ok());
    let prefix = system.ancestors().find(|above| pkglibdir.starts_with(above))?;
    let below = |above: &Path| Some((system.strip_prefix(above).ok()?, pkglibdir.strip_prefix(above).ok()?));
    // `share/extension` and `lib` alone are those of an image volume too: the prefix has to have the same name.
    let tails = below(prefix).filter(|(share, _)| share.components().count() > 2);
    let tails = tails.or_else(|| below(prefix.parent()?).filter(|(share, _)| share.components().count() > 2));
    for (share, lib) in [whole, tails].into_iter().flatten() {
        if directory.ends_with(share) {
            let stage = directory.ancestors().nth(share.components().count())?;
            return Some(stage.join(lib));
        }
    }
    None
}

/// Where the modules of a control directory can be, nearest first.
pub(super) fn libraries_near(directory: &Path) -> Vec<PathBuf> {
    let mut near = Vec::new();
    if directory.ends_with("extension")
        && let Some(share) = directory.parent()
    {
        // VOLUME/share/extension and VOLUME/lib; PREFIX/share/postgresql/extension and PREFIX/lib/postgresql.
        for (above, below) in [(1, "lib/postgresql"), (1, "lib"), (2, "lib/postgresql"), (2, "lib")] {
            near.extend(share.ancestors().nth(above).map(|prefix| prefix.join(below)));
        }
        // Fedora: usr/share/pgsql/extension and usr/lib64/pgsql; openSUSE: usr/share/postgresql17/extension and
        // usr/lib/postgresql17/lib64; Alpine: the same and usr/lib/postgresql17.
        if let (Some(name), Some(prefix)) = (share.file_name(), share.ancestors().nth(2)) {
            let own = [("lib", "lib64"), ("lib", "lib"), ("lib64", ""), ("lib", "")];
            let own = own.map(|(lib, below)| prefix.join(lib).join(name).join(below));
            near.splice(0..0, own);
        }
        // STAGE/usr/share/postgresql/17/extension and STAGE/usr/lib/postgresql/17/lib.
        if let (Some(version), Some(usr)) = (share.file_name(), share.ancestors().nth(3)) {
            near.insert(0, usr.join("lib/postgresql").join(version).join("lib"));
        }
    } else {
        near.push(directory.join("lib"));
        near.push(directory.to_owned());
    }
    near
}
