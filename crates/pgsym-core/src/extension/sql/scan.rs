//! What a whole script does to the routines of its extension, in order: the CREATE, DROP and ALTER statements
//! that touch routines, LOAD, and whatever a DO block may create behind the reader's back. Everything else is
//! passed over by its first words.

use bstr::ByteSlice;

use super::change::{Change, NewType, read_change, read_type};
use super::cursor::Cursor;
use super::dialect::{Dialect, StandardConformingStrings};
use super::dynamic::{DynamicRoutine, dynamic_routines};
use super::error::{SyntaxError, near};
use super::lexer::TokenKind;
use super::operator::{NewOperator, read_operator};
use super::placeholder::{MARK, placeholder_error};
use super::refused::{Found, read_inline, read_refused};
use super::routine::{Routine, RoutineError, read_routine};
use super::split::{Statement, Statements};

/// One statement of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declaration {
    /// CREATE [OR REPLACE] FUNCTION or PROCEDURE, in whatever language.
    Create(Routine),
    /// CREATE TYPE or CREATE DOMAIN.
    CreateType(NewType),
    /// CREATE OPERATOR.
    CreateOperator(NewOperator),
    /// ALTER or DROP OPERATOR, or code that mentions operators: how they point at each other is not told.
    OtherOperators,
    /// DROP, ALTER or SET, where routines or their types are concerned.
    Change(Change),
    /// LOAD.
    Load {
        /// The file name as written.
        file: Vec<u8>,
        /// Offset of the statement in the preprocessed text.
        offset: usize,
    },
    /// A statement that no server runs inside an extension script.
    Refused {
        /// What the server says.
        message: String,
        /// Offset of the statement in the preprocessed text.
        offset: usize,
    },
    /// CREATE EXTENSION, or CREATE LANGUAGE without a handler.
    CreateExtension {
        /// The extension.
        name: Vec<u8>,
        /// IF NOT EXISTS, or OR REPLACE of a language: fine where the extension is there.
        is_if_missing: bool,
        /// Whether it is CREATE LANGUAGE, which means an extension since 13.
        is_language: bool,
        /// Offset of the statement in the preprocessed text.
        offset: usize,
    },
    /// CREATE LANGUAGE with a handler, or ALTER LANGUAGE … RENAME TO: a language of this name exists from here on.
    CreateLanguage(Vec<u8>),
    /// DO in a language that is named.
    Do {
        /// The language, as the server compares it.
        language: Vec<u8>,
        /// Offset of the statement in the preprocessed text.
        offset: usize,
    },
    /// SET standard_conforming_strings, which the next script feels.
    SetStandardConformingStrings(StandardConformingStrings),
}

/// What [`scan_script`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScriptFacts {
    /// The statements of interest, in order.
    pub declarations: Vec<Declaration>,
    /// C functions created by code.
    pub dynamic: Vec<DynamicRoutine>,
    /// The first error that makes the server refuse the whole script before running any of it.
    pub error: Option<SyntaxError>,
    /// Offset of the first CREATE FUNCTION or PROCEDURE that is too long to be read.
    pub unread: Option<usize>,
    /// Whether the script sets allow_system_table_mods, under which schemas may have the system's prefix.
    allows_system_changes: bool,
}

/// Reads a preprocessed script.
pub fn scan_script(text: &[u8], dialect: impl Into<Dialect>) -> ScriptFacts {
    scan(text, dialect.into())
}

fn scan(text: &[u8], dialect: Dialect) -> ScriptFacts {
    let mut facts = ScriptFacts::default();
    let mut statements = Statements::new(text, dialect);
    let mut marks = text.find_iter(MARK).peekable();
    while let Some(statement) = statements.next() {
        let current = Current { text, statement: &statement, statements: &statements };
        let mut scanned = match current.first_word() {
            // An older server knows no MERGE.
            Some(first) if first != "merge" || !dialect.is_before(15) => current.scan(first, &mut facts),
            _ => current.head_error().map_or(Ok(()), |error| Err(error.into())),
        };
        while marks.next_if(|&mark| mark < statement.start).is_some() {}
        if marks.peek().is_some_and(|&mark| mark < statement.end)
            && let Some(error) = placeholder_error(text, &statement, dialect.strings)
            && !matches!(&scanned, Err(RoutineError::Syntax(first)) if first.offset <= error.offset)
        {
            scanned = Err(error.into());
        }
        if scanned == Err(RoutineError::TooLong) {
            facts.unread.get_or_insert(statement.start);
        }
        if let Err(RoutineError::Syntax(error)) = scanned {
            let earlier = [statements.error(), facts.error.as_ref()];
            if earlier.into_iter().flatten().all(|earlier| error.offset < earlier.offset) {
                facts.error = Some(error);
            }
        }
    }
    if let Some(error) = statements.error()
        && facts.error.as_ref().is_none_or(|first| error.offset < first.offset)
    {
        facts.error = Some(error.clone());
    }
    facts
}

