//! Writes the lists of exports: into OUT_DIR for the linker and the tests, and the copy that the author keeps in the
//! source tree for review.

use std::fs;
use std::path::{Path, PathBuf};

use pgsym_core::exports::{ExportSet, ListFormat};

use crate::env::Env;
use crate::error::{Error, ErrorKind};
use crate::target::Format;

/// The lists of one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Maps {
    /// All names: `pg_exports.map`, or `pg_exports.list` for Mach-O.
    pub(crate) whole: PathBuf,
    /// A version script with the names that archives bring: `pgsym_link.map`.
    pub(crate) forced: PathBuf,
}

/// Writes the lists of `exports` below `out_dir`.
pub(crate) fn write(out_dir: &Path, exports: &ExportSet, format: Format) -> Result<Maps, Error> {
    let forced = out_dir.join("pgsym_link.map");
    write_if_different(&forced, &ListFormat::VersionScriptAddition.write(exports.forced()))?;
    let (name, list) = match format {
        Format::Elf => ("pg_exports.map", ListFormat::VersionScriptAddition),
        Format::MachO => ("pg_exports.list", ListFormat::ExportedSymbols),
    };
    let whole = out_dir.join(name);
    write_if_different(&whole, &list.write(exports.names()))?;
    Ok(Maps { whole, forced })
}

/// Keeps a checked-in copy equal: a version script whatever the target, so that everybody's copy is the same.
///
/// With `PGSYM_MAP=check` in the environment nothing is written and a difference is an error, for CI.
pub(crate) fn keep_copy(env: &Env, path: &Path, exports: &ExportSet) -> Result<(), Error> {
    let directory = PathBuf::from(env.required("CARGO_MANIFEST_DIR")?);
    let path = directory.join(path);
    let text = ListFormat::VersionScriptAddition.write(exports.names());
    let is_check = env.tracked_text("PGSYM_MAP").as_deref() == Some("check");
    if !is_check {
        return write_if_different(&path, &text);
    }
    if fs::read_to_string(&path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    let message = format!(
        "{} does not hold the module's exports, and PGSYM_MAP=check forbids to change it; build without PGSYM_MAP \
         and commit the file",
        path.display(),
    );
    Err(Error::new(ErrorKind::MapOutOfDate, message))
}

/// Leaves an equal file alone, so that neither Cargo nor an editor sees a change, and a read-only tree will do.
fn write_if_different(path: &Path, text: &str) -> Result<(), Error> {
    if fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    fs::write(path, text).map_err(|error| {
        let message = format!("cannot write the list of exports to {}: {error}", path.display());
        Error::new(ErrorKind::Write, message)
    })
}
