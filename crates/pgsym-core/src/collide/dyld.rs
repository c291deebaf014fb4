//! Meetings of Mach-O images. An import that names its library meets nobody. Two kinds are looked up in every image:
//! those of a flat namespace (`-undefined dynamic_lookup`), of which the first image in load order is taken, and those
//! that are coalesced with other images' weak definitions. Files meet by name where an image is reused because
//! its install name is asked for.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use object::macho;

use super::captures::{Capture, CapturedSymbol, Cause, Groups, captures_of};
use super::names::{NameCollision, Outvoted, Searched, whose};
use super::universe::{Member, MemberId, Universe, dyld_loads};
use crate::fs::FileId;
use crate::model::{
    MachExport, MachImport, MachO, Module, NameHash, Ordinal, SymbolKind, without_underscore,
};
use crate::name::Name;
use crate::resolve::dyld::{DyldProbe, DyldProcess, Provider};
use crate::tree::Tree;

/// Imports that bind to another image than when their module is alone with the server.
pub(super) fn captures(tree: &Tree, server: &DyldProcess, universe: &Universe) -> Vec<Capture> {
    let mut groups = Groups::new();
    let mut done: HashSet<MemberId> = HashSet::new();
    for (_, process, new) in dyld_loads(tree, server) {
        let new: Vec<_> = new.collect();
        let member = |id| process.image(id).and_then(|image| universe.find(image.id()?));
        let company: HashSet<MemberId> = new.iter().filter_map(|&id| member(id)).collect();
        for &id in &new {
            // The first module that brings a library stands for all.
            let Some(victim) = member(id).filter(|&victim| done.insert(victim)) else { continue };
            let Some(image) = process.image(id) else { continue };
            let Some(detail) = image.macho() else { continue };
            let linked: HashSet<MemberId> =
                image.edges().iter().filter_map(|edge| member(edge.target?)).collect();
            for import in searched_everywhere(detail) {
                let Provider::Image(provider) = process.provider(id, import) else { continue };
                let Some(bound) = member(provider) else { continue };
                let found = Lookup { universe, victim, import, company: &company, linked: &linked };
                found.captures(bound, &mut groups);
            }
        }
    }
    captures_of(groups)
}

/// The imports that name no library.
fn searched_everywhere(detail: &MachO) -> impl Iterator<Item = &MachImport> {
    let all_flat = !detail.is_two_level();
    let imports = detail.imports.get().map_or(&[][..], Vec::as_slice);
    imports.iter().filter(move |import| all_flat || matches!(import.from, Ordinal::Flat | Ordinal::Weak))
}

/// One import that is looked up in every image.
struct Lookup<'u> {
    universe: &'u Universe,
    victim: MemberId,
    import: &'u MachImport,
    /// What comes with the victim.
    company: &'u HashSet<MemberId>,
    /// What the victim itself is linked with.
    linked: &'u HashSet<MemberId>,
}

impl Lookup<'_> {
    /// Who takes it in which order, where `bound` has it when the module is alone with the server.
    fn captures(&self, bound: MemberId, groups: &mut Groups) {
        let definers = self.definers();
        if self.is_vague(&definers) {
            return;
        }
        let mut add = |meant, captor, cause| {
            let symbol = self.symbol(self.universe.get(captor));
            groups.entry((self.victim, meant, captor, cause)).or_default().push(symbol);
        };
        if self.universe.get(bound).is_server {
            let own =
                |id: &MemberId| self.company.contains(id) && (*id == self.victim || self.linked.contains(id));
            if let Some(meant) = definers.iter().copied().find(own) {
                add(meant, bound, Cause::Server);
            }
            return;
        }
        let victim = self.universe.get(self.victim);
        for captor in definers {
            let other = self.universe.get(captor);
            let is_elsewhere =
                captor != bound && other.brought_by.iter().any(|by| !victim.brought_by.contains(by));
            if is_elsewhere && !other.is_server && self.takes(captor, bound) {
                add(bound, captor, Cause::Module);
            }
        }
    }

    /// The images that export the name and that this lookup comes to.
    fn definers(&self) -> Vec<MemberId> {
        let hash = NameHash::of(without_underscore(self.import.name.as_bytes()));
        let definers = self.universe.definers(hash.word()).iter().copied();
        definers.filter(|&id| self.export(id).is_some_and(|_| self.comes_to(id))).collect()
    }

    fn export(&self, id: MemberId) -> Option<&MachExport> {
        self.universe.get(id).module.macho()?.export(self.import.name.as_bytes())
    }

    /// Coalescing only looks into images that have weak definitions.
    fn comes_to(&self, id: MemberId) -> bool {
        let flags = self.universe.get(id).module.macho().map_or(0, |detail| detail.flags);
        self.import.from != Ordinal::Weak || flags & macho::MH_WEAK_DEFINES.0 != 0
    }

    /// Whether a definition loaded earlier is taken; a weak one does not take the place of a strong one.
    fn takes(&self, captor: MemberId, bound: MemberId) -> bool {
        let is_weak = |id| self.export(id).is_some_and(MachExport::is_weak_definition);
        self.import.from != Ordinal::Weak || !is_weak(captor) || is_weak(bound)
    }

    /// Inline functions and templates of C++: one definition is meant to serve all.
    fn is_vague(&self, definers: &[MemberId]) -> bool {
        self.import.name.as_bytes().starts_with(b"__Z")
            && definers.iter().all(|&id| self.export(id).is_some_and(MachExport::is_weak_definition))
    }

    fn symbol(&self, captor: &Member) -> CapturedSymbol {
        let name = without_underscore(self.import.name.as_bytes());
        let kind = captor
            .module
            .symbols
            .get()
            .and_then(|symbols| symbols.lookup(name, NameHash::of(name)).next())
            .map(|symbol| symbol.kind());
        CapturedSymbol {
            name: Name::from(name),
            is_data: matches!(kind, Some(SymbolKind::Object | SymbolKind::Tls)),
            wanted: None,
            taken: None,
            uses: 1,
        }
    }
}

