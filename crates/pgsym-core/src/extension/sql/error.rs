//! Where the server stops reading a script and what it says there (src/backend/parser/gram.y and scan.l): the grammar
//! has no rule for a token, the scanner refuses a constant, or the code behind a rule raises an error of its own. The
//! readers of single statements return a [`Stop`]; with the statement's place it becomes a [`SyntaxError`].

use super::cursor::Cursor;
use super::lexer::Token;
use super::literal::{LiteralError, name_value, string_value};
use super::split::{Statement, Statements};
use crate::name::Shown;

/// A syntax error that the server's raw parser would raise. It parses the whole script first, so nothing runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The server's message after `ERROR:`, as far as it can be told.
    pub message: String,
    /// Bytes from the start of the preprocessed text.
    pub offset: usize,
}

impl From<LiteralError> for SyntaxError {
    fn from(error: LiteralError) -> Self {
        Self { message: error.message.to_owned(), offset: error.offset }
    }
}

/// The error at a token. A malformed constant is one of the scanner, which comes before the grammar.
pub(super) fn near(text: &[u8], token: Token) -> SyntaxError {
    let decoded = string_value(text, &token, b'\\').or_else(|| name_value(text, &token, b'\\'));
    match decoded {
        Some(Err(error)) => error.into(),
        _ => SyntaxError {
            message: format!("syntax error at or near \"{}\"", Shown(token.text(text))),
            offset: token.start,
        },
    }
}

/// Why reading stopped: the grammar has no rule for the cursor's next token, a literal is malformed, or the code behind a
/// rule of the grammar raises this error at this offset.
pub(super) enum Stop {
    Grammar,
    Literal(LiteralError),
    Message(&'static str, usize),
}

impl Stop {
    /// The server's error.
    pub(super) fn error(
        self,
        cursor: &Cursor<'_>,
        statements: &Statements<'_>,
        statement: &Statement,
    ) -> SyntaxError {
        match self {
            Self::Grammar => statements.stopped(cursor, statement),
            Self::Literal(error) => error.into(),
            Self::Message(message, offset) => SyntaxError { message: message.to_owned(), offset },
        }
    }
}

impl From<LiteralError> for Stop {
    fn from(error: LiteralError) -> Self {
        Self::Literal(error)
    }
}

/// Goes on only where a rule of the grammar found what it asks for.
pub(super) fn expect(found: bool) -> Result<(), Stop> {
    if found { Ok(()) } else { Err(Stop::Grammar) }
}
