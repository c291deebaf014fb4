//! From the name in `AS '…'`, LOAD or a preload setting to a file: the server's search
//! (src/backend/utils/fmgr/dfmgr.c: load_external_function, expand_dynamic_library_name, find_in_path,
//! substitute_path_macro), and the search for control files (src/backend/commands/extension.c).

use std::io;
use std::path::{Path, PathBuf};

use crate::fs::{FileKind, Fs};
use crate::name::{Shown, path_bytes, path_from_bytes};

/// What the server's search depends on.
#[derive(Debug, Clone)]
pub struct LibrarySettings<'a> {
    /// `$libdir`: `pg_config --pkglibdir`. A package's staging tree puts its own in front of the installed one,
    /// as the finished installation will hold the files of both.
    pub libdirs: &'a [PathBuf],
    /// The setting of the same name; the server's default is `$libdir`.
    pub dynamic_library_path: &'a [u8],
    /// `.so`, `.dylib`: see [`dlsuffix`].
    pub dlsuffix: &'a [u8],
    /// The server's major version.
    pub major: u32,
}

/// Who asks for a library, which decides what 18 strips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loader {
    /// A C function's `probin`, an archive module, a background worker: `load_external_function`.
    ExternalFunction,
    /// LOAD and the preload settings: `load_file`.
    File,
}

/// The outcome of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expansion {
    /// The path that the server will open, as it spells it. When nothing was found it is the name unchanged.
    pub path: PathBuf,
    /// Whether a file is there.
    pub found: bool,
    /// Every path that was tried, in order, the last one being the file when it was found.
    pub tried: Vec<PathBuf>,
}

/// The file name suffix of loadable modules: macOS changed from `.so` to `.dylib` in 16.
pub fn dlsuffix(is_macos: bool, major: u32) -> &'static [u8] {
    if is_macos && major >= 16 { b".dylib" } else { b".so" }
}

/// Searches for a library.
///
/// # Errors
///
/// The server's message, where the name or the setting is malformed, or the file system fails in a way that is
/// not "no such file".
pub fn expand(
    fs: &dyn Fs,
    settings: &LibrarySettings<'_>,
    loader: Loader,
    name: &[u8],
) -> Result<Expansion, String> {
    let mut name = name;
    if settings.major >= 18
        && loader == Loader::ExternalFunction
        && let Some(simple) = name.strip_prefix(b"$libdir/")
        && !simple.contains(&b'/')
    {
        name = simple;
    }
    let mut tried = Vec::new();
    for suffix in [b"".as_slice(), settings.dlsuffix] {
        let name = [name, suffix].concat();
        let found = if name.contains(&b'/') {
            let paths = substitute(&name, settings)?;
            first_file(fs, paths.into_iter().map(path_from_bytes), &mut tried)?
        } else {
            find_in_path(fs, settings, &name, &mut tried)?
        };
        if let Some(path) = found {
            return Ok(Expansion { path, found: true, tried });
        }
    }
    Ok(Expansion { path: path_from_bytes(name.to_vec()), found: false, tried })
}

/// Every path that the search may come to, in its order, whether there is a file or not; empty where the search
/// is an error.
pub fn candidates(settings: &LibrarySettings<'_>, loader: Loader, name: &[u8]) -> Vec<PathBuf> {
    // A file system without any file makes the search go all the way.
    expand(&crate::fs::MemoryFs::new(), settings, loader, name).map(|found| found.tried).unwrap_or_default()
}

/// `substitute_path_macro`: only a leading `$libdir` that is a whole component. One result per `$libdir`.
fn substitute(name: &[u8], settings: &LibrarySettings<'_>) -> Result<Vec<Vec<u8>>, String> {
    if !name.starts_with(b"$") {
        return Ok(vec![name.to_vec()]);
    }
    let end = name.iter().position(|&b| b == b'/').unwrap_or(name.len());
    if name.get(..end) != Some(b"$libdir") {
        let what = if settings.major >= 18 { "path" } else { "dynamic library path" };
        return Err(format!("invalid macro name in {what}: {}", Shown(name)));
    }
    let rest = name.get(end..).unwrap_or_default();
    Ok(settings.libdirs.iter().map(|libdir| [path_bytes(libdir), rest].concat()).collect())
}

