//! PGS2xx: which object satisfies a symbol.

pub(crate) mod glibc_floor;
pub(crate) mod undeclared_dependency;
pub(crate) mod unused_dependency;
pub(crate) mod version_not_provided;
