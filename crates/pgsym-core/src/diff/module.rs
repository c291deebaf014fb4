//! What changed in one file beside its exports, its magic block and how it may be mapped: whether it loads, what it needs.

use std::collections::BTreeMap;

use super::change::{Change, ChangeKind};
use super::{Sides, hardening, magic};
use crate::check::Severity;
use crate::model::{Module, SearchPath, Table};
use crate::name::Name;
use crate::postgres::{Magic, PgFacts};
use crate::rules::symbols::is_of_c_library;
use crate::tree::{LoadOutcome, Role, TreeFile};

/// The changes of a file that can be read on both sides.
pub(super) fn compare(sides: &Sides<'_>, old: &TreeFile, new: &TreeFile) -> Vec<Change> {
    let (Ok(old_module), Ok(new_module)) = (&old.module, &new.module) else { return Vec::new() };
    let mut changes = Vec::new();
    changes.extend(load(sides, old, new));
    changes.extend(magic::machine(sides, old_module, new_module));
    if let (Some(old_facts), Some(new_facts)) = (old_module.postgres.get(), new_module.postgres.get()) {
        magic::compare(sides, old_facts, new_facts, new, &mut changes);
    }
    // A string that cannot be read is not one that is missing.
    if has_dynamic(old_module) && has_dynamic(new_module) {
        changes.extend(soname(old, old_module, new_module));
        needed(sides, old_module, new, new_module, &mut changes);
        changes.extend(search_path(old_module, new_module));
        changes.extend(hardening::compare(old_module, new_module));
    }
    changes
}

/// Whether `.dynamic`, or the load commands, and what they lead to could be read, or are not there.
fn has_dynamic(module: &Module) -> bool {
    let is_read =
        module.elf().is_none_or(|elf| elf.dynamic.error().is_none() && elf.unreadable_entries.is_empty());
    is_read && module.dependencies.error().is_none()
}

/// Whether the loader and the server take the file. A side without a server is asked less than one with it, so the two
/// must be alike.
fn load(sides: &Sides<'_>, old: &TreeFile, new: &TreeFile) -> Option<Change> {
    if sides.old.server().is_some() != sides.new.server().is_some() {
        return None;
    }
    match (old.outcome(), new.outcome()) {
        (LoadOutcome::Loads, LoadOutcome::Fails(said)) => {
            // What is left of a damaged file does not tell what it was for; the old build does.
            let is_of_server = old.role == Role::Module && sides.new.server().is_some();
            let severity = crate::rules::loader::severity(old);
            let message = match old.role {
                Role::Module if is_of_server => "The server loads the old build and refuses the new one.",
                Role::Program => "The old program starts, the new one does not.",
                _ => "The loader takes the old build and refuses the new one.",
            };
            let change = Change::new(ChangeKind::Load, severity, message)
                .values(Some("loads".to_owned()), Some("fails".to_owned()));
            let has_verdict = new.role == Role::Module && is_of_server;
            Some(if has_verdict { change.server_says(&said) } else { change.evidence("the loader", said) })
        }
        (LoadOutcome::Fails(said), LoadOutcome::Loads) => Some(
            Change::new(ChangeKind::Load, Severity::Info, "It could not be loaded, and can be now.")
                .values(Some("fails".to_owned()), Some("loads".to_owned()))
                .evidence("before", said),
        ),
        _ => None,
    }
}

fn role_word(file: &TreeFile) -> &'static str {
    match file.role {
        Role::Module => "module",
        Role::Library => "library",
        Role::Program => "program",
        Role::Other => "nothing that a process loads",
    }
}

/// What a file is for. Between module and library the magic block decides, and says so itself.
pub(super) fn kind(old: &TreeFile, new: &TreeFile) -> Option<Change> {
    let is_library = |file: &TreeFile| matches!(file.role, Role::Module | Role::Library);
    if old.role == new.role || (is_library(old) && is_library(new)) {
        return None;
    }
    // Where nothing was loaded before, nothing fails.
    let severity = if old.outcome() == LoadOutcome::Loads { Severity::Error } else { Severity::Info };
    let (from, to) = (role_word(old), role_word(new));
    let message = format!("The file was a {from} and is {}.", article(to));
    Some(
        Change::new(ChangeKind::ObjectKind, severity, message)
            .values(Some(from.to_owned()), Some(to.to_owned())),
    )
}

fn article(word: &str) -> String {
    if word.starts_with("nothing") { word.to_owned() } else { format!("a {word}") }
}

fn soname(file: &TreeFile, old: &Module, new: &Module) -> Option<Change> {
    if old.soname == new.soname {
        return None;
    }
    let words = |module: &Module| module.soname.as_ref().map(ToString::to_string);
    let (from, to) = (words(old), words(new));
    // A server opens modules by their path.
    let (severity, leads) = if file.role == Role::Library && from.is_some() {
        (Severity::Warning, ": what was linked against the old build asks for the old name")
    } else {
        (Severity::Info, "")
    };
    let none = || "none".to_owned();
    let message = format!(
        "The soname was {} and is {}{leads}.",
        from.clone().unwrap_or_else(none),
        to.clone().unwrap_or_else(none)
    );
    Some(Change::new(ChangeKind::Soname, severity, message).values(from, to))
}

