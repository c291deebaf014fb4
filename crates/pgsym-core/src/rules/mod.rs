//! The rules: one file each, one line here each. A rule's documentation is written once, in its file.

use crate::check::Rule;

pub(crate) mod abi;
pub(crate) mod catalog;
pub(crate) mod command;
pub(crate) mod evidence;
pub(crate) mod file;
pub(crate) mod hardening;
pub(crate) mod lead;
pub(crate) mod loader;
pub(crate) mod macho;
pub(crate) mod meeting;
pub(crate) mod packaging;
pub(crate) mod reach;
pub(crate) mod symbols;
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
    loader::absent_system::ABSENT_SYSTEM,
    loader::packed_relocations::PACKED_RELOCATIONS,
    loader::server_does_not_start::SERVER_DOES_NOT_START,
    symbols::unresolved_import::UNRESOLVED_IMPORT,
    symbols::version_not_provided::VERSION_NOT_PROVIDED,
    symbols::glibc_floor::GLIBC_FLOOR,
    symbols::unused_dependency::UNUSED_DEPENDENCY,
    symbols::undeclared_dependency::UNDECLARED_DEPENDENCY,
    symbols::second_copy::SECOND_COPY,
    symbols::search_path_collision::SEARCH_PATH_COLLISION,
    symbols::soname_collision::SONAME_COLLISION,
    symbols::private_copy_never_used::PRIVATE_COPY_NEVER_USED,
    symbols::unversioned_capture::UNVERSIONED_CAPTURE,
    symbols::interposed_export::INTERPOSED_EXPORT,
    symbols::shadowed_by_server::SHADOWED_BY_SERVER,
    symbols::exported_third_party_symbols::EXPORTED_THIRD_PARTY_SYMBOLS,
    symbols::static_tls_budget::STATIC_TLS_BUDGET,
    symbols::frontend_library_in_backend::FRONTEND_LIBRARY_IN_BACKEND,
    abi::missing_magic_block::MISSING_MAGIC_BLOCK,
    abi::wrong_major::WRONG_MAJOR,
    abi::abi_mismatch::ABI_MISMATCH,
    abi::finfo_without_function::FINFO_WITHOUT_FUNCTION,
    abi::hidden_entry_point::HIDDEN_ENTRY_POINT,
    abi::unknown_magic_block::UNKNOWN_MAGIC_BLOCK,
    hardening::executable_stack::EXECUTABLE_STACK,
    hardening::text_relocations::TEXT_RELOCATIONS,
    hardening::no_relro::NO_RELRO,
    hardening::static_tls::STATIC_TLS,
    hardening::isa_level::ISA_LEVEL,
    packaging::relative_search_path::RELATIVE_SEARCH_PATH,
    packaging::empty_search_path_element::EMPTY_SEARCH_PATH_ELEMENT,
    packaging::writable_search_path::WRITABLE_SEARCH_PATH,
    packaging::build_path_in_search_path::BUILD_PATH_IN_SEARCH_PATH,
    packaging::missing_search_path_directory::MISSING_SEARCH_PATH_DIRECTORY,
    packaging::rpath_and_runpath::RPATH_AND_RUNPATH,
    packaging::malformed_origin::MALFORMED_ORIGIN,
    packaging::search_path_leaves_tree::SEARCH_PATH_LEAVES_TREE,
    catalog::control_syntax::CONTROL_SYNTAX,
    catalog::unknown_control_key::UNKNOWN_CONTROL_KEY,
    catalog::no_install_script::NO_INSTALL_SCRIPT,
    catalog::invalid_extension_name::INVALID_EXTENSION_NAME,
    catalog::missing_default_version::MISSING_DEFAULT_VERSION,
    catalog::broken_update_path::BROKEN_UPDATE_PATH,
    catalog::unreachable_script::UNREACHABLE_SCRIPT,
    catalog::script_syntax_error::SCRIPT_SYNTAX_ERROR,
    catalog::requires_missing::REQUIRES_MISSING,
    catalog::module_not_found::MODULE_NOT_FOUND,
    catalog::missing_function::MISSING_FUNCTION,
    catalog::missing_finfo::MISSING_FINFO,
    catalog::function_through_dependency::FUNCTION_THROUGH_DEPENDENCY,
    catalog::ambiguous_module_name::AMBIGUOUS_MODULE_NAME,
    catalog::shadowed_extension::SHADOWED_EXTENSION,
    catalog::shadowed_module::SHADOWED_MODULE,
    catalog::libdir_defeats_search_path::LIBDIR_DEFEATS_SEARCH_PATH,
    catalog::mixed_versions::MIXED_VERSIONS,
    catalog::extension_name_differs_in_case::EXTENSION_NAME_DIFFERS_IN_CASE,
    catalog::orphan_module::ORPHAN_MODULE,
    catalog::unreadable_script::UNREADABLE_SCRIPT,
    catalog::dynamic_function::DYNAMIC_FUNCTION,
    catalog::conflicting_operator_links::CONFLICTING_OPERATOR_LINKS,
    catalog::unknown_language::UNKNOWN_LANGUAGE,
    catalog::reserved_schema::RESERVED_SCHEMA,
    catalog::module_does_not_load::MODULE_DOES_NOT_LOAD,
    macho::unresolved_rpath::UNRESOLVED_RPATH,
    macho::duplicate_rpath::DUPLICATE_RPATH,
    macho::absolute_install_name::ABSOLUTE_INSTALL_NAME,
    macho::install_name_mismatch::INSTALL_NAME_MISMATCH,
    macho::missing_slice::MISSING_SLICE,
    macho::minimum_os_too_new::MINIMUM_OS_TOO_NEW,
    macho::flat_namespace_import::FLAT_NAMESPACE_IMPORT,
    macho::bound_to_wrong_image::BOUND_TO_WRONG_IMAGE,
    macho::stale_code_signature::STALE_CODE_SIGNATURE,
    macho::unsafe_system_openssl::UNSAFE_SYSTEM_OPENSSL,
    macho::wrong_suffix::WRONG_SUFFIX,
    macho::relative_install_name::RELATIVE_INSTALL_NAME,
    macho::missing_dylib::MISSING_DYLIB,
    macho::unbound_symbol::UNBOUND_SYMBOL,
    file::unreadable_file::UNREADABLE_FILE,
    file::views_disagree::VIEWS_DISAGREE,
    file::limit_reached::LIMIT_REACHED,
    file::unreadable_for_server::UNREADABLE_FOR_SERVER,
}

#[cfg(test)]
mod tests;
