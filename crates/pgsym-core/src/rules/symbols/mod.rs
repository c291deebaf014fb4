//! PGS2xx: which object satisfies a symbol.

pub(crate) mod exported_third_party_symbols;
pub(crate) mod frontend_library_in_backend;
pub(crate) mod glibc_floor;
pub(crate) mod interposed_export;
pub(crate) mod private_copy_never_used;
pub(crate) mod search_path_collision;
pub(crate) mod second_copy;
pub(crate) mod shadowed_by_server;
pub(crate) mod soname_collision;
pub(crate) mod static_tls_budget;
pub(crate) mod undeclared_dependency;
pub(crate) mod unresolved_import;
pub(crate) mod unused_dependency;
pub(crate) mod unversioned_capture;
pub(crate) mod version_not_provided;
