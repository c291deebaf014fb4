//! One module as the statics of its entry points are read: memory, symbols and, where a pointer has to be followed,
//! relocations. A pointer in the file is what the linker left there; what the loader will write instead is told
//! by the relocation at its address.

use std::cell::OnceCell;

use object::elf;

use super::code::{self, Code, Place, Reference};
use crate::error::{FileError, FileErrorKind};
use crate::limits;
use crate::model::{NameHash, Segment, Symbol, SymbolKind, SymbolTable};
use crate::parse::elf::encoding::Encoding;
use crate::parse::elf::memory::Memory;
use crate::parse::elf::relocations::{Entry, Tables};

/// What reading an entry point needs.
pub(crate) struct Image<'a> {
    pub(super) memory: Memory<'a>,
    pub(super) symbols: &'a SymbolTable,
    /// Reads the relocations, at most once.
    read_relocations: &'a dyn Fn() -> Result<Tables, FileError>,
    /// By address, so that following many pointers does not walk many times through all entries.
    relocations: OnceCell<Result<Vec<Entry>, FileError>>,
    /// Addresses of the defined symbols, sorted: where a function without a size ends at the latest.
    starts: OnceCell<Vec<u64>>,
}

impl<'a> Image<'a> {
    pub(crate) fn new(
        memory: Memory<'a>,
        symbols: &'a SymbolTable,
        read_relocations: &'a dyn Fn() -> Result<Tables, FileError>,
    ) -> Self {
        Self { memory, symbols, read_relocations, relocations: OnceCell::new(), starts: OnceCell::new() }
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.memory.encoding()
    }

    /// The addresses that a function computes; an error for a machine whose code is not decoded.
    pub(super) fn references(&self, function: Symbol<'_>) -> Result<Vec<Reference>, FileError> {
        let target = self.memory.target();
        self.with_code(function, |code| code::references(target, code))?.ok_or_else(|| {
            FileError::new(FileErrorKind::Unsupported, format!("code of {} is not decoded", target.arch()))
        })
    }

    /// Whether a function does nothing but return NULL; false where its code cannot be read.
    pub(super) fn returns_null(&self, function: Symbol<'_>) -> bool {
        let machine = self.memory.target().machine;
        self.with_code(function, |code| code::returns_null(machine, code)).unwrap_or(false)
    }

    fn with_code<T>(&self, function: Symbol<'_>, read: impl FnOnce(Code<'_>) -> T) -> Result<T, FileError> {
        if function.kind() != SymbolKind::Function {
            return Err(FileError::malformed("its symbol is no function"));
        }
        let target = self.memory.target();
        let value = function.value().unwrap_or_default();
        // On ARM the lowest bit of a function's address says that it is Thumb.
        let is_thumb = target.machine == elf::EM_ARM && value.value & 1 == 1;
        let address = if is_thumb { value.value & !1 } else { value.value };
        let bytes = self.memory.read_up_to(address, limits::ENTRY_POINT_BYTES as u64, "its code")?;
        let size = usize::try_from(value.size).unwrap_or(usize::MAX);
        // Mach-O has no sizes, and hand-written assembly need not state them.
        let length = if size == 0 { self.distance_to_next_symbol(address) } else { size }.min(bytes.len());
        Ok(read(Code { bytes: &bytes, length, address, is_thumb }))
    }

    /// The symbol that `dlsym` finds by a name: through the hash table, and none that has a version only which is not the
    /// default one (`do_lookup_unversioned`, glibc elf/dl-lookup.c).
    pub(super) fn dlsym(&self, name: &[u8]) -> Option<Symbol<'_>> {
        let is_visible = |symbol: &Symbol<'_>| {
            let version = elf::VersymIndex(symbol.version_word());
            !version.is_hidden() || version.index() <= elf::VER_NDX_GLOBAL
        };
        let (symbols, hashes) = (self.symbols, NameHash::of(name));
        symbols.candidates_named(name, hashes).filter(Symbol::is_export).find(is_visible)
    }

    /// Whether a symbol is a variable in memory that no processor runs.
    pub(super) fn is_data(&self, symbol: Symbol<'_>) -> bool {
        let Some(value) = symbol.value().filter(|_| symbol.kind() == SymbolKind::Object) else {
            return false;
        };
        let holds = |segment: &&Segment| {
            value.value.checked_sub(segment.address).is_some_and(|offset| offset < segment.memory_size)
        };
        self.memory.loads().find(holds).is_some_and(|segment| segment.flags & elf::PF_X.0 == 0)
    }

    /// Bytes from an address to the next defined symbol.
    fn distance_to_next_symbol(&self, address: u64) -> usize {
        let starts = self.starts.get_or_init(|| {
            let defined = self.symbols.iter().filter(Symbol::is_defined);
            let mut starts: Vec<u64> = defined.filter_map(|symbol| symbol.value()).map(|v| v.value).collect();
            starts.sort_unstable();
            starts
        });
        let next = starts.get(starts.partition_point(|&start| start <= address));
        next.and_then(|&next| usize::try_from(next - address).ok()).unwrap_or(usize::MAX)
    }

    /// The address that a reference means.
    pub(super) fn address(&self, place: Place) -> Result<Option<u64>, FileError> {
        match place {
            Place::Here(address) => Ok(Some(address)),
            Place::Behind(slot) => self.pointer(slot),
        }
    }

    /// What the pointer at an address will hold, before the base is added: nothing for NULL, and for a
    /// symbol that another object defines.
    pub(super) fn pointer(&self, slot: u64) -> Result<Option<u64>, FileError> {
        let relocations = self.relocations.get_or_init(|| {
            let mut entries: Vec<Entry> = Vec::new();
            (self.read_relocations)()?.each(|entry| entries.push(entry));
            entries.sort_by_key(|entry| entry.address);
            Ok(entries)
        });
        let relocations = relocations.as_ref().map_err(Clone::clone)?;
        let in_place = || {
            let bytes = self.memory.read(slot, self.encoding().word_size() as u64, "a pointer")?;
            Ok::<_, FileError>(self.encoding().word(&bytes, 0).unwrap_or_default())
        };
        let first = relocations.partition_point(|entry| entry.address < slot);
        let Some(entry) = relocations.get(first).filter(|entry| entry.address == slot) else {
            // DT_RELR adds the base to what stands there; without any relocation a 0 stays NULL.
            let value = in_place()?;
            return Ok((value != 0).then_some(value));
        };
        let addend = match entry.addend {
            Some(addend) => addend.cast_unsigned(),
            None => in_place()?,
        };
        if entry.symbol == 0 {
            return Ok(Some(self.wrap(addend)));
        }
        let symbol = self.symbols.get(entry.symbol).filter(Symbol::is_defined);
        let Some(value) = symbol.and_then(|symbol| symbol.value()) else { return Ok(None) };
        Ok(Some(self.wrap(value.value.wrapping_add(addend))))
    }

    /// An address cut to the width of the file's words.
    fn wrap(&self, address: u64) -> u64 {
        if self.encoding().is_64() { address } else { address & u64::from(u32::MAX) }
    }
}
