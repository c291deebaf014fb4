use super::support::{place, server_says};
use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::extension::sql::Declaration;
use crate::name::Shown;

declare_rule! {
    /// A script that the server refuses before it runs a single statement of it, or at a statement that no script may hold.
    ///
    /// ## What it checks
    ///
    /// Scripts that installing the default version runs: literals, comments and parentheses that do not
    /// end, backslash commands of psql, statements whose first word begins none, CREATE FUNCTION and DROP FUNCTION
    /// statements outside the grammar, bytes outside the declared encoding, and transaction commands.
    ///
    /// ## Why it matters
    ///
    /// The server parses the whole script first. A stray `\i other.sql`, which worked in psql, or an
    /// unterminated dollar quote makes CREATE EXTENSION fail at once.
    ///
    /// ## When it fires
    ///
    /// ```sql
    /// \echo Use CREATE EXTENSION
    /// \set ON_ERROR_STOP on
    /// ```
    ///
    /// ## How to fix
    ///
    /// Only `\echo` at the start of a line is taken out by the server; remove other psql commands, BEGIN
    /// and COMMIT.
    ///
    /// ## What it cannot see
    ///
    /// Errors inside statements other than CREATE and DROP of functions and procedures, and everything that only
    /// shows when a statement runs. Of the four scripts of Debian's extensions that PostgreSQL 15 cannot parse,
    /// all for updates that no installation runs, it knows two.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/parser/scan.l and gram.y; src/backend/commands/extension.c `execute_sql_string`.
    pub(crate) static SCRIPT_SYNTAX_ERROR = {
        code: "PGS608",
        name: "script-syntax-error",
        group: Catalog,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for record in cx.tree().inventory().in_scope() {
        for script in &record.scripts {
            let Ok(read) = &script.script else { continue };
            let transaction = read.declarations.iter().find_map(|(position, declaration)| {
                let is_control = matches!(declaration, Declaration::TransactionControl { .. });
                is_control.then_some((
                    *position,
                    "transaction control statements are not allowed within an extension script",
                ))
            });
            let syntax = read.error.as_ref().map(|(position, error)| (*position, error.message.as_str()));
            let Some((position, message)) = syntax.or(transaction) else { continue };
            let finding = sink.finding(
                &script.path,
                Shown(&record.extension.name),
                format!("{} stops the script.", place(&script.path, position)),
            );
            let finding = server_says(finding, message);
            // A script that nothing runs any more breaks nobody's installation.
            let severity = if script.is_reachable { Severity::Error } else { Severity::Info };
            sink.report(finding.severity(severity));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, server};
    use crate::rules::testing::Case;

    pub(crate) fn firing() -> Case {
        case().extension("", "\\i other.sql")
    }

    pub(crate) fn silent() -> Case {
        case().extension("", "\\echo Use CREATE EXTENSION \\quit")
    }

    fn said(script: impl Into<Vec<u8>>) -> Option<String> {
        let case = case()
            .file("/pg/share/extension/x.control", "default_version = '1.0'\nencoding = UTF8")
            .file("/pg/share/extension/x--1.0.sql", script);
        case.run(&SCRIPT_SYNTAX_ERROR).first().map(|finding| server(finding).to_owned())
    }

    #[test]
    fn what_psql_would_take_the_server_does_not() {
        assert_eq!(said("\\echo x \\quit\nSELECT 1;"), None);
        assert_eq!(said(" \\echo x").unwrap(), "syntax error at or near \"\\\"");
        assert_eq!(said("\\i other.sql").unwrap(), "syntax error at or near \"\\\"");
        assert_eq!(
            said("SELECT 1; COMMIT;").unwrap(),
            "transaction control statements are not allowed within an extension script"
        );
    }

    #[test]
    fn what_does_not_end_or_is_no_text_is_told() {
        assert_eq!(said("SELECT 'x").unwrap(), "unterminated quoted string at or near \"'x\"");
        assert_eq!(said("SELECT $$x").unwrap(), "unterminated dollar-quoted string at or near \"$$x\"");
        assert_eq!(
            said(b"SELECT '\xe9';").unwrap(),
            "invalid byte sequence for encoding \"UTF8\": 0xe9 0x27 0x3b"
        );
        assert_eq!(said("SELECT '\0';").unwrap(), "invalid byte sequence for encoding \"UTF8\": 0x00");
    }

    #[test]
    fn a_script_that_nothing_runs_is_only_a_note() {
        let case = || case().extension("", "").file("/pg/share/extension/x--0.8--0.9.sql", "'");
        assert_eq!(case().run(&SCRIPT_SYNTAX_ERROR), []);
        let findings = case().all_scripts().run(&SCRIPT_SYNTAX_ERROR);
        assert_eq!(findings[0].severity, Severity::Info);
    }
}
