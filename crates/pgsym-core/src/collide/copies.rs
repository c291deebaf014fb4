//! Two files of one library in one process, by the decision of versions and users: names that both define, the
//! version nodes on both sides, and whether any reference really crosses.

use std::collections::BTreeMap;

use super::Judgement;
use super::captures::Capture;
use super::universe::{Member, MemberId, Universe};
use crate::model::NameHash;
use crate::name::path_bytes;

/// Two files of one library.
#[derive(Debug, Clone)]
pub struct Copies {
    /// The one that comes first where the order is fixed.
    pub first: MemberId,
    /// The other.
    pub second: MemberId,
    /// What they are called without versions and hashes: `libssl`.
    pub family: String,
    /// How many names both define.
    pub shared_names: usize,
    /// How the versions of those names compare.
    pub relation: Relation,
    /// References that cross from the users of one to the other, over all captures between the two.
    pub crossings: usize,
    /// How bad it is.
    pub judgement: Judgement,
}

impl Copies {
    /// Why it is judged so.
    pub fn reason(&self) -> String {
        let crossing = match (self.crossings, self.relation) {
            (0, Relation::Disjoint | Relation::OtherNodes | Relation::TwoLevel) => {
                return self.relation.reason().to_owned();
            }
            (0, _) => "no relocation crosses from the users of one to the other".to_owned(),
            (1, Relation::TwoLevel) => {
                return "1 symbol is looked up in every image, and crosses from the users of one to the other"
                    .to_owned();
            }
            (count, Relation::TwoLevel) => {
                return format!(
                    "{count} symbols are looked up in every image, and cross from the users of one to the other"
                );
            }
            (1, _) => "1 symbol crosses from the users of one to the other".to_owned(),
            (count, _) => format!("{count} symbols cross from the users of one to the other"),
        };
        format!("{}; {crossing}", self.relation.reason())
    }
}

/// How the versions of the names that two files share compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// No name is in both.
    Disjoint,
    /// Each name has other version nodes: references with a version cannot be confused.
    OtherNodes,
    /// Some names have the same node in both.
    SameNodes,
    /// Some names have no version on one side: it serves references to the other side's versions as well.
    Unversioned,
    /// Mach-O: each import names the library that it means.
    TwoLevel,
}

impl Relation {
    /// A clause for people.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Disjoint => "no name is defined by both",
            Self::OtherNodes => {
                "every shared name has different version nodes, so each reference finds its own copy"
            }
            Self::SameNodes => {
                "both define the same version nodes, so the first loaded serves the users of both"
            }
            Self::Unversioned => {
                "one side defines names without versions, which serve references to any version"
            }
            Self::TwoLevel => {
                "each import names the library that defines it (two-level namespace), so each user finds its own copy"
            }
        }
    }
}

pub(super) fn find(universe: &Universe, captures: &[Capture]) -> Vec<Copies> {
    let mut families: BTreeMap<String, Vec<MemberId>> = BTreeMap::new();
    for (id, member) in universe.members() {
        if let Some(family) = family(member) {
            families.entry(family).or_default().push(id);
        }
    }
    let mut found = Vec::new();
    for (family, members) in families.iter().filter(|(_, members)| members.len() > 1) {
        for (index, &first) in members.iter().enumerate() {
            for &second in &members[index + 1..] {
                if let Some(copies) = judge(universe, captures, family, first, second) {
                    found.push(copies);
                }
            }
        }
    }
    found
}

/// Judges two files of a family that can meet: in one module's process, or in that of two modules.
fn judge(
    universe: &Universe,
    captures: &[Capture],
    family: &str,
    first: MemberId,
    second: MemberId,
) -> Option<Copies> {
    let (a, b) = (universe.get(first), universe.get(second));
    // One soname never gets both files into a process: that is a collision of names, judged there.
    if a.module.soname.is_some() && a.module.soname == b.module.soname {
        return None;
    }
    let (shared_names, relation) = compare(a, b);
    let between = |capture: &&Capture| {
        (capture.captor == first && capture.meant == second)
            || (capture.captor == second && capture.meant == first)
    };
    let crossing: Vec<&Capture> = captures.iter().filter(between).collect();
    let judgement =
        crossing.iter().map(|capture| capture.cause.judgement()).max().unwrap_or(Judgement::Harmless);
    Some(Copies {
        first,
        second,
        family: family.to_owned(),
        shared_names,
        relation,
        crossings: crossing.iter().map(|capture| capture.symbols.len()).sum(),
        judgement,
    })
}

