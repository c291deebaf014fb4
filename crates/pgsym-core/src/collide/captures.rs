//! References that bind elsewhere than their author meant: to the server's definition, or to that of a module that
//! happened to be loaded earlier.

use std::collections::{BTreeMap, HashSet};

use rayon::prelude::*;

use super::Judgement;
use super::universe::{Member, MemberId, Universe};
use crate::model::{Binding, Symbol, SymbolKind, Visibility};
use crate::name::Name;
use crate::resolve::{Process, Wanted, references};
use crate::tree::Tree;

/// Why a reference is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The server, or a library of its own, defines the name: its definition comes first in every order.
    Server,
    /// Another module, or a library that it brings, defines the name: who is loaded first decides.
    Module,
}

/// The references of one file, meant for one definer, that another file takes.
#[derive(Debug, Clone)]
pub struct Capture {
    /// Whose references they are.
    pub victim: MemberId,
    /// Where they bind when the victim's module is alone with the server; for [`Cause::Server`] the file whose
    /// definition is passed over.
    pub meant: MemberId,
    /// Who takes them.
    pub captor: MemberId,
    /// Why.
    pub cause: Cause,
    /// The symbols, sorted by name.
    pub symbols: Vec<CapturedSymbol>,
}

/// One captured symbol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CapturedSymbol {
    /// Its name.
    pub name: Name,
    /// Whether it names data.
    pub is_data: bool,
    /// The version that the reference asks for.
    pub wanted: Option<Name>,
    /// The version of the captor's definition.
    pub taken: Option<Name>,
    /// How often relocations use it.
    pub uses: u32,
}

impl Cause {
    /// How bad it is where the two definitions are known to differ.
    pub fn judgement(self) -> Judgement {
        match self {
            Self::Server => Judgement::Harmful,
            Self::Module => Judgement::OrderDependent,
        }
    }
}

impl Capture {
    /// How bad it is: what the server takes from a module that means itself is never called; what it takes from a library
    /// is often the same, as with libpq, and in any case nothing that a module's author decides.
    pub fn judgement(&self, universe: &Universe) -> Judgement {
        let is_own = self.victim == self.meant && universe.get(self.victim).file.is_some();
        match self.cause {
            Cause::Server if !is_own => Judgement::Noted,
            cause => cause.judgement(),
        }
    }

    /// Whether a versioned reference was taken by a definition without a version.
    pub fn is_unversioned(&self) -> bool {
        self.symbols.iter().any(|symbol| symbol.wanted.is_some() && symbol.taken.is_none())
    }
}

/// Groups of captured symbols by (victim, meant, captor, cause).
pub(super) type Groups = BTreeMap<(MemberId, MemberId, MemberId, Cause), Vec<CapturedSymbol>>;

/// What the search for captures finds.
pub(super) struct Found {
    pub(super) captures: Vec<Capture>,
    /// What one version of a module uses and another one defines as well, with the group in [`Universe::versions`].
    pub(super) shared_by_versions: HashSet<(usize, Name)>,
}

pub(super) fn find(tree: &Tree, server: &Process, universe: &Universe) -> Found {
    let victims: Vec<Victim<'_>> = universe
        .members()
        .filter(|(_, member)| !member.is_server)
        .filter_map(|(id, member)| {
            // In which company a library is bound differs from module to module; the first that brings it
            // stands for all, since captors from outside are looked for in the whole universe.
            let module = tree.files().get(*member.brought_by.first()?)?;
            Some(Victim { id, member, process: &module.load.as_ref()?.process })
        })
        .collect();
    let found: Vec<(Groups, HashSet<Name>)> =
        victims.par_iter().map(|victim| victim.captures(server, universe)).collect();
    let mut groups = Groups::new();
    let mut shared_by_versions = HashSet::new();
    for (victim, (of_victim, shared)) in victims.iter().zip(found) {
        groups.extend(of_victim);
        let versions = victim.member.versions;
        shared_by_versions.extend(shared.into_iter().filter_map(|name| Some((versions?, name))));
    }
    Found { captures: captures_of(groups), shared_by_versions }
}

/// A file whose references may be captured.
struct Victim<'a> {
    id: MemberId,
    member: &'a Member,
    /// The server with the module that brings it.
    process: &'a Process,
}

