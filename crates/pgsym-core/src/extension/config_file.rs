//! The grammar of configuration files, which control files share with postgresql.conf
//! (src/backend/utils/misc/guc-file.l): one `name [=] value` per line, `#` comments, quoted strings with escapes. A
//! token is the longest one any rule of the scanner matches, and of equally long ones the first rule's, which is why
//! `1.0` needs no quotes and `1.0.1` does.

use bstr::ByteSlice;

use crate::name::Shown;

/// One `name = value` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The name as written; case matters to control files.
    pub name: Vec<u8>,
    /// The value, without quotes and escapes.
    pub value: Vec<u8>,
    /// Line, from 1.
    pub line: usize,
    /// Column of the name's first byte, from 1.
    pub column: usize,
}

/// A line outside the grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSyntaxError {
    /// Line, from 1.
    pub line: usize,
    /// Column of the token that does not fit, from 1, in bytes.
    pub column: usize,
    /// The line as the server counts it: one less where the file ends without a newline.
    server_line: usize,
    /// The token, or `None` at the end of the line.
    near: Option<Vec<u8>>,
}

impl ConfigSyntaxError {
    /// The server's message for this error in a file of this name.
    pub fn message(&self, file: &[u8]) -> String {
        let place = format!("syntax error in file \"{}\" line {}", Shown(file), self.server_line);
        match &self.near {
            Some(token) => format!("{place}, near token \"{}\"", Shown(token)),
            None => format!("{place}, near end of line"),
        }
    }
}

/// The settings of a file, in order, up to the first error.
#[derive(Debug, Clone)]
pub struct Settings<'a> {
    text: &'a [u8],
    position: usize,
    line: usize,
    line_start: usize,
    failed: bool,
}

/// The scanner's rules, in the order that settles ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Identifier,
    QualifiedIdentifier,
    String,
    UnquotedString,
    Integer,
    Real,
    Equals,
    EndOfLine,
    EndOfFile,
    Error,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

impl<'a> Settings<'a> {
    /// Reads `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, position: 0, line: 1, line_start: 0, failed: false }
    }

    fn token(&mut self) -> Token {
        loop {
            let start = self.position;
            let rest = self.text.get(start..).unwrap_or_default();
            let Some(&first) = rest.first() else {
                return Token { kind: Kind::EndOfFile, start, end: start };
            };
            let (kind, length) = match first {
                b' ' | b'\t' | b'\r' => {
                    self.position += 1;
                    continue;
                }
                b'#' => {
                    self.position += rest.find_byte(b'\n').unwrap_or(rest.len());
                    continue;
                }
                b'\n' => (Kind::EndOfLine, 1),
                _ => longest(rest),
            };
            self.position = start + length;
            return Token { kind, start, end: self.position };
        }
    }

    fn text_of(&self, token: Token) -> &'a [u8] {
        self.text.get(token.start..token.end).unwrap_or_default()
    }

    fn column(&self, token: Token) -> usize {
        token.start - self.line_start + 1
    }

    fn error(&mut self, token: Token) -> ConfigSyntaxError {
        self.failed = true;
        let at_end = matches!(token.kind, Kind::EndOfLine | Kind::EndOfFile);
        ConfigSyntaxError {
            line: self.line,
            column: self.column(token),
            // The server reports `ConfigFileLineno - 1` at an end of line, having counted a newline, which
            // an end of file is not.
            server_line: if token.kind == Kind::EndOfFile { self.line - 1 } else { self.line },
            near: (!at_end).then(|| c_string(self.text_of(token)).to_vec()),
        }
    }

    fn setting(&mut self, name: Token) -> Result<Setting, ConfigSyntaxError> {
        if !matches!(name.kind, Kind::Identifier | Kind::QualifiedIdentifier) {
            return Err(self.error(name));
        }
        let mut value = self.token();
        if value.kind == Kind::Equals {
            value = self.token();
        }
        let text = c_string(self.text_of(value));
        let value = match value.kind {
            Kind::String => deescape(text),
            Kind::Identifier | Kind::UnquotedString | Kind::Integer | Kind::Real => text.to_vec(),
            _ => return Err(self.error(value)),
        };
        let end = self.token();
        if !matches!(end.kind, Kind::EndOfLine | Kind::EndOfFile) {
            return Err(self.error(end));
        }
        let setting =
            Setting { name: self.text_of(name).to_vec(), value, line: self.line, column: self.column(name) };
        self.count_line(end);
        Ok(setting)
    }

    fn count_line(&mut self, end: Token) {
        if end.kind == Kind::EndOfLine {
            self.line += 1;
            self.line_start = end.end;
        }
    }
}

