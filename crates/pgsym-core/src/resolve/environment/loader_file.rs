//! What stands in the loader's own file: which glibc it is, and which directories it searches.

use std::path::{Path, PathBuf};

use bstr::ByteSlice as _;

use crate::error::FileError;
use crate::fs::Fs;
use crate::limits;
use crate::name::bytes_as_path;
use crate::source::read_range;

/// What stands in the loader's own file.
#[derive(Debug, Default)]
pub(super) struct LoaderFacts {
    pub(super) version: Option<(u32, u32)>,
    pub(super) system_directories: Vec<PathBuf>,
    /// `ld.so (Debian GLIBC 2.36-9+deb12u14)`
    pub(super) is_multiarch_build: bool,
}

impl LoaderFacts {
    /// Reads the loader's read-only data as text. glibc's build puts `system_dirs` there as one array of
    /// NUL-terminated directories with trailing slashes (elf/dl-load.c, SYSTEM_DIRS), and the sentence
    /// `… release version 2.36.` (elf/dl-usage.c).
    pub(super) fn read(fs: &dyn Fs, path: &Path) -> Result<Self, FileError> {
        let (source, _) = fs.open(path)?;
        let bytes = read_range(&*source, 0, source.len().min(limits::LOADER_BYTES), "the loader")?;
        Ok(Self {
            version: release_version(&bytes),
            system_directories: system_directories(&bytes),
            is_multiarch_build: is_multiarch_build(&bytes),
        })
    }
}

fn is_multiarch_build(bytes: &[u8]) -> bool {
    [&b"(Debian GLIBC "[..], b"(Ubuntu GLIBC "].iter().any(|banner| bytes.find(banner).is_some())
}

fn release_version(bytes: &[u8]) -> Option<(u32, u32)> {
    let sentence = b"release version ";
    let start = bytes.find(sentence)? + sentence.len();
    let text = bytes.get(start..(start + 16).min(bytes.len()))?;
    let digits = |bytes: &[u8]| -> Option<(u32, usize)> {
        let length = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        Some((std::str::from_utf8(&bytes[..length]).ok()?.parse().ok()?, length))
    };
    let (major, length) = digits(text)?;
    let (minor, _) = digits(text.get(length..)?.strip_prefix(b".")?)?;
    Some((major, minor))
}

/// The longest run of two or more absolute directories with trailing slashes, each ended by a NUL.
fn system_directories(bytes: &[u8]) -> Vec<PathBuf> {
    let is_directory = |text: &&[u8]| {
        text.len() > 1
            && text.len() < 256
            && text.starts_with(b"/")
            && text.ends_with(b"/")
            && text.iter().all(u8::is_ascii_graphic)
    };
    let mut best: Vec<&[u8]> = Vec::new();
    let mut done = 0;
    // Between two of them stands the end of one and the start of the next.
    for at in bytes.find_iter(b"/\0/") {
        if at < done {
            continue;
        }
        // The first string of the array may follow other bytes without a NUL between: none was seen to.
        let start = bytes[..at].rfind_byte(0).map_or(0, |nul| nul + 1);
        let run: Vec<&[u8]> = bytes[start..].split(|&byte| byte == 0).take_while(is_directory).collect();
        done = start + run.iter().map(|text| text.len() + 1).sum::<usize>();
        if run.len() > best.len() && run.len() >= 2 {
            best = run;
        }
    }
    best.iter().map(|text| bytes_as_path(&text[..text.len() - 1]).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_version_are_read_from_the_loader_itself() {
        let text =
            b"junk\0/etc/ld.so.cache\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0\
            ld.so (Debian GLIBC 2.36-9) stable release version 2.36.\n\0";
        let directories = system_directories(text);
        assert_eq!(directories.len(), 4);
        assert_eq!(directories[0], Path::new("/lib/x86_64-linux-gnu"));
        assert_eq!(release_version(text), Some((2, 36)));
        assert!(is_multiarch_build(text));
    }
}
