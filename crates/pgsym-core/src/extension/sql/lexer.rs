//! The tokens of a script, cut exactly where PostgreSQL's own scanner cuts them
//! (src/backend/parser/scan.l). Input is the script after the server's preprocessing; the statement splitter and the
//! readers of single statements use the tokens, which are ranges and are decoded only when somebody asks.
//!
//! What makes SQL hard to cut, and is modelled here: block comments nest; literals separated by white space with
//! a newline are one literal; a dollar quote does not open inside an identifier; an operator ends where a
//! comment begins and gives back trailing signs; `n'…'` is a keyword and then a string.

use bstr::ByteSlice;

use super::dialect::StandardConformingStrings;

/// What a token is. Values are decoded by `literal.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// An unquoted identifier or a key word.
    Word,
    /// `"…"`.
    QuotedName,
    /// `U&"…"`.
    UnicodeName,
    /// `'…'`, with its continuations.
    Text,
    /// `E'…'`, or `'…'` while standard_conforming_strings is off.
    EscapeText,
    /// `U&'…'`.
    UnicodeText,
    /// `$tag$…$tag$`.
    DollarText,
    /// `B'…'` or `X'…'`.
    BitText,
    /// A number.
    Number,
    /// `$1`.
    Parameter,
    /// One of `, ( ) [ ] . ; : + - * / % ^ < > =` alone.
    Sign(u8),
    /// `::`, `..`, `:=`, or an operator of more than one character.
    Operator,
    /// A byte that begins no token of the language, such as a backslash: always a syntax error.
    Stray,
    /// A literal, name or comment that the end of the script cuts off. It is the last token.
    Unterminated(Open),
}

/// What was open when the script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// `/*`.
    Comment,
    /// Any quoted string but those below.
    QuotedString,
    /// `B'`.
    BitString,
    /// `X'`.
    HexString,
    /// `$tag$`.
    DollarString,
    /// `"`.
    QuotedName,
}

impl Open {
    /// The scanner's message.
    pub fn message(self) -> &'static str {
        match self {
            Open::Comment => "unterminated /* comment",
            Open::QuotedString => "unterminated quoted string",
            Open::BitString => "unterminated bit string literal",
            Open::HexString => "unterminated hexadecimal string literal",
            Open::DollarString => "unterminated dollar-quoted string",
            Open::QuotedName => "unterminated quoted identifier",
        }
    }
}

/// A token: what it is and where, in bytes from the start of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its first byte.
    pub start: usize,
    /// The byte behind it.
    pub end: usize,
}

impl Token {
    /// The token as written.
    pub fn text<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// Cuts a text into tokens; white space and comments are not among them.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    /// Cut off where the tokens end.
    text: &'a [u8],
    position: usize,
    strings: StandardConformingStrings,
}

impl<'a> Lexer<'a> {
    /// The tokens of all of `text`.
    pub fn new(text: &'a [u8], strings: StandardConformingStrings) -> Self {
        Self { text, position: 0, strings }
    }

    /// The tokens of a part of `text`; offsets are those of the whole.
    pub fn range(text: &'a [u8], start: usize, end: usize, strings: StandardConformingStrings) -> Self {
        Self { text: text.get(..end).unwrap_or(text), position: start.min(text.len()), strings }
    }

    /// Goes on at an offset.
    pub(super) fn seek(&mut self, position: usize) {
        self.position = position;
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    fn rest(&self, from: usize) -> &'a [u8] {
        self.text.get(from..).unwrap_or_default()
    }

    /// Moves over white space and comments. An unterminated comment is a token.
    fn skip_blank(&mut self) -> Option<Token> {
        loop {
            match self.byte(self.position)? {
                b if class(b) == Class::Space => {
                    let rest = self.rest(self.position);
                    let behind = rest.iter().position(|&b| class(b) != Class::Space);
                    self.position += behind.unwrap_or(rest.len());
                }
                b'-' if self.byte(self.position + 1) == Some(b'-') => {
                    self.position = self.line_end(self.position);
                }
                b'/' if self.byte(self.position + 1) == Some(b'*') => {
                    let start = self.position;
                    match self.comment_end(start + 2) {
                        Some(end) => self.position = end,
                        None => return Some(self.unterminated(start, Open::Comment)),
                    }
                }
                _ => return None,
            }
        }
    }

