//! Type names as they tell one overloaded function from another: `integer` and `pg_catalog.int4` are one type,
//! `varchar(10)` is `varchar` (src/backend/parser/gram.y, func_type). Only what identifies a type is kept;
//! modifiers are dropped.

use std::borrow::Cow;
use std::fmt;

use super::cursor::Cursor;
use super::keywords::Category;
use super::lexer::TokenKind;
use crate::name::Shown;

/// The schema of the types that have a spelling of their own in the grammar.
pub const SYSTEM: &[u8] = b"pg_catalog";

/// The identity of a type in a function's signature.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeKey {
    /// The schema, where the statement or the grammar says it.
    pub schema: Option<Cow<'static, [u8]>>,
    /// The last name, built-in spellings unified; `column%type` for `table.column%TYPE`.
    pub name: Cow<'static, [u8]>,
    /// Whether it is an array of the named type.
    pub is_array: bool,
}

impl TypeKey {
    /// Whether the two can be one type: a name without a schema is found in whatever schema has it.
    pub fn is_same(&self, other: &Self) -> bool {
        self.is_array == other.is_array && self.has_element(other.schema.as_deref(), &other.name)
    }

    /// Whether it is this type or an array of it.
    pub fn has_element(&self, schema: Option<&[u8]>, name: &[u8]) -> bool {
        let is_apart = |own: &[u8]| schema.is_some_and(|schema| schema != own);
        self.name == name && !self.schema.as_deref().is_some_and(is_apart)
    }
}

impl fmt::Display for TypeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = self.schema.as_deref().filter(|schema| *schema != SYSTEM) {
            write!(f, "{}.", Shown(schema))?;
        }
        write!(f, "{}{}", Shown(&self.name), if self.is_array { "[]" } else { "" })
    }
}

/// Takes a type (`func_type`), or returns `None` somewhere behind its first token.
pub(super) fn type_name(cursor: &mut Cursor<'_>) -> Option<TypeKey> {
    cursor.word("setof");
    let mut key = base_type(cursor)?;
    if cursor.sign(b'%') {
        if !cursor.word("type") {
            return None;
        }
        // The column's type is looked up when the statement runs; nobody can name it otherwise.
        key.name.to_mut().extend_from_slice(b"%type");
        key.schema = None;
        return Some(key);
    }
    if cursor.word("array") {
        key.is_array = true;
        if cursor.sign(b'[') {
            cursor.take_number();
            if !cursor.sign(b']') {
                return None;
            }
        }
    } else {
        while cursor.sign(b'[') {
            key.is_array = true;
            cursor.take_number();
            if !cursor.sign(b']') {
                return None;
            }
        }
    }
    Some(key)
}

/// `SimpleTypename`, or the names before `%TYPE`.
fn base_type(cursor: &mut Cursor<'_>) -> Option<TypeKey> {
    let is_unquoted = cursor.peek()?.kind == TokenKind::Word;
    let category = cursor.category();
    let mut schema = None;
    let mut name = cursor.name()?.ok()?;
    match category {
        // Some are types by themselves, and so without a schema.
        Some(Category::Column) if !is_type_word(&name) || cursor.sign(b'.') => return None,
        Some(Category::Reserved) => return None,
        _ => {}
    }
    while cursor.sign(b'.') {
        schema = Some(Cow::Owned(name));
        name = cursor.name()?.ok()?;
    }
    if name == b"json" && category == Some(Category::Column) {
        return Some(system(b"json")); // `JsonType` of 17
    }
    if schema.is_some() || !is_unquoted {
        modifiers(cursor)?;
        return Some(TypeKey { schema, name: quoted(name), is_array: false });
    }
    let key: &'static [u8] = match name.as_slice() {
        b"int" | b"integer" => b"int4",
        b"smallint" => b"int2",
        b"bigint" => b"int8",
        b"real" => b"float4",
        b"boolean" => b"bool",
        b"dec" | b"decimal" | b"numeric" => b"numeric",
        b"double" if cursor.word("precision") => b"float8",
        b"float" => return float(cursor),
        b"national" => {
            if !cursor.word("character") && !cursor.word("char") {
                return None;
            }
            varying(cursor, b"bpchar", b"varchar")
        }
        b"varchar" => b"varchar",
        b"character" | b"char" | b"nchar" => varying(cursor, b"bpchar", b"varchar"),
        b"bit" => varying(cursor, b"bit", b"varbit"),
        b"timestamp" => return time(cursor, b"timestamp", b"timestamptz"),
        b"time" => return time(cursor, b"time", b"timetz"),
        b"interval" => {
            interval_fields(cursor)?;
            return Some(system(b"interval"));
        }
        _ => {
            modifiers(cursor)?;
            return Some(TypeKey { schema: None, name: Cow::Owned(name), is_array: false });
        }
    };
    modifiers(cursor)?;
    Some(system(key))
}

