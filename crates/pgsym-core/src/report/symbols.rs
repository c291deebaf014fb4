//! `pgsym symbols`: what files export and import, classified as PostgreSQL sees it.

use std::io::{self, Write};
use std::path::Path;

use bstr::ByteSlice as _;
use schemars::JsonSchema;
use serde::Serialize;

use super::document::Document;
use super::field::{Field, key};
use super::mach_symbols::{MachExportLine, MachImportLine, mach_exports, mach_imports};
use super::per_file::PerFile;
use super::text::{Palette, count, pad, paint};
use crate::error::FileError;
use crate::model::{Binding, Module, Symbol, SymbolKind, SymbolTable, Visibility};
use crate::postgres::{FINFO_PREFIX, SymbolClass, classify};

/// The answer of `pgsym symbols`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Symbols<'a> {
    /// The files, in the order given.
    #[schemars(with = "Vec<FileSymbols>")]
    pub files: PerFile<'a, FileSymbols>,
}

/// The dynamic symbols of one file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileSymbols {
    /// The file.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// The slice of a fat file, "arm64"; each has an entry of its own. Null where the file is no fat one.
    pub slice: Option<String>,
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
    /// What only Mach-O has.
    // Boxed: it is longer than all the rest, and a large ELF file has fifty thousand lines without it.
    pub macho: Option<Box<MachExportLine>>,
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
    /// What only Mach-O has.
    pub macho: Option<Box<MachImportLine>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn class_word<S: serde::Serializer>(class: &SymbolClass, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(class.as_str())
}

impl FileSymbols {
    /// The symbols of one file whose names are wanted: of a fat file one answer for each slice, in its order.
    pub fn of_file(
        path: &Path,
        module: &Result<Module, FileError>,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Vec<Self> {
        let macho = module.as_ref().ok().and_then(|module| module.macho());
        let slice = macho.map(|macho| macho.slice).filter(|slice| slice.is_fat);
        let mut found = vec![Self::new(path, slice.map(|slice| slice.arch.name()), module.as_ref(), wanted)];
        found.extend(macho.into_iter().flat_map(|macho| &macho.further_slices).map(|slice| {
            Self::new(path, Some(slice.arch.name()), slice.module.as_ref().map(|module| &**module), wanted)
        }));
        found
    }

    fn new(
        path: &Path,
        slice: Option<String>,
        module: Result<&Module, &FileError>,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Self {
        let mut symbols =
            Self { path: path.into(), slice, error: None, exports: Vec::new(), imports: Vec::new() };
        let module = match module {
            Ok(module) => module,
            Err(error) => {
                symbols.error = Some(error.to_string());
                return symbols;
            }
        };
        if let Some(error) = module.symbols.error() {
            symbols.error = Some(format!("the dynamic symbol table cannot be read: {error}"));
            return symbols;
        }
        let Some(table) = module.symbols.get() else { return symbols };
        let is_wanted = |symbol: &Symbol<'_>| wanted(symbol.name());
        // Few libraries are modules: of all others no export has to be looked up once more by the name of its record.
        let has_records = table.names.contains_str(FINFO_PREFIX);
        (symbols.exports, symbols.imports) = match module.macho() {
            Some(macho) => (
                // The table has the exports of the trie in the trie's order.
                std::iter::zip(table.exports(), mach_exports(module, macho))
                    .filter(|(symbol, _)| is_wanted(symbol))
                    .map(|(symbol, line)| ExportedSymbol {
                        macho: Some(Box::new(line)),
                        ..ExportedSymbol::new(table, symbol, has_records)
                    })
                    .collect(),
                mach_imports(module, macho, wanted),
            ),
            None => (
                table
                    .exports()
                    .filter(is_wanted)
                    .map(|symbol| ExportedSymbol::new(table, symbol, has_records))
                    .collect(),
                table.imports().filter(is_wanted).map(|symbol| ImportedSymbol::new(module, symbol)).collect(),
            ),
        };
        // What is equal is the same to the last byte, so no order has to be kept in a buffer of half the list's size.
        symbols.exports.sort_unstable();
        symbols.imports.sort_unstable();
        symbols
    }
}

impl ExportedSymbol {
    fn new(table: &SymbolTable, symbol: Symbol<'_>, has_records: bool) -> Self {
        let is_recorded = || {
            let record = [FINFO_PREFIX, symbol.name()].concat();
            let hashes = crate::model::NameHash::of(&record);
            table.lookup(&record, hashes).next().is_some()
        };
        let version = symbol.version();
        Self {
            class: classify(symbol.name(), || has_records && is_recorded()),
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
            macho: None,
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
            macho: None,
        }
    }
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

impl Document for Symbols<'_> {
    const COMMAND: &'static str = "symbols";

    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        for (index, file) in self.files.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            let slice = file.slice.as_ref().map(|slice| format!(" ({slice})")).unwrap_or_default();
            writeln!(out, "{}", paint(palette.heading, format!("{}{slice}", file.path)))?;
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
                let from = symbol.macho.as_deref().and_then(MachExportLine::origin).unwrap_or_default();
                writeln!(
                    out,
                    "    {}{name}{}",
                    paint(palette.dim, class),
                    paint(palette.dim, kind + &binding + &from)
                )?;
            }
            writeln!(out, "  {}", count(file.imports.len(), "import"))?;
            for symbol in &file.imports {
                let name = versioned(&symbol.name, "@", &symbol.version);
                let weak = if symbol.weak { "  weak" } else { "" };
                let library = match (&symbol.macho, symbol.library.name()) {
                    (Some(line), None) => Some(line.provider_words()),
                    (_, library) => library.map(ToString::to_string),
                };
                match library {
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
