//! `/etc/ld.so.cache`, read natively in both formats (glibc: sysdeps/generic/dl-cache.h). It answers a soname with
//! one path; the loader trusts it for where, and nothing else.

use std::ops::Range;
use std::path::Path;

use bstr::ByteSlice as _;
use object::elf;

use crate::error::FileError;
use crate::fs::Fs;
use crate::limits;
use crate::model::{Class, Endian, NameHash, Table, Target};
use crate::name::{Name, bytes_as_path};

/// Where ldconfig puts the cache.
pub const LD_SO_CACHE: &str = "/etc/ld.so.cache";

/// The entries of a cache that fit one machine.
#[derive(Debug, Clone)]
pub struct LdSoCache {
    /// The bytes that offsets count from.
    bytes: Box<[u8]>,
    /// By the hash of the soname; of one hash in the order of the file.
    entries: Vec<Entry>,
}

/// One entry. A run asks for a few hundred of a thousand: names and paths stay where they stand in the file.
#[derive(Debug, Clone)]
struct Entry {
    hash: u32,
    soname: Range<usize>,
    path: Range<usize>,
    /// The `glibc-hwcaps` subdirectory that it is for.
    hwcaps: Option<Name>,
}

// The new format's header (48 bytes), then 24 bytes an entry:
//
//   0   17  "glibc-ld.so.cache"          0  4  flags: what kind of library
//  17    3  "1.1"                        4  4  key: offset of the soname
//  20    4  nlibs                        8  4  value: offset of the path
//  24    4  len_strings                 12  4  osversion
//  28    1  flags: byte order in bits 0-1   16  8  hwcap
//  32    4  extension_offset
//
// Offsets count from the start of this header. An old-format file puts its own header ("ld.so-1.7.0", the number
// of entries at 12, 12 bytes each from 16 on) before it; the new one then starts at the next multiple of 8.
const NEW_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const NEW_HEADER: usize = 48;
const NEW_ENTRY: usize = 24;
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
const TAG_GLIBC_HWCAPS: u32 = 1;
/// DL_CACHE_HWCAP_EXTENSION: the low half of `hwcap` is an index into the list of subdirectories.
const HWCAP_EXTENSION: u64 = 1 << 62;
/// DL_CACHE_HWCAP_ISA_LEVEL_MASK and its place.
const HWCAP_ISA_LEVEL: u64 = 0x3ff << 32;