    /// The offset of the newline that ends a `--` comment, or the end of the text.
    fn line_end(&self, from: usize) -> usize {
        self.rest(from).find_byteset(b"\n\r").map_or(self.text.len(), |length| from + length)
    }

    /// The offset behind the `*/` that closes a comment whose `/*` ends at `from`; comments nest.
    fn comment_end(&self, from: usize) -> Option<usize> {
        let mut depth = 1_usize;
        let mut at = from;
        loop {
            at += self.rest(at).find_byteset(b"*/")?;
            match (self.byte(at)?, self.byte(at + 1)) {
                (b'*', Some(b'/')) => {
                    depth -= 1;
                    at += 2;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                (b'/', Some(b'*')) => {
                    depth += 1;
                    at += 2;
                }
                _ => at += 1,
            }
        }
    }

    fn unterminated(&mut self, start: usize, open: Open) -> Token {
        self.position = self.text.len();
        Token { kind: TokenKind::Unterminated(open), start, end: self.text.len() }
    }

    /// Ends a token at `end`, or at the end of the text when there is no end.
    fn finish(&mut self, kind: TokenKind, start: usize, end: Option<usize>, open: Open) -> Token {
        match end {
            Some(end) => {
                self.position = end;
                Token { kind, start, end }
            }
            None => self.unterminated(start, open),
        }
    }

    /// The offset behind a `'…'` literal whose first character is at `from`.
    fn quoted_end(&self, mut from: usize, style: Style) -> Option<usize> {
        loop {
            let stop = match style {
                Style::Escape => self.rest(from).find_byteset(b"'\\")?,
                Style::Doubled | Style::Plain => self.rest(from).find_byte(b'\'')?,
            };
            from += stop;
            if self.byte(from) == Some(b'\\') {
                from += 2; // the escape's letter, digit or quote; more octal digits are ordinary text
                continue;
            }
            if style != Style::Plain && self.byte(from + 1) == Some(b'\'') {
                from += 2;
                continue;
            }
            match self.continuation(from + 1) {
                Some(next) => from = next,
                None => return Some(from + 1),
            }
        }
    }

    /// Behind a closing quote: the first character of the literal that continues it, if one does
    /// (`quotecontinue`): white space with at least one newline, `--` comments allowed, then a quote.
    fn continuation(&self, mut at: usize) -> Option<usize> {
        let mut newline = false;
        loop {
            match self.byte(at)? {
                b'\n' | b'\r' => newline = true,
                b if class(b) == Class::Space => {}
                b'-' if self.byte(at + 1) == Some(b'-') => {
                    at = self.line_end(at);
                    continue;
                }
                b'\'' if newline => return Some(at + 1),
                _ => return None,
            }
            at += 1;
        }
    }

    /// `"…"` with its first character at `from`.
    fn name_end(&self, mut from: usize) -> Option<usize> {
        loop {
            from += self.rest(from).find_byte(b'"')?;
            if self.byte(from + 1) != Some(b'"') {
                return Some(from + 1);
            }
            from += 2;
        }
    }

    /// A word, or a literal with a letter before its quote.
    fn word(&mut self, start: usize, first: u8) -> Token {
        let next = self.byte(start + 1);
        if next == Some(b'\'') {
            match first.to_ascii_lowercase() {
                b'e' => {
                    let end = self.quoted_end(start + 2, Style::Escape);
                    return self.finish(TokenKind::EscapeText, start, end, Open::QuotedString);
                }
                b'b' => {
                    let end = self.quoted_end(start + 2, Style::Plain);
                    return self.finish(TokenKind::BitText, start, end, Open::BitString);
                }
                b'x' => {
                    let end = self.quoted_end(start + 2, Style::Plain);
                    return self.finish(TokenKind::BitText, start, end, Open::HexString);
                }
                _ => {}
            }
        }
        if next == Some(b'&') && first.eq_ignore_ascii_case(&b'u') {
            match self.byte(start + 2) {
                Some(b'\'') => {
                    let end = self.quoted_end(start + 3, Style::Doubled);
                    return self.finish(TokenKind::UnicodeText, start, end, Open::QuotedString);
                }
                Some(b'"') => {
                    let end = self.name_end(start + 3);
                    return self.finish(TokenKind::UnicodeName, start, end, Open::QuotedName);
                }
                _ => {}
            }
        }
        let length = self.rest(start).iter().take_while(|&&b| is_word(b)).count();
        self.position = start + length;
        Token { kind: TokenKind::Word, start, end: self.position }
    }

    /// `$1`, `$tag$…$tag$`, or a stray dollar sign.
    fn dollar(&mut self, start: usize) -> Token {
        let digits = self.rest(start + 1).iter().take_while(|b| b.is_ascii_digit()).count();
        if digits > 0 {
            self.position = start + 1 + digits;
            return Token { kind: TokenKind::Parameter, start, end: self.position };
        }
        let tag = self.rest(start + 1).iter().take_while(|&&b| is_word(b) && b != b'$').count();
        if self.byte(start + 1 + tag) != Some(b'$') {
            self.position = start + 1;
            return Token { kind: TokenKind::Stray, start, end: self.position };
        }
        // The scanner looks at every `$` inside the body as a possible delimiter, so the first place where
        // the delimiter's bytes stand is the end.
        let body = start + tag + 2;
        let delimiter = self.text.get(start..body).unwrap_or_default();
        let end = self.rest(body).find(delimiter).map(|length| body + length + delimiter.len());
        self.finish(TokenKind::DollarText, start, end, Open::DollarString)
    }

    fn number(&mut self, start: usize) -> Token {
        let mut at = self.digits(start);
        // "1..10" is 1, dot_dot, 10.
        if self.byte(at) == Some(b'.') && self.byte(at + 1) != Some(b'.') {
            at = self.digits(at + 1);
        }
        if matches!(self.byte(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.byte(at + 1), Some(b'+' | b'-')));
            if self.byte(at + 1 + sign).is_some_and(|b| b.is_ascii_digit()) {
                at = self.digits(at + 1 + sign);
            }
        }
        self.position = at;
        Token { kind: TokenKind::Number, start, end: at }
    }

