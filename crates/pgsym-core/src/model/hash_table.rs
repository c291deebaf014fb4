//! The symbol hash table of an object, kept as it stands in the file, since what the loader cannot find through it does not
//! exist for the loader (glibc: `do_lookup_x`; System V ABI, "Hash Table").

use object::elf;

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

impl HashTable {
    /// A DT_HASH table as a linker would write it over symbols with these names, the first of which has the index 1.
    pub(crate) fn over<'n>(names: impl DoubleEndedIterator<Item = &'n [u8]> + ExactSizeIterator) -> Self {
        let count = names.len() + 1;
        let (mut buckets, mut chains) = (vec![0; count], vec![0; count]);
        for (index, name) in names.enumerate().rev() {
            let first = &mut buckets[NameHash::sysv(name) as usize % count];
            chains[index + 1] = std::mem::replace(first, index as u32 + 1);
        }
        Self::Sysv { buckets: buckets.into(), chains: chains.into() }
    }

    /// Whether the table tells how many symbols there are. GNU ld writes an empty one for a program without exports; the
    /// count is then the highest symbol that a relocation uses.
    pub(crate) fn is_counting(&self) -> bool {
        match self {
            Self::None => false,
            Self::Gnu { first, chains, .. } => *first > 1 || !chains.is_empty(),
            Self::Sysv { .. } => true,
        }
    }

    /// [`NameHash::word`] of the symbol of an index, where a chain of DT_GNU_HASH has the symbol.
    #[cfg(feature = "audit")]
    pub(super) fn chained_word(&self, index: u32) -> Option<u32> {
        let Self::Gnu { first, chains, .. } = self else { return None };
        chains.get(index.checked_sub(*first)? as usize).map(|hash| hash >> 1)
    }

    /// The indices of the symbols along the chain of a name's bucket.
    pub(super) fn candidates(&self, name: &[u8], hashes: NameHash) -> Chain<'_> {
        match self {
            Self::None => Chain::End,
            Self::Gnu { first, shift, word_bits, bloom, buckets, chains } => {
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
            Self::Sysv { buckets, chains } => {
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
pub(super) enum Chain<'a> {
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
