//! Who meets whom in one process: two files of one library, two definitions of one name, one name that leads
//! two modules to two files. Judged over all modules of a tree without loading each pair: what a module brings is
//! known from loading it alone, and the global scope is the server's objects, then those in load order.
//!
//! Only what a relocation really uses counts. A module alone binds a reference to one definition; a second one that
//! the reference would accept, and that another module brings, takes its place when that module is loaded first.

mod captures;
mod copies;
mod dyld;
mod names;
mod universe;
mod versions;

pub use captures::{Capture, CapturedSymbol, Cause};
pub use copies::{Copies, Relation};
pub use names::{NameCollision, Outvoted, Searched, Whose};
pub use universe::{Member, MemberId, Universe};
pub use versions::Versions;

use crate::tree::Tree;

/// How bad a meeting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Judgement {
    /// Nothing crosses; the reason is given.
    Harmless,
    /// It happens in every order, and among libraries of which none is a module of the tree: their distribution's choice, good
    /// to know.
    Noted,
    /// It depends on which module is loaded first.
    OrderDependent,
    /// It happens in every order, to a module's own definitions or to a copy of a library.
    Harmful,
}

impl Judgement {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Harmless => "harmless",
            Self::Noted => "noted",
            Self::OrderDependent => "order-dependent",
            Self::Harmful => "harmful",
        }
    }
}

/// Every meeting in a tree.
pub struct Collisions {
    /// Everything that the modules bring.
    pub universe: Universe,
    /// References that a second definition takes, grouped by the two files and the cause; in path order.
    pub captures: Vec<Capture>,
    /// Two files of one library in one process; in path order.
    pub copies: Vec<Copies>,
    /// One name, two files.
    pub names: Vec<NameCollision>,
}

impl Collisions {
    /// Looks for meetings in a tree under a server; without one there is no process to meet in. Of a server with
    /// several architectures the first is looked at: its slices are built from one source.
    pub fn find(tree: &Tree) -> Option<Self> {
        if let Some(server) = tree.dyld_processes().first() {
            let universe = Universe::of_dyld(tree, server);
            let captures = dyld::captures(tree, server, &universe);
            let copies = copies::find(&universe, &captures);
            let names = dyld::names(tree, server, &universe);
            return Some(Self { universe, captures, copies, names });
        }
        let server = tree.process()?;
        let mut universe = Universe::build(tree, server);
        let captures::Found { captures, shared_by_versions } = captures::find(tree, server, &universe);
        universe.note_shared(shared_by_versions);
        let copies = copies::find(&universe, &captures);
        let names = names::find(tree, server, &universe);
        Some(Self { universe, captures, copies, names })
    }
}
