//! LC_DYLD_CHAINED_FIXUPS: header, where each segment's chains begin, imports, names. The pointers are of the format
//! DYLD_CHAINED_PTR_64_OFFSET: each says which import it is bound to and how far the next one is.

use super::bytes::Out;
use super::image::MachImportSpec;

/// The table; the pointers lie at the start of the segment at offset `data`, which has pages of that size.
pub(super) fn table(imports: &[MachImportSpec], format: u32, data: u64, page: u64) -> Vec<u8> {
    let mut symbols = Out::default();
    symbols.byte(0);
    let mut entries = Out::default();
    for import in imports {
        let name = symbols.0.len() as u64;
        symbols.string(&import.name);
        let weak = u64::from(import.is_weak);
        let ordinal = i64::from(import.from.number()).cast_unsigned();
        match format {
            1 | 2 => {
                entries.word((ordinal & 0xff | weak << 8 | name << 9) as u32);
                if format == 2 {
                    entries.word(0);
                }
            }
            _ => {
                entries.long(ordinal & 0xffff | weak << 16 | name << 32);
                entries.long(0);
            }
        }
    }
    let mut starts = Out::default();
    // Three segments, of which the second has a chain.
    for word in [3, 0, 16, 0] {
        starts.word(word);
    }
    let pages = (8 * imports.len() as u64).div_ceil(page).max(1);
    let size = 22 + 2 * pages;
    starts.word(size as u32);
    starts.half(page as u16);
    starts.half(6);
    starts.long(data);
    starts.word(0);
    starts.half(pages as u16);
    for number in 0..pages {
        let has_pointer = number * page < 8 * imports.len() as u64;
        starts.half(if has_pointer { 0 } else { 0xffff });
    }
    starts.pad(8);
    let mut out = Out::default();
    let starts_at = 32;
    let imports_at = starts_at + starts.0.len() as u32;
    let symbols_at = imports_at + entries.0.len() as u32;
    for word in [0, starts_at, imports_at, symbols_at, imports.len() as u32, format, 0, 0] {
        out.word(word);
    }
    out.0.extend(starts.0);
    out.0.extend(entries.0);
    out.0.extend(symbols.0);
    out.0
}

/// The pointers themselves.
pub(super) fn pointers(count: usize, page: u64) -> Vec<u8> {
    let mut out = Out::default();
    let per_page = page as usize / 8;
    for number in 0..count {
        let is_last = number + 1 == count || (number + 1) % per_page == 0;
        // In strides of four bytes.
        let next: u64 = if is_last { 0 } else { 2 };
        out.long(1 << 63 | next << 51 | number as u64);
    }
    out.0
}