/// What the images that ask for a name would find under it if no image answered.
struct Wish {
    path: PathBuf,
    module: std::sync::Arc<Module>,
    modules: BTreeSet<usize>,
    searched: Vec<DyldProbe>,
    /// Who asks, and by which of its libraries.
    requesters: BTreeSet<(MemberId, usize)>,
}

/// Names that lead to two files: an image is reused where its install name is asked for.
pub(super) fn names(tree: &Tree, server: &DyldProcess, universe: &Universe) -> Vec<NameCollision> {
    let mut found = Vec::new();
    for (name, files) in wishes(tree, server, universe) {
        let mut winners: Vec<(MemberId, &Member)> =
            universe.members().filter(|(_, member)| answers_to(member, &name)).collect();
        let is_server = winners.iter().any(|(_, member)| member.is_server);
        if is_server {
            // It is there before any module.
            winners.retain(|(_, member)| member.is_server);
            winners.truncate(1);
        }
        for &(winner, member) in &winners {
            for (&loser, wish) in files.iter().filter(|(id, _)| **id != member.module.id) {
                let lacking = lacking(universe, member, wish);
                let is_mutual = files.contains_key(&member.module.id) && answers(&wish.module, &name);
                // Of two modules' files, each pair once for each order that lacks something, else once.
                if !is_server && lacking.is_empty() && is_mutual && loser < member.module.id {
                    continue;
                }
                let members = |wish: &Wish| {
                    let members: BTreeSet<MemberId> = wish.requesters.iter().map(|&(id, _)| id).collect();
                    members.into_iter().collect::<Vec<_>>()
                };
                found.push(NameCollision {
                    name: name.clone(),
                    winner,
                    is_server,
                    loser: wish.path.clone(),
                    loser_is: whose(tree, loser, &wish.path, &wish.modules),
                    requesters: members(wish),
                    winners_requesters: files.get(&member.module.id).map(members).unwrap_or_default(),
                    wanted_by: wish.modules.iter().copied().collect(),
                    searched: Searched::Dyld(wish.searched.clone()),
                    lacking,
                });
            }
        }
    }
    found.sort_by(|a, b| (&a.name, &a.loser).cmp(&(&b.name, &b.loser)));
    found
}

fn wishes(tree: &Tree, server: &DyldProcess, universe: &Universe) -> BTreeMap<Name, BTreeMap<FileId, Wish>> {
    let mut wishes: BTreeMap<Name, BTreeMap<FileId, Wish>> = BTreeMap::new();
    for (index, process, new) in dyld_loads(tree, server) {
        for id in new {
            let Some(image) = process.image(id) else { continue };
            let Some(requester) = image.id().and_then(|id| universe.find(id)) else { continue };
            // Nobody answers to a name that becomes a path of its own.
            let asked = |name: &[u8]| name.starts_with(b"@rpath/") || name.starts_with(b"/");
            for edge in image.edges().iter().filter(|edge| asked(edge.name.as_bytes())) {
                let Some((file, module, searched)) = process.search_afresh(id, &edge.name) else { continue };
                let path = searched.last().map(|probe| probe.path.clone()).unwrap_or_default();
                let wish = wishes.entry(edge.name.clone()).or_default().entry(file).or_insert_with(|| Wish {
                    path,
                    module,
                    modules: BTreeSet::new(),
                    searched,
                    requesters: BTreeSet::new(),
                });
                wish.modules.insert(index);
                wish.requesters.insert((requester, edge.dependency));
            }
        }
    }
    wishes
}

fn answers_to(member: &Member, name: &Name) -> bool {
    crate::name::path_bytes(&member.path) == name.as_bytes() || answers(&member.module, name)
}

fn answers(module: &Module, name: &Name) -> bool {
    module.soname.as_ref() == Some(name)
        && module.macho().is_some_and(|detail| detail.file_type == macho::MH_DYLIB)
}

/// What is imported from the loser and that the winner does not export. One that re-exports others is not judged.
fn lacking(universe: &Universe, winner: &Member, wish: &Wish) -> Vec<Outvoted> {
    let mut lacking = BTreeSet::new();
    let (Some(here), Some(there)) = (wish.module.macho(), winner.module.macho()) else { return Vec::new() };
    if there.exports.get().is_none() || there.dylibs.iter().any(|dylib| dylib.is_reexported) {
        return Vec::new();
    }
    for &(requester, dependency) in &wish.requesters {
        let Some(detail) = universe.get(requester).module.macho() else { continue };
        let Some(number) = detail.dylibs.get(dependency).and_then(|dylib| dylib.ordinal) else { continue };
        for import in detail.imports.get().into_iter().flatten() {
            let name = import.name.as_bytes();
            if import.from == Ordinal::Library(number)
                && !import.is_weak
                && here.export(name).is_some()
                && there.export(name).is_none()
            {
                lacking.insert(Outvoted::Symbol(Name::from(without_underscore(name))));
            }
        }
    }
    lacking.into_iter().collect()
}
