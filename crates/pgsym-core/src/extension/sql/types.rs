//! Type names as they tell one overloaded function from another: `integer` and `pg_catalog.int4` are one type,
//! `varchar(10)` is `varchar` (src/backend/parser/gram.y, func_type). Only what identifies a function is
//! kept; modifiers and schemas are dropped.

use super::cursor::Cursor;
use super::lexer::TokenKind;

/// The identity of a type in a function's signature: its last name, built-in spellings unified, `[]` for an array.
pub type TypeKey = Vec<u8>;

/// Takes a type (`func_type`), or returns `None` somewhere behind its first token.
pub(super) fn type_name(cursor: &mut Cursor<'_>) -> Option<TypeKey> {
    cursor.word("setof");
    let mut key = base_type(cursor)?;
    if cursor.sign(b'%') {
        if !cursor.word("type") {
            return None;
        }
        key.extend_from_slice(b"%type");
        return Some(key);
    }
    let mut is_array = false;
    if cursor.word("array") {
        is_array = true;
        if cursor.sign(b'[') && !cursor.close() {
            return None;
        }
    } else {
        while cursor.sign(b'[') {
            is_array = true;
            if !cursor.close() {
                return None;
            }
        }
    }
    if is_array {
        key.extend_from_slice(b"[]");
    }
    Some(key)
}

/// `SimpleTypename`, or the names before `%TYPE`.
fn base_type(cursor: &mut Cursor<'_>) -> Option<TypeKey> {
    let is_unquoted = cursor.peek()?.kind == TokenKind::Word;
    let mut names = cursor.qualified_name()?.ok()?;
    let is_qualified = names.len() > 1;
    let name = names.pop()?;
    if is_qualified || !is_unquoted {
        modifiers(cursor)?;
        return Some(quoted(name));
    }
    let key: &[u8] = match name.as_slice() {
        b"int" | b"integer" => b"int4",
        b"smallint" => b"int2",
        b"bigint" => b"int8",
        b"real" => b"float4",
        b"boolean" => b"bool",
        b"dec" | b"decimal" => b"numeric",
        b"double" if cursor.word("precision") => b"float8",
        b"float" => return float(cursor),
        b"national" => {
            if !cursor.word("character") && !cursor.word("char") {
                return None;
            }
            varying(cursor, b"bpchar", b"varchar")
        }
        b"character" | b"char" | b"nchar" => varying(cursor, b"bpchar", b"varchar"),
        b"bit" => varying(cursor, b"bit", b"varbit"),
        b"timestamp" => return time(cursor, b"timestamp", b"timestamptz"),
        b"time" => return time(cursor, b"time", b"timetz"),
        b"interval" => {
            interval_fields(cursor)?;
            return Some(b"interval".to_vec());
        }
        other => other,
    };
    let key = key.to_vec();
    modifiers(cursor)?;
    Some(key)
}

/// `"char"`, and so `pg_catalog.char`, is the one-byte type and not the key word `char`.
fn quoted(name: Vec<u8>) -> TypeKey {
    if name == b"char" { b"\"char\"".to_vec() } else { name }
}

/// `(10, 2)`.
fn modifiers(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.sign(b'(') && !cursor.close() { None } else { Some(()) }
}

fn varying(cursor: &mut Cursor<'_>, plain: &'static [u8], varying: &'static [u8]) -> &'static [u8] {
    if cursor.word("varying") { varying } else { plain }
}

/// `float(n)`: up to 24 bits are float4.
fn float(cursor: &mut Cursor<'_>) -> Option<TypeKey> {
    let mut key: &[u8] = b"float8";
    if cursor.sign(b'(') {
        let digits = cursor.take_number()?;
        if digits <= 24 {
            key = b"float4";
        }
        if !cursor.sign(b')') {
            return None;
        }
    }
    Some(key.to_vec())
}

fn time(cursor: &mut Cursor<'_>, plain: &[u8], zoned: &[u8]) -> Option<TypeKey> {
    modifiers(cursor)?;
    if cursor.words(&["with", "time", "zone"]) {
        return Some(zoned.to_vec());
    }
    cursor.words(&["without", "time", "zone"]);
    Some(plain.to_vec())
}

/// `interval day to second (3)`.
fn interval_fields(cursor: &mut Cursor<'_>) -> Option<()> {
    const FIELDS: [&str; 6] = ["year", "month", "day", "hour", "minute", "second"];
    modifiers(cursor)?;
    let field = |cursor: &mut Cursor<'_>| FIELDS.iter().any(|field| cursor.word(field));
    if field(cursor) && cursor.word("to") && !field(cursor) {
        return None;
    }
    modifiers(cursor)
}

#[cfg(test)]
mod tests {
    use super::super::lexer::StandardConformingStrings;
    use super::super::split::Statements;
    use super::*;

    fn key(sql: &str) -> String {
        let statement =
            Statements::new(sql.as_bytes(), StandardConformingStrings::On).next().expect("a statement");
        let mut cursor = Cursor::new(sql.as_bytes(), &statement, StandardConformingStrings::On).unwrap();
        let key = type_name(&mut cursor).expect("a type");
        assert!(cursor.is_at_end(), "{sql} was not read to its end");
        String::from_utf8(key).unwrap()
    }

    #[test]
    fn spellings_of_one_type_have_one_key() {
        assert_eq!(key("integer"), key("pg_catalog.int4"));
        assert_eq!(key("Character Varying(10)"), key("varchar"));
        assert_eq!(key("national char"), key("char"));
        assert_eq!(key("double precision"), key("float"));
        assert_eq!(key("float(24)"), key("real"));
        assert_eq!(key("timestamp (3) with time zone"), key("timestamptz"));
        assert_eq!(key("time without time zone"), key("time"));
        assert_eq!(key("interval day to second(3)"), key("interval"));
        assert_eq!(key("text[][3]"), key("text array"));
        assert_eq!(key("setof geometry(Point, 4326)"), key("public.geometry"));
    }

    #[test]
    fn types_that_differ_keep_different_keys() {
        assert_ne!(key("\"char\""), key("char"));
        assert_ne!(key("text"), key("text[]"));
        assert_ne!(key("bit"), key("bit varying"));
        assert_eq!(key("tab.col%TYPE"), "col%type");
        assert_eq!(key("\"Mixed\""), "Mixed");
    }
}
