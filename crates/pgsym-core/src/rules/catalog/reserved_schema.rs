use super::support::{on_control, server_says};
use crate::check::{Sink, TreeCx, declare_rule};
use crate::name::Shown;

declare_rule! {
    /// The control file names a schema that no extension can be installed in.
    ///
    /// ## What it checks
    ///
    /// `schema` in the control files of the versions that an installation passes through, against the prefix that is kept for
    /// the system.
    ///
    /// ## Why it matters
    ///
    /// CREATE EXTENSION creates the schema when it is not there, and no schema whose name begins with `pg_` can be created.
    ///
    /// ## When it fires
    ///
    /// ```text
    /// schema = 'pg_tools'
    /// ```
    ///
    /// `pg_catalog` and `pg_toast` exist, so they are no error.
    ///
    /// ## How to fix
    ///
    /// Give the schema another name.
    ///
    /// ## What it cannot see
    ///
    /// Servers that run with allow_system_table_mods.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/commands/schemacmds.c `CreateSchemaCommand`; src/backend/catalog/catalog.c `IsReservedName`.
    pub(crate) static RESERVED_SCHEMA = {
        code: "PGS625",
        name: "reserved-schema",
        group: Catalog,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for record in cx.tree().inventory().in_scope() {
        // Later files cannot move the extension any more: CREATE EXTENSION takes the schema of the first.
        let first = record.scripts.iter().find(|script| script.is_reachable());
        let control = first.and_then(|script| script.control.as_ref().ok());
        let Some(schema) = control.and_then(|control| control.schema.as_deref()) else { continue };
        if !schema.starts_with(b"pg_") || matches!(schema, b"pg_catalog" | b"pg_toast") {
            continue;
        }
        let schema = Shown(schema);
        let message =
            format!("the schema {schema} has the prefix of the system's own and cannot be created.");
        let finding = on_control(sink, record, message);
        let said = format!("unacceptable schema name \"{schema}\"");
        sink.report(server_says(finding, &said).help("give the schema a name that does not begin with pg_"));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, server};
    use crate::rules::testing::Case;

    pub(crate) fn firing() -> Case {
        case().extension("schema = pg_x", "")
    }

    pub(crate) fn silent() -> Case {
        case().extension("schema = pg_catalog", "")
    }

    #[test]
    fn the_prefix_is_kept_for_the_system() {
        assert_eq!(server(&firing().one(&RESERVED_SCHEMA)), "unacceptable schema name \"pg_x\"");
        for schema in ["pg_toast", "'PG_x'", "pgx", "information_schema"] {
            let case = case().extension(&format!("schema = {schema}"), "");
            assert_eq!(case.run(&RESERVED_SCHEMA), [], "{schema}");
        }
    }
}
