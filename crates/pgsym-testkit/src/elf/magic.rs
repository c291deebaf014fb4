//! PostgreSQL's magic block (`Pg_magic_struct`, src/include/fmgr.h of majors 13 to 19).
//!
//! ```text
//! offset  13, 14         15, 16, 17     18, 19
//! 0       len            len            len              int
//! 4       version        version        version          int: 1300, … 1900
//! 8       funcmaxargs    …              …                int: 100
//! 12      indexmaxkeys   …              …                int: 32
//! 16      namedatalen    …              …                int: 64
//! 20      float8byval    …              …                int: 1 on 64-bit, 0 on 32-bit; in 19 always 1
//! 24                     abi_extra[32]  abi_extra[32]    char: "PostgreSQL"
//! 56                                    name             const char *, may be NULL
//! 60/64                                 version          const char *, may be NULL
//! ```

use super::encoding::{Class, Encoding};

/// A major version whose layout the builder knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PgMajor(u32);

/// A magic block. Fields not set have the value a stock server of that major has on the object's processor.
#[derive(Clone, Debug)]
pub struct Magic {
    major: PgMajor,
    len: Option<u32>,
    version: Option<u32>,
    func_max_args: u32,
    index_max_keys: u32,
    name_data_len: u32,
    float8_by_val: Option<u32>,
    abi_extra: Vec<u8>,
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) module_version: Option<Vec<u8>>,
}

impl Magic {
    /// The block of a major version.
    ///
    /// # Panics
    /// When the major is not 13 to 19.
    pub fn pg(major: u32) -> Self {
        assert!((13..=19).contains(&major), "the layout of PostgreSQL {major}'s magic block is not known");
        Self {
            major: PgMajor(major),
            len: None,
            version: None,
            func_max_args: 100,
            index_max_keys: 32,
            name_data_len: 64,
            float8_by_val: None,
            abi_extra: b"PostgreSQL".to_vec(),
            name: None,
            module_version: None,
        }
    }

    /// Overrides `len`; the block's real size does not change.
    pub fn len(mut self, len: u32) -> Self {
        self.len = Some(len);
        self
    }

    /// Overrides `version`, `PG_VERSION_NUM / 100`.
    pub fn version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }

    /// `FUNC_MAX_ARGS`.
    pub fn func_max_args(mut self, value: u32) -> Self {
        self.func_max_args = value;
        self
    }

    /// `INDEX_MAX_KEYS`.
    pub fn index_max_keys(mut self, value: u32) -> Self {
        self.index_max_keys = value;
        self
    }

    /// `NAMEDATALEN`.
    pub fn name_data_len(mut self, value: u32) -> Self {
        self.name_data_len = value;
        self
    }

    /// `FLOAT8PASSBYVAL`.
    pub fn float8_by_val(mut self, value: u32) -> Self {
        self.float8_by_val = Some(value);
        self
    }

    /// `FMGR_ABI_EXTRA` (15 and later): cut or NUL-padded to 32 bytes.
    pub fn abi_extra(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.abi_extra = text.into();
        self
    }

    /// `.name` of `PG_MODULE_MAGIC_EXT` (18 and later).
    pub fn name(mut self, name: impl Into<Vec<u8>>) -> Self {
        assert!(self.has_names(), "PostgreSQL {} has no module name", self.major.0);
        self.name = Some(name.into());
        self
    }

    /// `.version` of `PG_MODULE_MAGIC_EXT` (18 and later).
    pub fn module_version(mut self, version: impl Into<Vec<u8>>) -> Self {
        assert!(self.has_names(), "PostgreSQL {} has no module version", self.major.0);
        self.module_version = Some(version.into());
        self
    }

    /// The two pointers, in the order of the block.
    pub(crate) fn pointers(&self) -> [Option<&[u8]>; 2] {
        [self.name.as_deref(), self.module_version.as_deref()]
    }

    /// Where the first pointer lies.
    pub(crate) const POINTERS_AT: u64 = 56;

    /// The block without its pointers' values, which are zero.
    pub(crate) fn bytes(&self, encoding: Encoding) -> Vec<u8> {
        let size = match self.major.0 {
            13 | 14 => 24,
            15..=17 => 56,
            _ => 56 + 2 * encoding.word_size(),
        };
        let float8 = u32::from(self.major.0 >= 19 || encoding.class == Class::Elf64);
        let mut sink = encoding.sink();
        sink.u32(self.len.unwrap_or(size as u32))
            .u32(self.version.unwrap_or(self.major.0 * 100))
            .u32(self.func_max_args)
            .u32(self.index_max_keys)
            .u32(self.name_data_len)
            .u32(self.float8_by_val.unwrap_or(float8));
        let mut extra = self.abi_extra.clone();
        extra.resize(32, 0);
        sink.raw(&extra);
        sink.bytes.resize(size as usize, 0);
        sink.bytes
    }

    fn has_names(&self) -> bool {
        self.major >= PgMajor(18)
    }
}
