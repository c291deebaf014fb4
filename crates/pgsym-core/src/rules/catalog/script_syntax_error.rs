use std::collections::HashSet;
use std::sync::Arc;

use super::support::{Concern, Scripts, by_concern, place, server_says};
use crate::check::{Finding, Severity, Sink, TreeCx, declare_rule};
use crate::extension::preprocess::QUOTING_RELEVANT;
use crate::extension::script::{Position, Script};
use crate::extension::sql::Declaration;
use crate::extension::{ExtensionRecord, Required, ScriptRecord};
use crate::name::Shown;
use crate::tree::Tree;

declare_rule! {
    /// A script that the server refuses before it runs a single statement of it, or at a statement that it never runs.
    ///
    /// ## What it checks
    ///
    /// Scripts that installing the default version runs: literals, comments and parentheses that do not
    /// end, backslash commands of psql, statements whose first word begins none, CREATE FUNCTION, DROP FUNCTION and DO
    /// statements outside the grammar, `@extschema:name@` that is not replaced, bytes outside the encoding, and
    /// `@extschema@` where the schema's name has a quote, a dollar sign or a backslash. Further the statements that are
    /// well formed and fail in every database: transaction commands, commands that must be a transaction's only one
    /// (VACUUM, CREATE INDEX CONCURRENTLY, CREATE DATABASE, ALTER SYSTEM …), CREATE EXTENSION and
    /// ALTER EXTENSION … UPDATE, schemas whose name begins with `pg_`, and CREATE FUNCTION without LANGUAGE or AS, with
    /// options that exclude each other, or with parameters that cannot be: a name twice, VARIADIC before another, one
    /// without a default value behind one that has it. Or with a result that cannot be: another type than OUT parameters
    /// say, `internal` or `anyelement` and its relatives where no argument says what they stand for. Where the server's major version is known, it counts: bodies in
    /// SQL are of 14 and later, MERGE is of 15, and `json` names no parameter since 17.
    ///
    /// With `--all-scripts` the other scripts as well: a warning where ALTER EXTENSION UPDATE from an older version, or CREATE
    /// EXTENSION with its VERSION, fails, with the command; a note for scripts that no way to the default version uses.
    ///
    /// ## Why it matters
    ///
    /// The server parses the whole script first. A stray `\i other.sql`, which worked in psql, or an
    /// unterminated dollar quote makes CREATE EXTENSION fail at once; a VACUUM makes it fail in the end.
    ///
    /// ## When it fires
    ///
    /// ```sql
    /// \echo Use CREATE EXTENSION
    /// \set ON_ERROR_STOP on
    /// ```
    ///
    /// It is a warning where the database decides: a script that is not UTF-8 under a control file without `encoding`
    /// or with SQL_ASCII, which a database in UTF8 refuses; CREATE EXTENSION IF NOT EXISTS, which is refused unless the extension is there.
    ///
    /// ## How to fix
    ///
    /// Only `\echo` at the start of a line is taken out by the server; remove other psql commands, BEGIN
    /// and COMMIT. Name other extensions in `requires`, and the script's `encoding` in the control file.
    ///
    /// ## What it cannot see
    ///
    /// Functions that are created twice, or replaced with another result type or other parameter names: whether code in between
    /// dropped them is not told. Other syntax errors inside statements other than CREATE and DROP of functions and procedures and DO, and most of what only
    /// shows when a statement runs. Of the four scripts of Debian's extensions that PostgreSQL 15 cannot parse,
    /// all for updates that no installation runs, it knows two.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/parser/scan.l and gram.y; src/backend/commands/extension.c `execute_sql_string`,
    /// `CreateExtension`; src/backend/access/transam/xact.c `PreventInTransactionBlock`;
    /// src/backend/commands/functioncmds.c `compute_function_attributes`, `interpret_function_parameter_list`.
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
        let context = Context::new(cx.tree(), record);
        let scripts = Scripts::new(record);
        let mut told = HashSet::new();
        for script in by_concern(record) {
            let Ok(read) = &script.script else { continue };
            let concern = Concern::of(script);
            // One file may be the script of many versions.
            if concern != Concern::Installation && !told.insert(Arc::as_ptr(read)) {
                continue;
            }
            let (failing, doubtful) = context.statements(script, read);
            let report = |sink: &mut Sink<'_>, finding: Finding| {
                let of = record.scripts.iter().filter(|other| {
                    Concern::of(other) == concern
                        && other.script.as_ref().is_ok_and(|other| Arc::ptr_eq(other, read))
                });
                sink.report(scripts.weigh(finding, concern, of.map(|script| &*script.path)));
            };
            let about = |sink: &Sink<'_>, position, what: &str| {
                let message = format!("{} {what}", place(&script.path, position));
                sink.finding(&script.path, Shown(&record.extension.name), message)
            };
            if let Some((position, message)) = context.whole(record, read).or(failing) {
                let finding = about(sink, position, "stops the script.");
                report(sink, server_says(finding, &message));
            } else if let Some((position, message)) = doubtful {
                let finding = about(sink, position, "stops the script unless the extension is there.");
                let finding = server_says(finding.severity(Severity::Warning), &message);
                report(sink, finding.help("name the extension in requires, and take the statement out"));
            }
            if let Some((position, error)) = &read.doubt {
                let is_named = script.control.as_ref().is_ok_and(|control| control.encoding.is_some());
                let what = if is_named {
                    "is not UTF-8, and the encoding in the control file, SQL_ASCII, does not tell what it is."
                } else {
                    "is not UTF-8, and the control file names no encoding."
                };
                let finding = about(sink, *position, what);
                let finding = finding.evidence("in UTF8", format!("ERROR:  {}", error.message));
                let finding = finding.severity(Severity::Warning);
                let help =
                    "set encoding in the control file to the script's own, or write the script in ASCII";
                report(
                    sink,
                    finding.help(if is_named {
                        help
                    } else {
                        "set encoding in the control file, or write the script in ASCII"
                    }),
                );
            }
        }
    }
}

