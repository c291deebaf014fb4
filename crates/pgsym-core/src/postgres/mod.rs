//! What PostgreSQL looks for in a module: its names, the magic block, the function records.

#[cfg(feature = "audit")]
mod builtin;
mod classify;
mod code;
mod finfo;
mod image;
#[cfg(feature = "audit")]
mod load;
#[cfg(feature = "audit")]
mod load_macho;
mod magic;
#[cfg(feature = "audit")]
pub(crate) mod profile;
mod server;

pub use classify::{CALLBACKS, EntryPoint, FINFO_PREFIX, MAGIC_FUNCTION, SymbolClass, classify};
#[cfg(feature = "audit")]
pub use load::{ServerMessage, Verdict, load, mismatch, verdict};
#[cfg(feature = "audit")]
pub use load_macho::dyld_verdict;
#[cfg(feature = "audit")]
pub(crate) use magic::MAGIC_IS_DATA;
#[cfg(feature = "audit")]
pub use profile::Profile;
pub use server::ServerFacts;

pub(crate) use image::Image;

use crate::error::FileError;
use crate::name::Name;
use crate::parse::Facets;

/// Reads what PostgreSQL would find in a module whose symbols were read.
pub(crate) fn facts(image: &Image<'_>, facets: Facets) -> Result<PgFacts, FileError> {
    Ok(PgFacts { magic: magic::read(image, facets), finfo: finfo::read(image)? })
}

/// What PostgreSQL would find in one module, read without running it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgFacts {
    /// The magic block behind `Pg_magic_func`.
    pub magic: Magic,
    /// The finfo records among the exports, in symbol order.
    pub finfo: Vec<FinfoRecord>,
}

/// The magic block of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Magic {
    /// `Pg_magic_func` is not exported.
    Absent,
    /// `Pg_magic_func` is exported; the block behind it was found.
    Found(Box<MagicBlock>),
    /// `Pg_magic_func` is exported, but the block cannot be told statically; why.
    Unknown(FileError),
}

impl Magic {
    /// The block, where it was found.
    pub fn block(&self) -> Option<&MagicBlock> {
        match self {
            Self::Found(block) => Some(block),
            Self::Absent | Self::Unknown(_) => None,
        }
    }
}

/// `Pg_magic_struct` (src/include/fmgr.h), majors 13 to 19.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MagicBlock {
    /// Address of the block, before relocation.
    pub address: u64,
    /// How it was found.
    pub evidence: MagicEvidence,
    /// `len`: sizeof the whole struct in bytes.
    pub len: u32,
    /// `version`: PG_VERSION_NUM / 100, such as 1500.
    pub version: u32,
    /// `funcmaxargs`.
    pub func_max_args: u32,
    /// `indexmaxkeys`.
    pub index_max_keys: u32,
    /// `namedatalen`.
    pub name_data_len: u32,
    /// `float8byval`.
    pub float8_by_value: u32,
    /// `abi_extra` since 15: all 32 bytes, since the server compares what follows the NUL too.
    pub abi_extra: Option<[u8; 32]>,
    /// `name` since 18: what PG_MODULE_MAGIC_EXT gave.
    pub module_name: Option<Name>,
    /// `version` since 18.
    pub module_version: Option<Name>,
}

/// By which of the two static ways a block was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MagicEvidence {
    /// The code of `Pg_magic_func` refers to it, and the scan of the data finds it and nothing else.
    CodeAndData,
    /// The code leads to it; the scan found others too, or not this one, or was not asked for
    /// ([`Facets::MAGIC_EVIDENCE`]).
    Code,
    /// Only the scan finds it: the code is of a machine or shape that is not decoded.
    Data,
}

impl MagicBlock {
    /// The major version: 15 for 1500.
    pub fn major(&self) -> u32 {
        self.version / 100
    }

    /// `abi_extra` up to its NUL.
    pub fn abi(&self) -> Option<Name> {
        let extra = self.abi_extra.as_ref()?;
        let end = extra.iter().position(|&byte| byte == 0).unwrap_or(extra.len());
        Some(Name::from(&extra[..end]))
    }
}

/// A magic block's `version` as people say it: "15" for 1500; any other value as it is.
#[cfg(feature = "audit")]
pub(crate) fn major_words(version: u32) -> String {
    if version.is_multiple_of(100) { (version / 100).to_string() } else { format!("version {version}") }
}

/// One `pg_finfo_<function>` among the exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinfoRecord {
    /// The function's name, without `pg_finfo_`.
    pub function: Name,
    /// Index of the record's symbol in `.dynsym`.
    pub symbol: u32,
    /// `api_version`, where the code could be read.
    pub api_version: Result<u32, FileError>,
    /// Whether the code returns NULL, and does nothing else.
    pub is_null: bool,
    /// Whether there is no code: the symbol is a variable in memory that is not executable.
    pub is_data: bool,
}
