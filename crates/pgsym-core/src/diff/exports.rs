//! What changed among the exports of one file. What is gone, or has another size, is only collected here: how bad it is
//! depends on who asks for it, in catalogs and among the other files of the new tree (`gone`).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::change::{Change, ChangeKind};
use crate::check::Severity;
use crate::model::{Binding, Module, Symbol, SymbolKind};
use crate::name::{Name, Shown};
use crate::postgres::{FINFO_PREFIX, FinfoRecord, SymbolClass, classify};
use crate::rules::evidence::listed;

/// An export that the new build has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Gone<'t> {
    pub(super) kind: ChangeKind,
    pub(super) name: &'t [u8],
}

/// A variable of another size than before, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resized<'t> {
    pub(super) name: &'t [u8],
    pub(super) old: u64,
    pub(super) new: u64,
}

/// What the comparison of two symbol tables gives.
#[derive(Default)]
pub(super) struct Exports<'t> {
    pub(super) gone: Vec<Gone<'t>>,
    pub(super) resized: Vec<Resized<'t>>,
    pub(super) changes: Vec<Change>,
}

/// Compares the exports; nothing where a table could not be read.
pub(super) fn compare<'t>(old: &'t Module, new: &'t Module) -> Exports<'t> {
    let (Some(before), Some(after)) = (names(old), names(new)) else { return Exports::default() };
    let both = || before.iter().filter_map(|(name, old)| Some((*name, &old[..], &after.get(name)?[..])));
    // On another machine a pointer may have another size.
    let resized = if old.target.same_machine(new.target) { sizes(both()) } else { Vec::new() };
    let gone = gone(&before, &after);
    let mut found = Exports { gone, resized, changes: Vec::new() };
    added(&before, &after, &mut found.changes);
    kinds(both(), &mut found.changes);
    bindings(both(), &mut found.changes);
    versions(both(), &mut found.changes);
    api_versions(old, new, &after, &mut found.changes);
    found.changes.extend(definitions(old, new));
    found
}

/// Versions that the file defines no longer (DT_VERDEF). Of a library without any, the loader only complains
/// (`match_symbol`, elf/dl-version.c).
fn definitions(old: &Module, new: &Module) -> Option<Change> {
    let of = |module: &Module| -> Option<BTreeSet<Name>> {
        let table = &module.elf()?.version_definitions;
        let read = table.get().into_iter().flatten();
        let names = read.filter(|version| !version.is_base).map(|version| version.name.clone());
        table.error().is_none().then(|| names.collect())
    };
    let (before, after) = (of(old)?, of(new)?);
    let lost: Vec<&[u8]> = before.difference(&after).map(Name::as_bytes).collect();
    if lost.is_empty() {
        return None;
    }
    let (severity, leads) = if after.is_empty() {
        (Severity::Info, "")
    } else {
        (Severity::Warning, " What was linked against one does not load.")
    };
    let message = format!("Versions that are not defined any more: {}.{leads}", shown(&lost));
    Some(Change::new(ChangeKind::ExportVersion, severity, message).names(lost))
}

type Names<'t> = BTreeMap<&'t [u8], Vec<Symbol<'t>>>;

fn names(module: &Module) -> Option<Names<'_>> {
    let mut names = Names::new();
    // A version that a library defines is a symbol, too: of its own name and at no address.
    let is_version = |symbol: &Symbol<'_>| {
        symbol.version().is_some_and(|version| version.name.as_bytes() == symbol.name())
    };
    for symbol in module.symbols.get()?.exports().filter(|symbol| !is_version(symbol)) {
        names.entry(symbol.name()).or_default().push(symbol);
    }
    Some(names)
}

fn class(names: &Names<'_>, name: &[u8]) -> SymbolClass {
    classify(name, || names.contains_key(&[FINFO_PREFIX, name].concat()[..]))
}

fn is_data(symbol: &Symbol<'_>) -> bool {
    matches!(symbol.kind(), SymbolKind::Object | SymbolKind::Common | SymbolKind::Tls)
}

