//! ELF, loader-true: from the program headers through PT_LOAD to PT_DYNAMIC and what it points at. The section
//! headers are only a second view, compared with the first.

mod dynamic;
pub(crate) mod encoding;
mod hash;
mod header;
mod hidden;
pub(crate) mod memory;
mod notes;
mod packed;
pub(crate) mod relocations;
mod sections;
mod symbols;
mod versions;

pub use header::{Header, HeaderTable, Ident};

use std::path::Path;

use object::elf;

use self::dynamic::{Dynamic, Reach, Strings};
use self::memory::Memory;
use self::relocations::Tables;
use self::symbols::Values;
use super::Facets;
use crate::error::FileError;
use crate::fs::Metadata;
use crate::model::{
    Detail, Elf, Module, ObjectKind, Relocations, Relro, SearchPathKind, Segment, SymbolTable, Table,
    TlsSegment,
};
use crate::postgres::{self, Image, PgFacts};
use crate::source::{Nearby, Source, read_range};

/// Reads an ELF file; errors are those of [`parse`](super::parse()).
pub fn parse(
    path: &Path,
    metadata: Metadata,
    source: &dyn Source,
    facets: Facets,
) -> Result<Module, FileError> {
    let first = read_range(source, 0, Header::LENGTH.min(source.len()), "the ELF header")?;
    let header = Header::decode(&first)?;
    let segments = header.segments(source)?;
    let memory = Memory::new(source, &segments, header.target);
    let mut module = Module {
        path: path.to_owned(),
        id: metadata.id,
        len: metadata.len,
        target: header.target,
        kind: kind(header.kind, 0),
        soname: None,
        dependencies: Table::Absent,
        search_paths: Vec::new(),
        symbols: Table::NotRead,
        postgres: Table::NotRead,
        detail: Detail::Elf(Box::default()),
    };
    let mut detail = Elf {
        interpreter: Table::from_optional(dynamic::interpreter(memory, &segments)),
        ..program_headers(&segments)
    };
    if facets.has(Facets::NOTES) {
        notes::read(source, memory.encoding(), &segments, &mut detail);
    }
    let dynamic = Dynamic::read(memory, &segments);
    match &dynamic {
        Ok(Some(dynamic)) => dynamic_tables(memory, &segments, dynamic, facets, &mut module, &mut detail),
        Ok(None) => without_dynamic(None, facets, &mut module, &mut detail),
        Err(error) => without_dynamic(Some(error), facets, &mut module, &mut detail),
    }
    module.kind = kind(header.kind, detail.flags_1);
    if facets.has(Facets::SECTIONS) {
        detail.sections = sections::read(
            memory,
            &header,
            &module,
            dynamic.as_ref().ok().and_then(Option::as_ref),
            &segments,
        )
        .into();
    }
    if let Ok(Some(dynamic)) = dynamic {
        detail.dynamic = Table::Read(dynamic.entries);
    }
    detail.segments = segments;
    module.detail = Detail::Elf(Box::new(detail));
    Ok(module)
}

/// What the program headers alone tell.
fn program_headers(segments: &[Segment]) -> Elf {
    // Of each kind the last counts, as in _dl_map_object_from_fd.
    let last = |kind: elf::ProgramType| segments.iter().rfind(|segment| segment.kind == kind.0);
    Elf {
        stack_flags: last(elf::PT_GNU_STACK).map(|segment| segment.flags),
        relro: if last(elf::PT_GNU_RELRO).is_some() { Relro::Partial } else { Relro::None },
        tls: last(elf::PT_TLS).map(|segment| TlsSegment { size: segment.memory_size, align: segment.align }),
        ..Elf::default()
    }
}

/// Everything that hangs on a readable `.dynamic`.
fn dynamic_tables(
    memory: Memory<'_>,
    segments: &[Segment],
    dynamic: &Dynamic,
    facets: Facets,
    module: &mut Module,
    detail: &mut Elf,
) {
    detail.read_only_entries = dynamic.read_only_entries(memory);
    detail.flags = dynamic.flags();
    detail.flags_1 = dynamic.flags_1();
    let binds_now = detail.flags & elf::DF_BIND_NOW.0 != 0 || detail.flags_1 & elf::DF_1_NOW.0 != 0;
    if detail.relro == Relro::Partial && binds_now {
        detail.relro = Relro::Full;
    }
    let reach = if facets.has(Facets::SYMBOLS) { Reach::All } else { Reach::Few };
    let strings = Strings::open(memory, dynamic, reach);
    let names = strings.as_ref();
    module.dependencies = dynamic.dependencies(names).into();
    match dynamic.soname(names) {
        Ok(soname) => module.soname = soname,
        Err(error) => detail.unreadable_entries.push(error),
    }
    for kind in [SearchPathKind::Rpath, SearchPathKind::Runpath] {
        match dynamic.search_path(kind, names) {
            Ok(path) => module.search_paths.extend(path),
            Err(error) => detail.unreadable_entries.push(error),
        }
    }
    module.search_paths.sort_by_key(|path| path.entry);
    if facets.has(Facets::LINK) {
        detail.version_needs = Table::from_optional(versions::needs(memory, dynamic, names));
        detail.version_definitions = Table::from_optional(versions::definitions(memory, dynamic, names));
    }
    detail.has_version_symbols = dynamic.value(elf::DT_VERSYM).is_some();
    let mut relocations = None;
    if facets.has(Facets::SYMBOLS) {
        module.symbols =
            Table::from_optional(symbol_table(memory, dynamic, strings, facets, detail, &mut relocations));
    }
    if facets.has(Facets::POSTGRES) {
        module.postgres = postgres_facts(memory, dynamic, &module.symbols, facets);
    }
    if let Table::Read(symbols) = &mut module.symbols
        && !facets.has(Facets::VALUES)
    {
        symbols.values = Box::default();
    }
    if facets.has(Facets::RELOCATIONS) {
        let tables = relocations.get_or_insert_with(|| Tables::read(memory, dynamic));
        detail.relocations = relocation_facts(tables, dynamic, segments, &module.symbols);
    }
}

