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
    /// A Windows binary (PE): `MZ`, and `PE\0\0` where the word at 0x3c says.
    Windows,
    /// Anything else.
    Other,
}

impl Format {
    /// Whether it is a format that is read.
    pub(super) fn is_object(self) -> bool {
        matches!(self, Self::Elf | Self::MachO)
    }

    /// Whether a search tells of it whatever its name is.
    pub(super) fn is_binary(self) -> bool {
        self.is_object() || self == Self::Windows
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
        _ if is_windows(head) => Format::Windows,
        _ => Format::Other,
    }
}

/// `IMAGE_DOS_HEADER.e_lfanew` leads to the signature of the PE header, which linkers put within the first 300 bytes.
fn is_windows(head: &[u8]) -> bool {
    let lead = head.get(0x3c..).and_then(|rest| rest.first_chunk::<4>());
    let Some(lead) = lead.filter(|_| head.starts_with(b"MZ")) else { return false };
    let signature = usize::try_from(u32::from_le_bytes(*lead)).ok().and_then(|at| head.get(at..));
    signature.is_some_and(|signature| signature.starts_with(b"PE\0\0"))
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
    fn a_windows_binary_has_both_of_its_marks() {
        let mut bytes = vec![0; 0x84];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3c] = 0x80;
        let dos = MemoryFs::new().file("/x.exe", bytes.clone());
        assert_eq!(sniff(&dos, Path::new("/x.exe")), Ok(Format::Other));
        bytes[0x80..].copy_from_slice(b"PE\0\0");
        let pe = MemoryFs::new().file("/x.dll", bytes.clone()).file("/cut.dll", &bytes[..0x82]);
        assert_eq!(sniff(&pe, Path::new("/x.dll")), Ok(Format::Windows));
        assert_eq!(sniff(&pe, Path::new("/cut.dll")), Ok(Format::Other));
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
