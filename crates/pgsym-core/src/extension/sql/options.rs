//! The options of CREATE FUNCTION and CREATE PROCEDURE, which come in any order (src/backend/parser/gram.y:
//! createfunc_opt_item, set_rest_more, zone_value). Each is read in full, because a setting may contain the words of other options.

use super::attributes::{Attribute, Attributes};
use super::cursor::Cursor;
use super::error::{Stop, expect};
use super::lexer::TokenKind;
use super::routine::Routine;
use super::types;

/// One option (`createfunc_opt_item`); false when the routine's SQL body begins instead.
pub(super) fn option(
    cursor: &mut Cursor<'_>,
    routine: &mut Routine,
    attributes: &mut Attributes,
) -> Result<bool, Stop> {
    use Attribute::{Leakproof, Security, Strict, Volatility, Window};
    const PLAIN: [(&[&str], Attribute); 13] = [
        (&["called", "on", "null", "input"], Strict),
        (&["returns", "null", "on", "null", "input"], Strict),
        (&["strict"], Strict),
        (&["immutable"], Volatility),
        (&["stable"], Volatility),
        (&["volatile"], Volatility),
        (&["window"], Window),
        (&["leakproof"], Leakproof),
        (&["not", "leakproof"], Leakproof),
        (&["security", "definer"], Security),
        (&["security", "invoker"], Security),
        (&["external", "security", "definer"], Security),
        (&["external", "security", "invoker"], Security),
    ];
    let kind = routine.kind;
    if cursor.word("as") {
        let first = cursor.string().ok_or(Stop::Grammar)??;
        let second = if cursor.sign(b',') { Some(cursor.string().ok_or(Stop::Grammar)??) } else { None };
        routine.definition = Some((first, second));
        attributes.see(kind, Attribute::As);
    } else if cursor.word("language") {
        let value = cursor.string().or_else(|| cursor.name()).ok_or(Stop::Grammar)??;
        routine.language = Some(value);
        attributes.see(kind, Attribute::Language);
    } else if cursor.word("cost") {
        attributes.see(kind, Attribute::Cost);
        if !is_positive(cursor)? {
            attributes.bad_value("COST must be positive");
        }
    } else if cursor.word("rows") {
        attributes.see(kind, Attribute::Rows);
        if !is_positive(cursor)? {
            attributes.bad_value("ROWS must be positive");
        }
    } else if cursor.word("support") {
        attributes.see(kind, Attribute::Support);
        cursor.qualified_name().ok_or(Stop::Grammar)??;
    } else if cursor.word("parallel") {
        attributes.see(kind, Attribute::Parallel);
        let value = cursor.name().ok_or(Stop::Grammar)??;
        if !matches!(value.as_slice(), b"safe" | b"restricted" | b"unsafe") {
            attributes.bad_value("parameter \"parallel\" must be SAFE, RESTRICTED, or UNSAFE");
        }
    } else if cursor.word("transform") {
        attributes.see(kind, Attribute::Transform);
        loop {
            expect(cursor.words(&["for", "type"]))?;
            types::type_name(cursor).ok_or(Stop::Grammar)?;
            if !cursor.sign(b',') {
                break;
            }
        }
    } else if cursor.word("set") {
        setting(cursor)?;
    } else if cursor.word("reset") {
        let special = cursor.words(&["time", "zone"])
            || cursor.words(&["transaction", "isolation", "level"])
            || cursor.words(&["session", "authorization"]);
        if !special {
            cursor.qualified_name().ok_or(Stop::Grammar)??;
        }
    } else if let Some((_, attribute)) = PLAIN.iter().find(|(words, _)| cursor.words(words)) {
        attributes.see(kind, *attribute);
    } else if cursor.dialect().is_before(14) && (cursor.is_word("return") || cursor.is_word("begin")) {
        // `opt_routine_body` came with 14.
        return Err(Stop::Grammar);
    } else if cursor.is_word("return") || cursor.words(&["begin", "atomic"]) {
        return Ok(false);
    } else {
        return Err(Stop::Grammar);
    }
    Ok(true)
}

