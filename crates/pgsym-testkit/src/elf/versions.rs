//! Symbol versions: `.gnu.version` (one number per dynamic symbol), `.gnu.version_d` (what this object defines) and
//! `.gnu.version_r` (what it requires of others), as in the "Symbol Versioning" chapter of the LSB.

use super::damage::{Damage, find};
use super::description::{Export, Import, VersionDefault, VersionNeed};
use super::encoding::Sink;
use super::hash;
use super::shared_object::SharedObject;
use super::strings::StringTable;

const HIDDEN: u16 = 0x8000;
const VER_FLG_BASE: u16 = 1;
const VER_FLG_WEAK: u16 = 2;

/// Numbers 0 (local) and 1 (global, or the base definition) are fixed; definitions follow, then requirements.
#[derive(Debug)]
pub(crate) struct Versions {
    /// Name and parents; the first is the base definition.
    definitions: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
    needs: Vec<(Vec<u8>, Vec<Need>)>,
}

#[derive(Debug)]
struct Need {
    version: Vec<u8>,
    strength: VersionNeed,
    number: u16,
}

impl Versions {
    pub(crate) fn new(object: &SharedObject) -> Self {
        let mut definitions = object.version_definitions.clone();
        for export in &object.exports {
            if let Some((version, _)) = &export.version
                && !definitions.iter().any(|(name, _)| name == version)
            {
                definitions.push((version.clone(), Vec::new()));
            }
        }
        if !definitions.is_empty() {
            let base = object.soname.clone().unwrap_or_else(|| b"object.so".to_vec());
            definitions.insert(0, (base, Vec::new()));
        }
        let mut versions = Self { definitions, needs: Vec::new() };
        // Explicit requirements first: they decide whether a requirement is weak.
        for (file, version, need) in &object.version_requirements {
            versions.require(file, version, *need);
        }
        for import in &object.imports {
            if let Some((file, version)) = &import.version {
                versions.require(file, version, VersionNeed::Strong);
            }
        }
        let first = versions.definitions.len().max(1) as u16 + 1;
        let entries = versions.needs.iter_mut().flat_map(|(_, entries)| entries);
        for (number, entry) in (first..).zip(entries) {
            entry.number = number;
        }
        versions
    }

    fn require(&mut self, file: &[u8], version: &[u8], need: VersionNeed) {
        let position = self.needs.iter().position(|(name, _)| name == file).unwrap_or_else(|| {
            self.needs.push((file.to_vec(), Vec::new()));
            self.needs.len() - 1
        });
        let entries = &mut self.needs[position].1;
        if !entries.iter().any(|entry| entry.version == version) {
            entries.push(Need { version: version.to_vec(), strength: need, number: 0 });
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        let defined =
            self.definitions.iter().flat_map(|(name, parents)| std::iter::once(name).chain(parents));
        let needed = self.needs.iter().flat_map(|(file, entries)| {
            std::iter::once(file).chain(entries.iter().map(|need| &need.version))
        });
        defined.chain(needed).map(Vec::as_slice)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.definitions.is_empty() && self.needs.is_empty()
    }

    /// DT_VERDEFNUM.
    pub(crate) fn definition_count(&self) -> u64 {
        self.definitions.len() as u64
    }

    /// DT_VERNEEDNUM: files.
    pub(crate) fn need_count(&self) -> u64 {
        self.needs.len() as u64
    }

    pub(crate) fn of_import(&self, import: &Import) -> u16 {
        let Some((file, version)) = &import.version else { return 1 };
        self.needs
            .iter()
            .find(|(name, _)| name == file)
            .and_then(|(_, entries)| entries.iter().find(|entry| entry.version == *version))
            .map_or(1, |entry| entry.number)
    }

    pub(crate) fn of_export(&self, export: &Export) -> u16 {
        let Some((version, default)) = &export.version else { return 1 };
        let position = self.definitions.iter().skip(1).position(|(name, _)| name == version).unwrap_or(0);
        let number = position as u16 + 2;
        match default {
            VersionDefault::Default => number,
            VersionDefault::Hidden => number | HIDDEN,
        }
    }

    /// Verdef (20 bytes: version, flags, index, aux count u16; hash, aux, next u32) and verdaux (8: name, next u32).
    pub(crate) fn write_definitions(&self, sink: &mut Sink, dynstr: &StringTable, damage: &[Damage]) {
        let mut next_override = find!(damage, VerdefNext);
        let mut count_override = find!(damage, VerdauxCount);
        for (position, (name, parents)) in self.definitions.iter().enumerate() {
            let is_last = position + 1 == self.definitions.len();
            let aux_count = 1 + parents.len() as u32;
            let next = if is_last { 0 } else { 20 + 8 * aux_count };
            sink.u16(1)
                .u16(if position == 0 { VER_FLG_BASE } else { 0 })
                .u16(position as u16 + 1)
                .u16(count_override.take().unwrap_or(aux_count as u16))
                .u32(hash::sysv(name))
                .u32(20)
                .u32(next_override.take().unwrap_or(next));
            for (aux, text) in std::iter::once(name).chain(parents).enumerate() {
                let is_last = aux as u32 + 1 == aux_count;
                sink.u32(dynstr.offset(text)).u32(if is_last { 0 } else { 8 });
            }
        }
    }

    /// Verneed (16 bytes: version, aux count u16; file, aux, next u32) and vernaux (16: hash u32; flags, other u16; name,
    /// next u32).
    pub(crate) fn write_needs(&self, sink: &mut Sink, dynstr: &StringTable, damage: &[Damage]) {
        let mut next_override = find!(damage, VerneedNext);
        let mut aux_override = find!(damage, VernauxNext);
        let mut count_override = find!(damage, VernauxCount);
        for (position, (file, entries)) in self.needs.iter().enumerate() {
            let is_last = position + 1 == self.needs.len();
            let next = if is_last { 0 } else { 16 * (1 + entries.len() as u32) };
            sink.u16(1)
                .u16(count_override.take().unwrap_or(entries.len() as u16))
                .u32(dynstr.offset(file))
                .u32(16)
                .u32(next_override.take().unwrap_or(next));
            for (aux, entry) in entries.iter().enumerate() {
                let is_last = aux + 1 == entries.len();
                sink.u32(hash::sysv(&entry.version))
                    .u16(if entry.strength == VersionNeed::Weak { VER_FLG_WEAK } else { 0 })
                    .u16(entry.number)
                    .u32(dynstr.offset(&entry.version))
                    .u32(aux_override.take().unwrap_or(if is_last { 0 } else { 16 }));
            }
        }
    }
}
