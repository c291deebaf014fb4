//! Which files of a tree are loaded in earnest, and what goes wrong with the dependencies in their processes, each
//! cause once however many files it hits.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use super::evidence::{base_name, listed, needed_entry, probe_line};
use crate::check::Finding;
use crate::fs::FileId;
use crate::name::{Name, shown_path};
use crate::resolve::{Edge, ObjectId};
use crate::tree::{Load, Role, Tree, TreeFile};

/// The files whose own load says what happens: modules, programs, and the libraries that none of these brings. A
/// library that a module brings is judged in the module's process, where the module's DT_RPATH and everything loaded
/// before it count.
pub(crate) fn judged(tree: &Tree) -> impl Iterator<Item = (&TreeFile, &Load)> {
    let mut brought = brought_by(tree, Role::Module);
    brought.extend(brought_by(tree, Role::Program));
    tree.files().iter().filter_map(|file| Some((file, file.load.as_ref()?))).filter(move |(file, _)| {
        file.role != Role::Library || !file.module.as_ref().is_ok_and(|module| brought.contains(&module.id))
    })
}

/// The files that those of one role bring, themselves apart.
pub(crate) fn brought_by(tree: &Tree, role: Role) -> HashSet<FileId> {
    tree.files()
        .iter()
        .filter(|file| file.role == role)
        .filter_map(|file| file.load.as_ref())
        .flat_map(|load| {
            let root = load.root;
            root.map(|root| load.process.closure(root))
                .unwrap_or_default()
                .into_iter()
                .filter(move |&id| Some(id) != root)
                .filter_map(|id| load.process.object(id))
                .map(crate::resolve::Object::id)
        })
        .collect()
}

/// A name that some objects of a process ask for in vain.
pub(crate) struct Failed<'t> {
    /// The process that it was seen in.
    pub(crate) load: &'t Load,
    /// Everybody who asks, the first as the loader meets them.
    pub(crate) edges: Vec<&'t Edge>,
    /// The files that this keeps from being loaded, in path order.
    pub(crate) files: Vec<&'t TreeFile>,
}

/// The failed dependencies of a tree, one for each name and set of requesters.
pub(crate) fn failed_edges<'t>(tree: &'t Tree, wanted: impl Fn(&'t Edge) -> bool) -> Vec<Failed<'t>> {
    let mut found: Vec<Failed<'t>> = Vec::new();
    let mut known: HashMap<(&Name, Vec<FileId>), usize> = HashMap::new();
    for (file, load) in judged(tree) {
        let Some(root) = load.root else { continue };
        let mut by_name: BTreeMap<&Name, Vec<&Edge>> = BTreeMap::new();
        for id in load.process.closure(root) {
            let edges = load.process.object(id).map_or(&[][..], |object| object.edges());
            for edge in edges.iter().filter(|edge| wanted(edge)) {
                by_name.entry(&edge.name).or_default().push(edge);
            }
        }
        for (name, edges) in by_name {
            let requesters: Vec<FileId> =
                edges.iter().filter_map(|edge| Some(load.process.object(edge.requester)?.id())).collect();
            let index = *known.entry((name, requesters)).or_insert_with(|| {
                found.push(Failed { load, edges, files: Vec::new() });
                found.len() - 1
            });
            found[index].files.push(file);
        }
    }
    found
}

impl<'t> Failed<'t> {
    /// The name asked for.
    pub(crate) fn name(&self) -> &'t Name {
        &self.edges[0].name
    }

    /// The first edge in load order.
    pub(crate) fn first(&self) -> &'t Edge {
        self.edges[0]
    }

    /// The first file that cannot be loaded.
    pub(crate) fn file(&self) -> &'t TreeFile {
        self.files[0]
    }

    /// Whether that file itself is one of those who ask.
    pub(crate) fn is_own(&self) -> bool {
        self.edges.iter().any(|edge| Some(edge.requester) == self.load.root)
    }

    /// What a finding is about: a requester that is a file of the tree, which somebody can mend, else the file that
    /// cannot be loaded.
    pub(crate) fn path(&self, tree: &'t Tree) -> &'t Path {
        if self.is_own() {
            return &self.file().path;
        }
        self.edges
            .iter()
            .filter_map(|edge| self.load.process.object(edge.requester))
            .find_map(|object| tree.find(object.id()))
            .map_or(&self.file().path, |file| &file.path)
    }

    /// Whether one of those who ask is a file of the tree.
    pub(crate) fn is_mendable(&self, tree: &'t Tree) -> bool {
        self.edges
            .iter()
            .filter_map(|edge| self.load.process.object(edge.requester))
            .any(|object| tree.find(object.id()).is_some())
    }

    /// `.dynamic[3] DT_NEEDED libx.so.1`, with the requester's path where that is another file.
    pub(crate) fn entry(&self, tree: &'t Tree) -> String {
        self.describe(self.first(), self.path(tree))
    }

    fn describe(&self, edge: &Edge, about: &Path) -> String {
        let Some(object) = self.load.process.object(edge.requester) else { return String::new() };
        let entry = object.module().needed().get(edge.dependency).map(needed_entry).unwrap_or_default();
        if self.is_at(edge.requester, about) {
            entry
        } else {
            format!("{} {entry}", shown_path(object.path()))
        }
    }

    fn is_at(&self, requester: ObjectId, about: &Path) -> bool {
        self.load
            .process
            .object(requester)
            .is_some_and(|object| object.path() == about || object.module().path == about)
    }

    /// Adds who asks, by which way, and which files suffer.
    pub(crate) fn evidence(&self, tree: &'t Tree, mut finding: Finding) -> Finding {
        let about = self.path(tree);
        if self.edges.len() > 1 {
            for edge in self.edges.iter().take(super::evidence::LISTED) {
                finding = finding.evidence("wanted by", self.describe(edge, about));
            }
        }
        if let Some(chain) = self.chain() {
            finding = finding.evidence("brought by", chain);
        }
        let others: Vec<&&TreeFile> = self.files.iter().filter(|file| file.path != about).collect();
        if !others.is_empty() {
            finding = finding.evidence("keeps out", listed(others.iter().map(|file| base_name(&file.path))));
        }
        finding
    }

    /// `x.so → libgdal.so.32`, from the file to the requester, where there is anybody between.
    fn chain(&self) -> Option<String> {
        let process = &self.load.process;
        let mut names = Vec::new();
        for (id, object) in process.loaders(self.first().requester) {
            names.push(base_name(object.path()));
            if Some(id) == self.load.root {
                names.reverse();
                return (names.len() > 1).then(|| names.join(" → "));
            }
        }
        None
    }

    /// Adds every candidate of the first search.
    pub(crate) fn searched(&self, mut finding: Finding) -> Finding {
        for probe in &self.first().searched {
            finding = finding.evidence("searched", probe_line(&self.load.process, probe));
        }
        finding
    }
}
