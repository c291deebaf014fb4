//! The values of string literals and names: what the scanner stores for a token of [`super::lexer`]
//! (src/backend/parser/scan.l, parser.c and scansup.c). The bytes need not be UTF-8, as scripts need not be;
//! Unicode escapes become UTF-8, the encoding that the modelled database has.

use bstr::ByteSlice;

use super::lexer::{Token, TokenKind};

/// Bytes of an identifier that the server keeps: NAMEDATALEN − 1.
const NAME_BYTES: usize = 63;

/// A literal or name that the server's scanner rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiteralError {
    /// The server's message.
    pub message: &'static str,
    /// Bytes from the start of the text.
    pub offset: usize,
}

/// The value of a string token (`Sconst`), or `None` when the token is not one.
///
/// `uescape` is the character of a UESCAPE clause; a backslash without one.
pub fn string_value(text: &[u8], token: &Token, uescape: u8) -> Option<Result<Vec<u8>, LiteralError>> {
    let written = token.text(text);
    match token.kind {
        TokenKind::Text => Some(Ok(joined(written, 1))),
        TokenKind::EscapeText => {
            let prefix = if written.starts_with(b"'") { 1 } else { 2 };
            Some(escape_value(&segments(written, prefix, Escapes::Backslash), token.start))
        }
        TokenKind::UnicodeText => Some(unicode_value(&joined(written, 3), uescape, token.start)),
        TokenKind::DollarText => {
            let delimiter = written.get(1..).and_then(|w| w.find_byte(b'$')).map_or(0, |at| at + 2);
            let body = written.get(delimiter..written.len().saturating_sub(delimiter));
            Some(Ok(body.unwrap_or_default().to_vec()))
        }
        _ => None,
    }
}

/// The value of a name token: folded when it is not quoted, cut to 63 bytes, or `None` when it is no name.
pub fn name_value(text: &[u8], token: &Token, uescape: u8) -> Option<Result<Vec<u8>, LiteralError>> {
    let written = token.text(text);
    let value = match token.kind {
        TokenKind::Word => Ok(written.to_ascii_lowercase()),
        TokenKind::QuotedName => Ok(inner(written, 1).replace("\"\"", "\"")),
        TokenKind::UnicodeName => {
            unicode_value(&inner(written, 3).replace("\"\"", "\""), uescape, token.start)
        }
        _ => return None,
    };
    Some(value.and_then(|value| {
        if value.is_empty() {
            return Err(LiteralError { message: "zero-length delimited identifier", offset: token.start });
        }
        Ok(truncate_name(value))
    }))
}

/// Cuts a name to 63 bytes, between characters (`truncate_identifier`).
fn truncate_name(mut name: Vec<u8>) -> Vec<u8> {
    if name.len() > NAME_BYTES {
        let mut cut = NAME_BYTES;
        while cut > 0 && name.get(cut).is_some_and(|b| b & 0xc0 == 0x80) {
            cut -= 1;
        }
        name.truncate(cut);
    }
    name
}

/// The bytes between an opening that is `prefix` bytes long and the last byte.
fn inner(written: &[u8], prefix: usize) -> &[u8] {
    written.get(prefix..written.len().saturating_sub(1)).unwrap_or_default()
}

/// How a quote is written inside a literal, which decides where a segment of it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Doubled,
    Backslash,
}

/// The text of a literal without escapes.
fn joined(written: &[u8], prefix: usize) -> Vec<u8> {
    let whole = inner(written, prefix);
    if whole.find_byte(b'\'').is_none() {
        return whole.to_vec();
    }
    let segments = segments(written, prefix, Escapes::Doubled).into_iter();
    segments.map(|(_, segment)| segment).collect::<Vec<_>>().concat().replace("''", "'")
}

/// The insides of a literal and of those that continue it, in order, each with its place. The lexer has proved the
/// structure.
fn segments(written: &[u8], prefix: usize, escapes: Escapes) -> Vec<(usize, &[u8])> {
    let mut found = Vec::new();
    let mut start = prefix;
    let mut at = prefix;
    while let Some(&byte) = written.get(at) {
        match byte {
            b'\\' if escapes == Escapes::Backslash => at += 2,
            b'\'' if written.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => {
                found.push((start, written.get(start..at).unwrap_or_default()));
                // White space and `--` comments lie before the next opening quote; a comment may hold quotes.
                at += 1;
                while let Some(&between) = written.get(at) {
                    match between {
                        b'\'' => break,
                        b'-' => {
                            let rest = written.get(at..).unwrap_or_default();
                            at += rest.find_byteset(b"\n\r").unwrap_or(rest.len());
                        }
                        _ => at += 1,
                    }
                }
                at += 1;
                start = at;
            }
            _ => at += 1,
        }
    }
    found
}

