//! The list of objects that one object and its dependencies make, in the order in which symbols are searched in them
//! (`l_searchlist`, made by `_dl_map_object_deps` of elf/dl-deps.c): breadth first, each object once, and a filtee in
//! front of the filter that names it.

use super::process::ObjectId;
use super::trace::Edge;
use crate::model::DependencyKind;

/// The list while it is made: [`next`](Self::next) gives an object, [`add`](Self::add) takes what it needs.
pub(super) struct SearchList {
    pub(super) objects: Vec<ObjectId>,
    known: Set,
    expanded: Set,
    /// Everything before it was expanded.
    position: usize,
}

impl SearchList {
    pub(super) fn of(root: ObjectId) -> Self {
        let mut known = Set::default();
        known.insert(root);
        Self { objects: vec![root], known, expanded: Set::default(), position: 0 }
    }

    /// The next object whose dependencies have not been added.
    pub(super) fn next(&mut self) -> Option<ObjectId> {
        while let Some(&id) = self.objects.get(self.position) {
            if self.expanded.insert(id) {
                return Some(id);
            }
            self.position += 1;
        }
        None
    }

    /// Adds what the object that [`next`](Self::next) gave needs: libraries at the end, filtees before the object
    /// itself, also those that stood further behind. Returns the filtees that were put in front.
    pub(super) fn add(&mut self, id: ObjectId, edges: &[Edge]) -> Vec<ObjectId> {
        let mut filtees = Vec::new();
        for edge in edges {
            let Ok(target) = edge.target else { continue };
            if !matches!(edge.kind, DependencyKind::Filter | DependencyKind::Auxiliary) {
                if self.known.insert(target) {
                    self.objects.push(target);
                }
                continue;
            }
            let Some(at) = self.objects.iter().position(|&known| known == id) else { continue };
            if self.known.insert(target) {
                filtees.push(target);
            } else {
                // Found early enough already, or moved.
                match self.objects.iter().position(|&known| known == target) {
                    Some(behind) if behind > at => self.objects.remove(behind),
                    _ => continue,
                };
            }
            self.objects.insert(at, target);
        }
        // What was put in front stands where the object stood, so it is next.
        filtees
    }
}

/// Some objects of one process, whose numbers are dense.
#[derive(Default)]
struct Set(Vec<bool>);

impl Set {
    /// Whether the object is new to it.
    fn insert(&mut self, id: ObjectId) -> bool {
        if self.0.len() <= id.index() {
            self.0.resize(id.index() + 1, false);
        }
        !std::mem::replace(&mut self.0[id.index()], true)
    }
}
