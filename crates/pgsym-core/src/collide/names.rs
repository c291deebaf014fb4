//! One name, two files: the search paths of two modules, or of a module and the server, lead a soname to
//! different files. The first loaded serves both; the other is never opened.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::Judgement;
use super::universe::{MemberId, Universe};
use crate::fs::FileId;
use crate::model::{NameHash, Table};
use crate::name::Name;
use crate::resolve::dyld::DyldProbe;
use crate::resolve::{Probe, Process, Via};
use crate::tree::{Role, Tree};

/// One name that leads to two files.
#[derive(Debug, Clone)]
pub struct NameCollision {
    /// The name.
    pub name: Name,
    /// The file that serves it: the server's, or that of whichever module comes first.
    pub winner: MemberId,
    /// Whether the winner is in the server's process before any module.
    pub is_server: bool,
    /// The file that is passed over then.
    pub loser: PathBuf,
    /// Whose file that is.
    pub loser_is: Whose,
    /// The files of the tree whose search leads to the loser, as indices into [`Tree::files`].
    pub wanted_by: Vec<usize>,
    /// The objects that name it in DT_NEEDED and would find the loser.
    pub requesters: Vec<MemberId>,
    /// The same of the winner; none where the server has it.
    pub winners_requesters: Vec<MemberId>,
    /// The search of the first of them.
    pub searched: Searched,
    /// What the users of the loser lack in the winner.
    pub lacking: Vec<Outvoted>,
}

/// A search for a library, in its loader's terms.
#[derive(Debug, Clone)]
pub enum Searched {
    /// Of the loaders of ELF.
    Elf(Vec<Probe>),
    /// Of dyld.
    Dyld(Vec<DyldProbe>),
}

impl Searched {
    /// Each candidate: the rule that led to it, its path, what came of it.
    pub fn lines(&self) -> Vec<(&'static str, &Path, String)> {
        match self {
            Self::Elf(probes) => probes
                .iter()
                .map(|probe| (probe.via.as_str(), &*probe.path, probe.outcome.to_string()))
                .collect(),
            Self::Dyld(probes) => probes
                .iter()
                .map(|probe| (probe.via.as_str(), &*probe.path, probe.outcome.to_string()))
                .collect(),
        }
    }
}

/// Whose file a library is, seen from the modules that want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// It is a file of the tree.
    Tree,
    /// It lies in the directory of a module that wants it, or below: the module's package ships it.
    Beside,
    /// Somebody else's: the system's, or another package's.
    Others,
}

/// Something that the passed-over file has, its users ask for, and the winner has not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outvoted {
    /// A version node: `dlopen` fails.
    Version(Name),
    /// A symbol: `dlopen` fails.
    Symbol(Name),
}

impl NameCollision {
    /// How bad it is: nothing else than another file of the same content is lost where nothing is lacking.
    pub fn judgement(&self) -> Judgement {
        match (self.is_server, self.lacking.is_empty()) {
            (true, false) => Judgement::Harmful,
            // Nobody shipped the second for these modules.
            (true, true) if self.loser_is == Whose::Others => Judgement::Noted,
            _ => Judgement::OrderDependent,
        }
    }
}

impl NameCollision {
    /// Why it is judged so.
    pub fn reason(&self) -> String {
        let who = if self.is_server {
            "the server has loaded the first, so the second is never opened"
        } else {
            "whichever is loaded first serves both, and the other is never opened"
        };
        if self.lacking.is_empty() {
            format!("{who}; the first has every version and symbol that the second's users ask for")
        } else {
            format!("{who}; the first lacks what the second's users ask for, and loading them fails")
        }
    }
}

/// Who asks for which file under a name: file → (path, modules that ask, how the first searched, requesters).
type Wishes = BTreeMap<Name, BTreeMap<FileId, Wish>>;

struct Wish {
    path: PathBuf,
    modules: BTreeSet<usize>,
    searched: Vec<Probe>,
    requesters: BTreeSet<FileId>,
}

