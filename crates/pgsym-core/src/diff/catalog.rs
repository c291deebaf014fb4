//! What hurts at 3 a.m.: the catalog of a database that has an extension keeps, for each C function, the name of a file
//! and of a symbol (`probin` and `prosrc` of pg_proc). They stay what the old scripts made them when the package is
//! replaced, until ALTER EXTENSION UPDATE; a function that the new build has not fails at its next call
//! (src/backend/utils/fmgr/fmgr.c, `fmgr_info_C_lang`). pg_upgrade creates the functions anew from the old catalog, and
//! stops at it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::change::{Change, ChangeKind};
use super::{Sides, Uncompared};
use crate::check::Severity;
use crate::discover::short_path;
use crate::extension::{ExtensionRecord, Function, Library, Opened, Status};
use crate::name::{Shown, shown_path};
use crate::rules::evidence::listed;
use crate::tree::TreeFile;

/// How many functions a change lists before it only counts them; [`Change::names`] has all.
const LISTED: usize = 5;

/// What the catalogs made by the old scripts ask for.
#[derive(Default)]
pub(super) struct Catalogs<'t> {
    /// The changes, by the old module's path.
    pub(super) changes: HashMap<PathBuf, Vec<Change>>,
    /// Symbols of old modules that such a catalog names, whether or not the new build has them.
    pub(super) named: HashMap<&'t Path, BTreeSet<&'t [u8]>>,
    /// Files of the new tree that could not be asked.
    pub(super) uncompared: Vec<Uncompared>,
}

/// Whether CREATE FUNCTION takes a function of this status, and a call finds it.
fn is_backed(status: &Status) -> bool {
    matches!(status, Status::Ok | Status::ThroughDependency { .. })
}

/// Looks each function that works with the old build up in the new one.
pub(super) fn compare<'t>(sides: &Sides<'t>) -> Catalogs<'t> {
    let mut found = Catalogs::default();
    for record in sides.old.inventory().in_scope() {
        let mut by_library: BTreeMap<&[u8], Vec<&'t Function>> = BTreeMap::new();
        let installed = record.functions.iter().filter(|function| function.is_installed);
        for function in installed.filter(|function| is_backed(&function.status)) {
            let Some(path) = function.library.path() else { continue };
            // What another package has is not what is replaced.
            let Some(file) = sides.old_file(path) else { continue };
            found.named.entry(&file.path).or_default().insert(&function.prosrc);
            by_library.entry(&function.probin).or_default().push(function);
        }
        for (probin, functions) in by_library {
            let path = functions.first().and_then(|function| function.library.path());
            let Some(file) = path.and_then(|path| sides.old_file(path)) else { continue };
            let Some(library) = counterpart(sides, record, file, probin) else { continue };
            library_changes(sides, record, &functions, &library, &file.path, &mut found);
        }
    }
    found
}

/// What the name of a library leads to in the new tree; nothing where the question is about another module.
fn counterpart(
    sides: &Sides<'_>,
    record: &ExtensionRecord,
    old: &TreeFile,
    probin: &[u8],
) -> Option<Library> {
    if sides.are_files {
        return sides.counterpart_of(old).map(|new| sides.new.library_in(&new.path, probin));
    }
    let inventory = sides.new.inventory();
    let sites = match sides.extension_now(record) {
        Some(own) => own.extension.site..own.extension.site + 1,
        None => 0..inventory.places.sites.len(),
    };
    // Beside the new tree, the server that it is for may still have the old build.
    let is_new = |library: &Library| library.path().is_some_and(|path| sides.is_in_new(path));
    let mut missing = None;
    for library in sites.filter_map(|site| sides.new.library(site, probin)) {
        if is_new(&library) {
            return Some(library);
        }
        missing.get_or_insert(library);
    }
    let by_place = || {
        // Without control files nothing says what `$libdir` is: the module stands where it stood.
        let new = sides.counterpart_of(old)?;
        Some(sides.new.library_in(&new.path, probin))
    };
    by_place().or_else(|| {
        let mut library = missing.unwrap_or_else(|| Library {
            name: probin.to_vec(),
            expansion: Err(not_accessible(probin)),
            hidden: Vec::new(),
            defeated: None,
            opened: Opened::default(),
        });
        if library.path().is_some() {
            library.expansion = Err(not_accessible(probin));
        }
        Some(library)
    })
}

/// `expand_dynamic_library_name` and `internal_load_library`, src/backend/utils/fmgr/dfmgr.c.
pub(super) fn not_accessible(name: &[u8]) -> String {
    format!("could not access file \"{}\": No such file or directory", Shown(name))
}

fn library_changes(
    sides: &Sides<'_>,
    record: &ExtensionRecord,
    functions: &[&Function],
    library: &Library,
    old: &Path,
    found: &mut Catalogs<'_>,
) {
    // A symbol that is not found in what could be read may be in what could not.
    let has_unread = library.objects().iter().any(|(_, module)| module.symbols.get().is_none());
    let mut lost: BTreeMap<u8, Vec<(&Function, Status)>> = BTreeMap::new();
    for function in functions {
        // That the module does not load is told of the module.
        let status = library.symbol_status(&function.prosrc);
        let group = match &status {
            Status::Ok | Status::ThroughDependency { .. } | Status::ModuleDoesNotLoad => continue,
            Status::ModuleNotFound => 0,
            _ if has_unread => {
                found.uncompared.push(Uncompared::functions(sides, library));
                return;
            }
            Status::ModuleUnreadable => {
                found.uncompared.push(Uncompared::functions(sides, library));
                return;
            }
            Status::MissingFunction => 1,
            Status::MissingFinfo => 2,
            Status::OtherApiVersion(_) => 3,
            Status::NullRecord => 4,
            Status::FinfoIsData => 5,
        };
        lost.entry(group).or_default().push((function, status));
    }
    for mut lost in lost.into_values() {
        lost.sort_by(|(a, _), (b, _)| (&a.script, a.position).cmp(&(&b.script, b.position)));
        let change = change(sides, record, functions.len(), &lost, library);
        found.changes.entry(old.to_owned()).or_default().push(change);
    }
}

