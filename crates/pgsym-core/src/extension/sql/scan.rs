//! What a whole script does to the routines of its extension, in order: the CREATE, DROP and ALTER statements
//! that touch routines, LOAD, and whatever a DO block may create behind the reader's back. Everything else is
//! passed over by its first words.

use bstr::ByteSlice;

use super::cursor::Cursor;
use super::lexer::{Lexer, StandardConformingStrings, Token, TokenKind};
use super::literal;
use super::routine::{self, Routine, read_routine};
use super::split::{Statement, Statements, SyntaxError};
use super::types::TypeKey;
use crate::limits;

/// A routine as DROP and ALTER name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutineName {
    /// The schema the name is qualified with.
    pub schema: Option<Vec<u8>>,
    /// The name.
    pub name: Vec<u8>,
    /// Its input argument types; `None` when the statement gives none and the name alone must do.
    pub arguments: Option<Vec<TypeKey>>,
}

/// One statement of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declaration {
    /// CREATE [OR REPLACE] FUNCTION or PROCEDURE, in whatever language.
    Create(Routine),
    /// DROP FUNCTION, PROCEDURE or ROUTINE.
    Drop(Vec<RoutineName>),
    /// ALTER FUNCTION, PROCEDURE or ROUTINE … RENAME TO.
    Rename(RoutineName, Vec<u8>),
    /// ALTER EXTENSION … DROP FUNCTION, PROCEDURE or ROUTINE.
    RemoveMember(RoutineName),
    /// LOAD.
    Load {
        /// The file name as written.
        file: Vec<u8>,
        /// Offset of the statement in the preprocessed text.
        offset: usize,
    },
    /// BEGIN, COMMIT and the like, which CREATE EXTENSION refuses.
    TransactionControl {
        /// Offset of the statement in the preprocessed text.
        offset: usize,
    },
    /// SET standard_conforming_strings, which the next script feels.
    SetStandardConformingStrings(StandardConformingStrings),
}

/// A C function that code in the script would create when it runs: whether it does cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamicRoutine {
    /// The function, where the whole statement stands in the code; `None` where it is put together at run time.
    pub routine: Option<Routine>,
    /// Offset, in the preprocessed text, of the statement that holds the code.
    pub offset: usize,
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
}