fn compare(a: &Member, b: &Member) -> (usize, Relation) {
    let (Some(ours), Some(theirs)) = (a.module.symbols.get(), b.module.symbols.get()) else {
        return (0, Relation::Disjoint);
    };
    let (fewer, more) = if ours.len() <= theirs.len() { (ours, theirs) } else { (theirs, ours) };
    let mut shared = 0;
    let mut relation = Relation::Disjoint;
    for symbol in fewer.exports() {
        // The name of a version node is an absolute symbol of every file that defines it.
        if object::elf::SymbolSection(symbol.section()) == object::elf::SHN_ABS {
            continue;
        }
        let name = symbol.name();
        let Some(other) = more.lookup(name, NameHash::of(name)).next() else { continue };
        shared += 1;
        let here = match (symbol.version(), other.version()) {
            _ if a.module.macho().is_some() => Relation::TwoLevel,
            (Some(one), Some(two)) if one.name == two.name => Relation::SameNodes,
            (Some(_), Some(_)) => Relation::OtherNodes,
            _ => Relation::Unversioned,
        };
        relation = worse(relation, here);
    }
    (shared, relation)
}

fn worse(a: Relation, b: Relation) -> Relation {
    let rank = |relation: Relation| match relation {
        Relation::Disjoint => 0,
        Relation::OtherNodes | Relation::TwoLevel => 1,
        Relation::SameNodes => 2,
        Relation::Unversioned => 3,
    };
    if rank(a) >= rank(b) { a } else { b }
}

/// What a library is called without versions and hashes: the soname up to `.so`, or the leaf of the install name up to
/// `.dylib`, without any `-` and eight hexadecimal
/// digits (how wheels name what they bundle) and without a trailing version such as `-1.2`. Modules are no libraries.
fn family(member: &Member) -> Option<String> {
    if member.file.is_some() {
        return None;
    }
    let soname = member.module.soname.as_ref().and_then(|soname| soname.to_str());
    let name = soname.or_else(|| std::str::from_utf8(path_bytes(&member.path)).ok())?;
    let leaf = name.rsplit('/').next().unwrap_or(name);
    Some(
        match leaf.strip_suffix(".dylib") {
            Some(base) if member.module.macho().is_some() => mach_stem(base),
            _ => stem(leaf),
        }
        .to_owned(),
    )
}

/// On macOS the versions stand before the suffix: `libicuuc.77.1.dylib`, `libSystem.B.dylib`.
fn mach_stem(base: &str) -> &str {
    let is_version = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_digit())
            || part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_uppercase())
    };
    match (stem(base), base.rsplit_once('.')) {
        (plain, _) if plain != base => plain,
        (_, Some((rest, version))) if is_version(version) => mach_stem(rest),
        _ => base,
    }
}

fn stem(soname: &str) -> &str {
    let mut base = soname.find(".so").map_or(soname, |at| &soname[..at]);
    // One for each time that a wheel was repaired.
    while let Some((rest, hash)) = base.rsplit_once('-')
        && hash.len() == 8
        && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        base = rest;
    }
    match base.rsplit_once('-') {
        Some((rest, version))
            if version.starts_with(|c: char| c.is_ascii_digit()) && version.contains('.') =>
        {
            rest
        }
        _ => base,
    }
}

#[cfg(test)]
mod tests {
    use super::{mach_stem, stem};

    #[test]
    fn versions_and_hashes_are_no_part_of_the_family() {
        assert_eq!(stem("libssl.so.3"), "libssl");
        assert_eq!(stem("libssl-9ad06800.so.1.1"), "libssl");
        assert_eq!(stem("libgfortran-040039e1-0352e75f.so.5"), "libgfortran");
        assert_eq!(stem("libfoo-1.2-9ad06800.so"), "libfoo");
        assert_eq!(stem("libLLVM-14.so.1"), "libLLVM-14");
        assert_eq!(stem("libgdal-3.6.so"), "libgdal");
        assert_eq!(stem("libcurl-gnutls.so.4"), "libcurl-gnutls");
        assert_eq!(mach_stem("libicuuc.77.1"), "libicuuc");
        assert_eq!(mach_stem("libSystem.B"), "libSystem");
        assert_eq!(mach_stem("libssl-1.1"), "libssl");
    }
}