/// First words of the statements of all majors (`stmt` and `PreparableStmt` of gram.y).
const FIRST_WORDS: [&str; 55] = [
    "abort",
    "alter",
    "analyse",
    "analyze",
    "begin",
    "call",
    "checkpoint",
    "close",
    "cluster",
    "comment",
    "commit",
    "copy",
    "create",
    "deallocate",
    "declare",
    "delete",
    "discard",
    "do",
    "drop",
    "end",
    "execute",
    "explain",
    "fetch",
    "grant",
    "import",
    "insert",
    "listen",
    "load",
    "lock",
    "merge",
    "move",
    "notify",
    "prepare",
    "reassign",
    "refresh",
    "reindex",
    "release",
    "repack",
    "reset",
    "revoke",
    "rollback",
    "savepoint",
    "security",
    "select",
    "set",
    "show",
    "start",
    "table",
    "truncate",
    "unlisten",
    "update",
    "vacuum",
    "values",
    "wait",
    "with",
];

/// The statement that was cut last.
#[derive(Clone, Copy)]
struct Current<'s, 'a> {
    text: &'a [u8],
    statement: &'s Statement,
    statements: &'s Statements<'a>,
}

impl<'s> Current<'s, '_> {
    fn cursor(self) -> Option<Cursor<'s>> {
        self.statements.cursor()
    }

    fn begins_with(self, words: &[&str]) -> bool {
        self.statement.begins_with(self.text, words)
    }

    fn creates(self, kind: &str) -> bool {
        self.statement.creates(self.text, kind)
    }

    fn word_is(self, index: usize, word: &str) -> bool {
        let written = self.statement.word(self.text, index);
        written.is_some_and(|written| written.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The one of [`FIRST_WORDS`] that it begins with.
    fn first_word(self) -> Option<&'static str> {
        let written = self.statement.word(self.text, 0)?;
        let written = written.iter().map(u8::to_ascii_lowercase);
        let found = FIRST_WORDS.binary_search_by(|word| word.bytes().cmp(written.clone()));
        FIRST_WORDS.get(found.ok()?).copied()
    }

    /// The error of a statement that begins as none does: the usual sign of a `;` too many.
    fn head_error(self) -> Option<SyntaxError> {
        let first = self.statements.first_token()?;
        let is_told_elsewhere = matches!(first.kind, TokenKind::Stray | TokenKind::Unterminated(_));
        if first.kind == TokenKind::Sign(b'(') || is_told_elsewhere {
            return None;
        }
        Some(near(self.text, first))
    }

    fn scan(self, first: &str, facts: &mut ScriptFacts) -> Result<(), RoutineError> {
        let offset = self.statement.start;
        let second_is = |word: &str| self.word_is(1, word);
        match first {
            "create" => return self.create(facts),
            "alter" | "drop" if self.record_refused(first, facts) => {}
            "alter" | "drop" if second_is("operator") => {
                facts.declarations.push(Declaration::OtherOperators);
            }
            // `RemoveFuncStmt` of the grammar, which is read whole: scripts that forget the `;` behind one are found.
            "drop" if second_is("function") || second_is("procedure") || second_is("routine") => {
                if let Some(mut cursor) = self.cursor() {
                    let change = read_change(&mut cursor).filter(|_| cursor.is_at_end());
                    let change = change.ok_or_else(|| self.statements.stopped(&cursor, self.statement))?;
                    facts.declarations.push(Declaration::Change(change));
                }
            }
            "alter" | "drop" | "set" => {
                facts.allows_system_changes |=
                    first == "set" && (1..3).any(|index| self.word_is(index, "allow_system_table_mods"));
                if let Some(mut cursor) = self.cursor() {
                    let setting = standard_conforming_strings(&mut cursor);
                    cursor.seek(0);
                    let change = || read_change(&mut cursor).map(Declaration::Change);
                    facts.declarations.extend(setting.or_else(change));
                }
            }
            "do" => return self.run_code(facts),
            "load" => {
                if let Some(mut cursor) = self.cursor() {
                    cursor.take();
                    if let Some(Ok(file)) = cursor.string() {
                        facts.declarations.push(Declaration::Load { file, offset });
                    }
                }
            }
            // `TransactionStmt` of the grammar.
            "abort" | "begin" | "commit" | "end" | "release" | "rollback" | "savepoint" => {
                facts.declarations.push(transaction_control(offset));
            }
            "prepare" | "start" if second_is("transaction") => {
                facts.declarations.push(transaction_control(offset));
            }
            "cluster" | "discard" | "reindex" | "vacuum" => {
                self.record_refused(first, facts);
            }
            _ => {}
        }
        Ok(())
    }

    fn create(self, facts: &mut ScriptFacts) -> Result<(), RoutineError> {
        let offset = self.statement.start;
        if self.creates("function") || self.creates("procedure") {
            let mut routine = read_routine(self.statements, self.statement)?;
            if routine.c_link().is_none()
                && let Some((body, _)) = routine.definition.take()
            {
                facts.dynamic.extend(dynamic_routines(&body, offset));
            }
            facts.declarations.push(Declaration::Create(routine));
        } else if self.begins_with(&["create", "operator"]) {
            let new = self.cursor().and_then(|mut cursor| read_operator(&mut cursor, offset));
            facts.declarations.extend(new.map(Declaration::CreateOperator));
        } else if self.creates("type") || self.begins_with(&["create", "domain"]) {
            let new = self.cursor().and_then(|mut cursor| read_type(&mut cursor));
            facts.declarations.extend(new.map(Declaration::CreateType));
        } else if !(facts.allows_system_changes && self.begins_with(&["create", "schema"])) {
            self.record_refused("create", facts);
        }
        Ok(())
    }

    /// DO.
    fn run_code(self, facts: &mut ScriptFacts) -> Result<(), RoutineError> {
        let offset = self.statement.start;
        let Some(mut cursor) = self.cursor() else { return Ok(()) };
        let inline =
            read_inline(&mut cursor).map_err(|stop| stop.error(&cursor, self.statements, self.statement))?;
        if let Some(message) = inline.refusal {
            facts.declarations.push(Declaration::Refused { message, offset });
        }
        if let Some(language) = inline.language {
            facts.declarations.push(Declaration::Do { language, offset });
        }
        if let Some(body) = inline.code {
            if body.to_ascii_lowercase().find("operator").is_some() {
                facts.declarations.push(Declaration::OtherOperators);
            }
            facts.dynamic.extend(dynamic_routines(&body, offset));
        }
        Ok(())
    }

    /// Records a statement that is one of those of `refused.rs`; false for any other.
    fn record_refused(self, first: &str, facts: &mut ScriptFacts) -> bool {
        let offset = self.statement.start;
        let found = self.cursor().and_then(|mut cursor| read_refused(first, &mut cursor));
        let declaration = match found {
            None => return false,
            Some(Found::Refused(message)) => Declaration::Refused { message, offset },
            Some(Found::Extension { name, is_if_missing, is_language }) => {
                Declaration::CreateExtension { name, is_if_missing, is_language, offset }
            }
            Some(Found::Language(name)) => Declaration::CreateLanguage(name),
        };
        facts.declarations.push(declaration);
        true
    }
}

