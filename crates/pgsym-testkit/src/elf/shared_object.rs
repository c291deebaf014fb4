//! [`SharedObject`], the description of an ELF file. It is a plain value with one setter for each statement; the bytes come from
//! [`SharedObject::build`].

use super::code::CodeShape;
use super::damage::Damage;
use super::description::{
    Bind, Export, ExportKind, HashStyle, Import, Kind, Relro, Stack, SymbolTable, TextRelocations,
    VersionDefault, VersionNeed,
};
use super::encoding::{Class, Encoding, Endian};
use super::machine::Machine;
use super::magic::Magic;
use super::notes::Note;
use super::relocations::{Addends, RelativeStyle, RelocationStyle};

/// An entry of `.dynamic` given by hand.
#[derive(Clone, Debug)]
pub(crate) enum DynamicEntry {
    Text(u64, Vec<u8>),
    Number(u64, u64),
}

/// The description of an ELF file. Setters may be called in any order; those that name a list's member append.
#[derive(Clone, Debug)]
pub struct SharedObject {
    pub(crate) machine: Machine,
    pub(crate) encoding: Encoding,
    pub(crate) kind: Kind,
    pub(crate) osabi: u8,
    pub(crate) abi_version: u8,
    pub(crate) interp: Option<Vec<u8>>,
    pub(crate) strings: Vec<DynamicEntry>,
    pub(crate) soname: Option<Vec<u8>>,
    pub(crate) flags: u64,
    pub(crate) flags_1: u64,
    pub(crate) symbolic: bool,
    pub(crate) imports: Vec<Import>,
    pub(crate) exports: Vec<Export>,
    pub(crate) local_functions: Vec<Vec<u8>>,
    pub(crate) version_definitions: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
    pub(crate) version_requirements: Vec<(Vec<u8>, Vec<u8>, VersionNeed)>,
    pub(crate) magic: Option<Magic>,
    pub(crate) code_shape: CodeShape,
    pub(crate) notes: Vec<Note>,
    pub(crate) hash_style: HashStyle,
    pub(crate) stack: Stack,
    pub(crate) relro: Relro,
    pub(crate) bind: Bind,
    pub(crate) text_relocations: TextRelocations,
    pub(crate) relocation_style: RelocationStyle,
    pub(crate) relative_style: RelativeStyle,
    pub(crate) addends: Addends,
    pub(crate) relative_words: u32,
    pub(crate) symbol_table: SymbolTable,
    pub(crate) bss: u64,
    pub(crate) constants: Vec<Vec<u8>>,
    pub(crate) damage: Vec<Damage>,
}

impl Default for SharedObject {
    fn default() -> Self {
        Self::for_machine(Machine::X86_64)
    }
}

impl SharedObject {
    /// An empty x86-64 library.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty library for `machine`, in its usual encoding and relocation format.
    pub fn for_machine(machine: Machine) -> Self {
        Self {
            machine,
            encoding: machine.encoding(),
            kind: Kind::SharedLibrary,
            osabi: 0,
            abi_version: 0,
            interp: None,
            strings: Vec::new(),
            soname: None,
            flags: 0,
            flags_1: 0,
            symbolic: false,
            imports: Vec::new(),
            exports: Vec::new(),
            local_functions: Vec::new(),
            version_definitions: Vec::new(),
            version_requirements: Vec::new(),
            magic: None,
            code_shape: CodeShape::default_for(machine),
            notes: Vec::new(),
            hash_style: HashStyle::Gnu,
            stack: Stack::NonExecutable,
            relro: Relro::Present,
            bind: Bind::Lazy,
            text_relocations: TextRelocations::None,
            relocation_style: machine.relocation_style(),
            relative_style: RelativeStyle::Ordinary,
            addends: Addends::InPlaceToo,
            relative_words: 0,
            symbol_table: SymbolTable::WhenLocal,
            bss: 0,
            constants: Vec::new(),
            damage: Vec::new(),
        }
    }

    /// Overrides the class.
    pub fn class(mut self, class: Class) -> Self {
        self.encoding.class = class;
        self
    }

    /// Overrides the byte order.
    pub fn endian(mut self, endian: Endian) -> Self {
        self.encoding.endian = endian;
        self
    }

    /// `e_type`.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// `EI_OSABI`: 0 System V, 3 GNU.
    pub fn osabi(mut self, osabi: u8) -> Self {
        self.osabi = osabi;
        self
    }

