//! What a file asks of the systems that it goes to: the oldest glibc, and the versions of other libraries (DT_VERNEED).

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Change, ChangeKind};
use crate::check::Severity;
use crate::model::{Module, SymbolTable, VersionNeed};
use crate::name::{Name, Shown};
use crate::resolve::glibc_release::{Asked, NEWEST};
use crate::rules::evidence::{LISTED, listed};

/// The changes of what is asked for. Of another architecture nothing is compared: each has versions of its own. `server` is
/// the old server's binary.
pub(super) fn compare(old: &Module, new: &Module, server: Option<&Module>) -> Vec<Change> {
    let is_known = |module: &Module| module.elf().is_some_and(|elf| elf.version_needs.error().is_none());
    if !is_known(old) || !is_known(new) || !old.target.same_machine(new.target) {
        return Vec::new();
    }
    glibc(old, new, server).into_iter().chain(others(old, new, server)).collect()
}

fn needs(module: &Module) -> &[VersionNeed] {
    module.elf().and_then(|elf| elf.version_needs.get()).map_or(&[], Vec::as_slice)
}

/// A release after every known one, for what is asked for and not known.
const BEYOND: (u32, u32) = (NEWEST.0, NEWEST.1 + 1);

/// The first release that has a version, in order of age.
fn since(version: &Name) -> Option<(u32, u32)> {
    Asked::of(version.as_bytes()).map(|asked| asked.since().unwrap_or(BEYOND))
}

/// The oldest glibc that a file loads under. What is asked for weakly is no condition.
fn floor(module: &Module) -> Option<(u32, u32)> {
    let versions = needs(module).iter().flat_map(|need| &need.versions);
    versions.filter(|version| !version.is_weak).filter_map(|version| since(&version.name)).max()
}

fn glibc(old: &Module, new: &Module, server: Option<&Module>) -> Option<Change> {
    let (before, after) = (floor(old), floor(new));
    if before == after {
        return None;
    }
    let words = |release: Option<(u32, u32)>| match release {
        None => "any".to_owned(),
        Some(BEYOND) => format!("newer than {}.{}", NEWEST.0, NEWEST.1),
        Some((major, minor)) => format!("{major}.{minor}"),
    };
    let (from, to) = (words(before), words(after));
    let message = format!("The oldest glibc that it loads under was {from} and is {to}");
    let change = |severity, leads: &str| {
        Change::new(ChangeKind::GlibcFloor, severity, message + leads).values(Some(from), Some(to))
    };
    if after < before {
        return Some(change(Severity::Info, "."));
    }
    // Every system that runs the old server has what that one asks for.
    if after <= server.and_then(floor) {
        return Some(change(Severity::Info, "; the old server needed that already."));
    }
    // By what is newer than before: the symbols that ask for it.
    let mut asking: BTreeMap<(std::cmp::Reverse<(u32, u32)>, Name), BTreeSet<Vec<u8>>> = BTreeMap::new();
    for version in needs(new).iter().flat_map(|need| &need.versions).filter(|version| !version.is_weak) {
        if let Some(since) = since(&version.name).filter(|since| Some(*since) > before) {
            asking.entry((std::cmp::Reverse(since), version.name.clone())).or_default();
        }
    }
    for symbol in new.symbols.get().into_iter().flat_map(SymbolTable::imports) {
        let Some(version) = symbol.version() else { continue };
        let Some(since) = since(version.name) else { continue };
        if let Some(symbols) = asking.get_mut(&(std::cmp::Reverse(since), version.name.clone())) {
            symbols.insert(symbol.name().to_vec());
        }
    }
    let mut change = change(Severity::Warning, ": older systems refuse it.")
        .names(asking.values().flatten().map(Vec::as_slice));
    for ((_, version), symbols) in asking.iter().take(LISTED) {
        let names = if symbols.is_empty() {
            "no symbol, the file's own format".to_owned()
        } else {
            listed(symbols.iter().map(|symbol| Shown(symbol)))
        };
        change = change.evidence("asked by", format!("{version}: {names}"));
    }
    Some(match before {
        Some((major, minor)) => change.help(format!("build on a system with glibc {major}.{minor} or older")),
        None => change,
    })
}

/// Versions of libraries that were needed before, too: of a new library its name says enough.
fn others(old: &Module, new: &Module, server: Option<&Module>) -> Vec<Change> {
    let mut changes = Vec::new();
    for need in needs(new) {
        if !old.needed().iter().any(|dependency| dependency.name == need.file) {
            continue;
        }
        let before: BTreeSet<&Name> = needs(old)
            .iter()
            .chain(server.into_iter().flat_map(needs))
            .filter(|other| other.file == need.file)
            .flat_map(|other| other.versions.iter().map(|version| &version.name))
            .collect();
        let is_glibc = |name: &Name| name.as_bytes().starts_with(b"GLIBC_");
        let more: Vec<&Name> = need
            .versions
            .iter()
            .filter(|version| !version.is_weak && !is_glibc(&version.name))
            .map(|version| &version.name)
            .filter(|name| !before.contains(name))
            .collect();
        if more.is_empty() {
            continue;
        }
        let message = format!(
            "{} is asked for {} now: where it is older and lacks that, the file does not load.",
            need.file,
            listed(&more)
        );
        changes.push(
            Change::new(ChangeKind::LibraryVersion, Severity::Warning, message)
                .values(None, Some(listed(&more)))
                .names(more.iter().map(|name| name.as_bytes())),
        );
    }
    changes
}
