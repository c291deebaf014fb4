//! `pgsym symbols`: what files export and import, classified as PostgreSQL sees it.

use std::io::{self, Write};
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::document::Document;
use super::field::{Field, key};
use super::text::{Palette, count, pad, paint};
use crate::error::FileError;
use crate::model::{
    Binding, MachO, Module, Ordinal, Symbol, SymbolKind, SymbolTable, Visibility, without_underscore,
};
use crate::name::Name;
use crate::postgres::{FINFO_PREFIX, SymbolClass, classify};

/// The answer of `pgsym symbols`.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Symbols {
    /// The files, in the order given.
    pub files: Vec<FileSymbols>,
}

/// The dynamic symbols of one file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileSymbols {
    /// The file.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// Why the symbols cannot be read; null where they can.
    pub error: Option<String>,
    /// What others can bind to, by class, name and version.
    pub exports: Vec<ExportedSymbol>,
    /// What others must define, by library, name and version.
    pub imports: Vec<ImportedSymbol>,
}

/// One exported symbol.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct ExportedSymbol {
    /// What PostgreSQL does with it: "magic", "init", "callback", "function", "finfo" or "other".
    #[serde(serialize_with = "class_word")]
    #[schemars(with = "String")]
    pub class: SymbolClass,
    /// Its name.
    #[serde(flatten)]
    pub name: Field<key::NameKey>,
    /// Its version; null where it has none.
    #[serde(flatten)]
    pub version: Field<key::Version>,
    /// Whether references without a version find it (`@@` rather than `@`).
    pub default: bool,
    /// "function", "object", "tls", "ifunc", "common" or "none".
    pub kind: &'static str,
    /// "global", "weak" or "unique".
    pub binding: &'static str,
    /// "default" or "protected".
    pub visibility: &'static str,
}

/// One imported symbol.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct ImportedSymbol {
    /// The library that the version is expected from, or that a Mach-O import names ("(the program)" for the server's
    /// symbols, "(itself)"); null where any object of the process may define it.
    #[serde(flatten)]
    pub library: Field<key::Library>,
    /// Its name.
    #[serde(flatten)]
    pub name: Field<key::NameKey>,
    /// Its version; null where none is asked for.
    #[serde(flatten)]
    pub version: Field<key::Version>,
    /// Whether its absence is no error.
    pub weak: bool,
    /// "function", "object", "tls" or "none".
    pub kind: &'static str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn class_word<S: serde::Serializer>(class: &SymbolClass, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(class.as_str())
}

impl FileSymbols {
    /// The symbols of one file whose names are wanted.
    pub fn new(path: &Path, module: &Result<Module, FileError>, wanted: &dyn Fn(&[u8]) -> bool) -> Self {
        let path = path.into();
        let fail = |error: String| Self {
            path: Field::clone(&path),
            error: Some(error),
            exports: Vec::new(),
            imports: Vec::new(),
        };
        let module = match module {
            Ok(module) => module,
            Err(error) => return fail(error.to_string()),
        };
        if let Some(error) = module.symbols.error() {
            return fail(format!("the dynamic symbol table cannot be read: {error}"));
        }
        let Some(table) = module.symbols.get() else {
            return Self { path, error: None, exports: Vec::new(), imports: Vec::new() };
        };
        let mut exports: Vec<ExportedSymbol> = table
            .exports()
            .filter(|symbol| wanted(symbol.name()))
            .map(|symbol| ExportedSymbol::new(table, symbol))
            .collect();
        exports.sort();
        let mut imports: Vec<ImportedSymbol> = match module.macho() {
            Some(macho) => mach_imports(module, macho, wanted),
            None => table
                .imports()
                .filter(|symbol| wanted(symbol.name()))
                .map(|symbol| ImportedSymbol::new(module, symbol))
                .collect(),
        };
        imports.sort();
        Self { path, error: None, exports, imports }
    }
}

impl ExportedSymbol {
    fn new(table: &SymbolTable, symbol: Symbol<'_>) -> Self {
        let has_finfo = || {
            let record = [FINFO_PREFIX, symbol.name()].concat();
            let hashes = crate::model::NameHash::of(&record);
            table.lookup(&record, hashes).next().is_some()
        };
        let version = symbol.version();
        Self {
            class: classify(symbol.name(), has_finfo),
            name: symbol.name().into(),
            version: version.map(|version| version.name).into(),
            default: version.is_none_or(|version| !version.is_hidden),
            kind: kind_word(symbol.kind()),
            binding: match symbol.binding() {
                Binding::Weak => "weak",
                Binding::Unique => "unique",
                Binding::Global | Binding::Local | Binding::Other(_) => "global",
            },
            visibility: if symbol.visibility() == Visibility::Protected { "protected" } else { "default" },
        }
    }
}

