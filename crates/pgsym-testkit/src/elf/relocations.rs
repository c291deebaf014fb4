//! Dynamic relocations: RELA or REL, and RELR for words that only need the load base added.
//!
//! A RELR table is a list of words. An even word is an address to relocate; an odd word is a bitmap whose bit *i* (from 1)
//! means the *i*-th word after the last address; each bitmap covers 63 (31) words.

use super::damage::find;
use super::description::Reference;
use super::encoding::{Encoding, Sink};
use super::layout::Places;
use super::plan::{DATA_REL_RO, GOT_PLT, Location, Plan};
use super::shared_object::SharedObject;

/// Format of `DT_REL(A)` and `DT_JMPREL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelocationStyle {
    /// With an addend field.
    Rela,
    /// The addend is what the relocated word holds.
    Rel,
}

/// Where base-relative words are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelativeStyle {
    /// `R_*_RELATIVE` in `DT_REL(A)`.
    Ordinary,
    /// `DT_RELR` for those in `.data.rel.ro`.
    Packed,
}

/// What a word holds in the file when its relocation is RELA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addends {
    /// The addend again, as GNU ld does on x86-64.
    InPlaceToo,
    /// Zero, as lld does.
    OnlyInTable,
}

/// A word that the loader fills.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) at: Location,
    pub(crate) used: SlotUse,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum SlotUse {
    /// The load base plus the address of this.
    Relative(Location),
    /// The value of a dynamic symbol.
    Symbol { index: u32, reference: Reference },
}

/// Bytes of one RELA or REL entry.
pub(crate) fn entry_size(object: &SharedObject) -> u64 {
    object.encoding.word_size()
        * match object.relocation_style {
            RelocationStyle::Rela => 3,
            RelocationStyle::Rel => 2,
        }
}

fn is_packed(object: &SharedObject, slot: &Slot) -> bool {
    object.relative_style == RelativeStyle::Packed
        && slot.at.section == DATA_REL_RO
        && matches!(slot.used, SlotUse::Relative(_))
}

fn is_jump(slot: &Slot) -> bool {
    slot.at.section == GOT_PLT
}

/// Number of relative entries in DT_REL(A), which come first: DT_RELACOUNT.
pub(crate) fn relative_count(plan: &Plan<'_>) -> u64 {
    plan.slots
        .iter()
        .filter(|slot| matches!(slot.used, SlotUse::Relative(_)) && !is_packed(plan.object, slot))
        .count() as u64
}

/// `.rela.dyn` or `.rel.dyn`.
pub(crate) fn write_dynamic(sink: &mut Sink, plan: &Plan<'_>, places: &Places) {
    let mut slots: Vec<&Slot> =
        plan.slots.iter().filter(|slot| !is_jump(slot) && !is_packed(plan.object, slot)).collect();
    slots.sort_by_key(|slot| matches!(slot.used, SlotUse::Symbol { .. }));
    write_entries(sink, plan, places, &slots, find!(plan.object.damage, RelocationSymbol));
}

/// `.rela.plt` or `.rel.plt`.
pub(crate) fn write_jump_slots(sink: &mut Sink, plan: &Plan<'_>, places: &Places) {
    let slots: Vec<&Slot> = plan.slots.iter().filter(|slot| is_jump(slot)).collect();
    let lie = find!(plan.object.damage, RelocationSymbol).filter(|_| {
        !plan.slots.iter().any(|slot| !is_jump(slot) && matches!(slot.used, SlotUse::Symbol { .. }))
    });
    write_entries(sink, plan, places, &slots, lie);
}

fn write_entries(sink: &mut Sink, plan: &Plan<'_>, places: &Places, slots: &[&Slot], lie: Option<u32>) {
    let object = plan.object;
    let numbers = object.machine.relocations();
    let mut lie = lie;
    for slot in slots {
        let (symbol, kind, addend) = match slot.used {
            SlotUse::Relative(target) => (0, numbers.relative, places.address(target)),
            SlotUse::Symbol { index, reference } => {
                let kind = match reference {
                    Reference::JumpSlot => numbers.jump_slot,
                    Reference::GlobDat => numbers.glob_dat,
                    Reference::ThreadOffset => numbers.tpoff,
                    Reference::Word | Reference::None => numbers.absolute,
                };
                (lie.take().unwrap_or(index), kind, 0)
            }
        };
        sink.word(places.address(slot.at));
        sink.word(object.encoding.pick(
            u64::from(symbol) << 8 | u64::from(kind & 0xff),
            u64::from(symbol) << 32 | u64::from(kind),
        ));
        if object.relocation_style == RelocationStyle::Rela {
            sink.word(addend);
        }
    }
}

/// `.relr.dyn`.
pub(crate) fn write_packed(sink: &mut Sink, plan: &Plan<'_>, places: &Places) {
    let mut addresses: Vec<u64> = plan
        .slots
        .iter()
        .filter(|slot| is_packed(plan.object, slot))
        .map(|slot| places.address(slot.at))
        .collect();
    addresses.sort_unstable();
    let word = sink.encoding.word_size();
    let bits = word * 8 - 1;
    let mut rest = addresses.as_slice();
    while let Some((&first, tail)) = rest.split_first() {
        sink.word(first);
        rest = tail;
        let mut base = first + word;
        loop {
            let covered = rest.iter().take_while(|&&address| address < base + bits * word).count();
            if covered == 0 {
                break;
            }
            let bitmap = rest[..covered].iter().fold(1, |map, address| map | 2 << ((address - base) / word));
            sink.word(bitmap);
            rest = &rest[covered..];
            base += bits * word;
        }
    }
}

/// Puts into a section's bytes what its words hold before relocation.
pub(crate) fn fill_in_place(bytes: &mut [u8], section: &str, plan: &Plan<'_>, places: &Places) {
    let object = plan.object;
    for slot in plan.slots.iter().filter(|slot| slot.at.section == section) {
        let SlotUse::Relative(target) = slot.used else { continue };
        let in_table_only = object.relocation_style == RelocationStyle::Rela
            && object.addends == Addends::OnlyInTable
            && !is_packed(object, slot);
        if !in_table_only {
            put_word(bytes, slot.at.offset, places.address(target), object.encoding);
        }
    }
}

/// Overwrites the word at `offset`.
pub(crate) fn put_word(bytes: &mut [u8], offset: u64, value: u64, encoding: Encoding) {
    let mut sink = encoding.sink();
    sink.word(value);
    let start = offset as usize;
    bytes[start..start + sink.bytes.len()].copy_from_slice(&sink.bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CodeShape, Machine};

    #[test]
    fn a_run_of_words_packs_into_one_address_and_its_bitmaps() {
        // 70 words: the address, 63 bits, and the remaining 6 bits.
        let object = SharedObject::for_machine(Machine::X86_64)
            .code_shape(CodeShape::Plain)
            .relative_words(70)
            .relative_style(RelativeStyle::Packed);
        let plan = Plan::new(&object);
        let mut sink = object.encoding.sink();
        write_packed(&mut sink, &plan, &Places::default());
        let words: Vec<u64> =
            sink.bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
        assert_eq!(words, [0, u64::MAX, 0b111_1111]);
    }
}