fn gone<'t>(before: &Names<'t>, after: &Names<'t>) -> Vec<Gone<'t>> {
    let missing = before.iter().filter(|(name, _)| !after.contains_key(*name));
    missing
        .filter_map(|(&name, symbols)| {
            let kind = match class(before, name) {
                // Said by the change of the magic block.
                SymbolClass::Magic => return None,
                SymbolClass::Init | SymbolClass::Callback => ChangeKind::EntryPointRemoved,
                SymbolClass::Function => ChangeKind::FunctionRemoved,
                SymbolClass::Finfo => {
                    let function = &name[FINFO_PREFIX.len()..];
                    // Of a function that is gone as a whole the record is a part.
                    if before.contains_key(function) && !after.contains_key(function) {
                        return None;
                    }
                    ChangeKind::FinfoRemoved
                }
                SymbolClass::Other if symbols.iter().all(is_data) => ChangeKind::DataRemoved,
                SymbolClass::Other => ChangeKind::ExportRemoved,
            };
            Some(Gone { kind, name })
        })
        .collect()
}

fn added(before: &Names<'_>, after: &Names<'_>, changes: &mut Vec<Change>) {
    let mut by_kind: BTreeMap<ChangeKind, Vec<&[u8]>> = BTreeMap::new();
    for &name in after.keys().filter(|name| !before.contains_key(*name)) {
        let kind = match class(after, name) {
            SymbolClass::Magic => continue,
            SymbolClass::Finfo if after.contains_key(&name[FINFO_PREFIX.len()..]) => continue,
            SymbolClass::Function => ChangeKind::FunctionAdded,
            SymbolClass::Init | SymbolClass::Callback => ChangeKind::EntryPointAdded,
            SymbolClass::Finfo | SymbolClass::Other => ChangeKind::ExportAdded,
        };
        by_kind.entry(kind).or_default().push(name);
    }
    for (kind, names) in by_kind {
        let what = match kind {
            ChangeKind::FunctionAdded => "New for SQL to call",
            ChangeKind::EntryPointAdded => "New for the server to call",
            _ => "New exports",
        };
        let message = format!("{what}: {}.", shown(&names));
        changes.push(Change::new(kind, Severity::Info, message).names(names));
    }
}

/// The first few names, for a sentence.
pub(super) fn shown(names: &[&[u8]]) -> String {
    listed(names.iter().map(|name| Shown(name)))
}

