//! What two readers of the same file agree on. Both are brought into the same plain form, and the differences are
//! listed with both values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Binding, Class, DependencyKind, Endian, Module, SearchPathKind, Visibility};
use crate::name::{Name, Shown};

/// What another reader said.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SecondOpinion {
    /// Who: "goblin 0.10".
    pub reader: String,
    /// Why it has no opinion: it refused the file, ran into a limit, or crashed; null where it has one.
    pub failure: Option<String>,
    /// Why nobody was asked: the reader knows ELF alone; null where it was.
    pub unsupported: Option<String>,
    /// Facts that were compared.
    pub compared: usize,
    /// Where the two differ.
    pub disagreements: Vec<Disagreement>,
}

/// One fact that two readers see differently.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Disagreement {
    /// Which.
    pub fact: String,
    /// What pgsym read.
    pub pgsym: String,
    /// What the other reader read.
    pub other: String,
}

/// One reader's view of a file, names escaped.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    /// `e_machine`.
    pub machine: u16,
    /// Whether pointers have 64 bits.
    pub is_64: bool,
    /// Whether the least significant byte comes first.
    pub is_little_endian: bool,
    /// PT_INTERP.
    pub interpreter: Option<String>,
    /// DT_SONAME.
    pub soname: Option<String>,
    /// DT_NEEDED, in order.
    pub needed: Vec<String>,
    /// DT_RPATH.
    pub rpath: Option<String>,
    /// DT_RUNPATH.
    pub runpath: Option<String>,
    /// Program headers.
    pub segments: usize,
    /// Entries of DT_RELA and DT_REL.
    pub relocations: u64,
    /// Entries of DT_JMPREL.
    pub plt_relocations: u64,
    /// The dynamic symbols without the null symbol, in order.
    pub symbols: Vec<SymbolOpinion>,
}

/// One reader's view of a symbol.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymbolOpinion {
    /// Its name, escaped.
    pub name: String,
    /// `st_info` >> 4.
    pub binding: u8,
    /// Whether the file defines it.
    pub is_defined: bool,
    /// STV_*.
    pub visibility: u8,
    /// `st_value`.
    pub value: u64,
}

impl Opinion {
    /// pgsym's own view; needs the symbols' values and the relocations.
    pub fn of(module: &Module) -> Self {
        let shown = |name: &Name| name.to_string();
        let path = |kind| module.search_path(kind).map(|path| shown(&path.raw));
        let elf = module.elf();
        let relocations = elf.and_then(|elf| elf.relocations.get());
        Self {
            machine: module.target.machine.0,
            is_64: module.target.class == Class::Bits64,
            is_little_endian: module.target.endian == Endian::Little,
            interpreter: elf.and_then(|elf| elf.interpreter.get()).map(shown),
            soname: module.soname.as_ref().map(shown),
            needed: module
                .needed()
                .iter()
                .filter(|dependency| dependency.kind == DependencyKind::Needed)
                .map(|dependency| shown(&dependency.name))
                .collect(),
            rpath: path(SearchPathKind::Rpath),
            runpath: path(SearchPathKind::Runpath),
            segments: elf.map_or(0, |elf| elf.segments.len()),
            relocations: relocations.map_or(0, |relocations| relocations.count),
            plt_relocations: relocations.map_or(0, |relocations| relocations.plt_count),
            symbols: module.symbols.get().map_or_else(Vec::new, |table| {
                table
                    .iter()
                    .map(|symbol| SymbolOpinion {
                        name: Shown(symbol.name()).to_string(),
                        binding: match symbol.binding() {
                            Binding::Local => 0,
                            Binding::Global => 1,
                            Binding::Weak => 2,
                            Binding::Unique => 10,
                            Binding::Other(other) => other,
                        },
                        is_defined: symbol.is_defined(),
                        visibility: match symbol.visibility() {
                            Visibility::Default => 0,
                            Visibility::Internal => 1,
                            Visibility::Hidden => 2,
                            Visibility::Protected => 3,
                        },
                        value: symbol.value().map_or(0, |value| value.value),
                    })
                    .collect()
            }),
        }
    }

    /// How many facts there are to compare.
    pub fn len(&self) -> usize {
        12 + self.symbols.len()
    }

    /// Never: some facts are there of every file.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Where another reader's view differs.
    pub fn differences(&self, other: &Self) -> Vec<Disagreement> {
        let optional = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        let mut list = Vec::new();
        let mut compare = |fact: &str, pgsym: String, other: String| {
            if pgsym != other {
                list.push(Disagreement { fact: fact.to_owned(), pgsym, other });
            }
        };
        compare("e_machine", self.machine.to_string(), other.machine.to_string());
        compare("64-bit", self.is_64.to_string(), other.is_64.to_string());
        compare("little-endian", self.is_little_endian.to_string(), other.is_little_endian.to_string());
        compare("PT_INTERP", optional(&self.interpreter), optional(&other.interpreter));
        compare("DT_SONAME", optional(&self.soname), optional(&other.soname));
        compare("DT_NEEDED", self.needed.join(" "), other.needed.join(" "));
        compare("DT_RPATH", optional(&self.rpath), optional(&other.rpath));
        compare("DT_RUNPATH", optional(&self.runpath), optional(&other.runpath));
        compare("program headers", self.segments.to_string(), other.segments.to_string());
        compare("relocations", self.relocations.to_string(), other.relocations.to_string());
        compare("PLT relocations", self.plt_relocations.to_string(), other.plt_relocations.to_string());
        compare("dynamic symbols", self.symbols.len().to_string(), other.symbols.len().to_string());
        for (index, (own, others)) in self.symbols.iter().zip(&other.symbols).enumerate() {
            compare(&format!(".dynsym[{}]", index + 1), own.words(), others.words());
        }
        list
    }
}

impl SymbolOpinion {
    fn words(&self) -> String {
        let Self { name, binding, is_defined, visibility, value } = self;
        let defined = if *is_defined { "defined" } else { "undefined" };
        format!("{name} {defined}, binding {binding}, visibility {visibility}, value {value:#x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_views_have_no_differences_and_others_name_both_values() {
        let view = |soname: &str| Opinion { soname: Some(soname.to_owned()), ..Opinion::default() };
        assert_eq!(view("a").differences(&view("a")), []);
        let differences = view("a").differences(&view("b"));
        assert_eq!(differences.len(), 1);
        assert_eq!((&*differences[0].pgsym, &*differences[0].other), ("a", "b"));
    }

    #[test]
    fn symbols_are_compared_one_by_one() {
        let symbol = |name: &str| SymbolOpinion { name: name.to_owned(), ..SymbolOpinion::default() };
        let view = |name| Opinion { symbols: vec![symbol("x"), symbol(name)], ..Opinion::default() };
        let differences = view("y").differences(&view("z"));
        assert_eq!(differences.len(), 1);
        assert_eq!(differences[0].fact, ".dynsym[2]");
    }
}
