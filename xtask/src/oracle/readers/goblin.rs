//! goblin's view, in this process: the corpus is trusted.

use goblin::elf::symver::{VerdefSection, VerneedSection};
use goblin::elf::{Elf, dynamic};

use super::view::{self, FLAGS, FLAGS_1, Symbol, View, bits};

/// Reads a file that is in memory.
pub(super) fn read(bytes: &[u8]) -> goblin::error::Result<View> {
    let elf = Elf::parse(bytes)?;
    let info = elf.dynamic.as_ref().map(|dynamic| &dynamic.info);
    let has = |tag: u64| {
        elf.dynamic.as_ref().is_some_and(|dynamic| dynamic.dyns.iter().any(|entry| entry.d_tag == tag))
    };
    let mut flags = info.map_or(0, |info| info.flags);
    for (tag, flag) in [(dynamic::DT_SYMBOLIC, 2), (dynamic::DT_TEXTREL, 4), (dynamic::DT_BIND_NOW, 8)] {
        flags |= if has(tag) { flag } else { 0 };
    }
    let names = version_names(&elf);
    let symbols = elf
        .dynsyms
        .iter()
        .enumerate()
        .skip(1)
        .map(|(index, symbol)| {
            let versym = elf.versym.as_ref().and_then(|table| table.get_at(index));
            let version = versym.and_then(|versym| {
                let (name, is_needed) = names.get(usize::from(versym.version()))?.as_ref()?;
                let at = if versym.is_hidden() || *is_needed { "@" } else { "@@" };
                Some(format!("{at}{name}"))
            });
            Symbol {
                name: elf.dynstrtab.get_at(symbol.st_name).unwrap_or("<unreadable>").to_owned(),
                version: version.unwrap_or_default(),
                kind: view::kind(symbol.st_type()),
                binding: view::binding(symbol.st_bind()),
                visibility: view::visibility(symbol.st_visibility()),
                section: symbol.st_shndx as u16,
                value: symbol.st_value,
                size: symbol.st_size,
            }
        })
        .collect();
    Ok(View {
        needed: elf.libraries.iter().map(ToString::to_string).collect(),
        soname: elf.soname.map(ToOwned::to_owned),
        // Of several the loader takes the last.
        rpath: elf.rpaths.last().map(ToString::to_string),
        runpath: elf.runpaths.last().map(ToString::to_string),
        flags: bits(flags, &FLAGS),
        flags_1: bits(info.map_or(0, |info| info.flags_1), &FLAGS_1),
        symbols,
        needs: needs(&elf),
        definitions: definitions(&elf),
        build_id: build_id(&elf, bytes),
    })
}

fn name<'a>(elf: &Elf<'a>, offset: usize) -> &'a str {
    elf.dynstrtab.get_at(offset).unwrap_or("<unreadable>")
}

fn needs(elf: &Elf<'_>) -> Vec<String> {
    let records = elf.verneed.iter().flat_map(VerneedSection::iter);
    records
        .flat_map(|need| need.iter().map(|version| (need.vn_file, version)).collect::<Vec<_>>())
        .map(|(file, version)| {
            let is_weak = version.vna_flags & 2 != 0;
            let index = version.vna_other & 0x7fff;
            view::need(name(elf, file), name(elf, version.vna_name), index, is_weak)
        })
        .collect()
}

fn definitions(elf: &Elf<'_>) -> Vec<String> {
    let records = elf.verdef.iter().flat_map(VerdefSection::iter);
    records
        .map(|definition| {
            let mut names = definition.iter().map(|aux| name(elf, aux.vda_name).to_owned());
            let version = names.next().unwrap_or_default();
            let parents: Vec<String> = names.collect();
            let (base, weak) = (definition.vd_flags & 1 != 0, definition.vd_flags & 2 != 0);
            view::definition(&version, definition.vd_ndx & 0x7fff, base, weak, &parents)
        })
        .collect()
}

/// Version names by index and whether they are needed ones, the base version left out.
fn version_names<'a>(elf: &Elf<'a>) -> Vec<Option<(&'a str, bool)>> {
    let mut names = vec![None; 0x8000];
    for definition in elf.verdef.iter().flat_map(VerdefSection::iter) {
        if definition.vd_flags & 1 == 0 {
            let first = definition.iter().next();
            names[usize::from(definition.vd_ndx & 0x7fff)] =
                first.map(|aux| (name(elf, aux.vda_name), false));
        }
    }
    for need in elf.verneed.iter().flat_map(VerneedSection::iter) {
        for version in &need {
            names[usize::from(version.vna_other & 0x7fff)] = Some((name(elf, version.vna_name), true));
        }
    }
    names
}

fn build_id(elf: &Elf<'_>, bytes: &[u8]) -> Option<String> {
    let notes = elf.iter_note_headers(bytes)?;
    notes.flatten().find(|note| note.name == "GNU" && note.n_type == 3).map(|note| view::hex(note.desc))
}
