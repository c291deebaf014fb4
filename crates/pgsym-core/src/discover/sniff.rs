//! What a file is by its first bytes and by its name.

use std::path::Path;

use crate::error::FileError;
use crate::fs::Fs;
use crate::name::path_bytes;
use crate::parse::macho::is_macho;

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `\x7fELF`.
    Elf,
    /// A Mach-O file, thin or fat.
    MachO,
    /// A linker script in the place of a library: text that begins with a comment, `INPUT` or `GROUP`.
    LinkerScript,
    /// No bytes at all.
    Empty,
    /// Anything else.
    Other,
}

impl Format {
    /// Whether it is a format that is read.
    pub(super) fn is_object(self) -> bool {
        matches!(self, Self::Elf | Self::MachO)
    }
}

/// Reads the first bytes of a file.
pub fn sniff(fs: &dyn Fs, path: &Path) -> Result<Format, FileError> {
    Ok(format_of(&fs.head(path)?.0))
}

/// What the first [`HEAD_BYTES`](crate::fs::HEAD_BYTES) of a file say.
pub(super) fn format_of(head: &[u8]) -> Format {
    match head.first_chunk::<4>() {
        _ if head.is_empty() => Format::Empty,
        Some(b"\x7fELF") => Format::Elf,
        _ if is_macho(head) => Format::MachO,
        _ if is_linker_script(head) => Format::LinkerScript,
        _ => Format::Other,
    }
}

fn is_linker_script(bytes: &[u8]) -> bool {
    let mut text = bytes.trim_ascii_start();
    // Comments of either kind may stand before the first command.
    while let Some(comment) = text.strip_prefix(b"/*") {
        let Some(end) = bstr::ByteSlice::find(comment, b"*/") else { return comment.is_ascii() };
        text = comment[end + 2..].trim_ascii_start();
    }
    [&b"INPUT"[..], b"GROUP", b"OUTPUT_FORMAT", b"AS_NEEDED"].iter().any(|start| text.starts_with(start))
}

/// Whether a path has the name of a library or module: `x.so`, `libx.so.5.2`, `x.dylib`, `x.bundle`.
pub fn has_library_name(path: &Path) -> bool {
    path.file_name().is_some_and(|name| is_library_name(path_bytes(Path::new(name))))
}

/// The same of a name alone.
pub(super) fn is_library_name(name: &[u8]) -> bool {
    let ends = |suffix: &[u8]| name.len() > suffix.len() && name.ends_with(suffix);
    if ends(b".so") || ends(b".dylib") || ends(b".bundle") {
        return true;
    }
    let Some(at) = bstr::ByteSlice::rfind(name, b".so.") else { return false };
    at > 0 && name[at + 4..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') && name.len() > at + 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::MemoryFs;

    #[test]
    fn library_names_are_told_from_others() {
        let is = |name: &str| has_library_name(Path::new(name));
        assert!(is("x.so") && is("libx.so.5.2") && is("x.dylib"));
        assert!(!is("x.so.conf") && !is(".so") && !is("x.so.") && !is("x.sql"));
    }

    #[test]
    fn a_java_class_is_no_fat_binary() {
        let fs = MemoryFs::new()
            .file("/class", [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 52])
            .file("/fat", [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 2])
            .file("/script.so", "/* GNU ld script */ INPUT(libx.so.1)")
            .file("/debian.so", "/* We use a linker script\n   (bug 249122). */\nGROUP( libtinfo.so )\n");
        assert_eq!(sniff(&fs, Path::new("/debian.so")), Ok(Format::LinkerScript));
        assert_eq!(sniff(&fs, Path::new("/class")), Ok(Format::Other));
        assert_eq!(sniff(&fs, Path::new("/fat")), Ok(Format::MachO));
        assert_eq!(sniff(&fs, Path::new("/script.so")), Ok(Format::LinkerScript));
    }
}
