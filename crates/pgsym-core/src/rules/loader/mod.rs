//! PGS1xx: which file satisfies a dependency.

pub(crate) mod absent_system;
pub(crate) mod bad_candidate;
pub(crate) mod dependency_by_luck;
pub(crate) mod missing_dependency;
pub(crate) mod needed_with_slash;
pub(crate) mod packed_relocations;
pub(crate) mod server_does_not_start;
pub(crate) mod soname_mismatch;
pub(crate) mod wrong_architecture;

use crate::check::Severity;
use crate::tree::{Role, TreeFile};

/// How bad it is that a file cannot be loaded: of a library that nothing in the tree brings, nobody knows who
/// loads it, and how.
pub(crate) fn severity(file: &TreeFile) -> Severity {
    if file.role == Role::Library { Severity::Warning } else { Severity::Error }
}