/// The escapes of `E'…'`, a literal at `offset`; the server points at the one that is wrong.
fn escape_value(segments: &[(usize, &[u8])], offset: usize) -> Result<Vec<u8>, LiteralError> {
    let mut value = Vec::new();
    for &(start, segment) in segments {
        let mut rest = segment;
        while let Some((&byte, tail)) = rest.split_first() {
            let here = offset + start + segment.len() - rest.len();
            rest = match (byte, tail.first()) {
                (b'\'', Some(b'\'')) => {
                    value.push(b'\'');
                    tail.get(1..).unwrap_or_default()
                }
                (b'\\', Some(&letter)) => escape(letter, tail, &mut value, here)?,
                _ => {
                    value.push(byte);
                    tail
                }
            };
        }
    }
    if value.contains(&0) {
        // pg_verifymbstr refuses it in every encoding.
        return Err(LiteralError { message: "invalid byte sequence for encoding: 0x00", offset });
    }
    Ok(value)
}

/// One escape: `tail` begins with its `letter`. Returns what follows it.
fn escape<'a>(
    letter: u8,
    tail: &'a [u8],
    value: &mut Vec<u8>,
    offset: usize,
) -> Result<&'a [u8], LiteralError> {
    let digits = |from: usize, most: usize, is_digit: fn(&u8) -> bool| {
        tail.get(from..).unwrap_or_default().iter().take(most).take_while(|b| is_digit(b)).count()
    };
    let (byte, used) = match letter {
        b'0'..=b'7' => {
            let count = digits(0, 3, |b| (b'0'..=b'7').contains(b));
            (number(tail, 0, count, 8) as u8, count)
        }
        b'x' => match digits(1, 2, u8::is_ascii_hexdigit) {
            0 => (b'x', 1),
            count => (number(tail, 1, count, 16) as u8, count + 1),
        },
        b'u' | b'U' => return unicode_escape(letter, tail, value, offset),
        b'b' => (0x08, 1),
        b'f' => (0x0c, 1),
        b'n' => (b'\n', 1),
        b'r' => (b'\r', 1),
        b't' => (b'\t', 1),
        b'v' => (0x0b, 1),
        other => (other, 1),
    };
    value.push(byte);
    Ok(tail.get(used..).unwrap_or_default())
}

/// `\uXXXX` and `\UXXXXXXXX`, with surrogate pairs.
fn unicode_escape<'a>(
    letter: u8,
    tail: &'a [u8],
    value: &mut Vec<u8>,
    offset: usize,
) -> Result<&'a [u8], LiteralError> {
    let bad = LiteralError { message: "invalid Unicode escape", offset };
    let unpaired = LiteralError { message: "invalid Unicode surrogate pair", offset };
    let width = |letter: u8| if letter == b'u' { 4 } else { 8 };
    let read = |from: &[u8], width: usize| {
        let hex = from.get(1..=width).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        hex.map(|hex| number(hex, 0, width, 16))
    };
    let mut code = read(tail, width(letter)).ok_or(bad)?;
    let mut rest = tail.get(1 + width(letter)..).unwrap_or_default();
    if (0xd800..0xdc00).contains(&code) {
        let [b'\\', second @ ..] = rest else { return Err(unpaired) };
        let letter = *second.first().filter(|b| matches!(b, b'u' | b'U')).ok_or(unpaired)?;
        let low = read(second, width(letter)).ok_or(bad)?;
        if !(0xdc00..0xe000).contains(&low) {
            return Err(unpaired);
        }
        code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
        rest = second.get(1 + width(letter)..).unwrap_or_default();
    }
    push_character(value, code).ok_or(bad)?;
    Ok(rest)
}

/// `U&` and the quote.
const PREFIX: usize = 3;

/// The escapes of `U&'…'` and `U&"…"` (`str_udeescape` in parser.c).
fn unicode_value(written: &[u8], escape: u8, offset: usize) -> Result<Vec<u8>, LiteralError> {
    // The server points into the constant, as far from its first character as the escape is in the joined text.
    let at = |rest: &[u8]| offset + PREFIX + written.len() - rest.len();
    let bad = |rest: &[u8]| LiteralError { message: "invalid Unicode escape", offset: at(rest) };
    let unpaired = |rest: &[u8]| LiteralError { message: "invalid Unicode surrogate pair", offset: at(rest) };
    let mut value = Vec::with_capacity(written.len());
    let mut high: Option<u32> = None;
    let mut rest = written;
    while let Some((&byte, tail)) = rest.split_first() {
        let here = rest;
        if byte != escape || tail.first() == Some(&escape) {
            if high.is_some() {
                return Err(unpaired(here));
            }
            value.push(byte);
            rest = if byte == escape { tail.get(1..).unwrap_or_default() } else { tail };
            continue;
        }
        let (from, width) = if tail.first() == Some(&b'+') { (1, 6) } else { (0, 4) };
        let hex = tail
            .get(from..from + width)
            .filter(|hex| hex.iter().all(u8::is_ascii_hexdigit))
            .ok_or_else(|| bad(here))?;
        let code = number(hex, 0, width, 16);
        rest = tail.get(from + width..).unwrap_or_default();
        match (high.take(), code) {
            (Some(high), 0xdc00..0xe000) => {
                push_character(&mut value, 0x10000 + ((high & 0x3ff) << 10) + (code & 0x3ff))
                    .ok_or_else(|| bad(here))?;
            }
            (None, 0xd800..0xdc00) => high = Some(code),
            (Some(_), _) | (None, 0xdc00..0xe000) => return Err(unpaired(here)),
            (None, _) => push_character(&mut value, code).ok_or_else(|| bad(here))?,
        }
    }
    if high.is_some() { Err(unpaired(rest)) } else { Ok(value) }
}