impl LdSoCache {
    /// Reads the cache of a tree, keeping what a process of `target` would take.
    pub fn read(fs: &dyn Fs, target: Target) -> Table<Self> {
        let path = Path::new(LD_SO_CACHE);
        match fs.metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Table::Absent,
            Err(error) => Table::Unreadable(error.into()),
            Ok(_) => fs
                .read_small(path, limits::LD_SO_CACHE_BYTES)
                .and_then(|bytes| Self::parse(&bytes, target))
                .into(),
        }
    }

    /// Parses the bytes of a cache. Fails where they are of neither format, end too early, or have more than
    /// [`limits::LD_SO_CACHE_ENTRIES`] entries.
    pub fn parse(bytes: &[u8], target: Target) -> Result<Self, FileError> {
        let start = new_header(bytes)?;
        let bytes = bytes.get(start..).unwrap_or_default();
        if bytes.starts_with(NEW_MAGIC) {
            Self::parse_new(bytes, target)
        } else {
            Self::parse_old(bytes, target)
        }
    }

    fn parse_new(bytes: &[u8], target: Target) -> Result<Self, FileError> {
        let truncated = || FileError::too_short("the cache ends inside its header");
        let word = Words { bytes, endian: byte_order(*bytes.get(28).ok_or_else(truncated)?, target) };
        let count = word.u32(20).ok_or_else(truncated)? as usize;
        check_count(count)?;
        let hwcaps = word.u32(32).map(|offset| hwcaps_list(&word, offset as usize)).unwrap_or_default();
        let mut entries = Vec::with_capacity(count.min(bytes.len() / NEW_ENTRY));
        for index in 0..count {
            let at = NEW_HEADER + index * NEW_ENTRY;
            let (Some(flags), Some(key), Some(value), Some(hwcap)) =
                (word.u32(at), word.u32(at + 4), word.u32(at + 8), word.u64(at + 16))
            else {
                return Err(FileError::too_short("the cache ends inside its entries").at(at as u64));
            };
            let subdirectory = if hwcap == 0 {
                None
            } else if hwcap & HWCAP_EXTENSION != 0
                && hwcap & !(HWCAP_EXTENSION | HWCAP_ISA_LEVEL | 0xffff_ffff) == 0
            {
                match hwcaps.get((hwcap & 0xffff_ffff) as usize) {
                    Some(name) => Some(name.clone()),
                    None => continue,
                }
            } else {
                // A legacy hwcap bit: no distribution that modelled servers run on writes them any more.
                continue;
            };
            entries.extend(word.entry(flags, key, value, subdirectory, target));
        }
        Ok(Self::new(bytes, entries))
    }

    fn parse_old(bytes: &[u8], target: Target) -> Result<Self, FileError> {
        let word = Words { bytes, endian: target.endian };
        let count =
            word.u32(12).ok_or_else(|| FileError::too_short("the cache ends inside its header"))? as usize;
        check_count(count)?;
        let strings = OLD_HEADER + count * OLD_ENTRY;
        let words = Words { bytes: bytes.get(strings..).unwrap_or_default(), endian: target.endian };
        let mut entries = Vec::with_capacity(count.min(bytes.len() / OLD_ENTRY));
        for index in 0..count {
            let at = OLD_HEADER + index * OLD_ENTRY;
            let (Some(flags), Some(key), Some(value)) = (word.u32(at), word.u32(at + 4), word.u32(at + 8))
            else {
                return Err(FileError::too_short("the cache ends inside its entries").at(at as u64));
            };
            entries.extend(words.entry(flags, key, value, None, target));
        }
        Ok(Self::new(words.bytes, entries))
    }

    fn new(bytes: &[u8], mut entries: Vec<Entry>) -> Self {
        entries.sort_by_key(|entry| entry.hash);
        Self { bytes: bytes.into(), entries }
    }

    /// The entries of a soname, in the order of the file.
    fn entries_of<'c>(&'c self, soname: &'c Name) -> impl Iterator<Item = &'c Entry> + Clone {
        let hash = NameHash::of(soname.as_bytes()).gnu;
        let start = self.entries.partition_point(|entry| entry.hash < hash);
        let same_hash =
            self.entries.get(start..).unwrap_or_default().iter().take_while(move |entry| entry.hash == hash);
        same_hash.filter(|entry| self.bytes.get(entry.soname.clone()) == Some(soname.as_bytes()))
    }

    /// The path that the cache gives for a soname: the entry of the best supported `glibc-hwcaps` subdirectory, else
    /// the plain one (elf/dl-cache.c `search_cache`).
    pub fn lookup(&self, soname: &Name, hwcaps: &[Name]) -> Option<&Path> {
        let rank = |entry: &&Entry| match &entry.hwcaps {
            Some(name) => hwcaps.iter().position(|supported| supported == name),
            None => Some(hwcaps.len()),
        };
        // `min_by_key` keeps the first of equals: the loader's choice among plain duplicates.
        let best = self.entries_of(soname).filter(|entry| rank(entry).is_some()).min_by_key(rank)?;
        self.bytes.get(best.path.clone()).map(bytes_as_path)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Where the new header starts, or 0 for a file that has only the old one.
fn new_header(bytes: &[u8]) -> Result<usize, FileError> {
    if bytes.starts_with(NEW_MAGIC) {
        return Ok(0);
    }
    if !bytes.starts_with(OLD_MAGIC) {
        return Err(FileError::malformed(
            "neither of the two magic strings of ld.so.cache stands at its start",
        ));
    }
    let count =
        bytes.get(12..16).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes) as usize;
    let after = count
        .checked_mul(OLD_ENTRY)
        .and_then(|size| size.checked_add(OLD_HEADER + 7))
        .map_or(0, |end| end & !7);
    Ok(if bytes.get(after..).is_some_and(|rest| rest.starts_with(NEW_MAGIC)) { after } else { 0 })
}

fn check_count(count: usize) -> Result<(), FileError> {
    if count > limits::LD_SO_CACHE_ENTRIES {
        return Err(FileError::limit(format!("the cache claims {count} entries")));
    }
    Ok(())
}

/// The byte order that the header's flags give: 2 little, 3 big, else the machine's own.
fn byte_order(flags: u8, target: Target) -> Endian {
    match flags & 3 {
        2 => Endian::Little,
        3 => Endian::Big,
        _ => target.endian,
    }
}

