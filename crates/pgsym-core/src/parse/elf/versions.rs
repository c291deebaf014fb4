//! DT_VERNEED and DT_VERDEF: linked records inside one table, walked as `_dl_check_map_versions` does, by the
//! `next` fields alone; DT_VERNEEDNUM and DT_VERDEFNUM are not looked at by the loader.
//!
//! ```text
//! Verneed  vn_version:u16 vn_cnt:u16 vn_file:u32 vn_aux:u32 vn_next:u32      (16 bytes)
//! Vernaux  vna_hash:u32 vna_flags:u16 vna_other:u16 vna_name:u32 vna_next:u32 (16 bytes)
//! Verdef   vd_version:u16 vd_flags:u16 vd_ndx:u16 vd_cnt:u16 vd_hash:u32 vd_aux:u32 vd_next:u32 (20 bytes)
//! Verdaux  vda_name:u32 vda_next:u32                                         (8 bytes)
//! ```

use object::elf;

use super::dynamic::{Dynamic, Strings};
use super::memory::{Memory, Region};
use crate::error::FileError;
use crate::limits;
use crate::model::{NeededVersion, VersionDefinition, VersionName, VersionNeed};

/// What is read first of either table; the tables of most files are shorter.
const EXPECTED: u64 = 1024;

/// The index part of a versym word or `vna_other`.
const INDEX_MASK: u16 = 0x7fff;

/// Reads DT_VERNEED.
pub(crate) fn needs(
    memory: Memory<'_>,
    dynamic: &Dynamic,
    strings: Result<&Strings<'_>, &FileError>,
) -> Result<Option<Vec<VersionNeed>>, FileError> {
    let Some(address) = dynamic.value(elf::DT_VERNEED) else { return Ok(None) };
    let strings = strings.map_err(Clone::clone)?;
    let mut records = Records::open(memory, address, dynamic, "DT_VERNEED")?;
    let mut needs = Vec::new();
    let mut at = 0;
    loop {
        let need = records.read::<16>(at)?;
        need.expect_version(need.u16(0))?;
        let mut versions = Vec::new();
        let mut auxiliary = need.follow(8)?;
        while let Some(offset) = auxiliary {
            let aux = records.read::<16>(offset)?;
            versions.push(NeededVersion {
                name: strings.get(u64::from(aux.u32(8)), "vna_name")?,
                hash: aux.u32(0),
                is_weak: aux.u16(4) & elf::VER_FLG_WEAK.0 != 0,
                index: aux.u16(6) & INDEX_MASK,
            });
            auxiliary = aux.follow(12)?;
        }
        needs.push(VersionNeed { file: strings.get(u64::from(need.u32(4)), "vn_file")?, versions });
        match need.follow(12)? {
            Some(next) => at = next,
            None => return Ok(Some(needs)),
        }
    }
}

/// Reads DT_VERDEF.
pub(crate) fn definitions(
    memory: Memory<'_>,
    dynamic: &Dynamic,
    strings: Result<&Strings<'_>, &FileError>,
) -> Result<Option<Vec<VersionDefinition>>, FileError> {
    let Some(address) = dynamic.value(elf::DT_VERDEF) else { return Ok(None) };
    let strings = strings.map_err(Clone::clone)?;
    let mut records = Records::open(memory, address, dynamic, "DT_VERDEF")?;
    let mut definitions = Vec::new();
    let mut at = 0;
    loop {
        let definition = records.read::<20>(at)?;
        definition.expect_version(definition.u16(0))?;
        let mut names = Vec::new();
        let mut auxiliary = definition.follow(12)?;
        while let Some(offset) = auxiliary {
            let aux = records.read::<8>(offset)?;
            names.push(strings.get(u64::from(aux.u32(0)), "vda_name")?);
            auxiliary = aux.follow(4)?;
        }
        let mut names = names.into_iter();
        let name = names.next().ok_or_else(|| definition.malformed("vd_aux is zero: it has no name"))?;
        definitions.push(VersionDefinition {
            name,
            hash: definition.u32(8),
            index: definition.u16(4) & INDEX_MASK,
            is_base: definition.u16(2) & elf::VER_FLG_BASE.0 != 0,
            is_weak: definition.u16(2) & elf::VER_FLG_WEAK.0 != 0,
            parents: names.collect(),
        });
        match definition.follow(16)? {
            Some(next) => at = next,
            None => return Ok(Some(definitions)),
        }
    }
}

