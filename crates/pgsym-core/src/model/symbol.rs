//! The dynamic symbols of one object, compact: 12 bytes a symbol and one blob of names, because a tree and
//! its libraries bring a million of them.

use std::sync::OnceLock;

use bstr::ByteSlice as _;
use object::elf;

use super::hash_table::{HashTable, NameHash};
use crate::name::Name;

/// `.dynsym` with its names, versions and hash table.
#[derive(Debug, Clone, Default)]
pub struct SymbolTable {
    /// The part of `.dynstr` that the records point into; each name ends with a NUL.
    pub(crate) names: Box<[u8]>,
    /// One per symbol, entry 0 (the null symbol) included, so that indices are those of the file.
    pub(crate) records: Box<[SymbolRecord]>,
    /// Values and sizes; empty unless [`Facets::VALUES`](crate::parse::Facets::VALUES) was asked for.
    pub(crate) values: Box<[SymbolValue]>,
    /// Version names by version index (0 and 1 hold nothing): from verdef and verneed.
    pub(crate) versions: Vec<Option<VersionName>>,
    /// DT_GNU_HASH or DT_HASH.
    pub(crate) hash: HashTable,
    /// One more than the index of the last undefined symbol, once somebody asked for imports.
    pub(crate) undefined_end: OnceLock<u32>,
}

/// One entry of `.dynsym`, packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SymbolRecord {
    /// `st_name`, checked to point at a NUL-terminated name inside the blob.
    pub name: u32,
    /// The versym word: 15 bits of index, the top bit for hidden (`@`); 1 where there is no versym table.
    pub version: u16,
    /// `st_shndx`.
    pub section: u16,
    /// `st_info`.
    pub info: u8,
    /// `st_other`.
    pub other: u8,
}

/// `st_value` and `st_size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SymbolValue {
    /// `st_value`: an address before relocation.
    pub value: u64,
    /// `st_size` in bytes.
    pub size: u64,
}

/// What a version index of versym means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionName {
    /// The version's name: `GLIBC_2.34`.
    pub name: Name,
    /// For a needed version: index into [`Elf::version_needs`](super::Elf::version_needs).
    pub need: Option<u32>,
    /// VER_FLG_BASE: the object's own name, which versions nothing.
    pub is_base: bool,
}

/// One dynamic symbol.
#[derive(Debug, Clone, Copy)]
pub struct Symbol<'a> {
    table: &'a SymbolTable,
    record: SymbolRecord,
    /// Index in `.dynsym`.
    pub index: u32,
}

/// Whether and how strongly a symbol binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binding {
    /// STB_LOCAL.
    Local,
    /// STB_GLOBAL.
    Global,
    /// STB_WEAK.
    Weak,
    /// STB_GNU_UNIQUE.
    Unique,
    /// Any other value.
    Other(u8),
}

/// What a symbol names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SymbolKind {
    /// STT_NOTYPE.
    None,
    /// STT_OBJECT.
    Object,
    /// STT_FUNC.
    Function,
    /// STT_SECTION.
    Section,
    /// STT_FILE.
    File,
    /// STT_COMMON.
    Common,
    /// STT_TLS.
    Tls,
    /// STT_GNU_IFUNC.
    Ifunc,
    /// Any other value.
    Other(u8),
}

/// STV_*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Visibility {
    /// STV_DEFAULT.
    Default,
    /// STV_INTERNAL.
    Internal,
    /// STV_HIDDEN.
    Hidden,
    /// STV_PROTECTED.
    Protected,
}

/// A symbol's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SymbolVersion<'a> {
    /// The version node's name.
    pub name: &'a Name,
    /// The top bit of versym: `name@V`, which unversioned references do not find.
    pub is_hidden: bool,
    /// For an import: index into [`Elf::version_needs`](super::Elf::version_needs) of the record that names the version.
    pub need: Option<u32>,
}

