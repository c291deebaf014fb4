//! The rules for extension and version names, and what a file name in a script directory means
//! (src/backend/commands/extension.c: check_valid_extension_name, check_valid_version_name, get_ext_ver_list).

use bstr::ByteSlice;

use crate::name::Shown;

/// Which kind of name a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// An extension's.
    Extension,
    /// A version's.
    Version,
}

/// A name that the server refuses: its two sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidName {
    /// After `ERROR:`.
    pub message: String,
    /// After `DETAIL:`.
    pub detail: String,
}

/// Applies the server's rules: not empty, no `--`, no `-` at either end, no `/`.
pub fn check_name(kind: NameKind, name: &[u8]) -> Result<(), InvalidName> {
    let rule = if name.is_empty() {
        "not be empty"
    } else if name.contains_str("--") {
        "not contain \"--\""
    } else if name.starts_with(b"-") || name.ends_with(b"-") {
        "not begin or end with \"-\""
    } else if name.contains(&b'/') {
        "not contain directory separator characters"
    } else {
        return Ok(());
    };
    let (what, names) = match kind {
        NameKind::Extension => ("extension name", "Extension names"),
        NameKind::Version => ("extension version name", "Version names"),
    };
    Err(InvalidName {
        message: format!("invalid {what}: \"{}\"", Shown(name)),
        detail: format!("{names} must {rule}."),
    })
}

/// What a script of an extension does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptName<'a> {
    /// `ext--version.sql`.
    Install(&'a [u8]),
    /// `ext--from--to.sql`.
    Update(&'a [u8], &'a [u8]),
    /// A third `--`: the server ignores the file.
    Ignored,
}

/// Reads a file name as a script of `extension`; `None` when it is not one.
pub fn script_name<'a>(extension: &[u8], file: &'a [u8]) -> Option<ScriptName<'a>> {
    let versions = file.strip_prefix(extension)?.strip_prefix(b"--")?.strip_suffix(b".sql")?;
    Some(match versions.split_once_str("--") {
        None => ScriptName::Install(versions),
        Some((_, to)) if to.contains_str("--") => ScriptName::Ignored,
        Some((from, to)) => ScriptName::Update(from, to),
    })
}

/// What a `.control` file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlName<'a> {
    /// `ext.control`.
    Primary(&'a [u8]),
    /// `ext--version.control`; for pg_available_extensions, anything with `--` is one.
    Secondary(&'a [u8], &'a [u8]),
}

/// Reads a file name as a control file; `None` when it is not one.
pub fn control_name(file: &[u8]) -> Option<ControlName<'_>> {
    let stem = file.strip_suffix(b".control")?;
    Some(match stem.split_once_str("--") {
        None => ControlName::Primary(stem),
        Some((extension, version)) => ControlName::Secondary(extension, version),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_in_the_servers_words() {
        let error = |kind, name: &str| check_name(kind, name.as_bytes()).unwrap_err();
        let empty = error(NameKind::Version, "");
        assert_eq!(empty.message, "invalid extension version name: \"\"");
        assert_eq!(empty.detail, "Version names must not be empty.");
        let dashes = error(NameKind::Extension, "a--b");
        assert_eq!(dashes.message, "invalid extension name: \"a--b\"");
        assert_eq!(dashes.detail, "Extension names must not contain \"--\".");
        assert_eq!(
            error(NameKind::Extension, "a-").detail,
            "Extension names must not begin or end with \"-\"."
        );
        assert_eq!(
            error(NameKind::Version, "1/2").detail,
            "Version names must not contain directory separator characters."
        );
        assert_eq!(check_name(NameKind::Extension, b"uuid-ossp"), Ok(()));
        assert_eq!(check_name(NameKind::Version, b"1.0 beta"), Ok(()));
    }

    #[test]
    fn script_names_split_at_the_double_dashes_behind_the_extension() {
        let read = |file: &'static str| script_name(b"a-b", file.as_bytes());
        assert_eq!(read("a-b--1.0.sql"), Some(ScriptName::Install(b"1.0")));
        assert_eq!(read("a-b--1-x--2.0.sql"), Some(ScriptName::Update(b"1-x", b"2.0")));
        assert_eq!(read("a-b--1--2--3.sql"), Some(ScriptName::Ignored));
        assert_eq!(read("a-b--.sql"), Some(ScriptName::Install(b"")));
        assert_eq!(read("a-b-1.0.sql"), None);
        assert_eq!(read("a-b--1.0.SQL"), None);
        assert_eq!(read("a--1.0.sql"), None);
    }

    #[test]
    fn control_names_with_double_dashes_are_secondary() {
        assert_eq!(control_name(b"hstore.control"), Some(ControlName::Primary(b"hstore")));
        assert_eq!(control_name(b"x--1.1.control"), Some(ControlName::Secondary(b"x", b"1.1")));
        assert_eq!(control_name(b"x.control.in"), None);
    }
}
