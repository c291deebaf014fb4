//! The rules: one file each, one line here each. A rule's documentation is written once, in its file.

use crate::check::Rule;

pub(crate) mod abi;
pub(crate) mod evidence;
pub(crate) mod hardening;
pub(crate) mod loader;
pub(crate) mod reach;
#[cfg(test)]
pub(crate) mod testing;

/// Lists the rules by their path; beside each, for the tests, its file and its two cases.
macro_rules! rules {
    ($($group:ident::$file:ident::$rule:ident,)*) => {
        /// Every rule, by code.
        pub static RULES: &[&Rule] = &[$(&$group::$file::$rule),*];

        /// Each rule with its file, a case that it fires on and one that it is silent on.
        #[cfg(test)]
        const CASES: &[tests::Listed] = &[$(tests::Listed {
            rule: &$group::$file::$rule,
            file: concat!(stringify!($group), "/", stringify!($file), ".rs"),
            firing: $group::$file::tests::firing,
            silent: $group::$file::tests::silent,
        }),*];
    };
}

rules! {
    loader::missing_dependency::MISSING_DEPENDENCY,
    loader::bad_candidate::BAD_CANDIDATE,
    loader::dependency_by_luck::DEPENDENCY_BY_LUCK,
    loader::needed_with_slash::NEEDED_WITH_SLASH,
    loader::soname_mismatch::SONAME_MISMATCH,
    loader::wrong_architecture::WRONG_ARCHITECTURE,
    abi::missing_magic_block::MISSING_MAGIC_BLOCK,
    abi::wrong_major::WRONG_MAJOR,
    abi::abi_mismatch::ABI_MISMATCH,
    abi::finfo_without_function::FINFO_WITHOUT_FUNCTION,
    abi::hidden_entry_point::HIDDEN_ENTRY_POINT,
    hardening::executable_stack::EXECUTABLE_STACK,
    hardening::text_relocations::TEXT_RELOCATIONS,
    hardening::no_relro::NO_RELRO,
    hardening::static_tls::STATIC_TLS,
    hardening::isa_level::ISA_LEVEL,
}

#[cfg(test)]
mod tests;
