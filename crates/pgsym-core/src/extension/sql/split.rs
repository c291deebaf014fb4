//! Cuts a script into statements. A `;` ends a statement except inside the parenthesised action list of
//! CREATE RULE and inside a `BEGIN ATOMIC … END` body (src/backend/parser/gram.y: RuleActionMulti and
//! routine_body_stmt_list); the words a statement begins with say whether anybody needs to read the rest of it,
//! which keeps a script of seven megabytes of INSERTs cheap.

use super::cursor::Cursor;
use super::dialect::Dialect;
use super::error::{SyntaxError, near};
use super::lexer::{Lexer, Token, TokenKind};
use crate::limits;
use crate::name::Shown;

/// Words that classify a statement: CREATE OR REPLACE TRUSTED PROCEDURAL LANGUAGE is the longest head.
const HEAD_WORDS: usize = 6;

/// A statement's place and its first words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// Its first byte.
    pub start: usize,
    /// The byte behind its last token; the `;` is not part of it.
    pub end: usize,
    words: [(usize, usize); HEAD_WORDS],
    word_count: usize,
}

impl Statement {
    /// Whether the statement begins with these words, written in lower case here and in any case there.
    pub fn begins_with(&self, text: &[u8], words: &[&str]) -> bool {
        let is_written = |(index, word): (usize, &&str)| {
            self.word(text, index).is_some_and(|written| written.eq_ignore_ascii_case(word.as_bytes()))
        };
        words.iter().enumerate().all(is_written)
    }

    /// The word of this index, if the statement begins with as many words.
    pub fn word<'a>(&self, text: &'a [u8], index: usize) -> Option<&'a [u8]> {
        let &(start, end) = self.words.get(..self.word_count)?.get(index)?;
        text.get(start..end)
    }

    /// Whether it is CREATE or CREATE OR REPLACE of this kind of object.
    pub fn creates(&self, text: &[u8], kind: &str) -> bool {
        self.begins_with(text, &["create", kind])
            || self.begins_with(text, &["create", "or", "replace", kind])
    }
}

/// The statements of a script, in order.
#[derive(Debug, Clone)]
pub struct Statements<'a> {
    text: &'a [u8],
    dialect: Dialect,
    lexer: Lexer<'a>,
    /// Those of the last statement, as far as anybody reads them.
    tokens: Vec<Token>,
    error: Option<SyntaxError>,
}

impl<'a> Statements<'a> {
    /// Cuts `text`.
    pub fn new(text: &'a [u8], dialect: impl Into<Dialect>) -> Self {
        let dialect = dialect.into();
        Self { text, dialect, lexer: Lexer::new(text, dialect.strings), tokens: Vec::new(), error: None }
    }

    /// The first error met so far; after the last statement, that of the script.
    pub fn error(&self) -> Option<&SyntaxError> {
        self.error.as_ref()
    }

    /// The first token of the statement that came last.
    pub(super) fn first_token(&self) -> Option<Token> {
        self.tokens.first().copied()
    }

    /// The tokens of the statement that came last, or `None` when it has more than any statement worth reading has
    /// ([`limits::STATEMENT_TOKENS`]).
    pub(super) fn cursor(&self) -> Option<Cursor<'_>> {
        (self.tokens.len() <= limits::STATEMENT_TOKENS)
            .then(|| Cursor::new(self.text, &self.tokens, self.dialect))
    }

    /// The error at the token where the server stops, which has read `cursor` so far; behind the statement's last one, at the
    /// `;` or at the end.
    pub(super) fn stopped(&self, cursor: &Cursor<'_>, statement: &Statement) -> SyntaxError {
        let mut behind = self.lexer.clone();
        behind.seek(statement.end);
        match cursor.stop().or_else(|| behind.next()) {
            Some(token) => near(self.text, token),
            None => {
                SyntaxError { message: "syntax error at end of input".to_owned(), offset: self.text.len() }
            }
        }
    }

    fn fail(&mut self, message: impl FnOnce() -> String, offset: usize) {
        if self.error.is_none() {
            self.error = Some(SyntaxError { message: message(), offset });
        }
    }

    fn fail_near(&mut self, token: Token) {
        let text = self.text;
        self.fail(|| format!("syntax error at or near \"{}\"", Shown(token.text(text))), token.start);
    }

    fn word_is(&self, token: Token, word: &str) -> bool {
        token.kind == TokenKind::Word && token.text(self.text).eq_ignore_ascii_case(word.as_bytes())
    }
}