/// What each index of versym means.
pub(crate) fn names(needs: &[VersionNeed], definitions: &[VersionDefinition]) -> Vec<Option<VersionName>> {
    let mut names: Vec<Option<VersionName>> = Vec::new();
    let mut put = |index: u16, name: VersionName| {
        let index = usize::from(index);
        if names.len() <= index {
            names.resize(index + 1, None);
        }
        // Indices are unique in a sound file; otherwise the first record counts.
        names[index].get_or_insert(name);
    };
    for definition in definitions {
        put(
            definition.index,
            VersionName { name: definition.name.clone(), need: None, is_base: definition.is_base },
        );
    }
    for (record, need) in needs.iter().enumerate() {
        for version in &need.versions {
            let name = version.name.clone();
            put(version.index, VersionName { name, need: Some(record as u32), is_base: false });
        }
    }
    names
}

/// The records of one table, read under a common bound: a `next` that leads back can be followed no more often
/// than a file can have records.
struct Records<'a> {
    region: Region<'a>,
    left: usize,
    what: &'static str,
}

impl<'a> Records<'a> {
    fn open(
        memory: Memory<'a>,
        address: u64,
        dynamic: &Dynamic,
        what: &'static str,
    ) -> Result<Self, FileError> {
        let expected = dynamic.gap_after(address).filter(|&gap| gap <= 64 << 10).unwrap_or(EXPECTED);
        let region = Region::open(memory, address, expected, what)?;
        Ok(Self { region, left: limits::VERSION_RECORDS, what })
    }

    fn read<const N: usize>(&mut self, at: u64) -> Result<Record<N>, FileError> {
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            FileError::limit(format!("{} has more than {} records", self.what, limits::VERSION_RECORDS))
                .at(self.region.file_offset())
        })?;
        let encoding = self.region.encoding();
        let file_offset = self.region.file_offset().saturating_add(at);
        let bytes = self.region.get(at, N as u64)?.first_chunk().copied();
        // `get` answers with N bytes or an error.
        Ok(Record { bytes: bytes.unwrap_or([0; N]), encoding, at, file_offset, what: self.what })
    }
}

/// One record of either table.
struct Record<const N: usize> {
    bytes: [u8; N],
    encoding: super::encoding::Encoding,
    at: u64,
    file_offset: u64,
    what: &'static str,
}

impl<const N: usize> Record<N> {
    fn u16(&self, offset: usize) -> u16 {
        self.encoding.u16(&self.bytes, offset).unwrap_or_default()
    }

    fn u32(&self, offset: usize) -> u32 {
        self.encoding.u32(&self.bytes, offset).unwrap_or_default()
    }

    /// The place that a `next` or `aux` field leads to; zero ends the list.
    fn follow(&self, field: usize) -> Result<Option<u64>, FileError> {
        match self.u32(field) {
            0 => Ok(None),
            step => match self.at.checked_add(u64::from(step)) {
                Some(next) => Ok(Some(next)),
                None => Err(self.malformed("leads past the end of the address space")),
            },
        }
    }

    /// ld.so refuses a file whose records are of another version ("unsupported version of Verneed record").
    fn expect_version(&self, version: u16) -> Result<(), FileError> {
        if version == 1 {
            return Ok(());
        }
        Err(self.malformed(&format!("has records of version {version}, not 1")))
    }

    fn malformed(&self, clause: &str) -> FileError {
        FileError::malformed(format!("{} {clause}", self.what)).at(self.file_offset)
    }
}
