//! What a server's binary says of itself, read without running it: its version string and the magic block that it
//! compares modules with.

use std::borrow::Cow;
use std::io;

use super::{Image, MagicBlock, magic};
use crate::error::{FileError, FileErrorKind};
use crate::model::{Detail, Module, NameHash, ObjectKind, Segment};
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
    /// Whether CREATE OPERATOR may not take an operator from its commutator or negator; `None` where the binary was
    /// not read.
    pub guards_operator_links: Option<bool>,
}

impl ServerFacts {
    /// Reads a server's binary.
    pub fn read(source: &dyn Source, module: &Module) -> Self {
        let segments = segments(module);
        let data = Data::read(source, &segments);
        let (version, guards_operator_links) = data.texts(&segments);
        Self { version, magic: magic(&data, &segments, module), guards_operator_links }
    }

    /// Why a file is no PostgreSQL server, if it is none: a server is a program that has the block which it compares
    /// modules with, or at least exports what modules call. initdb and pg_ctl have the version string, too.
    pub fn why_no_server(&self, module: &Module) -> Option<&'static str> {
        let is_program = match module.kind {
            ObjectKind::Executable | ObjectKind::PositionIndependentExecutable => true,
            ObjectKind::SharedObject | ObjectKind::Relocatable | ObjectKind::Core | ObjectKind::Other(_) => {
                false
            }
        };
        if !is_program {
            return Some("it is not a program");
        }
        let exports = |name: &[u8]| {
            let symbols = module.symbols.get();
            symbols.is_some_and(|symbols| symbols.lookup(name, NameHash::of(name)).next().is_some())
        };
        // Programs of the client side have a palloc of their own beside pg_malloc (src/common/fe_memutils.c).
        let serves_modules = exports(b"palloc") && !exports(b"pg_malloc");
        (self.magic.is_none() && !serves_modules)
            .then_some("it is a program without PostgreSQL's magic block, and exports no palloc for modules")
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

fn magic(source: &dyn Source, segments: &[Segment], module: &Module) -> Option<MagicBlock> {
    let memory = Memory::new(source, segments, module.target);
    // Name and version of the server's own block are NULL: no relocation has to be followed.
    let no_relocations =
        || Err(FileError::new(FileErrorKind::Unsupported, "the server's relocations are not read"));
    magic::server_block(&Image::new(memory, module.symbols.get()?, &no_relocations))
}

/// A server's binary with the segments that hold its constants in memory: what it says of itself and its magic block are both
/// searched for there. Constants lie beside the code only where a linker has put them into one segment, and the code is most
/// of a server: 5.4 of the 8.8 MB of PostgreSQL 15.
struct Data<'a> {
    source: &'a dyn Source,
    /// Offset in the file and bytes.
    segments: Vec<(u64, Vec<u8>)>,
}

impl<'a> Data<'a> {
    fn read(source: &'a dyn Source, segments: &[Segment]) -> Self {
        let data = loads(segments).filter(|segment| segment.flags & object::elf::PF_X.0 == 0);
        // Segments of a real file lie apart; more than the file has is no reason to hold it many times.
        let mut left = source.len();
        let read = |segment: &Segment| {
            left = left.checked_sub(segment.file_size)?;
            let bytes = read_range(source, segment.offset, segment.file_size, "a segment").ok()?;
            Some((segment.offset, bytes))
        };
        Self { source, segments: data.filter_map(read).collect() }
    }

    /// PG_BACKEND_VERSIONSTR, which `postgres --version` prints: "postgres (PostgreSQL) 15.18 …"; and whether the message of
    /// pg_operator.c stands among the same constants, which minor releases of old majors got too.
    fn texts(&self, segments: &[Segment]) -> (Option<String>, Option<bool>) {
        let of_data = self.segments.iter().find_map(|(_, bytes)| texts_in(bytes));
        let code = loads(segments).filter(|segment| segment.flags & object::elf::PF_X.0 != 0);
        let of_code = |segment: &Segment| {
            texts_in(&read_range(self.source, segment.offset, segment.file_size, "a segment").ok()?)
        };
        match of_data.or_else(|| code.into_iter().find_map(of_code)) {
            Some((version, guards)) => (Some(version), Some(guards)),
            None => (None, None),
        }
    }
}

impl Source for Data<'_> {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let held = self.segments.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(offset.checked_sub(*start)?).ok()?;
            bytes.get(from..from.checked_add(buffer.len())?)
        });
        match held {
            Some(held) => {
                buffer.copy_from_slice(held);
                Ok(())
            }
            None => self.source.read_exact_at(offset, buffer),
        }
    }
}

fn loads(segments: &[Segment]) -> impl Iterator<Item = &Segment> {
    segments.iter().filter(|segment| segment.kind == object::elf::PT_LOAD.0)
}

fn texts_in(bytes: &[u8]) -> Option<(String, bool)> {
    use bstr::ByteSlice as _;
    const MARK: &[u8] = b"postgres (PostgreSQL) ";
    const GUARD: &[u8] = b"commutator operator %s is already the commutator of operator %s";
    let text = &bytes[bytes.find(MARK)? + MARK.len()..];
    let end =
        text.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'.').unwrap_or(text.len());
    let version = String::from_utf8(text[..end].to_vec()).ok().filter(|_| end > 0 && end < 32)?;
    Some((version, bytes.find(GUARD).is_some()))
}