/// The `glibc-hwcaps` names of the extension section.
fn hwcaps_list(word: &Words<'_>, offset: usize) -> Vec<Name> {
    if offset == 0 || word.u32(offset) != Some(EXTENSION_MAGIC) {
        return Vec::new();
    }
    let sections = word.u32(offset + 4).unwrap_or(0).min(64) as usize;
    let Some(section) = (0..sections)
        .map(|index| offset + 8 + index * 16)
        .find(|&section| word.u32(section) == Some(TAG_GLIBC_HWCAPS))
    else {
        return Vec::new();
    };
    let (Some(at), Some(size)) = (word.u32(section + 8), word.u32(section + 12)) else { return Vec::new() };
    (0..size as usize / 4)
        .map_while(|index| word.string(word.u32(at as usize + index * 4)?))
        .filter_map(|place| word.bytes.get(place).map(Name::from))
        .collect()
}

/// `_DL_CACHE_DEFAULT_ID`: the flags of libraries that a machine takes (sysdeps/*/dl-cache.h).
fn cache_flags(target: Target) -> u32 {
    match (target.machine, target.class) {
        (elf::EM_X86_64, Class::Bits64) => 0x0303,
        (elf::EM_X86_64, Class::Bits32) => 0x0803,
        (elf::EM_AARCH64, _) => 0x0a03,
        (elf::EM_PPC64, _) => 0x0503,
        (elf::EM_S390, Class::Bits64) => 0x0403,
        (elf::EM_RISCV, Class::Bits64) => 0x1003,
        // FLAG_ARM_LIBHF.
        (elf::EM_ARM, _) => 0x0903,
        _ => 0x0003,
    }
}

/// Checked reads of a cache's words and strings.
struct Words<'a> {
    bytes: &'a [u8],
    endian: Endian,
}