type Both<'a, 't> = (&'t [u8], &'a [Symbol<'t>], &'a [Symbol<'t>]);

/// Groups names by what they were and are, one change for each group.
fn grouped<'a, 't: 'a, V: Ord + Clone>(
    both: impl Iterator<Item = Both<'a, 't>>,
    value: impl Fn(&[Symbol<'t>]) -> V,
    mut change: impl FnMut(&V, &V, &[&'t [u8]]) -> Option<Change>,
    changes: &mut Vec<Change>,
) {
    let mut groups: BTreeMap<(V, V), Vec<&'t [u8]>> = BTreeMap::new();
    for (name, old, new) in both {
        let (old, new) = (value(old), value(new));
        if old != new {
            groups.entry((old, new)).or_default().push(name);
        }
    }
    for ((old, new), names) in groups {
        changes.extend(change(&old, &new, &names).map(|change| change.names(names)));
    }
}

fn kinds<'a, 't: 'a>(both: impl Iterator<Item = Both<'a, 't>>, changes: &mut Vec<Change>) {
    // An indirect function and one without a type are called like any other.
    let word = |symbols: &[Symbol<'t>]| match symbols.first().map(|symbol| symbol.kind()) {
        Some(SymbolKind::Object | SymbolKind::Common) => "a variable",
        Some(SymbolKind::Tls) => "a thread-local variable",
        _ => "a function",
    };
    let change = |old: &&str, new: &&str, names: &[&[u8]]| {
        let message = format!(
            "Was {old} and is {new}: {}. Who was built against the old one reads or calls the wrong thing.",
            shown(names)
        );
        Some(
            Change::new(ChangeKind::ExportKind, Severity::Warning, message)
                .values(Some((*old).to_owned()), Some((*new).to_owned())),
        )
    };
    grouped(both, word, change, changes);
}

fn bindings<'a, 't: 'a>(both: impl Iterator<Item = Both<'a, 't>>, changes: &mut Vec<Change>) {
    let word = |symbols: &[Symbol<'t>]| match symbols.first().map(|symbol| symbol.binding()) {
        Some(Binding::Weak) => "weak",
        Some(Binding::Unique) => "unique",
        _ => "global",
    };
    let change = |old: &&str, new: &&str, names: &[&[u8]]| {
        let message = format!("The binding was {old} and is {new}: {}.", shown(names));
        Some(
            Change::new(ChangeKind::ExportBinding, Severity::Info, message)
                .values(Some((*old).to_owned()), Some((*new).to_owned())),
        )
    };
    grouped(both, word, change, changes);
}

fn versions<'a, 't: 'a>(both: impl Iterator<Item = Both<'a, 't>>, changes: &mut Vec<Change>) {
    let of = |symbols: &[Symbol<'t>]| -> BTreeSet<Name> {
        symbols.iter().filter_map(|symbol| symbol.version()).map(|version| version.name.clone()).collect()
    };
    let change = |old: &BTreeSet<Name>, new: &BTreeSet<Name>, names: &[&[u8]]| {
        let words = |versions: &BTreeSet<Name>| {
            if versions.is_empty() { "none".to_owned() } else { listed(versions) }
        };
        // Without versions a library answers every reference (`check_match`, elf/dl-lookup.c).
        let is_lost = !new.is_empty() && !old.is_subset(new);
        let (severity, leads) = if is_lost {
            (Severity::Warning, " What was linked against the old version does not find it.")
        } else {
            (Severity::Info, "")
        };
        let (from, to) = (words(old), words(new));
        let message = format!("The symbol version was {from} and is {to}: {}.{leads}", shown(names));
        Some(Change::new(ChangeKind::ExportVersion, severity, message).values(Some(from), Some(to)))
    };
    grouped(both, of, change, changes);
}

/// Variables whose size is known on both sides and differs.
fn sizes<'a, 't: 'a>(both: impl Iterator<Item = Both<'a, 't>>) -> Vec<Resized<'t>> {
    let size = |symbols: &[Symbol<'t>]| {
        let first = symbols.first().filter(|symbol| is_data(symbol))?;
        first.value().map(|value| value.size).filter(|&size| size > 0)
    };
    let differing =
        both.filter_map(|(name, old, new)| Some(Resized { name, old: size(old)?, new: size(new)? }));
    differing.filter(|one| one.old != one.new).collect()
}

/// Finfo records whose version changed. What catalogs name is said with the catalogs; 1 is the only version that a server
/// knows (src/include/fmgr.h, `Pg_finfo_record`).
fn api_versions(old: &Module, new: &Module, after: &Names<'_>, changes: &mut Vec<Change>) {
    let (Some(before), Some(now)) = (old.postgres.get(), new.postgres.get()) else { return };
    let of = |record: &FinfoRecord| record.api_version.as_ref().ok().copied();
    let known: HashMap<&Name, u32> =
        before.finfo.iter().filter_map(|record| Some((&record.function, of(record)?))).collect();
    let mut groups: BTreeMap<(u32, u32), Vec<&[u8]>> = BTreeMap::new();
    for record in &now.finfo {
        let name = record.function.as_bytes();
        if let (Some(&old), Some(new)) = (known.get(&record.function), of(record))
            && old != new
            && after.contains_key(name)
        {
            groups.entry((old, new)).or_default().push(name);
        }
    }
    for ((old, new), names) in groups {
        let (severity, leads) = if new == 1 {
            (Severity::Info, "")
        } else {
            (Severity::Warning, " No server knows that version.")
        };
        let message =
            format!("The API version in the finfo record was {old} and is {new}: {}.{leads}", shown(&names));
        changes.push(
            Change::new(ChangeKind::ApiVersion, severity, message)
                .values(Some(old.to_string()), Some(new.to_string()))
                .names(names),
        );
    }
}
