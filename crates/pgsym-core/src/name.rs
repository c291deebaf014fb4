//! Names as they stand in a file: bytes, usually ASCII, never trusted to be UTF-8 and never printed raw,
//! because a symbol or soname under audit may carry terminal escapes.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

/// An owned name: a soname, a needed entry, a symbol, a version node, a search path element.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name(Box<[u8]>);

impl Name {
    /// The bytes as they stand in the file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as a path. Only meaningful on Unix hosts, where paths are bytes.
    pub fn as_path(&self) -> &Path {
        bytes_as_path(&self.0)
    }

    /// Whether the name holds a slash, which makes the loader open it as a path instead of searching.
    pub fn has_slash(&self) -> bool {
        self.0.contains(&b'/')
    }

    /// Whether the name is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name when it is UTF-8.
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<&[u8]> for Name {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<Vec<u8>> for Name {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Shown(&self.0), f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Shown(&self.0))
    }
}

/// Bytes shown to a person: UTF-8 as it is, everything else and every control character escaped as `\xNN`.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nearly every name is plain.
        if self.0.iter().all(|byte| matches!(byte, 0x20..=0x7e)) {
            return f.write_str(std::str::from_utf8(self.0).unwrap_or_default());
        }
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() || is_direction_override(c) {
                    let mut buffer = [0; 4];
                    for byte in c.encode_utf8(&mut buffer).bytes() {
                        write!(f, "\\x{byte:02x}")?;
                    }
                } else {
                    f.write_char(c)?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// A path shown to a person, escaped like every other name.
pub fn shown_path(path: &Path) -> Shown<'_> {
    Shown(path_bytes(path))
}

/// Bidirectional controls let a name show as another one; they are not `char::is_control`.
fn is_direction_override(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// Bytes as a path, without copying.
pub fn bytes_as_path(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// A path's bytes.
pub fn path_bytes(path: &Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes()
}

/// A path from bytes.
pub fn path_from_bytes(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// "1 module", "2 modules".
#[cfg(feature = "audit")]
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = match (number, noun.strip_suffix('y')) {
        (1, _) => noun.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{noun}s"),
    };
    format!("{number} {plural}")
}

/// "a, b and 3 more": the first `most` names, and the number of the others.
#[cfg(feature = "audit")]
pub(crate) fn listed(names: impl IntoIterator<Item = impl ToString>, most: usize) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(most).map(|name| name.to_string()).collect();
    match names.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_is_shown_as_it_is() {
        assert_eq!(Name::from("libü.so").to_string(), "libü.so");
    }

    #[test]
    fn control_characters_and_invalid_bytes_are_escaped() {
        assert_eq!(Name::from(&b"a\x1b[31m\xffb"[..]).to_string(), "a\\x1b[31m\\xffb");
    }

    #[test]
    fn direction_overrides_are_escaped() {
        assert_eq!(Name::from("a\u{202e}b").to_string(), "a\\xe2\\x80\\xaeb");
    }
}
