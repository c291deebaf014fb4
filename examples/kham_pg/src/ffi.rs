//! The segmenter as C sees it: three functions over an opaque pointer. A panic never crosses into C.

use std::os::raw::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;
use std::str;

use crate::segment::{Kind, Token, segment};

/// The tokens of one text, and how far the caller has come.
pub struct Parser {
    text: *const u8,
    tokens: Vec<Token>,
    next: usize,
}

/// The token kinds' numbers, as `shim.c` has them.
fn number(kind: Kind) -> c_int {
    match kind {
        Kind::Word => 1,
        Kind::Thai => 2,
        Kind::Blank => 12,
        Kind::Number => 22,
    }
}

/// Cuts a text into tokens. Null when it is not UTF-8.
///
/// # Safety
///
/// `text` must point to `length` readable bytes that stay unchanged until [`kham_parser_free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kham_parser_new(text: *const u8, length: usize) -> *mut Parser {
    let made = catch_unwind(|| {
        let bytes = if length == 0 {
            &[][..]
        } else {
            // SAFETY: the caller promises `length` readable bytes at `text`.
            unsafe { slice::from_raw_parts(text, length) }
        };
        let tokens = segment(str::from_utf8(bytes).ok()?);
        Some(Box::new(Parser { text, tokens, next: 0 }))
    });
    made.ok().flatten().map_or(std::ptr::null_mut(), Box::into_raw)
}

/// Gives the next token: its kind's number, 0 at the end, −1 on a failure inside.
///
/// # Safety
///
/// `parser` must come from [`kham_parser_new`] and not be freed; `token` and `length` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kham_parser_next(
    parser: *mut Parser,
    token: *mut *const u8,
    length: *mut usize,
) -> c_int {
    // SAFETY: the caller promises a live parser that nobody else uses.
    let Some(parser) = (unsafe { parser.as_mut() }) else { return -1 };
    let mut parser = AssertUnwindSafe(parser);
    let next = catch_unwind(move || {
        let found = parser.tokens.get(parser.next).copied();
        parser.next += usize::from(found.is_some());
        found.map(|found| (found, parser.text.wrapping_add(found.start)))
    });
    match next {
        Ok(Some((found, start))) => {
            // SAFETY: the caller promises that both are writable.
            unsafe {
                *token = start;
                *length = found.end - found.start;
            }
            number(found.kind)
        }
        Ok(None) => 0,
        Err(_) => -1,
    }
}

/// Frees a parser; null is nothing to free.
///
/// # Safety
///
/// `parser` must come from [`kham_parser_new`] and not be freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kham_parser_free(parser: *mut Parser) {
    if !parser.is_null() {
        // SAFETY: the pointer came from Box::into_raw, and the caller gives it up.
        drop(unsafe { Box::from_raw(parser) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &[u8]) -> Vec<c_int> {
        let mut kinds = Vec::new();
        // SAFETY: the text outlives the parser, which is freed once.
        unsafe {
            let parser = kham_parser_new(text.as_ptr(), text.len());
            assert!(!parser.is_null());
            let (mut token, mut length) = (std::ptr::null(), 0);
            loop {
                let kind = kham_parser_next(parser, &mut token, &mut length);
                if kind == 0 {
                    break;
                }
                assert!(length > 0);
                kinds.push(kind);
            }
            kham_parser_free(parser);
        }
        kinds
    }

    #[test]
    fn c_walks_the_tokens_to_the_end() {
        assert_eq!(kinds("Rust ภาษาไทย 15".as_bytes()), [1, 12, 2, 2, 12, 22]);
        assert_eq!(kinds(b""), [] as [c_int; 0]);
    }

    #[test]
    fn text_that_is_not_utf_8_has_no_parser() {
        // SAFETY: two readable bytes; a null result is freed harmlessly.
        unsafe {
            let parser = kham_parser_new([0xe0, 0x41].as_ptr(), 2);
            assert!(parser.is_null());
            kham_parser_free(parser);
        }
    }
}
