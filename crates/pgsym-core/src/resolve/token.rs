//! Dynamic string tokens in search paths and needed names: `$ORIGIN`, `$LIB`, `$PLATFORM`, each also in braces.
//! The grammar is narrow, and what falls outside it is literal text, so `$ORIGINx` names a directory of that
//! very name below the current one.

use std::borrow::Cow;

/// The values of the tokens for one object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tokens<'a> {
    /// Directory of the path that the object was opened by; unknown where that path was relative to an unknown
    /// directory.
    pub(crate) origin: Option<&'a [u8]>,
    /// The loader's compiled-in `$LIB`.
    pub(crate) lib: &'a [u8],
    /// AT_PLATFORM.
    pub(crate) platform: Option<&'a [u8]>,
}

/// What became of a string with tokens in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expanded<'a> {
    /// The string with every token replaced.
    Text(Cow<'a, [u8]>),
    /// It holds a token without a value: glibc discards the whole string.
    Discarded,
}

/// One of the three tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Origin,
    Lib,
    Platform,
}

/// Expands a string as glibc does (`_dl_dst_substitute`, elf/dl-load.c).
pub(crate) fn expand<'a>(input: &'a [u8], tokens: Tokens<'_>) -> Expanded<'a> {
    if !input.contains(&b'$') {
        return Expanded::Text(Cow::Borrowed(input));
    }
    let mut output = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'$' {
            output.push(byte);
            continue;
        }
        let Some((token, length)) = token_at(rest) else {
            output.push(b'$');
            continue;
        };
        let value = match token {
            Token::Origin => tokens.origin,
            Token::Lib => Some(tokens.lib),
            Token::Platform => tokens.platform,
        };
        let Some(value) = value else { return Expanded::Discarded };
        output.extend_from_slice(value);
        rest = &rest[length..];
    }
    Expanded::Text(Cow::Owned(output))
}

/// The token that follows a `$`, and its length without it (glibc: `is_dst`).
fn token_at(input: &[u8]) -> Option<(Token, usize)> {
    // The order of glibc's tests; no token is a prefix of another one's accepted form.
    [(Token::Origin, &b"ORIGIN"[..]), (Token::Platform, b"PLATFORM"), (Token::Lib, b"LIB")]
        .into_iter()
        .find_map(|(token, name)| Some((token, matched_length(input, name)?)))
}

fn matched_length(input: &[u8], name: &[u8]) -> Option<usize> {
    if let Some(inner) = input.strip_prefix(b"{") {
        return (inner.strip_prefix(name)?.first() == Some(&b'}')).then_some(name.len() + 2);
    }
    match input.strip_prefix(name)?.first() {
        Some(next) if next.is_ascii_alphanumeric() || *next == b'_' => None,
        _ => Some(name.len()),
    }
}

/// Whether a `$` in the string is close to a token and yet none: `$ORIGINx`, `${ORIGIN`, `$origin`.
pub(crate) fn has_malformed_token(input: &[u8]) -> bool {
    input
        .iter()
        .enumerate()
        .filter(|&(_, &byte)| byte == b'$')
        .any(|(at, _)| token_at(&input[at + 1..]).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(input: &str) -> String {
        let tokens = Tokens { origin: Some(b"/o"), lib: b"lib64", platform: Some(b"x86_64") };
        match expand(input.as_bytes(), tokens) {
            Expanded::Text(bytes) => String::from_utf8(bytes.into_owned()).unwrap(),
            Expanded::Discarded => "(discarded)".to_owned(),
        }
    }

    #[test]
    fn tokens_expand_anywhere_and_more_than_once() {
        assert_eq!(text("$ORIGIN/../$LIB"), "/o/../lib64");
        assert_eq!(text("a/$ORIGIN"), "a//o");
        assert_eq!(text("${ORIGIN}x${PLATFORM}"), "/oxx86_64");
    }

    #[test]
    fn a_token_followed_by_an_identifier_character_is_text() {
        assert_eq!(text("$ORIGINx/$LIB64/$PLATFORM_"), "$ORIGINx/$LIB64/$PLATFORM_");
    }

    #[test]
    fn unclosed_braces_and_unknown_names_are_text() {
        assert_eq!(text("${ORIGIN/$FOO/$"), "${ORIGIN/$FOO/$");
    }

    #[test]
    fn a_token_without_a_value_discards_the_string() {
        let tokens = Tokens { origin: None, lib: b"lib", platform: None };
        assert_eq!(expand(b"/a/$PLATFORM/b", tokens), Expanded::Discarded);
    }

    #[test]
    fn near_misses_are_told_from_tokens() {
        assert!(has_malformed_token(b"$ORIGINx"));
        assert!(has_malformed_token(b"/a/${ORIGIN/b"));
        assert!(!has_malformed_token(b"${ORIGIN}/$LIB"));
    }
}
