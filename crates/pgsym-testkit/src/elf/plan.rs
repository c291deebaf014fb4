//! The plan: everything about the file that does not depend on addresses. Which dynamic symbols there are and in which order,
//! which strings and versions, where each function, constant and pointer lies inside its section.

use super::code::{self, CodeAddresses, CodeShape};
use super::description::{
    Binding, Export, ExportKind, Import, ImportKind, Reference, TextRelocations, Visibility,
};
use super::encoding::align_up;
use super::hash;
use super::machine::Machine;
use super::magic::Magic;
use super::relocations::{Slot, SlotUse};
use super::shared_object::{DynamicEntry, SharedObject};
use super::strings::StringTable;
use super::versions::Versions;

/// Names of the sections the plan places data in.
pub(crate) const TEXT: &str = ".text";
pub(crate) const RODATA: &str = ".rodata";
pub(crate) const TDATA: &str = ".tdata";
pub(crate) const DATA_REL_RO: &str = ".data.rel.ro";
pub(crate) const GOT: &str = ".got";
pub(crate) const GOT_PLT: &str = ".got.plt";
pub(crate) const DATA: &str = ".data";

/// A place inside a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) section: &'static str,
    pub(crate) offset: u64,
}

/// Where a symbol's value comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    Undefined,
    At(Location),
    /// `STT_TLS`: the offset inside the TLS template.
    Thread(u64),
    Absolute(u64),
}

/// One entry of `.dynsym`, or of `.symtab`.
#[derive(Clone, Debug)]
pub(crate) struct Symbol {
    pub(crate) name: Vec<u8>,
    pub(crate) value: Value,
    pub(crate) size: u64,
    pub(crate) info: u8,
    pub(crate) other: u8,
    pub(crate) versym: u16,
}

/// A function of `.text`.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) offset: u64,
    pub(crate) body: Body,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Number(u32),
    /// Returns the address of `target`; `slot` is a pointer to it, for shapes that load it.
    Address {
        target: Location,
        slot: Option<Location>,
    },
    /// See [`code::helper`].
    Helper,
}

#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) object: &'a SharedObject,
    pub(crate) dynstr: StringTable,
    /// Without the null symbol; index 0 here is symbol 1.
    pub(crate) symbols: Vec<Symbol>,
    /// How many of `symbols` are undefined; they come first.
    pub(crate) imports: usize,
    pub(crate) locals: Vec<Symbol>,
    pub(crate) versions: Versions,
    pub(crate) functions: Vec<Function>,
    pub(crate) helper: Location,
    pub(crate) unrelated: Location,
    /// Contents of the sections that hold constants and variables; relocated words are zero.
    pub(crate) text_size: u64,
    pub(crate) rodata: Vec<u8>,
    pub(crate) tdata: Vec<u8>,
    pub(crate) data_rel_ro: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) got_words: u64,
    pub(crate) got_plt_words: u64,
    pub(crate) slots: Vec<Slot>,
}

/// Reserved words at the start of `.got.plt`: the address of `.dynamic` and two for the loader.
const GOT_PLT_RESERVED: u64 = 3;

impl<'a> Plan<'a> {
    pub(crate) fn new(object: &'a SharedObject) -> Self {
        let nowhere = Location { section: TEXT, offset: 0 };
        let mut plan = Self {
            object,
            dynstr: StringTable::new(),
            symbols: Vec::new(),
            imports: object.imports.len(),
            locals: Vec::new(),
            versions: Versions::new(object),
            functions: Vec::new(),
            helper: nowhere,
            unrelated: nowhere,
            text_size: 0,
            rodata: Vec::new(),
            tdata: Vec::new(),
            data_rel_ro: Vec::new(),
            data: Vec::new(),
            got_words: 0,
            got_plt_words: 0,
            slots: Vec::new(),
        };
        for constant in &object.constants {
            append(&mut plan.rodata, RODATA, constant, 16);
        }
        plan.place_helpers();
        plan.place_imports();
        plan.place_exports();
        plan.place_locals();
        plan.place_extra_words();
        plan.collect_strings();
        plan
    }

