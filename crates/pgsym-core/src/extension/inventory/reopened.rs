//! Libraries that lack a symbol when they are loaded by themselves, and load where a script names them. The server opens
//! each library with RTLD_GLOBAL (src/backend/utils/fmgr/dfmgr.c, `internal_load_library`), so that one which a chain of
//! scripts loads sees those that the chain, and the extensions that it requires, loaded before.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ExtensionRecord, Inventory, Open};
use crate::extension::functions::{Library, Opened};
use crate::hash::{HashMap, HashSet};

/// A library by its address: one value stands behind all functions of a site that name it.
type Place = *const Library;

/// The libraries of an extension that are to be replaced.
type Replaced = HashMap<Place, Arc<Library>>;

impl Inventory {
    /// Opens the libraries that lack symbols again, each after what is loaded before it.
    pub(super) fn open_again(&mut self, open: Open<'_>) {
        let replaced: Vec<Replaced> =
            self.extensions.iter().map(|record| self.opened_later(open, record)).collect();
        for (record, replaced) in self.extensions.iter_mut().zip(replaced) {
            for function in &mut record.functions {
                if let Some(library) = replaced.get(&Arc::as_ptr(&function.library)) {
                    function.library = Arc::clone(library);
                    function.status = library.status(&function.prosrc);
                }
            }
            for load in &mut record.loads {
                if let Some(library) = replaced.get(&Arc::as_ptr(&load.library)) {
                    load.library = Arc::clone(library);
                }
            }
        }
    }

    fn opened_later(&self, open: Open<'_>, record: &ExtensionRecord) -> Replaced {
        let of_functions = record.functions.iter().map(|function| &function.library);
        let mut named = of_functions.chain(record.loads.iter().map(|load| &load.library));
        // Hardly any does, and the order of thousands of functions is worth no look then.
        if !named.any(|library| library.opened.lacks_symbols) {
            return Replaced::default();
        }
        let own = in_order(record);
        let required = self.required_by(record);
        let others = required.known.iter().skip(1).rev().flat_map(|&record| in_order(record));
        let mut known = HashSet::default();
        let chain: Vec<PathBuf> = others
            .chain(own.iter().copied())
            .filter_map(|library| library.path())
            .filter(|&path| known.insert(path))
            .map(Path::to_owned)
            .collect();
        let mut opened: HashMap<&Path, Opened> =
            chain.iter().map(PathBuf::as_path).zip(open(&chain)).collect();
        for opened in opened.values_mut().filter(|opened| opened.lacks_symbols && required.is_partly_unknown)
        {
            opened.verdict = None; // what it requires may load the module that has them
        }
        let replace = |library: &Arc<Library>, opened| {
            (Arc::as_ptr(library), Arc::new(Library { opened, ..Library::clone(library) }))
        };
        let lacking = own.into_iter().filter(|library| library.opened.lacks_symbols);
        let mut replaced: Replaced = lacking
            .filter_map(|library| Some(replace(library, opened.get(library.path()?)?.clone())))
            .collect();
        // What was loaded before another script runs, in its session or by it, nobody knows.
        let of_others = record.functions.iter().filter(|function| !function.is_created);
        let loads = record.loads.iter().filter(|load| !load.is_run).map(|load| &load.library);
        for library in of_others.map(|function| &function.library).chain(loads) {
            if library.opened.lacks_symbols && !replaced.contains_key(&Arc::as_ptr(library)) {
                let unknown = Opened { verdict: None, ..library.opened.clone() };
                replaced.extend([replace(library, unknown)]);
            }
        }
        replaced
    }
}

/// The libraries that creating an extension loads, in the order of the statements that name them.
fn in_order(record: &ExtensionRecord) -> Vec<&Arc<Library>> {
    let order: HashMap<&PathBuf, usize> =
        record.scripts.iter().enumerate().map(|(index, script)| (&script.path, index)).collect();
    let functions = record.functions.iter().filter(|function| function.is_created);
    let functions = functions.map(|function| (&function.script, function.position, &function.library));
    let loads = record.loads.iter().filter(|load| load.is_run);
    let loads = loads.map(|load| (&load.script, load.position, &load.library));
    let mut places: Vec<_> = functions
        .chain(loads)
        .map(|(script, position, library)| ((order.get(script), position), library))
        .collect();
    places.sort_by_key(|(place, _)| *place);
    let mut known = HashSet::default();
    places
        .into_iter()
        .map(|(_, library)| library)
        .filter(|library| known.insert(Arc::as_ptr(library)))
        .collect()
}
