//! `.dynamic`: pairs of tag and value, in the order GNU ld writes them, ended by DT_NULL.

use super::damage::{Damage, find, has};
use super::description::{Bind, Kind, TextRelocations};
use super::encoding::Sink;
use super::layout::Places;
use super::plan::Plan;
use super::relocations::{self, RelocationStyle};
use super::sections as names;
use super::shared_object::DynamicEntry;
use super::symbols;

const DF_SYMBOLIC: u64 = 2;
const DF_TEXTREL: u64 = 4;
const DF_BIND_NOW: u64 = 8;
const DF_STATIC_TLS: u64 = 0x10;
const DF_1_NOW: u64 = 1;
const DF_1_PIE: u64 = 0x0800_0000;

pub(crate) fn write(sink: &mut Sink, plan: &Plan<'_>, places: &Places) {
    let object = plan.object;
    let mut entries: Vec<(u64, u64)> = Vec::new();
    for entry in &object.strings {
        entries.push(match entry {
            DynamicEntry::Text(tag, text) => (*tag, u64::from(plan.dynstr.offset(text))),
            DynamicEntry::Number(tag, value) => (*tag, *value),
        });
    }
    for _ in 0..find!(object.damage, RepeatNeeded).unwrap_or(0) {
        entries.push((1, 1));
    }
    if let Some(soname) = &object.soname {
        entries.push((14, u64::from(plan.dynstr.offset(soname))));
    }
    if object.symbolic {
        entries.push((16, 0));
    }
    push_tables(&mut entries, plan, places);
    push_flags(&mut entries, plan);
    push_versions(&mut entries, plan, places);

    for (tag, value) in &mut entries {
        for damage in &object.damage {
            if let Damage::Dynamic(wanted, lie) = damage
                && wanted == tag
            {
                *value = *lie;
            }
        }
    }
    if !has(&object.damage, &Damage::DynamicUnterminated) {
        entries.push((0, 0));
    }
    for (tag, value) in entries {
        sink.word(tag).word(value);
    }
}

/// Hash tables, symbols, strings, relocations.
fn push_tables(entries: &mut Vec<(u64, u64)>, plan: &Plan<'_>, places: &Places) {
    let object = plan.object;
    let present = |name: &'static str| places.get(name).filter(|place| place.size > 0);
    if let Some(hash) = present(names::HASH) {
        entries.push((4, hash.address));
    }
    if let Some(hash) = present(names::GNU_HASH) {
        entries.push((0x6fff_fef5, hash.address));
    }
    // These three are written even before the first placement has happened, so that the size is final.
    let strings = places.get(names::DYNSTR).unwrap_or_default();
    entries.push((5, strings.address));
    entries.push((6, places.get(names::DYNSYM).unwrap_or_default().address));
    entries.push((10, strings.size));
    entries.push((11, symbols::entry_size(object.encoding)));
    if let Some(got) = present(super::plan::GOT_PLT) {
        entries.push((3, got.address));
    }
    let (table, size, entry, count) = match object.relocation_style {
        RelocationStyle::Rela => (7, 8, 9, 0x6fff_fff9),
        RelocationStyle::Rel => (17, 18, 19, 0x6fff_fffa),
    };
    if let Some(jumps) = present(names::jump_slots(object)) {
        entries.extend([(2, jumps.size), (20, table), (23, jumps.address)]);
    }
    if let Some(relocations) = present(names::relocations(object)) {
        entries.extend([
            (table, relocations.address),
            (size, relocations.size),
            (entry, relocations::entry_size(object)),
        ]);
        let relative = relocations::relative_count(plan);
        if relative > 0 {
            entries.push((count, relative));
        }
    }
    if let Some(packed) = present(names::RELR) {
        entries.extend([(36, packed.address), (35, packed.size), (37, object.encoding.word_size())]);
    }
}

fn push_flags(entries: &mut Vec<(u64, u64)>, plan: &Plan<'_>) {
    let object = plan.object;
    let mut flags = object.flags;
    let mut flags_1 = object.flags_1;
    match object.text_relocations {
        TextRelocations::Tagged => {
            entries.push((22, 0));
            flags |= DF_TEXTREL;
        }
        TextRelocations::Flagged => flags |= DF_TEXTREL,
        TextRelocations::Silent | TextRelocations::None => {}
    }
    if object.bind == Bind::Now {
        entries.push((24, 0));
        flags |= DF_BIND_NOW;
        flags_1 |= DF_1_NOW;
    }
    if object.symbolic {
        flags |= DF_SYMBOLIC;
    }
    if object.imports.iter().any(|import| import.reference == super::description::Reference::ThreadOffset) {
        flags |= DF_STATIC_TLS;
    }
    if object.kind == Kind::PieExecutable {
        flags_1 |= DF_1_PIE;
    }
    if flags != 0 {
        entries.push((30, flags));
    }
    if flags_1 != 0 {
        entries.push((0x6fff_fffb, flags_1));
    }
}

fn push_versions(entries: &mut Vec<(u64, u64)>, plan: &Plan<'_>, places: &Places) {
    if plan.versions.is_empty() {
        return;
    }
    entries.push((0x6fff_fff0, places.get(names::VERSYM).unwrap_or_default().address));
    if plan.versions.definition_count() > 0 {
        entries.push((0x6fff_fffc, places.get(names::VERDEF).unwrap_or_default().address));
        entries.push((0x6fff_fffd, plan.versions.definition_count()));
    }
    if plan.versions.need_count() > 0 {
        entries.push((0x6fff_fffe, places.get(names::VERNEED).unwrap_or_default().address));
        entries.push((0x6fff_ffff, plan.versions.need_count()));
    }
}
