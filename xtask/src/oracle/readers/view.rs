//! What one reader says of one file, in terms that all readers can be brought to.

use std::collections::BTreeSet;
use std::fmt;

/// The facts that are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct View {
    pub(super) needed: Vec<String>,
    pub(super) soname: Option<String>,
    pub(super) rpath: Option<String>,
    pub(super) runpath: Option<String>,
    /// Names of the DF_* bits, with DT_SYMBOLIC, DT_TEXTREL and DT_BIND_NOW folded in.
    pub(super) flags: BTreeSet<String>,
    /// Names of the DF_1_* bits.
    pub(super) flags_1: BTreeSet<String>,
    /// All but the null symbol.
    pub(super) symbols: Vec<Symbol>,
    /// `file version index flags`, one for each vernaux.
    pub(super) needs: Vec<String>,
    /// `version index flags parents`, one for each verdef.
    pub(super) definitions: Vec<String>,
    pub(super) build_id: Option<String>,
}

/// One dynamic symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) name: String,
    /// Nothing, `@VERSION` or `@@VERSION`.
    pub(super) version: String,
    pub(super) kind: &'static str,
    pub(super) binding: &'static str,
    pub(super) visibility: &'static str,
    pub(super) section: u16,
    pub(super) value: u64,
    pub(super) size: u64,
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, kind, binding, visibility, section, value, size } = self;
        write!(f, "{name}{version} {kind} {binding} {visibility} {section} {value:#x} {size}")
    }
}

/// One field in which two views differ.
#[derive(Debug, Clone)]
pub(super) struct Difference {
    pub(super) field: &'static str,
    /// What the other reader says.
    pub(super) expected: String,
    /// What pgsym says.
    pub(super) found: String,
}

impl View {
    /// What `other` says otherwise.
    pub(super) fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        macro_rules! compare {
            ($($field:ident),*) => {$(
                if self.$field != other.$field {
                    let (expected, found) = (format!("{:?}", other.$field), format!("{:?}", self.$field));
                    differences.push(Difference { field: stringify!($field), expected, found });
                }
            )*};
        }
        compare!(needed, soname, rpath, runpath, flags, flags_1, needs, definitions, build_id);
        if self.symbols != other.symbols {
            let mut pairs = self.symbols.iter().zip(&other.symbols).enumerate();
            let (expected, found) = match pairs.find(|(_, (ours, theirs))| ours != theirs) {
                Some((index, (ours, theirs))) => {
                    (format!("symbol {}: {theirs}", index + 1), format!("symbol {}: {ours}", index + 1))
                }
                None => {
                    (format!("{} symbols", other.symbols.len()), format!("{} symbols", self.symbols.len()))
                }
            };
            differences.push(Difference { field: "symbols", expected, found });
        }
        differences
    }
}

/// STT_* by number.
pub(super) fn kind(number: u8) -> &'static str {
    match number {
        0 => "NOTYPE",
        1 => "OBJECT",
        2 => "FUNC",
        3 => "SECTION",
        4 => "FILE",
        5 => "COMMON",
        6 => "TLS",
        10 => "IFUNC",
        _ => "other type",
    }
}

/// STB_* by number.
pub(super) fn binding(number: u8) -> &'static str {
    match number {
        0 => "LOCAL",
        1 => "GLOBAL",
        2 => "WEAK",
        10 => "UNIQUE",
        _ => "other binding",
    }
}

/// STV_* by number.
pub(super) fn visibility(number: u8) -> &'static str {
    ["DEFAULT", "INTERNAL", "HIDDEN", "PROTECTED"][usize::from(number & 3)]
}

/// The names of the bits that are set; unknown bits as numbers.
pub(super) fn bits(value: u64, names: &[(u64, &str)]) -> BTreeSet<String> {
    let known = names.iter().fold(0, |known, (bit, _)| known | bit);
    let mut set: BTreeSet<String> =
        names.iter().filter(|(bit, _)| value & bit != 0).map(|(_, name)| (*name).to_owned()).collect();
    if value & !known != 0 {
        set.insert(format!("{:#x}", value & !known));
    }
    set
}

/// DF_*.
pub(super) const FLAGS: [(u64, &str); 5] =
    [(1, "ORIGIN"), (2, "SYMBOLIC"), (4, "TEXTREL"), (8, "BIND_NOW"), (16, "STATIC_TLS")];

/// DF_1_*, as llvm-readelf names them.
pub(super) const FLAGS_1: [(u64, &str); 26] = [
    (1, "NOW"),
    (2, "GLOBAL"),
    (4, "GROUP"),
    (8, "NODELETE"),
    (0x10, "LOADFLTR"),
    (0x20, "INITFIRST"),
    (0x40, "NOOPEN"),
    (0x80, "ORIGIN"),
    (0x100, "DIRECT"),
    (0x200, "TRANS"),
    (0x400, "INTERPOSE"),
    (0x800, "NODEFLIB"),
    (0x1000, "NODUMP"),
    (0x2000, "CONFALT"),
    (0x4000, "ENDFILTEE"),
    (0x8000, "DISPRELDNE"),
    (0x1_0000, "DISPRELPND"),
    (0x2_0000, "NODIRECT"),
    (0x4_0000, "IGNMULDEF"),
    (0x8_0000, "NOKSYMS"),
    (0x10_0000, "NOHDR"),
    (0x20_0000, "EDITED"),
    (0x40_0000, "NORELOC"),
    (0x80_0000, "SYMINTPOSE"),
    (0x100_0000, "GLOBAUDIT"),
    (0x800_0000, "PIE"),
];

/// One vernaux as a line.
pub(super) fn need(file: &str, version: &str, index: u16, is_weak: bool) -> String {
    format!("{file} {version} {index}{}", if is_weak { " weak" } else { "" })
}

/// One verdef as a line.
pub(super) fn definition(
    version: &str,
    index: u16,
    is_base: bool,
    is_weak: bool,
    parents: &[String],
) -> String {
    let base = if is_base { " base" } else { "" };
    let weak = if is_weak { " weak" } else { "" };
    format!("{version} {index}{base}{weak} {parents:?}")
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