impl Iterator for Settings<'_> {
    type Item = Result<Setting, ConfigSyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        loop {
            let token = self.token();
            match token.kind {
                Kind::EndOfFile => return None,
                Kind::EndOfLine => self.count_line(token),
                _ => return Some(self.setting(token)),
            }
        }
    }
}

/// The longest token at the start of `rest`, whose first byte is neither blank, newline nor `#`.
fn longest(rest: &[u8]) -> (Kind, usize) {
    let identifier = identifier(rest);
    let qualified = match rest.get(identifier) {
        Some(b'.') if identifier > 0 => {
            let second = self::identifier(rest.get(identifier + 1..).unwrap_or_default());
            if second > 0 { identifier + 1 + second } else { 0 }
        }
        _ => 0,
    };
    let unquoted = if identifier > 0 {
        rest.iter().take_while(|&&b| is_letter(b) || b.is_ascii_digit() || b"-._:/".contains(&b)).count()
    } else {
        0
    };
    let candidates = [
        (Kind::Identifier, identifier),
        (Kind::QualifiedIdentifier, qualified),
        (Kind::String, string(rest)),
        (Kind::UnquotedString, unquoted),
        (Kind::Integer, integer(rest)),
        (Kind::Real, real(rest)),
        (Kind::Equals, usize::from(rest.first() == Some(&b'='))),
    ];
    let mut best = (Kind::Error, 0);
    for candidate in candidates {
        if candidate.1 > best.1 {
            best = candidate;
        }
    }
    (best.0, best.1.max(1))
}

/// LETTER.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// Length of ID, or 0.
fn identifier(rest: &[u8]) -> usize {
    if !rest.first().is_some_and(|&b| is_letter(b)) {
        return 0;
    }
    rest.iter().take_while(|&&b| is_letter(b) || b.is_ascii_digit()).count()
}

/// Length of STRING, `'([^'\\\n]|\\.|'')*'`, or 0: the longest match ends at the last quote that may end it.
fn string(rest: &[u8]) -> usize {
    if rest.first() != Some(&b'\'') {
        return 0;
    }
    let mut end = 0;
    let mut at = 1;
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'\n' => break,
            b'\\' => match rest.get(at + 1) {
                None | Some(b'\n') => break,
                Some(_) => at += 2,
            },
            b'\'' => {
                end = at + 1;
                if rest.get(at + 1) != Some(&b'\'') {
                    break;
                }
                at += 2;
            }
            _ => at += 1,
        }
    }
    end
}

/// Length of INTEGER, `[-+]?([0-9]+|0x[0-9a-fA-F]+)[a-zA-Z]*`, or 0.
fn integer(rest: &[u8]) -> usize {
    let sign = usize::from(matches!(rest.first(), Some(b'+' | b'-')));
    let count = |from: usize, is: fn(&u8) -> bool| {
        rest.get(from..).unwrap_or_default().iter().take_while(|b| is(b)).count()
    };
    let decimal = count(sign, u8::is_ascii_digit);
    if decimal == 0 {
        return 0;
    }
    let hex =
        if rest.get(sign..sign + 2) == Some(b"0x") { count(sign + 2, u8::is_ascii_hexdigit) } else { 0 };
    let end = if hex > 0 { sign + 2 + hex } else { sign + decimal };
    end + count(end, u8::is_ascii_alphabetic)
}