pub(super) fn find(tree: &Tree, server: &Process, universe: &Universe) -> Vec<NameCollision> {
    let wishes = wishes(tree, server);
    let mut found = Vec::new();
    for (name, files) in wishes {
        let in_server = server.load_order().find(|(_, object)| {
            object.module().soname.as_ref() == Some(&name) || object.answers_to(name.as_bytes())
        });
        let winners: Vec<(FileId, bool)> = match in_server {
            Some((_, object)) => vec![(object.id(), true)],
            None if files.len() > 1 => files.keys().map(|&id| (id, false)).collect(),
            None => continue,
        };
        for (winner_file, is_server) in winners {
            let Some(winner) = universe.find(winner_file) else { continue };
            for (&loser_file, wish) in files.iter().filter(|(id, _)| **id != winner_file) {
                // Of two modules' files, each pair once for each order that lacks something, else once.
                let lacking = lacking(tree, universe, winner, loser_file, wish);
                if !is_server && lacking.is_empty() && loser_file < winner_file {
                    continue;
                }
                let members = |requesters: &BTreeSet<FileId>| {
                    requesters.iter().filter_map(|&id| universe.find(id)).collect::<BTreeSet<_>>()
                };
                let winners =
                    files.get(&winner_file).map(|wish| members(&wish.requesters)).unwrap_or_default();
                found.push(NameCollision {
                    name: name.clone(),
                    winner,
                    is_server,
                    loser: wish.path.clone(),
                    loser_is: whose(tree, loser_file, &wish.path, &wish.modules),
                    requesters: members(&wish.requesters).into_iter().collect(),
                    winners_requesters: winners.into_iter().collect(),
                    wanted_by: wish.modules.iter().copied().collect(),
                    searched: Searched::Elf(wish.searched.clone()),
                    lacking,
                });
            }
        }
    }
    found.sort_by(|a, b| (&a.name, &a.loser).cmp(&(&b.name, &b.loser)));
    found
}

/// Whose file the loser of a collision is: `path` is where it was found, `modules` are the files of the tree that want it.
pub(super) fn whose(tree: &Tree, loser: FileId, path: &Path, modules: &BTreeSet<usize>) -> Whose {
    if tree.find(loser).is_some() {
        return Whose::Tree;
    }
    let canonical = |path: &Path| tree.store().fs().canonicalize(path).ok();
    let directory = path.parent().and_then(canonical);
    let is_beside = modules
        .iter()
        .filter_map(|&index| canonical(tree.files().get(index)?.path.parent()?))
        .any(|module| directory.as_ref().is_some_and(|directory| directory.starts_with(module)));
    if is_beside { Whose::Beside } else { Whose::Others }
}

/// What each file that a module brings would find under each name it needs, if nobody had loaded it before.
fn wishes(tree: &Tree, server: &Process) -> Wishes {
    let mut wishes = Wishes::new();
    let mut known: HashMap<(FileId, Name), (Option<FileId>, Vec<Probe>)> = HashMap::new();
    for (index, file) in tree.files().iter().enumerate() {
        let Some(load) = file.load.as_ref().filter(|_| file.role == Role::Module) else { continue };
        for (id, object) in load.process.added_since(server) {
            for edge in object.edges().iter().filter(|edge| !edge.name.has_slash()) {
                let key = (object.id(), edge.name.clone());
                let (found, probes) = known.entry(key).or_insert_with(|| match (&edge.target, edge.via) {
                    (Ok(target), Some(via)) if via != Via::Loaded => {
                        (load.process.object(*target).map(crate::resolve::Object::id), edge.searched.clone())
                    }
                    _ => load.process.search_afresh(id, &edge.name),
                });
                let Some(found) = *found else { continue };
                let path = probes.last().map(|probe| probe.path.clone()).unwrap_or_default();
                let wish =
                    wishes.entry(edge.name.clone()).or_default().entry(found).or_insert_with(|| Wish {
                        path,
                        modules: BTreeSet::new(),
                        searched: probes.clone(),
                        requesters: BTreeSet::new(),
                    });
                wish.modules.insert(index);
                wish.requesters.insert(object.id());
            }
        }
    }
    wishes
}

/// What those who wanted the loser ask of it that the winner does not have.
fn lacking(tree: &Tree, universe: &Universe, winner: MemberId, loser: FileId, wish: &Wish) -> Vec<Outvoted> {
    let winner = &universe.get(winner).module;
    let Ok(loser_module) = tree.store().module(&wish.path) else { return Vec::new() };
    debug_assert_eq!(loser_module.id, loser, "the path leads to the file that it was found by");
    let mut lacking = BTreeSet::new();
    for requester in wish.requesters.iter().filter_map(|&id| universe.find(id)) {
        let requester = &universe.get(requester).module;
        if let Some(elf) = requester.elf()
            && let Some(needs) = elf.version_needs.get()
            && let Some(Table::Read(definitions)) = winner.elf().map(|elf| &elf.version_definitions)
        {
            let wanted = needs
                .iter()
                .filter(|need| loser_module.soname.as_ref().is_none_or(|soname| *soname == need.file));
            for version in wanted.flat_map(|need| &need.versions).filter(|version| !version.is_weak) {
                if !definitions.iter().any(|definition| definition.name == version.name) {
                    lacking.insert(Outvoted::Version(version.name.clone()));
                }
            }
        }
        let (Some(imports), Some(here), Some(there)) =
            (requester.symbols.get(), loser_module.symbols.get(), winner.symbols.get())
        else {
            continue;
        };
        for symbol in imports.imports() {
            let hash = NameHash::of(symbol.name());
            let has = |table: &crate::model::SymbolTable| table.lookup(symbol.name(), hash).next().is_some();
            if has(here) && !has(there) {
                lacking.insert(Outvoted::Symbol(Name::from(symbol.name())));
            }
        }
    }
    lacking.into_iter().collect()
}