impl SymbolTable {
    /// A table of defined global symbols, with a DT_HASH table as a linker would write it: for servers that are
    /// known by a profile only.
    #[cfg(feature = "audit")]
    pub(crate) fn of_exports(exports: &[(Name, SymbolKind)]) -> Self {
        let mut names = vec![0];
        let mut records = vec![SymbolRecord::default()];
        for (name, kind) in exports {
            let kind = match kind {
                SymbolKind::Function => elf::STT_FUNC,
                SymbolKind::Object | SymbolKind::Common => elf::STT_OBJECT,
                SymbolKind::Tls => elf::STT_TLS,
                SymbolKind::Ifunc => elf::STT_GNU_IFUNC,
                _ => elf::STT_NOTYPE,
            };
            records.push(SymbolRecord {
                name: names.len() as u32,
                version: 1,
                // Any section will do: the symbol is defined, and its address is never asked for.
                section: 1,
                info: elf::STB_GLOBAL.0 << 4 | kind.0,
                other: 0,
            });
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        let hash = HashTable::over(exports.iter().map(|(name, _)| name.as_bytes()));
        Self { names: names.into(), records: records.into(), hash, ..Self::default() }
    }

    /// Number of entries, the null symbol included.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no symbol beside the null symbol.
    pub fn is_empty(&self) -> bool {
        self.records.len() <= 1
    }

    /// The symbol at an index of `.dynsym`.
    pub fn get(&self, index: u32) -> Option<Symbol<'_>> {
        let record = *self.records.get(index as usize)?;
        Some(Symbol { table: self, record, index })
    }

    /// All symbols but the null symbol, in file order.
    pub fn iter(&self) -> impl Iterator<Item = Symbol<'_>> {
        (1..self.records.len() as u32).filter_map(|index| self.get(index))
    }

    /// Global, weak and unique symbols that another object must define.
    pub fn imports(&self) -> impl Iterator<Item = Symbol<'_>> {
        // DT_GNU_HASH covers the end of the table, so linkers put what is undefined before it: of a C++ library with 40,000
        // symbols the first thousand.
        let end = self.undefined_end.get_or_init(|| {
            let is_undefined = |record: &SymbolRecord| elf::SymbolSection(record.section) == elf::SHN_UNDEF;
            self.records.iter().rposition(is_undefined).map_or(0, |last| last as u32 + 1)
        });
        (1..*end).filter_map(|index| self.get(index)).filter(Symbol::is_import)
    }

    /// Global, weak and unique symbols that another object can bind to.
    pub fn exports(&self) -> impl Iterator<Item = Symbol<'_>> {
        self.iter().filter(Symbol::is_export)
    }

    /// The file's hash table.
    pub fn hash_table(&self) -> &HashTable {
        &self.hash
    }

    /// The exports of a name that the file's hash table leads to, in chain order, whatever their version.
    pub fn lookup<'a>(&'a self, name: &'a [u8], hashes: NameHash) -> impl Iterator<Item = Symbol<'a>> {
        self.candidates_named(name, hashes).filter(Symbol::is_export)
    }

    /// Every symbol of a name that the file's hash table leads to, in chain order: what the loader looks at
    /// one by one (glibc: `do_lookup_x`).
    pub(crate) fn candidates_named<'a, 'n>(
        &'a self,
        name: &'n [u8],
        hashes: NameHash,
    ) -> impl Iterator<Item = Symbol<'a>> + use<'a, 'n> {
        self.hash
            .candidates(name, hashes)
            .filter_map(|index| self.get(index))
            .filter(move |symbol| symbol.is_named(name))
    }

    /// [`NameHash::word`] of every name that a lookup can end at, in table order, as often as the table has it.
    #[cfg(feature = "audit")]
    pub(crate) fn hash_words(&self, visit: &mut dyn FnMut(u32)) {
        match &self.hash {
            HashTable::None => {}
            HashTable::Gnu { chains, .. } => chains.iter().for_each(|&hash| visit(hash >> 1)),
            HashTable::Sysv { .. } => {
                self.exports().for_each(|symbol| visit(NameHash::of(symbol.name()).word()));
            }
        }
    }

    /// Whether a lookup of a symbol's own name and version in this table ends at a definition: told without one where a chain of
    /// DT_GNU_HASH has the symbol.
    #[cfg(feature = "audit")]
    pub(crate) fn finds(&self, symbol: Symbol<'_>) -> bool {
        let is_chained = match &self.hash {
            HashTable::Gnu { .. } => self.hash.chained_word(symbol.index).is_some(),
            HashTable::Sysv { .. } => self
                .lookup(symbol.name(), NameHash::of(symbol.name()))
                .any(|found| found.index == symbol.index),
            HashTable::None => false,
        };
        is_chained && symbol.is_export()
    }

    /// [`NameHash::word`] of a symbol's name: what the hash table says of a definition, computed for all others.
    #[cfg(feature = "audit")]
    pub(crate) fn hash_word(&self, symbol: Symbol<'_>) -> u32 {
        self.hash.chained_word(symbol.index).unwrap_or_else(|| NameHash::of(symbol.name()).word())
    }
}

