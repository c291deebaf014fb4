use crate::check::{ModuleCx, Sink, declare_rule};
use crate::postgres::MagicBlock;

declare_rule! {
    /// A module was built for a server with other limits or from another vendor.
    ///
    /// ## What it checks
    ///
    /// The fields of the module's magic block against the server's: FUNC_MAX_ARGS, INDEX_MAX_KEYS, NAMEDATALEN,
    /// FLOAT8PASSBYVAL, the length, and from 15 the ABI name, which forks change.
    ///
    /// ## Why it matters
    ///
    /// The major version is right, and the server refuses the module all the same.
    ///
    /// ## When it fires
    ///
    /// A module built for a vendor's fork with its own `FMGR_ABI_EXTRA`, or for a server configured with
    /// `NAMEDATALEN = 128`, is installed for a stock one.
    ///
    /// ## How to fix
    ///
    /// Build it with the headers of this very server: `make PG_CONFIG=.../bin/pg_config`.
    ///
    /// ## What it cannot see
    ///
    /// Differences that the magic block does not hold, such as a changed struct. Where the server's own block cannot be
    /// read, or there is no server and only `--pg-version`, the block of a stock server is taken.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/utils/fmgr/dfmgr.c `incompatible_module_error`; src/include/pg_config_manual.h.
    pub(crate) static ABI_MISMATCH = {
        code: "PGS303",
        name: "abi-mismatch",
        group: Abi,
        severity: Error,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let Some((server, block, message)) = super::refused(cx) else { return };
    if server.version != block.version {
        return;
    }
    let fields = differences(&server, block);
    let sentence = format!(
        "The magic block has {}: the server refuses to load the module.",
        fields
            .iter()
            .map(|(name, server, library)| format!("{name} {library}, not {server}"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let subject = fields.first().map_or("magic block", |&(name, ..)| name);
    let mut finding = sink.finding(cx.path(), subject, sentence);
    for line in super::lines(&message) {
        finding = finding.evidence("the server", line);
    }
    sink.report(
        finding.help("build it with the headers of this very server: make PG_CONFIG=.../bin/pg_config"),
    );
}

/// The fields that differ: name, the server's value, the module's.
fn differences(server: &MagicBlock, library: &MagicBlock) -> Vec<(&'static str, String, String)> {
    let mut found = Vec::new();
    let abi = |block: &MagicBlock| format!("\"{}\"", block.abi().unwrap_or_default());
    if abi(server) != abi(library) {
        found.push(("ABI", abi(server), abi(library)));
    }
    let numbers = [
        ("FUNC_MAX_ARGS", server.func_max_args, library.func_max_args),
        ("INDEX_MAX_KEYS", server.index_max_keys, library.index_max_keys),
        ("NAMEDATALEN", server.name_data_len, library.name_data_len),
        ("FLOAT8PASSBYVAL", server.float8_by_value, library.float8_by_value),
        ("length", server.len, library.len),
    ];
    for (name, server, library) in numbers {
        if server != library {
            found.push((name, server.to_string(), library.to_string()));
        }
    }
    if found.is_empty() {
        // memcmp covers what follows the NUL of the ABI name, too.
        found.push(("padding", "zero".to_owned(), "other bytes".to_owned()));
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};
    use pgsym_testkit::{Magic, SharedObject};

    pub(crate) fn firing() -> Case {
        let magic = Magic::pg(15).name_data_len(128).func_max_args(200);
        Case::new().object("x.so", &SharedObject::new().needed("libc.so.6").magic(magic))
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &module())
    }

    #[test]
    fn every_field_that_differs_is_told_in_the_servers_words() {
        let finding = firing().one(&ABI_MISMATCH);
        assert_eq!(
            finding.message,
            "The magic block has FUNC_MAX_ARGS 200, not 100, NAMEDATALEN 128, not 64: the server refuses to load the \
             module."
        );
        assert_eq!(
            finding.texts("the server"),
            [
                "ERROR:  incompatible library \"/pg/lib/x.so\": magic block mismatch",
                "DETAIL:  Server has FUNC_MAX_ARGS = 100, library has 200.",
                "Server has NAMEDATALEN = 64, library has 128."
            ]
        );
    }

    #[test]
    fn another_vendors_module_is_refused() {
        let vendor = SharedObject::new().needed("libc.so.6").magic(Magic::pg(15).abi_extra("Vendor"));
        let finding = Case::new().object("x.so", &vendor).one(&ABI_MISMATCH);
        assert_eq!(
            finding.message,
            "The magic block has ABI \"Vendor\", not \"PostgreSQL\": the server refuses to load the module."
        );
    }
}
