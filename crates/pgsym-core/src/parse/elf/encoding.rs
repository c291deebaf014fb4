//! Word size and byte order of one file, and the reading of its integers. Every reader below goes through these
//! few functions, so that one body serves all four kinds of ELF file.

use crate::model::{Class, Endian, Target};

/// How a file writes integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoding {
    pub(crate) class: Class,
    pub(crate) endian: Endian,
}

impl From<Target> for Encoding {
    fn from(target: Target) -> Self {
        Self { class: target.class, endian: target.endian }
    }
}

impl Encoding {
    pub(crate) fn is_64(self) -> bool {
        self.class == Class::Bits64
    }

    /// Bytes of an address: `Elf32_Addr` or `Elf64_Addr`.
    pub(crate) fn word_size(self) -> usize {
        if self.is_64() { 8 } else { 4 }
    }

    pub(crate) fn u16(self, bytes: &[u8], offset: usize) -> Option<u16> {
        let word = field(bytes, offset)?;
        Some(if self.endian == Endian::Little { u16::from_le_bytes(word) } else { u16::from_be_bytes(word) })
    }

    pub(crate) fn u32(self, bytes: &[u8], offset: usize) -> Option<u32> {
        let word = field(bytes, offset)?;
        Some(if self.endian == Endian::Little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) })
    }

    pub(crate) fn u64(self, bytes: &[u8], offset: usize) -> Option<u64> {
        let word = field(bytes, offset)?;
        Some(if self.endian == Endian::Little { u64::from_le_bytes(word) } else { u64::from_be_bytes(word) })
    }

    /// An address-sized word.
    pub(crate) fn word(self, bytes: &[u8], offset: usize) -> Option<u64> {
        if self.is_64() { self.u64(bytes, offset) } else { self.u32(bytes, offset).map(u64::from) }
    }

    /// An address-sized word with its sign: `d_tag`, `r_addend`.
    pub(crate) fn signed_word(self, bytes: &[u8], offset: usize) -> Option<i64> {
        if self.is_64() {
            self.u64(bytes, offset).map(u64::cast_signed)
        } else {
            self.u32(bytes, offset).map(|word| i64::from(word.cast_signed()))
        }
    }

    /// All 32-bit words of a table; a rest shorter than a word is left out.
    pub(crate) fn u32s(self, bytes: &[u8]) -> Box<[u32]> {
        let words = bytes.as_chunks::<4>().0.iter();
        match self.endian {
            Endian::Little => words.map(|&word| u32::from_le_bytes(word)).collect(),
            Endian::Big => words.map(|&word| u32::from_be_bytes(word)).collect(),
        }
    }

    /// All address-sized words of a table; a rest shorter than a word is left out.
    pub(crate) fn words(self, bytes: &[u8]) -> Box<[u64]> {
        bytes.chunks_exact(self.word_size()).filter_map(|word| self.word(word, 0)).collect()
    }
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

// Fields of records whose size is known when compiling: the bounds checks vanish, and each is one load. Inlined
// wherever they are compiled: as calls they take a third of the reading of a symbol table.

#[inline]
fn word_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    // Copying from a slice into the word is a call without LTO.
    bytes[at..].first_chunk().copied().unwrap_or([0; N])
}

#[inline]
pub(crate) fn u16_at<const BIG: bool>(bytes: &[u8], at: usize) -> u16 {
    let word = word_at(bytes, at);
    if BIG { u16::from_be_bytes(word) } else { u16::from_le_bytes(word) }
}

#[inline]
pub(crate) fn u32_at<const BIG: bool>(bytes: &[u8], at: usize) -> u32 {
    let word = word_at(bytes, at);
    if BIG { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
}

#[inline]
pub(crate) fn u64_at<const BIG: bool>(bytes: &[u8], at: usize) -> u64 {
    let word = word_at(bytes, at);
    if BIG { u64::from_be_bytes(word) } else { u64::from_le_bytes(word) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_32_bit_files_keep_their_sign() {
        let encoding = Encoding { class: Class::Bits32, endian: Endian::Big };
        assert_eq!(encoding.signed_word(&[0xff, 0xff, 0xff, 0xfe], 0), Some(-2));
        assert_eq!(encoding.word(&[0xff, 0xff, 0xff, 0xfe], 0), Some(0xffff_fffe));
    }

    #[test]
    fn a_field_past_the_end_is_nothing() {
        let encoding = Encoding { class: Class::Bits64, endian: Endian::Little };
        assert_eq!(encoding.u64(&[0; 8], 1), None);
        assert_eq!(encoding.u16(&[0; 8], usize::MAX), None);
    }
}
