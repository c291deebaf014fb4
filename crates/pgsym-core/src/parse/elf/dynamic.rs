//! `.dynamic` as `elf_get_dynamic_info` of ld.so reads it: found through PT_DYNAMIC's address, up to DT_NULL
//! whatever PT_DYNAMIC's size says, the last entry of a tag winning where only one can count.

use std::cell::Cell;

use bstr::ByteSlice as _;
use object::elf;

use super::memory::{Memory, Region};
use crate::error::FileError;
use crate::limits;
use crate::model::{
    Dependency, DependencyKind, DynamicEntry, ReadOnlyEntries, SearchPath, SearchPathKind, Segment,
};
use crate::name::Name;
use crate::source::{Nearby, read_range};

/// The entries before DT_NULL.
pub(crate) struct Dynamic {
    pub(crate) entries: Vec<DynamicEntry>,
    address: u64,
}

impl Dynamic {
    /// Reads `.dynamic`; a file without PT_DYNAMIC, or with an empty one (a file of debug information), has none.
    pub(crate) fn read(memory: Memory<'_>, segments: &[Segment]) -> Result<Option<Self>, FileError> {
        // The last one counts, as in _dl_map_object_from_fd.
        let header = segments.iter().rfind(|segment| segment.kind == elf::PT_DYNAMIC.0);
        let Some(header) = header.filter(|segment| segment.file_size > 0) else { return Ok(None) };
        let encoding = memory.encoding();
        let size = encoding.word_size() as u64 * 2;
        let expected = header.file_size.min(limits::DYNAMIC_ENTRIES as u64 * size);
        let mut region = Region::open(memory, header.address, expected, "PT_DYNAMIC")?;
        let mut entries = Vec::new();
        loop {
            if entries.len() == limits::DYNAMIC_ENTRIES {
                return Err(FileError::limit(format!(
                    "PT_DYNAMIC has more than {} entries",
                    limits::DYNAMIC_ENTRIES
                ))
                .at(region.file_offset()));
            }
            let offset = entries.len() as u64 * size;
            let bytes = region.get(offset, size)?;
            let tag = encoding.signed_word(bytes, 0).unwrap_or_default();
            let value = encoding.word(bytes, encoding.word_size()).unwrap_or_default();
            if tag == elf::DT_NULL.0 {
                return Ok(Some(Self { entries, address: header.address }));
            }
            entries.push(DynamicEntry { tag, value });
        }
    }

    /// The entry of a tag that counts: the last.
    fn last_entry(&self, tag: elf::DynamicTag) -> Option<(u32, u64)> {
        let index = self.entries.iter().rposition(|entry| entry.tag == tag.0)?;
        Some((index as u32, self.entries[index].value))
    }

    /// The value of a tag.
    pub(crate) fn value(&self, tag: elf::DynamicTag) -> Option<u64> {
        self.last_entry(tag).map(|(_, value)| value)
    }

    /// The entries that glibc writes to and cannot.
    pub(crate) fn read_only_entries(&self, memory: Memory<'_>) -> ReadOnlyEntries {
        const REBASED: [elf::DynamicTag; 10] = [
            elf::DT_HASH,
            elf::DT_PLTGOT,
            elf::DT_STRTAB,
            elf::DT_SYMTAB,
            elf::DT_RELA,
            elf::DT_REL,
            elf::DT_RELR,
            elf::DT_JMPREL,
            elf::DT_VERSYM,
            elf::DT_GNU_HASH,
        ];
        let size = memory.encoding().word_size() as u64 * 2;
        let read_only = |tag: &elf::DynamicTag| {
            let (index, value) = self.last_entry(*tag)?;
            let address = self.address.checked_add(u64::from(index) * size)?;
            let is_read_only = memory.page_flags(address)? & elf::PF_W.0 == 0;
            // DT_RELA and DT_REL stay zero where there is DT_RELR alone.
            (is_read_only && (value != 0 || *tag == elf::DT_DEBUG)).then_some(address)
        };
        ReadOnlyEntries {
            rebased: REBASED.iter().filter_map(read_only).min(),
            debug: read_only(&elf::DT_DEBUG),
        }
    }

    /// DF_*, with the older tags of the same meaning folded in.
    pub(crate) fn flags(&self) -> u64 {
        let old = [
            (elf::DT_SYMBOLIC, elf::DF_SYMBOLIC),
            (elf::DT_TEXTREL, elf::DF_TEXTREL),
            (elf::DT_BIND_NOW, elf::DF_BIND_NOW),
        ];
        old.iter()
            .filter(|(tag, _)| self.value(*tag).is_some())
            .fold(self.value(elf::DT_FLAGS).unwrap_or(0), |flags, (_, flag)| flags | flag.0)
    }

