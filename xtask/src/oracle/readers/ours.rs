//! pgsym's own view.

use std::path::Path;

use anyhow::anyhow;
use pgsym_core::fs::{Fs as _, RealFs};
use pgsym_core::model::{Binding, SearchPathKind, SymbolKind, Table, Visibility};
use pgsym_core::parse::{Facets, parse};

use super::view::{self, FLAGS, FLAGS_1, Symbol, View, bits};

/// Reads a file; a table that cannot be read is an error here.
pub(super) fn read(path: &Path) -> anyhow::Result<View> {
    let (source, metadata) = RealFs::new().open(path)?;
    let module = parse(path, metadata, &*source, Facets::VALUES | Facets::NOTES)?;
    let elf = module.elf().ok_or_else(|| anyhow!("not ELF"))?;
    readable("dependencies", &module.dependencies)?;
    readable("symbols", &module.symbols)?;
    readable("version needs", &elf.version_needs)?;
    readable("version definitions", &elf.version_definitions)?;
    readable("build id", &elf.build_id)?;
    if let Some(error) = elf.unreadable_entries.first() {
        return Err(anyhow!("{error}"));
    }
    let raw = |kind| module.search_path(kind).map(|path| path.raw.to_string());
    Ok(View {
        needed: module.needed().iter().map(|needed| needed.name.to_string()).collect(),
        soname: module.soname.as_ref().map(ToString::to_string),
        rpath: raw(SearchPathKind::Rpath),
        runpath: raw(SearchPathKind::Runpath),
        flags: bits(elf.flags, &FLAGS),
        flags_1: bits(elf.flags_1, &FLAGS_1),
        symbols: module.symbols.get().map_or_else(Vec::new, |table| table.iter().map(symbol).collect()),
        needs: elf
            .version_needs
            .get()
            .into_iter()
            .flatten()
            .flat_map(|need| need.versions.iter().map(move |version| (need.file.to_string(), version)))
            .map(|(file, version)| {
                view::need(&file, &version.name.to_string(), version.index, version.is_weak)
            })
            .collect(),
        definitions: elf
            .version_definitions
            .get()
            .into_iter()
            .flatten()
            .map(|definition| {
                let parents: Vec<String> = definition.parents.iter().map(ToString::to_string).collect();
                let name = definition.name.to_string();
                view::definition(&name, definition.index, definition.is_base, definition.is_weak, &parents)
            })
            .collect(),
        build_id: elf.build_id.get().map(|id| view::hex(id)),
    })
}

fn readable<T>(what: &str, table: &Table<T>) -> anyhow::Result<()> {
    match table.error() {
        Some(error) => Err(anyhow!("{what}: {error}")),
        None => Ok(()),
    }
}

fn symbol(symbol: pgsym_core::model::Symbol<'_>) -> Symbol {
    let value = symbol.value().unwrap_or_default();
    Symbol {
        name: String::from_utf8_lossy(symbol.name()).into_owned(),
        version: symbol.version().map_or_else(String::new, |version| {
            // readelf writes one @ for what is needed, also where a copy relocation defines it again.
            let at = if version.is_hidden || version.need.is_some() { "@" } else { "@@" };
            format!("{at}{}", version.name)
        }),
        kind: view::kind(match symbol.kind() {
            SymbolKind::None => 0,
            SymbolKind::Object => 1,
            SymbolKind::Function => 2,
            SymbolKind::Section => 3,
            SymbolKind::File => 4,
            SymbolKind::Common => 5,
            SymbolKind::Tls => 6,
            SymbolKind::Ifunc => 10,
            SymbolKind::Other(other) => other,
        }),
        binding: view::binding(match symbol.binding() {
            Binding::Local => 0,
            Binding::Global => 1,
            Binding::Weak => 2,
            Binding::Unique => 10,
            Binding::Other(other) => other,
        }),
        visibility: view::visibility(match symbol.visibility() {
            Visibility::Default => 0,
            Visibility::Internal => 1,
            Visibility::Hidden => 2,
            Visibility::Protected => 3,
        }),
        section: symbol.section(),
        value: value.value,
        size: value.size,
    }
}
