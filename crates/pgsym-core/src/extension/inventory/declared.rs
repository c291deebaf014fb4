//! What the scripts of an extension leave in the catalog, before anything is looked up in a binary.

use std::collections::hash_map::Entry;
use std::path::PathBuf;

use bstr::ByteSlice as _;

use super::{OperatorError, Run, ScriptRecord};
use crate::extension::catalog::Catalog;
use crate::extension::script::{Position, SCHEMA};
use crate::extension::sql::{Declaration, Routine};
use crate::extension::tree::Extension;
use crate::hash::HashMap;

/// What an extension's scripts declare, before anything is looked up.
pub(super) struct Declared {
    pub(super) functions: Vec<DeclaredFunction>,
    pub(super) loads: Vec<DeclaredLoad>,
    pub(super) operator_errors: Vec<OperatorError>,
}

/// A LOAD statement.
pub(super) struct DeclaredLoad {
    pub(super) script: PathBuf,
    pub(super) position: Position,
    pub(super) is_run: bool,
    pub(super) file: Vec<u8>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DeclaredFunction {
    pub(super) presence: Presence,
    pub(super) name: Vec<u8>,
    pub(super) probin: Vec<u8>,
    pub(super) prosrc: Vec<u8>,
    pub(super) version: Vec<u8>,
    pub(super) script: PathBuf,
    pub(super) position: Position,
    /// Where installing the default version does not create it: other scripts that do.
    pub(super) others: Vec<PathBuf>,
}

/// What becomes of a function when the default version is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Presence {
    /// It is in the catalog in the end.
    Installed,
    /// It is created, and dropped or replaced later. The server has looked for its symbol by then: CREATE FUNCTION runs the
    /// validator of the language at once (src/backend/catalog/pg_proc.c, ProcedureCreate), and `fmgr_c_validator` does so
    /// even while check_function_bodies is off, as it is in CREATE EXTENSION.
    Passing,
    /// Only scripts that installing the default version does not run declare it; updating to that version runs one.
    Updating,
    /// The same, and installing an older version that can be updated runs one.
    InstallingOlder,
    /// Only scripts that lead to other versions declare it.
    Unreachable,
}

pub(super) fn declared(extension: &Extension, scripts: &[ScriptRecord]) -> Declared {
    let control = extension.control.as_ref().ok();
    let schema = control.and_then(|control| control.schema.as_deref()).unwrap_or(SCHEMA);
    // A place is the script's index and the position in it.
    let mut catalog: Catalog<(usize, Position)> = Catalog::new(&extension.name, schema);
    let mut found = Declared { functions: Vec::new(), loads: Vec::new(), operator_errors: Vec::new() };
    let mut installed_version = Vec::new();
    for (index, record) in scripts.iter().enumerate() {
        let Ok(script) = &record.script else { continue };
        catalog.begin_script();
        for (position, declaration) in &script.declarations {
            if let Declaration::Create(routine) = declaration {
                found.functions.extend(created_function(routine, record, *position));
            }
            if let Declaration::Load { file, .. } = declaration {
                let (script, file) = (record.path.clone(), file.clone());
                let is_run = record.is_reachable();
                found.loads.push(DeclaredLoad { script, position: *position, is_run, file });
            }
            if !record.is_reachable() {
                continue;
            }
            catalog.apply(declaration, (index, *position));
        }
        if record.is_reachable() {
            installed_version = record.step.version().to_vec();
        }
    }
    let path = |index: usize| scripts.get(index).map(|record| record.path.clone()).unwrap_or_default();
    found.operator_errors = catalog
        .operator_errors()
        .map(|((index, position), guard, message)| OperatorError {
            script: path(*index),
            position: *position,
            guard: *guard,
            message: message.clone(),
        })
        .collect();
    for member in catalog.into_members() {
        let Some((probin, prosrc)) = member.link else { continue };
        let (script, position) = (path(member.place.0), member.place.1);
        let version = installed_version.clone();
        let name = member.name;
        found.functions.push(DeclaredFunction {
            presence: Presence::Installed,
            name,
            probin,
            prosrc,
            version,
            script,
            position,
            others: Vec::new(),
        });
    }
    // One entry per name, probin and prosrc: overloads share it, and the installation's entry stands for the
    // older scripts' too.
    found.functions.sort();
    let mut first: HashMap<[Vec<u8>; 3], usize> = HashMap::default();
    let mut kept: Vec<DeclaredFunction> = Vec::new();
    for function in std::mem::take(&mut found.functions) {
        let key = [function.name.clone(), function.probin.clone(), function.prosrc.clone()];
        match first.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(kept.len());
                kept.push(function);
            }
            Entry::Occupied(known) => {
                let Some(known) = kept.get_mut(*known.get()) else { continue };
                let is_listed =
                    known.script == function.script || known.others.last() == Some(&function.script);
                if known.presence > Presence::Passing && !is_listed {
                    known.others.push(function.script);
                }
            }
        }
    }
    found.functions = kept;
    found
}

/// The C function that a statement of a script makes, whatever becomes of it.
fn created_function(
    routine: &Routine,
    record: &ScriptRecord,
    position: Position,
) -> Option<DeclaredFunction> {
    let (probin, prosrc) = routine.c_link()?;
    if record.control.is_err() && probin.contains_str("MODULE_PATHNAME") {
        return None; // what it stands for, the control file does not tell
    }
    Some(DeclaredFunction {
        presence: match &record.run {
            Run::Asked => Presence::Passing,
            Run::Update { .. } => Presence::Updating,
            Run::InstallOlder => Presence::InstallingOlder,
            Run::Named => Presence::Unreachable,
        },
        name: routine.name.clone(),
        probin: probin.to_vec(),
        prosrc: prosrc.to_vec(),
        version: record.step.version().to_vec(),
        script: record.path.clone(),
        position,
        others: Vec::new(),
    })
}
