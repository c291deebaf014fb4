use crate::check::{ModuleCx, Sink, declare_rule};

declare_rule! {
    /// A module was built for another major version of PostgreSQL.
    ///
    /// ## What it checks
    ///
    /// The version in the module's magic block against the server's, both read from the files, be it of a major as old as
    /// 9.0. Without a server, the version given by `--pg-version`.
    ///
    /// ## Why it matters
    ///
    /// The server refuses the module. There is no binary compatibility between major versions.
    ///
    /// ## When it fires
    ///
    /// A module built with the headers of PostgreSQL 14 is installed for 15.
    ///
    /// ## How to fix
    ///
    /// Build it with the server's own headers: `make PG_CONFIG=/usr/lib/postgresql/15/bin/pg_config`.
    ///
    /// ## What it cannot see
    ///
    /// Minor versions: the block does not hold them. A module that uses a function of a later minor version misses a
    /// symbol instead.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/utils/fmgr/dfmgr.c `incompatible_module_error`; src/include/fmgr.h
    /// `Pg_magic_struct`.
    pub(crate) static WRONG_MAJOR = {
        code: "PGS302",
        name: "wrong-major",
        group: Abi,
        severity: Error,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let Some((server, block, message)) = super::refused(cx) else { return };
    if server.version == block.version {
        return;
    }
    let sentence = format!(
        "The magic block says version {} (PostgreSQL {}), the server is {}: it refuses to load the module.",
        block.version,
        block.major(),
        server.major()
    );
    let mut finding = sink.finding(cx.path(), block.version, sentence);
    for line in super::lines(&message) {
        finding = finding.evidence("the server", line);
    }
    sink.report(finding.help(format!("build it with the pg_config of PostgreSQL {}", server.major())));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};
    use crate::tree::ServerChoice;
    use pgsym_testkit::{Magic, SharedObject};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &SharedObject::new().needed("libc.so.6").magic(Magic::pg(18)))
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &module())
    }

    #[test]
    fn another_major_is_refused_in_the_servers_words() {
        let finding = firing().one(&WRONG_MAJOR);
        assert_eq!(
            finding.message,
            "The magic block says version 1800 (PostgreSQL 18), the server is 15: it refuses to load the module."
        );
        assert_eq!(
            finding.texts("the server"),
            [
                "ERROR:  incompatible library \"/pg/lib/x.so\": version mismatch",
                "DETAIL:  Server is version 15, library is version 18."
            ]
        );
    }

    #[test]
    fn without_a_server_the_version_asked_about_counts() {
        let case = |major| {
            firing().settings(|settings| {
                settings.server = ServerChoice::None;
                settings.pg_major = major;
            })
        };
        assert_eq!(case(None).run(&WRONG_MAJOR), []);
        // The modules of the tree that are for 15.
        let findings = case(Some(18)).run(&WRONG_MAJOR);
        let paths: Vec<_> = findings.iter().filter_map(|finding| finding.path.to_str()).collect();
        assert_eq!(paths, ["/pg/lib/plpgsql.so"]);
    }
}
