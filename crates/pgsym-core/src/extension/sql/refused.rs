//! Statements that the server refuses inside an extension script whatever is in the database: transaction commands,
//! commands that must be a transaction's only one, extensions that are made or updated inside one, schemas with the
//! system's prefix, DO without code or in a language that has no inline code (src/backend/commands/extension.c:
//! execute_sql_string, CreateExtension, ExecAlterExtensionStmt; src/backend/tcop/utility.c and the commands that call
//! PreventInTransactionBlock; src/backend/commands/schemacmds.c; src/backend/commands/functioncmds.c: ExecuteDoStmt).

use super::cursor::Cursor;
use super::error::{Stop, expect};
use crate::name::Shown;

/// What a script has of an extension inside an extension, or of a language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The server's message.
    Refused(String),
    /// CREATE EXTENSION, or since 13 CREATE LANGUAGE without a handler, which means it.
    Extension { name: Vec<u8>, is_if_missing: bool, is_language: bool },
    /// CREATE LANGUAGE with a handler, or the new name of ALTER LANGUAGE.
    Language(Vec<u8>),
}

fn only_by_itself(command: &str) -> Found {
    Found::Refused(format!("{command} cannot be executed from a function"))
}

/// Reads a statement whose first word is none that the caller looks at; `first` is that word.
pub(super) fn read_refused(first: &str, cursor: &mut Cursor<'_>) -> Option<Found> {
    cursor.take();
    match first {
        "alter" => alter(cursor),
        "create" => create(cursor),
        "drop" if cursor.word("database") => Some(only_by_itself("DROP DATABASE")),
        "drop" if cursor.word("tablespace") => Some(only_by_itself("DROP TABLESPACE")),
        // CONCURRENTLY is a key word that no index can have as its name without quotes.
        "drop" if cursor.words(&["index", "concurrently"]) => Some(only_by_itself("DROP INDEX CONCURRENTLY")),
        "vacuum" => Some(only_by_itself("VACUUM")),
        "discard" if cursor.word("all") => Some(only_by_itself("DISCARD ALL")),
        "cluster" => {
            cursor.word("verbose");
            cursor.is_at_end().then(|| only_by_itself("CLUSTER"))
        }
        "reindex" => reindex(cursor),
        _ => None,
    }
}

fn alter(cursor: &mut Cursor<'_>) -> Option<Found> {
    if cursor.word("system") {
        return Some(only_by_itself("ALTER SYSTEM"));
    }
    if cursor.word("extension") {
        cursor.name()?.ok()?;
        let message = "nested ALTER EXTENSION is not supported";
        return cursor.word("update").then(|| Found::Refused(message.to_owned()));
    }
    if cursor.word("database") {
        cursor.name()?.ok()?;
        if !cursor.word("set") {
            cursor.word("with");
        }
        return cursor.word("tablespace").then(|| only_by_itself("ALTER DATABASE SET TABLESPACE"));
    }
    if cursor.word("table") {
        cursor.words(&["if", "exists"]);
        cursor.word("only");
        cursor.qualified_name()?.ok()?;
        if !cursor.words(&["detach", "partition"]) {
            return None;
        }
        cursor.qualified_name()?.ok()?;
        let command = "ALTER TABLE ... DETACH CONCURRENTLY";
        return cursor.word("concurrently").then(|| only_by_itself(command));
    }
    let is_language = cursor.word("language") || cursor.words(&["procedural", "language"]);
    if is_language {
        cursor.name()?.ok()?;
        return if cursor.words(&["rename", "to"]) {
            Some(Found::Language(cursor.name()?.ok()?))
        } else {
            None
        };
    }
    None
}

