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

use crate::check::ModuleCx;
use crate::resolve::{Object, ObjectId, Process};

/// The parts of the C library and what compilers link by themselves: nobody's decision, and glibc has been joining
/// them into one, so that where one of them is, all are.
const C_LIBRARY: [&[u8]; 10] = [
    b"libc.so",
    b"libc.musl-",
    b"libm.so",
    b"libmvec.so",
    b"libpthread.so",
    b"libdl.so",
    b"librt.so",
    b"libutil.so",
    b"libgcc_s.so",
    b"ld-linux",
];

pub(crate) fn is_of_c_library(name: &[u8]) -> bool {
    C_LIBRARY.iter().any(|part| name.starts_with(part))
}

/// The file as an object of the process that it was loaded into without a failure.
fn loaded<'t>(cx: &ModuleCx<'t>) -> Option<(&'t Process, ObjectId, &'t Object)> {
    let load = cx.load().filter(|load| load.failure.is_none())?;
    let root = load.root?;
    Some((&load.process, root, load.process.object(root)?))
}