fn transaction_control(offset: usize) -> Declaration {
    let message = "transaction control statements are not allowed within an extension script".to_owned();
    Declaration::Refused { message, offset }
}

/// `SET standard_conforming_strings`.
fn standard_conforming_strings(cursor: &mut Cursor<'_>) -> Option<Declaration> {
    if !cursor.word("set") {
        return None;
    }
    if !cursor.word("session") {
        cursor.word("local");
    }
    if !cursor.word("standard_conforming_strings") || !(cursor.word("to") || cursor.sign(b'=')) {
        return None;
    }
    let value = cursor.string().or_else(|| cursor.name())?.ok()?;
    let setting = match value.to_ascii_lowercase().as_slice() {
        b"off" | b"false" | b"no" => StandardConformingStrings::Off,
        _ => StandardConformingStrings::On,
    };
    Some(Declaration::SetStandardConformingStrings(setting))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    fn scan(sql: &str) -> ScriptFacts {
        scan_script(sql.as_bytes(), StandardConformingStrings::On)
    }

    fn created(facts: &ScriptFacts) -> Vec<&[u8]> {
        let mut names = Vec::new();
        for declaration in &facts.declarations {
            if let Declaration::Create(routine) = declaration {
                names.push(&*routine.name);
            }
        }
        names
    }

    #[test]
    fn the_first_words_are_sorted_for_the_search() {
        assert!(FIRST_WORDS.is_sorted());
    }

    #[test]
    fn text_that_looks_like_a_statement_is_none() {
        let facts = scan(
            "-- CREATE FUNCTION a() RETURNS int LANGUAGE c AS 'x';\n\
             /* CREATE FUNCTION b() RETURNS int LANGUAGE c AS 'x'; */\n\
             COMMENT ON FUNCTION d() IS 'CREATE FUNCTION c() RETURNS int LANGUAGE c AS ''x'';';\n\
             CREATE FUNCTION d() RETURNS int LANGUAGE c AS 'x';",
        );
        assert_eq!(created(&facts), [b"d"]);
        assert_eq!(facts.error, None);
        assert_eq!(facts.dynamic, []);
    }

    #[test]
    fn changes_of_routines_are_told_in_order() {
        let sql = "DROP FUNCTION IF EXISTS a(int), s.b CASCADE; ALTER FUNCTION c(text) RENAME TO d;\
             ALTER TABLE t RENAME a TO b; CREATE TYPE t; LOAD '$libdir/x';\
             SET standard_conforming_strings = off; DROP CAST (a AS b); COMMIT";
        let facts = scan(sql);
        assert!(
            matches!(
                facts.declarations.as_slice(),
                [
                    Declaration::Change(Change::DropRoutines(..)),
                    Declaration::Change(Change::AlterRoutine(..)),
                    Declaration::CreateType(_),
                    Declaration::Load { .. },
                    Declaration::SetStandardConformingStrings(StandardConformingStrings::Off),
                    Declaration::Refused { .. },
                ]
            ),
            "{:?}",
            facts.declarations
        );
    }

    #[test]
    fn a_forgotten_semicolon_is_found_behind_create_and_drop() {
        let message = |sql: &str| scan(sql).error.map(|error| error.message);
        let near = |word: &str| Some(format!("syntax error at or near \"{word}\""));
        assert_eq!(message("DROP FUNCTION IF EXISTS a(int, OUT b text), s.c RESTRICT;"), None);
        assert_eq!(message("DROP FUNCTION a(int)\nCREATE FUNCTION a() RETURNS int;"), near("CREATE"));
        assert_eq!(message("DROP FUNCTION FUNCTION a(int);"), near("a"));
        assert_eq!(message("DROP FUNCTION IF EXISTS a(b int DEFAULT 1);"), near("DEFAULT"));
        assert_eq!(message("DROP PROCEDURE a(b int = 1);"), near("="));
        assert_eq!(message("DROP FUNCTION a(position int);"), near("position"));
        assert_eq!(message("DROP FUNCTION position(int);"), near("("));
        assert_eq!(message("DROP FUNCTION user(int);"), near("user"));
        assert_eq!(message("DROP FUNCTION left.x;"), near("."));
        assert_eq!(
            message("DROP FUNCTION left(int), position, public.user(int), a(VARIADIC b int[], c int);"),
            None
        );
        assert_eq!(message("CREATE FUNCTION a(); RETURNS int LANGUAGE c AS 'x'"), near("RETURNS"));
        assert_eq!(message("(SELECT 1) UNION SELECT 2; VALUES (1)"), None);
        assert_eq!(
            message("CREATE FUNCTION a() RETURNS int LANGUAGE c AS 'x' ALTER TABLE t;"),
            near("ALTER")
        );
    }

    /// What each server says to each of these.
    #[test]
    fn the_major_decides_where_it_is_known() {
        let message = |major, sql: &str| {
            let facts = scan_script(sql.as_bytes(), Dialect { major, ..Dialect::default() });
            facts.error.map(|error| error.message)
        };
        let near = |word: &str| Some(format!("syntax error at or near \"{word}\""));
        for (sql, last_to_refuse, token) in [
            ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END; SELECT 1", 13, "BEGIN"),
            ("CREATE PROCEDURE f() LANGUAGE sql Begin Atomic END", 13, "Begin"),
            ("CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql RETURN x + 1", 13, "RETURN"),
            ("MERGE INTO t USING s ON a = b WHEN MATCHED THEN DELETE", 14, "MERGE"),
        ] {
            assert_eq!(message(None, sql), None, "{sql}");
            for major in 13..=18 {
                let expected = if major <= last_to_refuse { near(token) } else { None };
                assert_eq!(message(Some(major), sql), expected, "{major}: {sql}");
            }
        }
        assert_eq!(
            message(Some(13), "CREATE FUNCTION f() RETURNS int"),
            Some("syntax error at end of input".into())
        );
        assert_eq!(message(Some(14), "CREATE FUNCTION f() RETURNS int"), None);
        for (sql, first_to_refuse, token) in [
            ("CREATE FUNCTION f(json json) LANGUAGE c", 17, "json"),
            ("CREATE FUNCTION f(a int, json_value text) LANGUAGE c", 17, "json_value"),
            ("CREATE FUNCTION f(json.x) LANGUAGE c", 17, "."),
            ("CREATE FUNCTION f(json(3)) LANGUAGE c", 17, "("),
            ("CREATE FUNCTION f() RETURNS TABLE (json json) LANGUAGE c", 17, "json"),
            ("CREATE FUNCTION json() LANGUAGE c", 17, "("),
            ("CREATE FUNCTION merge_action() LANGUAGE c", 17, "("),
            ("CREATE FUNCTION json_object(text) LANGUAGE c", 16, "("),
            ("CREATE FUNCTION f(json_array text) LANGUAGE c", 16, "json_array"),
            ("CREATE FUNCTION f(system_user text) LANGUAGE c", 16, "system_user"),
            ("DROP FUNCTION json_object(text)", 16, "("),
            ("DROP FUNCTION a(json json)", 17, "json"),
        ] {
            assert_eq!(message(None, sql), None, "{sql}");
            for major in 13..=18 {
                let expected = if major >= first_to_refuse { near(token) } else { None };
                assert_eq!(message(Some(major), sql), expected, "{major}: {sql}");
            }
        }
        for sql in [
            "CREATE FUNCTION f(json, a json[], b \"json\", wait int, merge int) RETURNS json LANGUAGE c",
            "CREATE FUNCTION json.f() LANGUAGE c; CREATE FUNCTION x.json_object() LANGUAGE c",
            "DROP FUNCTION x.json_object(text), json_value",
        ] {
            for major in [None, Some(13), Some(15), Some(16), Some(17), Some(18)] {
                assert_eq!(message(major, sql), None, "{major:?}: {sql}");
            }
        }
    }

    #[test]
    fn a_statement_beyond_the_bound_is_no_error_of_the_script() {
        let body = "SELECT 1; ".repeat(limits::STATEMENT_TOKENS / 2);
        let facts = scan(&format!("SELECT 1; CREATE FUNCTION f() RETURNS int BEGIN ATOMIC {body} END"));
        assert_eq!((facts.error, facts.unread), (None, Some(10)));
    }

    #[test]
    fn the_first_error_of_the_script_wins() {
        let facts = scan("CREATE FUNCTION f() AS 1; SELECT 'x");
        assert_eq!(facts.error.unwrap().message, "syntax error at or near \"1\"");
        let facts = scan("\\quit\nCREATE FUNCTION f() AS 1;");
        assert_eq!(facts.error.unwrap().offset, 0);
    }
}
