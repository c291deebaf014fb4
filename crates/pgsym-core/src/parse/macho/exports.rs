//! The export trie, in either of its homes, and LC_SYMTAB for images without one.
//!
//! ```text
//! node   terminal_size uleb128, terminal[terminal_size], children u8,
//!        children × (edge NUL-terminated, offset uleb128 from the start of the trie)
//! ```
//!
//! Linkers write a tree. A file may write anything: an offset that leads to a node seen before would make the
//! number of names exponential in the file's size (a trie of 244 bytes has 16.7 million), so it ends the table.

use object::macho;

use super::commands::Linkedit;
use super::symtab;
use crate::error::FileError;
use crate::limits;
use crate::model::{ExportSource, ExportTarget, MachExport, MachO, Table};
use crate::name::Name;
use crate::source::Source;

/// Reads the exports of a slice.
pub(super) fn read(source: &dyn Source, linkedit: &Linkedit, detail: &mut MachO) {
    let (place, origin) = match (linkedit.exports_trie, linkedit.dyld_info) {
        (Some(range), _) => (Some(range), ExportSource::ExportsTrie),
        (None, Some(info)) => (Some(info.export), ExportSource::DyldInfo),
        (None, None) => (None, ExportSource::SymbolTable),
    };
    detail.export_source = origin;
    let exports = match place {
        // dyld: an image with LC_DYLD_INFO and no trie exports nothing.
        Some(range) if range.size == 0 => Ok(Some(Vec::new())),
        Some(range) => range.read(source, "the export trie").and_then(|trie| walk(&trie)).map(Some),
        None => symtab::exports(source, linkedit, detail.base_address()),
    };
    detail.exports = Table::from_optional(exports.map(|exports| {
        exports.map(|mut exports| {
            exports.sort_by(|a, b| a.name.cmp(&b.name));
            exports
        })
    }));
}

/// A node whose children are being visited.
struct Open {
    /// Where the next edge stands.
    next_edge: usize,
    children_left: u8,
    /// How much of the name belongs to the node itself.
    name_len: usize,
}

/// All names of a trie.
fn walk(trie: &[u8]) -> Result<Vec<MachExport>, FileError> {
    let mut seen = vec![false; trie.len()];
    let mut exports = Vec::new();
    let mut name: Vec<u8> = Vec::new();
    let mut name_bytes = 0_u64;
    let mut open = vec![enter(trie, 0, &name, &mut seen, &mut exports)?];
    while let Some(node) = open.last_mut() {
        name.truncate(node.name_len);
        if node.children_left == 0 {
            open.pop();
            continue;
        }
        node.children_left -= 1;
        let edge = string(trie, &mut node.next_edge)?;
        name.extend_from_slice(edge);
        if name.len() > limits::NAME_BYTES {
            return Err(FileError::limit("a name in the export trie is longer than any symbol"));
        }
        let child = uleb(trie, &mut node.next_edge)?;
        let child = usize::try_from(child).unwrap_or(usize::MAX);
        let before = exports.len();
        let node = enter(trie, child, &name, &mut seen, &mut exports)?;
        if exports.len() > before {
            name_bytes += name.len() as u64;
            if name_bytes > limits::MACH_NAME_BYTES {
                return Err(FileError::limit("the names in the export trie"));
            }
        }
        open.push(node);
    }
    Ok(exports)
}

/// Reads one node up to its children.
fn enter(
    trie: &[u8],
    offset: usize,
    name: &[u8],
    seen: &mut [bool],
    exports: &mut Vec<MachExport>,
) -> Result<Open, FileError> {
    let wrong = |what: &'static str| FileError::malformed(format!("{what} (trie offset {offset:#x})"));
    match seen.get_mut(offset) {
        None => return Err(wrong("a child of the export trie lies outside it")),
        Some(true) => return Err(wrong("a node of the export trie has two parents")),
        Some(slot) => *slot = true,
    }
    let mut at = offset;
    let size = usize::try_from(uleb(trie, &mut at)?).unwrap_or(usize::MAX);
    let end = at.checked_add(size).filter(|&end| end < trie.len());
    let end = end.ok_or_else(|| wrong("a node of the export trie reaches past its end"))?;
    if size != 0 {
        exports.push(terminal(trie.get(at..end).unwrap_or_default(), name)?);
    }
    let children = trie.get(end).copied().ok_or_else(|| wrong("a node of the export trie is cut off"))?;
    Ok(Open { next_edge: end + 1, children_left: children, name_len: name.len() })
}