/// Appends a code point in UTF-8. Zero is not a character of SQL.
fn push_character(value: &mut Vec<u8>, code: u32) -> Option<()> {
    let character = char::from_u32(code).filter(|&c| c != '\0')?;
    value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}

/// The value of `count` ≤ 8 digits at `from`; larger octal values wrap as the server's cast does.
fn number(digits: &[u8], from: usize, count: usize, base: u32) -> u32 {
    digits.get(from..from + count).unwrap_or_default().iter().fold(0_u32, |value, &digit| {
        value.wrapping_mul(base).wrapping_add((digit as char).to_digit(base).unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::super::dialect::StandardConformingStrings;
    use super::super::lexer::Lexer;
    use super::*;

    fn string(sql: &str) -> Result<String, &'static str> {
        let token = Lexer::new(sql.as_bytes(), StandardConformingStrings::On).next().unwrap();
        let value = string_value(sql.as_bytes(), &token, b'\\').unwrap().map_err(|error| error.message)?;
        Ok(String::from_utf8(value).unwrap())
    }

    fn name(sql: &str) -> String {
        let token = Lexer::new(sql.as_bytes(), StandardConformingStrings::On).next().unwrap();
        String::from_utf8(name_value(sql.as_bytes(), &token, b'\\').unwrap().unwrap()).unwrap()
    }

    #[test]
    fn every_spelling_of_a_string_gives_its_value() {
        assert_eq!(string("'it''s'").unwrap(), "it's");
        assert_eq!(string(r"'f\x6f'").unwrap(), r"f\x6f");
        assert_eq!(string(r"E'f\x6fo5\061\'\n\q'").unwrap(), "foo51'\nq");
        assert_eq!(string(r"U&'foo\0031'").unwrap(), "foo1");
        assert_eq!(string(r"U&'\+01F600\\'").unwrap(), "😀\\");
        assert_eq!(string("$$a'b$$").unwrap(), "a'b");
        assert_eq!(string("$_x1$a$$b$_x1$").unwrap(), "a$$b");
        assert_eq!(string("''").unwrap(), "");
        assert_eq!(string("$$$$").unwrap(), "");
    }

    #[test]
    fn continued_literals_are_joined_without_their_white_space() {
        assert_eq!(string("'MODULE_'\n   'PATHNAME'").unwrap(), "MODULE_PATHNAME");
        assert_eq!(string("'a' -- it's\n\n'b''c'").unwrap(), "ab'c");
        assert_eq!(string("E'a\\\\'\n'\\x62'").unwrap(), "a\\b");
    }

    #[test]
    fn surrogates_must_come_in_pairs() {
        assert_eq!(string(r"E'\uD83D\uDE00'").unwrap(), "😀");
        assert_eq!(string(r"U&'\D83D\DE00'").unwrap(), "😀");
        assert_eq!(string(r"E'\uD83Dx'"), Err("invalid Unicode surrogate pair"));
        assert_eq!(string(r"U&'\D83Dx'"), Err("invalid Unicode surrogate pair"));
        assert_eq!(string(r"E'\u00'"), Err("invalid Unicode escape"));
        assert_eq!(string(r"E'\000'"), Err("invalid byte sequence for encoding: 0x00"));
    }

    #[test]
    fn names_fold_unless_quoted_and_are_cut_between_characters() {
        assert_eq!(name("Foo$1"), "foo$1");
        assert_eq!(name("\"Foo\"\"s\""), "Foo\"s");
        assert_eq!(name("U&\"d\\0061t\\+000061\""), "data");
        assert_eq!(name(&"X".repeat(70)), "x".repeat(63));
        assert_eq!(name(&format!("{}é", "x".repeat(62))), "x".repeat(62));
    }

    #[test]
    fn a_wrong_escape_is_told_where_it_stands() {
        for sql in [r"E'a\171b\u00'", "E'a'\n'b\\u00'", r"U&'ab\00'"] {
            let token = Lexer::new(sql.as_bytes(), StandardConformingStrings::On).next().unwrap();
            let error = string_value(sql.as_bytes(), &token, b'\\').unwrap().unwrap_err();
            assert_eq!(Some(error.offset), sql.rfind('\\'), "{sql}");
        }
    }
}
