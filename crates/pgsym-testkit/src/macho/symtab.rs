//! LC_SYMTAB: `nlist_64` entries and their strings, exports first.

use super::bytes::Out;
use super::image::{ExportForm, MachImportSpec};

/// Entries and strings.
pub(super) fn write(
    exports: &[(String, ExportForm)],
    imports: &[MachImportSpec],
    addresses: &[u64],
    base: u64,
) -> (Vec<u8>, Vec<u8>) {
    let (mut entries, mut strings) = (Out::default(), Out::default());
    strings.string(" ");
    for ((name, form), &address) in exports.iter().zip(addresses) {
        if matches!(form, ExportForm::Reexport(..)) {
            continue;
        }
        entries.word(strings.0.len() as u32);
        entries.byte(0xf); // N_SECT | N_EXT
        entries.byte(1);
        entries.half(if *form == ExportForm::Weak { 0x80 } else { 0 });
        entries.long(base + address);
        strings.string(name);
    }
    for import in imports {
        entries.word(strings.0.len() as u32);
        entries.byte(0x1); // N_UNDF | N_EXT
        entries.byte(0);
        let weak = if import.is_weak { 0x40 } else { 0 };
        entries.half(weak | (import.from.number().cast_unsigned() as u16 & 0xff) << 8);
        entries.long(0);
        strings.string(&import.name);
    }
    (entries.0, strings.0)
}