/// What is said of a schema that cannot be quoted (`execute_extension_script`).
fn schema_message(extension: &[u8]) -> String {
    let characters = Shown(QUOTING_RELEVANT);
    format!(
        "invalid character in extension \"{}\" schema: must not contain any of \"{characters}\"",
        Shown(extension)
    )
}

/// Whether a server looks for characters that cannot be quoted: 16 does, older ones since August 2023 (CVE-2023-39417).
fn refuses_schemas(major: u32, version: Option<&str>) -> bool {
    let minor = || {
        let digits = version?.split_once('.')?.1;
        digits.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok()
    };
    let since = match major {
        16.. => return true,
        15 => 4,
        14 => 9,
        13 => 12,
        12 => 16,
        11 => 21,
        _ => return false,
    };
    minor().is_some_and(|minor| minor >= since)
}

/// What must be known of an extension before its statements are judged.
pub(crate) struct Context<'a> {
    extension: &'a [u8],
    required: Required<'a>,
    major: u32,
    refuses_schemas: bool,
}

/// Where a statement stands and what the server says to it.
pub(crate) type Failing = Option<(Position, String)>;

impl<'a> Context<'a> {
    pub(crate) fn new(tree: &'a Tree, record: &'a ExtensionRecord) -> Self {
        let inventory = tree.inventory();
        let version = tree.server().and_then(|server| server.facts.version.as_deref());
        Self {
            extension: &record.extension.name,
            required: inventory.required_by(record),
            major: inventory.major,
            refuses_schemas: refuses_schemas(inventory.major, version),
        }
    }

    /// Why the server runs no statement of a script.
    pub(crate) fn whole(&self, record: &ExtensionRecord, read: &Script) -> Failing {
        let schema = read.refused_schema.as_ref().filter(|_| self.refuses_schemas);
        let schema = schema.map(|(position, required)| {
            (*position, schema_message(required.as_deref().unwrap_or(&record.extension.name)))
        });
        let syntax = read.error.as_ref();
        schema.or_else(|| syntax.map(|(position, error)| (*position, error.message.clone())))
    }

