//! PGS7xx: what only Mach-O has: install names, the stack of LC_RPATHs, slices, signatures, the two-level namespace.

pub(crate) mod absolute_install_name;
pub(crate) mod bound_to_wrong_image;
pub(crate) mod duplicate_rpath;
pub(crate) mod flat_namespace_import;
pub(crate) mod install_name_mismatch;
pub(crate) mod minimum_os_too_new;
pub(crate) mod missing_dylib;
pub(crate) mod missing_slice;
pub(crate) mod relative_install_name;
pub(crate) mod stale_code_signature;
pub(crate) mod support;
pub(crate) mod unbound_symbol;
pub(crate) mod unresolved_rpath;
pub(crate) mod unsafe_system_openssl;
pub(crate) mod wrong_suffix;
