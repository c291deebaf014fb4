//! Mach-O, as dyld reads it: thin and fat, load commands first, then the tables in `__LINKEDIT` that they point
//! at. A slice of a fat file is a module of its own.

mod binds;
mod commands;
mod exports;
mod fat;
mod neutral;
mod postgres;
#[cfg(feature = "audit")]
mod signature;
mod slice;
mod symtab;

pub(crate) use postgres::load_segments;

use std::path::Path;
use std::sync::Arc;

use object::macho;

use self::commands::Commands;
use self::slice::SliceSource;
use super::Facets;
use crate::error::{FileError, FileErrorKind};
use crate::fs::Metadata;
use crate::model::{
    Detail, ExportSource, FatSlice, ImportSource, MachArch, MachO, Module, ObjectKind, Slice, Table,
};
use crate::source::{Source, read_range};

/// Whether a file that begins with these bytes is Mach-O, thin or fat. A Java class begins like a fat file, but its
/// next word, a version, is at least 45.
pub fn is_macho(first: &[u8]) -> bool {
    match first.first_chunk::<4>() {
        Some([0xcf | 0xce, 0xfa, 0xed, 0xfe] | [0xfe, 0xed, 0xfa, 0xce | 0xcf]) => true,
        Some([0xca, 0xfe, 0xba, 0xbe | 0xbf]) => {
            first.get(4..8).is_some_and(|count| count < &[0, 0, 0, 45][..])
        }
        _ => false,
    }
}

/// Reads a Mach-O file: of a fat one the first slice that can be read, with the others in
/// [`MachO::further_slices`]. Errors are those of [`parse`](super::parse()), of the first slice where none can be read.
pub fn parse(
    path: &Path,
    metadata: Metadata,
    source: &dyn Source,
    facets: Facets,
) -> Result<Module, FileError> {
    let first = read_range(source, 0, source.len().min(8), "the Mach-O header")?;
    if !first.starts_with(&[0xca, 0xfe, 0xba]) {
        let whole = Slice { arch: MachArch::X86_64, offset: 0, size: source.len(), is_fat: false };
        return parse_slice(path, metadata, source, whole, facets);
    }
    let mut parsed = fat::slices(source)?.into_iter().map(|slice| {
        let module = slice.range.and_then(|(offset, size)| {
            let place = Slice { arch: slice.arch, offset, size, is_fat: true };
            parse_slice(path, metadata, source, place, facets)
        });
        (slice.arch, module)
    });
    let mut unreadable = Vec::new();
    let mut chosen = loop {
        match parsed.next() {
            Some((_, Ok(module))) => break module,
            Some((arch, Err(error))) => unreadable.push(FatSlice { arch, module: Err(error) }),
            None => {
                return Err(unreadable
                    .into_iter()
                    .find_map(|slice| slice.module.err())
                    .unwrap_or_else(|| FileError::malformed("the fat header lists no slice")));
            }
        }
    };
    let further = parsed.map(|(arch, module)| FatSlice { arch, module: module.map(Arc::new) });
    unreadable.extend(further);
    if let Detail::MachO(detail) = &mut chosen.detail {
        detail.further_slices = unreadable;
    }
    Ok(chosen)
}

/// Reads one slice.
fn parse_slice(
    path: &Path,
    metadata: Metadata,
    file: &dyn Source,
    mut place: Slice,
    facets: Facets,
) -> Result<Module, FileError> {
    let source = SliceSource::new(file, place.offset, place.size);
    let commands = Commands::read(&source)?;
    if place.is_fat && place.arch.cpu_type != commands.arch.cpu_type {
        return Err(FileError::malformed(format!(
            "the fat header says {}, the slice itself {}",
            place.arch, commands.arch
        ))
        .at(place.offset));
    }
    place.arch = commands.arch;
    let mut detail = MachO {
        slice: place,
        file_type: commands.file_type,
        flags: commands.flags,
        commands: commands.list,
        id: commands.id.as_ref().map(|(_, versions)| *versions),
        dylibs: commands.dylibs,
        platforms: commands.platforms,
        uuid: commands.uuid,
        segments: commands.segments,
        header_padding: commands.header_padding,
        faults: commands.faults,
        exports: Table::NotRead,
        export_source: ExportSource::default(),
        imports: Table::NotRead,
        import_source: ImportSource::default(),
        signature: Table::NotRead,
        further_slices: Vec::new(),
    };
    let mut module = Module {
        path: path.to_owned(),
        id: metadata.id,
        len: metadata.len,
        target: neutral::target(commands.arch, commands.is_64, commands.is_big_endian),
        kind: kind(commands.file_type, commands.flags),
        soname: commands.id.map(|(name, _)| name),
        dependencies: commands.dependencies.into(),
        search_paths: commands.rpaths,
        symbols: Table::NotRead,
        postgres: Table::NotRead,
        detail: Detail::MachO(Box::new(detail.clone())),
    };
    if facets.has(Facets::SYMBOLS) {
        exports::read(&source, &commands.linkedit, &mut detail);
        binds::read(&source, &commands.linkedit, &mut detail);
        module.symbols = neutral::symbols(&detail);
    }
    if facets.has(Facets::POSTGRES) {
        let (linkedit, symbols) = (&commands.linkedit, &module.symbols);
        module.postgres = postgres::facts(file, &source, linkedit, &detail, module.target, symbols, facets);
    }
    #[cfg(feature = "audit")]
    if facets.has(Facets::SIGNATURE) {
        detail.signature = Table::from_optional(signature::read(&source, &commands.linkedit));
    }
    module.detail = Detail::MachO(Box::new(detail));
    Ok(module)
}

fn kind(file_type: macho::FileType, flags: u32) -> ObjectKind {
    match file_type {
        macho::MH_EXECUTE if flags & macho::MH_PIE.0 != 0 => ObjectKind::PositionIndependentExecutable,
        macho::MH_EXECUTE => ObjectKind::Executable,
        macho::MH_DYLIB | macho::MH_BUNDLE => ObjectKind::SharedObject,
        macho::MH_OBJECT => ObjectKind::Relocatable,
        macho::MH_CORE => ObjectKind::Core,
        other => ObjectKind::Other(other.0 as u16),
    }
}

/// An error of the `object` crate, which names the field but not the file.
fn object_error(error: object::read::Error) -> FileError {
    let text = error.to_string();
    let kind =
        if text.starts_with("Unsupported") { FileErrorKind::Unsupported } else { FileErrorKind::Malformed };
    let mut text = text;
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    FileError::new(kind, text)
}
