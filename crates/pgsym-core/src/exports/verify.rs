//! Compares what a finished module offers to `dlsym` with what it was meant to export.
//!
//! A linker that ignores an export request says nothing and links; so the only proof is the module's own dynamic
//! symbol table. `.symtab`, where it was not stripped, tells why a name is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use object::{Object as _, ObjectSymbol as _, elf};

use crate::error::{FileError, FileErrorKind};
use crate::fs::{FileId, FileKind, Metadata};
use crate::model::{Module, ObjectKind, Symbol, Table};
use crate::parse::macho::is_macho;
use crate::parse::{Facets, parse};

/// The symbols of a finished module, by what the loader can do with them. Names that are not UTF-8 are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleExports {
    /// Defined, global and visible; with its version where it has one.
    pub exports: BTreeMap<String, Option<String>>,
    /// Undefined: another object must define it.
    pub imports: BTreeSet<String>,
    /// Defined, but only for the module itself: local or hidden. Empty after `strip`.
    pub inside: BTreeSet<String>,
    /// Whether [`Self::inside`] could be read, that is, whether `.symtab` is there.
    pub has_static_symbols: bool,
}

/// One difference between what was meant and what is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Difference {
    /// Meant to be exported, and is not: `dlsym` would fail.
    Missing {
        /// The symbol.
        name: String,
        /// Where it was lost.
        cause: Cause,
    },
    /// Exported with a version: `name@@V`.
    Versioned {
        /// The symbol.
        name: String,
        /// The version node.
        version: String,
    },
    /// Exported, and not meant to be.
    Extra {
        /// The symbol.
        name: String,
    },
}

/// Where a missing export was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Linked, but kept inside by a version script's `local: *` or by hidden visibility.
    Inside,
    /// Only referred to: the object that defines it was not linked.
    Imported,
    /// Not in the module at all: no archive member was pulled in for it, or it was collected as unused.
    NotLinked,
    /// Not exported; the module is stripped, so it does not show whether the code is there.
    Stripped,
}

/// The outcome of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Missing first, then versioned, then extra; sorted by name.
    pub differences: Vec<Difference>,
    /// Number of names that are exported as meant.
    pub matched: usize,
}

/// Names that GNU linkers define in every shared object without a version script.
const LINKER_DEFINED: [&str; 6] = ["__bss_start", "_edata", "_end", "_etext", "_fini", "_init"];

impl ModuleExports {
    /// Reads a linked ELF or Mach-O module. Of a fat one the exports are those that every slice has.
    ///
    /// # Errors
    ///
    /// Bytes that are no linked module, and tables that cannot be read.
    pub fn read(bytes: &[u8]) -> Result<Self, FileError> {
        let id = FileId { device: 0, inode: 0 };
        let len = bytes.len() as u64;
        let metadata = Metadata { id, kind: FileKind::File, len, mode: 0o644, uid: 0 };
        if !bytes.starts_with(&elf::ELFMAG) && !is_macho(bytes) {
            let message = "neither an ELF nor a Mach-O file";
            return Err(FileError::new(FileErrorKind::NotAnObject, message));
        }
        let module = parse(Path::new(""), metadata, &bytes, Facets::SYMBOLS)?;
        let mut exports = Self::of_module(&module)?;
        for slice in module.macho().into_iter().flat_map(|detail| &detail.further_slices) {
            let further = Self::of_module(slice.module.as_ref().map_err(Clone::clone)?)?;
            exports.exports.retain(|name, _| further.exports.contains_key(name));
            exports.imports.extend(further.imports);
        }
        // Section headers and LC_SYMTAB may be gone or broken without the loader minding.
        if let Ok(file) = object::File::parse(bytes) {
            exports.read_static_symbols(&file);
        }
        Ok(exports)
    }

    /// What the loader finds: from PT_DYNAMIC, or the export trie. Local entries, which gold and GNU ld leave in
    /// `.dynsym` for thread-local storage, are no exports: the loader never looks at them.
    fn of_module(module: &Module) -> Result<Self, FileError> {
        if module.kind == ObjectKind::Relocatable {
            let message = "an object file, not a linked module";
            return Err(FileError::new(FileErrorKind::Unsupported, message));
        }
        let mut exports = Self::default();
        let symbols = match &module.symbols {
            Table::Read(symbols) => symbols,
            Table::Unreadable(error) => return Err(error.clone()),
            Table::Absent | Table::NotRead => return Ok(exports),
        };
        let name = |symbol: Symbol<'_>| std::str::from_utf8(symbol.name()).ok().map(str::to_owned);
        for symbol in symbols.exports() {
            let version = symbol.version().map(|version| version.name.to_string());
            exports.exports.extend(name(symbol).map(|name| (name, version)));
        }
        exports.imports.extend(symbols.imports().filter_map(name));
        let is_inside = |symbol: &Symbol<'_>| symbol.is_defined() && !symbol.is_export();
        exports.inside.extend(symbols.iter().filter(is_inside).filter_map(name));
        Ok(exports)
    }

    /// `.symtab`, or LC_SYMTAB: what is inside, and what is only referred to.
    fn read_static_symbols(&mut self, file: &object::File<'_>) {
        for symbol in file.symbols() {
            let name = symbol.name_bytes().ok().and_then(|name| c_name(file, name));
            let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
            self.has_static_symbols = true;
            if symbol.is_undefined() {
                self.imports.insert(name);
            } else if symbol.is_definition() && !self.exports.contains_key(&name) {
                self.inside.insert(name);
            }
        }
    }