/// Length of REAL, `[-+]?[0-9]*\.[0-9]*([Ee][-+]?[0-9]+)?`, or 0.
fn real(rest: &[u8]) -> usize {
    let digits =
        |from: usize| rest.get(from..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
    let sign = |at: usize| usize::from(matches!(rest.get(at), Some(b'+' | b'-')));
    let point = sign(0) + digits(sign(0));
    if rest.get(point) != Some(&b'.') {
        return 0;
    }
    let end = point + 1 + digits(point + 1);
    if matches!(rest.get(end), Some(b'e' | b'E')) {
        let exponent = end + 1 + sign(end + 1);
        if digits(exponent) > 0 {
            return exponent + digits(exponent);
        }
    }
    end
}

/// The server handles tokens as C strings.
fn c_string(text: &[u8]) -> &[u8] {
    text.split(|&b| b == 0).next().unwrap_or_default()
}

/// `DeescapeQuotedString`: drops the first and the last byte, and takes the escapes out of the rest.
fn deescape(text: &[u8]) -> Vec<u8> {
    let inner = text.get(1..text.len().max(2) - 1).unwrap_or_default();
    let mut value = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&byte, tail)) = rest.split_first() {
        let (byte, used) = match (byte, tail.first()) {
            (b'\'', Some(b'\'')) => (b'\'', 1),
            (b'\\', Some(&escape)) => match escape {
                b'b' => (0x08, 1),
                b'f' => (0x0c, 1),
                b'n' => (b'\n', 1),
                b'r' => (b'\r', 1),
                b't' => (b'\t', 1),
                b'0'..=b'7' => {
                    let digits = tail.iter().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
                    let octal = tail.iter().take(digits);
                    (
                        octal.fold(0_u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')),
                        digits,
                    )
                }
                other => (other, 1),
            },
            (other, _) => (other, 0),
        };
        if byte == 0 {
            break; // `\0` ends the C string that the server makes of it
        }
        value.push(byte);
        rest = tail.get(used..).unwrap_or_default();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(written: &str) -> Result<String, String> {
        let text = format!("name = {written}\n");
        match Settings::new(text.as_bytes()).next().unwrap() {
            Ok(setting) => Ok(String::from_utf8(setting.value).unwrap()),
            Err(error) => Err(error.message(b"f")),
        }
    }

    fn near(token: &str) -> Result<String, String> {
        Err(format!("syntax error in file \"f\" line 1, near token \"{token}\""))
    }

    #[test]
    fn bare_values_are_what_one_token_holds() {
        for bare in ["true", "1.0", "-5", "0x1F", "10MB", "1.5e-3", "a-b.c:d/e", "a.b-c", ".", "é"] {
            assert_eq!(value(bare), Ok(bare.to_owned()), "{bare}");
        }
        assert_eq!(value("1.0.1"), near(".1"));
        assert_eq!(value("$libdir/x"), near("$"));
        assert_eq!(value("a,b"), near(","));
        assert_eq!(value("\"x\""), near("\""));
        assert_eq!(value("a b"), near("b"));
        assert_eq!(value("1.0beta"), near("beta"));
        // One dot between identifiers makes the qualified name that only a setting's name may be.
        assert_eq!(value("v1.beta"), near("v1.beta"));
    }

    #[test]
    fn quoted_values_lose_quotes_and_escapes() {
        assert_eq!(value("'it''s'"), Ok("it's".to_owned()));
        assert_eq!(value(r"'a\'b\\c\101\x\t'"), Ok("a'b\\cAx\t".to_owned()));
        assert_eq!(value("''"), Ok(String::new()));
        assert_eq!(value("'#'# comment"), Ok("#".to_owned()));
        assert_eq!(value("'a'''"), Ok("a'".to_owned()));
    }

    #[test]
    fn a_string_that_does_not_end_on_its_line_is_a_stray_quote() {
        assert_eq!(value("'abc"), near("'"));
        assert_eq!(value("'abc\\"), near("'"));
        assert_eq!(value("'a''"), near("'"));
        assert_eq!(value("'a\nb'"), near("'"));
    }

    #[test]
    fn the_equal_sign_is_optional_and_lines_are_counted() {
        let text = b"# head\n\n  a 1\r\nb='x' # why\n c = ";
        let settings: Vec<_> = Settings::new(text).collect();
        let setting = |index: usize| settings[index].as_ref().unwrap();
        assert_eq!((setting(0).line, setting(0).column, setting(0).value.as_slice()), (3, 3, &b"1"[..]));
        assert_eq!((setting(1).line, setting(1).column, setting(1).value.as_slice()), (4, 1, &b"x"[..]));
        let error = settings[2].as_ref().unwrap_err();
        assert_eq!((error.line, error.column), (5, 6));
        // The server does not count a line that no newline ends.
        assert_eq!(error.message(b"f"), "syntax error in file \"f\" line 4, near end of line");
        assert_eq!(settings.len(), 3);
    }

    #[test]
    fn names_are_identifiers() {
        let message = |text: &[u8]| Settings::new(text).next().unwrap().unwrap_err().message(b"f");
        assert_eq!(message(b"1 = 2"), "syntax error in file \"f\" line 1, near token \"1\"");
        assert_eq!(message(b"\n'a' = 2"), "syntax error in file \"f\" line 2, near token \"'a'\"");
        assert_eq!(message(b"a-b = 2"), "syntax error in file \"f\" line 1, near token \"a-b\"");
        assert_eq!(message(b"a = = 2"), "syntax error in file \"f\" line 1, near token \"=\"");
        assert_eq!(message(b"a\n"), "syntax error in file \"f\" line 1, near end of line");
        assert_eq!(Settings::new(b"a.b 2").next().unwrap().unwrap().name, b"a.b");
    }

    #[test]
    fn a_nul_byte_ends_a_token_in_the_servers_eyes() {
        assert_eq!(Settings::new(b"a = 'x\0y'\n").next().unwrap().unwrap().value, b"");
        assert_eq!(
            Settings::new(b"a = \0\n").next().unwrap().unwrap_err().message(b"f"),
            "syntax error in file \"f\" line 1, near token \"\""
        );
    }

    #[test]
    fn nothing_follows_an_error() {
        let text = b"a = ,\nb = 1\n";
        assert_eq!(Settings::new(text).count(), 1);
    }
}
