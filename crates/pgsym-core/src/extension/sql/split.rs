//! Cuts a script into statements. A `;` ends a statement except inside the parenthesised action list of
//! CREATE RULE and inside a `BEGIN ATOMIC … END` body (src/backend/parser/gram.y: RuleActionMulti and
//! routine_body_stmt_list); the words a statement begins with say whether anybody needs to read the rest of it,
//! which keeps a script of seven megabytes of INSERTs cheap.

use super::lexer::{Lexer, StandardConformingStrings, Token, TokenKind};
use crate::name::Shown;

/// Words that classify a statement: CREATE OR REPLACE TRUSTED PROCEDURAL LANGUAGE is the longest head.
const HEAD_WORDS: usize = 6;

/// A syntax error that the server's raw parser would raise. It parses the whole script first, so nothing runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The server's message after `ERROR:`, as far as it can be told.
    pub message: String,
    /// Bytes from the start of the preprocessed text.
    pub offset: usize,
}

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
        words.len() <= self.word_count
            && words.iter().zip(&self.words).all(|(word, &(start, end))| {
                text.get(start..end).is_some_and(|written| written.eq_ignore_ascii_case(word.as_bytes()))
            })
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
    tokens: Lexer<'a>,
    error: Option<SyntaxError>,
}

impl<'a> Statements<'a> {
    /// Cuts `text`.
    pub fn new(text: &'a [u8], strings: StandardConformingStrings) -> Self {
        Self { text, tokens: Lexer::new(text, strings), error: None }
    }

    /// The first error met so far; after the last statement, that of the script.
    pub fn error(&self) -> Option<&SyntaxError> {
        self.error.as_ref()
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
            let token = self.tokens.next()?;
            if token.kind != TokenKind::Sign(b';') {
                break token;
            }
        };
        let mut statement =
            Statement { start: first.start, end: first.end, words: [(0, 0); HEAD_WORDS], word_count: 0 };
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
            previous = Some(token);
            next = self.tokens.next();
        }
        if depth > 0 || in_atomic_body {
            self.fail(|| "syntax error at end of input".to_owned(), self.text.len());
        }
        Some(statement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