impl ImportedSymbol {
    fn new(module: &Module, symbol: Symbol<'_>) -> Self {
        let version = symbol.version();
        let library = version
            .and_then(|version| version.need)
            .and_then(|need| module.elf()?.version_needs.get()?.get(need as usize))
            .map(|need| &need.file);
        Self {
            library: library.into(),
            name: symbol.name().into(),
            version: version.map(|version| version.name).into(),
            weak: symbol.binding() == Binding::Weak,
            kind: kind_word(symbol.kind()),
        }
    }
}

/// The imports of a Mach-O file: each symbol once for each library that it is bound to.
fn mach_imports(module: &Module, macho: &MachO, wanted: &dyn Fn(&[u8]) -> bool) -> Vec<ImportedSymbol> {
    let imports = macho.imports.get().map_or(&[][..], Vec::as_slice);
    let mut found: Vec<ImportedSymbol> = imports
        .iter()
        // A weak definition of the image's own stands in the table to be coalesced.
        .filter(|import| import.from != Ordinal::Weak || macho.export(import.name.as_bytes()).is_none())
        .filter(|import| wanted(without_underscore(import.name.as_bytes())))
        .map(|import| {
            let named = |name: &str| Some(Name::from(name));
            let library = match import.from {
                Ordinal::SelfImage => named("(itself)"),
                Ordinal::Executable => named("(the program)"),
                Ordinal::Library(number) => {
                    let at = macho.dylibs.iter().position(|dylib| dylib.ordinal == Some(number));
                    at.and_then(|at| module.needed().get(at)).map(|dependency| dependency.name.clone())
                }
                // Any image may define it.
                Ordinal::Flat | Ordinal::Weak | Ordinal::Unknown(_) => None,
            };
            ImportedSymbol {
                library: library.as_ref().into(),
                name: without_underscore(import.name.as_bytes()).into(),
                version: None::<&Name>.into(),
                weak: import.is_weak,
                kind: "none",
            }
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

pub(super) fn kind_word(kind: SymbolKind) -> &'static str {
    match kind {
        SymbolKind::Function => "function",
        SymbolKind::Object => "object",
        SymbolKind::Tls => "tls",
        SymbolKind::Ifunc => "ifunc",
        SymbolKind::Common => "common",
        SymbolKind::None | SymbolKind::Section | SymbolKind::File | SymbolKind::Other(_) => "none",
    }
}

impl Document for Symbols {
    const COMMAND: &'static str = "symbols";

    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        for (index, file) in self.files.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            writeln!(out, "{}", paint(palette.heading, &file.path))?;
            if let Some(error) = &file.error {
                writeln!(out, "  {}: {error}", paint(palette.error, "unreadable"))?;
                continue;
            }
            writeln!(out, "  {}", count(file.exports.len(), "export"))?;
            for symbol in &file.exports {
                let class = pad(symbol.class.as_str(), 9);
                let kind =
                    if symbol.kind == "function" { String::new() } else { format!("  {}", symbol.kind) };
                let binding =
                    if symbol.binding == "global" { String::new() } else { format!("  {}", symbol.binding) };
                let at = if symbol.default { "@@" } else { "@" };
                let name = versioned(&symbol.name, at, &symbol.version);
                writeln!(
                    out,
                    "    {}{name}{}",
                    paint(palette.dim, class),
                    paint(palette.dim, kind + &binding)
                )?;
            }
            writeln!(out, "  {}", count(file.imports.len(), "import"))?;
            for symbol in &file.imports {
                let name = versioned(&symbol.name, "@", &symbol.version);
                let weak = if symbol.weak { "  weak" } else { "" };
                match symbol.library.name() {
                    Some(library) => {
                        writeln!(out, "    {}{}{weak}", pad(&name, 44), paint(palette.dim, library))?;
                    }
                    None => writeln!(out, "    {name}{weak}")?,
                }
            }
        }
        Ok(())
    }
}

fn versioned(name: &Field<key::NameKey>, at: &str, version: &Field<key::Version>) -> String {
    match version.name() {
        Some(version) => format!("{name}{at}{version}"),
        None => name.to_string(),
    }
}