/// A signed number (`NumericOnly`), and whether it is above zero.
fn is_positive(cursor: &mut Cursor<'_>) -> Result<bool, Stop> {
    let is_negative = cursor.sign(b'-');
    if !is_negative {
        cursor.sign(b'+');
    }
    let token = cursor.peek().filter(|token| token.kind == TokenKind::Number);
    expect(token.is_some())?;
    let text = cursor.take_text().unwrap_or_default();
    // Only the digits of zero are all 0, whatever point and exponent stand among them; 0x and 0b begin no decimal.
    let mantissa = text.split(|byte| byte.eq_ignore_ascii_case(&b'e')).next().unwrap_or_default();
    let is_zero = mantissa.iter().all(|byte| matches!(byte, b'0' | b'.' | b'_'));
    Ok(!is_negative && !is_zero)
}

/// `SET name = value, …` and its relatives (`set_rest_more`).
fn setting(cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    let start = cursor.position();
    if let Some(Ok(_)) = cursor.qualified_name() {
        if cursor.words(&["from", "current"]) {
            return Ok(());
        }
        if cursor.word("to") || cursor.sign(b'=') {
            loop {
                setting_value(cursor)?;
                if !cursor.sign(b',') {
                    return Ok(());
                }
            }
        }
    }
    cursor.seek(start);
    if cursor.words(&["time", "zone"]) {
        return if cursor.word("interval") { zone_interval(cursor) } else { setting_value(cursor) };
    }
    if cursor.word("names") {
        // `opt_encoding` may be empty, so no other word belongs to it.
        if !cursor.word("default") {
            cursor.string().transpose()?;
        }
        return Ok(());
    }
    if cursor.words(&["xml", "option"]) {
        return expect(cursor.word("document") || cursor.word("content"));
    }
    let of_string: [&[&str]; 3] = [&["catalog"], &["schema"], &["transaction", "snapshot"]];
    if of_string.iter().any(|words| cursor.words(words)) {
        cursor.string().ok_or(Stop::Grammar)??;
        return Ok(());
    }
    expect(cursor.word("role") || cursor.words(&["session", "authorization"]))?;
    setting_value(cursor)
}

/// `ConstInterval Sconst opt_interval` of `zone_value`; with a precision there are no fields.
fn zone_interval(cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    const FIELDS: [(&str, &[&str]); 6] = [
        ("year", &["month"]),
        ("month", &[]),
        ("day", &["hour", "minute", "second"]),
        ("hour", &["minute", "second"]),
        ("minute", &["second"]),
        ("second", &[]),
    ];
    let has_precision = precision(cursor)?;
    cursor.string().ok_or(Stop::Grammar)??;
    let start = cursor.peek();
    let Some((first, upper)) = FIELDS.iter().find(|(field, _)| !has_precision && cursor.word(field)) else {
        return Ok(());
    };
    let mut last = *first;
    if !upper.is_empty() && cursor.word("to") {
        last = upper.iter().find(|field| cursor.word(field)).ok_or(Stop::Grammar)?;
    }
    if last == "second" {
        precision(cursor)?;
    }
    let is_zone = |field: &str| field == "hour" || field == "minute";
    if is_zone(first) && is_zone(last) {
        return Ok(());
    }
    cursor.peek(); // the rule ends where the next token is known
    let message = "time zone interval must be HOUR or HOUR TO MINUTE";
    Err(start.map_or(Stop::Grammar, |token| Stop::Message(message, token.start)))
}

/// `(3)`, if it is there.
fn precision(cursor: &mut Cursor<'_>) -> Result<bool, Stop> {
    let is_there = cursor.sign(b'(');
    if is_there {
        expect(cursor.take_integer() && cursor.sign(b')'))?;
    }
    Ok(is_there)
}

/// One value: a word, a string or a signed number.
fn setting_value(cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    if let Some(value) = cursor.string().or_else(|| cursor.name()) {
        value?;
        return Ok(());
    }
    if !cursor.sign(b'-') {
        cursor.sign(b'+');
    }
    expect(cursor.peek().is_some_and(|token| token.kind == TokenKind::Number))?;
    cursor.take();
    Ok(())
}
