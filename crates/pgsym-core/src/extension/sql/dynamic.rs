//! C functions that the code of a script would create when it runs: statements in the body of a DO block or of a
//! function, or in a string constant there, which EXECUTE may be given. Whether the code comes to them, nobody can tell
//! who does not run it.

use bstr::ByteSlice;

use super::dialect::StandardConformingStrings;
use super::lexer::{Lexer, Token, TokenKind};
use super::literal::string_value;
use super::routine::{Routine, read_routine};
use super::split::Statements;
use crate::limits;

/// A C function that code in the script would create when it runs: whether it does cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamicRoutine {
    /// The function, where the whole statement stands in the code; `None` where it is put together at run time.
    pub routine: Option<Routine>,
    /// Offset, in the preprocessed text, of the statement that holds the code.
    pub offset: usize,
}

/// The C functions that the code of a statement at `offset` would create.
pub(super) fn dynamic_routines(code: &[u8], offset: usize) -> Vec<DynamicRoutine> {
    if !mentions_c_language(code) {
        return Vec::new();
    }
    let mut found = Vec::new();
    read_code(code, 0, &mut found);
    if found.is_empty() {
        return vec![DynamicRoutine { routine: None, offset }];
    }
    found.into_iter().map(|routine| DynamicRoutine { routine: Some(routine), offset }).collect()
}

/// CREATE statements that stand in the code itself or in its string constants.
fn read_code(code: &[u8], depth: usize, found: &mut Vec<Routine>) {
    let strings = StandardConformingStrings::On;
    let mut tokens = Lexer::new(code, strings);
    while let Some(token) = tokens.next() {
        if creates_routine(code, token, &tokens) {
            let rest = code.get(token.start..).unwrap_or_default();
            let mut statements = Statements::new(rest, strings);
            let Some(statement) = statements.next() else { continue };
            if let Ok(routine) = read_routine(&statements, &statement)
                && routine.c_link().is_some()
            {
                found.push(routine);
            }
            // Read or not, the statement is done with: otherwise code made of nothing but these two words
            // would be read once per word.
            tokens = Lexer::range(code, token.start + statement.end, code.len(), strings);
        } else if depth < limits::NESTED_CODE
            && let Some(Ok(value)) = string_value(code, &token, b'\\')
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
    use super::super::scan::{Declaration, scan_script};
    use super::*;

    #[test]
    fn functions_created_by_code_are_dynamic() {
        let sql = "DO LANGUAGE plpgsql $do$ BEGIN\n\
               IF true THEN CREATE FUNCTION a() RETURNS int LANGUAGE c AS 'x'; END IF;\n\
               EXECUTE $q$ CREATE OR REPLACE FUNCTION b() RETURNS int AS 'x', 'y' LANGUAGE 'c' $q$;\n\
             END $do$; DO 'BEGIN EXECUTE ''CREATE FUNCTION '' || n || ''() RETURNS int LANGUAGE C'' || x; END';\
             DO $$ BEGIN UPDATE pg_proc SET prolang = 1; END $$";
        let facts = scan_script(sql.as_bytes(), StandardConformingStrings::On);
        assert!(!facts.declarations.iter().any(|found| matches!(found, Declaration::Create(_))));
        let found: Vec<_> = facts
            .dynamic
            .iter()
            .map(|dynamic| dynamic.routine.as_ref().map(|routine| routine.name.clone()))
            .collect();
        assert_eq!(found, [Some(b"a".to_vec()), Some(b"b".to_vec()), None]);
    }
}
