//! The imports of an image: from the import table of its chained fixups, or from the three streams of bind
//! opcodes, or for want of both from LC_SYMTAB. Each symbol is kept once per library and kind of use, however many
//! pointers are bound to it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use object::endian::{Endianness, U32};
use object::macho;
use object::read::macho::{BindOperation, BindOperationIterator, DyldChainedFixups};

use super::commands::{Linkedit, Range};
use super::{object_error, symtab};
use crate::error::FileError;
use crate::limits;
use crate::model::{ImportSource, ImportUsage, MachImport, MachO, Ordinal, Table};
use crate::name::Name;
use crate::source::Source;

/// Reads the imports of a slice.
pub(super) fn read(source: &dyn Source, linkedit: &Linkedit, detail: &mut MachO) {
    let places = usize::try_from(
        detail.segments.iter().map(|segment| segment.memory_size).fold(0_u64, u64::saturating_add)
            / if linkedit.is_64 { 8 } else { 4 },
    );
    let mut found =
        Found { imports: BTreeMap::new(), name_bytes: 0, places_left: places.unwrap_or(usize::MAX) };
    let result = match (linkedit.chained_fixups, linkedit.dyld_info) {
        (Some(range), _) => {
            detail.import_source = ImportSource::ChainedFixups;
            chained(source, range, linkedit.endian, &mut found).map(Some)
        }
        (None, Some(info)) => {
            detail.import_source = ImportSource::DyldInfo;
            [
                (info.bind, ImportUsage::Bind),
                (info.weak_bind, ImportUsage::Weak),
                (info.lazy_bind, ImportUsage::Lazy),
            ]
            .into_iter()
            .try_for_each(|(range, usage)| opcodes(source, range, usage, &mut found))
            .map(Some)
        }
        (None, None) => {
            detail.import_source = ImportSource::SymbolTable;
            symtab::imports(source, linkedit, &mut |name, from, is_weak| {
                found.add(name, from, ImportUsage::Symbol, is_weak)
            })
        }
    };
    let imports = result.map(|known| {
        known.map(|()| {
            found.imports.into_iter().map(|(import, order)| MachImport { order, ..import }).collect()
        })
    });
    detail.imports = Table::from_optional(imports);
}

/// The imports so far, and how much more there may be.
struct Found {
    /// With the place of each in the table.
    imports: BTreeMap<MachImport, u32>,
    name_bytes: u64,
    /// A pointer is bound once, so an honest image has no more binds than its segments have room for pointers.
    places_left: usize,
}

impl Found {
    fn add(
        &mut self,
        name: &[u8],
        from: Ordinal,
        usage: ImportUsage,
        is_weak: bool,
    ) -> Result<(), FileError> {
        if name.len() > limits::NAME_BYTES {
            return Err(FileError::limit("the name of an import is longer than any symbol"));
        }
        let order = self.imports.len() as u32;
        let import = MachImport { name: Name::from(name), from, usage, is_weak, order: 0 };
        if let Entry::Vacant(entry) = self.imports.entry(import) {
            entry.insert(order);
            self.name_bytes += name.len() as u64;
        }
        if self.imports.len() > limits::DYNAMIC_SYMBOLS || self.name_bytes > limits::MACH_NAME_BYTES {
            return Err(FileError::limit("the imports of one image"));
        }
        Ok(())
    }

    fn spend(&mut self, places: u64) -> Result<(), FileError> {
        let places = usize::try_from(places).ok();
        self.places_left =
            places.and_then(|places| self.places_left.checked_sub(places)).ok_or_else(|| {
                FileError::malformed("the bind opcodes bind more pointers than the segments have room for")
            })?;
        Ok(())
    }
}