fn relocation_facts(
    tables: &Result<Tables, FileError>,
    dynamic: &Dynamic,
    segments: &[Segment],
    symbols: &Table<SymbolTable>,
) -> Table<Relocations> {
    let (tables, count) = match (tables, symbols) {
        (Err(error), _) => return Table::Unreadable(error.clone()),
        (_, Table::Unreadable(error)) => return Table::Unreadable(error.clone()),
        (Ok(tables), Table::Read(symbols)) => (tables, symbols.len()),
        (Ok(tables), Table::NotRead | Table::Absent) => (tables, 0),
    };
    let packed_constructors = packed::constructors(tables, dynamic);
    tables.summary(segments, count).map(|summary| Relocations { packed_constructors, ..summary }).into()
}

/// Reads the symbols, and for lack of another count the relocations before them.
fn symbol_table(
    memory: Memory<'_>,
    dynamic: &Dynamic,
    strings: Result<Strings<'_>, FileError>,
    facets: Facets,
    detail: &Elf,
    relocations: &mut Option<Result<Tables, FileError>>,
) -> Result<Option<SymbolTable>, FileError> {
    let Some(address) = symbols::address(dynamic) else { return Ok(None) };
    let hash = hash::read(memory, dynamic)?;
    let used = if hash.symbols.is_none() {
        match relocations.get_or_insert_with(|| Tables::read(memory, dynamic)) {
            Ok(tables) => tables.symbol_end(),
            Err(error) => return Err(error.clone()),
        }
    } else {
        0
    };
    // Without its version records an imported symbol would look unversioned, which it is not.
    if let Some(error) = detail.version_needs.error().or(detail.version_definitions.error()) {
        return Err(error.clone());
    }
    let needs = detail.version_needs.get().map_or(&[][..], Vec::as_slice);
    let definitions = detail.version_definitions.get().map_or(&[][..], Vec::as_slice);
    let parts = symbols::Parts {
        names: strings?.into_blob()?,
        versions: versions::names(needs, definitions),
        hash,
        used,
    };
    // The addresses of the entry points are needed for a while.
    let values =
        if facets.has(Facets::VALUES) || facets.has(Facets::POSTGRES) { Values::Keep } else { Values::Drop };
    symbols::read(memory, dynamic, address, parts, values).map(Some)
}

/// What PostgreSQL would find.
fn postgres_facts(
    memory: Memory<'_>,
    dynamic: &Dynamic,
    symbols: &Table<SymbolTable>,
    facets: Facets,
) -> Table<PgFacts> {
    match symbols {
        Table::Read(symbols) => {
            let relocations = || Tables::read(memory, dynamic);
            let nearby = Nearby::new(memory.source());
            let memory = memory.through(&nearby);
            postgres::facts(&Image::new(memory, symbols, &relocations), facets).into()
        }
        Table::Absent => Table::Absent,
        Table::Unreadable(error) => Table::Unreadable(error.clone()),
        Table::NotRead => Table::NotRead,
    }
}

/// A file without a `.dynamic` that can be read: there is none, as in a static program or a relocatable file, or its `error`
/// takes everything along that it would have pointed at.
fn without_dynamic(error: Option<&FileError>, facets: Facets, module: &mut Module, detail: &mut Elf) {
    fn nothing<T>(error: Option<&FileError>) -> Table<T> {
        error.map_or(Table::Absent, |error| Table::Unreadable(error.clone()))
    }
    module.dependencies = nothing(error);
    detail.dynamic = nothing(error);
    if facets.has(Facets::LINK) {
        detail.version_needs = nothing(error);
        detail.version_definitions = nothing(error);
    }
    if facets.has(Facets::SYMBOLS) {
        module.symbols = nothing(error);
    }
    if facets.has(Facets::POSTGRES) {
        module.postgres = nothing(error);
    }
    if facets.has(Facets::RELOCATIONS) {
        detail.relocations = nothing(error);
    }
}

fn kind(kind: elf::FileType, flags_1: u64) -> ObjectKind {
    match kind {
        elf::ET_EXEC => ObjectKind::Executable,
        elf::ET_DYN if flags_1 & elf::DF_1_PIE.0 != 0 => ObjectKind::PositionIndependentExecutable,
        elf::ET_DYN => ObjectKind::SharedObject,
        elf::ET_REL => ObjectKind::Relocatable,
        elf::ET_CORE => ObjectKind::Core,
        other => ObjectKind::Other(other.0),
    }
}
