//! Class and byte order, and a byte sink that knows both. Field widths that differ between ELF32 and ELF64 (`Addr`,
//! `Off`, `Xword`) are written with [`Sink::word`].

/// `EI_CLASS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// `ELFCLASS32`
    Elf32,
    /// `ELFCLASS64`
    Elf64,
}

/// `EI_DATA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    /// `ELFDATA2LSB`
    Little,
    /// `ELFDATA2MSB`
    Big,
}

/// How numbers are written in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Width of addresses and offsets.
    pub class: Class,
    /// Order of the bytes of a number.
    pub endian: Endian,
}

impl Encoding {
    /// Bytes of an address: 4 or 8.
    pub fn word_size(self) -> u64 {
        match self.class {
            Class::Elf32 => 4,
            Class::Elf64 => 8,
        }
    }

    /// Chooses by class.
    pub(crate) fn pick<T>(self, elf32: T, elf64: T) -> T {
        match self.class {
            Class::Elf32 => elf32,
            Class::Elf64 => elf64,
        }
    }

    pub(crate) fn sink(self) -> Sink {
        Sink { encoding: self, bytes: Vec::new() }
    }
}

/// A growing byte string in one encoding.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    pub(crate) encoding: Encoding,
    pub(crate) bytes: Vec<u8>,
}

impl Sink {
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        match self.encoding.endian {
            Endian::Little => self.raw(&value.to_le_bytes()),
            Endian::Big => self.raw(&value.to_be_bytes()),
        }
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        match self.encoding.endian {
            Endian::Little => self.raw(&value.to_le_bytes()),
            Endian::Big => self.raw(&value.to_be_bytes()),
        }
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        match self.encoding.endian {
            Endian::Little => self.raw(&value.to_le_bytes()),
            Endian::Big => self.raw(&value.to_be_bytes()),
        }
    }

    /// An `Addr`, `Off` or `Xword`: four bytes in ELF32, where high bits are cut off.
    pub(crate) fn word(&mut self, value: u64) -> &mut Self {
        match self.encoding.class {
            Class::Elf32 => self.u32(value as u32),
            Class::Elf64 => self.u64(value),
        }
    }

    pub(crate) fn align(&mut self, alignment: u64) -> &mut Self {
        self.bytes.resize(align_up(self.len(), alignment) as usize, 0);
        self
    }
}

pub(crate) fn align_up(value: u64, alignment: u64) -> u64 {
    value.next_multiple_of(alignment.max(1))
}