fn needed(sides: &Sides<'_>, old: &Module, file: &TreeFile, new: &Module, changes: &mut Vec<Change>) {
    let names = |module: &Module| -> Vec<Name> {
        module.needed().iter().map(|dependency| dependency.name.clone()).collect()
    };
    let (before, after) = (names(old), names(new));
    let mut less: Vec<&Name> = before.iter().filter(|name| !after.contains(name)).collect();
    for name in after.iter().filter(|name| !before.contains(name)) {
        // Another version of a library takes the place of the one before.
        let replaced = less.iter().position(|other| family(other) == family(name)).map(|at| less.remove(at));
        changes.push(needed_now(sides, file, name, replaced));
    }
    for name in less {
        changes.push(
            Change::new(ChangeKind::NeededRemoved, Severity::Info, format!("{name} is not needed any more."))
                .values(Some(name.to_string()), None)
                .names([name.as_bytes()]),
        );
    }
    let sorted = |names: &[Name]| {
        let mut sorted = names.to_vec();
        sorted.sort();
        sorted
    };
    if before != after && sorted(&before) == sorted(&after) {
        let words = |names: &[Name]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (from, to) = (words(&before), words(&after));
        let message = format!("The same libraries are needed in another order: {to}.");
        changes
            .push(Change::new(ChangeKind::NeededOrder, Severity::Info, message).values(Some(from), Some(to)));
    }
}

/// What the names of all versions of a library have in common: `libperl` of `libperl.so.5.36`, `libpythonm` of
/// `libpython3.6m.so.1.0`.
fn family(name: &Name) -> Vec<u8> {
    let bytes = name.as_bytes();
    let end = bstr::ByteSlice::find(bytes, b".so").unwrap_or(bytes.len());
    bytes[..end].iter().copied().filter(|byte| !byte.is_ascii_digit() && *byte != b'.').collect()
}

/// A library that must be there now: nothing to do where the tree, the C library or the server brings it.
fn needed_now(sides: &Sides<'_>, file: &TreeFile, name: &Name, replaced: Option<&Name>) -> Change {
    let found = || {
        let load = file.load.as_ref()?;
        let requester = load.process.object(load.root?)?;
        let edge = requester.edges().iter().find(|edge| edge.name == *name)?;
        load.process.object(*edge.target.as_ref().ok()?)
    };
    let found = found();
    let path = found.map(|object| crate::name::shown_path(&sides.new.shown(object.path())).to_string());
    let in_tree = found.is_some_and(|object| sides.new.find(object.id()).is_some());
    let in_server = found.is_some_and(|object| {
        sides.new.process().is_some_and(|server| server.find_file(object.id()).is_some())
    });
    let (severity, leads) = if in_tree {
        (Severity::Info, ", which the new tree has")
    } else if in_server {
        (Severity::Info, ", which the server needs too")
    } else if is_of_c_library(name.as_bytes()) {
        (Severity::Info, ", which is part of the C library")
    } else {
        (Severity::Warning, ": it has to be installed wherever the new build goes")
    };
    let place = replaced.map(|old| format!(" in the place of {old}")).unwrap_or_default();
    let message = format!("{name} is needed now{place}{leads}.");
    let change = Change::new(ChangeKind::NeededAdded, severity, message)
        .values(replaced.map(ToString::to_string), Some(name.to_string()))
        .names([name.as_bytes()]);
    match path {
        Some(path) if severity > Severity::Info => change.evidence("found here", path),
        _ => change,
    }
}

fn search_path(old: &Module, new: &Module) -> Option<Change> {
    let words = |paths: &[SearchPath]| {
        let words: Vec<String> =
            paths.iter().map(|path| format!("{} {}", path.kind.tag(), path.raw)).collect();
        (!words.is_empty()).then(|| words.join(", "))
    };
    let (from, to) = (words(&old.search_paths), words(&new.search_paths));
    if from == to {
        return None;
    }
    let message = match (&from, &to) {
        (None, Some(to)) => format!("Libraries are searched along a path of the file's own now: {to}."),
        (Some(from), None) => format!("The file's own search path is gone: {from}."),
        (from, to) => format!(
            "The file's own search path was {} and is {}.",
            from.as_deref().unwrap_or_default(),
            to.as_deref().unwrap_or_default()
        ),
    };
    Some(Change::new(ChangeKind::SearchPath, Severity::Info, message).values(from, to))
}

/// What a table could not be read for, once for each file and side: nothing is said of what it holds.
pub(super) fn unreadable(module: &Module) -> BTreeMap<&'static str, String> {
    let tables = crate::rules::file::unreadable_tables(module).into_iter();
    let mut found: BTreeMap<&str, String> = tables.map(|(name, error)| (name, error.to_string())).collect();
    // One bad pointer takes every table along that hangs on it.
    if let Table::Unreadable(error) = &module.postgres
        && !found.values().any(|known| *known == error.to_string())
    {
        found.insert("finfo records", error.to_string());
    }
    if let Some(PgFacts { magic: Magic::Unknown(error), .. }) = module.postgres.get() {
        found.entry("the magic block").or_insert_with(|| error.to_string());
    }
    found
}
