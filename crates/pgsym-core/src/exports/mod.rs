//! What a module is meant to export, and whether it does.
//!
//! The symbols that PostgreSQL looks up by name are found in the compiled objects ([`objects`]), turned into one
//! stable set ([`plan`]), written as a linker's list ([`lists`]), and compared with what the finished module
//! offers to `dlsym` ([`verify`]). The build helper walks all four steps, `pgsym exports` the first three,
//! `pgsym verify` the last one. Nothing here runs a tool or looks at the environment.

pub mod lists;
pub mod objects;
pub mod plan;
mod problem;
pub mod verify;

pub use lists::{ListError, ListFormat};
pub use objects::{Linkage, ObjectFile, ObjectSymbol, Platform};
pub use plan::{DeclaredFunction, Export, ExportSet, Problem, Provider, Request};
pub use verify::{Cause, Difference, ModuleExports, Verdict};

/// Whether a symbol name can stand in a version script, an exported-symbols list and a linker option as it is.
///
/// C identifiers plus `.` and `$`, which assemblers allow. Anything else would need quoting that the linkers
/// do not agree on, and could end a list early (`;`, `}`, a newline).
pub fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$'))
}