    /// The thunk or hook of the code shape, and a constant that means nothing.
    fn place_helpers(&mut self) {
        let calls = matches!(self.object.code_shape, CodeShape::Pgrx | CodeShape::PcThunk);
        let returns_address = self
            .object
            .exports
            .iter()
            .any(|export| matches!(export.kind, ExportKind::FunctionInfo(_) | ExportKind::MagicFunction));
        if returns_address {
            self.unrelated = append(&mut self.rodata, RODATA, b"src/lib.rs\0", 8);
        }
        if calls && returns_address {
            self.helper = self.function(Body::Helper);
        }
        if self.object.machine == Machine::I386 && returns_address && self.got_plt_words == 0 {
            // `_GLOBAL_OFFSET_TABLE_` must exist even without imports.
            self.got_plt_words = GOT_PLT_RESERVED;
        }
    }

    fn place_imports(&mut self) {
        for (position, import) in self.object.imports.iter().enumerate() {
            let index = position as u32 + 1;
            self.symbols.push(undefined(import, self.versions.of_import(import)));
            let at = match import.reference {
                Reference::None => continue,
                Reference::JumpSlot => {
                    self.got_plt_words = self.got_plt_words.max(GOT_PLT_RESERVED);
                    self.got_plt_words += 1;
                    self.word_at(GOT_PLT, self.got_plt_words - 1)
                }
                Reference::GlobDat | Reference::ThreadOffset => {
                    self.got_words += 1;
                    self.word_at(GOT, self.got_words - 1)
                }
                Reference::Word => self.append_word(DATA),
            };
            self.slots.push(Slot { at, used: SlotUse::Symbol { index, reference: import.reference } });
        }
    }

    fn place_exports(&mut self) {
        let object = self.object;
        let mut defined: Vec<Symbol> =
            object.exports.iter().map(|export| self.place_export(export)).collect();
        let buckets = hash::gnu_buckets(defined.len());
        defined.sort_by_key(|symbol| hash::gnu(&symbol.name) % buckets);
        self.symbols.extend(defined);
    }

    fn place_export(&mut self, export: &Export) -> Symbol {
        const STT_OBJECT: u8 = 1;
        const STT_FUNC: u8 = 2;
        const STT_TLS: u8 = 6;
        const STT_GNU_IFUNC: u8 = 10;
        let (value, size, kind) = match &export.kind {
            ExportKind::Function(value) => self.function_symbol(Body::Number(*value), STT_FUNC),
            ExportKind::IndirectFunction => self.function_symbol(Body::Number(0), STT_GNU_IFUNC),
            ExportKind::Object(size) => {
                let at = append(&mut self.data, DATA, &vec![0; *size as usize], 16);
                (Value::At(at), u64::from(*size), STT_OBJECT)
            }
            ExportKind::Tls(size) => {
                let at = append(&mut self.tdata, TDATA, &vec![0; *size as usize], 16);
                (Value::Thread(at.offset), u64::from(*size), STT_TLS)
            }
            ExportKind::Absolute(value) => (Value::Absolute(*value), 0, STT_OBJECT),
            ExportKind::FunctionInfo(api_version) => {
                let mut record = self.object.encoding.sink();
                record.u32(api_version.cast_unsigned());
                let target = append(&mut self.rodata, RODATA, &record.bytes, 4);
                let body = self.address(target);
                self.function_symbol(body, STT_FUNC)
            }
            ExportKind::MagicFunction => {
                let target = self.place_magic();
                let body = self.address(target);
                self.function_symbol(body, STT_FUNC)
            }
        };
        Symbol {
            name: export.name.clone(),
            value,
            size,
            info: binding_bits(export.binding) << 4 | kind,
            other: match export.visibility {
                Visibility::Default => 0,
                Visibility::Internal => 1,
                Visibility::Hidden => 2,
                Visibility::Protected => 3,
            },
            versym: self.versions.of_export(export),
        }
    }

