//! The parts of a description: enums for what a file can state in one word, and the symbols it imports and exports.

/// `e_type`, and what tells a PIE from a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `ET_DYN`
    SharedLibrary,
    /// `ET_DYN` with `DF_1_PIE`
    PieExecutable,
    /// `ET_EXEC`, linked at 0x400000
    Executable,
    /// `ET_REL`: only the header's type changes.
    Relocatable,
}

/// PT_GNU_STACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// flags RW
    NonExecutable,
    /// flags RWX
    Executable,
    /// No such header: the kernel's default, executable on most processors.
    Unstated,
}

/// PT_GNU_RELRO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relro {
    /// Covers `.data.rel.ro`, `.dynamic` and `.got`.
    Present,
    /// No such header.
    Absent,
}

/// When the loader resolves functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// No flag.
    Lazy,
    /// `DF_BIND_NOW` and `DF_1_NOW`.
    Now,
}

/// Which symbol hash tables are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashStyle {
    /// `DT_HASH`
    SysV,
    /// `DT_GNU_HASH`
    Gnu,
    /// Both.
    Both,
    /// None: nothing states the number of dynamic symbols.
    Neither,
}

/// When `.symtab` and `.strtab` are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolTable {
    /// When there are local functions, which no other table can hold.
    WhenLocal,
    /// Also without local functions.
    Always,
    /// Never, as after `strip`.
    Stripped,
}

/// A relocation inside the text segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextRelocations {
    /// None.
    None,
    /// One, announced by `DT_TEXTREL` and `DF_TEXTREL`.
    Tagged,
    /// One, announced by `DF_TEXTREL` only.
    Flagged,
    /// One that neither announces.
    Silent,
}

/// `STB_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// `STB_GLOBAL`
    Global,
    /// `STB_WEAK`
    Weak,
    /// `STB_GNU_UNIQUE`
    Unique,
}

/// `STV_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// `STV_DEFAULT`
    Default,
    /// `STV_INTERNAL`
    Internal,
    /// `STV_HIDDEN`
    Hidden,
    /// `STV_PROTECTED`
    Protected,
}

/// Whether a definition is the default of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionDefault {
    /// `name@@VERSION`: unversioned links take it.
    Default,
    /// `name@VERSION`: the hidden bit of versym is set.
    Hidden,
}

/// Whether a missing version is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionNeed {
    /// The loader refuses the object.
    Strong,
    /// `VER_FLG_WEAK`
    Weak,
}

/// What an import stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportKind {
    /// `STT_FUNC`
    Function,
    /// `STT_OBJECT`
    Object,
    /// `STT_TLS`, reached by a static offset from the thread pointer (`DF_STATIC_TLS`)
    Tls,
    /// `STT_NOTYPE`, what most assemblers write for an undefined symbol
    NoType,
}

/// The relocation through which an import is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A PLT slot, in `DT_JMPREL`.
    JumpSlot,
    /// A GOT slot.
    GlobDat,
    /// A word in `.data`.
    Word,
    /// A thread-pointer offset in the GOT.
    ThreadOffset,
    /// The symbol stands in `.dynsym`; no relocation uses it.
    None,
}

/// An undefined dynamic symbol.
#[derive(Clone, Debug)]
pub struct Import {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: ImportKind,
    pub(crate) binding: Binding,
    pub(crate) reference: Reference,
    pub(crate) version: Option<(Vec<u8>, Vec<u8>)>,
}

impl Import {
    /// A function, reached through the PLT.
    pub fn function(name: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            kind: ImportKind::NoType,
            binding: Binding::Global,
            reference: Reference::JumpSlot,
            version: None,
        }
    }

    /// A variable, reached through the GOT.
    pub fn object(name: impl Into<Vec<u8>>) -> Self {
        Self { reference: Reference::GlobDat, ..Self::function(name) }
    }

    /// A thread-local variable, reached by its static offset.
    pub fn tls(name: impl Into<Vec<u8>>) -> Self {
        Self { kind: ImportKind::Tls, reference: Reference::ThreadOffset, ..Self::function(name) }
    }

    /// Requires `version` of `file`.
    pub fn version(mut self, file: impl Into<Vec<u8>>, version: impl Into<Vec<u8>>) -> Self {
        self.version = Some((file.into(), version.into()));
        self
    }

    /// May stay unresolved.
    pub fn weak(mut self) -> Self {
        self.binding = Binding::Weak;
        self
    }

    /// Sets the type; the default is `STT_NOTYPE`.
    pub fn kind(mut self, kind: ImportKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the relocation that uses it.
    pub fn reference(mut self, reference: Reference) -> Self {
        self.reference = reference;
        self
    }
}

/// What an export stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportKind {
    /// A function that returns this number; immediate operands of some processors keep only 8 bits of it.
    Function(u32),
    /// `STT_GNU_IFUNC` with a function's body. Nothing calls the resolver.
    IndirectFunction,
    /// A zeroed variable of this many bytes in `.data`.
    Object(u32),
    /// A zeroed thread-local variable of this many bytes in `.tdata`.
    Tls(u32),
    /// A constant (`SHN_ABS`).
    Absolute(u64),
    /// An `int` constant's address is returned: `Pg_finfo_record`.
    FunctionInfo(i32),
    /// The address of the magic block is returned.
    MagicFunction,
}

/// A defined dynamic symbol.
#[derive(Clone, Debug)]
pub struct Export {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: ExportKind,
    pub(crate) binding: Binding,
    pub(crate) visibility: Visibility,
    pub(crate) version: Option<(Vec<u8>, VersionDefault)>,
}

impl Export {
    /// An export of the given kind: global, default visibility, no version.
    pub fn new(name: impl Into<Vec<u8>>, kind: ExportKind) -> Self {
        Self {
            name: name.into(),
            kind,
            binding: Binding::Global,
            visibility: Visibility::Default,
            version: None,
        }
    }

    /// A function returning 0.
    pub fn function(name: impl Into<Vec<u8>>) -> Self {
        Self::new(name, ExportKind::Function(0))
    }

    /// Sets the binding.
    pub fn binding(mut self, binding: Binding) -> Self {
        self.binding = binding;
        self
    }

    /// Sets the visibility.
    pub fn visibility(mut self, visibility: Visibility) -> Self {
        self.visibility = visibility;
        self
    }

    /// Gives it a version, which is defined if no [`version_definition`](crate::SharedObject::version_definition) did so.
    pub fn version(mut self, version: impl Into<Vec<u8>>, default: VersionDefault) -> Self {
        self.version = Some((version.into(), default));
        self
    }
}
