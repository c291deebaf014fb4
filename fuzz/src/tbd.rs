//! Any bytes, read as a text-based stub.

use pgsym_core::model::MachArch;
use pgsym_core::parse::tbd;

/// Reads `bytes` for both architectures.
///
/// # Panics
/// When the reader breaks a promise.
pub fn read_everything(bytes: &[u8]) {
    for arch in [MachArch::X86_64, MachArch::ARM64] {
        let Ok(stub) = tbd::parse(bytes, arch) else { continue };
        assert!(!stub.libraries.is_empty());
        for library in &stub.libraries {
            assert!(library.exports.is_sorted());
            assert!(library.exports.iter().all(|name| library.exports(name.as_bytes())));
        }
    }
}