    /// `EI_ABIVERSION`.
    pub fn abi_version(mut self, version: u8) -> Self {
        self.abi_version = version;
        self
    }

    /// PT_INTERP.
    pub fn interp(mut self, path: impl Into<Vec<u8>>) -> Self {
        self.interp = Some(path.into());
        self
    }

    /// DT_SONAME.
    pub fn soname(mut self, name: impl Into<Vec<u8>>) -> Self {
        self.soname = Some(name.into());
        self
    }

    /// Appends a DT_NEEDED.
    pub fn needed(self, name: impl Into<Vec<u8>>) -> Self {
        self.dynamic_string(1, name)
    }

    /// Appends a DT_RPATH.
    pub fn rpath(self, list: impl Into<Vec<u8>>) -> Self {
        self.dynamic_string(15, list)
    }

    /// Appends a DT_RUNPATH.
    pub fn runpath(self, list: impl Into<Vec<u8>>) -> Self {
        self.dynamic_string(29, list)
    }

    /// Appends a dynamic entry whose value is a string, such as `DT_AUXILIARY` (0x7ffffffd) or `DT_FILTER`
    /// (0x7fffffff). These stand before all other entries, in the order given.
    pub fn dynamic_string(mut self, tag: u64, text: impl Into<Vec<u8>>) -> Self {
        self.strings.push(DynamicEntry::Text(tag, text.into()));
        self
    }

    /// Appends a dynamic entry with a number, also one that lies (a DT_NEEDED outside of the string table).
    pub fn dynamic_entry(mut self, tag: u64, value: u64) -> Self {
        self.strings.push(DynamicEntry::Number(tag, value));
        self
    }

    /// Adds bits to DT_FLAGS.
    pub fn flags(mut self, bits: u64) -> Self {
        self.flags |= bits;
        self
    }

    /// Adds bits to DT_FLAGS_1.
    pub fn flags_1(mut self, bits: u64) -> Self {
        self.flags_1 |= bits;
        self
    }

    /// DF_1_NODEFLIB: neither the cache's system entries nor the default directories are searched.
    pub fn no_default_libraries(self) -> Self {
        self.flags_1(0x800)
    }

    /// DF_1_NOOPEN: dlopen refuses it.
    pub fn no_dlopen(self) -> Self {
        self.flags_1(0x40)
    }

    /// DT_SYMBOLIC and DF_SYMBOLIC.
    pub fn symbolic(mut self) -> Self {
        self.symbolic = true;
        self
    }

    /// When functions are resolved.
    pub fn bind(mut self, bind: Bind) -> Self {
        self.bind = bind;
        self
    }

    /// Appends a function import.
    pub fn import(self, name: impl Into<Vec<u8>>) -> Self {
        self.add_import(Import::function(name))
    }

    /// Appends a function import with a version requirement: the symbol, the file, the version.
    pub fn import_versioned(
        self,
        name: impl Into<Vec<u8>>,
        file: impl Into<Vec<u8>>,
        version: impl Into<Vec<u8>>,
    ) -> Self {
        self.add_import(Import::function(name).version(file, version))
    }

    /// Appends a weak function import.
    pub fn weak_import(self, name: impl Into<Vec<u8>>) -> Self {
        self.add_import(Import::function(name).weak())
    }

    /// Appends an import.
    pub fn add_import(mut self, import: Import) -> Self {
        self.imports.push(import);
        self
    }

    /// Appends a function that returns 0.
    pub fn export(self, name: impl Into<Vec<u8>>) -> Self {
        self.add_export(Export::function(name))
    }

    /// Appends a function that returns `value`.
    pub fn export_returning(self, name: impl Into<Vec<u8>>, value: u32) -> Self {
        self.add_export(Export::new(name, ExportKind::Function(value)))
    }

    /// Appends a versioned function.
    pub fn export_versioned(
        self,
        name: impl Into<Vec<u8>>,
        version: impl Into<Vec<u8>>,
        default: VersionDefault,
    ) -> Self {
        self.add_export(Export::function(name).version(version, default))
    }

    /// Appends a variable of `size` bytes.
    pub fn export_object(self, name: impl Into<Vec<u8>>, size: u32) -> Self {
        self.add_export(Export::new(name, ExportKind::Object(size)))
    }

    /// Appends an export.
    pub fn add_export(mut self, export: Export) -> Self {
        self.exports.push(export);
        self
    }

