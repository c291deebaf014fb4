//! What an extension requires, and what that leads to: `CREATE EXTENSION … CASCADE` creates the extensions that are missing
//! before it runs the scripts of the one that it was asked for, and refuses one that waits for itself
//! (src/backend/commands/extension.c: CreateExtensionInternal, get_required_extension, ApplyExtensionUpdates).

use std::collections::{HashMap, HashSet};

use super::{ExtensionRecord, Inventory};
use crate::extension::update_graph::Step;
use crate::limits;

/// Which extension of an inventory: the site that it belongs to, and its name.
pub type ExtensionKey<'a> = (usize, &'a [u8]);

/// The two extensions that the server names when it finds that one waits for itself.
pub type Cycle = (Vec<u8>, Vec<u8>);

/// Every extension that one requires, directly or not.
pub struct Required<'a> {
    /// Those whose scripts were read, the extension itself among them.
    pub known: Vec<&'a ExtensionRecord>,
    /// The names of all of them.
    pub names: HashSet<&'a [u8]>,
    /// Whether one is not there or was not read, so that nobody knows what it makes.
    pub is_partly_unknown: bool,
}

impl ExtensionRecord {
    /// What tells it from all others of the inventory.
    pub fn key(&self) -> ExtensionKey<'_> {
        (self.extension.site, &self.extension.name)
    }

    /// What the scripts of the installation require, in order: first what the install script does, then what the updates
    /// do.
    pub fn required(&self) -> (Vec<&[u8]>, Vec<&[u8]>) {
        let (mut at_first, mut later) = (Vec::new(), Vec::new());
        for script in self.scripts.iter().filter(|script| script.is_reachable()) {
            let list = if matches!(script.step, Step::Install(_)) { &mut at_first } else { &mut later };
            let names = script.control.iter().flat_map(|control| &control.requires);
            list.extend(names.map(Vec::as_slice));
        }
        (at_first, later)
    }

    /// Whether it is known what creating the extension does.
    fn is_read(&self) -> bool {
        let mut chain = self.scripts.iter().filter(|script| script.is_reachable()).peekable();
        self.in_scope && chain.peek().is_some() && chain.all(|script| script.control.is_ok())
    }
}

impl Inventory {
    /// What an extension requires, directly or not.
    pub fn required_by<'a>(&'a self, record: &'a ExtensionRecord) -> Required<'a> {
        let mut required = Required { known: vec![record], names: HashSet::new(), is_partly_unknown: false };
        let mut next = 0;
        while let Some(&record) = required.known.get(next) {
            let (at_first, later) = record.required();
            for name in at_first.into_iter().chain(later) {
                if !required.names.insert(name) {
                    continue;
                }
                match self.find(name, record).filter(|record| record.is_read()) {
                    Some(record) => required.known.push(record),
                    None => required.is_partly_unknown = true,
                }
            }
            next += 1;
        }
        required
    }

    /// The extensions that can never be created, because creating them waits for itself. An extension that is not there,
    /// or was not read, is taken to come into being without any other.
    pub fn requires_cycles(&self) -> HashMap<ExtensionKey<'_>, Cycle> {
        let mut walk = Walk { inventory: self, created: HashSet::new(), failed: HashMap::new() };
        for record in self.in_scope() {
            walk.create(record);
        }
        walk.failed
    }
}

/// The walk over all extensions. What was created once can be created again, and what failed fails again, so each
/// extension is visited once.
struct Walk<'a> {
    inventory: &'a Inventory,
    created: HashSet<ExtensionKey<'a>>,
    failed: HashMap<ExtensionKey<'a>, Cycle>,
}

/// An extension that is being created.
struct Frame<'a> {
    record: &'a ExtensionRecord,
    required: Vec<&'a [u8]>,
    /// How many of `required` the install script has; behind them the extension exists.
    at_first: usize,
    next: usize,
    /// Where the list of those that wait for it begins: an update script passes none on.
    base: usize,
}

impl<'a> Walk<'a> {
    fn create(&mut self, record: &'a ExtensionRecord) {
        let mut stack: Vec<Frame<'a>> = Vec::new();
        let mut enter = Some((record, 0));
        loop {
            if let Some((record, base)) = enter.take() {
                if let Some(cycle) = self.failed.get(&record.key()).cloned() {
                    self.fail(&stack, &cycle);
                    return;
                } else if !record.is_read() || self.created.contains(&record.key()) {
                    self.created.insert(record.key());
                } else if stack.len() > limits::REQUIRES_DEPTH {
                    return;
                } else {
                    let (mut required, later) = record.required();
                    let at_first = required.len();
                    required.extend(later);
                    stack.push(Frame { record, required, at_first, next: 0, base });
                }
            }
            let depth = stack.len();
            let Some(frame) = stack.last_mut() else { return };
            if frame.next == frame.at_first {
                self.created.insert(frame.record.key());
            }
            let Some(&name) = frame.required.get(frame.next) else {
                stack.pop();
                continue;
            };
            frame.next += 1;
            let (base, current, is_first) = (frame.base, frame.record, frame.next <= frame.at_first);
            let Some(required) = self.inventory.find(name, current) else { continue };
            if self.created.contains(&required.key()) && !self.failed.contains_key(&required.key()) {
                continue;
            }
            let waiting = if is_first { base } else { depth };
            let found = stack.iter().skip(waiting).position(|frame| frame.record.key() == required.key());
            if let Some(at) = found.map(|at| at + waiting) {
                self.close(&stack, at, &current.extension.name);
                return;
            }
            enter = Some((required, waiting));
        }
    }

    /// The last frame requires the one at `start`. Whichever of the circle comes first, the one before it closes it.
    fn close(&mut self, stack: &[Frame<'a>], start: usize, last: &[u8]) {
        let circle = stack.get(start..).unwrap_or_default();
        let mut before = last;
        for frame in circle {
            let name = &frame.record.extension.name;
            self.failed.insert(frame.record.key(), (name.clone(), before.to_vec()));
            before = name;
        }
        if let Some(cycle) = circle.first().and_then(|first| self.failed.get(&first.record.key())).cloned() {
            self.fail(stack.get(..start).unwrap_or_default(), &cycle);
        }
    }

    fn fail(&mut self, waiting: &[Frame<'a>], cycle: &Cycle) {
        for frame in waiting {
            self.failed.entry(frame.record.key()).or_insert_with(|| cycle.clone());
        }
    }
}
