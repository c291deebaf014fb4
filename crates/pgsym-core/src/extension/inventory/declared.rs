//! What the scripts of an extension leave in the catalog, before anything is looked up in a binary.

use std::collections::HashSet;
use std::path::PathBuf;

use super::ScriptRecord;
use crate::extension::catalog::Catalog;
use crate::extension::script::{Position, SCHEMA};
use crate::extension::sql::{Declaration, Routine};
use crate::extension::tree::Extension;

/// What an extension's scripts declare, before anything is looked up.
pub(super) struct Declared {
    pub(super) functions: Vec<DeclaredFunction>,
    pub(super) loads: Vec<(PathBuf, Position, Vec<u8>)>,
    pub(super) operator_error: Option<((PathBuf, Position), String)>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DeclaredFunction {
    pub(super) is_unreachable: bool,
    pub(super) name: Vec<u8>,
    pub(super) probin: Vec<u8>,
    pub(super) prosrc: Vec<u8>,
    pub(super) version: Vec<u8>,
    pub(super) script: PathBuf,
    pub(super) position: Position,
}

pub(super) fn declared(extension: &Extension, scripts: &[ScriptRecord]) -> Declared {
    let control = extension.control.as_ref().ok();
    let schema = control.and_then(|control| control.schema.as_deref()).unwrap_or(SCHEMA);
    // A place is the script's index and the position in it.
    let mut catalog: Catalog<(usize, Position)> = Catalog::new(&extension.name, schema);
    let mut found = Declared { functions: Vec::new(), loads: Vec::new(), operator_error: None };
    let mut installed_version = Vec::new();
    for (index, record) in scripts.iter().enumerate() {
        let Ok(script) = &record.script else { continue };
        catalog.begin_script();
        for (position, declaration) in &script.declarations {
            if let Declaration::Load { file, .. } = declaration
                && record.is_reachable
            {
                found.loads.push((record.path.clone(), *position, file.clone()));
            }
            match declaration {
                declaration if record.is_reachable => {
                    catalog.apply(declaration, (index, *position));
                }
                Declaration::Create(routine) => {
                    found.functions.extend(unreachable_function(routine, record, *position));
                }
                _ => {}
            }
        }
        if record.is_reachable {
            installed_version = record.step.version().to_vec();
        }
    }
    let path = |index: usize| scripts.get(index).map(|record| record.path.clone()).unwrap_or_default();
    found.operator_error = catalog
        .operator_error()
        .map(|((index, position), message)| ((path(*index), *position), message.clone()));
    for member in catalog.into_members() {
        let Some((probin, prosrc)) = member.link else { continue };
        let (script, position) = (path(member.place.0), member.place.1);
        let version = installed_version.clone();
        let name = member.name;
        found.functions.push(DeclaredFunction {
            is_unreachable: false,
            name,
            probin,
            prosrc,
            version,
            script,
            position,
        });
    }
    // One entry per name, probin and prosrc: overloads share it, and the installation's entry stands for the
    // older scripts' too.
    found.functions.sort();
    let mut seen = HashSet::new();
    let is_first: Vec<bool> =
        found.functions.iter().map(|f| seen.insert((&f.name, &f.probin, &f.prosrc))).collect();
    let mut is_first = is_first.into_iter();
    found.functions.retain(|_| is_first.next().unwrap_or(true));
    found
}

fn unreachable_function(
    routine: &Routine,
    record: &ScriptRecord,
    position: Position,
) -> Option<DeclaredFunction> {
    let (probin, prosrc) = routine.c_link()?;
    Some(DeclaredFunction {
        is_unreachable: true,
        name: routine.name.clone(),
        probin: probin.to_vec(),
        prosrc: prosrc.to_vec(),
        version: record.step.version().to_vec(),
        script: record.path.clone(),
        position,
    })
}
