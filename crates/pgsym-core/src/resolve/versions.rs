//! Whether every version that the new objects need is defined by the libraries chosen
//! (glibc: `_dl_check_map_versions`, elf/dl-version.c). musl does not ask.

use object::elf;

use super::environment::Libc;
use super::process::{Object, ObjectId, Process};
use super::trace::{LoadError, LoadErrorKind};
use crate::model::{DependencyKind, Module, NeededVersion, VersionNeed};
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

/// What the objects of a `dlopen`, given in their order, fail at, in the loader's words: each object's versions, and behind
/// them its DT_RELR. Those before `new_from` were checked when they came (`l_versions`, `dl_open_worker_begin`).
pub(crate) fn check(process: &Process, closure: &[ObjectId], new_from: usize) -> Option<LoadError> {
    if process.env().libc == Libc::Musl {
        return None;
    }
    let new = closure.iter().filter(|id| id.index() >= new_from);
    new.copied().find_map(|id| failed_need(process, id).or_else(|| unannounced_relr(process, id)))
}

/// The first record of DT_VERNEED that one object asks in vain: an assertion where its file is not loaded, which is what
/// `patchelf --remove-needed` leaves behind, else the first version that the file lacks.
fn failed_need(process: &Process, id: ObjectId) -> Option<LoadError> {
    let requester = process.object(id)?;
    for need in requester.module().elf()?.version_needs.get()? {
        let Some((_, provider)) = find_needed(process, &need.file) else {
            if is_fatal(process, &need.file) {
                let message = UNLOADED.to_owned();
                return Some(LoadError { message, kind: LoadErrorKind::Crash, requester: Some(id) });
            }
            continue;
        };
        let is_missing = |version: &&NeededVersion| answer(provider, version) == VersionMatch::Missing;
        if let Some(version) = need.versions.iter().find(is_missing) {
            return Some(LoadError {
                message: format!(
                    "{}: version `{}' not found (required by {})",
                    Name::from(path_bytes(provider.path())),
                    version.name,
                    Name::from(path_bytes(requester.path()))
                ),
                kind: LoadErrorKind::VersionNotFound,
                requester: Some(id),
            });
        }
    }
    None
}

/// What glibc says of [`unloaded_file`]; behind the file's name it tells the line, which every release has another.
pub(crate) const UNLOADED: &str = "Inconsistency detected by ld.so: dl-version.c: _dl_check_map_versions: Assertion \
                                   `needed != NULL' failed!";

/// A file that an object needs versions of and that nobody has loaded, although every dependency in the process was found.
pub(crate) fn unloaded_file(process: &Process, requester: ObjectId) -> Option<&Name> {
    let needs = process.object(requester)?.module().elf()?.version_needs.get()?;
    let mut files = needs.iter().map(|need| &need.file);
    files.find(|file| find_needed(process, file).is_none() && is_fatal(process, file))
}

/// Whether it is fatal that no object answers to a file name in DT_VERNEED.
fn is_fatal(process: &Process, file: &Name) -> bool {
    let is_whole = process.env().has_system
        && process.load_order().all(|(_, object)| {
            let module = object.module();
            module.dependencies.error().is_none() && object.edges().iter().all(|edge| edge.target.is_ok())
        });
    // The kernel's own object is in every process and in no file.
    let is_of_kernel =
        file.as_bytes().starts_with(b"linux-vdso") || file.as_bytes().starts_with(b"linux-gate");
    is_whole && !is_of_kernel
}

/// What glibc says of [`lacks_abi_dt_relr`].
pub(crate) const UNANNOUNCED_RELR: &str = "DT_RELR without GLIBC_ABI_DT_RELR dependency";

fn unannounced_relr(process: &Process, id: ObjectId) -> Option<LoadError> {
    let object = process.object(id)?;
    lacks_abi_dt_relr(object.module(), process.env().libc).then(|| LoadError {
        message: format!("{}: {UNANNOUNCED_RELR}", Name::from(path_bytes(object.path()))),
        kind: LoadErrorKind::VersionNotFound,
        requester: Some(id),
    })
}

/// Whether glibc refuses an object for its DT_RELR, which it does since it knows the tag, 2.36: the object needs libc.so and
/// versions, and none of those is GLIBC_ABI_DT_RELR, the mark by which older releases refuse it (the end of
/// `_dl_check_map_versions`). One that needs no versions, or not the C library by itself, is not asked.
pub(crate) fn lacks_abi_dt_relr(module: &Module, libc: Libc) -> bool {
    if !libc.is_glibc_since(2, 36) || !module.has_dynamic_entry(elf::DT_RELR) {
        return false;
    }
    let Some(needs) = module.elf().and_then(|elf| elf.version_needs.get()) else { return false };
    let needs_libc = module.needed().iter().any(|dependency| {
        dependency.kind == DependencyKind::Needed && dependency.name.as_bytes().starts_with(b"libc.so.")
    });
    needs_libc
        && !needs.iter().flat_map(|need| &need.versions).any(|version| version.name == "GLIBC_ABI_DT_RELR")
}

/// `find_needed`: the object that answers to the record's file name.
fn find_needed<'p>(process: &'p Process, file: &Name) -> Option<(ObjectId, &'p Object)> {
    let interpreter = process.interpreter().and_then(|id| Some((id, process.object(id)?)));
    process.load_order().chain(interpreter).find(|(_, object)| {
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