    /// The block goes where compilers put it: read-only data, unless its pointers need relocations.
    fn place_magic(&mut self) -> Location {
        let Some(magic) = &self.object.magic else {
            // An export of kind MagicFunction without a block: it returns the address of something else.
            return self.unrelated;
        };
        let bytes = magic.bytes(self.object.encoding);
        let pointers = magic.pointers();
        if pointers.iter().all(Option::is_none) {
            return append(&mut self.rodata, RODATA, &bytes, 16);
        }
        let block = append(&mut self.data_rel_ro, DATA_REL_RO, &bytes, 16);
        for (position, text) in pointers.iter().enumerate() {
            let Some(text) = text else { continue };
            let mut text = text.to_vec();
            text.push(0);
            let target = append(&mut self.rodata, RODATA, &text, 1);
            let offset =
                block.offset + Magic::POINTERS_AT + position as u64 * self.object.encoding.word_size();
            self.slots.push(Slot { at: Location { offset, ..block }, used: SlotUse::Relative(target) });
        }
        block
    }

    fn place_locals(&mut self) {
        for name in &self.object.local_functions {
            let (value, size, kind) = self.function_symbol(Body::Number(0), 2);
            self.locals.push(Symbol { name: name.clone(), value, size, info: kind, other: 0, versym: 0 });
        }
    }

    fn place_extra_words(&mut self) {
        for _ in 0..self.object.relative_words {
            let at = self.append_word(DATA_REL_RO);
            self.slots.push(Slot { at, used: SlotUse::Relative(at) });
        }
        if self.object.text_relocations != TextRelocations::None {
            let offset = align_up(self.text_size, 8);
            self.text_size = offset + 8;
            let at = Location { section: TEXT, offset };
            self.slots.push(Slot { at, used: SlotUse::Relative(at) });
        }
    }

    fn collect_strings(&mut self) {
        for entry in &self.object.strings {
            if let DynamicEntry::Text(_, text) = entry {
                self.dynstr.add(text);
            }
        }
        if let Some(soname) = &self.object.soname {
            self.dynstr.add(soname);
        }
        for symbol in &self.symbols {
            self.dynstr.add(&symbol.name);
        }
        for name in self.versions.names() {
            self.dynstr.add(name);
        }
    }

    fn address(&mut self, target: Location) -> Body {
        let slot = (self.object.code_shape == CodeShape::GotLoad).then(|| {
            let at = self.append_word(DATA_REL_RO);
            self.slots.push(Slot { at, used: SlotUse::Relative(target) });
            at
        });
        Body::Address { target, slot }
    }

    fn function_symbol(&mut self, body: Body, kind: u8) -> (Value, u64, u8) {
        let at = self.function(body);
        (Value::At(at), self.text_size - at.offset, kind)
    }

    fn function(&mut self, body: Body) -> Location {
        let offset = align_up(self.text_size, 16);
        let function = Function { offset, body };
        self.text_size = offset + self.code(&function, CodeAddresses::default()).len() as u64;
        self.functions.push(function);
        Location { section: TEXT, offset }
    }

    pub(crate) fn code(&self, function: &Function, addresses: CodeAddresses) -> Vec<u8> {
        let machine = self.object.machine;
        match function.body {
            Body::Number(value) => code::returns(machine, self.object.encoding.endian, value),
            Body::Address { .. } => code::returns_address(&self.object.code_shape, machine, addresses),
            Body::Helper => code::helper(machine).to_vec(),
        }
    }

    fn append_word(&mut self, section: &'static str) -> Location {
        let size = self.object.encoding.word_size();
        let area = if section == DATA { &mut self.data } else { &mut self.data_rel_ro };
        append(area, section, &vec![0; size as usize], size)
    }

    fn word_at(&self, section: &'static str, index: u64) -> Location {
        Location { section, offset: index * self.object.encoding.word_size() }
    }
}

fn append(area: &mut Vec<u8>, section: &'static str, bytes: &[u8], alignment: u64) -> Location {
    let offset = align_up(area.len() as u64, alignment);
    area.resize(offset as usize, 0);
    area.extend_from_slice(bytes);
    Location { section, offset }
}

fn undefined(import: &Import, versym: u16) -> Symbol {
    let kind = match import.kind {
        ImportKind::NoType => 0,
        ImportKind::Object => 1,
        ImportKind::Function => 2,
        ImportKind::Tls => 6,
    };
    Symbol {
        name: import.name.clone(),
        value: Value::Undefined,
        size: 0,
        info: binding_bits(import.binding) << 4 | kind,
        other: 0,
        versym,
    }
}

fn binding_bits(binding: Binding) -> u8 {
    match binding {
        Binding::Global => 1,
        Binding::Weak => 2,
        Binding::Unique => 10,
    }
}
