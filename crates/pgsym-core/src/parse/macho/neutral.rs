//! What every format has, told in its terms: the target in those of the ELF header and the symbols as people write
//! them, without the compiler's underscore. The hash table is our own, since the export trie leads to any name.

use object::{elf, macho};

use crate::model::{
    Class, Endian, ExportTarget, HashTable, ImportUsage, MachArch, MachO, SymbolRecord, SymbolTable,
    SymbolValue, Table, Target, without_underscore,
};

/// The machine in the terms of the ELF header, so that rules for one machine need no second case.
pub(super) fn target(arch: MachArch, is_64: bool, is_big_endian: bool) -> Target {
    let machine = match macho::CpuType(arch.cpu_type) {
        macho::CPU_TYPE_X86_64 => elf::EM_X86_64,
        macho::CPU_TYPE_X86 => elf::EM_386,
        macho::CPU_TYPE_ARM64 | macho::CPU_TYPE_ARM64_32 => elf::EM_AARCH64,
        macho::CPU_TYPE_ARM => elf::EM_ARM,
        macho::CPU_TYPE_POWERPC => elf::EM_PPC,
        macho::CPU_TYPE_POWERPC64 => elf::EM_PPC64,
        _ => elf::EM_NONE,
    };
    Target {
        machine,
        class: if is_64 { Class::Bits64 } else { Class::Bits32 },
        endian: if is_big_endian { Endian::Big } else { Endian::Little },
        os_abi: 0,
        abi_version: 0,
        flags: 0,
    }
}

/// Imports and exports as a symbol table; unreadable as soon as one of both is.
pub(super) fn symbols(detail: &MachO) -> Table<SymbolTable> {
    if let Some(error) = detail.exports.error().or(detail.imports.error()) {
        return Table::Unreadable(error.clone());
    }
    let mut builder = Builder::new();
    let imports = detail.imports.get().map_or(&[][..], Vec::as_slice);
    let mut last: Option<&[u8]> = None;
    for (at, import) in imports.iter().enumerate() {
        // A weak definition of its own stands among the imports too, to be coalesced; it is an export.
        if import.usage == ImportUsage::Weak && detail.export(import.name.as_bytes()).is_some() {
            continue;
        }
        let name = import.name.as_bytes();
        if last == Some(name) {
            continue;
        }
        last = Some(name);
        let same = imports.iter().skip(at).take_while(|other| other.name == import.name);
        let is_weak = same.clone().all(|other| other.is_weak);
        let bind = if is_weak { elf::STB_WEAK } else { elf::STB_GLOBAL };
        builder.add(name, bind, elf::STT_NOTYPE, 0, 0);
    }
    let base = detail.base_address();
    for export in detail.exports.get().into_iter().flatten() {
        let kind = export.flags.kind();
        let address = match &export.target {
            ExportTarget::Address(offset) if kind == macho::EXPORT_SYMBOL_FLAGS_KIND_ABSOLUTE => {
                Some(*offset)
            }
            ExportTarget::Address(offset) | ExportTarget::Resolver { stub: offset, .. } => {
                Some(base.wrapping_add(*offset))
            }
            ExportTarget::Reexport { .. } => None,
        };
        let section = address.and_then(|address| detail.section_at(address));
        let kind = match section {
            _ if kind == macho::EXPORT_SYMBOL_FLAGS_KIND_THREAD_LOCAL => elf::STT_TLS,
            Some(section) if section.is_code() => elf::STT_FUNC,
            Some(_) => elf::STT_OBJECT,
            None => elf::STT_NOTYPE,
        };
        let bind = if export.is_weak_definition() { elf::STB_WEAK } else { elf::STB_GLOBAL };
        builder.add(export.name.as_bytes(), bind, kind, DEFINED, address.unwrap_or(0));
    }
    Table::Read(builder.finish())
}

/// Any section but SHN_UNDEF.
const DEFINED: u16 = 1;

struct Builder {
    names: Vec<u8>,
    records: Vec<SymbolRecord>,
    values: Vec<SymbolValue>,
}

impl Builder {
    fn new() -> Self {
        Self { names: vec![0], records: vec![SymbolRecord::default()], values: vec![SymbolValue::default()] }
    }

    fn add(&mut self, name: &[u8], bind: elf::SymbolBind, kind: elf::SymbolType, section: u16, value: u64) {
        // The names of one file are bounded below 4 GiB (`limits::MACH_NAME_BYTES`).
        let at = self.names.len() as u32;
        self.names.extend_from_slice(without_underscore(name));
        self.names.push(0);
        self.records.push(SymbolRecord {
            name: at,
            version: 1,
            section,
            info: bind.0 << 4 | kind.0,
            other: 0,
        });
        self.values.push(SymbolValue { value, size: 0 });
    }

    fn finish(self) -> SymbolTable {
        let mut table = SymbolTable {
            names: self.names.into(),
            records: self.records.into(),
            values: self.values.into(),
            ..SymbolTable::default()
        };
        let name = |index| table.get(index).map_or(&[][..], |symbol| symbol.name());
        table.hash = HashTable::over((1..table.len() as u32).map(name));
        table
    }
}
