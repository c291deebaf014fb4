//! What a binary says, as owned values: the record that the parser fills and every later phase reads. The
//! neutral part holds what every loader needs to know; what only one format has stands in [`Detail`].

mod elf;
mod hash_table;
mod macho;
mod symbol;
mod table;
mod target;

pub use elf::*;
pub use hash_table::{HashTable, NameHash};
pub use macho::*;
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
    /// DT_SONAME, or the install name of LC_ID_DYLIB.
    pub soname: Option<Name>,
    /// The libraries it needs, in file order: DT_NEEDED, DT_AUXILIARY and DT_FILTER; LC_LOAD_DYLIB and its kin.
    /// Unreadable when the dynamic table is; absent in a static program.
    pub dependencies: Table<Vec<Dependency>>,
    /// DT_RPATH and DT_RUNPATH, or one for each LC_RPATH, as they stand in the file.
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
            Detail::MachO(_) => None,
        }
    }

    /// The Mach-O detail, if it is Mach-O.
    pub fn macho(&self) -> Option<&MachO> {
        match &self.detail {
            Detail::MachO(macho) => Some(macho),
            Detail::Elf(_) => None,
        }
    }

    /// The format's name: `elf` or `macho`.
    pub fn format(&self) -> &'static str {
        match self.detail {
            Detail::Elf(_) => "elf",
            Detail::MachO(_) => "macho",
        }
    }

    /// The architecture as the format's users call it: ELF's `aarch64` is `arm64` in Mach-O.
    pub fn arch(&self) -> String {
        match &self.detail {
            Detail::Elf(_) => self.target.arch(),
            Detail::MachO(macho) => macho.slice.arch.name(),
        }
    }

    /// The raw value of DT_RPATH or DT_RUNPATH.
    pub fn search_path(&self, kind: SearchPathKind) -> Option<&SearchPath> {
        self.search_paths.iter().find(|path| path.kind == kind)
    }

    /// Whether the file asks for an executable stack, by PF_X of its PT_GNU_STACK or by having none.
    #[cfg(feature = "audit")]
    pub(crate) fn wants_executable_stack(&self) -> bool {
        self.elf().is_some_and(|elf| match elf.stack_flags {
            Some(flags) => flags & object::elf::PF_X.0 != 0,
            None => self.target.has_executable_stack_by_default(),
        })
    }

    /// Whether the file holds the debug information of another one and keeps that one's headers: PT_DYNAMIC is empty (`objcopy
    /// --only-keep-debug`), or leads to nothing usable where the sections say that nothing is there (`eu-strip -f`). No
    /// loader takes either, whatever its sections say.
    #[cfg(feature = "audit")]
    pub(crate) fn is_debug_file(&self) -> bool {
        let is_linked = matches!(
            self.kind,
            ObjectKind::SharedObject | ObjectKind::Executable | ObjectKind::PositionIndependentExecutable
        );
        let Some(elf) = self.elf().filter(|_| is_linked) else { return false };
        match elf.segments.iter().rfind(|segment| segment.kind == object::elf::PT_DYNAMIC.0) {
            None => false,
            Some(header) if header.file_size == 0 => true,
            Some(_) => {
                elf.sections.get().is_some_and(|sections| sections.dynamic_has_no_bytes)
                    && self.symbols.get().is_none()
            }
        }
    }

    /// Whether `.dynamic` has an entry of a tag.
    #[cfg(feature = "audit")]
    pub(crate) fn has_dynamic_entry(&self, tag: object::elf::DynamicTag) -> bool {
        let dynamic = self.elf().and_then(|elf| elf.dynamic.get());
        dynamic.is_some_and(|entries| entries.iter().any(|entry| entry.tag == tag.0))
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
    /// A Mach-O file, or one slice of a fat one.
    MachO(Box<MachO>),
}

/// One library that an object asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The name as it stands in the file, tokens unexpanded.
    pub name: Name,
    /// How it is asked for.
    pub kind: DependencyKind,
    /// Index of the entry in `.dynamic` or among the load commands, from 0.
    pub entry: u32,
}

/// How a library is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DependencyKind {
    /// DT_NEEDED or LC_LOAD_DYLIB.
    Needed,
    /// DT_AUXILIARY: loaded before the object that names it; absence is ignored.
    Auxiliary,
    /// DT_FILTER: loaded before the object that names it; absence is an error.
    Filter,
    /// LC_LOAD_WEAK_DYLIB: absence is ignored.
    Weak,
    /// LC_REEXPORT_DYLIB: its exports count as the image's own.
    Reexport,
    /// LC_LOAD_UPWARD_DYLIB: a cycle that is meant.
    Upward,
    /// LC_LAZY_LOAD_DYLIB, which dyld no longer reads.
    Lazy,
}

impl DependencyKind {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Needed => "needed",
            Self::Auxiliary => "auxiliary",
            Self::Filter => "filter",
            Self::Weak => "weak",
            Self::Reexport => "reexport",
            Self::Upward => "upward",
            Self::Lazy => "lazy",
        }
    }

    /// The name of the tag, or of the load command.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Needed => "DT_NEEDED",
            Self::Auxiliary => "DT_AUXILIARY",
            Self::Filter => "DT_FILTER",
            Self::Weak => "LC_LOAD_WEAK_DYLIB",
            Self::Reexport => "LC_REEXPORT_DYLIB",
            Self::Upward => "LC_LOAD_UPWARD_DYLIB",
            Self::Lazy => "LC_LAZY_LOAD_DYLIB",
        }
    }
}

/// A list of directories inside an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPath {
    /// The whole string, colons and tokens as they stand.
    pub raw: Name,
    /// Which tag holds it.
    pub kind: SearchPathKind,
    /// Index of the entry in `.dynamic` or among the load commands, from 0.
    pub entry: u32,
}

/// Which tag holds a search path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SearchPathKind {
    /// DT_RPATH.
    Rpath,
    /// DT_RUNPATH.
    Runpath,
    /// LC_RPATH: a single directory.
    LcRpath,
}

impl SearchPathKind {
    /// The name of the tag or load command.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Rpath => "DT_RPATH",
            Self::Runpath => "DT_RUNPATH",
            Self::LcRpath => "LC_RPATH",
        }
    }
}
