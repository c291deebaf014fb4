//! The two symbol hash tables: the System V ABI's (`DT_HASH`) and GNU's (`DT_GNU_HASH`).
//!
//! ```text
//! DT_HASH      nbucket, nchain, bucket[nbucket], chain[nchain]           u32, on s390x u64
//! DT_GNU_HASH  nbuckets, symoffset, bloom_size, bloom_shift              u32
//!              bloom[bloom_size]                                         word
//!              buckets[nbuckets], chain[symbols - symoffset]             u32; bit 0 of a chain value ends it
//! ```

use super::damage::{Damage, find};
use super::encoding::Sink;
use super::plan::Symbol;

/// The System V hash, also used for version names.
pub(crate) fn sysv(name: &[u8]) -> u32 {
    name.iter().fold(0, |hash: u32, &byte| {
        let hash = (hash << 4).wrapping_add(u32::from(byte));
        (hash ^ ((hash & 0xf000_0000) >> 24)) & 0x0fff_ffff
    })
}

/// GNU's hash.
pub(crate) fn gnu(name: &[u8]) -> u32 {
    name.iter().fold(5381, |hash: u32, &byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)))
}

/// Buckets for this many defined symbols.
pub(crate) fn gnu_buckets(defined: usize) -> u32 {
    (defined as u32 / 4).max(1)
}

/// Writes DT_HASH over all symbols; `symbols` lack the null symbol.
pub(crate) fn write_sysv(sink: &mut Sink, symbols: &[Symbol], entry_size: u64, damage: &[Damage]) {
    let bucket_count = (symbols.len() / 2).max(1);
    let mut buckets = vec![0u64; bucket_count];
    let mut chain = vec![0u64; symbols.len() + 1];
    for (position, symbol) in symbols.iter().enumerate().rev() {
        let bucket = sysv(&symbol.name) as usize % bucket_count;
        chain[position + 1] = buckets[bucket];
        buckets[bucket] = position as u64 + 1;
    }
    let header = [
        find!(damage, HashBuckets).map_or(bucket_count as u64, u64::from),
        find!(damage, HashChains).map_or(chain.len() as u64, u64::from),
    ];
    for value in header.into_iter().chain(buckets).chain(chain) {
        if entry_size == 8 {
            sink.u64(value);
        } else {
            sink.u32(value as u32);
        }
    }
}

/// Writes DT_GNU_HASH; defined symbols start at `imports` and are sorted by bucket.
pub(crate) fn write_gnu(sink: &mut Sink, symbols: &[Symbol], imports: usize, damage: &[Damage]) {
    const SHIFT: u32 = 26;
    let defined = &symbols[imports..];
    let bucket_count = gnu_buckets(defined.len());
    let word_bits = sink.encoding.word_size() as u32 * 8;
    let bloom_size = (defined.len() as u32 * 12 / word_bits).next_power_of_two().max(1);
    let symbol_offset = imports as u32 + 1;

    let mut bloom = vec![0u64; bloom_size as usize];
    let mut buckets = vec![0u32; bucket_count as usize];
    let mut chain = Vec::with_capacity(defined.len());
    for (position, symbol) in defined.iter().enumerate() {
        let hash = gnu(&symbol.name);
        let word = &mut bloom[(hash / word_bits % bloom_size) as usize];
        *word |= 1 << (hash % word_bits) | 1 << ((hash >> SHIFT) % word_bits);
        let bucket = &mut buckets[(hash % bucket_count) as usize];
        if *bucket == 0 {
            *bucket = symbol_offset + position as u32;
        }
        let ends = defined
            .get(position + 1)
            .is_none_or(|next| gnu(&next.name) % bucket_count != hash % bucket_count);
        let endless = damage.iter().any(|damage| matches!(damage, Damage::GnuHashChainsUnterminated));
        chain.push(hash & !1 | u32::from(ends && !endless));
    }

    sink.u32(find!(damage, GnuHashBuckets).unwrap_or(bucket_count))
        .u32(find!(damage, GnuHashSymbolOffset).unwrap_or(symbol_offset))
        .u32(find!(damage, GnuHashBloomSize).unwrap_or(bloom_size))
        .u32(SHIFT);
    for word in bloom {
        sink.word(word);
    }
    for value in buckets.into_iter().chain(chain) {
        sink.u32(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_specifications() {
        // The vectors that the GNU hash proposal and the gABI's commentaries print.
        assert_eq!(sysv(b"printf"), 0x0779_05a6);
        assert_eq!(gnu(b"printf"), 0x156b_2bb8);
        assert_eq!(gnu(b""), 5381);
        assert_eq!(sysv(b""), 0);
    }
}