/// Reads a preprocessed script.
pub fn scan_script(text: &[u8], strings: StandardConformingStrings) -> ScriptFacts {
    let mut facts = ScriptFacts::default();
    let mut statements = Statements::new(text, strings);
    while let Some(statement) = statements.next() {
        if let Err(error) = scan_statement(text, &statement, strings, &mut facts) {
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

fn scan_statement(
    text: &[u8],
    statement: &Statement,
    strings: StandardConformingStrings,
    facts: &mut ScriptFacts,
) -> Result<(), SyntaxError> {
    let begins = |words: &[&str]| statement.begins_with(text, words);
    if statement.creates(text, "function") || statement.creates(text, "procedure") {
        let mut routine = read_routine(text, statement, strings)?;
        if routine.c_link().is_none()
            && let Some((body, _)) = routine.definition.take()
        {
            find_dynamic(&body, statement.start, facts);
        }
        facts.declarations.push(Declaration::Create(routine));
    } else if begins(&["do"]) {
        if let Some(mut cursor) = Cursor::new(text, statement, strings) {
            cursor.take();
            if cursor.word("language") {
                cursor.take();
            }
            if let Some(Ok(body)) = cursor.string() {
                find_dynamic(&body, statement.start, facts);
            }
        }
    } else if begins(&["load"]) {
        if let Some(mut cursor) = Cursor::new(text, statement, strings) {
            cursor.take();
            if let Some(Ok(file)) = cursor.string() {
                facts.declarations.push(Declaration::Load { file, offset: statement.start });
            }
        }
    } else if begins(&["drop"]) || begins(&["alter"]) || begins(&["set"]) {
        if let Some(mut cursor) = Cursor::new(text, statement, strings)
            && let Some(declaration) = read_change(&mut cursor)
        {
            facts.declarations.push(declaration);
        }
    } else if is_transaction_control(text, statement) {
        facts.declarations.push(Declaration::TransactionControl { offset: statement.start });
    }
    Ok(())
}

/// `TransactionStmt` of the grammar.
fn is_transaction_control(text: &[u8], statement: &Statement) -> bool {
    const STATEMENTS: [&[&str]; 9] = [
        &["begin"],
        &["start", "transaction"],
        &["commit"],
        &["end"],
        &["rollback"],
        &["abort"],
        &["savepoint"],
        &["release"],
        &["prepare", "transaction"],
    ];
    STATEMENTS.iter().any(|words| statement.begins_with(text, words))
}

/// DROP, ALTER and SET, as far as they concern routines.
fn read_change(cursor: &mut Cursor<'_>) -> Option<Declaration> {
    if cursor.word("drop") {
        if !routine_word(cursor) {
            return None;
        }
        cursor.words(&["if", "exists"]);
        let mut names = vec![routine_name(cursor)?];
        while cursor.sign(b',') {
            names.push(routine_name(cursor)?);
        }
        return Some(Declaration::Drop(names));
    }
    if cursor.words(&["alter", "extension"]) {
        cursor.name()?.ok()?;
        if !cursor.word("drop") || !routine_word(cursor) {
            return None;
        }
        return Some(Declaration::RemoveMember(routine_name(cursor)?));
    }
    if cursor.word("alter") {
        if !routine_word(cursor) {
            return None;
        }
        let from = routine_name(cursor)?;
        if !cursor.words(&["rename", "to"]) {
            return None;
        }
        return Some(Declaration::Rename(from, cursor.name()?.ok()?));
    }
    cursor.word("set");
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

fn routine_word(cursor: &mut Cursor<'_>) -> bool {
    cursor.word("function") || cursor.word("procedure") || cursor.word("routine")
}

/// `function_with_argtypes`.
fn routine_name(cursor: &mut Cursor<'_>) -> Option<RoutineName> {
    let mut names = cursor.qualified_name()?.ok()?;
    let name = names.pop()?;
    let arguments = if cursor.sign(b'(') { Some(routine::argument_types(cursor)?) } else { None };
    Some(RoutineName { schema: names.pop(), name, arguments })
}

/// Looks in code for statements that create C functions.
fn find_dynamic(code: &[u8], offset: usize, facts: &mut ScriptFacts) {
    if !mentions_c_language(code) {
        return;
    }
    let mut found = Vec::new();
    read_code(code, 0, &mut found);
    if found.is_empty() {
        facts.dynamic.push(DynamicRoutine { routine: None, offset });
    }
    for routine in found {
        facts.dynamic.push(DynamicRoutine { routine: Some(routine), offset });
    }
}

/// CREATE statements that stand in the code itself or in its string constants.
fn read_code(code: &[u8], depth: usize, found: &mut Vec<Routine>) {
    let strings = StandardConformingStrings::On;
    let mut tokens = Lexer::new(code, strings);
    while let Some(token) = tokens.next() {
        if creates_routine(code, token, &tokens) {
            let rest = code.get(token.start..).unwrap_or_default();
            let Some(statement) = Statements::new(rest, strings).next() else { continue };
            if let Ok(routine) = read_routine(rest, &statement, strings)
                && routine.c_link().is_some()
            {
                found.push(routine);
            }
            // Read or not, the statement is done with: otherwise code made of nothing but these two words
            // would be read once per word.
            tokens = Lexer::range(code, token.start + statement.end, code.len(), strings);
        } else if depth < limits::NESTED_CODE
            && let Some(Ok(value)) = literal::string_value(code, &token, b'\\')
            && mentions_c_language(&value)
        {
            read_code(&value, depth + 1, found);
        }
    }
}

/// Whether CREATE [OR REPLACE] FUNCTION or PROCEDURE begins at `token`; `behind` are the tokens behind it.
fn creates_routine(code: &[u8], token: Token, behind: &Lexer<'_>) -> bool {
    let is = |token: Token, word: &str| {
        token.kind == TokenKind::Word && token.text(code).eq_ignore_ascii_case(word.as_bytes())
    };
    if !is(token, "create") {
        return false;
    }
    let mut next = behind.clone().filter(|&token| !is(token, "or") && !is(token, "replace"));
    next.next().is_some_and(|token| is(token, "function") || is(token, "procedure"))
}

/// Whether both CREATE and `LANGUAGE c` occur, in any case and with quotes or doubled quotes between.
fn mentions_c_language(code: &[u8]) -> bool {
    let lower = code.to_ascii_lowercase();
    if lower.find("create").is_none() {
        return false;
    }
    lower.find_iter("language").any(|at| {
        let rest = lower.get(at + "language".len()..).unwrap_or_default();
        let name = rest.trim_start_with(|c| c.is_ascii_whitespace() || c == '\'' || c == '"');
        name.len() < rest.len()
            && name.first() == Some(&b'c')
            && !name.get(1).is_some_and(|&b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(sql: &str) -> ScriptFacts {
        scan_script(sql.as_bytes(), StandardConformingStrings::On)
    }

    fn names(facts: &ScriptFacts) -> Vec<&str> {
        let name = |declaration: &_| match declaration {
            Declaration::Create(routine) => Some(std::str::from_utf8(&routine.name).unwrap().to_owned()),
            _ => None,
        };
        facts.declarations.iter().filter_map(name).map(|name| -> &str { name.leak() }).collect()
    }

    #[test]
    fn text_that_looks_like_a_statement_is_none() {
        let facts = scan(
            "-- CREATE FUNCTION a() RETURNS int LANGUAGE c AS 'x';\n\
             /* CREATE FUNCTION b() RETURNS int LANGUAGE c AS 'x'; */\n\
             COMMENT ON FUNCTION d() IS 'CREATE FUNCTION c() RETURNS int LANGUAGE c AS ''x'';';\n\
             CREATE FUNCTION d() RETURNS int LANGUAGE c AS 'x';",
        );
        assert_eq!(names(&facts), ["d"]);
        assert_eq!(facts.error, None);
        assert_eq!(facts.dynamic, []);
    }

    #[test]
    fn changes_of_routines_are_told_in_order() {
        let sql = "DROP FUNCTION IF EXISTS a(int), s.b CASCADE; ALTER FUNCTION c(text) RENAME TO d;\
             ALTER EXTENSION e DROP FUNCTION f(OUT int, text); ALTER TABLE t RENAME TO u; LOAD '$libdir/x';\
             SET standard_conforming_strings = off; DROP TYPE t; COMMIT";
        let facts = scan(sql);
        let routine = |schema: Option<&str>, name: &str, arguments: Option<&[&str]>| RoutineName {
            schema: schema.map(Into::into),
            name: name.into(),
            arguments: arguments.map(|types| types.iter().map(|&t| t.into()).collect()),
        };
        assert_eq!(
            facts.declarations[..4],
            [
                Declaration::Drop(vec![routine(None, "a", Some(&["int4"])), routine(Some("s"), "b", None)]),
                Declaration::Rename(routine(None, "c", Some(&["text"])), b"d".to_vec()),
                Declaration::RemoveMember(routine(None, "f", Some(&["text"]))),
                Declaration::Load { file: b"$libdir/x".to_vec(), offset: sql.find("LOAD").unwrap() },
            ]
        );
        assert_eq!(
            facts.declarations[4],
            Declaration::SetStandardConformingStrings(StandardConformingStrings::Off)
        );
        assert!(matches!(facts.declarations[5], Declaration::TransactionControl { .. }));
        assert_eq!(facts.declarations.len(), 6);
    }

    #[test]
    fn functions_created_by_code_are_dynamic() {
        let facts = scan(
            "DO LANGUAGE plpgsql $do$ BEGIN\n\
               IF true THEN CREATE FUNCTION a() RETURNS int LANGUAGE c AS 'x'; END IF;\n\
               EXECUTE $q$ CREATE OR REPLACE FUNCTION b() RETURNS int AS 'x', 'y' LANGUAGE 'c' $q$;\n\
             END $do$; DO 'BEGIN EXECUTE ''CREATE FUNCTION '' || n || ''() RETURNS int LANGUAGE C'' || x; END';\
             DO $$ BEGIN UPDATE pg_proc SET prolang = 1; END $$",
        );
        assert_eq!(names(&facts), [""; 0]);
        let found: Vec<_> = facts
            .dynamic
            .iter()
            .map(|dynamic| dynamic.routine.as_ref().map(|routine| routine.name.clone()))
            .collect();
        assert_eq!(found, [Some(b"a".to_vec()), Some(b"b".to_vec()), None]);
    }

    #[test]
    fn the_first_error_of_the_script_wins() {
        let facts = scan("CREATE FUNCTION f() AS 1; SELECT 'x");
        assert_eq!(facts.error.unwrap().message, "syntax error at or near \"1\"");
        let facts = scan("\\quit\nCREATE FUNCTION f() AS 1;");
        assert_eq!(facts.error.unwrap().offset, 0);
    }
}