fn create(cursor: &mut Cursor<'_>) -> Option<Found> {
    if cursor.word("database") {
        return Some(only_by_itself("CREATE DATABASE"));
    }
    if cursor.word("tablespace") {
        return Some(only_by_itself("CREATE TABLESPACE"));
    }
    if cursor.words(&["index", "concurrently"]) || cursor.words(&["unique", "index", "concurrently"]) {
        return Some(only_by_itself("CREATE INDEX CONCURRENTLY"));
    }
    if cursor.word("subscription") {
        // The default of create_slot is true; with options, the server on the other side would have to be asked.
        while !cursor.is_at_end() {
            if cursor.word("with") {
                return None;
            }
            cursor.take();
        }
        return Some(only_by_itself("CREATE SUBSCRIPTION ... WITH (create_slot = true)"));
    }
    if cursor.word("schema") {
        cursor.words(&["if", "not", "exists"]);
        if cursor.is_word("authorization") {
            return None;
        }
        let name = cursor.name()?.ok()?;
        let message = || format!("unacceptable schema name \"{}\"", Shown(&name));
        return name.starts_with(b"pg_").then(|| Found::Refused(message()));
    }
    if cursor.word("extension") {
        let is_if_missing = cursor.words(&["if", "not", "exists"]);
        return Some(Found::Extension { name: cursor.name()?.ok()?, is_if_missing, is_language: false });
    }
    let is_if_missing = cursor.words(&["or", "replace"]);
    cursor.word("trusted");
    cursor.word("procedural");
    if !cursor.word("language") {
        return None;
    }
    // A string until 13.
    let name = cursor.string().or_else(|| cursor.name())?.ok()?;
    Some(if cursor.is_at_end() {
        Found::Extension { name, is_if_missing, is_language: true }
    } else {
        Found::Language(name)
    })
}

fn reindex(cursor: &mut Cursor<'_>) -> Option<Found> {
    let mut is_concurrent = false;
    if cursor.sign(b'(') {
        loop {
            let name = cursor.name()?.ok()?;
            let value = if cursor.sign(b',') || cursor.sign(b')') {
                cursor.seek(cursor.position() - 1);
                None
            } else {
                Some(cursor.take_text()?.to_ascii_lowercase())
            };
            if name == b"concurrently" {
                let value = value.as_deref();
                is_concurrent = value.is_none_or(|value| matches!(value, b"true" | b"on" | b"1"));
            }
            if cursor.sign(b')') {
                break;
            }
            if !cursor.sign(b',') {
                return None;
            }
        }
    }
    let kinds = ["schema", "system", "database"];
    let many = kinds.into_iter().find(|kind| cursor.word(kind));
    if many.is_none() && (cursor.word("table") || cursor.word("index")) {
        is_concurrent |= cursor.word("concurrently");
    }
    if is_concurrent {
        return Some(only_by_itself("REINDEX CONCURRENTLY"));
    }
    Some(only_by_itself(&format!("REINDEX {}", many?.to_ascii_uppercase())))
}

/// The code of a DO statement, its language, and the server's message where no server runs it.
#[derive(Debug, Default)]
pub(super) struct Inline {
    pub(super) code: Option<Vec<u8>>,
    pub(super) language: Option<Vec<u8>>,
    pub(super) refusal: Option<String>,
}

/// Reads DO (`dostmt_opt_list`).
pub(super) fn read_inline(cursor: &mut Cursor<'_>) -> Result<Inline, Stop> {
    let mut inline = Inline::default();
    let mut is_twice = false;
    cursor.take();
    loop {
        if cursor.word("language") {
            let value = cursor.string().or_else(|| cursor.name()).ok_or(Stop::Grammar)??;
            is_twice |= inline.language.replace(value).is_some();
        } else if let Some(value) = cursor.string() {
            is_twice |= inline.code.replace(value?).is_some();
        } else {
            break;
        }
    }
    expect(cursor.is_at_end() && (inline.code.is_some() || inline.language.is_some()))?;
    let language = inline.language.as_deref().unwrap_or(b"plpgsql");
    inline.refusal = if is_twice {
        Some("conflicting or redundant options".to_owned())
    } else if inline.code.is_none() {
        Some("no inline code specified".to_owned())
    } else if matches!(language, b"c" | b"internal" | b"sql") {
        Some(format!("language \"{}\" does not support inline code execution", Shown(language)))
    } else {
        None
    };
    Ok(inline)
}