/// What a node says of the name that ends there.
fn terminal(bytes: &[u8], name: &[u8]) -> Result<MachExport, FileError> {
    let mut at = 0;
    let flags = macho::ExportSymbolFlags(uleb(bytes, &mut at)?);
    let target = if flags.contains(macho::EXPORT_SYMBOL_FLAGS_REEXPORT) {
        let ordinal = uleb(bytes, &mut at)?;
        ExportTarget::Reexport { ordinal, name: Name::from(string(bytes, &mut at)?) }
    } else if flags.contains(macho::EXPORT_SYMBOL_FLAGS_STUB_AND_RESOLVER) {
        ExportTarget::Resolver { stub: uleb(bytes, &mut at)?, resolver: uleb(bytes, &mut at)? }
    } else {
        ExportTarget::Address(uleb(bytes, &mut at)?)
    };
    Ok(MachExport { name: Name::from(name), flags, target })
}

/// An unsigned LEB128 number of at most 64 bits.
fn uleb(bytes: &[u8], at: &mut usize) -> Result<u64, FileError> {
    let mut value = 0_u64;
    let mut shift = 0;
    loop {
        let byte = bytes.get(*at).copied();
        let byte = byte.ok_or_else(|| FileError::malformed("a number in the export trie is cut off"))?;
        *at += 1;
        let bits = u64::from(byte & 0x7f);
        if shift >= 64 || bits << shift >> shift != bits {
            return Err(FileError::malformed("a number in the export trie has more than 64 bits"));
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
        shift += 7;
    }
}

/// A string up to its NUL, which is passed over.
fn string<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a [u8], FileError> {
    let rest = bytes.get(*at..).unwrap_or_default();
    let end = bstr::ByteSlice::find_byte(rest, 0);
    let end = end.ok_or_else(|| FileError::malformed("a string in the export trie is cut off"))?;
    *at += end + 1;
    Ok(rest.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(trie: &[u8]) -> Result<Vec<String>, FileError> {
        Ok(walk(trie)?.iter().map(|export| export.name.to_string()).collect())
    }

    #[test]
    fn names_are_the_edges_on_the_way() {
        #[rustfmt::skip]
        let trie = [
            0, 1, b'_', 0, 5,       // root: one child "_" at 5
            0, 2, b'a', 0, 13, b'b', 0, 17, // "_": "a" at 13, "b" at 17
            2, 0, 0x10, 0,          // "_a": flags 0, address 0x10
            4, 8, 2, b'c', 0, 0,    // "_b": re-export of "c" from library 2
        ];
        let exports = walk(&trie).unwrap();
        assert_eq!(exports[0].name, "_a");
        assert_eq!(exports[0].target, ExportTarget::Address(0x10));
        assert_eq!(exports[1].name, "_b");
        assert_eq!(exports[1].target, ExportTarget::Reexport { ordinal: 2, name: Name::from("c") });
    }

    #[test]
    fn a_cycle_ends_the_table() {
        let trie = [0, 1, b'a', 0, 5, 0, 1, b'b', 0, 0];
        assert_eq!(
            names(&trie).unwrap_err().message,
            "a node of the export trie has two parents (trie offset 0x0)"
        );
    }

    #[test]
    fn a_shared_node_ends_the_table() {
        let trie = [0, 2, b'a', 0, 8, b'b', 0, 8, 0, 0];
        assert!(names(&trie).unwrap_err().message.contains("two parents"));
    }

    #[test]
    fn a_child_outside_the_trie_ends_the_table() {
        let trie = [0, 1, b'a', 0, 0xff, 0x7f];
        assert!(names(&trie).unwrap_err().message.contains("lies outside"));
    }

    #[test]
    fn numbers_above_64_bits_are_refused() {
        assert!(uleb(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02], &mut 0).is_err());
        assert_eq!(uleb(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], &mut 0), Ok(u64::MAX));
    }
}
