//! What is not there any more: files, and exports of files that stay. How bad that is depends on who asks for it: the
//! server by a setting or a catalog, another file of the new tree, or whoever may have been built against the old one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rayon::prelude::*;

use super::Sides;
use super::catalog::{Catalogs, Older, not_accessible};
use super::change::{Change, ChangeKind};
use super::exports::{Gone, Resized, shown};
use super::pair::Key;
use crate::check::Severity;
use crate::extension::library_path::dlsuffix;
use crate::model::{Binding, Module, Symbol};
use crate::name::{Shown, path_bytes};
use crate::postgres::FINFO_PREFIX;
use crate::resolve::references;
use crate::rules::evidence::{LISTED, base_name, listed};
use crate::tree::{Load, LoadOutcome, Role, Tree, TreeFile};

/// A file without a counterpart in the new tree.
pub(super) fn file(sides: &Sides<'_>, catalogs: &Catalogs<'_>, key: &Key, old: &TreeFile) -> Change {
    let change = |severity, message: &str| Change::new(ChangeKind::Removed, severity, message);
    if old.module.is_err() {
        return change(Severity::Info, "The file, which could not be read, is gone.");
    }
    match old.role {
        Role::Module => module(sides, catalogs, key, old),
        Role::Library => library(sides, old),
        Role::Program => change(Severity::Warning, "The program is gone: scripts that run it fail."),
        Role::Other => change(Severity::Info, "The file is gone."),
    }
}

/// A library that is gone. What was linked against it asks for its soname.
fn library(sides: &Sides<'_>, old: &TreeFile) -> Change {
    let soname = old.module.as_ref().ok().and_then(|module| module.soname.as_ref());
    let change = |severity, message: &str| Change::new(ChangeKind::Removed, severity, message);
    match soname {
        None => change(Severity::Info, "The library is gone."),
        Some(name) if sides.new_sonames.contains(name) => {
            change(Severity::Info, &format!("The library is gone; another one answers to {name}."))
        }
        Some(name) => {
            let message = format!("The library is gone: what else needs {name} does not start.");
            change(Severity::Warning, &message)
        }
    }
}

/// A module that is gone. Every use of one goes by its file's name: functions, LOAD, the preload settings, plugins.
fn module(sides: &Sides<'_>, catalogs: &Catalogs<'_>, key: &Key, old: &TreeFile) -> Change {
    let change = |severity, message: &str| Change::new(ChangeKind::Removed, severity, message);
    if catalogs.changes.contains_key(&old.path) {
        return change(Severity::Info, "The module is gone.");
    }
    if catalogs.named.contains_key(&*old.path) {
        return change(Severity::Info, "The module has another place now, where catalogs find it.");
    }
    if matches!(old.outcome(), LoadOutcome::Fails(_)) {
        return change(Severity::Info, "The module, which did not load, is gone.");
    }
    let is_macos = old.module.as_ref().is_ok_and(|module| module.macho().is_some());
    let suffix = dlsuffix(is_macos, sides.majors.0.unwrap_or_default());
    let file = path_bytes(key.path());
    let name = [b"$libdir/", file.strip_suffix(suffix).unwrap_or(file)].concat();
    let is_own = sides.old.inventory().own_libraries.contains(&name);
    if is_own && sides.is_upgrade() {
        return change(Severity::Info, "The module is gone; only the old server's own catalog named it.");
    }
    let message = if is_own {
        "The module is gone, and the server's own catalog names it."
    } else {
        "The module is gone: LOAD, the preload settings and functions that name it fail."
    };
    change(Severity::Error, message).server_says(&not_accessible(&name))
}

/// Who in the new tree imports a name that the old one had and the new one has not, and did so before.
pub(super) type Importers<'t> = HashMap<&'t [u8], Vec<&'t TreeFile>>;

