//! What a binary says, as owned values: the record that the parser fills and every later phase reads. The
//! neutral part holds what every loader needs to know; what only one format has stands in [`Detail`].

mod elf;
mod symbol;
mod table;
mod target;

pub use elf::*;
pub use symbol::*;
pub use table::Table;
pub use target::*;

use std::path::PathBuf;

use crate::fs::FileId;
use crate::name::Name;
use crate::postgres::PgFacts;

/// One parsed binary.
#[derive(Debug, Clone)]
pub struct Module {
    /// Where it was found, inside the tree (`--root` removed).
    pub path: PathBuf,
    /// Device and inode.
    pub id: FileId,
    /// Length in bytes.
    pub len: u64,
    /// What machine it is for.
    pub target: Target,
    /// What kind of object it is.
    pub kind: ObjectKind,
    /// DT_SONAME.
    pub soname: Option<Name>,
    /// The libraries it needs, in file order: DT_NEEDED, DT_AUXILIARY and DT_FILTER.
    /// Unreadable when the dynamic table is; absent in a static program.
    pub dependencies: Table<Vec<Dependency>>,
    /// DT_RPATH and DT_RUNPATH, as they stand in the file.
    pub search_paths: Vec<SearchPath>,
    /// Dynamic symbols; read when [`Facets::SYMBOLS`](crate::parse::Facets::SYMBOLS) was asked for.
    pub symbols: Table<SymbolTable>,
    /// What PostgreSQL would find in it; read when [`Facets::POSTGRES`](crate::parse::Facets::POSTGRES) was asked for.
    pub postgres: Table<PgFacts>,
    /// What only its format has.
    pub detail: Detail,
}

impl Module {
    /// The ELF detail, if it is ELF.
    pub fn elf(&self) -> Option<&Elf> {
        match &self.detail {
            Detail::Elf(elf) => Some(elf),
        }
    }

    /// The raw value of DT_RPATH or DT_RUNPATH.
    pub fn search_path(&self, kind: SearchPathKind) -> Option<&SearchPath> {
        self.search_paths.iter().find(|path| path.kind == kind)
    }

    /// The dependencies, or none where they could not be read.
    pub fn needed(&self) -> &[Dependency] {
        self.dependencies.get().map_or(&[], Vec::as_slice)
    }
}

/// What only one format has.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Detail {
    /// An ELF file.
    Elf(Box<Elf>),
}

/// One library that an object asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The name as it stands in the file, tokens unexpanded.
    pub name: Name,
    /// How it is asked for.
    pub kind: DependencyKind,
    /// Index of the entry in `.dynamic`, from 0.
    pub entry: u32,
}

/// How a library is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DependencyKind {
    /// DT_NEEDED.
    Needed,
    /// DT_AUXILIARY: loaded before the object that names it; absence is ignored.
    Auxiliary,
    /// DT_FILTER: loaded before the object that names it; absence is an error.
    Filter,
}

/// A list of directories inside an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPath {
    /// The whole string, colons and tokens as they stand.
    pub raw: Name,
    /// Which tag holds it.
    pub kind: SearchPathKind,
    /// Index of the entry in `.dynamic`, from 0.
    pub entry: u32,
}

/// Which tag holds a search path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SearchPathKind {
    /// DT_RPATH.
    Rpath,
    /// DT_RUNPATH.
    Runpath,
}

impl SearchPathKind {
    /// The tag's name.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Rpath => "DT_RPATH",
            Self::Runpath => "DT_RUNPATH",
        }
    }
}
