//! The dynamic symbols of one object, compact: 12 bytes a symbol and one blob of names, because a tree and
//! its libraries bring a million of them. The hash table of the file is kept as it is, since what the loader
//! cannot find through it does not exist for the loader.

use std::sync::OnceLock;

use bstr::ByteSlice as _;
use object::elf;

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

/// The file's own symbol hash table.
#[derive(Debug, Clone, Default)]
pub enum HashTable {
    /// Neither DT_GNU_HASH nor DT_HASH: the loader finds nothing in this object.
    #[default]
    None,
    /// DT_GNU_HASH.
    Gnu {
        /// `symoffset`: first symbol that the table covers.
        first: u32,
        /// `bloom_shift`.
        shift: u32,
        /// Bits of one bloom word: 32 or 64.
        word_bits: u32,
        /// The bloom filter.
        bloom: Box<[u64]>,
        /// First symbol of each chain, or 0.
        buckets: Box<[u32]>,
        /// Hashes from `first` on, lowest bit set at the end of a chain.
        chains: Box<[u32]>,
    },
    /// DT_HASH.
    Sysv {
        /// First symbol of each chain, or 0.
        buckets: Box<[u32]>,
        /// Next symbol, or 0.
        chains: Box<[u32]>,
    },
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
    /// The verneed record it belongs to, for an import.
    pub need: Option<u32>,
}

impl SymbolTable {
    /// A table of defined global symbols, with a DT_HASH table as a linker would write it: for servers that are
    /// known by a profile only.
    #[cfg(feature = "audit")]
    pub(crate) fn of_exports(exports: &[(Name, SymbolKind)]) -> Self {
        let mut names = vec![0];
        let mut records = vec![SymbolRecord::default()];
        let buckets_count = (exports.len() / 4).max(1);
        let (mut buckets, mut chains) = (vec![0; buckets_count], vec![0]);
        for (name, kind) in exports {
            let kind = match kind {
                SymbolKind::Function => elf::STT_FUNC,
                SymbolKind::Object | SymbolKind::Common => elf::STT_OBJECT,
                SymbolKind::Tls => elf::STT_TLS,
                SymbolKind::Ifunc => elf::STT_GNU_IFUNC,
                _ => elf::STT_NOTYPE,
            };
            let index = records.len() as u32;
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
            let bucket = NameHash::sysv(name.as_bytes()) as usize % buckets_count;
            chains.push(std::mem::replace(&mut buckets[bucket], index));
        }
        let hash = HashTable::Sysv { buckets: buckets.into(), chains: chains.into() };
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

    /// Whether the hash table tells how many symbols there are. GNU ld writes an empty one for a program without
    /// exports; the count is then the highest symbol that a relocation uses.
    pub(crate) fn has_counting_hash(&self) -> bool {
        match &self.hash {
            HashTable::None => false,
            HashTable::Gnu { first, chains, .. } => *first > 1 || !chains.is_empty(),
            HashTable::Sysv { .. } => true,
        }
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
        self.candidates(name, hashes)
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
            HashTable::Gnu { first, chains, .. } => {
                symbol.index.checked_sub(*first).is_some_and(|at| (at as usize) < chains.len())
            }
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
        let kept = match &self.hash {
            HashTable::Gnu { first, chains, .. } => {
                symbol.index.checked_sub(*first).and_then(|at| chains.get(at as usize))
            }
            HashTable::Sysv { .. } | HashTable::None => None,
        };
        kept.map_or_else(|| NameHash::of(symbol.name()).word(), |hash| hash >> 1)
    }

    /// The indices along the chain of a name's bucket.
    fn candidates(&self, name: &[u8], hashes: NameHash) -> Chain<'_> {
        match &self.hash {
            HashTable::None => Chain::End,
            HashTable::Gnu { first, shift, word_bits, bloom, buckets, chains } => {
                let hash = hashes.gnu;
                // The filter turns away nearly every name of every object of a scope, so it does without divisions
                // wherever the table is as the linkers write it: a power of two of words.
                let words = bloom.len();
                let at = (hash >> word_bits.trailing_zeros()) as usize;
                let at = if words.is_power_of_two() { at & (words - 1) } else { at % words.max(1) };
                let word = bloom.get(at);
                let bit = |hash: u32| 1_u64 << (hash & (word_bits - 1));
                let mask = bit(hash) | bit(hash.checked_shr(*shift).unwrap_or(0));
                if word.is_none_or(|word| word & mask != mask) || buckets.is_empty() {
                    return Chain::End;
                }
                match buckets.get(hash as usize % buckets.len()) {
                    Some(&start) if start >= *first && start != 0 => {
                        Chain::Gnu { hash, first: *first, index: start, chains }
                    }
                    _ => Chain::End,
                }
            }
            HashTable::Sysv { buckets, chains } => {
                if buckets.is_empty() {
                    return Chain::End;
                }
                let start = buckets.get(NameHash::sysv(name) as usize % buckets.len()).copied().unwrap_or(0);
                // A chain visits each symbol at most once in a sound file, so its length bounds a cyclic one.
                Chain::Sysv { index: start, chains, left: chains.len() }
            }
        }
    }
}

/// A walk along one hash chain.
enum Chain<'a> {
    End,
    Gnu { hash: u32, first: u32, index: u32, chains: &'a [u32] },
    Sysv { index: u32, chains: &'a [u32], left: usize },
}

impl Iterator for Chain<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match self {
            Self::End => None,
            Self::Gnu { hash, first, index, chains } => loop {
                let current = *index;
                let Some(&word) = chains.get((current - *first) as usize) else {
                    *self = Self::End;
                    return None;
                };
                let (found, last) = ((word ^ *hash) >> 1 == 0, word & 1 == 1);
                *index += 1;
                if last {
                    *self = Self::End;
                    return found.then_some(current);
                }
                if found {
                    return Some(current);
                }
            },
            Self::Sysv { index, chains, left } => {
                let current = *index;
                if current == 0 || *left == 0 {
                    return None;
                }
                *left -= 1;
                *index = chains.get(current as usize).copied().unwrap_or(0);
                Some(current)
            }
        }
    }
}

/// The hash of one name, computed once and used against many objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NameHash {
    /// The DT_GNU_HASH function.
    pub gnu: u32,
}

impl NameHash {
    /// Hashes a name without its NUL.
    pub fn of(name: &[u8]) -> Self {
        Self { gnu: elf::gnu_hash(name) }
    }

    /// What a chain of DT_GNU_HASH keeps of it: all but the lowest bit, which says where the chain ends.
    #[cfg(feature = "audit")]
    pub(crate) fn word(self) -> u32 {
        self.gnu >> 1
    }

    /// The DT_HASH function (System V ABI, "Hash Table"), which is computed where a table asks for it: hardly any file
    /// has no other.
    pub fn sysv(name: &[u8]) -> u32 {
        elf::hash(name)
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