/// Finds them: references that the loader will not find a definition for, of files whose old build had them too.
pub(super) fn importers<'t>(sides: &Sides<'t>, gone: &HashSet<&'t [u8]>) -> Importers<'t> {
    let missing = |file: &'t TreeFile| -> Vec<(&'t [u8], &'t TreeFile)> {
        let (Ok(module), Some(old)) = (&file.module, sides.predecessor_of(file)) else { return Vec::new() };
        // What a library that is not there would define cannot be told.
        let is_known =
            |load: &&Load| load.failure.as_ref().is_none_or(|failure| !failure.kind.is_of_a_file());
        let Some(load) = file.load.as_ref().filter(is_known) else { return Vec::new() };
        let Ok(old) = &old.module else { return Vec::new() };
        let lost = imports(module).filter(|symbol| gone.contains(symbol.name()));
        let lost = lost.filter(|symbol| is_expected_there(sides, module, *symbol));
        let names: BTreeSet<&[u8]> = lost.map(|symbol| symbol.name()).collect();
        if names.is_empty() {
            return Vec::new();
        }
        let before: HashSet<&[u8]> = imports(old).map(|symbol| symbol.name()).collect();
        let is_defined = |name: &[u8]| {
            let objects: Vec<_> = load.process.load_order().map(|(id, _)| id).collect();
            let in_process = load.process.lookup(&objects, name).is_some();
            in_process || sides.new.exporters(name).next().is_some()
        };
        let lost = names.into_iter().filter(|name| !is_defined(name));
        lost.filter_map(|name| Some((*gone.get(name).filter(|_| before.contains(name))?, file))).collect()
    };
    let found: Vec<Vec<(&[u8], &TreeFile)>> = sides.new.files().par_iter().map(missing).collect();
    let mut importers = Importers::new();
    for (name, file) in found.into_iter().flatten() {
        importers.entry(name).or_default().push(file);
    }
    importers
}

/// Whether a reference may have been meant for a file of the old tree. One with a version names its library: a program that has
/// a copy of the library's variable is not who has to define it.
fn is_expected_there(sides: &Sides<'_>, module: &Module, reference: Symbol<'_>) -> bool {
    let needs = module.elf().and_then(|elf| elf.version_needs.get());
    let Some(need) = reference.version().and_then(|version| version.need) else { return true };
    let Some(need) = needs.and_then(|needs| needs.get(need as usize)) else { return false };
    let soname = |file: &'_ TreeFile| {
        file.module.as_ref().is_ok_and(|module| module.soname.as_ref() == Some(&need.file))
    };
    sides.old.exporters(reference.name()).any(soname)
}

/// A module's strong references to what other objects define.
fn imports(module: &Module) -> impl Iterator<Item = Symbol<'_>> {
    let references = references(module).into_iter().map(|reference| reference.symbol);
    references.filter(|symbol| symbol.is_import() && symbol.binding() != Binding::Weak)
}

/// The changes for the exports that a file has lost.
pub(super) fn exports(
    sides: &Sides<'_>,
    catalogs: &Catalogs<'_>,
    importers: &Importers<'_>,
    older: &Older,
    old: &TreeFile,
    gone: &[Gone<'_>],
) -> Vec<Change> {
    let mut changes = Vec::new();
    let named = catalogs.named.get(&*old.path);
    // Said with the catalogs.
    let is_named = |gone: &Gone<'_>| {
        let function = match gone.kind {
            ChangeKind::FinfoRemoved => gone.name.strip_prefix(FINFO_PREFIX).unwrap_or(gone.name),
            _ => gone.name,
        };
        named.is_some_and(|named| named.contains(function))
    };
    let mut by_kind: BTreeMap<ChangeKind, Vec<&[u8]>> = BTreeMap::new();
    let mut imported: Vec<&[u8]> = Vec::new();
    for one in gone.iter().filter(|one| !is_named(one)) {
        if importers.contains_key(one.name) {
            imported.push(one.name);
        } else {
            by_kind.entry(one.kind).or_default().push(one.name);
        }
    }
    if !imported.is_empty() {
        changes.push(missed(importers, imported));
    }
    for (kind, names) in by_kind {
        match kind {
            ChangeKind::EntryPointRemoved => changes.extend(names.into_iter().map(entry_point)),
            ChangeKind::FunctionRemoved => changes.push(function(sides, older, old, names)),
            ChangeKind::FinfoRemoved => {
                let message = format!(
                    "Not exported any more: {}. A catalog that names the function makes the next call fail.",
                    shown(&names)
                );
                changes.push(Change::new(kind, Severity::Warning, message).names(names));
            }
            _ => changes.push(other(sides, old, kind, names)),
        }
    }
    changes
}

/// The names among `wanted` that files of a tree import.
pub(super) fn imported<'t>(tree: &'t Tree, wanted: &HashSet<&[u8]>) -> HashSet<&'t [u8]> {
    let of_file = |file: &'t TreeFile| -> HashSet<&'t [u8]> {
        let module = file.module.as_ref().ok().into_iter();
        let names = module.flat_map(|module| imports(module)).map(|symbol| symbol.name());
        names.filter(|name| wanted.contains(name)).collect()
    };
    tree.files().par_iter().map(of_file).reduce(HashSet::new, |mut all, names| {
        all.extend(names);
        all
    })
}

