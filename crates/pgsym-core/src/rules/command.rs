//! Commands that findings advise, safe to paste: every name in them comes from a file that somebody else made, and may
//! hold blanks, quotes, dollar signs or a semicolon. What is no plain word is quoted for a POSIX shell, and what
//! cannot be shown is escaped in `$'…'`, which bash, ksh, zsh and POSIX of 2024 know.

use std::path::{Component, Path, PathBuf};

use crate::model::{Module, SearchPathKind};
use crate::name::{Name, Shown, path_bytes};

/// One word of a command line.
pub(crate) fn word(bytes: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(byte);
    let shown = Shown(bytes).to_string();
    if !bytes.is_empty() && bytes.iter().all(is_plain) {
        shown
    } else if shown.as_bytes() == bytes {
        format!("'{}'", shown.replace('\'', r"'\''"))
    } else {
        let mut text = String::from("$'");
        for &byte in bytes {
            match byte {
                b'\'' | b'\\' => text.extend(['\\', char::from(byte)]),
                b' '..=b'~' => text.push(char::from(byte)),
                _ => text += &format!("\\x{byte:02x}"),
            }
        }
        text + "'"
    }
}

/// A file as an argument; no option, whatever its name begins with.
pub(crate) fn path_word(path: &Path) -> String {
    let bytes = path_bytes(path);
    if bytes.starts_with(b"-") { word(&[b"./", bytes].concat()) } else { word(bytes) }
}

/// The last component of a path as an argument, for commands that are given in the file's own directory.
pub(crate) fn file_word(path: &Path) -> String {
    path_word(path.file_name().map_or(path, Path::new))
}

/// The last component of a path with something before it, such as `@rpath/`, as an argument.
pub(crate) fn leaf_word(before: &[u8], path: &Path) -> String {
    word(&[before, path.file_name().map_or(path_bytes(path), std::ffi::OsStr::as_encoded_bytes)].concat())
}

/// The command that gives `file`, a word, a search path of these elements. patchelf writes DT_RUNPATH, which
/// dependencies do not inherit; a file that has a DT_RPATH keeps it.
pub(crate) fn set_search_path(module: &Module, elements: &[Vec<u8>], file: &str) -> String {
    if elements.is_empty() {
        return format!("patchelf --remove-rpath {file}");
    }
    let is_rpath = module.search_path(SearchPathKind::Rpath).is_some()
        && module.search_path(SearchPathKind::Runpath).is_none();
    let force = if is_rpath { "--force-rpath " } else { "" };
    format!("patchelf {force}--set-rpath {} {file}", word(&elements.join(&b':')))
}

/// The search path that a file has, element by element: its DT_RUNPATH, else its DT_RPATH.
pub(crate) fn search_path_of(module: &Module) -> Vec<Vec<u8>> {
    let path = module.search_path(SearchPathKind::Runpath).or(module.search_path(SearchPathKind::Rpath));
    let raw = path.map_or(&b""[..], |path| path.raw.as_bytes());
    if raw.is_empty() { Vec::new() } else { raw.split(|&byte| byte == b':').map(<[u8]>::to_vec).collect() }
}

/// The same with one more element at the end, where it is not there yet.
pub(crate) fn add_to_search_path(module: &Module, element: Vec<u8>, file: &str) -> String {
    let mut elements = search_path_of(module);
    if !elements.contains(&element) {
        elements.push(element);
    }
    set_search_path(module, &elements, file)
}

/// `$ORIGIN/../deps`: how one directory is reached from another. Nothing where they have nothing but the root in common,
/// so that no such element would survive a move, or where the way has a colon in it.
pub(crate) fn origin_path(from: &Path, to: &Path) -> Option<Vec<u8>> {
    let plain = |path: &Path| -> Option<PathBuf> {
        path.components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
            .then(|| path.to_owned())
    };
    let (from, to) = (plain(from)?, plain(to)?);
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    if common < 2 {
        return None;
    }
    let mut element = b"$ORIGIN".to_vec();
    for _ in from.components().skip(common) {
        element.extend_from_slice(b"/..");
    }
    for part in to.components().skip(common) {
        element.push(b'/');
        element.extend_from_slice(part.as_os_str().as_encoded_bytes());
    }
    (!element.contains(&b':')).then_some(element)
}

