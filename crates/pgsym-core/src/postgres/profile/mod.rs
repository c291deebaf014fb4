//! A server without its binary: what the model needs of one, written down as text by `pgsym profile`, and the built-in
//! ones of the majors 13 to 18 for `--pg-version`.

mod text;

use std::path::{Path, PathBuf};

use super::{MagicBlock, ServerFacts};
use crate::discover::Installation;
use crate::fs::FileId;
use crate::model::{
    Dependency, DependencyKind, Detail, Elf, Module, ObjectKind, SearchPath, SearchPathKind, SymbolKind,
    SymbolTable, Table, Target,
};
use crate::name::Name;
use crate::resolve::{Described, Process};
use crate::tree::{Server, ServerSource};

/// How the first line of every profile begins.
pub(crate) const MARK_OF_ANY: &[u8] = b"pgsym-profile ";

/// What the model needs of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// As `SELECT version()` begins.
    pub version: Option<String>,
    /// The machine it is for.
    pub target: Target,
    /// PT_INTERP.
    pub interpreter: Option<Name>,
    /// The binary, every link resolved; none in the formats before 3.
    pub server: Option<PathBuf>,
    /// `$libdir`.
    pub pkglibdir: Option<PathBuf>,
    /// The shared directory.
    pub sharedir: Option<PathBuf>,
    /// The block that modules are compared with.
    pub magic: Option<MagicBlock>,
    /// DT_NEEDED.
    pub needed: Vec<Name>,
    /// DT_RPATH or DT_RUNPATH.
    pub search_paths: Vec<(SearchPathKind, Name)>,
    /// Where its libraries were found when the profile was written. The model searches the tree that it is asked about, and
    /// looks here for what that does not find.
    pub libraries: Vec<(Name, PathBuf)>,
    /// What it exports.
    pub exports: Vec<(Name, SymbolKind)>,
}

impl Profile {
    /// What the model needs of a server that is at hand.
    pub fn of(server: &Server, process: &Process) -> Self {
        let module = &server.module;
        let exports = module.symbols.get().map(|symbols| {
            let mut exports: Vec<(Name, SymbolKind)> =
                symbols.exports().map(|symbol| (Name::from(symbol.name()), symbol.kind())).collect();
            exports.sort();
            exports.dedup();
            exports
        });
        let libraries = process
            .load_order()
            .skip(1)
            .filter_map(|(_, object)| Some((object.module().soname.clone()?, object.path().to_owned())));
        Self {
            version: server.facts.version.clone(),
            target: module.target,
            interpreter: module.elf().and_then(|elf| elf.interpreter.get()).cloned(),
            server: match &server.described {
                Some(described) => described.program.clone(),
                // `$ORIGIN` is that of the resolved path.
                None => {
                    let path = &server.installation.server;
                    Some(process.store().fs().canonicalize(path).unwrap_or_else(|_| path.clone()))
                }
            },
            pkglibdir: Some(server.installation.pkglibdir.clone()),
            sharedir: server.installation.sharedir.clone(),
            magic: server.facts.magic.clone(),
            needed: module.needed().iter().map(|needed| needed.name.clone()).collect(),
            search_paths: module.search_paths.iter().map(|path| (path.kind, path.raw.clone())).collect(),
            libraries: libraries.collect(),
            exports: exports.unwrap_or_default(),
        }
    }

    /// The built-in profile of a major version, for the machine of the modules under audit: what a server exports
    /// does not depend on it.
    pub fn built_in(major: u32, target: Target) -> Option<Self> {
        let (version, exports) = super::builtin::server(major)?;
        Some(Self {
            version: Some(version),
            target,
            interpreter: None,
            server: None,
            pkglibdir: None,
            sharedir: None,
            magic: Some(MagicBlock::standard(major, target.class)),
            // What every server on glibc needs; the rest differs from build to build.
            needed: ["libm.so.6", "libc.so.6"].map(Name::from).to_vec(),
            search_paths: Vec::new(),
            libraries: Vec::new(),
            exports,
        })
    }

    /// Whether the built-in server of any major exports a name.
    pub(crate) fn any_exports(name: &[u8]) -> bool {
        super::builtin::is_exported(name)
    }

    /// The majors that have a built-in profile.
    pub fn built_in_majors() -> std::ops::RangeInclusive<u32> {
        13..=18
    }

    /// The server that the profile describes. `path` is what the model calls its binary.
    pub(crate) fn into_server(self, path: &Path) -> Server {
        let dependencies = self
            .needed
            .into_iter()
            .enumerate()
            .map(|(entry, name)| Dependency { name, kind: DependencyKind::Needed, entry: entry as u32 })
            .collect();
        let search_paths =
            self.search_paths.into_iter().map(|(kind, raw)| SearchPath { raw, kind, entry: 0 }).collect();
        let interpreter = self.interpreter.map_or(Table::Absent, Table::Read);
        let module = Module {
            path: path.to_owned(),
            // No file of a tree has these numbers.
            id: FileId { device: u64::MAX, inode: u64::MAX },
            len: 0,
            target: self.target,
            kind: ObjectKind::PositionIndependentExecutable,
            soname: None,
            dependencies: Table::Read(dependencies),
            search_paths,
            symbols: Table::Read(SymbolTable::of_exports(&self.exports)),
            postgres: Table::NotRead,
            detail: Detail::Elf(Box::new(Elf { interpreter, ..Elf::default() })),
        };
        Server {
            installation: Installation {
                server: path.to_owned(),
                pkglibdir: self.pkglibdir.unwrap_or_else(|| PathBuf::from("$libdir")),
                sharedir: self.sharedir,
            },
            module: module.into(),
            facts: ServerFacts { version: self.version, magic: self.magic, guards_operator_links: None },
            source: ServerSource::Profile,
            described: Some(Described { program: self.server, libraries: self.libraries }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NameHash;

    #[test]
    fn every_built_in_server_exports_what_modules_need() {
        for major in Profile::built_in_majors() {
            let profile = Profile::built_in(major, Target::X86_64).unwrap();
            assert!(profile.exports.len() > 8_000, "{major}: {}", profile.exports.len());
            let server = profile.into_server(Path::new("/postgres"));
            assert_eq!(server.facts.major(), Some(major));
            let symbols = server.module.symbols.get().unwrap();
            for (name, kind) in
                [("palloc", SymbolKind::Function), ("CurrentMemoryContext", SymbolKind::Object)]
            {
                let found = symbols.lookup(name.as_bytes(), NameHash::of(name.as_bytes())).next().unwrap();
                assert_eq!(found.kind(), kind, "{name} of {major}");
            }
        }
    }

    #[test]
    fn majors_differ_where_their_sources_do() {
        let exports = |major, name: &str| {
            let profile = Profile::built_in(major, Target::X86_64).unwrap();
            profile.exports.iter().any(|(export, _)| *export == name)
        };
        // shmem_request_hook came with 15, errstart_cold with 14.
        assert!(!exports(14, "shmem_request_hook") && exports(15, "shmem_request_hook"));
        assert!(!exports(13, "errstart_cold") && exports(14, "errstart_cold"));
    }
}
