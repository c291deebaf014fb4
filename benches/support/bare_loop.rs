//! The least that reading every dynamic symbol can cost: the tables are found by their section headers, read with one
//! `pread` each, and walked. Nothing is checked, kept or believed beyond what keeps the loop from panicking.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use object::elf::{FileHeader64, SHT_DYNSYM, SHT_GNU_VERSYM, SectionHeader64, Sym64};
use object::pod;
use object::{LittleEndian, U16};

const LE: LittleEndian = LittleEndian;

/// Calls `see` with the name and the versym word of each symbol of a 64-bit little-endian file.
pub(crate) fn read(file: &File, see: &mut dyn FnMut(&[u8], u16)) -> Option<()> {
    let header = range(file, 0, 64)?;
    let (header, _) = pod::from_bytes::<FileHeader64<LittleEndian>>(&header).ok()?;
    if header.e_ident.class != object::elf::ELFCLASS64 || header.e_ident.data != object::elf::ELFDATA2LSB {
        return None;
    }
    let (offset, count) = (header.e_shoff.get(LE), usize::from(header.e_shnum.get(LE)));
    let sections = range(file, offset, count as u64 * 64)?;
    let (sections, _) = pod::slice_from_bytes::<SectionHeader64<LittleEndian>>(&sections, count).ok()?;
    let dynsym = sections.iter().find(|section| section.sh_type.get(LE) == SHT_DYNSYM)?;
    let dynstr = sections.get(dynsym.sh_link.get(LE) as usize)?;
    let versym = sections.iter().find(|section| section.sh_type.get(LE) == SHT_GNU_VERSYM);
    let table = |section: &SectionHeader64<LittleEndian>| {
        range(file, section.sh_offset.get(LE), section.sh_size.get(LE))
    };
    let (symbols, names) = (table(dynsym)?, table(dynstr)?);
    let versions = versym.and_then(table).unwrap_or_default();
    let (symbols, _) = pod::slice_from_bytes::<Sym64<LittleEndian>>(
        &symbols,
        symbols.len() / size_of::<Sym64<LittleEndian>>(),
    )
    .ok()?;
    let (versions, _) = pod::slice_from_bytes::<U16<LittleEndian>>(&versions, versions.len() / 2).ok()?;
    for (index, symbol) in symbols.iter().enumerate().skip(1) {
        let rest = names.get(symbol.st_name.get(LE) as usize..)?;
        let end = memchr(rest)?;
        see(&rest[..end], versions.get(index).map_or(1, |version| version.get(LE)));
    }
    Some(())
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    use bstr::ByteSlice as _;
    bytes.find_byte(0)
}

fn range(file: &File, offset: u64, length: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}
