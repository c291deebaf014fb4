//! What `pgsym symbols` says of Mach-O beyond the symbols of every format: names as the compiler wrote them, who
//! must define an import, and the tables that dyld binds it from.

use schemars::JsonSchema;
use serde::Serialize;

use super::field::{Field, key};
use super::symbols::ImportedSymbol;
use crate::model::{ExportTarget, ImportUsage, MachImport, MachO, Module, Ordinal, without_underscore};
use crate::name::Name;

/// What only an export of Mach-O has.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct MachExportLine {
    /// The name as it stands in the file.
    #[serde(flatten)]
    pub raw: Field<key::RawSymbol>,
    /// Its address before sliding, of an absolute symbol its value; null for one that another library defines.
    pub address: Option<u64>,
    /// Whether it is a number and not an address (EXPORT_SYMBOL_FLAGS_KIND_ABSOLUTE).
    pub absolute: bool,
    /// The address of the function that chooses the target, for a stub with a resolver.
    pub resolver: Option<u64>,
    /// The library that defines it, for a re-export.
    pub reexport: Option<ReexportLine>,
    /// The tables in which its own import stands, so that it is coalesced with other images' weak definitions.
    pub coalesced: Vec<&'static str>,
}

/// Where a re-exported symbol comes from.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct ReexportLine {
    /// The library's number, from 1.
    pub ordinal: u64,
    /// The library; null where the file has none of this number.
    #[serde(flatten)]
    pub library: Field<key::Library>,
    /// The symbol there, as it stands in the file.
    #[serde(flatten)]
    pub raw: Field<key::RawSymbol>,
}

/// What only an import of Mach-O has.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct MachImportLine {
    /// The name as it stands in the file.
    #[serde(flatten)]
    pub raw: Field<key::RawSymbol>,
    /// Who must define it: the number of a library from 1, 0 for the image itself, -1 for the main executable, -2 for
    /// any image in load order, -3 for any image with a weak definition.
    pub ordinal: i64,
    /// The tables that it stands in: "bind" (chained fixups too), "lazy", "weak", or "symtab" for want of them.
    pub tables: Vec<&'static str>,
}

impl MachExportLine {
    /// Where a re-export comes from, in words.
    pub(super) fn origin(&self) -> Option<String> {
        let reexport = self.reexport.as_ref()?;
        let of = if reexport.raw == self.raw { String::new() } else { format!(" {} of", reexport.raw) };
        Some(match reexport.library.name() {
            Some(library) => format!("  re-exports{of} {library}"),
            None => format!("  re-exports{of} library {}, which is not there", reexport.ordinal),
        })
    }
}

impl MachImportLine {
    /// Who must define an import that names no library.
    pub(super) fn provider_words(&self) -> String {
        match self.ordinal {
            -2 => "(any image, in load order)".to_owned(),
            -3 => "(coalesced with other images' weak definitions)".to_owned(),
            number => format!("(library {number}, which is not there)"),
        }
    }
}

/// One line for each export, in the order of the names in the file.
pub(super) fn mach_exports<'m>(
    module: &'m Module,
    macho: &'m MachO,
) -> impl Iterator<Item = MachExportLine> + 'm {
    let base = macho.base_address();
    macho.exports.get().into_iter().flatten().map(move |export| {
        let absolute = export.flags.kind() == object::macho::EXPORT_SYMBOL_FLAGS_KIND_ABSOLUTE;
        let place = |offset: u64| Some(if absolute { offset } else { base.wrapping_add(offset) });
        let (address, resolver, reexport) = match &export.target {
            ExportTarget::Address(offset) => (place(*offset), None, None),
            ExportTarget::Resolver { stub, resolver } => (place(*stub), place(*resolver), None),
            ExportTarget::Reexport { ordinal, name } => {
                let raw = if name.as_bytes().is_empty() { &export.name } else { name };
                let number = u32::try_from(*ordinal).ok();
                let library = number.and_then(|number| library(module, macho, number));
                let line = ReexportLine { ordinal: *ordinal, library: library.into(), raw: raw.into() };
                (None, None, Some(line))
            }
        };
        let coalesced = coalesced(macho, &export.name);
        MachExportLine {
            raw: (&export.name).into(),
            address,
            absolute,
            resolver,
            reexport,
            coalesced: coalesced.map(|import| table(import.usage)).collect(),
        }
    })
}