impl<'a> Symbol<'a> {
    /// Its name, without the NUL.
    pub fn name(&self) -> &'a [u8] {
        let bytes = self.table.names.get(self.record.name as usize..).unwrap_or_default();
        let end = bytes.find_byte(0).unwrap_or(bytes.len());
        bytes.get(..end).unwrap_or_default()
    }

    /// Whether its name is `name`, without looking for the end of a longer one.
    pub(crate) fn is_named(&self, name: &[u8]) -> bool {
        let bytes = self.table.names.get(self.record.name as usize..).unwrap_or_default();
        bytes.starts_with(name) && bytes.get(name.len()) == Some(&0)
    }

    /// Its binding.
    pub fn binding(&self) -> Binding {
        match elf::SymbolBind(self.record.info >> 4) {
            elf::STB_LOCAL => Binding::Local,
            elf::STB_GLOBAL => Binding::Global,
            elf::STB_WEAK => Binding::Weak,
            elf::STB_GNU_UNIQUE => Binding::Unique,
            other => Binding::Other(other.0),
        }
    }

    /// What it names.
    pub fn kind(&self) -> SymbolKind {
        match elf::SymbolType(self.record.info & 0xf) {
            elf::STT_NOTYPE => SymbolKind::None,
            elf::STT_OBJECT => SymbolKind::Object,
            elf::STT_FUNC => SymbolKind::Function,
            elf::STT_SECTION => SymbolKind::Section,
            elf::STT_FILE => SymbolKind::File,
            elf::STT_COMMON => SymbolKind::Common,
            elf::STT_TLS => SymbolKind::Tls,
            elf::STT_GNU_IFUNC => SymbolKind::Ifunc,
            other => SymbolKind::Other(other.0),
        }
    }

    /// Its visibility.
    pub fn visibility(&self) -> Visibility {
        match elf::SymbolOther(self.record.other).visibility() {
            elf::STV_INTERNAL => Visibility::Internal,
            elf::STV_HIDDEN => Visibility::Hidden,
            elf::STV_PROTECTED => Visibility::Protected,
            _ => Visibility::Default,
        }
    }

    /// `st_shndx`.
    pub fn section(&self) -> u16 {
        self.record.section
    }

    /// Whether the object defines it (`st_shndx` is not SHN_UNDEF).
    pub fn is_defined(&self) -> bool {
        elf::SymbolSection(self.record.section) != elf::SHN_UNDEF
    }

    /// Whether its binding is one that the loader looks at.
    fn is_global(&self) -> bool {
        matches!(self.binding(), Binding::Global | Binding::Weak | Binding::Unique)
    }

    /// Whether another object must define it.
    pub fn is_import(&self) -> bool {
        !self.is_defined() && self.is_global()
    }

    /// Whether another object can bind to it: defined, global, and neither hidden nor internal
    /// (glibc: `do_lookup_x` skips those).
    pub fn is_export(&self) -> bool {
        self.is_defined()
            && self.is_global()
            && matches!(self.visibility(), Visibility::Default | Visibility::Protected)
    }

    /// Its version, where the file gives it one that is not the base version.
    pub fn version(&self) -> Option<SymbolVersion<'a>> {
        let index = usize::from(elf::VersymIndex(self.record.version).index().0);
        let version = self.table.versions.get(index)?.as_ref()?;
        (!version.is_base).then_some(SymbolVersion {
            name: &version.name,
            is_hidden: elf::VersymIndex(self.record.version).is_hidden(),
            need: version.need,
        })
    }

    /// The raw versym word.
    pub fn version_word(&self) -> u16 {
        self.record.version
    }

    /// `st_value` and `st_size`, where they were asked for.
    pub fn value(&self) -> Option<SymbolValue> {
        self.table.values.get(self.index as usize).copied()
    }
}
