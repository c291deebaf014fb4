//! PGS1xx: which file satisfies a dependency.

pub(crate) mod missing_dependency;