fn first_file(
    fs: &dyn Fs,
    paths: impl Iterator<Item = PathBuf>,
    tried: &mut Vec<PathBuf>,
) -> Result<Option<PathBuf>, String> {
    for path in paths {
        tried.push(path.clone());
        if exists(fs, &path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// `find_in_path` over dynamic_library_path.
fn find_in_path(
    fs: &dyn Fs,
    settings: &LibrarySettings<'_>,
    name: &[u8],
    tried: &mut Vec<PathBuf>,
) -> Result<Option<PathBuf>, String> {
    if settings.dynamic_library_path.is_empty() {
        return Ok(None);
    }
    let mut pieces = settings.dynamic_library_path.split(|&b| b == b':').peekable();
    while let Some(piece) = pieces.next() {
        // An empty piece in front of a separator is an error of its own; an empty last one is merely a path
        // that is not absolute.
        if piece.is_empty() && pieces.peek().is_some() {
            return Err("zero-length component in parameter \"dynamic_library_path\"".to_owned());
        }
        let directories: Vec<_> =
            substitute(piece, settings)?.iter().map(|path| canonicalize(path)).collect();
        // The server's own directory is absolute for the server, however the tree under audit was named.
        let is_own = piece.starts_with(b"$libdir");
        if !is_own && directories.iter().any(|directory| !directory.starts_with(b"/")) {
            return Err("component in parameter \"dynamic_library_path\" is not an absolute path".to_owned());
        }
        let paths =
            directories.iter().map(|directory| path_from_bytes([directory, &b"/"[..], name].concat()));
        if let Some(path) = first_file(fs, paths, tried)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// `pg_file_exists`: there, and not a directory.
fn exists(fs: &dyn Fs, path: &Path) -> Result<bool, String> {
    match fs.metadata(path) {
        Ok(metadata) => Ok(metadata.kind != FileKind::Directory),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied => {
                Ok(false)
            }
            _ => Err(format!(
                "could not access file \"{}\": {}",
                Shown(path_bytes(path)),
                crate::error::os_text(&error)
            )),
        },
    }
}

/// `canonicalize_path` (src/port/path.c): `.`, `..` and doubled slashes go, without asking the file system.
pub(super) fn canonicalize(path: &[u8]) -> Vec<u8> {
    let is_absolute = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(&last) if last != b".." => {
                    parts.pop();
                }
                _ if is_absolute => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let joined = parts.join(&b"/"[..]);
    match (is_absolute, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) if path.is_empty() => Vec::new(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// The directories that are searched for control files, in order (`get_extension_control_directories`).
///
/// Before 18 that is `SHAREDIR/extension` alone. From 18 on, `extension_control_path` names the *parents* of
/// directories called `extension`, and `$system` stands for the server's own, where there is a server.
pub fn control_directories(
    sharedir: Option<&Path>,
    extension_control_path: &[u8],
    major: u32,
) -> Vec<PathBuf> {
    let system = sharedir.map(|sharedir| sharedir.join("extension"));
    if major < 18 || extension_control_path.is_empty() {
        return system.into_iter().collect();
    }
    extension_control_path
        .split(|&b| b == b':')
        .filter_map(|piece| match piece {
            b"$system" => Some(path_from_bytes(canonicalize(path_bytes(system.as_ref()?)))),
            _ => Some(path_from_bytes(canonicalize(&[piece, b"/extension"].concat()))),
        })
        .collect()
}

/// The server's error for a directory of extension_control_path that is not absolute (`find_in_paths`); it is raised
/// only when the search comes that far.
pub fn control_directory_error(directory: &Path) -> Option<&'static str> {
    (!directory.is_absolute())
        .then_some("component in parameter \"extension_control_path\" is not an absolute path")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::MemoryFs;

    fn search(fs: &MemoryFs, path: &str, major: u32, loader: Loader, name: &str) -> Result<String, String> {
        let settings = LibrarySettings {
            libdirs: &[PathBuf::from("/lib")],
            dynamic_library_path: path.as_bytes(),
            dlsuffix: b".so",
            major,
        };
        let expansion = expand(fs, &settings, loader, name.as_bytes())?;
        let path = expansion.path.to_string_lossy().into_owned();
        Ok(if expansion.found { path } else { format!("missing {path}") })
    }

    fn function(fs: &MemoryFs, path: &str, major: u32, name: &str) -> Result<String, String> {
        search(fs, path, major, Loader::ExternalFunction, name)
    }

    #[test]
    fn every_directory_is_tried_without_the_suffix_first() {
        let fs = MemoryFs::new().file("/a/x.so", "").file("/b/x", "");
        assert_eq!(function(&fs, "/a:/b", 15, "x").unwrap(), "/b/x");
        assert_eq!(function(&fs, "/a:/b", 15, "x.so").unwrap(), "/a/x.so");
        assert_eq!(function(&fs, "", 15, "x").unwrap(), "missing x");
    }

    #[test]
    fn a_directory_is_no_library() {
        let fs = MemoryFs::new().directory("/lib/x").file("/lib/x.so", "");
        assert_eq!(function(&fs, "$libdir", 15, "x").unwrap(), "/lib/x.so");
        assert_eq!(function(&fs, "$libdir", 15, "$libdir/x").unwrap(), "/lib/x.so");
    }

    #[test]
    fn a_name_with_a_slash_is_not_searched_for() {
        let fs = MemoryFs::new().file("/a/s/x.so", "").file("/lib/x.so", "");
        assert_eq!(function(&fs, "/a", 15, "s/x").unwrap(), "missing s/x");
        assert_eq!(function(&fs, "/a", 15, "/lib/x").unwrap(), "/lib/x.so");
        assert_eq!(function(&fs, "/a", 15, "$libdir/x").unwrap(), "/lib/x.so");
    }

    #[test]
    fn eighteen_strips_libdir_from_functions_but_not_from_load() {
        let fs = MemoryFs::new().file("/a/x.so", "").file("/lib/x.so", "").file("/lib/s/y.so", "");
        assert_eq!(function(&fs, "/a:$libdir", 17, "$libdir/x").unwrap(), "/lib/x.so");
        assert_eq!(function(&fs, "/a:$libdir", 18, "$libdir/x").unwrap(), "/a/x.so");
        assert_eq!(function(&fs, "/a:$libdir", 18, "$libdir/s/y").unwrap(), "/lib/s/y.so");
        assert_eq!(search(&fs, "/a:$libdir", 18, Loader::File, "$libdir/x").unwrap(), "/lib/x.so");
    }

    #[test]
    fn a_staging_tree_stands_in_front_of_the_installation() {
        let fs = MemoryFs::new().file("/stage/lib/x.so", "").file("/lib/x.so", "").file("/lib/y.so", "");
        let settings = LibrarySettings {
            libdirs: &[PathBuf::from("/stage/lib"), PathBuf::from("/lib")],
            dynamic_library_path: b"$libdir",
            dlsuffix: b".so",
            major: 17,
        };
        let path = |name: &[u8]| expand(&fs, &settings, Loader::ExternalFunction, name).unwrap().path;
        assert_eq!(path(b"$libdir/x"), Path::new("/stage/lib/x.so"));
        assert_eq!(path(b"x"), Path::new("/stage/lib/x.so"));
        assert_eq!(path(b"$libdir/y"), Path::new("/lib/y.so"));
    }

    #[test]
    fn malformed_names_and_settings_are_the_servers_errors() {
        let fs = MemoryFs::new();
        assert_eq!(
            function(&fs, "$libdir", 17, "$lib/x").unwrap_err(),
            "invalid macro name in dynamic library path: $lib/x"
        );
        assert_eq!(function(&fs, "$libdir", 18, "$lib/x").unwrap_err(), "invalid macro name in path: $lib/x");
        // Before any directory is tried a bare name is only a name, even with a dollar sign.
        assert_eq!(function(&fs, "$libdir", 18, "$lib").unwrap(), "missing $lib");
        let zero = "zero-length component in parameter \"dynamic_library_path\"";
        let relative = "component in parameter \"dynamic_library_path\" is not an absolute path";
        assert_eq!(function(&fs, "/a::/b", 15, "x").unwrap_err(), zero);
        assert_eq!(function(&fs, ":/b", 15, "x").unwrap_err(), zero);
        assert_eq!(function(&fs, "/a:", 15, "x").unwrap_err(), relative);
        assert_eq!(function(&fs, "a", 15, "x").unwrap_err(), relative);
    }

    #[test]
    fn the_suffix_depends_on_platform_and_major() {
        assert_eq!(dlsuffix(true, 15), b".so");
        assert_eq!(dlsuffix(true, 16), b".dylib");
        assert_eq!(dlsuffix(false, 19), b".so");
    }

    #[test]
    fn extension_control_path_names_parents() {
        let directories = |path: &str, major| {
            control_directories(Some(Path::new("/usr/share/pg")), path.as_bytes(), major)
                .iter()
                .map(|directory| directory.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(directories("/a", 17), ["/usr/share/pg/extension"]);
        assert_eq!(directories("", 18), ["/usr/share/pg/extension"]);
        assert_eq!(
            directories("$system:/a/./b//share:$system/x", 18),
            ["/usr/share/pg/extension", "/a/b/share/extension", "$system/x/extension"]
        );
        assert!(control_directory_error(Path::new("$system/x/extension")).is_some());
        assert_eq!(control_directory_error(Path::new("/a")), None);
    }

    #[test]
    fn paths_are_made_canonical_without_the_file_system() {
        for (written, canonical) in [
            ("/a//b/./c/../d/", "/a/b/d"),
            ("/..", "/"),
            ("a/..", "."),
            ("../a", "../a"),
            ("", ""),
            ("./", "."),
        ] {
            assert_eq!(canonicalize(written.as_bytes()), canonical.as_bytes(), "{written}");
        }
    }
}
