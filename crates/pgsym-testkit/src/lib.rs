//! What the tests of pgsym are built from: [`SharedObject`] and [`MachImage`], which turn the description of an ELF or
//! Mach-O file into its bytes without a compiler, and [`TreeBuilder`], which lays a small file tree on disk.
//!
//! The crate knows the formats on its own and shares no code with `pgsym-core`, so that a mistake in a reader
//! cannot be mirrored by the builder it is tested with.
//!
//! ```
//! use pgsym_testkit::{Magic, SharedObject};
//!
//! let module = SharedObject::new()
//!     .soname("demo.so")
//!     .needed("libpq.so.5")
//!     .runpath("$ORIGIN")
//!     .import("PQexec")
//!     .magic(Magic::pg(17))
//!     .pg_function("demo_add")
//!     .build();
//! assert_eq!(&module[..4], b"\x7fELF");
//! ```

mod elf;
mod macho;
mod tree;

pub use elf::code::CodeShape;
pub use elf::damage::{Damage, HeaderField, ProgramHeaderField};
pub use elf::description::{
    Bind, Binding, Export, ExportKind, HashStyle, Import, ImportKind, Kind, Reference, Relro, Stack,
    SymbolTable, TextRelocations, VersionDefault, VersionNeed, Visibility,
};
pub use elf::encoding::{Class, Encoding, Endian};
pub use elf::machine::Machine;
pub use elf::magic::{Magic, PgMajor};
pub use elf::notes::{Cet, Note};
pub use elf::relocations::{Addends, RelativeStyle, RelocationStyle};
pub use elf::shared_object::SharedObject;
pub use macho::fat::{FatWidth, fat};
pub use macho::image::{
    ExportForm, ExportHome, Fixups, From, LibraryKind, MachCpu, MachImage, MachImportSpec, MachKind,
    SignatureHash,
};
pub use tree::TreeBuilder;