impl Victim<'_> {
    /// The captures, and the names that another version of the same module defines as well.
    fn captures(&self, server: &Process, universe: &Universe) -> (Groups, HashSet<Name>) {
        let libc = server.env().libc;
        let (mut groups, mut shared) = (Groups::new(), HashSet::new());
        let Some(symbols) = self.member.module.symbols.get() else { return (groups, shared) };
        let mut company: Option<Vec<Option<usize>>> = None;
        // Who defines the name in a version that the reference takes, with the definition.
        let mut takers: Vec<(MemberId, Symbol<'_>)> = Vec::new();
        for reference in references(&self.member.module) {
            let symbol = reference.symbol;
            let definers = universe.definers(symbols.hash_word(symbol));
            if definers.is_empty() || is_kept_at_home(self.member, symbol) {
                continue;
            }
            takers.clear();
            let wanted = Wanted::of(symbol, libc);
            let taken_from = |&id| Some((id, wanted.find(&universe.get(id).module)?));
            takers.extend(definers.iter().filter_map(taken_from));
            let company = company.get_or_insert_with(|| self.company(server, universe));
            let is_server = |id: MemberId| universe.get(id).is_server;
            let place = |id: MemberId| company.get(id.index()).copied().flatten();
            let uses = reference.usage.map_or(1, |usage| usage.calls + usage.data);
            // The server's definition is first, always.
            if let Some(&(captor, taken)) = takers.iter().find(|(id, _)| is_server(*id)) {
                // It was meant for somebody else only if somebody else in its company defines it.
                let meant = takers.iter().find(|(id, _)| {
                    place(*id).is_some() && !is_server(*id) && is_meant(universe, self.id, *id)
                });
                if let Some(&(meant, definition)) = meant
                    && !is_vague(symbol, definition, taken)
                {
                    let group = groups.entry((self.id, meant, captor, Cause::Server)).or_default();
                    group.push(captured(symbol, taken, uses));
                }
                continue;
            }
            // Where it binds when its module is alone with the server: the first in load order.
            let Some(&(meant, definition)) =
                takers.iter().filter(|(id, _)| place(*id).is_some()).min_by_key(|(id, _)| place(*id))
            else {
                continue;
            };
            for &(captor, taken) in &takers {
                if universe.are_alternatives(self.id, captor) {
                    if !is_vague(symbol, definition, taken) {
                        shared.insert(Name::from(symbol.name()));
                    }
                    continue;
                }
                let other = universe.get(captor);
                let is_elsewhere =
                    captor != meant && other.brought_by.iter().any(|by| !self.member.brought_by.contains(by));
                // Two files that answer to one name are never both loaded: that is a contest of names.
                if is_elsewhere
                    && !is_vague(symbol, definition, taken)
                    && !are_rivals(other, universe.get(meant))
                {
                    let group = groups.entry((self.id, meant, captor, Cause::Module)).or_default();
                    group.push(captured(symbol, taken, uses));
                }
            }
        }
        (groups, shared)
    }

    /// The members that the module brings into the server, each with its place in the load order.
    fn company(&self, server: &Process, universe: &Universe) -> Vec<Option<usize>> {
        let mut company = vec![None; universe.members().count()];
        for (place, (_, object)) in self.process.added_since(server).enumerate() {
            if let Some(id) = universe.find(object.id()) {
                company[id.index()].get_or_insert(place);
            }
        }
        company
    }
}

/// The groups as captures, each symbol once.
pub(super) fn captures_of(groups: Groups) -> Vec<Capture> {
    groups
        .into_iter()
        .map(|((victim, meant, captor, cause), mut symbols)| {
            symbols.sort();
            symbols.dedup();
            Capture { victim, meant, captor, cause, symbols }
        })
        .collect()
}

/// Whether two members have one DT_SONAME, or are asked for by one name in DT_NEEDED, which is their file's. What the
/// server opens by its path is asked for by no name.
fn are_rivals(a: &Member, b: &Member) -> bool {
    let (soname, other) = (a.module.soname.as_ref(), b.module.soname.as_ref());
    if soname.is_some() && soname == other {
        return true;
    }
    let are_asked_for = a.file.is_none() && b.file.is_none();
    are_asked_for && a.path.file_name().is_some() && a.path.file_name() == b.path.file_name()
}

/// DT_SYMBOLIC and protected definitions are bound inside their object, whatever the scope holds.
fn is_kept_at_home(member: &Member, symbol: Symbol<'_>) -> bool {
    let is_symbolic = member.module.elf().is_some_and(|elf| elf.flags & object::elf::DF_SYMBOLIC.0 != 0);
    symbol.is_defined() && (is_symbolic || symbol.visibility() == Visibility::Protected)
}

/// Whether it makes no difference which of two definitions of a C++ name is taken: inline functions, templates and type
/// information are defined in every file that uses them, weak on both sides, and one is meant to serve all.
fn is_vague(symbol: Symbol<'_>, meant: Symbol<'_>, taken: Symbol<'_>) -> bool {
    let is_weak = |definition: Symbol<'_>| matches!(definition.binding(), Binding::Weak | Binding::Unique);
    symbol.name().starts_with(b"_Z")
        && (is_standard_data(symbol.name(), taken) || (is_weak(meant) && is_weak(taken)))
}

/// Data of namespace std: type information (`_ZTI`), its names (`_ZTS`), vtables (`_ZTV`, `_ZTT`), inline variables and
/// statics of inline functions (`_ZZNSt`). Every file has them as its own standard library's headers say, and linkers
/// make some of them strong when they apply a version script; the names say that they are one and the same.
/// Itanium C++ ABI, 5.1.4 "Special Names" and 5.1.2 (`St`).
fn is_standard_data(name: &[u8], definition: Symbol<'_>) -> bool {
    let Some(mut entity) = name.strip_prefix(b"_Z") else { return false };
    for prefix in [&b"TI"[..], b"TS", b"TV", b"TT", b"GV", b"Z"] {
        entity = entity.strip_prefix(prefix).unwrap_or(entity);
    }
    for nested in [&b"N"[..], b"K"] {
        entity = entity.strip_prefix(nested).unwrap_or(entity);
    }
    entity.starts_with(b"St") && definition.kind() == SymbolKind::Object
}

/// A definition in the victim itself, or in a library that it names, is the one its author linked against.
fn is_meant(universe: &Universe, victim: MemberId, definer: MemberId) -> bool {
    if victim == definer {
        return true;
    }
    let soname = universe.get(definer).module.soname.as_ref();
    universe.get(victim).module.needed().iter().any(|needed| Some(&needed.name) == soname)
}

fn captured(symbol: Symbol<'_>, taken: Symbol<'_>, uses: u32) -> CapturedSymbol {
    let version = |symbol: Symbol<'_>| symbol.version().map(|version| version.name.clone());
    CapturedSymbol {
        name: Name::from(symbol.name()),
        is_data: matches!(taken.kind(), SymbolKind::Object | SymbolKind::Tls | SymbolKind::Common),
        wanted: version(symbol),
        taken: version(taken),
        uses,
    }
}