fn chained(
    source: &dyn Source,
    range: Range,
    endian: Endianness,
    found: &mut Found,
) -> Result<(), FileError> {
    if range.size == 0 {
        return Ok(());
    }
    let bytes = range.read(source, "LC_DYLD_CHAINED_FIXUPS")?;
    let at = |error| object_error(error).at(range.offset);
    let fixups = DyldChainedFixups::parse(endian, &bytes).map_err(at)?;
    // mach-o/fixup-chains.h has a number for zlib; dyld's own check (mach_o/ChainedFixups.cpp) refuses all but plain
    // names, and no linker writes others.
    let format = fixups.header().symbols_format.get(endian);
    if format != 0 {
        return Err(FileError::malformed(format!(
            "the names of the chained fixups are compressed (symbols_format {format}), which dyld refuses"
        ))
        .at(range.offset));
    }
    let mut imports = fixups.imports(endian).map_err(at)?;
    while let Some(import) = imports.next().map_err(at)? {
        found.add(import.name, import.dylib.into(), ImportUsage::Bind, import.weak_import)?;
    }
    Ok(())
}

/// One stream of opcodes. A stream is walked operation by operation, each of which takes at least a byte; the
/// pointers that an operation stands for are counted and not visited.
fn opcodes(
    source: &dyn Source,
    range: Range,
    usage: ImportUsage,
    found: &mut Found,
) -> Result<(), FileError> {
    if range.size == 0 {
        return Ok(());
    }
    let bytes = range.read(source, "the bind opcodes")?;
    let at = |error| object_error(error).at(range.offset);
    let mut symbol: Option<(&[u8], bool)> = None;
    let mut from = (usage == ImportUsage::Weak).then_some(Ordinal::Weak);
    let mut operations = operations(&bytes)?;
    while let Some((_, operation)) = operations.next().map_err(at)? {
        let places = match operation {
            // Between lazy binds it ends one of them; elsewhere it ends the stream.
            BindOperation::Done if usage == ImportUsage::Lazy => {
                (symbol, from) = (None, None);
                continue;
            }
            BindOperation::Done => break,
            BindOperation::SetDylibOrdinal { ordinal } => {
                from = Some(match u32::try_from(ordinal) {
                    Ok(0) => Ordinal::SelfImage,
                    Ok(number) => Ordinal::Library(number),
                    Err(_) => return Err(FileError::malformed("a library ordinal has more than 32 bits")),
                });
                continue;
            }
            BindOperation::SetDylibSpecial { ordinal } => {
                from = Some(ordinal.into());
                continue;
            }
            BindOperation::SetSymbol { flags, name } => {
                symbol = Some((name, flags.contains(macho::BIND_SYMBOL_FLAGS_WEAK_IMPORT)));
                // A strong definition announces itself in the weak stream and binds nothing.
                if usage == ImportUsage::Weak && flags.contains(macho::BIND_SYMBOL_FLAGS_NON_WEAK_DEFINITION)
                {
                    symbol = None;
                }
                continue;
            }
            BindOperation::DoBind | BindOperation::DoBindAddAddr { .. } => 1,
            BindOperation::DoBindAddAddrScaled { .. } => 1,
            BindOperation::DoBindTimesSkipping { count, .. } => count,
            BindOperation::SetType { .. }
            | BindOperation::SetAddend { .. }
            | BindOperation::SetSegmentAndOffset { .. }
            | BindOperation::AddAddr { .. } => continue,
        };
        found.spend(places)?;
        let (Some((name, is_weak)), Some(from)) = (symbol, from) else {
            return Err(
                FileError::malformed("a bind opcode comes before its symbol and library").at(range.offset)
            );
        };
        if places > 0 {
            found.add(name, from, usage, is_weak)?;
        }
    }
    Ok(())
}

/// `object` reads a stream only through the load command that has its place, so it gets one for these bytes.
fn operations(bytes: &[u8]) -> Result<BindOperationIterator<'_>, FileError> {
    let endian = Endianness::Little;
    let zero = U32::new(endian, 0);
    let size = u32::try_from(bytes.len()).map_err(|_| FileError::limit("the bind opcodes"))?;
    let command = macho::DyldInfoCommand {
        cmd: U32::new(endian, macho::LC_DYLD_INFO),
        cmdsize: zero,
        rebase_off: zero,
        rebase_size: zero,
        bind_off: zero,
        bind_size: U32::new(endian, size),
        weak_bind_off: zero,
        weak_bind_size: zero,
        lazy_bind_off: zero,
        lazy_bind_size: zero,
        export_off: zero,
        export_size: zero,
    };
    command.bind_operations(endian, bytes).map_err(object_error)
}
