//! Reads one binary into a [`Module`]. Everything is taken where the loader takes it, and only the tables
//! that were asked for are touched.

pub mod elf;
pub mod macho;
#[cfg(feature = "audit")]
pub mod tbd;

use std::ops::BitOr;
use std::path::Path;

use crate::error::FileError;
use crate::fs::Metadata;
use crate::model::Module;
use crate::source::{Source, read_range};

/// Which tables to read. Dependencies, search paths and program headers always are: they are what finds the files of a
/// process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facets(u16);

impl Facets {
    /// Only what finds files.
    pub const FILES: Self = Self(0);
    /// What resolution needs, and every reading below has: the versions beside the files.
    pub const LINK: Self = Self(1 << 7);
    /// The dynamic symbols and their hash table.
    pub const SYMBOLS: Self = Self(1 | Self::LINK.0);
    /// `st_value` and `st_size` of each symbol, beside [`Self::SYMBOLS`].
    pub const VALUES: Self = Self(1 << 1 | Self::SYMBOLS.0);
    /// What relocations use, beside [`Self::SYMBOLS`].
    pub const RELOCATIONS: Self = Self(1 << 2 | Self::SYMBOLS.0);
    /// Build id, ABI tag, properties, `.note.dlopen`.
    pub const NOTES: Self = Self(1 << 3 | Self::LINK.0);
    /// The section headers, to compare with the segments, and local entry points in `.symtab`.
    pub const SECTIONS: Self = Self(1 << 4 | Self::LINK.0);
    /// Magic block and finfo records, beside [`Self::SYMBOLS`].
    pub const POSTGRES: Self = Self(1 << 5 | Self::SYMBOLS.0);
    /// The same, the data searched for the magic block even where the code tells where it lies: who wants to know how it was
    /// found ([`MagicEvidence`](crate::postgres::MagicEvidence)).
    pub const MAGIC_EVIDENCE: Self = Self(1 << 8 | Self::POSTGRES.0);
    /// The code signature of a Mach-O file, every signed page hashed.
    pub const SIGNATURE: Self = Self(1 << 6 | Self::LINK.0);
    /// Everything that rules look at: all but the values, and how a magic block was found.
    pub const RULES: Self = Self(Self::ALL.0 & !(1 << 1 | 1 << 8));
    /// Everything.
    pub const ALL: Self = Self(0x1ff);

    /// Whether all of `other` was asked for.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Facets {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Reads a binary of any format.
///
/// An error means that nothing useful can be said of the file; a single table that cannot be read is
/// [`Table::Unreadable`](crate::model::Table::Unreadable) in the module.
pub fn parse(
    path: &Path,
    metadata: Metadata,
    source: &dyn Source,
    facets: Facets,
) -> Result<Module, FileError> {
    let first = read_range(source, 0, source.len().min(8), "the file")?;
    if macho::is_macho(&first) {
        return macho::parse(path, metadata, source, facets);
    }
    elf::parse(path, metadata, source, facets)
}
