//! A statement's tokens, read one after the other by the readers of single statements. Each method either
//! takes what it names, or leaves the cursor where it was; nothing recurses, so nesting costs nothing.

use std::cell::Cell;

use super::dialect::Dialect;
use super::keywords::{Category, category};
use super::lexer::{Token, TokenKind};
use super::literal::{self, LiteralError};

/// Reads the tokens of one statement.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    tokens: &'a [Token],
    dialect: Dialect,
    position: usize,
    /// The furthest token that was asked for by what it must be. Everything before it fitted some rule, so it is the
    /// one at which the server's parser, which never goes back, stops.
    furthest: Cell<usize>,
}

impl<'a> Cursor<'a> {
    /// A cursor over tokens of `text`.
    pub(super) fn new(text: &'a [u8], tokens: &'a [Token], dialect: Dialect) -> Self {
        Self { text, tokens, dialect, position: 0, furthest: Cell::new(0) }
    }

    /// A cursor over a part of this one's tokens.
    pub(super) fn part(&self, from: usize, to: usize) -> Self {
        Self::new(self.text, self.tokens.get(from..to).unwrap_or_default(), self.dialect)
    }

    /// Whose server reads.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Index of the furthest token that was asked for.
    pub(super) fn furthest(&self) -> usize {
        self.furthest.get()
    }

    /// Takes over how far a cursor over a part got, which begins at the token `from`.
    pub(super) fn reached(&self, from: usize, part: &Self) {
        self.furthest.set(self.furthest.get().max(from + part.furthest()));
    }

    /// The token at which the server stops.
    pub(super) fn stop(&self) -> Option<Token> {
        self.tokens.get(self.furthest()).copied()
    }

    /// Index of the next token.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Goes back, or forward, to a token.
    pub(super) fn seek(&mut self, position: usize) {
        self.position = position;
    }

    /// The next token, which stays.
    pub(super) fn peek(&self) -> Option<Token> {
        self.furthest.set(self.furthest.get().max(self.position));
        self.tokens.get(self.position).copied()
    }

    /// The next token, whatever it is, which is taken.
    pub(super) fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.position).copied()?;
        self.position += 1;
        Some(token)
    }

    /// The text of the next token, which is taken.
    pub(super) fn take_text(&mut self) -> Option<&'a [u8]> {
        let text = self.text;
        self.take().map(|token| token.text(text))
    }

    /// Whether every token was taken.
    pub(super) fn is_at_end(&self) -> bool {
        self.peek().is_none()
    }

    /// Whether the next token is this unquoted word.
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.peek().is_some_and(|token| self.token_is_word(token, word))
    }

    fn token_is_word(&self, token: Token, word: &str) -> bool {
        // Most comparisons end at the length.
        token.kind == TokenKind::Word
            && token.end - token.start == word.len()
            && token.text(self.text).eq_ignore_ascii_case(word.as_bytes())
    }

    /// Takes this word, if it is next.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.position += usize::from(found);
        found
    }

    /// Takes these words, if they are next, all of them.
    pub(super) fn words(&mut self, words: &[&str]) -> bool {
        let start = self.position;
        let found = words.iter().all(|word| self.word(word));
        if !found {
            self.position = start;
        }
        found
    }

    /// Takes this sign, if it is next.
    pub(super) fn sign(&mut self, sign: u8) -> bool {
        let found = self.peek().is_some_and(|token| token.kind == TokenKind::Sign(sign));
        self.position += usize::from(found);
        found
    }

    /// Takes the rest of a parenthesis, or bracket, whose opening was just taken; false when it has no end.
    pub(super) fn close(&mut self) -> bool {
        let mut depth = 1_usize;
        while let Some(token) = self.take() {
            match token.kind {
                TokenKind::Sign(b'(' | b'[') => depth += 1,
                TokenKind::Sign(b')' | b']') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return true;
            }
        }
        self.exhaust();
        false
    }

    /// Something has no end: the server reads on, at most to where the statement ends.
    pub(super) fn exhaust(&self) {
        self.furthest.set(self.tokens.len());
    }

    /// Takes a whole number; one that does not fit counts as the largest.
    pub(super) fn take_number(&mut self) -> Option<u32> {
        let token = self.peek().filter(|token| token.kind == TokenKind::Number)?;
        self.position += 1;
        Some(token.text(self.text).iter().fold(0_u32, |value, &digit| {
            value.saturating_mul(10).saturating_add(u32::from(digit.wrapping_sub(b'0')))
        }))
    }

    /// Takes a whole number (`Iconst`), if one is next.
    pub(super) fn take_integer(&mut self) -> bool {
        let found = self.peek().is_some_and(|token| {
            token.kind == TokenKind::Number
                && !token.text(self.text).iter().any(|b| matches!(b, b'.' | b'e' | b'E'))
        });
        self.position += usize::from(found);
        found
    }

    /// Takes a string constant (`Sconst`), with its UESCAPE clause.
    pub(super) fn string(&mut self) -> Option<Result<Vec<u8>, LiteralError>> {
        let token = self.peek()?;
        let uescape = self.uescape(token, TokenKind::UnicodeText);
        let value = literal::string_value(self.text, &token, uescape.0)?;
        self.position += uescape.1;
        Some(value)
    }

    /// The category of the next token, if it is a key word that cannot be every name.
    pub(super) fn category(&self) -> Option<Category> {
        let token = self.peek().filter(|token| token.kind == TokenKind::Word)?;
        category(token.text(self.text), self.dialect)
    }

    /// Takes a name or key word.
    pub(super) fn name(&mut self) -> Option<Result<Vec<u8>, LiteralError>> {
        let token = self.peek()?;
        let uescape = self.uescape(token, TokenKind::UnicodeName);
        let value = literal::name_value(self.text, &token, uescape.0)?;
        self.position += uescape.1;
        Some(value)
    }

    /// The escape character of the token that is next, and how many tokens make the constant.
    fn uescape(&self, token: Token, kind: TokenKind) -> (u8, usize) {
        if token.kind == kind
            && self.tokens.get(self.position + 1).is_some_and(|&next| self.token_is_word(next, "uescape"))
            && let Some(value) = self.tokens.get(self.position + 2)
            && let [b'\'', character, b'\''] = value.text(self.text)
        {
            return (*character, 3);
        }
        (b'\\', 1)
    }

    /// Takes a name with its qualifiers: the parts, last one the object's own.
    pub(super) fn qualified_name(&mut self) -> Option<Result<Vec<Vec<u8>>, LiteralError>> {
        let mut parts = Vec::new();
        loop {
            match self.name()? {
                Ok(part) => parts.push(part),
                Err(error) => return Some(Err(error)),
            }
            if !self.sign(b'.') {
                return Some(Ok(parts));
            }
        }
    }
}
