use std::collections::BTreeSet;

use crate::check::{Sink, TreeCx, declare_rule};
use crate::model::NameHash;
use crate::rules::meeting::{home, who};

declare_rule! {
    /// A library with code of PostgreSQL's client programs comes into the server.
    ///
    /// ## What it checks
    ///
    /// Everything that modules bring for `pg_link_canary_is_frontend`, which PostgreSQL compiles into libpgcommon in
    /// two ways: for clients and for the server.
    ///
    /// ## Why it matters
    ///
    /// The client's build of that code reports errors with fprintf and exit, and allocates with malloc. Inside the server
    /// its functions have the names of the server's own, and each side may be given the other's.
    ///
    /// ## When it fires
    ///
    /// A module is linked with the static libpgcommon.a of the client side and exports all of it.
    ///
    /// ## How to fix
    ///
    /// Link the server's functions (leave libpgcommon and libpgport off the link line: the server exports them), or hide
    /// the client's: `-Wl,--exclude-libs,ALL`.
    ///
    /// ## What it cannot see
    ///
    /// Hidden copies, which disturb nobody.
    ///
    /// ## References
    ///
    /// PostgreSQL src/common/link-canary.c.
    pub(crate) static FRONTEND_LIBRARY_IN_BACKEND = {
        code: "PGS219",
        name: "frontend-library-in-backend",
        group: Symbols,
        severity: Warning,
        check: Tree(check),
    }
}

const CANARY: &[u8] = b"pg_link_canary_is_frontend";

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let Some(collisions) = tree.collisions() else { return };
    let mut said = BTreeSet::new();
    for (id, member) in collisions.universe.members().filter(|(_, member)| !member.is_server) {
        // Mach-O imports name the server, and flat lookups find it first.
        let Some(symbols) = member.module.symbols.get().filter(|_| member.module.elf().is_some()) else {
            continue;
        };
        if symbols.lookup(CANARY, NameHash::of(CANARY)).next().is_none() || !said.insert(&member.path) {
            continue;
        }
        let name = who(tree, collisions, id);
        let finding = sink.finding(
            home(tree, member),
            "pg_link_canary_is_frontend",
            format!("{name} exports PostgreSQL's common code as it is compiled for client programs, under the names of the server's own."),
        );
        sink.report(
            finding.help(
                "leave libpgcommon and libpgport off the link line, or link with -Wl,--exclude-libs,ALL",
            ),
        );
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().export("pg_link_canary_is_frontend"))
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &module().export("something_else"))
    }

    #[test]
    fn the_file_that_exports_the_canary_is_named() {
        let finding = firing().one(&FRONTEND_LIBRARY_IN_BACKEND);
        assert!(finding.message.starts_with("x.so exports PostgreSQL's common code"), "{}", finding.message);
    }
}