impl Iterator for Statements<'_> {
    type Item = Statement;

    fn next(&mut self) -> Option<Statement> {
        let first = loop {
            let token = self.lexer.next()?;
            if token.kind != TokenKind::Sign(b';') {
                break token;
            }
        };
        let mut statement =
            Statement { start: first.start, end: first.end, words: [(0, 0); HEAD_WORDS], word_count: 0 };
        self.tokens.clear();
        let mut in_head = true;
        let mut depth = 0_usize;
        let mut in_atomic_body = false;
        let mut previous: Option<Token> = None;
        let mut next = Some(first);
        while let Some(token) = next {
            if in_head {
                in_head = token.kind == TokenKind::Word && statement.word_count < HEAD_WORDS;
                if in_head && let Some(slot) = statement.words.get_mut(statement.word_count) {
                    *slot = (token.start, token.end);
                    statement.word_count += 1;
                }
            }
            match token.kind {
                TokenKind::Sign(b'(') => depth += 1,
                TokenKind::Sign(b')') => match depth.checked_sub(1) {
                    Some(less) => depth = less,
                    None => self.fail_near(token),
                },
                TokenKind::Sign(b';') if !in_atomic_body => {
                    if depth == 0 {
                        return Some(statement);
                    }
                    if !statement.creates(self.text, "rule") {
                        self.fail_near(token);
                        return Some(statement);
                    }
                }
                TokenKind::Word if depth == 0 => {
                    if in_atomic_body {
                        // Only behind ATOMIC or a `;` is END the body's own: CASE … END holds no `;`.
                        let closes = previous.is_some_and(|previous| {
                            previous.kind == TokenKind::Sign(b';') || self.word_is(previous, "atomic")
                        });
                        in_atomic_body = !(closes && self.word_is(token, "end"));
                    } else if self.word_is(token, "atomic")
                        && previous.is_some_and(|previous| self.word_is(previous, "begin"))
                        && (statement.creates(self.text, "function")
                            || statement.creates(self.text, "procedure"))
                    {
                        in_atomic_body = true;
                    }
                }
                TokenKind::Stray => self.fail_near(token),
                TokenKind::Unterminated(open) => {
                    let text = self.text;
                    self.fail(
                        || {
                            let near: Vec<u8> = token.text(text).iter().copied().take(60).collect();
                            format!("{} at or near \"{}\"", open.message(), Shown(&near))
                        },
                        token.start,
                    );
                }
                _ => {}
            }
            statement.end = token.end;
            // One more than is read, which tells that there are too many.
            if self.tokens.len() <= limits::STATEMENT_TOKENS {
                self.tokens.push(token);
            }
            previous = Some(token);
            next = self.lexer.next();
        }
        if depth > 0 || in_atomic_body {
            self.fail(|| "syntax error at end of input".to_owned(), self.text.len());
        }
        Some(statement)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::dialect::StandardConformingStrings;
    use super::*;

    /// Reads the only statement of `sql`.
    pub(in super::super) fn with_cursor<T>(sql: &str, read: impl FnOnce(&mut Cursor<'_>) -> T) -> T {
        let mut statements = Statements::new(sql.as_bytes(), StandardConformingStrings::On);
        statements.next().expect("a statement");
        read(&mut statements.cursor().expect("not too many tokens"))
    }

    fn split(sql: &str) -> (Vec<&str>, Option<String>) {
        let mut statements = Statements::new(sql.as_bytes(), StandardConformingStrings::On);
        let found = statements.by_ref().map(|statement| &sql[statement.start..statement.end]).collect();
        (found, statements.error().map(|error| error.message.clone()))
    }

    #[test]
    fn semicolons_inside_literals_comments_and_rules_do_not_split() {
        let (found, error) = split("a ';' $$;$$ /* ; */ \";\" ;; b; CREATE RULE r AS DO (c; d); e");
        assert_eq!(found, ["a ';' $$;$$ /* ; */ \";\"", "b", "CREATE RULE r AS DO (c; d)", "e"]);
        assert_eq!(error, None);
    }

    #[test]
    fn an_atomic_body_ends_at_its_own_end() {
        let body = "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; \
                    SELECT b AS \"end\"; END";
        let sql = format!("{body}; SELECT 1");
        assert_eq!(split(&sql), (vec![body, "SELECT 1"], None));
        let empty = "CREATE PROCEDURE p() BEGIN ATOMIC END; BEGIN";
        assert_eq!(split(empty).0, ["CREATE PROCEDURE p() BEGIN ATOMIC END", "BEGIN"]);
    }

    #[test]
    fn errors_that_stop_the_whole_script_are_told_in_the_servers_words() {
        assert_eq!(split("a; \\quit").1.unwrap(), "syntax error at or near \"\\\"");
        assert_eq!(split("a (b; c").1.unwrap(), "syntax error at or near \";\"");
        assert_eq!(split("a (b").1.unwrap(), "syntax error at end of input");
        assert_eq!(split("a )").1.unwrap(), "syntax error at or near \")\"");
        assert_eq!(split("a 'b;").1.unwrap(), "unterminated quoted string at or near \"'b;\"");
    }

    #[test]
    fn a_broken_statement_does_not_swallow_the_next() {
        assert_eq!(split("a (b; CREATE FUNCTION f()").0, ["a (b", "CREATE FUNCTION f()"]);
    }

    #[test]
    fn the_first_words_classify_a_statement() {
        let sql = b"Create /* x */ OR replace Function f()";
        let statement = Statements::new(sql, StandardConformingStrings::On).next().unwrap();
        assert!(statement.creates(sql, "function"));
        assert!(!statement.creates(sql, "procedure"));
    }
}