/// `libz-private.so.1` for `libz.so.1`: a name that nobody else's library has.
fn private_name(name: &Name) -> Name {
    let bytes = name.as_bytes();
    let ending =
        [&b".so"[..], b".dylib"].into_iter().find_map(|ending| bstr::ByteSlice::rfind(bytes, ending));
    let at = ending.unwrap_or(bytes.len());
    Name::from([&bytes[..at], b"-private", &bytes[at..]].concat())
}

/// The commands that give a library a name of its own, file and DT_SONAME, and tell those who need it.
pub(crate) fn rename_library(path: &Path, name: &Name, users: &[&Path]) -> String {
    let new = private_name(name);
    let renamed = path_word(&path.with_file_name(new.as_path()));
    let (old, new) = (word(name.as_bytes()), word(new.as_bytes()));
    let users: Vec<String> = users.iter().map(|user| path_word(user)).collect();
    format!(
        "mv {} {renamed} && patchelf --set-soname {new} {renamed} && patchelf --replace-needed {old} {new} {}",
        path_word(path),
        users.join(" ")
    )
}

/// The same for a Mach-O image. What changes a file leaves its signature stale.
pub(crate) fn rename_image(path: &Path, name: &Name, users: &[&Path]) -> String {
    let new = private_name(name);
    let renamed = path_word(&path.with_file_name(new.as_path().file_name().unwrap_or_default()));
    let (old, new) = (word(name.as_bytes()), word(new.as_bytes()));
    let users: Vec<String> = users.iter().map(|user| path_word(user)).collect();
    let change: Vec<String> =
        users.iter().map(|user| format!("install_name_tool -change {old} {new} {user}")).collect();
    format!(
        "mv {} {renamed} && install_name_tool -id {new} {renamed} && {} && codesign -f -s - {renamed} {}",
        path_word(path),
        change.join(" && "),
        users.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stand_as_they_are() {
        assert_eq!(word(b"libstdc++.so.6"), "libstdc++.so.6");
    }

    #[test]
    fn what_a_shell_would_read_is_quoted() {
        assert_eq!(word(b"x; touch PWNED; .so"), "'x; touch PWNED; .so'");
        assert_eq!(word(b"$FOO/lib"), "'$FOO/lib'");
        assert_eq!(word(b"it's.so"), r"'it'\''s.so'");
        assert_eq!(word(b"~root"), "'~root'");
        assert_eq!(word(b""), "''");
    }

    #[test]
    fn what_cannot_be_shown_is_escaped_as_the_shell_reads_it() {
        assert_eq!(word(b"a\x1b[31m'\\b"), r"$'a\x1b[31m\'\\b'");
        assert_eq!(word(b"\xff.so"), r"$'\xff.so'");
    }

    #[test]
    fn a_file_is_never_an_option() {
        assert_eq!(file_word(Path::new("/lib/-x.so")), "./-x.so");
    }

    #[test]
    fn a_directory_is_reached_from_another() {
        let way = |from: &str, to: &str| {
            origin_path(Path::new(from), Path::new(to)).map(|way| String::from_utf8(way).unwrap())
        };
        assert_eq!(way("/pg/lib", "/pg/lib").as_deref(), Some("$ORIGIN"));
        assert_eq!(way("/pg/lib", "/pg/deps/a").as_deref(), Some("$ORIGIN/../deps/a"));
        assert_eq!(way("/pg/lib", "/opt/a"), None);
        assert_eq!(way("/pg/lib", "/pg/a:b"), None);
    }

    #[test]
    fn a_library_is_renamed_for_its_users_too() {
        let users = [Path::new("/pg/lib/x.so"), Path::new("/pg/lib/y y.so")];
        assert_eq!(
            rename_library(Path::new("/pg/lib/priv/libz.so.1"), &Name::from("libz.so.1"), &users),
            "mv /pg/lib/priv/libz.so.1 /pg/lib/priv/libz-private.so.1 && patchelf --set-soname libz-private.so.1 \
             /pg/lib/priv/libz-private.so.1 && patchelf --replace-needed libz.so.1 libz-private.so.1 /pg/lib/x.so \
             '/pg/lib/y y.so'"
        );
    }
}
