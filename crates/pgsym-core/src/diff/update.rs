//! What users run first with a new build: ALTER EXTENSION UPDATE, from the default version of the old one to that of the
//! new one (src/backend/commands/extension.c, `ApplyExtensionUpdates`). Installing the new version runs none, or not all, of
//! these scripts.

use std::collections::HashMap;

use super::Sides;
use super::change::{Change, ChangeKind};
use super::extension::default_version;
use crate::check::Severity;
use crate::extension::script::Position;
use crate::extension::sql::Declaration;
use crate::extension::tree::Extension;
use crate::extension::update_graph::Step;
use crate::extension::{
    ExtensionKey, ExtensionRecord, Function, Inventory, Library, LoadStatement, ScriptRecord, Status,
};
use crate::name::{Shown, shown_path};
use crate::rules::catalog::module_not_found::{is_everywhere, is_staged_link, severity};
use crate::rules::catalog::script_syntax_error::Context;
use crate::rules::catalog::unknown_language::{is_other_spelling, made, other_language};
use crate::rules::catalog::unreadable_script;

/// The updates that fail, by the new extension.
pub(super) type Updates<'t> = HashMap<ExtensionKey<'t>, Change>;

/// Looks through the scripts between the default versions.
pub(super) fn compare<'t>(sides: &Sides<'t>) -> Updates<'t> {
    let mut chains: HashMap<ExtensionKey<'t>, (&'t [u8], Vec<Step>)> = HashMap::new();
    let mut records: HashMap<ExtensionKey<'t>, &'t ExtensionRecord> = HashMap::new();
    for (old, new) in &sides.extensions {
        let (Some(old), &Some(new)) = (old, new) else { continue };
        let (Some(from), Some(to)) = (default_version(old), default_version(new)) else { continue };
        // Nobody has a version that could not be created.
        if from != to && old.extension.graph.install_chain(from).is_some() {
            let Some(chain) = new.extension.graph.update_chain(from, to) else { continue };
            chains.insert(new.key(), (from, chain));
            records.insert(new.key(), new);
        }
    }
    if chains.is_empty() {
        return Updates::new();
    }
    let chain = |extension: &Extension| {
        let chain = chains.get(&(extension.site, &*extension.name));
        chain.map(|(_, steps)| steps.clone()).unwrap_or_default()
    };
    let inventory = sides.new.inventory_of_chains(&chain);
    let mut found = Updates::new();
    for record in &inventory.extensions {
        let key = record.key();
        let (Some((from, _)), Some(new)) = (chains.get(&key), records.get(&key)) else { continue };
        if let Some(failure) = first_failure(sides, &inventory, record, new) {
            found.insert(new.key(), failure.change(&record.extension.name, from));
        }
    }
    found
}

/// Where an update stops, and what the server says.
struct Failure<'a> {
    script: &'a ScriptRecord,
    position: Option<Position>,
    said: String,
}

impl Failure<'_> {
    fn change(&self, extension: &[u8], from: &[u8]) -> Change {
        let mut place = shown_path(&self.script.path).to_string();
        if let Some(Position { line, column }) = self.position {
            place = format!("{place}:{line}:{column}");
        }
        let message = format!(
            "A database that has the old default version {} cannot be updated: ALTER EXTENSION {} UPDATE stops at {place}.",
            Shown(from),
            Shown(extension)
        );
        let change = Change::new(ChangeKind::UpdateFails, Severity::Error, message);
        change.names([from]).server_says(&self.said)
    }
}

/// The first thing that surely stops a chain of scripts.
fn first_failure<'a>(
    sides: &Sides<'_>,
    inventory: &'a Inventory,
    record: &'a ExtensionRecord,
    new: &ExtensionRecord,
) -> Option<Failure<'a>> {
    let tree = sides.new;
    let context = Context::new(tree, new);
    let required = tree.inventory().required_by(new);
    let languages = made(&required);
    let own = record.scripts.iter().flat_map(|script| &script.script).flat_map(|script| &script.declarations);
    let makes = |language: &[u8]| {
        let is_it =
            |made: &Declaration| matches!(made, Declaration::CreateLanguage(name) if name == language);
        languages.contains(language) || own.clone().any(|(_, declaration)| is_it(declaration))
    };
    let functions: HashMap<(&[u8], &[u8]), &Function> =
        record.functions.iter().map(|function| ((&*function.probin, &*function.prosrc), function)).collect();
    for script in &record.scripts {
        let stops = |position, said| Some(Failure { script, position, said });
        if let Err(error) = &script.control {
            return stops(None, error.message.clone());
        }
        let Ok(read) = &script.script else {
            let is_staged = crate::discover::staged_root(tree.store().fs(), &script.path).is_some();
            return unreadable_script::said(script).filter(|_| !is_staged).and_then(|said| stops(None, said));
        };
        if let Some((position, said)) = context.whole(record, read) {
            return stops(Some(position), said);
        }
        let mut failing: Vec<(Position, String)> = context.statements(script, read).0.into_iter().collect();
        for (position, declaration) in &read.declarations {
            if let Some(language) = other_language(declaration)
                && is_other_spelling(language)
                && !makes(language)
            {
                failing.push((*position, format!("language \"{}\" does not exist", Shown(language))));
            }
            let link = match declaration {
                Declaration::Create(routine) => routine.c_link(),
                _ => None,
            };
            let function = link.and_then(|link| functions.get(&link));
            if let Some(said) = function.and_then(|function| refusal(sides, inventory, record, function)) {
                failing.push((*position, said));
            }
        }
        let loads = record.loads.iter().filter(|load| load.script == script.path);
        failing.extend(
            loads.filter_map(|load| Some((load.position, load_refusal(sides, inventory, record, load)?))),
        );
        // A language is looked up before anything else of its statement is judged.
        if let Some((position, said)) = failing.into_iter().rev().min_by_key(|(position, _)| *position) {
            return stops(Some(position), said);
        }
    }
    None
}

/// What the server says to CREATE FUNCTION, where it surely refuses it for the sake of the function.
fn refusal(
    sides: &Sides<'_>,
    inventory: &Inventory,
    record: &ExtensionRecord,
    function: &Function,
) -> Option<String> {
    let library = &function.library;
    match &function.status {
        Status::ModuleNotFound => is_surely_missing(sides, inventory, record, library).then_some(())?,
        // What the file comes to is told with the file.
        Status::ModuleDoesNotLoad if is_told(sides, library) => return None,
        _ => {}
    }
    library.refusal(&function.status, &function.prosrc)
}

fn load_refusal(
    sides: &Sides<'_>,
    inventory: &Inventory,
    record: &ExtensionRecord,
    load: &LoadStatement,
) -> Option<String> {
    let library = &load.library;
    if library.path().is_none() {
        return library.error().filter(|_| is_surely_missing(sides, inventory, record, library));
    }
    if is_told(sides, library) {
        return None;
    }
    library.refusal(&Status::ModuleDoesNotLoad, b"")
}

/// Whether a library is a file of the question, or lacks no more than what the session may have loaded.
fn is_told(sides: &Sides<'_>, library: &Library) -> bool {
    library.opened.lacks_symbols || library.path().is_some_and(|path| sides.is_in_new(path))
}

fn is_surely_missing(
    sides: &Sides<'_>,
    inventory: &Inventory,
    record: &ExtensionRecord,
    library: &Library,
) -> bool {
    let site = inventory.site(record);
    !site.libdirs.is_empty()
        && severity(site, library) == Severity::Error
        && !is_everywhere(library)
        && !is_staged_link(sides.new, library)
}