    /// Compares with the names that were meant to be exported.
    pub fn compare<'a>(&self, intended: impl IntoIterator<Item = &'a str>) -> Verdict {
        let intended: BTreeSet<&str> = intended.into_iter().collect();
        let mut differences = Vec::new();
        let mut matched = 0;
        for &name in &intended {
            match self.exports.get(name) {
                Some(None) => matched += 1,
                Some(Some(version)) => differences
                    .push(Difference::Versioned { name: name.to_owned(), version: version.clone() }),
                None => {
                    let cause = self.cause_of_absence(name);
                    differences.push(Difference::Missing { name: name.to_owned(), cause });
                }
            }
        }
        differences.extend(
            self.exports
                .keys()
                .filter(|name| !intended.contains(name.as_str()) && !LINKER_DEFINED.contains(&name.as_str()))
                .map(|name| Difference::Extra { name: name.clone() }),
        );
        differences.sort();
        Verdict { differences, matched }
    }

    fn cause_of_absence(&self, name: &str) -> Cause {
        if self.inside.contains(name) {
            Cause::Inside
        } else if self.imports.contains(name) {
            Cause::Imported
        } else if self.has_static_symbols {
            Cause::NotLinked
        } else {
            Cause::Stripped
        }
    }
}

impl Verdict {
    /// The differences that make a verification fail: missing and versioned names always, extra ones where the
    /// author asked for exactly the intended set.
    pub fn failures(&self, is_strict: bool) -> impl Iterator<Item = &Difference> {
        self.differences
            .iter()
            .filter(move |difference| is_strict || !matches!(difference, Difference::Extra { .. }))
    }
}

/// The C name of a symbol: without the `_` that Mach-O puts before it.
fn c_name(file: &object::File<'_>, name: &[u8]) -> Option<String> {
    let name = match file.format() {
        object::BinaryFormat::MachO => name.strip_prefix(b"_")?,
        _ => name,
    };
    std::str::from_utf8(name).ok().map(str::to_owned)
}

impl Difference {
    /// The symbol.
    pub fn name(&self) -> &str {
        match self {
            Self::Missing { name, .. } | Self::Versioned { name, .. } | Self::Extra { name } => name,
        }
    }

    /// One word for machines: `missing`, `versioned` or `extra`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Versioned { .. } => "versioned",
            Self::Extra { .. } => "extra",
        }
    }
}

impl Cause {
    /// One word for machines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::Imported => "imported",
            Self::NotLinked => "not-linked",
            Self::Stripped => "stripped",
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, cause } => {
                write!(f, "{name} is not exported: ")?;
                f.write_str(match cause {
                    Cause::Inside => {
                        "it is linked in, but a version script or its visibility keeps it inside"
                    }
                    Cause::Imported => "it is only referred to, and the object that defines it is not linked",
                    Cause::NotLinked => "nothing pulled in the object that defines it",
                    Cause::Stripped => "the module is stripped and does not show whether its code is there",
                })
            }
            Self::Versioned { name, version } => {
                write!(
                    f,
                    "{name} is exported as {name}@@{version}; a named version node was used by accident"
                )
            }
            Self::Extra { name } => write!(f, "{name} is exported and was not meant to be"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(exports: &[(&str, Option<&str>)], inside: &[&str], imports: &[&str]) -> ModuleExports {
        ModuleExports {
            exports: exports.iter().map(|(n, v)| ((*n).to_owned(), v.map(str::to_owned))).collect(),
            inside: inside.iter().map(|name| (*name).to_owned()).collect(),
            imports: imports.iter().map(|name| (*name).to_owned()).collect(),
            has_static_symbols: !inside.is_empty(),
        }
    }

    #[test]
    fn each_missing_name_says_where_it_was_lost() {
        let module = module(&[("f", None)], &["g"], &["h"]);
        let verdict = module.compare(["f", "g", "h", "i"]);
        assert_eq!(verdict.matched, 1);
        let causes: Vec<Cause> = verdict
            .differences
            .iter()
            .map(|difference| match difference {
                Difference::Missing { cause, .. } => *cause,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(causes, [Cause::Inside, Cause::Imported, Cause::NotLinked]);
    }

    #[test]
    fn a_stripped_module_does_not_pretend_to_know_why() {
        let verdict = module(&[], &[], &[]).compare(["f"]);
        let [Difference::Missing { cause: Cause::Stripped, .. }] = verdict.differences.as_slice() else {
            panic!("{verdict:?}")
        };
    }

    #[test]
    fn extra_names_fail_only_a_strict_verification() {
        let module = module(&[("f", None), ("SSL_new", None), ("_init", None), ("g", Some("V1"))], &[], &[]);
        let verdict = module.compare(["f", "g"]);
        let failures = |strict| verdict.failures(strict).map(Difference::to_string).collect::<Vec<_>>();
        let versioned = "g is exported as g@@V1; a named version node was used by accident";
        assert_eq!(failures(false), [versioned]);
        assert_eq!(failures(true), [versioned, "SSL_new is exported and was not meant to be"]);
    }
}