/// The imports, each symbol once for each library that it is bound to.
pub(super) fn mach_imports(
    module: &Module,
    macho: &MachO,
    wanted: &dyn Fn(&[u8]) -> bool,
) -> Vec<ImportedSymbol> {
    let mut found: Vec<ImportedSymbol> = Vec::new();
    // They are sorted by name and library, so what differs in the table alone stands together.
    let mut group = 0;
    for import in macho.imports.get().into_iter().flatten() {
        if is_own(macho, import) || !wanted(without_underscore(import.name.as_bytes())) {
            continue;
        }
        let (raw, ordinal) = (Field::from(&import.name), ordinal(import.from));
        let is_same = |line: &MachImportLine| line.raw == raw && line.ordinal == ordinal;
        if !found.last().and_then(|last| last.macho.as_deref()).is_some_and(is_same) {
            group = found.len();
        }
        let same = found.iter_mut().skip(group).find(|line| line.weak == import.is_weak);
        if let Some(line) = same.and_then(|same| same.macho.as_mut()) {
            line.tables.push(table(import.usage));
            continue;
        }
        let library = match import.from {
            Ordinal::SelfImage => Some(Name::from("(itself)")),
            Ordinal::Executable => Some(Name::from("(the program)")),
            Ordinal::Library(number) => library(module, macho, number).cloned(),
            // Any image may define it.
            Ordinal::Flat | Ordinal::Weak | Ordinal::Unknown(_) => None,
        };
        found.push(ImportedSymbol {
            library: library.as_ref().into(),
            name: without_underscore(import.name.as_bytes()).into(),
            version: Field::null(),
            weak: import.is_weak,
            kind: "none",
            macho: Some(Box::new(MachImportLine { raw, ordinal, tables: vec![table(import.usage)] })),
        });
    }
    found
}

/// Whether an import is a weak definition of the image's own, which stands in the table to be coalesced.
fn is_own(macho: &MachO, import: &MachImport) -> bool {
    import.from == Ordinal::Weak && macho.export(import.name.as_bytes()).is_some()
}

/// The imports of a name that are coalesced: by their order a few, whatever the file repeats.
fn coalesced<'m>(macho: &'m MachO, name: &'m Name) -> impl Iterator<Item = &'m MachImport> {
    let imports = macho.imports.get().map_or(&[][..], Vec::as_slice);
    let start = imports.partition_point(|import| (&import.name, import.from) < (name, Ordinal::Weak));
    imports.iter().skip(start).take_while(move |import| import.name == *name && import.from == Ordinal::Weak)
}

fn library<'m>(module: &'m Module, macho: &MachO, number: u32) -> Option<&'m Name> {
    let at = macho.dylibs.iter().position(|dylib| dylib.ordinal == Some(number))?;
    module.needed().get(at).map(|dependency| &dependency.name)
}

fn ordinal(from: Ordinal) -> i64 {
    match from {
        Ordinal::SelfImage => 0,
        Ordinal::Executable => -1,
        Ordinal::Flat => -2,
        Ordinal::Weak => -3,
        Ordinal::Library(number) => number.into(),
        Ordinal::Unknown(number) => number.into(),
    }
}

fn table(usage: ImportUsage) -> &'static str {
    match usage {
        ImportUsage::Bind => "bind",
        ImportUsage::Lazy => "lazy",
        ImportUsage::Weak => "weak",
        ImportUsage::Symbol => "symtab",
    }
}
