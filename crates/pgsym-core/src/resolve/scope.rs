//! The global scope of a process, and where in it a name can be defined at all. The loader asks the hash table of
//! each object in turn (`do_lookup_x`, elf/dl-lookup.c); a run that binds the references of hundreds of objects in
//! one server would ask the same dozens of tables hundreds of thousands of times, nearly always in vain. So the hash words
//! that stand in those tables are sorted once, by hash: what the index leads to is then asked as the loader asks it.

use std::sync::{Arc, OnceLock};

use super::process::{ObjectId, Process};
use super::settled::Settled;
use crate::model::NameHash;

/// The objects that symbols are looked up in, in order.
#[derive(Clone, Default)]
pub(super) struct GlobalScope {
    ids: Vec<ObjectId>,
    /// How many of them the process was started with: those are the ones that every `dlopen` searches again.
    started: usize,
    /// An index of those, made when somebody first looks for a name, and shared by every later state of the process.
    index: Arc<OnceLock<NameIndex>>,
    /// What was relocated in it, shared likewise.
    settled: Arc<Settled>,
}

impl GlobalScope {
    /// The scope of a process that has just started.
    pub(super) fn started_with(ids: Vec<ObjectId>) -> Self {
        Self { started: ids.len(), ids, index: Arc::default(), settled: Arc::default() }
    }

    /// Appends the objects that are not in it yet.
    pub(super) fn extend(&mut self, ids: Vec<ObjectId>) {
        for id in ids {
            if !self.ids.contains(&id) {
                self.ids.push(id);
            }
        }
    }

    /// What was relocated in this scope or in another one that has all that the process was started with.
    pub(super) fn settled(&self) -> &Settled {
        &self.settled
    }

    /// How many objects it has.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The objects that the process was started with.
    pub(super) fn started(&self) -> &[ObjectId] {
        self.until(self.started)
    }

    /// Its first `end` objects.
    pub(super) fn until(&self, end: usize) -> &[ObjectId] {
        self.ids.get(..end).unwrap_or(&self.ids)
    }

    /// The first `end` objects as a scope to look names up in.
    fn prepare<'p>(&'p self, process: &'p Process, end: usize) -> (Option<&'p NameIndex>, &'p [ObjectId]) {
        let objects = self.until(end);
        let (started, later) = objects.split_at(self.started.min(objects.len()));
        if started.len() < self.started || started.len() < WORTH_AN_INDEX {
            return (None, objects);
        }
        (Some(self.index.get_or_init(|| NameIndex::of(process, started))), later)
    }
}

/// Fewer objects than this are asked one by one: an index of them costs more than it saves.
const WORTH_AN_INDEX: usize = 8;

/// The objects in which one object's references are looked up.
pub(super) struct Scope<'p> {
    /// The object itself, under DT_SYMBOLIC.
    own: Option<ObjectId>,
    indexed: Vec<&'p NameIndex>,
    /// What stands behind the indexed objects.
    rest: &'p [ObjectId],
}

impl<'p> Scope<'p> {
    /// The first `end` objects of the global scope, behind `own`.
    pub(super) fn new(
        process: &'p Process,
        global: &'p GlobalScope,
        own: Option<ObjectId>,
        end: usize,
    ) -> Self {
        let (index, rest) = global.prepare(process, end);
        Self { own, indexed: index.into_iter().collect(), rest }
    }

    /// The same with `index` in the place of the objects behind the indexed ones, which it has to be of.
    pub(super) fn with_index(mut self, index: Option<&'p NameIndex>) -> Self {
        if let Some(index) = index {
            self.indexed.push(index);
            self.rest = &[];
        }
        self
    }

    /// An index of the objects behind the indexed ones, where they are many: a module may bring a tower of libraries.
    pub(super) fn index_of_rest(&self, process: &Process) -> Option<NameIndex> {
        (self.rest.len() >= WORTH_AN_INDEX).then(|| NameIndex::of(process, self.rest))
    }

    /// The objects that may define a name, in the order of the scope.
    pub(super) fn candidates(&self, hash: NameHash) -> impl Iterator<Item = ObjectId> {
        self.own
            .into_iter()
            .chain(self.indexed.iter().flat_map(move |index| index.candidates(hash)))
            .chain(self.rest.iter().copied())
    }
}

/// Which of a list of objects have a hash word for a name.
pub(super) struct NameIndex {
    /// For each bucket where its entries begin, and where the last one ends.
    starts: Box<[u32]>,
    /// [`NameHash::word`] and object, in each bucket in the order of the scope.
    entries: Box<[(u32, ObjectId)]>,
}

impl NameIndex {
    /// Sorts the hash words of objects into buckets.
    pub(super) fn of(process: &Process, objects: &[ObjectId]) -> Self {
        let words = |visit: &mut dyn FnMut(u32, ObjectId)| {
            for &id in objects {
                let symbols = process.object(id).and_then(|object| object.module().symbols.get());
                if let Some(symbols) = symbols {
                    symbols.hash_words(&mut |word| visit(word, id));
                }
            }
        };
        let mut count = 0_usize;
        words(&mut |_, _| count += 1);
        let buckets = count.next_power_of_two();
        let bucket = |word: u32| word as usize & (buckets - 1);
        // A counting sort, which keeps the order within a bucket.
        let mut starts = vec![0_u32; buckets + 1];
        words(&mut |word, _| starts[bucket(word) + 1] += 1);
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut entries = vec![(0, ObjectId::default()); count];
        words(&mut |word, id| {
            let at = &mut next[bucket(word)];
            entries[*at as usize] = (word, id);
            *at += 1;
        });
        Self { starts: starts.into(), entries: entries.into() }
    }

    fn candidates(&self, hash: NameHash) -> impl Iterator<Item = ObjectId> {
        let word = hash.word();
        let bucket = word as usize & (self.starts.len() - 2);
        let range = self.starts[bucket] as usize..self.starts[bucket + 1] as usize;
        let mut last = None;
        self.entries[range].iter().filter(move |(entry, _)| *entry == word).filter_map(move |&(_, id)| {
            // Several versions of a name are one object's affair.
            (last.replace(id) != Some(id)).then_some(id)
        })
    }
}