    fn digits(&self, from: usize) -> usize {
        from + self.rest(from).iter().take_while(|&&b| b.is_ascii_digit() || b == b'_').count()
    }

    /// The `{operator}` rule: cut before a comment, then give back trailing signs unless the operator has a
    /// character that no SQL operator has.
    fn operator(&mut self, start: usize, byte: u8) -> Token {
        // The server refuses operators of 64 characters and more. Looking further would only make a row of
        // a million signs, each of which is given back, a million walks.
        let run = self.rest(start).iter().take(OPERATOR_BYTES);
        let run = run.take_while(|&&b| class(b) == Class::Operator).count();
        if run == 1 {
            self.position = start + 1;
            return Token { kind: single_operator(byte), start, end: start + 1 };
        }
        let mut text = self.text.get(start..start + run).unwrap_or_default();
        for comment in ["/*", "--"] {
            // A comment at the first byte was skipped before, so the cut leaves at least one byte.
            if let Some(at) = text.find(comment) {
                text = text.get(..at).unwrap_or_default();
            }
        }
        let special = |b: &u8| b"~!@#^&|`?%".contains(b);
        let mut length = text.len().max(1);
        if length > 1 && !text.get(..length - 1).unwrap_or_default().iter().any(special) {
            while length > 1 && matches!(text.get(length - 1), Some(b'+' | b'-')) {
                length -= 1;
            }
        }
        self.position = start + length;
        let kind = if length == 1 { single_operator(byte) } else { TokenKind::Operator };
        Token { kind, start, end: self.position }
    }

