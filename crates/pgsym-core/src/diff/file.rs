//! One pair of files: there or not, readable or not, and then fact by fact.

use super::catalog::Catalogs;
use super::change::{Change, ChangeKind};
use super::exports::Exports;
use super::pair::{Key, Pair};
use super::{Side, Sides, Uncompared, exports, gone, module, versions};
use crate::check::Severity;
use crate::error::{FileError, FileErrorKind};
use crate::name::Shown;
use crate::tree::{LoadOutcome, Role, TreeFile};

/// What comparing one pair gives, before anybody else was asked.
#[derive(Default)]
pub(super) struct Compared<'t> {
    pub(super) changes: Vec<Change>,
    pub(super) exports: Exports<'t>,
    pub(super) uncompared: Vec<Uncompared>,
}

/// Compares one pair.
pub(super) fn compare<'t>(
    sides: &Sides<'t>,
    catalogs: &Catalogs<'t>,
    key: &Key,
    pair: &Pair<'t>,
) -> Compared<'t> {
    let mut compared = Compared::default();
    let is_of_interest = |file: &&TreeFile| file.role != Role::Other || file.module.is_err();
    match (pair.old, pair.new) {
        (Some(old), None) if is_of_interest(&old) => {
            compared.changes.push(gone::file(sides, catalogs, key, old));
        }
        (None, Some(new)) if is_of_interest(&new) => compared.changes.push(added(new)),
        (Some(old), Some(new)) if is_of_interest(&old) || is_of_interest(&new) => {
            let is_renamed = pair.is_renamed || sides.are_files;
            compared.changes.extend(renamed(old, new).filter(|_| is_renamed));
            files(sides, old, new, &mut compared);
        }
        _ => {}
    }
    compared
}

fn renamed(old: &TreeFile, new: &TreeFile) -> Option<Change> {
    let name = |file: &TreeFile| {
        let name = file.path.file_name().unwrap_or_default();
        Shown(name.as_encoded_bytes()).to_string()
    };
    let (from, to) = (name(old), name(new));
    let message = format!("The file was called {from} and is called {to}.");
    let change = || Change::new(ChangeKind::Renamed, Severity::Info, message);
    (from != to).then(|| change().values(Some(from), Some(to)))
}

fn added(new: &TreeFile) -> Change {
    let message = match (&new.module, new.role) {
        (Err(error), _) => format!("The file is new, and cannot be read: {error}."),
        (Ok(_), Role::Module) => "The module is new.".to_owned(),
        (Ok(_), Role::Library) => "The library is new.".to_owned(),
        (Ok(_), Role::Program) => "The program is new.".to_owned(),
        (Ok(_), Role::Other) => "The file is new.".to_owned(),
    };
    Change::new(ChangeKind::Added, Severity::Info, message)
}

fn files<'t>(sides: &Sides<'t>, old: &'t TreeFile, new: &'t TreeFile, compared: &mut Compared<'t>) {
    let (before, after) = match (&old.module, &new.module) {
        (Ok(before), Ok(after)) => (before, after),
        (Ok(_), Err(error)) => {
            compared.changes.push(unreadable(old, error));
            return;
        }
        (Err(_), Ok(_)) => {
            let message = "The file could not be read, and can be now.";
            compared.changes.push(Change::new(ChangeKind::Unreadable, Severity::Info, message));
            return;
        }
        (Err(before), Err(after)) => {
            // What is no binary on either side is nothing that pgsym compares.
            for (side, file, error) in [(Side::Old, old, before), (Side::New, new, after)] {
                if error.kind != FileErrorKind::NotAnObject {
                    compared.uncompared.push(Uncompared {
                        path: file.shown.clone(),
                        side,
                        what: "the file".to_owned(),
                        error: error.to_string(),
                    });
                }
            }
            return;
        }
    };
    if let Some(change) = module::kind(old, new) {
        compared.changes.push(change);
        return;
    }
    compared.changes.extend(module::compare(sides, old, new));
    let server = sides.old.server().map(|server| &*server.module);
    compared.changes.extend(versions::compare(before, after, server));
    // Nobody links against a program but the server.
    if old.role != Role::Program || gone::is_server(sides, old) {
        compared.exports = exports::compare(before, after);
    }
    tables(old, new, compared);
}

/// A file that cannot be read any more.
fn unreadable(old: &TreeFile, error: &FileError) -> Change {
    // What the loader cannot take either, rather than what this run could not look at.
    let is_refused = !matches!(
        error.kind,
        FileErrorKind::Io(std::io::ErrorKind::PermissionDenied)
            | FileErrorKind::Limit
            | FileErrorKind::Unsupported
    );
    let worked = old.outcome() == LoadOutcome::Loads;
    let severity = if is_refused && worked { Severity::Error } else { Severity::Warning };
    let message = format!("The file can be read no longer: {error}.");
    Change::new(ChangeKind::Unreadable, severity, message).help("build or install the file again")
}

/// Tables that cannot be read: news where only the new build has them so.
fn tables(old: &TreeFile, new: &TreeFile, compared: &mut Compared<'_>) {
    let of =
        |file: &TreeFile| file.module.as_ref().map(|module| module::unreadable(module)).unwrap_or_default();
    let (before, after) = (of(old), of(new));
    for (what, error) in &after {
        if !before.contains_key(what) {
            let message = format!("{what} can be read no longer: {error}. Nothing is said of what it holds.");
            // The loader follows PT_DYNAMIC without looking: the process that loads the file dies.
            let is_fatal = *what == "PT_DYNAMIC" && old.outcome() == LoadOutcome::Loads;
            let severity = if is_fatal { Severity::Error } else { Severity::Warning };
            compared.changes.push(Change::new(ChangeKind::Unreadable, severity, message));
        }
    }
    for (side, file, tables, other) in [(Side::Old, old, &before, &after), (Side::New, new, &after, &before)]
    {
        for (what, error) in tables.iter().filter(|(what, _)| side == Side::Old || other.contains_key(*what))
        {
            compared.uncompared.push(Uncompared {
                path: file.shown.clone(),
                side,
                what: (*what).to_owned(),
                error: error.clone(),
            });
        }
    }
}