    /// The first statement of a script that fails, and the first that fails unless an extension is there.
    pub(crate) fn statements(&self, script: &ScriptRecord, read: &Script) -> (Failing, Failing) {
        let (mut failing, mut doubtful) = (None, None);
        for (position, declaration) in &read.declarations {
            let (message, is_certain) = match declaration {
                Declaration::Refused { message, .. } => (message.clone(), true),
                Declaration::Create(routine) => match &routine.refusal {
                    Some(message) => (message.clone(), true),
                    None => continue,
                },
                // Before 13 a language came from pg_pltemplate.
                Declaration::CreateExtension { is_language: true, .. } if self.major < 13 => continue,
                Declaration::CreateExtension { name, is_if_missing, .. } => {
                    let direct = script.control.iter().flat_map(|control| &control.requires);
                    let is_there =
                        name == self.extension || name == b"plpgsql" || direct.into_iter().any(|n| n == name);
                    let may_be_there =
                        self.required.is_partly_unknown || self.required.names.contains(name.as_slice());
                    if *is_if_missing && (is_there || may_be_there) {
                        continue;
                    }
                    let message = if is_there {
                        format!("extension \"{}\" already exists", Shown(name))
                    } else {
                        "nested CREATE EXTENSION is not supported".to_owned()
                    };
                    (message, !is_if_missing)
                }
                _ => continue,
            };
            if is_certain {
                failing = Some((*position, message));
                break;
            }
            doubtful.get_or_insert((*position, message));
        }
        (failing, doubtful)
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
    fn statements_that_no_script_may_hold_are_told_in_the_servers_words() {
        let alone = |command: &str| format!("{command} cannot be executed from a function");
        let nested = "nested CREATE EXTENSION is not supported".to_owned();
        for (statement, expected) in [
            ("VACUUM", alone("VACUUM")),
            ("vacuum (ANALYZE) t", alone("VACUUM")),
            ("CREATE UNIQUE INDEX CONCURRENTLY ON t(a)", alone("CREATE INDEX CONCURRENTLY")),
            ("DROP INDEX CONCURRENTLY IF EXISTS i", alone("DROP INDEX CONCURRENTLY")),
            ("REINDEX TABLE CONCURRENTLY t", alone("REINDEX CONCURRENTLY")),
            ("REINDEX (VERBOSE, CONCURRENTLY) INDEX t", alone("REINDEX CONCURRENTLY")),
            ("REINDEX (VERBOSE false) SCHEMA public", alone("REINDEX SCHEMA")),
            ("CLUSTER VERBOSE", alone("CLUSTER")),
            ("DISCARD ALL", alone("DISCARD ALL")),
            ("CREATE DATABASE d", alone("CREATE DATABASE")),
            ("DROP DATABASE IF EXISTS d", alone("DROP DATABASE")),
            ("ALTER DATABASE d SET TABLESPACE t", alone("ALTER DATABASE SET TABLESPACE")),
            ("ALTER DATABASE d WITH TABLESPACE t", alone("ALTER DATABASE SET TABLESPACE")),
            ("CREATE TABLESPACE t LOCATION '/t'", alone("CREATE TABLESPACE")),
            ("DROP TABLESPACE t", alone("DROP TABLESPACE")),
            ("ALTER SYSTEM SET work_mem = 1", alone("ALTER SYSTEM")),
            (
                "ALTER TABLE IF EXISTS s.t DETACH PARTITION p CONCURRENTLY",
                alone("ALTER TABLE ... DETACH CONCURRENTLY"),
            ),
            (
                "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
                alone("CREATE SUBSCRIPTION ... WITH (create_slot = true)"),
            ),
            ("ALTER EXTENSION plpgsql UPDATE TO '2'", "nested ALTER EXTENSION is not supported".to_owned()),
            ("CREATE EXTENSION y", nested.clone()),
            ("CREATE LANGUAGE plperl", nested),
            ("CREATE EXTENSION plpgsql", "extension \"plpgsql\" already exists".to_owned()),
            ("CREATE SCHEMA IF NOT EXISTS pg_x", "unacceptable schema name \"pg_x\"".to_owned()),
            ("DO LANGUAGE plpgsql", "no inline code specified".to_owned()),
            ("DO '' ''", "conflicting or redundant options".to_owned()),
            ("DO '' LANGUAGE sql", "language \"sql\" does not support inline code execution".to_owned()),
            ("DO '' x", "syntax error at or near \"x\"".to_owned()),
            ("CREATE FUNCTION f() RETURNS int AS 'x'", "no language specified".to_owned()),
        ] {
            assert_eq!(said(format!("SELECT 1; {statement}; SELECT 2")), Some(expected), "{statement}");
        }
    }

    #[test]
    fn their_harmless_relatives_are_not_told() {
        for statement in [
            "ANALYZE; CLUSTER t USING i; DISCARD PLANS; REINDEX TABLE t; REINDEX (CONCURRENTLY false) TABLE t",
            "CREATE INDEX i ON t(a); DROP INDEX i; ALTER DATABASE d SET work_mem = 1; ALTER TABLE t DETACH PARTITION p",
            "ALTER DATABASE d REFRESH COLLATION VERSION; CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (a)",
            "CREATE EXTENSION IF NOT EXISTS plpgsql; CREATE OR REPLACE LANGUAGE plpgsql; CREATE EXTENSION IF NOT EXISTS x",
            "ALTER EXTENSION x ADD FUNCTION f(); ALTER EXTENSION y SET SCHEMA s; DROP EXTENSION IF EXISTS y",
            "CREATE SCHEMA s; CREATE SCHEMA AUTHORIZATION pg_x; CREATE LANGUAGE l HANDLER h",
            "SET LOCAL allow_system_table_mods = on; CREATE SCHEMA pg_x",
            "DO ''; DO LANGUAGE plpgsql ''; DO E'x' LANGUAGE 'plpgsql'; TABLE vacuum",
        ] {
            assert_eq!(said(statement), None, "{statement}");
        }
    }

    #[test]
    fn what_the_database_decides_is_a_warning() {
        let case = |control: &str, script: &[u8]| {
            case()
                .file("/pg/share/extension/x.control", format!("default_version = '1.0'\n{control}"))
                .file("/pg/share/extension/x--1.0.sql", script)
        };
        let bytes = b"COMMENT ON TYPE t IS $$caf\xe9$$;";
        let finding = case("", bytes).one(&SCRIPT_SYNTAX_ERROR);
        assert_eq!(finding.severity, Severity::Warning);
        let said = "ERROR:  invalid byte sequence for encoding \"UTF8\": 0xe9 0x24 0x24";
        assert_eq!(finding.texts("in UTF8"), [said]);
        let ascii = case("encoding = sql_ascii", bytes).one(&SCRIPT_SYNTAX_ERROR);
        assert_eq!((ascii.severity, ascii.texts("in UTF8")), (Severity::Warning, vec![said]));
        assert_eq!(case("encoding = LATIN1", bytes).run(&SCRIPT_SYNTAX_ERROR), []);
        assert_eq!(case("encoding = EUC_JP", b"-- \xa4").one(&SCRIPT_SYNTAX_ERROR).severity, Severity::Error);
        assert_eq!(case("encoding = EUC_JP", b"-- \xa4\xa4").run(&SCRIPT_SYNTAX_ERROR), []);
        assert_eq!(case("encoding = UTF8", bytes).one(&SCRIPT_SYNTAX_ERROR).severity, Severity::Error);

        let missing = b"CREATE EXTENSION IF NOT EXISTS y;";
        assert_eq!(case("", missing).one(&SCRIPT_SYNTAX_ERROR).severity, Severity::Warning);
        assert_eq!(case("requires = y", missing).run(&SCRIPT_SYNTAX_ERROR), []);
    }

    #[test]
    fn a_schema_that_cannot_be_quoted_stops_the_script() {
        let case = |script: &str| case().extension("schema = 'weird$q'", script);
        let said = "invalid character in extension \"x\" schema: must not contain any of \"\"$'\\\"";
        assert_eq!(server(&case("-- @extschema@\n'").major(16).one(&SCRIPT_SYNTAX_ERROR)), said);
        assert_eq!(case("-- none").major(18).run(&SCRIPT_SYNTAX_ERROR), []);
        assert_eq!(case("\\echo @extschema@").major(18).run(&SCRIPT_SYNTAX_ERROR), []);
        // No server binary tells the minor release.
        assert_eq!(case("-- @extschema@").major(15).run(&SCRIPT_SYNTAX_ERROR), []);
        for (version, refuses) in [("15.3", false), ("15.4", true), ("15.20 (Debian 15.20-0+deb12u1)", true)]
        {
            assert_eq!(refuses_schemas(15, Some(version)), refuses, "{version}");
        }
        assert!(refuses_schemas(13, Some("13.23")) && !refuses_schemas(13, Some("13.11")));
        assert!(refuses_schemas(18, None) && !refuses_schemas(15, None));
    }

    #[test]
    fn what_only_later_servers_parse_is_told_where_the_major_is_known() {
        let said = |major: Option<u32>| {
            let case = case().extension("", "SELECT 1; CREATE FUNCTION f() RETURNS int RETURN 1;");
            let case = match major {
                Some(major) => case.major(major),
                None => case.major(18).settings(|settings| settings.pg_major = None),
            };
            case.run(&SCRIPT_SYNTAX_ERROR).first().map(|finding| server(finding).to_owned())
        };
        assert_eq!(said(Some(13)).unwrap(), "syntax error at or near \"RETURN\"");
        assert_eq!((said(Some(14)), said(None)), (None, None));
    }

    /// PostgreSQL 16 and later put the schema of what `requires` names there.
    #[test]
    fn the_schema_of_a_required_extension_is_known_since_16_and_only_of_those() {
        let said = |major: u32, control: &str, script: &str| {
            let case = case().extension(control, script).major(major);
            case.run(&SCRIPT_SYNTAX_ERROR).first().map(|finding| server(finding).to_owned())
        };
        let colon = Some("syntax error at or near \":\"".to_owned());
        assert_eq!(said(15, "requires = cube", "SELECT @extschema:cube@.f(1)"), colon);
        assert_eq!(said(16, "requires = cube", "SELECT @extschema:cube@.f(1)"), None);
        assert_eq!(said(16, "requires = cube", "SELECT @extschema:earth@.f(1)"), colon);
        assert_eq!(said(15, "requires = cube", "SELECT '@extschema:cube@' -- @extschema:cube@"), None);
        let dot = Some("syntax error at or near \".\"".to_owned());
        assert_eq!(said(16, "relocatable = true", "SELECT @extschema@.f(1)"), dot);
        assert_eq!(said(16, "", "SELECT @extschema@.f(1)"), None);
    }

    #[test]
    fn a_script_that_nothing_runs_is_only_a_note() {
        let case = || case().extension("", "").file("/pg/share/extension/x--0.8--0.9.sql", "'");
        assert_eq!(case().run(&SCRIPT_SYNTAX_ERROR), []);
        let findings = case().all_scripts().run(&SCRIPT_SYNTAX_ERROR);
        assert_eq!(findings[0].severity, Severity::Info);
        let update = case().file("/pg/share/extension/x--0.9--1.0.sql", "");
        let finding = update.all_scripts().one(&SCRIPT_SYNTAX_ERROR);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.texts("fails"), ["ALTER EXTENSION x UPDATE from version 0.8"]);
    }

    #[test]
    fn one_file_under_many_names_is_told_once() {
        let case = case().extension("", "").file("/pg/share/extension/x--ANY--1.0.sql", "VACUUM");
        let case = ["0.8", "0.9"].iter().fold(case, |case, from| {
            case.fs(|fs| fs.symlink(format!("/pg/share/extension/x--{from}--1.0.sql"), "x--ANY--1.0.sql"))
        });
        assert_eq!(case.all_scripts().one(&SCRIPT_SYNTAX_ERROR).texts("fails").len(), 3);
    }
}
