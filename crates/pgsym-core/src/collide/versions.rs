//! Versions of one module that lie side by side: `timescaledb-2.11.0.so`, `timescaledb-2.12.0.so`. The extension's
//! version decides which of them its functions name, so a session loads one. They define the same names and never meet,
//! unless a session goes on after `ALTER EXTENSION … UPDATE`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::universe::{Member, MemberId};
use crate::name::{Name, path_bytes};

/// Modules of one directory whose names differ in their version only.
#[derive(Debug, Clone)]
pub struct Versions {
    /// What they are called without it: `timescaledb`.
    pub stem: Name,
    /// The modules, in path order; two at least.
    pub members: Vec<MemberId>,
    /// What more than one of them defines and one of them uses: whichever version is loaded first would serve both.
    pub shared: BTreeSet<Name>,
}

/// The groups of versions among the modules of a tree; each member knows its own afterwards.
pub(super) fn group(members: &mut [Member]) -> Vec<Versions> {
    let mut by_stem: BTreeMap<(&Path, &[u8]), Vec<usize>> = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        if member.file.is_some()
            && let (Some(directory), Some(name)) = (member.path.parent(), member.path.file_name())
            && let Some(stem) = stem(name.as_encoded_bytes())
        {
            by_stem.entry((directory, stem)).or_default().push(index);
        }
    }
    let groups: Vec<(Name, Vec<usize>)> = by_stem
        .into_iter()
        .filter(|(_, members)| members.len() > 1)
        .map(|((_, stem), members)| (Name::from(stem), members))
        .collect();
    let mut versions = Vec::new();
    for (at, (stem, mut indices)) in groups.into_iter().enumerate() {
        indices.sort_by(|&a, &b| path_bytes(&members[a].path).cmp(path_bytes(&members[b].path)));
        for &index in &indices {
            members[index].versions = Some(at);
        }
        let members = indices.into_iter().map(MemberId::at).collect();
        versions.push(Versions { stem, members, shared: BTreeSet::new() });
    }
    versions
}

/// The name of a module without its version: up to the hyphen before numbers with points between them, which a word
/// such as `-dev` or `rc1` may follow.
fn stem(name: &[u8]) -> Option<&[u8]> {
    const WORDS: [&[u8]; 8] = [b"dev", b"rc", b"beta", b"alpha", b"pre", b"post", b"git", b"snapshot"];
    let base = [&b".so"[..], b".dylib"].iter().find_map(|suffix| name.strip_suffix(*suffix))?;
    let is_version = |text: &[u8]| {
        let end = text.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.').unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let word = rest.strip_prefix(b"-").unwrap_or(rest);
        numbers.first().is_some_and(u8::is_ascii_digit)
            && (rest.is_empty() || WORDS.iter().any(|known| word.starts_with(known)))
    };
    let at = (1..base.len()).find(|&at| base[at] == b'-' && is_version(&base[at + 1..]))?;
    Some(&base[..at])
}

#[cfg(test)]
mod tests {
    use super::stem;

    #[test]
    fn a_version_is_no_part_of_a_modules_stem() {
        let stem = |name: &str| stem(name.as_bytes()).map(|stem| String::from_utf8(stem.to_vec()).unwrap());
        assert_eq!(stem("timescaledb-2.11.0-dev.so").as_deref(), Some("timescaledb"));
        assert_eq!(stem("timescaledb-tsl-2.11.0.so").as_deref(), Some("timescaledb-tsl"));
        assert_eq!(stem("postgis-3.so").as_deref(), Some("postgis"));
        assert_eq!(stem("x-1.0rc2.dylib").as_deref(), Some("x"));
        assert_eq!(stem("timescaledb.so"), None);
        assert_eq!(stem("x-3d-view.so"), None);
        assert_eq!(stem("-1.so"), None);
    }
}