/// The words of `SimpleTypename` that can be no other type's name.
fn is_type_word(name: &[u8]) -> bool {
    const WORDS: [&[u8]; 20] = [
        b"bigint",
        b"bit",
        b"boolean",
        b"char",
        b"character",
        b"dec",
        b"decimal",
        b"float",
        b"int",
        b"integer",
        b"interval",
        b"json",
        b"national",
        b"nchar",
        b"numeric",
        b"real",
        b"smallint",
        b"time",
        b"timestamp",
        b"varchar",
    ];
    WORDS.contains(&name)
}

/// `SystemTypeName`: a spelling that means the type in pg_catalog, whatever else has its name.
fn system(name: &'static [u8]) -> TypeKey {
    TypeKey { schema: Some(Cow::Borrowed(SYSTEM)), name: Cow::Borrowed(name), is_array: false }
}

/// `"char"`, and so `pg_catalog.char`, is the one-byte type and not the key word `char`.
fn quoted(name: Vec<u8>) -> Cow<'static, [u8]> {
    if name == b"char" { Cow::Borrowed(b"\"char\"") } else { Cow::Owned(name) }
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
    let mut key: &'static [u8] = b"float8";
    if cursor.sign(b'(') {
        let digits = cursor.take_number()?;
        if digits <= 24 {
            key = b"float4";
        }
        if !cursor.sign(b')') {
            return None;
        }
    }
    Some(system(key))
}

fn time(cursor: &mut Cursor<'_>, plain: &'static [u8], zoned: &'static [u8]) -> Option<TypeKey> {
    modifiers(cursor)?;
    if cursor.words(&["with", "time", "zone"]) {
        return Some(system(zoned));
    }
    cursor.words(&["without", "time", "zone"]);
    Some(system(plain))
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
    use super::super::split::tests::with_cursor;
    use super::*;

    fn key(sql: &str) -> TypeKey {
        with_cursor(sql, |cursor| {
            let key = type_name(cursor).expect("a type");
            assert!(cursor.is_at_end(), "{sql} was not read to its end");
            key
        })
    }

    #[test]
    fn spellings_of_one_type_have_one_key() {
        for (one, other) in [
            ("integer", "pg_catalog.int4"),
            ("integer", "int4"),
            ("Character Varying(10)", "varchar"),
            ("national char", "char"),
            ("double precision", "float"),
            ("float(24)", "real"),
            ("timestamp (3) with time zone", "timestamptz"),
            ("time without time zone", "time"),
            ("interval day to second(3)", "interval"),
            ("text[][3]", "text array"),
            ("setof geometry(Point, 4326)", "public.geometry"),
        ] {
            assert!(key(one).is_same(&key(other)), "{one} and {other}");
        }
    }

    #[test]
    fn types_that_differ_keep_different_keys() {
        for (one, other) in [
            ("\"char\"", "char"),
            ("text", "text[]"),
            ("bit", "bit varying"),
            ("a.t", "b.t"),
            ("integer", "public.int4"),
        ] {
            assert!(!key(one).is_same(&key(other)), "{one} and {other}");
        }
    }

    #[test]
    fn a_key_is_shown_as_sql_has_it() {
        for (sql, shown) in
            [("tab.col%TYPE", "col%type"), ("\"Mixed\"", "Mixed"), ("s.t[]", "s.t[]"), ("int", "int4")]
        {
            assert_eq!(key(sql).to_string(), shown);
        }
    }
}