    /// DF_1_*.
    pub(crate) fn flags_1(&self) -> u64 {
        self.value(elf::DT_FLAGS_1).unwrap_or(0)
    }

    /// DT_NEEDED, DT_AUXILIARY and DT_FILTER in file order.
    pub(crate) fn dependencies(
        &self,
        strings: Result<&Strings<'_>, &FileError>,
    ) -> Result<Vec<Dependency>, FileError> {
        let mut dependencies = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let (kind, what) = match elf::DynamicTag(entry.tag) {
                elf::DT_NEEDED => (DependencyKind::Needed, "DT_NEEDED"),
                elf::DT_AUXILIARY => (DependencyKind::Auxiliary, "DT_AUXILIARY"),
                elf::DT_FILTER => (DependencyKind::Filter, "DT_FILTER"),
                _ => continue,
            };
            if dependencies.len() == limits::NEEDED {
                return Err(FileError::limit(format!("there are more than {} DT_NEEDED", limits::NEEDED)));
            }
            let name = strings.map_err(Clone::clone)?.get(entry.value, what)?;
            dependencies.push(Dependency { name, kind, entry: index as u32 });
        }
        Ok(dependencies)
    }

    /// DT_SONAME.
    pub(crate) fn soname(
        &self,
        strings: Result<&Strings<'_>, &FileError>,
    ) -> Result<Option<Name>, FileError> {
        let Some(offset) = self.value(elf::DT_SONAME) else { return Ok(None) };
        strings.map_err(Clone::clone)?.get(offset, "DT_SONAME").map(Some)
    }

    /// DT_RPATH or DT_RUNPATH. ld.so forgets DT_RPATH where there is a DT_RUNPATH; that is the
    /// resolver's business, so both are reported.
    pub(crate) fn search_path(
        &self,
        kind: SearchPathKind,
        strings: Result<&Strings<'_>, &FileError>,
    ) -> Result<Option<SearchPath>, FileError> {
        let tag = match kind {
            SearchPathKind::Rpath => elf::DT_RPATH,
            SearchPathKind::Runpath => elf::DT_RUNPATH,
            // A Mach-O load command; no ELF file has one.
            SearchPathKind::LcRpath => return Ok(None),
        };
        let Some((entry, offset)) = self.last_entry(tag) else { return Ok(None) };
        let raw = strings.map_err(Clone::clone)?.get(offset, kind.tag())?;
        if raw.as_bytes().len() > limits::SEARCH_PATH_BYTES {
            return Err(FileError::limit(format!(
                "{} has more than {} bytes",
                kind.tag(),
                limits::SEARCH_PATH_BYTES
            )));
        }
        Ok(Some(SearchPath { raw, kind, entry }))
    }

    /// The nearest table behind `address`: a guess at how long the table there is, which decides how
    /// much is read at once and nothing else.
    pub(crate) fn gap_after(&self, address: u64) -> Option<u64> {
        const TABLES: [elf::DynamicTag; 12] = [
            elf::DT_SYMTAB,
            elf::DT_STRTAB,
            elf::DT_VERSYM,
            elf::DT_VERNEED,
            elf::DT_VERDEF,
            elf::DT_HASH,
            elf::DT_GNU_HASH,
            elf::DT_RELA,
            elf::DT_REL,
            elf::DT_JMPREL,
            elf::DT_RELR,
            elf::DT_INIT,
        ];
        self.entries
            .iter()
            .filter(|entry| TABLES.contains(&elf::DynamicTag(entry.tag)))
            .filter_map(|entry| entry.value.checked_sub(address))
            .filter(|&gap| gap > 0)
            .min()
    }
}

/// How much of the string table will be wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The names of `.dynamic` and of the version records: a few strings.
    Few,
    /// Every symbol's name.
    All,
}

/// A table up to this size is read whole even for a few strings: one system call instead of one a string.
const SMALL_TABLE: u64 = 32 << 10;

/// The dynamic string table.
pub(crate) struct Strings<'a> {
    memory: Memory<'a>,
    /// Where single names are read from, of a table that is not wanted whole: linkers put those of `.dynamic` side by side.
    nearby: Nearby<'a>,
    address: u64,
    blob: Result<Vec<u8>, FileError>,
    /// Bytes that names taken from this table may still have.
    budget: Cell<u64>,
}

