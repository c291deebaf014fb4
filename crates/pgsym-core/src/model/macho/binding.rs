//! What an image exports and imports, as the tables of dyld have it: names with the leading underscore of the C compiler,
//! and for each import the image that must define it.

use object::macho;

use crate::name::Name;

/// Where the exports of an image were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportSource {
    /// LC_DYLD_EXPORTS_TRIE.
    ExportsTrie,
    /// `export_off` of LC_DYLD_INFO.
    DyldInfo,
    /// LC_SYMTAB, for lack of a trie.
    #[default]
    SymbolTable,
}

/// Where the imports of an image were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImportSource {
    /// LC_DYLD_CHAINED_FIXUPS.
    ChainedFixups,
    /// The bind opcodes of LC_DYLD_INFO.
    DyldInfo,
    /// LC_SYMTAB, for lack of either.
    #[default]
    SymbolTable,
}

/// One exported symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachExport {
    /// Its name in the file, `_` included.
    pub name: Name,
    /// EXPORT_SYMBOL_FLAGS_*.
    pub flags: macho::ExportSymbolFlags,
    /// What it leads to.
    pub target: ExportTarget,
}

impl MachExport {
    /// Whether it is coalesced with the same name of other images.
    pub fn is_weak_definition(&self) -> bool {
        self.flags.contains(macho::EXPORT_SYMBOL_FLAGS_WEAK_DEFINITION)
    }
}

/// What an export leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportTarget {
    /// An offset from the image's base, in bytes; of an absolute symbol its value.
    Address(u64),
    /// A symbol of another library.
    Reexport {
        /// The library's number, from 1.
        ordinal: u64,
        /// The symbol there; empty for the same name.
        name: Name,
    },
    /// A stub and the function that chooses its target.
    Resolver {
        /// Offset of the stub.
        stub: u64,
        /// Offset of the resolver.
        resolver: u64,
    },
}

/// One imported symbol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MachImport {
    /// Its name in the file, `_` included.
    pub name: Name,
    /// Who must define it.
    pub from: Ordinal,
    /// How it is used; sorted last so that equal names stand together.
    pub usage: ImportUsage,
    /// Whether it may be missing.
    pub is_weak: bool,
    /// Its place in the table that it was read from, from 0: dyld stops at the first that it cannot bind.
    pub order: u32,
}

/// Which table an import stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImportUsage {
    /// Bound when the image is loaded.
    Bind,
    /// Bound at the first call, or at load with RTLD_NOW.
    Lazy,
    /// Coalesced with other images' weak definitions.
    Weak,
    /// Undefined in LC_SYMTAB.
    Symbol,
}

/// Which image must define an import (`BIND_SPECIAL_DYLIB_*` and the numbers above 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ordinal {
    /// The image itself.
    SelfImage,
    /// The library of that number, from 1.
    Library(u32),
    /// The main executable.
    Executable,
    /// Any loaded image, in load order.
    Flat,
    /// Any loaded image with a weak definition.
    Weak,
    /// A number without a meaning.
    Unknown(i32),
}

impl From<macho::BindDylib> for Ordinal {
    fn from(ordinal: macho::BindDylib) -> Self {
        match ordinal {
            macho::BIND_SPECIAL_DYLIB_SELF => Self::SelfImage,
            macho::BIND_SPECIAL_DYLIB_MAIN_EXECUTABLE => Self::Executable,
            macho::BIND_SPECIAL_DYLIB_FLAT_LOOKUP => Self::Flat,
            macho::BIND_SPECIAL_DYLIB_WEAK_LOOKUP => Self::Weak,
            macho::BindDylib(number) => u32::try_from(number).map_or(Self::Unknown(number), Self::Library),
        }
    }
}

/// A Mach-O name as people write it: without the underscore that the C compiler puts before each.
pub fn without_underscore(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"_").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_underscore_is_the_compilers() {
        assert_eq!(without_underscore(b"__PG_init"), b"_PG_init");
        assert_eq!(without_underscore(b"dyld_stub_binder"), b"dyld_stub_binder");
    }
}