    fn sign(&mut self, start: usize, byte: u8) -> Token {
        let pair = match (byte, self.byte(start + 1)) {
            (b':', Some(b':' | b'=')) | (b'.', Some(b'.')) => true,
            (b'.', Some(b'0'..=b'9')) => return self.number(start),
            _ => false,
        };
        self.position = start + 1 + usize::from(pair);
        let kind = if pair { TokenKind::Operator } else { TokenKind::Sign(byte) };
        Token { kind, start, end: self.position }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if let Some(open_comment) = self.skip_blank() {
            return Some(open_comment);
        }
        let start = self.position;
        let byte = self.byte(start)?;
        Some(match class(byte) {
            Class::Word => self.word(start, byte),
            Class::Sign => self.sign(start, byte),
            Class::Operator => self.operator(start, byte),
            Class::Digit => self.number(start),
            Class::Dollar => self.dollar(start),
            Class::Quote => match self.strings {
                StandardConformingStrings::On => {
                    let end = self.quoted_end(start + 1, Style::Doubled);
                    self.finish(TokenKind::Text, start, end, Open::QuotedString)
                }
                StandardConformingStrings::Off => {
                    let end = self.quoted_end(start + 1, Style::Escape);
                    self.finish(TokenKind::EscapeText, start, end, Open::QuotedString)
                }
            },
            Class::DoubleQuote => {
                let end = self.name_end(start + 1);
                self.finish(TokenKind::QuotedName, start, end, Open::QuotedName)
            }
            Class::Space | Class::Stray => {
                self.position = start + 1;
                Token { kind: TokenKind::Stray, start, end: start + 1 }
            }
        })
    }
}

/// Bytes of an operator that are looked at: twice NAMEDATALEN.
const OPERATOR_BYTES: usize = 128;

/// How a `'…'` literal treats its inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `''` is a quote.
    Doubled,
    /// `''` and `\'` are quotes.
    Escape,
    /// The first quote ends it.
    Plain,
}

/// What a byte can begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// `space` of scan.l.
    Space,
    /// `ident_start`.
    Word,
    /// `decdigit`.
    Digit,
    /// `$`.
    Dollar,
    /// `'`.
    Quote,
    /// `"`.
    DoubleQuote,
    /// `self` that is in no operator, and what begins with it.
    Sign,
    /// `op_chars`.
    Operator,
    /// Nothing.
    Stray,
}

fn class(byte: u8) -> Class {
    CLASS[usize::from(byte)]
}

/// [`Class`] of each byte: one load for what would be a chain of comparisons for every byte of a script.
const CLASS: [Class; 256] = {
    let mut table = [Class::Stray; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => Class::Space,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..=0xff => Class::Word,
            b'0'..=b'9' => Class::Digit,
            b'$' => Class::Dollar,
            b'\'' => Class::Quote,
            b'"' => Class::DoubleQuote,
            b',' | b'(' | b')' | b'[' | b']' | b'.' | b';' | b':' => Class::Sign,
            b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'+' | b'-' | b'*' | b'/'
            | b'%' | b'<' | b'>' | b'=' => Class::Operator,
            _ => Class::Stray,
        };
        byte += 1;
    }
    table
};

/// `ident_cont` of scan.l.
fn is_word(byte: u8) -> bool {
    matches!(class(byte), Class::Word | Class::Digit | Class::Dollar)
}

