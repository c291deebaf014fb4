//! `pgsym inspect`: every fact read from one binary, each table with its own answer. A table that is null is
//! not in the file, unless `unreadable` names it.

mod elf;
mod macho;
mod second_opinion;
mod text;

pub use elf::{
    DlopenLine, DynamicLine, ElfFacts, NeedLine, RelocationFacts, SectionFacts, SegmentLine, TlsFacts,
    VersionDefinitionLine, VersionNeedLine,
};
pub use macho::{
    CommandLine, DirectoryLine, LibraryLine, MachOFacts, MachSegmentLine, PlatformLine, SignatureFacts,
    SliceLine,
};
pub use second_opinion::{Disagreement, Opinion, SecondOpinion, SymbolOpinion};

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::audit::ModuleMagic;
use super::field::{Field, key};
use crate::error::FileError;
use crate::model::{Class, Endian, HashTable, Module, ObjectKind, SymbolTable, Table};
use crate::postgres::{Magic, MagicEvidence};

/// The answer of `pgsym inspect`.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Inspection {
    /// The files, in the order given.
    pub files: Vec<FileFacts>,
}

/// Everything that one file says.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileFacts {
    /// The file.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// Why the file cannot be read; null where it can.
    pub error: Option<String>,
    /// What it says; null where it cannot be read.
    pub facts: Option<ModuleFacts>,
    /// What another reader says; null where it was not asked.
    pub second_opinion: Option<SecondOpinion>,
}

/// The facts of one binary.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ModuleFacts {
    /// Bytes.
    pub size: u64,
    /// The machine: "x86_64".
    pub arch: String,
    /// 32 or 64.
    pub bits: u32,
    /// "little" or "big".
    pub endian: &'static str,
    /// `e_ident[EI_OSABI]`.
    pub os_abi: u8,
    /// `e_flags`.
    pub flags: u32,
    /// "shared object", "executable", …
    pub kind: String,
    /// DT_SONAME, or the install name of LC_ID_DYLIB.
    #[serde(flatten)]
    pub soname: Field<key::Soname>,
    /// DT_NEEDED, DT_AUXILIARY and DT_FILTER, or LC_LOAD_DYLIB and its kin, in file order; null where there is no dynamic
    /// table.
    pub needed: Option<Vec<NeededLine>>,
    /// DT_RPATH and DT_RUNPATH, or LC_RPATH.
    pub search_paths: Vec<SearchPathLine>,
    /// The dynamic symbol table; null where there is none.
    pub symbols: Option<SymbolFacts>,
    /// What PostgreSQL finds; null where that was not looked for.
    pub postgres: Option<PostgresFacts>,
    /// What only ELF has.
    pub elf: Option<ElfFacts>,
    /// What only Mach-O has.
    pub macho: Option<MachOFacts>,
    /// Tables that are there and cannot be read.
    pub unreadable: Vec<UnreadableLine>,
}

/// One needed library.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NeededLine {
    /// The name, tokens unexpanded.
    #[serde(flatten)]
    pub name: Field<key::NameKey>,
    /// "needed", "auxiliary" or "filter"; of Mach-O files also "weak", "reexport", "upward" and "lazy".
    pub kind: &'static str,
    /// Index in `.dynamic`, or the load command's number from 0.
    pub entry: u32,
}

/// One search path.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SearchPathLine {
    /// "DT_RPATH", "DT_RUNPATH" or "LC_RPATH".
    pub tag: &'static str,
    /// The string, tokens unexpanded.
    #[serde(flatten)]
    pub raw: Field<key::Raw>,
    /// Index in `.dynamic`, or the load command's number from 0.
    pub entry: u32,
}

/// Counts of the dynamic symbols; `pgsym symbols` lists them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SymbolFacts {
    /// Entries, the null symbol included.
    pub total: usize,
    /// What others can bind to.
    pub exports: usize,
    /// What others must define.
    pub imports: usize,
    /// "DT_GNU_HASH", "DT_HASH" or null: the loader of ELF then finds no symbol here.
    pub hash: Option<&'static str>,
    /// Buckets of the hash table.
    pub hash_buckets: usize,
}

/// What PostgreSQL finds in the file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PostgresFacts {
    /// The magic block; null where there is none or it cannot be told.
    pub magic: Option<ModuleMagic>,
    /// Why it cannot be told though `Pg_magic_func` is there; null otherwise.
    pub magic_unknown: Option<String>,
    /// "code and data", "code" or "data": what led to the block.
    pub magic_evidence: Option<&'static str>,
    /// The block's address before relocation.
    pub magic_address: Option<u64>,
    /// The finfo records, in symbol order.
    pub finfo: Vec<FinfoLine>,
}

