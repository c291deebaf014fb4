//! The code signature, as far as it tells whether the kernel would still map the file's pages.

use crate::name::Name;

/// LC_CODE_SIGNATURE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeSignature {
    /// The identifier of the code directory.
    pub identifier: Name,
    /// The team that signed.
    pub team: Option<Name>,
    /// CS_ADHOC: signed by nobody.
    pub is_ad_hoc: bool,
    /// CS_LINKER_SIGNED: `install_name_tool` renews it by itself.
    pub is_linker_signed: bool,
    /// Hardened runtime (CS_RUNTIME).
    pub is_hardened: bool,
    /// One for each code directory, the kernel uses the strongest.
    pub directories: Vec<CodeDirectory>,
}

/// One code directory and what its hashes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeDirectory {
    /// The hash function.
    pub hash: HashKind,
    /// Bytes of the slice that are covered.
    pub code_limit: u64,
    /// Pages hashed.
    pub pages: u32,
    /// The pages whose content has another hash: number of the first and how many; none where all agree.
    pub stale: Option<StalePages>,
}

/// Pages that were changed after signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StalePages {
    /// Number of the first, from 0.
    pub first: u32,
    /// How many there are.
    pub count: u32,
}

/// The hash function of a code directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashKind {
    /// SHA-1.
    Sha1,
    /// SHA-256, whole or cut to 20 bytes.
    Sha256,
    /// Another, which is not checked.
    Other(u8),
}