    /// Appends a function that stands only in `.symtab`, as local.
    pub fn local_function(mut self, name: impl Into<Vec<u8>>) -> Self {
        self.local_functions.push(name.into());
        self
    }

    /// Defines a version and its parents. The base definition (the object's own name) is always written first.
    pub fn version_definition(mut self, version: impl Into<Vec<u8>>, parents: &[&str]) -> Self {
        self.version_definitions
            .push((version.into(), parents.iter().map(|parent| parent.as_bytes().to_vec()).collect()));
        self
    }

    /// Requires a version of a file without a symbol that uses it (`GLIBC_ABI_DT_RELR` of `libc.so.6`), or makes the
    /// requirement of imports weak.
    pub fn version_requirement(
        mut self,
        file: impl Into<Vec<u8>>,
        version: impl Into<Vec<u8>>,
        need: VersionNeed,
    ) -> Self {
        self.version_requirements.push((file.into(), version.into(), need));
        self
    }

    /// Adds PostgreSQL's magic block and exports `Pg_magic_func`, which returns its address.
    pub fn magic(mut self, magic: Magic) -> Self {
        self.magic = Some(magic);
        self.add_export(Export::new("Pg_magic_func", ExportKind::MagicFunction))
    }

    /// Exports only `pg_finfo_<function>` with a record of this `api_version`.
    pub fn pg_finfo(self, function: &str, api_version: i32) -> Self {
        self.add_export(Export::new(format!("pg_finfo_{function}"), ExportKind::FunctionInfo(api_version)))
    }

    /// Exports a function and its version-1 record, as `PG_FUNCTION_INFO_V1` does.
    pub fn pg_function(self, function: &str) -> Self {
        self.export(function).pg_finfo(function, 1)
    }

    /// Makes it look like a server: the version string of `postgres --version`, and the block that modules are compared
    /// with, both among the constants and under no name.
    pub fn server(mut self, version: &str, magic: &Magic) -> Self {
        self.constants.push(format!("postgres (PostgreSQL) {version}\n\0").into_bytes());
        self.constants.push(magic.bytes(self.encoding));
        self
    }

    /// The machine code of functions that return an address (`Pg_magic_func`, `pg_finfo_*`).
    pub fn code_shape(mut self, shape: CodeShape) -> Self {
        self.code_shape = shape;
        self
    }

    /// Appends a note.
    pub fn note(mut self, note: Note) -> Self {
        self.notes.push(note);
        self
    }

    /// Which hash tables are written; GNU's by default.
    pub fn hash_style(mut self, style: HashStyle) -> Self {
        self.hash_style = style;
        self
    }

    /// PT_GNU_STACK.
    pub fn stack(mut self, stack: Stack) -> Self {
        self.stack = stack;
        self
    }

    /// PT_GNU_RELRO.
    pub fn relro(mut self, relro: Relro) -> Self {
        self.relro = relro;
        self
    }

    /// Relocations of the text segment.
    pub fn text_relocations(mut self, text_relocations: TextRelocations) -> Self {
        self.text_relocations = text_relocations;
        self
    }

    /// RELA or REL.
    pub fn relocation_style(mut self, style: RelocationStyle) -> Self {
        self.relocation_style = style;
        self
    }

    /// How base-relative words are listed.
    pub fn relative_style(mut self, style: RelativeStyle) -> Self {
        self.relative_style = style;
        self
    }

    /// What RELA leaves in the relocated word.
    pub fn addends(mut self, addends: Addends) -> Self {
        self.addends = addends;
        self
    }

    /// Adds this many pointers into the object itself to `.data.rel.ro`.
    pub fn relative_words(mut self, count: u32) -> Self {
        self.relative_words = count;
        self
    }

    /// When `.symtab` is written.
    pub fn symbol_table(mut self, table: SymbolTable) -> Self {
        self.symbol_table = table;
        self
    }

    /// Adds this many zero bytes to memory that the file does not hold.
    pub fn bss(mut self, bytes: u64) -> Self {
        self.bss = bytes;
        self
    }

    /// Breaks the file in one way; can be repeated.
    pub fn damage(mut self, damage: Damage) -> Self {
        self.damage.push(damage);
        self
    }

    /// The file's bytes.
    pub fn build(&self) -> Vec<u8> {
        super::layout::write(self)
    }
}
