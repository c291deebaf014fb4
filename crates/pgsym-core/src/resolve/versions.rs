//! Whether every version that the new objects need is defined by the libraries chosen
//! (glibc: `_dl_check_map_versions`, elf/dl-version.c). musl does not ask.

use super::environment::Libc;
use super::process::{Object, ObjectId, Process};
use super::trace::{LoadError, LoadErrorKind};
use crate::model::{NeededVersion, VersionNeed};
use crate::name::{Name, path_bytes};

/// How one needed version is answered by the library chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionMatch {
    /// The library defines it.
    Defined,
    /// The library defines versions, and not this one.
    Missing,
    /// The same, but VER_FLG_WEAK: only a warning.
    WeakMissing,
    /// The library defines no versions at all: accepted, silently under `dlopen`.
    Unversioned,
    /// The library's table cannot be read.
    Unknown,
}

/// One needed version and its answer.
#[derive(Debug, Clone)]
pub struct VersionCheck<'p> {
    /// Who needs it.
    pub requester: ObjectId,
    /// The verneed record.
    pub need: &'p VersionNeed,
    /// The version.
    pub version: &'p NeededVersion,
    /// The library that was chosen for the record's file.
    pub provider: ObjectId,
    /// The answer.
    pub result: VersionMatch,
}

/// Every version that one object needs, in file order, with the answer of the library chosen. Records whose
/// file is not loaded are left out: the missing library is the finding.
pub fn checks_of(process: &Process, requester: ObjectId) -> Vec<VersionCheck<'_>> {
    let needs = process
        .object(requester)
        .and_then(|object| object.module().elf())
        .and_then(|elf| elf.version_needs.get())
        .map_or(&[][..], Vec::as_slice);
    let mut checks = Vec::new();
    for need in needs {
        let Some((provider, object)) = find_needed(process, &need.file) else { continue };
        for version in &need.versions {
            checks.push(VersionCheck { requester, need, version, provider, result: answer(object, version) });
        }
    }
    checks
}

/// The first version that is missing for the objects of a `dlopen`, given in their order, in the loader's words.
pub(crate) fn check(process: &Process, closure: &[ObjectId]) -> Option<LoadError> {
    if process.env().libc == Libc::Musl {
        return None;
    }
    closure.iter().find_map(|&id| {
        let requester = process.object(id)?;
        let missing =
            checks_of(process, id).into_iter().find(|check| check.result == VersionMatch::Missing)?;
        let provider = process.object(missing.provider)?;
        Some(LoadError {
            message: format!(
                "{}: version `{}' not found (required by {})",
                Name::from(path_bytes(provider.path())),
                missing.version.name,
                Name::from(path_bytes(requester.path()))
            ),
            kind: LoadErrorKind::VersionNotFound,
            requester: Some(id),
        })
    })
}

/// `find_needed`: the object that answers to the record's file name.
fn find_needed<'p>(process: &'p Process, file: &Name) -> Option<(ObjectId, &'p Object)> {
    process.load_order().find(|(_, object)| {
        object.answers_to(file.as_bytes()) || object.module().soname.as_ref() == Some(file)
    })
}

/// `match_symbol`.
fn answer(provider: &Object, version: &NeededVersion) -> VersionMatch {
    let Some(elf) = provider.module().elf() else { return VersionMatch::Unknown };
    match &elf.version_definitions {
        crate::model::Table::Absent | crate::model::Table::NotRead => VersionMatch::Unversioned,
        crate::model::Table::Unreadable(_) => VersionMatch::Unknown,
        crate::model::Table::Read(definitions) => {
            // The base definition counts too: the loader compares hash and name of every record.
            if definitions.iter().any(|definition| definition.name == version.name) {
                VersionMatch::Defined
            } else if version.is_weak {
                VersionMatch::WeakMissing
            } else {
                VersionMatch::Missing
            }
        }
    }
}
