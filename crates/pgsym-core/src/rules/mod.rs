//! The rules: one file each, one line here each. A rule's documentation is written once, in its file.

use crate::check::Rule;

pub(crate) mod loader;

/// Every rule, by code.
pub static RULES: &[&Rule] = &[&loader::missing_dependency::MISSING_DEPENDENCY];