fn change(
    sides: &Sides<'_>,
    record: &ExtensionRecord,
    of: usize,
    lost: &[(&Function, Status)],
    library: &Library,
) -> Change {
    let name = Shown(&record.extension.name).to_string();
    let status = lost.first().map_or(&Status::Ok, |(_, status)| status);
    let version = lost.first().map(|(function, _)| Shown(&function.version).to_string()).unwrap_or_default();
    let what = match status {
        Status::ModuleNotFound => format!("{} is gone", Shown(&library.name)),
        Status::MissingFunction => "Not exported any more".to_owned(),
        Status::MissingFinfo => "Without a pg_finfo_ record now".to_owned(),
        _ => "With a pg_finfo_ record that no server takes".to_owned(),
    };
    let symbols = listed(lost.iter().map(|(function, _)| Shown(&function.prosrc)));
    let part = match lost.len() {
        2 if of == 2 => "both".to_owned(),
        all if all == of => format!("all {of}"),
        some => format!("{some} of {of}"),
    };
    let functions = if of == 1 { "the one C function".to_owned() } else { format!("{part} C functions") };
    let message = format!(
        "{what}: {symbols}; {functions} that {name} {version} has in it. {}",
        leads(sides, record, lost, &name, &version)
    );
    let mut change = Change::new(ChangeKind::CatalogFunction, Severity::Error, message)
        .names(lost.iter().map(|(function, _)| &*function.prosrc));
    for (function, _) in lost.iter().take(LISTED) {
        let script = short_path(&function.script, sides.old.roots().paths());
        let text = format!(
            "{} at {}:{}:{}",
            Shown(&function.prosrc),
            shown_path(script),
            function.position.line,
            function.position.column
        );
        change = change.evidence("declared", text);
    }
    if lost.len() > LISTED {
        let more = format!("and {} more (--format json has all)", lost.len() - LISTED);
        change = change.evidence("declared", more);
    }
    if let Some((function, status)) = lost.first()
        && let Some(said) = match status {
            // pg_upgrade asks by LOAD, which keeps the name as the catalog has it (`load_file`,
            // src/backend/utils/fmgr/dfmgr.c).
            Status::ModuleNotFound if sides.is_upgrade() => Some(not_accessible(&library.name)),
            _ => library.refusal(status, &function.prosrc),
        }
    {
        change = change.server_says(&said);
    }
    change.help(match status {
        Status::ModuleNotFound => "ship the old file beside the new one as long as databases name it",
        Status::MissingFunction => {
            "keep the symbols as long as databases have that version, if only to raise an error that says what to do"
        }
        _ => "write PG_FUNCTION_INFO_V1 for the functions, and export the records",
    })
}

/// Whom it hits, and until when.
fn leads(
    sides: &Sides<'_>,
    record: &ExtensionRecord,
    lost: &[(&Function, Status)],
    name: &str,
    version: &str,
) -> String {
    let them = if lost.len() == 1 { "it" } else { "one" };
    if sides.is_upgrade() {
        return format!("pg_upgrade of a database that has {name} {version} stops at {them}.");
    }
    let calls = format!("In a database that has {name} {version} the next call of {them} fails");
    let Some(now) = sides.extension_now(record) else { return format!("{calls}.") };
    let names_it = |function: &Function| {
        lost.iter().any(|(gone, _)| gone.prosrc == function.prosrc && gone.probin == function.probin)
    };
    if now.functions.iter().any(|function| function.is_installed && names_it(function)) {
        return format!("{calls}, and so does CREATE EXTENSION of the new build.");
    }
    // The server looks each function up when it is created, whatever becomes of it.
    let is_created = now.functions.iter().any(|function| function.is_created && names_it(function));
    let create = if is_created {
        format!(" CREATE EXTENSION, which makes {them} on the way, fails too.")
    } else {
        String::new()
    };
    let control = now.extension.control.as_ref().ok();
    let target = control.and_then(|control| control.default_version.as_deref());
    let from = lost.first().map(|(function, _)| &function.version[..]);
    let chain = from.zip(target).and_then(|(from, to)| now.extension.graph.update_chain(from, to));
    let until = match chain {
        Some(steps) if !steps.is_empty() => format!("until ALTER EXTENSION {name} UPDATE"),
        _ if from == target => "and no ALTER EXTENSION UPDATE helps: the version is the same".to_owned(),
        _ => "and no ALTER EXTENSION UPDATE leads away from there".to_owned(),
    };
    format!("{calls}, {until}.{create}")
}

/// The versions of extensions whose scripts, though installing the default version does not run them, name a symbol
/// of an old module: `postgis 3.1`.
pub(super) type Older = HashMap<PathBuf, BTreeMap<Vec<u8>, BTreeSet<String>>>;

/// Reads every script of the old tree.
pub(super) fn older(sides: &Sides<'_>) -> Older {
    let mut found = Older::new();
    for record in sides.old.inventory_of_all_scripts().in_scope() {
        for function in record.functions.iter().filter(|function| !function.is_installed) {
            if let Some(path) = function.library.path() {
                let version = format!("{} {}", Shown(&record.extension.name), Shown(&function.version));
                let symbols = found.entry(path.to_owned()).or_default();
                symbols.entry(function.prosrc.clone()).or_default().insert(version);
            }
        }
    }
    found
}
