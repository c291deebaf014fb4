//! DT_GNU_HASH and DT_HASH: how the loader finds a name, and for lack of a count the only place that tells how
//! many dynamic symbols there are (`_dl_setup_hash` of ld.so, which prefers DT_GNU_HASH).
//!
//! ```text
//! DT_GNU_HASH  nbuckets:u32 symoffset:u32 bloom_size:u32 bloom_shift:u32
//!              bloom[bloom_size]:word  buckets[nbuckets]:u32  chains[symbols - symoffset]:u32
//! DT_HASH      nbucket nchain bucket[nbucket] chain[nchain], all u32; u64 on 64-bit s390 and on Alpha
//! ```

use object::elf;

use super::dynamic::Dynamic;
use super::memory::{Memory, Region};
use crate::error::FileError;
use crate::limits;
use crate::model::HashTable;

/// A hash table and what it says of the number of symbols.
pub(crate) struct Hash {
    pub(crate) table: HashTable,
    /// One more than the highest symbol that the table tells of, or nothing where it tells of none.
    pub(crate) symbols: Option<u32>,
}

/// Reads the table that the loader would use.
pub(crate) fn read(memory: Memory<'_>, dynamic: &Dynamic) -> Result<Hash, FileError> {
    if let Some(address) = dynamic.value(elf::DT_GNU_HASH) {
        let mut hash = gnu(memory, dynamic, address)?;
        // An empty table of GNU ld says nothing about the undefined symbols; DT_HASH beside it does.
        if hash.symbols.is_none()
            && let Some(address) = dynamic.value(elf::DT_HASH)
        {
            hash.symbols = sysv(memory, dynamic, address)?.symbols;
        }
        return Ok(hash);
    }
    if let Some(address) = dynamic.value(elf::DT_HASH) {
        return sysv(memory, dynamic, address);
    }
    Ok(Hash { table: HashTable::None, symbols: None })
}

/// What is read first where nothing tells the length.
const EXPECTED: u64 = 4096;

/// The longest stretch read ahead on the strength of a guess.
const LONGEST_GUESS: u64 = 4 << 20;

fn open<'a>(
    memory: Memory<'a>,
    dynamic: &Dynamic,
    address: u64,
    what: &'static str,
) -> Result<Region<'a>, FileError> {
    let expected = dynamic.gap_after(address).filter(|&gap| gap <= LONGEST_GUESS).unwrap_or(EXPECTED);
    Region::open(memory, address, expected, what)
}

fn gnu(memory: Memory<'_>, dynamic: &Dynamic, address: u64) -> Result<Hash, FileError> {
    let encoding = memory.encoding();
    let mut region = open(memory, dynamic, address, "DT_GNU_HASH")?;
    let start = region.file_offset();
    let header = encoding.u32s(region.get(0, 16)?);
    let &[bucket_count, first, bloom_count, shift] = &*header else {
        return Err(odd("has no header", start));
    };
    within_limit("DT_GNU_HASH", bucket_count.max(bloom_count), start)?;
    // ld.so asserts the first; the second keeps the first bucket's division sound.
    if !bloom_count.is_power_of_two() {
        return Err(odd(&format!("has {bloom_count} bloom words, not a power of two"), start + 8));
    }
    if bucket_count == 0 {
        return Err(odd("has no buckets", start));
    }
    let word = encoding.word_size() as u64;
    let buckets_at = 16 + u64::from(bloom_count) * word;
    let chains_at = buckets_at + u64::from(bucket_count) * 4;
    let bloom = encoding.words(region.get(16, u64::from(bloom_count) * word)?);
    let buckets = encoding.u32s(region.get(buckets_at, u64::from(bucket_count) * 4)?);
    let highest = buckets.iter().copied().max().unwrap_or(0);
    let (chains, symbols) = if highest == 0 {
        // lld writes the number of all symbols into symoffset then, GNU ld a 1: believe more than that only.
        (Box::default(), (first > 1).then_some(first))
    } else {
        let Some(known) = highest.checked_sub(first) else {
            return Err(odd(&format!("has a bucket for symbol {highest}, below its first, {first}"), start));
        };
        within_limit("DT_GNU_HASH", highest, start)?;
        // The last chain ends at the word with its lowest bit set.
        let mut last = known;
        loop {
            let end = region.get(chains_at + u64::from(last) * 4, 4)?;
            if encoding.u32(end, 0).is_some_and(|word| word & 1 == 1) {
                break;
            }
            last += 1;
            within_limit("DT_GNU_HASH", last, start)?;
        }
        let chains = encoding.u32s(region.get(chains_at, (u64::from(last) + 1) * 4)?);
        starts_follow_ends(first, &buckets, &chains).map_err(|clause| odd(clause, start))?;
        (chains, Some(first.saturating_add(last).saturating_add(1)))
    };
    let word_bits = word as u32 * 8;
    Ok(Hash { table: HashTable::Gnu { first, shift, word_bits, bloom, buckets, chains }, symbols })
}