/// An operator of one character: a sign of the grammar's own where it is one of `self`.
fn single_operator(byte: u8) -> TokenKind {
    match byte {
        b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'<' | b'>' | b'=' => TokenKind::Sign(byte),
        _ => TokenKind::Operator,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<String> {
        Lexer::new(sql.as_bytes(), StandardConformingStrings::On)
            .map(|token| String::from_utf8_lossy(token.text(sql.as_bytes())).into_owned())
            .collect()
    }

    fn kinds(sql: &str) -> Vec<TokenKind> {
        Lexer::new(sql.as_bytes(), StandardConformingStrings::On).map(|token| token.kind).collect()
    }

    #[test]
    fn comments_nest_and_hide_quotes() {
        assert_eq!(texts("a /* ' /* \" */ $$ */ b -- '\nc"), ["a", "b", "c"]);
        assert_eq!(kinds("a /* /* */"), [TokenKind::Word, TokenKind::Unterminated(Open::Comment)]);
        assert_eq!(texts("/**/a/***/b/*/**/*/c"), ["a", "b", "c"]);
    }

    #[test]
    fn a_literal_continues_only_over_a_newline() {
        assert_eq!(texts("'a'\n  'b'"), ["'a'\n  'b'"]);
        assert_eq!(texts("'a' -- why\n 'b'"), ["'a' -- why\n 'b'"]);
        assert_eq!(texts("'a' 'b'"), ["'a'", "'b'"]);
        assert_eq!(texts("'a' /* c \n */ 'b'"), ["'a'", "'b'"]);
        assert_eq!(texts("E'a'\n'\\'b'"), ["E'a'\n'\\'b'"]);
    }

    #[test]
    fn a_backslash_escapes_only_where_the_setting_or_the_prefix_says_so() {
        assert_eq!(texts(r"'a\' b"), [r"'a\'", "b"]);
        assert_eq!(texts(r"E'a\' b'"), [r"E'a\' b'"]);
        let off: Vec<_> = Lexer::new(br"'a\' b'", StandardConformingStrings::Off).collect();
        assert_eq!(off, [Token { kind: TokenKind::EscapeText, start: 0, end: 7 }]);
    }

    #[test]
    fn a_dollar_quote_does_not_open_inside_an_identifier() {
        assert_eq!(texts("foo$1$ a"), ["foo$1$", "a"]);
        assert_eq!(texts("$a$ $$ ' $b$ $A$ $a$ x"), ["$a$ $$ ' $b$ $A$ $a$", "x"]);
        assert_eq!(texts("$a$x$$a$"), ["$a$x$$a$"]);
        assert_eq!(texts("$1$$;$$"), ["$1", "$$;$$"]);
        assert_eq!(kinds("$a b"), [TokenKind::Stray, TokenKind::Word, TokenKind::Word]);
    }

    #[test]
    fn an_operator_ends_at_a_comment_and_gives_back_signs() {
        assert_eq!(texts("a=-1"), ["a", "=", "-", "1"]);
        assert_eq!(texts("a ?- b"), ["a", "?-", "b"]);
        assert_eq!(texts("a +/* c */ b"), ["a", "+", "b"]);
        assert_eq!(texts("a <--c\nb"), ["a", "<", "b"]);
        assert_eq!(texts("a::b..c:=d"), ["a", "::", "b", "..", "c", ":=", "d"]);
    }

    #[test]
    fn letters_before_a_quote_choose_the_kind_of_literal() {
        assert_eq!(
            kinds("e'a' U&'a' b'0' X'0' n'a' U&\"a\" ae'a'"),
            [
                TokenKind::EscapeText,
                TokenKind::UnicodeText,
                TokenKind::BitText,
                TokenKind::BitText,
                TokenKind::Word,
                TokenKind::Text,
                TokenKind::UnicodeName,
                TokenKind::Word,
                TokenKind::Text,
            ]
        );
        assert_eq!(texts("b'0''1'"), ["b'0'", "'1'"]);
        assert_eq!(texts("u & 'a'"), ["u", "&", "'a'"]);
    }

    #[test]
    fn numbers_keep_their_exponent_but_not_a_range() {
        assert_eq!(texts("1..10 1.5e-3 .5 1e 1_000"), ["1", "..", "10", "1.5e-3", ".5", "1", "e", "1_000"]);
    }

    #[test]
    fn what_the_end_cuts_off_is_named() {
        assert_eq!(kinds("'a''"), [TokenKind::Unterminated(Open::QuotedString)]);
        assert_eq!(kinds("E'a\\"), [TokenKind::Unterminated(Open::QuotedString)]);
        assert_eq!(kinds("\"a"), [TokenKind::Unterminated(Open::QuotedName)]);
        assert_eq!(kinds("$x$ $X$"), [TokenKind::Unterminated(Open::DollarString)]);
        assert_eq!(kinds("x'0"), [TokenKind::Unterminated(Open::HexString)]);
        assert_eq!(kinds("\\quit"), [TokenKind::Stray, TokenKind::Word]);
    }
}
