//! Files whose references are known to be satisfied. A server's modules bring the same libraries again and again, and
//! whether each of a library's references finds a definition depends on the files that are there alone: the ones that
//! defined them once do so wherever they are all in the scope again, whoever comes before them in it. What is kept of a
//! file is shorter than its own list of references.

use std::sync::{PoisonError, RwLock};

use crate::fs::FileId;
use crate::hash::HashMap;

/// The files that one process and its later states have relocated without a failure, each with the files that define
/// what it refers to.
#[derive(Default)]
pub(super) struct Settled(RwLock<HashMap<FileId, Box<[FileId]>>>);

impl Settled {
    /// Whether every reference of a file is satisfied where the files that `is_there` names are in its scope.
    pub(super) fn has(&self, file: FileId, is_there: impl Fn(FileId) -> bool) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&file).is_some_and(|definers| definers.iter().all(|&definer| is_there(definer)))
    }

    /// Enters a file of which every reference is satisfied by the given files.
    pub(super) fn enter(&self, file: FileId, definers: impl Iterator<Item = FileId>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(file).or_insert_with(|| definers.collect());
    }
}
