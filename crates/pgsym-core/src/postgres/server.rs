//! What a server's binary says of itself, read without running it: its version string and the magic block that it
//! compares modules with.

use std::borrow::Cow;

use super::{Image, MagicBlock, magic};
use crate::error::{FileError, FileErrorKind};
use crate::model::{Detail, Module, Segment};
use crate::parse::elf::memory::Memory;
use crate::parse::macho::load_segments;
use crate::source::{Source, read_range};

/// What PostgreSQL says of itself in the binary.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerFacts {
    /// The version as `SELECT version()` begins: `15.18`, `17beta2`.
    pub version: Option<String>,
    /// The block of dfmgr.c (`magic_data`) that modules are compared with.
    pub magic: Option<MagicBlock>,
}

impl ServerFacts {
    /// Reads a server's binary.
    pub fn read(source: &dyn Source, module: &Module) -> Self {
        Self { version: version(source, module), magic: magic(source, module) }
    }

    /// The major version.
    pub fn major(&self) -> Option<u32> {
        if let Some(magic) = &self.magic {
            return Some(magic.major());
        }
        let version = self.version.as_deref()?;
        let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
        version[..digits].parse().ok()
    }
}

/// What the server's process maps, with offsets in the whole file.
fn segments(module: &Module) -> Cow<'_, [Segment]> {
    match &module.detail {
        Detail::Elf(elf) => Cow::Borrowed(&elf.segments),
        Detail::MachO(macho) => Cow::Owned(load_segments(macho)),
    }
}

fn magic(source: &dyn Source, module: &Module) -> Option<MagicBlock> {
    let segments = segments(module);
    let memory = Memory::new(source, &segments, module.target);
    // Name and version of the server's own block are NULL: no relocation has to be followed.
    let no_relocations =
        || Err(FileError::new(FileErrorKind::Unsupported, "the server's relocations are not read"));
    magic::server_block(&Image::new(memory, module.symbols.get()?, &no_relocations))
}

/// PG_BACKEND_VERSIONSTR, which `postgres --version` prints: "postgres (PostgreSQL) 15.18 …".
fn version(source: &dyn Source, module: &Module) -> Option<String> {
    use bstr::ByteSlice as _;
    const MARK: &[u8] = b"postgres (PostgreSQL) ";
    let segments = segments(module);
    for segment in segments.iter().filter(|segment| segment.kind == object::elf::PT_LOAD.0) {
        let Ok(bytes) = read_range(source, segment.offset, segment.file_size, "a segment") else { continue };
        let Some(at) = bytes.find(MARK) else { continue };
        let text = &bytes[at + MARK.len()..];
        let end =
            text.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'.').unwrap_or(text.len());
        if end > 0 && end < 32 {
            return String::from_utf8(text[..end].to_vec()).ok();
        }
    }
    None
}
