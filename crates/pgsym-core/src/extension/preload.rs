//! `shared_preload_libraries` as the server reads it: the list, in the grammar of `SplitDirectoriesString`
//! (src/backend/utils/adt/varlena.c), and the file behind each name (`load_libraries` of
//! src/backend/utils/init/miscinit.c, which calls `load_file`).

use std::path::{Path, PathBuf};

use super::library_path::{LibrarySettings, Loader, canonicalize, expand};
use crate::error::os_text;
use crate::fs::Fs;
use crate::name::{Shown, path_bytes, path_from_bytes};

/// The longest name that the server keeps whole, in bytes (MAXPGPATH without the end).
const LONGEST: usize = 1_023;

/// The names of a list, in order: separated by commas, with blanks around them, in quotes where a name has either;
/// none where the list is malformed, with which the server starts without any of them.
pub fn preload_names(list: &str) -> Option<Vec<String>> {
    let mut rest = list.as_bytes().trim_ascii_start();
    let mut names = Vec::new();
    if rest.is_empty() {
        return Some(names);
    }
    loop {
        let name = if rest.first() == Some(&b'"') { quoted(&mut rest)? } else { unquoted(&mut rest)? };
        let kept = name.get(..LONGEST).unwrap_or(&name);
        names.push(String::from_utf8_lossy(&canonicalize(kept)).into_owned());
        rest = rest.trim_ascii_start();
        match rest.split_first() {
            None => return Some(names),
            Some((b',', behind)) => rest = behind.trim_ascii_start(),
            Some(_) => return None,
        }
    }
}

/// Takes a name in quotes, in which two quotes stand for one.
fn quoted(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    let mut text = rest.get(1..)?;
    loop {
        let at = text.iter().position(|&byte| byte == b'"')?;
        name.extend_from_slice(text.get(..at)?);
        text = text.get(at + 1..)?;
        if text.first() != Some(&b'"') {
            *rest = text;
            return Some(name);
        }
        name.push(b'"');
        text = text.get(1..)?;
    }
}

/// Takes a name without quotes: all up to the next comma, without the blanks at its end.
fn unquoted(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let end = rest.iter().position(|&byte| byte == b',').unwrap_or(rest.len());
    let (name, behind) = rest.split_at(end);
    *rest = behind;
    let name = name.trim_ascii_end();
    (!name.is_empty()).then(|| name.to_vec())
}

/// Where a name leads.
///
/// # Errors
///
/// The server's message where it leads nowhere.
pub(crate) fn preload_path(
    fs: &dyn Fs,
    settings: &LibrarySettings<'_>,
    name: &str,
) -> Result<PathBuf, PreloadError> {
    let bytes = name.as_bytes();
    // What find_in_path and stat make of it is relative to the data directory.
    if bytes.contains(&b'/') && !bytes.starts_with(b"/") && !bytes.starts_with(b"$") {
        return Err(PreloadError::InDataDirectory);
    }
    let found = expand(fs, settings, Loader::File, bytes).map_err(PreloadError::Server)?;
    let missing = |os: &str| {
        let path = path_bytes(&found.path);
        PreloadError::Server(format!("could not access file \"{}\": {os}", Shown(path)))
    };
    if found.found {
        return Ok(found.path);
    }
    if !bytes.starts_with(b"/") {
        return Err(missing("No such file or directory"));
    }
    // A directory is there for stat, and for the loader to refuse.
    let path = path_from_bytes(bytes.to_vec());
    match fs.metadata(Path::new(&path)) {
        Ok(_) => Ok(path),
        Err(error) => Err(missing(&os_text(&error))),
    }
}

/// Why a name of the list leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PreloadError {
    /// What the server says after `FATAL:`.
    Server(String),
    /// It starts in the server's data directory, which is not known.
    InDataDirectory,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::MemoryFs;

    #[test]
    fn lists_are_split_as_the_server_splits_them() {
        let names = |list: &str| preload_names(list).map(|names| names.join("|"));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(names(" hstore , pgcrypto "), some("hstore|pgcrypto"));
        assert_eq!(names("\"hstore\", \"a,b\"\"c\" "), some("hstore|a,b\"c"));
        assert_eq!(names("./hstore,$libdir//x/"), some("hstore|$libdir/x"));
        assert_eq!(names("two words"), some("two words"));
        assert_eq!(names("  "), some(""));
        for malformed in ["a,,b", "a,", ",a", "\"a", "\"a\" b"] {
            assert_eq!(names(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn names_lead_where_load_file_looks() {
        let fs = MemoryFs::new().file("/pg/lib/hstore.so", "").directory("/pg/lib/d");
        let settings = LibrarySettings {
            libdirs: &[PathBuf::from("/pg/lib")],
            dynamic_library_path: b"$libdir",
            dlsuffix: b".so",
            major: 15,
        };
        let path = |name: &str| preload_path(&fs, &settings, name);
        let server = |text: &str| Err(PreloadError::Server(text.to_owned()));
        for name in ["hstore", "hstore.so", "$libdir/hstore", "/pg/lib/hstore"] {
            assert_eq!(path(name), Ok("/pg/lib/hstore.so".into()), "{name}");
        }
        assert_eq!(path("HSTORE"), server("could not access file \"HSTORE\": No such file or directory"));
        assert_eq!(path("/nope"), server("could not access file \"/nope\": No such file or directory"));
        assert_eq!(path("$nope/x"), server("invalid macro name in dynamic library path: $nope/x"));
        assert_eq!(path("/pg/lib/d"), Ok("/pg/lib/d".into()));
        assert_eq!(path("a/b"), Err(PreloadError::InDataDirectory));
    }
}