/// One finfo record.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FinfoLine {
    /// The function.
    #[serde(flatten)]
    pub function: Field<key::Function>,
    /// `api_version`; null where it cannot be told.
    pub api_version: Option<u32>,
}

/// A table that cannot be read.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UnreadableLine {
    /// Which.
    pub table: &'static str,
    /// Why.
    pub reason: String,
}

/// Everything that was read from a file.
pub fn inspect(path: &Path, module: &Result<Module, FileError>) -> FileFacts {
    let path = path.into();
    match module {
        Err(error) => FileFacts { path, error: Some(error.to_string()), facts: None, second_opinion: None },
        Ok(module) => {
            FileFacts { path, error: None, facts: Some(ModuleFacts::new(module)), second_opinion: None }
        }
    }
}

impl ModuleFacts {
    fn new(module: &Module) -> Self {
        let mut unreadable = Vec::new();
        let needed = read(&module.dependencies, "dynamic table", &mut unreadable).map(|needed| {
            let line = |dependency: &crate::model::Dependency| NeededLine {
                name: (&dependency.name).into(),
                kind: dependency.kind.as_str(),
                entry: dependency.entry,
            };
            needed.iter().map(line).collect()
        });
        let mut symbols = read(&module.symbols, "dynamic symbols", &mut unreadable).map(SymbolFacts::new);
        if let (Some(symbols), Some(_)) = (&mut symbols, module.macho()) {
            // The table of names is the reader's own; the file has a trie.
            (symbols.hash, symbols.hash_buckets) = (None, 0);
        }
        let postgres = read(&module.postgres, "PostgreSQL facts", &mut unreadable).map(PostgresFacts::new);
        let elf = module.elf().map(|elf| ElfFacts::new(elf, module, &mut unreadable));
        let macho = module.macho().map(|macho| MachOFacts::new(macho, &mut unreadable));
        Self {
            size: module.len,
            arch: module.arch(),
            bits: if module.target.class == Class::Bits64 { 64 } else { 32 },
            endian: if module.target.endian == Endian::Little { "little" } else { "big" },
            os_abi: module.target.os_abi,
            flags: module.target.flags,
            kind: kind_words(module.kind),
            soname: module.soname.as_ref().into(),
            needed,
            search_paths: module
                .search_paths
                .iter()
                .map(|path| SearchPathLine {
                    tag: path.kind.tag(),
                    raw: (&path.raw).into(),
                    entry: path.entry,
                })
                .collect(),
            symbols,
            postgres,
            elf,
            macho,
            unreadable,
        }
    }
}

/// The table, or none; why it cannot be read goes to the list.
fn read<'t, T>(
    table: &'t Table<T>,
    name: &'static str,
    unreadable: &mut Vec<UnreadableLine>,
) -> Option<&'t T> {
    if let Some(error) = table.error() {
        unreadable.push(UnreadableLine { table: name, reason: error.to_string() });
    }
    table.get()
}

fn kind_words(kind: ObjectKind) -> String {
    match kind {
        ObjectKind::Executable => "executable".to_owned(),
        ObjectKind::PositionIndependentExecutable => "position-independent executable".to_owned(),
        ObjectKind::SharedObject => "shared object".to_owned(),
        ObjectKind::Relocatable => "object file".to_owned(),
        ObjectKind::Core => "core dump".to_owned(),
        ObjectKind::Other(kind) => format!("ELF type {kind:#x}"),
    }
}

impl SymbolFacts {
    fn new(table: &SymbolTable) -> Self {
        let (hash, hash_buckets) = match table.hash_table() {
            HashTable::None => (None, 0),
            HashTable::Gnu { buckets, .. } => (Some("DT_GNU_HASH"), buckets.len()),
            HashTable::Sysv { buckets, .. } => (Some("DT_HASH"), buckets.len()),
        };
        Self {
            total: table.len(),
            exports: table.exports().count(),
            imports: table.imports().count(),
            hash,
            hash_buckets,
        }
    }
}

impl PostgresFacts {
    fn new(facts: &crate::postgres::PgFacts) -> Self {
        let block = facts.magic.block();
        Self {
            magic: block.map(ModuleMagic::from),
            magic_unknown: match &facts.magic {
                Magic::Unknown(error) => Some(error.to_string()),
                Magic::Absent | Magic::Found(_) => None,
            },
            magic_evidence: block.map(|block| match block.evidence {
                MagicEvidence::CodeAndData => "code and data",
                MagicEvidence::Code => "code",
                MagicEvidence::Data => "data",
            }),
            magic_address: block.map(|block| block.address),
            finfo: facts
                .finfo
                .iter()
                .map(|record| FinfoLine {
                    function: (&record.function).into(),
                    api_version: record.api_version.as_ref().ok().copied(),
                })
                .collect(),
        }
    }
}