/// Each chain must begin where another ended: then no lookup walks through several.
fn starts_follow_ends(first: u32, buckets: &[u32], chains: &[u32]) -> Result<(), &'static str> {
    for &bucket in buckets.iter().filter(|&&bucket| bucket != 0) {
        let Some(index) = bucket.checked_sub(first) else {
            return Err("has a bucket below its first symbol");
        };
        let before = index.checked_sub(1).and_then(|before| chains.get(before as usize));
        if index != 0 && before.is_none_or(|word| word & 1 == 0) {
            return Err("has a bucket that leads into the middle of a chain");
        }
    }
    Ok(())
}

fn sysv(memory: Memory<'_>, dynamic: &Dynamic, address: u64) -> Result<Hash, FileError> {
    let encoding = memory.encoding();
    let machine = memory.target().machine;
    let wide = encoding.is_64() && matches!(machine, elf::EM_S390 | elf::EM_ALPHA);
    let word = if wide { 8 } else { 4 };
    let mut region = open(memory, dynamic, address, "DT_HASH")?;
    let start = region.file_offset();
    let mut words = |offset: u64, count: u64| -> Result<Box<[u32]>, FileError> {
        let bytes = region.get(offset * word, count * word)?;
        if wide {
            // The values are symbol indices, so the upper half is zero in a sound file.
            Ok(encoding.words(bytes).iter().map(|&word| word.try_into().unwrap_or(u32::MAX)).collect())
        } else {
            Ok(encoding.u32s(bytes))
        }
    };
    let header = words(0, 2)?;
    let &[bucket_count, chain_count] = &*header else { return Err(odd("has no header", start)) };
    within_limit("DT_HASH", bucket_count.max(chain_count), start)?;
    let buckets = words(2, u64::from(bucket_count))?;
    let chains = words(2 + u64::from(bucket_count), u64::from(chain_count))?;
    if !each_symbol_once(&buckets, &chains) {
        return Err(FileError::malformed("DT_HASH has chains that meet, run in a circle or leave the table")
            .at(start));
    }
    Ok(Hash { table: HashTable::Sysv { buckets, chains }, symbols: Some(chain_count) })
}

/// Whether following every chain to its end meets each symbol at most once.
fn each_symbol_once(buckets: &[u32], chains: &[u32]) -> bool {
    let mut seen = vec![false; chains.len()];
    buckets.iter().all(|&start| {
        let mut index = start;
        while index != 0 {
            match seen.get_mut(index as usize) {
                Some(seen) if !*seen => *seen = true,
                _ => return false,
            }
            index = chains[index as usize];
        }
        true
    })
}

fn within_limit(what: &str, count: u32, start: u64) -> Result<(), FileError> {
    if count as usize <= limits::HASH_WORDS {
        return Ok(());
    }
    Err(FileError::limit(format!("{what} has {count} words, more than {}", limits::HASH_WORDS)).at(start))
}

fn odd(clause: &str, start: u64) -> FileError {
    FileError::malformed(format!("DT_GNU_HASH {clause}")).at(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_of_chains_is_refused() {
        assert!(each_symbol_once(&[1, 0], &[0, 2, 0]));
        assert!(!each_symbol_once(&[1, 0], &[0, 2, 1]), "1 → 2 → 1");
        assert!(!each_symbol_once(&[1, 2], &[0, 2, 0]), "two buckets share symbol 2");
        assert!(!each_symbol_once(&[7], &[0, 0]), "outside");
    }

    #[test]
    fn a_bucket_inside_a_chain_is_refused() {
        assert!(starts_follow_ends(1, &[1, 3], &[2, 3, 5]).is_ok());
        assert!(starts_follow_ends(1, &[1, 2], &[2, 3, 5]).is_err());
        assert!(starts_follow_ends(3, &[1], &[1]).is_err());
    }
}
