//! PGS9xx: files that cannot be read, wholly or in part.

mod in_place;
pub(crate) mod limit_reached;
mod read_only_dynamic;
pub(crate) mod unreadable_file;
pub(crate) mod unreadable_for_server;
pub(crate) mod views_disagree;

use crate::error::{FileError, FileErrorKind};
use crate::model::Module;

/// Every table of a file that is there and cannot be read, by the name that the specification gives it.
pub(crate) fn unreadable_tables(module: &Module) -> Vec<(&'static str, &FileError)> {
    let mut tables = Vec::new();
    if let Some(elf) = module.elf() {
        tables.extend([
            ("PT_INTERP", elf.interpreter.error()),
            ("PT_DYNAMIC", elf.dynamic.error()),
            ("DT_NEEDED", module.dependencies.error()),
            ("DT_VERNEED", elf.version_needs.error()),
            ("DT_VERDEF", elf.version_definitions.error()),
            ("DT_SYMTAB", module.symbols.error()),
            ("relocations", elf.relocations.error()),
            ("NT_GNU_BUILD_ID", elf.build_id.error()),
            ("NT_GNU_ABI_TAG", elf.abi_tag.error()),
            ("NT_GNU_PROPERTY_TYPE_0", elf.properties.error()),
            (".note.dlopen", elf.dlopen_notes.error()),
        ]);
        tables.extend(elf.unreadable_entries.iter().map(|error| (".dynamic", Some(error))));
    }
    if let Some(macho) = module.macho() {
        tables.extend([
            ("LC_LOAD_DYLIB", module.dependencies.error()),
            ("the export trie", macho.exports.error()),
            ("the imports", macho.imports.error()),
            ("LC_CODE_SIGNATURE", macho.signature.error()),
        ]);
        tables.extend(macho.faults.iter().map(|error| ("the load commands", Some(error))));
        let slices = macho.further_slices.iter().filter_map(|slice| slice.module.as_ref().err());
        tables.extend(slices.map(|error| ("a slice", Some(error))));
    }
    let mut known: Vec<(&str, &FileError)> = Vec::new();
    for (name, error) in tables {
        // One bad pointer takes every table that hangs on it along: told once, under the first name.
        if let Some(error) = error
            && error.kind != FileErrorKind::Unsupported
            && !known.iter().any(|(_, earlier)| *earlier == error)
        {
            known.push((name, error));
        }
    }
    known
}