/// Variables of another size: whoever was built against the old file keeps the old one, in copies and in arithmetic.
pub(super) fn resized(
    sides: &Sides<'_>,
    imported: &HashSet<&[u8]>,
    old: &TreeFile,
    resized: &[Resized<'_>],
) -> Option<Change> {
    if resized.is_empty() {
        return None;
    }
    let texts = resized.iter().map(|one| format!("{} ({} bytes, now {})", Shown(one.name), one.old, one.new));
    let is_read = resized.iter().any(|one| imported.contains(one.name));
    let is_open = match old.role {
        Role::Library => true,
        _ if sides.is_upgrade() => false,
        _ => is_read || is_server(sides, old),
    };
    let (severity, leads) = if is_open {
        (
            Severity::Warning,
            " What was built against the old file, and is not built anew, reads the old size.",
        )
    } else {
        (Severity::Info, "")
    };
    let message = format!("Variables of another size: {}.{leads}", listed(texts));
    Some(Change::new(ChangeKind::DataSize, severity, message).names(resized.iter().map(|one| one.name)))
}

/// Whether a file is the old server.
pub(super) fn is_server(sides: &Sides<'_>, old: &TreeFile) -> bool {
    sides.old.server().is_some_and(|server| server.module.path == old.path)
}

/// Exports that another file of the new tree asks for.
fn missed(importers: &Importers<'_>, names: Vec<&[u8]>) -> Change {
    let files = |name: &[u8]| -> String {
        let files = importers.get(name).into_iter().flatten();
        listed(files.map(|file| base_name(&file.path)))
    };
    let message = format!(
        "Not exported any more: {}. Other files of the new tree import them, and do not load.",
        shown(&names)
    );
    let mut change = Change::new(ChangeKind::ExportRemoved, Severity::Error, message);
    for name in names.iter().take(LISTED) {
        change = change.evidence("imported by", format!("{}: {}", Shown(name), files(name)));
    }
    change.names(names)
}

/// A name that the server looks up.
fn entry_point(name: &[u8]) -> Change {
    let shown = Shown(name);
    let (severity, message, said) = match name {
        b"_PG_init" => (
            Severity::Warning,
            "_PG_init is not exported any more: settings, hooks and workers that it registered are gone."
                .to_owned(),
            None,
        ),
        // src/backend/replication/logical/logical.c, LoadOutputPlugin.
        b"_PG_output_plugin_init" => (
            Severity::Error,
            format!("{shown} is not exported any more: replication slots with this plugin fail."),
            Some("output plugins have to declare the _PG_output_plugin_init symbol"),
        ),
        // src/backend/postmaster/pgarch.c, LoadArchiveLibrary.
        b"_PG_archive_module_init" => (
            Severity::Error,
            format!(
                "{shown} is not exported any more: a server whose archive_library it is archives nothing."
            ),
            Some("archive modules have to define the symbol _PG_archive_module_init"),
        ),
        _ => (
            Severity::Error,
            format!("{shown} is not exported any more: a server that is set to use the module refuses it."),
            None,
        ),
    };
    let change = Change::new(ChangeKind::EntryPointRemoved, severity, message).names([name]);
    said.into_iter().fold(change, Change::server_says)
}

/// Functions that SQL can call, and that no catalog made by the old default version names.
fn function(sides: &Sides<'_>, older: &Older, old: &TreeFile, names: Vec<&[u8]>) -> Change {
    let declared = older.get(&old.path);
    let mut versions: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
    for name in &names {
        for version in declared.and_then(|declared| declared.get(*name)).into_iter().flatten() {
            versions.entry(version).or_default().push(name);
        }
    }
    let who = if sides.old.inventory().in_scope().next().is_none() {
        "the old build has no scripts, and databases whose catalogs name one fail".to_owned()
    } else if versions.is_empty() {
        "no script of the old build names them, and functions that were created by hand fail".to_owned()
    } else {
        format!("databases that still have {} fail at them", listed(versions.keys()))
    };
    let message = format!("Not exported any more: {}; {who}.", shown(&names));
    let mut change = Change::new(ChangeKind::FunctionRemoved, Severity::Warning, message);
    for (version, names) in versions.iter().take(LISTED) {
        change = change.evidence("declared by", format!("{version}: {}", shown(names)));
    }
    change.names(names)
}

/// Functions and variables that only other objects can ask for.
fn other(sides: &Sides<'_>, old: &TreeFile, kind: ChangeKind, names: Vec<&[u8]>) -> Change {
    // For another major version everything that can import from a module or the server is built anew.
    let is_open = old.role == Role::Library || !sides.is_upgrade();
    let what = if kind == ChangeKind::DataRemoved { "Variables not" } else { "Not" };
    let (severity, leads) = if is_open {
        (Severity::Warning, " Whatever else imports one does not load.")
    } else {
        (Severity::Info, "")
    };
    let message = format!("{what} exported any more: {}.{leads}", shown(&names));
    Change::new(kind, severity, message).names(names)
}
