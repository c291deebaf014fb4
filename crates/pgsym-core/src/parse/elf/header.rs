//! The ELF header and the program headers: the first kilobytes of a file, which tell what it is for and where
//! everything else lies. [`Ident`] and [`Header`] hold exactly what `open_verify` of ld.so looks at, undoctored,
//! so that the resolver can refuse a candidate for the same reason.

use object::elf;

use super::encoding::Encoding;
use crate::error::{FileError, FileErrorKind};
use crate::limits;
use crate::model::{Class, Endian, Segment, Target};
use crate::source::{Source, read_range};

/// `e_ident`: the 16 bytes that every ELF file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ident(pub [u8; 16]);

impl Ident {
    /// The first 16 bytes of a file, or nothing where it is shorter.
    pub fn of(first: &[u8]) -> Option<Self> {
        first.first_chunk().copied().map(Self)
    }

    /// Whether the file begins with `\x7fELF`.
    pub fn has_magic(self) -> bool {
        self.0[..4] == elf::ELFMAG
    }

    /// `EI_CLASS`, where it is one of the two that exist.
    pub fn class(self) -> Option<Class> {
        match elf::FileClass(self.0[4]) {
            elf::ELFCLASS32 => Some(Class::Bits32),
            elf::ELFCLASS64 => Some(Class::Bits64),
            _ => None,
        }
    }

    /// `EI_DATA`, where it is one of the two that exist.
    pub fn endian(self) -> Option<Endian> {
        match elf::DataEncoding(self.0[5]) {
            elf::ELFDATA2LSB => Some(Endian::Little),
            elf::ELFDATA2MSB => Some(Endian::Big),
            _ => None,
        }
    }

    /// `EI_VERSION`: 1.
    pub fn version(self) -> u8 {
        self.0[6]
    }

    /// `EI_OSABI`.
    pub fn os_abi(self) -> u8 {
        self.0[7]
    }

    /// `EI_ABIVERSION`.
    pub fn abi_version(self) -> u8 {
        self.0[8]
    }

    /// `EI_PAD`: zeros.
    pub fn padding(&self) -> &[u8] {
        &self.0[9..]
    }
}

/// The ELF header as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// `e_ident`.
    pub ident: Ident,
    /// Machine, word size, byte order, OS ABI and flags.
    pub target: Target,
    /// `e_type`.
    pub kind: elf::FileType,
    /// `e_version`: 1.
    pub version: u32,
    /// `e_phoff`, `e_phnum` and `e_phentsize`.
    pub program_headers: HeaderTable,
    /// `e_shoff`, `e_shnum` and `e_shentsize`.
    pub section_headers: HeaderTable,
}

/// Where a table of headers lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderTable {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Number of entries.
    pub count: u16,
    /// Bytes of one entry.
    pub entry_size: u16,
}

impl Header {
    /// Bytes of the longest header, `Elf64_Ehdr`.
    pub(crate) const LENGTH: u64 = 64;

    /// Decodes the header from the first bytes of a file: 64 are enough for any.
    ///
    /// An error says that this is no ELF file, or that not even its word size and byte order can be told.
    pub fn decode(first: &[u8]) -> Result<Self, FileError> {
        let Some(ident) = Ident::of(first) else {
            // A file that is too short to be ELF and begins otherwise is of some other kind.
            let is_prefix = first.starts_with(&elf::ELFMAG) || elf::ELFMAG.starts_with(first);
            return Err(if is_prefix { cut_off() } else { not_elf() });
        };
        if !ident.has_magic() {
            return Err(not_elf());
        }
        let class = ident.class().ok_or_else(|| {
            FileError::malformed(format!("EI_CLASS is {}, neither 32-bit nor 64-bit", ident.0[4])).at(4)
        })?;
        let endian = ident.endian().ok_or_else(|| {
            FileError::malformed(format!("EI_DATA is {}, neither little nor big endian", ident.0[5])).at(5)
        })?;
        Self::fields(ident, Encoding { class, endian }, first).ok_or_else(cut_off)
    }

    fn fields(ident: Ident, encoding: Encoding, first: &[u8]) -> Option<Self> {
        // From e_flags on the layout depends on the width of the three addresses before it.
        let (phoff, flags) = if encoding.is_64() { (32, 48) } else { (28, 36) };
        let table = |offset, sizes: usize| {
            Some(HeaderTable {
                offset: encoding.word(first, offset)?,
                entry_size: encoding.u16(first, sizes)?,
                count: encoding.u16(first, sizes + 2)?,
            })
        };
        let header = Self {
            ident,
            target: Target {
                machine: elf::Machine(encoding.u16(first, 18)?),
                class: encoding.class,
                endian: encoding.endian,
                os_abi: ident.os_abi(),
                abi_version: ident.abi_version(),
                flags: encoding.u32(first, flags)?,
            },
            kind: elf::FileType(encoding.u16(first, 16)?),
            version: encoding.u32(first, 20)?,
            program_headers: table(phoff, flags + 6)?,
            section_headers: table(phoff + encoding.word_size(), flags + 10)?,
        };
        // e_shstrndx is the last field; the file must hold it.
        encoding.u16(first, flags + 14).map(|_| header)
    }

    /// Reads the program headers; an object without any (ET_REL) has an empty list.
    pub(crate) fn segments(&self, source: &dyn Source) -> Result<Vec<Segment>, FileError> {
        let HeaderTable { offset, count, entry_size } = self.program_headers;
        let encoding = Encoding::from(self.target);
        let size = if encoding.is_64() { 56 } else { 32 };
        if count == 0 {
            return Ok(Vec::new());
        }
        if usize::from(entry_size) != size {
            return Err(FileError::malformed(format!("e_phentsize is {entry_size}, not {size}")));
        }
        let bytes = read_range(source, offset, u64::from(count) * size as u64, "the program header table")?;
        let mut segments = Vec::with_capacity(usize::from(count));
        segments.extend(bytes.chunks_exact(size).filter_map(|entry| segment(encoding, entry)));
        let loads = segments.iter().filter(|segment| segment.kind == elf::PT_LOAD.0).count();
        if loads > limits::LOAD_SEGMENTS {
            return Err(FileError::limit(format!(
                "there are {loads} PT_LOAD headers, more than {}",
                limits::LOAD_SEGMENTS
            ))
            .at(offset));
        }
        Ok(segments)
    }
}

/// `Elf32_Phdr` and `Elf64_Phdr` hold the same fields in different orders.
fn segment(encoding: Encoding, entry: &[u8]) -> Option<Segment> {
    let flags = if encoding.is_64() { 4 } else { 24 };
    let at = |index: usize| encoding.word(entry, encoding.word_size() * index);
    let is_64 = encoding.is_64();
    Some(Segment {
        kind: encoding.u32(entry, 0)?,
        flags: encoding.u32(entry, flags)?,
        offset: at(1)?,
        address: at(2)?,
        file_size: at(4)?,
        memory_size: at(5)?,
        // Elf32_Phdr has p_flags between p_memsz and p_align.
        align: at(if is_64 { 6 } else { 7 })?,
    })
}

fn not_elf() -> FileError {
    FileError::new(FileErrorKind::NotAnObject, "the file is neither ELF nor Mach-O").at(0)
}

fn cut_off() -> FileError {
    FileError::too_short("the file ends inside the ELF header")
}
