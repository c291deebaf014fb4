//! The exports of the servers 13 to 18, as one table that `cargo xtask profiles` writes. A line of `servers.txt`
//! is a heading, `+f 111111` for functions that all six have, or a name below the last heading.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::model::SymbolKind;
use crate::name::Name;

/// The table; its first lines say where it comes from.
const TABLE: &str = include_str!("servers.txt");

/// The oldest major of the table.
const FIRST: u32 = 13;

/// Whether the server of any major exports a name.
pub(super) fn is_exported(name: &[u8]) -> bool {
    static NAMES: LazyLock<HashSet<&[u8]>> = LazyLock::new(|| {
        let lines = TABLE.lines().filter(|line| !line.starts_with(['#', '+']));
        lines.map(str::as_bytes).collect()
    });
    NAMES.contains(name)
}

/// The version and exports of a major's server.
pub(super) fn server(major: u32) -> Option<(String, Vec<(Name, SymbolKind)>)> {
    let place = major.checked_sub(FIRST)? as usize;
    let version = TABLE
        .lines()
        .filter_map(|line| line.strip_prefix("# server "))
        .filter_map(|line| line.split_once(' '))
        .find(|(number, _)| number.parse() == Ok(major))
        .map(|(_, version)| version.split_whitespace().next().unwrap_or_default().to_owned())?;
    let mut exports = Vec::new();
    let mut heading = None;
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix('+').and_then(|line| line.split_once(' ')) {
            Some((letter, mask)) => {
                heading = (mask.as_bytes().get(place) == Some(&b'1')).then_some(match letter {
                    "f" => SymbolKind::Function,
                    "d" => SymbolKind::Object,
                    _ => SymbolKind::None,
                });
            }
            None => exports.extend(heading.map(|kind| (Name::from(line), kind))),
        }
    }
    exports.sort();
    Some((version, exports))
}