impl<'a> Strings<'a> {
    /// Finds the table through DT_STRTAB and DT_STRSZ.
    pub(crate) fn open(memory: Memory<'a>, dynamic: &Dynamic, reach: Reach) -> Result<Self, FileError> {
        let address =
            dynamic.value(elf::DT_STRTAB).ok_or_else(|| FileError::malformed("DT_STRTAB is missing"))?;
        let size = dynamic.value(elf::DT_STRSZ);
        let blob = match size {
            None => Err(FileError::malformed("DT_STRSZ is missing")),
            Some(size) if size > limits::STRING_TABLE_BYTES => {
                Err(FileError::limit(format!("DT_STRSZ is {size}, more than {}", limits::STRING_TABLE_BYTES)))
            }
            Some(size) if reach == Reach::All || size <= SMALL_TABLE => {
                memory.read(address, size, "DT_STRTAB")
            }
            Some(_) => Ok(Vec::new()),
        };
        let nearby = Nearby::new(memory.source());
        Ok(Self { memory, nearby, address, blob, budget: Cell::new(limits::OWNED_NAME_BYTES) })
    }

    /// The name at an offset. ld.so never looks at DT_STRSZ, so a name behind it is read all the same.
    pub(crate) fn get(&self, offset: u64, what: &'static str) -> Result<Name, FileError> {
        let known = self.blob.as_ref().ok().and_then(|blob| {
            let rest = blob.get(usize::try_from(offset).ok()?..)?;
            let end = rest.find_byte(0)?;
            Some(Name::from(&rest[..end]))
        });
        let name = if let Some(name) = known {
            name
        } else {
            let address = self.address.checked_add(offset).ok_or_else(|| {
                FileError::malformed(format!("{what} points past the end of the address space"))
            })?;
            Name::from(self.memory.through(&self.nearby).read_string(address, what)?)
        };
        let left = self.budget.get().checked_sub(name.as_bytes().len() as u64).ok_or_else(|| {
            FileError::limit(format!(
                "the names of DT_STRTAB add up to more than {} bytes",
                limits::OWNED_NAME_BYTES
            ))
        })?;
        self.budget.set(left);
        Ok(name)
    }

    /// The whole table up to its last NUL; only where all of it was asked for.
    pub(crate) fn into_blob(self) -> Result<Vec<u8>, FileError> {
        let mut blob = self.blob?;
        let end = blob.rfind_byte(0).map_or(0, |last| last + 1);
        blob.truncate(end);
        Ok(blob)
    }
}

/// PT_INTERP: the loader that a program asks for. The kernel reads it by `p_offset`.
pub(crate) fn interpreter(memory: Memory<'_>, segments: &[Segment]) -> Result<Option<Name>, FileError> {
    let Some(header) = segments.iter().find(|segment| segment.kind == elf::PT_INTERP.0) else {
        return Ok(None);
    };
    if header.file_size > limits::INTERPRETER_BYTES {
        return Err(FileError::limit(format!("PT_INTERP has {} bytes", header.file_size)).at(header.offset));
    }
    let bytes = read_range(memory.source(), header.offset, header.file_size, "PT_INTERP")?;
    let end = bytes.find_byte(0);
    match end {
        Some(end) => Ok(Some(Name::from(&bytes[..end]))),
        None => Err(FileError::malformed("PT_INTERP has no terminating NUL").at(header.offset)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Target;

    /// A file of three pages whose `.dynamic` has one entry at the end of the first page and goes on with the third, which
    /// is mapped behind it: what `patchelf` makes of a program whose section has outgrown its place.
    #[test]
    fn entries_go_on_in_the_segment_that_the_next_page_shows() {
        let entry = |tag: elf::DynamicTag, value: u64| {
            [tag.0.to_le_bytes(), value.cast_signed().to_le_bytes()].concat()
        };
        let mut file = vec![0xff_u8; 0x3000];
        file[0xff0..0x1000].copy_from_slice(&entry(elf::DT_SONAME, 7));
        file[0x2000..0x2020].copy_from_slice(&[entry(elf::DT_NEEDED, 9), entry(elf::DT_NULL, 0)].concat());
        let segment = |kind: elf::ProgramType, address, offset, size| Segment {
            kind: kind.0,
            flags: 6,
            offset,
            address,
            file_size: size,
            memory_size: size,
            align: 0x1000,
        };
        let segments = [
            // The second page of this one is covered.
            segment(elf::PT_LOAD, 0, 0, 0x1800),
            segment(elf::PT_DYNAMIC, 0xff0, 0xff0, 0x30),
            segment(elf::PT_LOAD, 0x1000, 0x2000, 0x1000),
        ];
        let dynamic =
            Dynamic::read(Memory::new(&file, &segments, Target::X86_64), &segments).unwrap().unwrap();
        assert_eq!(dynamic.value(elf::DT_SONAME), Some(7));
        assert_eq!(dynamic.value(elf::DT_NEEDED), Some(9));
        assert_eq!(dynamic.entries.len(), 2);
    }
}
