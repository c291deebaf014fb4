//! PGS6xx: control files, scripts, and the binaries behind what they declare.

pub(crate) mod ambiguous_module_name;
pub(crate) mod broken_update_path;
pub(crate) mod conflicting_operator_links;
pub(crate) mod control_syntax;
pub(crate) mod dynamic_function;
pub(crate) mod extension_name_differs_in_case;
pub(crate) mod function_through_dependency;
pub(crate) mod invalid_extension_name;
pub(crate) mod libdir_defeats_search_path;
pub(crate) mod missing_default_version;
pub(crate) mod missing_finfo;
pub(crate) mod missing_function;
pub(crate) mod mixed_versions;
pub(crate) mod module_not_found;
pub(crate) mod no_install_script;
pub(crate) mod orphan_module;
pub(crate) mod requires_missing;
pub(crate) mod reserved_schema;
pub(crate) mod script_syntax_error;
pub(crate) mod shadowed_extension;
pub(crate) mod shadowed_module;
pub(crate) mod support;
pub(crate) mod unknown_control_key;
pub(crate) mod unknown_language;
pub(crate) mod unreachable_script;
pub(crate) mod unreadable_script;