impl Words<'_> {
    fn u32(&self, at: usize) -> Option<u32> {
        let word = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(match self.endian {
            Endian::Little => u32::from_le_bytes(word),
            Endian::Big => u32::from_be_bytes(word),
        })
    }

    fn u64(&self, at: usize) -> Option<u64> {
        let word = self.bytes.get(at..at.checked_add(8)?)?.try_into().ok()?;
        Some(match self.endian {
            Endian::Little => u64::from_le_bytes(word),
            Endian::Big => u64::from_be_bytes(word),
        })
    }

    /// Where the string at an offset stands, without its zero byte.
    fn string(&self, at: u32) -> Option<Range<usize>> {
        let at = at as usize;
        let bytes = self.bytes.get(at..)?;
        let window = bytes.get(..limits::LD_SO_CACHE_STRING_BYTES).unwrap_or(bytes);
        Some(at..at + window.find_byte(0)?)
    }

    /// An entry that a machine takes. One whose strings lie outside is skipped, as `_dl_cache_verify_ptr` makes the loader
    /// do.
    fn entry(&self, flags: u32, key: u32, value: u32, hwcaps: Option<Name>, target: Target) -> Option<Entry> {
        if flags != 1 && flags != cache_flags(target) {
            return None;
        }
        let soname = self.string(key)?;
        let hash = NameHash::of(self.bytes.get(soname.clone())?).gnu;
        Some(Entry { hash, soname, path: self.string(value)?, hwcaps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache in the new format: (flags, hwcap, soname, path), with one hwcaps subdirectory.
    fn cache(entries: &[(u32, u64, &str, &str)], hwcaps: &str) -> Vec<u8> {
        let strings_at = NEW_HEADER + entries.len() * NEW_ENTRY;
        let mut strings = Vec::new();
        let mut table = Vec::new();
        let mut intern = |text: &str| {
            let at = (strings_at + strings.len()) as u32;
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at
        };
        for (flags, hwcap, key, value) in entries {
            table.extend_from_slice(&flags.to_le_bytes());
            table.extend_from_slice(&intern(key).to_le_bytes());
            table.extend_from_slice(&intern(value).to_le_bytes());
            table.extend_from_slice(&0_u32.to_le_bytes());
            table.extend_from_slice(&hwcap.to_le_bytes());
        }
        let name = intern(hwcaps);
        while !(strings_at + strings.len()).is_multiple_of(4) {
            strings.push(0);
        }
        let extension = (strings_at + strings.len()) as u32;
        let mut bytes = NEW_MAGIC.to_vec();
        for word in [entries.len() as u32, strings.len() as u32, 2, extension, 0, 0, 0] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&table);
        bytes.extend_from_slice(&strings);
        for word in [EXTENSION_MAGIC, 1, TAG_GLIBC_HWCAPS, 0, extension + 24, 4, name] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_plain_entry_answers_its_soname() {
        let bytes = cache(&[(0x0303, 0, "libz.so.1", "/lib/libz.so.1")], "x86-64-v3");
        let cache = LdSoCache::parse(&bytes, Target::X86_64).unwrap();
        assert_eq!(cache.lookup(&Name::from("libz.so.1"), &[]), Some(Path::new("/lib/libz.so.1")));
        assert_eq!(cache.lookup(&Name::from("libz.so"), &[]), None);
    }

    #[test]
    fn a_supported_hwcaps_entry_beats_the_plain_one() {
        let entries = [
            (0x0303, 0, "libz.so.1", "/lib/libz.so.1"),
            (0x0303, HWCAP_EXTENSION, "libz.so.1", "/lib/v3/libz.so.1"),
        ];
        let cache = LdSoCache::parse(&cache(&entries, "x86-64-v3"), Target::X86_64).unwrap();
        let name = Name::from("libz.so.1");
        assert_eq!(cache.lookup(&name, &[]), Some(Path::new("/lib/libz.so.1")));
        assert_eq!(cache.lookup(&name, &[Name::from("x86-64-v3")]), Some(Path::new("/lib/v3/libz.so.1")));
    }

    #[test]
    fn of_one_soname_the_first_in_the_file_is_taken() {
        let entries = [
            (0x0303, 0, "libz.so.1", "/a/libz.so.1"),
            (0x0303, 0, "liba.so.1", "/a/liba.so.1"),
            (0x0303, 0, "libz.so.1", "/b/libz.so.1"),
            (0x0303, 0, "", "/c/libz.so.1"),
        ];
        let cache = LdSoCache::parse(&cache(&entries, "x86-64-v3"), Target::X86_64).unwrap();
        let lookup = |soname: &str| cache.lookup(&Name::from(soname), &[]);
        assert_eq!(lookup("libz.so.1"), Some(Path::new("/a/libz.so.1")));
        assert_eq!(lookup("liba.so.1"), Some(Path::new("/a/liba.so.1")));
        assert_eq!(lookup("libb.so.1"), None);
    }

    #[test]
    fn a_hostile_cache_costs_no_more_than_its_bytes() {
        // Each soname is one more suffix of the same long string.
        let string = limits::LD_SO_CACHE_STRING_BYTES - 1;
        let strings_at = NEW_HEADER + string * NEW_ENTRY;
        let mut bytes = NEW_MAGIC.to_vec();
        for word in [string as u32, 0, 2, 0, 0, 0, 0] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for index in 0..string {
            for word in [0x0303, (strings_at + index) as u32, strings_at as u32, 0, 0, 0] {
                bytes.extend_from_slice(&u32::to_le_bytes(word));
            }
        }
        bytes.extend(std::iter::repeat_n(b'a', string));
        bytes.push(0);
        let cache = LdSoCache::parse(&bytes, Target::X86_64).unwrap();
        assert_eq!(cache.len(), string);
        assert!(cache.bytes.len() + size_of_val(&*cache.entries) < 4 * bytes.len());
        // The path of all of them, one byte longer, opens nothing.
        bytes.splice(strings_at..strings_at, [b'a']);
        assert!(LdSoCache::parse(&bytes, Target::X86_64).unwrap().is_empty());
    }

    #[test]
    fn entries_of_other_machines_are_left_out() {
        let bytes = cache(&[(0x0003, 0, "libz.so.1", "/lib32/libz.so.1")], "x86-64-v3");
        assert!(LdSoCache::parse(&bytes, Target::X86_64).unwrap().is_empty());
    }

    #[test]
    fn an_old_header_before_the_new_one_is_skipped() {
        let new = cache(&[(0x0303, 0, "libz.so.1", "/lib/libz.so.1")], "x86-64-v3");
        let mut bytes = OLD_MAGIC.to_vec();
        bytes.push(0);
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        bytes.extend_from_slice(&[0; OLD_ENTRY]);
        bytes.resize(32, 0);
        bytes.extend_from_slice(&new);
        let cache = LdSoCache::parse(&bytes, Target::X86_64).unwrap();
        assert_eq!(cache.lookup(&Name::from("libz.so.1"), &[]), Some(Path::new("/lib/libz.so.1")));
    }

    #[test]
    fn no_truncation_is_mistaken_for_an_empty_cache() {
        let bytes = cache(&[(0x0303, 0, "libz.so.1", "/lib/libz.so.1")], "x86-64-v3");
        for end in 0..NEW_HEADER + NEW_ENTRY {
            assert!(LdSoCache::parse(&bytes[..end], Target::X86_64).is_err(), "{end} bytes");
        }
    }
}
