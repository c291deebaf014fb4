//! What a symbol's name means to PostgreSQL: the names that the server looks up by `dlsym`
//! (src/backend/utils/fmgr/dfmgr.c and its callers), everything else being the module's own.

/// What an exported name is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SymbolClass {
    /// `Pg_magic_func`.
    Magic,
    /// `_PG_init`.
    Init,
    /// `pg_finfo_<function>`.
    Finfo,
    /// A function that has a finfo record beside it: callable from SQL.
    Function,
    /// Another name that the server looks up: `_PG_output_plugin_init` and its kin.
    Callback,
    /// Anything else.
    Other,
}

impl SymbolClass {
    /// The word in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Magic => "magic",
            Self::Init => "init",
            Self::Finfo => "finfo",
            Self::Function => "function",
            Self::Callback => "callback",
            Self::Other => "other",
        }
    }
}

/// A name with a meaning of its own to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryPoint {
    /// The symbol.
    pub name: &'static str,
    /// Oldest of the modelled majors that looks it up.
    pub since: u32,
    /// Where the server does so.
    pub source: &'static str,
}

/// The prefix of finfo records.
pub const FINFO_PREFIX: &[u8] = b"pg_finfo_";

/// The symbol every module must export.
pub const MAGIC_FUNCTION: &[u8] = b"Pg_magic_func";

/// Every fixed name that a server of major 13 to 19 looks up in a module, `Pg_magic_func` and `_PG_init`
/// apart. (`_PG_fini` is not among them: no modelled major calls it.)
pub const CALLBACKS: &[EntryPoint] = &[
    EntryPoint { name: "_PG_output_plugin_init", since: 13, source: "replication/logical/logical.c" },
    EntryPoint { name: "_PG_archive_module_init", since: 15, source: "postmaster/pgarch.c" },
    EntryPoint { name: "_PG_oauth_validator_module_init", since: 18, source: "libpq/auth-oauth.c" },
    EntryPoint { name: "_PG_jit_provider_init", since: 13, source: "jit/jit.c" },
];

/// Classifies an exported name. Whether a plain name is a [`SymbolClass::Function`] depends on the
/// finfo record beside it: `has_finfo` answers for the name with `pg_finfo_` before it.
pub fn classify(name: &[u8], has_finfo: impl FnOnce() -> bool) -> SymbolClass {
    match name {
        MAGIC_FUNCTION => SymbolClass::Magic,
        b"_PG_init" => SymbolClass::Init,
        _ if CALLBACKS.iter().any(|callback| callback.name.as_bytes() == name) => SymbolClass::Callback,
        _ if name.len() > FINFO_PREFIX.len() && name.starts_with(FINFO_PREFIX) => SymbolClass::Finfo,
        _ if has_finfo() => SymbolClass::Function,
        _ => SymbolClass::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_server_looks_up_have_their_class() {
        let class = |name: &str| classify(name.as_bytes(), || false);
        assert_eq!(class("Pg_magic_func"), SymbolClass::Magic);
        assert_eq!(class("_PG_init"), SymbolClass::Init);
        assert_eq!(class("_PG_archive_module_init"), SymbolClass::Callback);
        assert_eq!(class("pg_finfo_soundex"), SymbolClass::Finfo);
        assert_eq!(class("_PG_fini"), SymbolClass::Other);
    }

    #[test]
    fn a_bare_prefix_is_no_record() {
        assert_eq!(classify(b"pg_finfo_", || false), SymbolClass::Other);
    }

    #[test]
    fn a_name_with_a_record_is_a_function() {
        assert_eq!(classify(b"soundex", || true), SymbolClass::Function);
    }
}
