//! Which constructors only a packed table rebases. DT_INIT_ARRAY holds addresses, so each of its words has a relocation in a
//! shared object; a loader that does not read the table with it calls what the file happens to hold.

use object::elf;

use super::dynamic::Dynamic;
use super::relocations::Tables;
use crate::limits;
use crate::model::PackedConstructors;

/// Only of files that have packed relocations at all, which are few.
pub(crate) fn constructors(tables: &Tables, dynamic: &Dynamic) -> PackedConstructors {
    let packed = [elf::DT_RELR, elf::DT_ANDROID_REL, elf::DT_ANDROID_RELA, elf::DT_ANDROID_RELR];
    let array = dynamic.value(elf::DT_INIT_ARRAY).zip(dynamic.value(elf::DT_INIT_ARRAYSZ));
    let Some((start, size)) = array.filter(|_| packed.iter().any(|&tag| dynamic.value(tag).is_some())) else {
        return PackedConstructors::default();
    };
    let word = tables.word_size();
    let index = |address: u64| {
        let inside = address.checked_sub(start).filter(|inside| inside % word == 0)?;
        usize::try_from(inside / word).ok()
    };
    let mut rebased = vec![false; (size / word).min(limits::CONSTRUCTORS as u64) as usize];
    tables.each(|entry| {
        // R_*_NONE is 0 on every machine: nothing is written.
        if let Some(word) = index(entry.address).and_then(|index| rebased.get_mut(index)) {
            *word |= entry.kind != 0;
        }
    });
    let mut found = PackedConstructors::default();
    for address in tables.relr().take(limits::RELOCATIONS) {
        if let Some(word) = index(address).and_then(|index| rebased.get_mut(index)) {
            found.relr |= !*word;
            *word = true;
        }
    }
    found.elsewhere = rebased.contains(&false);
    found
}
