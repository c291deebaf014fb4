//! Turns what a run found into documents. A document is one value with two renderings: JSON, whose keys are an API
//! with a schema in `docs/schema`, and text for a terminal of 80 columns. Nothing here prints: the caller brings
//! the writer.

mod audit;
mod collisions;
mod comparison;
mod dependencies;
mod document;
mod dyld;
mod explain;
mod export_list;
mod field;
mod functions;
mod inspect;
mod load;
mod mach_symbols;
mod per_file;
mod symbols;
mod text;
mod verbatim;
mod verification;
mod why;
mod why_dyld;
mod why_symbol;

pub use audit::{
    Audit, AuditEvidence, AuditFinding, AuditModule, AuditServer, AuditSummary, ModuleLoad, ModuleMagic,
    Verdict,
};
pub use collisions::{CollidingSymbol, CollisionReport, LibraryCollision, Side, SymbolCollision};
pub use comparison::{
    ChangeEntry, ChangedExtension, ChangedFile, ChangedName, ComparedTree, Comparison, ComparisonSummary,
    UncomparedTable,
};
pub use dependencies::{Dependencies, FileDependencies, FoundDependency, SearchedPlace};
pub use document::{Document, schema, schemas, write_json};
pub use explain::{Explanation, RuleEntry, RuleList};
pub use export_list::{ExportList, ListedExport};
pub use field::{Field, Key, key};
pub use functions::{
    DynamicFunction, FunctionEntry, Functions, FunctionsOptions, LoadedLibrary, Uninstallable,
};
pub use inspect::{
    CommandLine, DirectoryLine, Disagreement, DlopenLine, DynamicLine, ElfFacts, FileFacts, FinfoLine,
    Inspection, LibraryLine, MachOFacts, MachSegmentLine, ModuleFacts, NeedLine, NeededLine, Opinion,
    PlatformLine, PostgresFacts, RelocationFacts, SearchPathLine, SecondOpinion, SectionFacts, SegmentLine,
    SignatureFacts, SliceLine, SymbolFacts, SymbolOpinion, TlsFacts, UnreadableLine, VersionDefinitionLine,
    VersionNeedLine, inspect,
};
pub use load::{Cause, LoadedModule, Loads};
pub use mach_symbols::{MachExportLine, MachImportLine, ReexportLine};
pub use per_file::PerFile;
pub use symbols::{ExportedSymbol, FileSymbols, ImportedSymbol, Symbols};
pub use text::{Palette, WIDTH, wrap};
pub use verification::{ExportDifference, Verification};
pub use why::{Chain, Link, Provider, Why};
pub use why_symbol::{Exporter, OtherDefinition, SymbolProvider, SymbolUser};
