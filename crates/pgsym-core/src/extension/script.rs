//! One script file: read, checked for its encoding, preprocessed and scanned, with the place of each statement
//! in the file as a person sees it.

use std::path::Path;

use bstr::ByteSlice;

use super::control::Control;
use super::encoding::Encoding;
use super::preprocess::{Preprocessed, Substitutions, preprocess};
use super::sql::{
    Declaration, Dialect, DynamicRoutine, ScriptFacts, StandardConformingStrings, SyntaxError, scan_script,
};
use crate::error::{FileError, FileErrorKind};
use crate::fs::Fs;
use crate::limits;

/// The role that is taken to run CREATE EXTENSION.
pub const OWNER: &[u8] = b"postgres";

/// The schema that CREATE EXTENSION is taken to install into, where the control file names none.
pub const SCHEMA: &[u8] = b"public";

/// A line and a column, both from 1; columns count bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// What a script says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// The statements that matter, in order, each with its place.
    pub declarations: Vec<(Position, Declaration)>,
    /// C functions that code in the script would create.
    pub dynamic: Vec<(Position, DynamicRoutine)>,
    /// A schema that servers since August 2023 do not put into it, whatever else is wrong with it: where it is asked for, and
    /// the required extension whose it is, or `None` for the one that the script installs into.
    pub refused_schema: Option<(Position, Option<Vec<u8>>)>,
    /// The first reason for the server not to run any of it.
    pub error: Option<(Position, SyntaxError)>,
    /// What a database in UTF8 says of a script whose control file names no `encoding`, or SQL_ASCII: the database's own is
    /// taken then.
    pub doubt: Option<(Position, SyntaxError)>,
    /// The first CREATE FUNCTION or PROCEDURE that is too long to be read.
    pub unread: Option<Position>,
}

/// The file's bytes; a file of more than [`limits::SCRIPT_BYTES`] is an error.
pub fn read_script(fs: &dyn Fs, path: &Path) -> Result<Vec<u8>, FileError> {
    read_text(fs, path, limits::SCRIPT_BYTES)
}

/// A small file as the server reads it, which takes a link to `/dev/null` for an empty one.
pub(super) fn read_text(fs: &dyn Fs, path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let null = Path::new("/dev/null");
    // A tree below another root has no devices; the processes in it have.
    let is_null =
        || [fs.canonicalize(path), fs.read_link(path)].iter().flatten().any(|target| target == null);
    match fs.read_small(path, limit) {
        Err(error) if matches!(error.kind, FileErrorKind::Io(_) | FileErrorKind::NotRegular) && is_null() => {
            Ok(Vec::new())
        }
        read => read,
    }
}

/// The values that the server would put into a script of an extension with this control file.
pub fn substitutions<'a>(
    control: &'a Control,
    required_schemas: &'a [(Vec<u8>, Vec<u8>)],
) -> Substitutions<'a> {
    Substitutions {
        owner: OWNER,
        schema: (!control.relocatable).then(|| control.schema.as_deref().unwrap_or(SCHEMA)),
        required_schemas,
        module_pathname: control.module_pathname.as_deref(),
    }
}

/// Reads a script that is in memory. Fails where the words that are replaced make it too long to be read.
pub fn parse_script(
    bytes: &[u8],
    values: &Substitutions<'_>,
    encoding: Option<&[u8]>,
    dialect: impl Into<Dialect>,
) -> Result<Script, FileError> {
    let preprocessed = preprocess(bytes, values)?;
    let facts = scan_script(&preprocessed.text, dialect);
    Ok(script_of(bytes, &preprocessed, facts, encoding))
}

fn script_of(
    bytes: &[u8],
    preprocessed: &Preprocessed<'_>,
    facts: ScriptFacts,
    encoding: Option<&[u8]>,
) -> Script {
    let mut lines = Lines { bytes, text: preprocessed, offset: 0, line: 1, line_start: 0 };
    let mut script = Script::default();
    for declaration in facts.declarations {
        let position =
            offset_of(&declaration).map_or(Position { line: 1, column: 1 }, |at| lines.position(at));
        script.declarations.push((position, declaration));
    }
    lines.rewind();
    for dynamic in facts.dynamic {
        script.dynamic.push((lines.position(dynamic.offset), dynamic));
    }
    lines.rewind();
    script.unread = facts.unread.map(|offset| lines.position(offset));
    lines.rewind();
    script.error = facts.error.map(|error| (lines.position(error.offset), error));
    // Without an `encoding` the database's own decides, and with SQL_ASCII too (`pg_any_to_server`): only a zero byte is
    // certain.
    let known = encoding.map_or(Some(Encoding::UTF8), Encoding::named);
    let is_of_database = encoding.is_none() || known.is_some_and(Encoding::is_ascii);
    lines.rewind();
    if let Some(refused) = preprocessed.refused_schema.clone() {
        script.refused_schema = Some((lines.original(refused.offset), refused.required));
    }
    lines.rewind();
    if is_of_database && bytes.find_byte(0).is_none() {
        let doubt = Encoding::UTF8.error(bytes);
        script.doubt = doubt.map(|error| (lines.original(error.offset), error));
    } else if let Some(error) = known.and_then(|known| known.error(bytes)) {
        script.error = Some((lines.original(error.offset), error));
        script.refused_schema = None;
    }
    script
}

fn offset_of(declaration: &Declaration) -> Option<usize> {
    match declaration {
        Declaration::Create(routine) => Some(routine.offset),
        Declaration::CreateOperator(operator) => Some(operator.offset),
        Declaration::Load { offset, .. }
        | Declaration::Refused { offset, .. }
        | Declaration::CreateExtension { offset, .. }
        | Declaration::Do { offset, .. } => Some(*offset),
        _ => None,
    }
}

/// Counts lines as it goes forward, so that thousands of statements cost one walk over the file.
struct Lines<'a> {
    bytes: &'a [u8],
    text: &'a Preprocessed<'a>,
    offset: usize,
    line: usize,
    line_start: usize,
}

impl Lines<'_> {
    fn rewind(&mut self) {
        (self.offset, self.line, self.line_start) = (0, 1, 0);
    }

    /// The place of an offset in the preprocessed text; offsets must not decrease.
    fn position(&mut self, offset: usize) -> Position {
        self.original(self.text.original_offset(offset))
    }

    /// The place of an offset in the file.
    fn original(&mut self, offset: usize) -> Position {
        let passed = self.bytes.get(self.offset..offset).unwrap_or_default();
        if let Some(last) = passed.rfind_byte(b'\n') {
            self.line += memchr::memchr_iter(b'\n', passed).count();
            self.line_start = self.offset + last + 1;
        }
        self.offset = self.offset.max(offset);
        Position { line: self.line, column: offset.saturating_sub(self.line_start) + 1 }
    }
}

/// A C function that a script declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CFunction {
    /// The SQL name.
    pub name: Vec<u8>,
    /// The file name behind AS, after `MODULE_PATHNAME` was replaced if its value was given.
    pub probin: Vec<u8>,
    /// The symbol: the second string behind AS, or the SQL name.
    pub prosrc: Vec<u8>,
    /// Where CREATE stands.
    pub position: Position,
}

/// Every C function that a script declares, in order, for those who have a script and no installation: a build
/// script that exports exactly these symbols.
///
/// Functions that code in the script would create are among them, because their symbols must be there too.
/// `module_pathname` is the control file's setting of that name; without it `MODULE_PATHNAME` stays. Fails where its value
/// makes the script longer than [`limits::SCRIPT_BYTES`].
pub fn declared_c_functions(
    script: &[u8],
    module_pathname: Option<&[u8]>,
) -> Result<Vec<CFunction>, FileError> {
    let values = Substitutions { owner: OWNER, schema: Some(SCHEMA), required_schemas: &[], module_pathname };
    let script = parse_script(script, &values, None, StandardConformingStrings::On)?;
    let declared = script.declarations.iter().filter_map(|(position, declaration)| match declaration {
        Declaration::Create(routine) => Some((position, routine)),
        _ => None,
    });
    let dynamic =
        script.dynamic.iter().filter_map(|(position, dynamic)| Some((position, dynamic.routine.as_ref()?)));
    let mut functions: Vec<CFunction> = declared
        .chain(dynamic)
        .filter_map(|(position, routine)| {
            let (probin, prosrc) = routine.c_link()?;
            Some(CFunction {
                name: routine.name.clone(),
                probin: probin.to_vec(),
                prosrc: prosrc.to_vec(),
                position: *position,
            })
        })
        .collect();
    functions.sort_by_key(|function| function.position);
    Ok(functions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8], encoding: Option<&[u8]>) -> Script {
        let control = Control::default();
        parse_script(bytes, &substitutions(&control, &[]), encoding, StandardConformingStrings::On).unwrap()
    }

    #[test]
    fn positions_are_those_of_the_file() {
        let script = b"\\echo Use this\n\n  CREATE FUNCTION @extschema@.f() RETURNS int\n LANGUAGE c AS 'MODULE_PATHNAME';\n\
                       CREATE FUNCTION @extschema@.g() RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'h';";
        let functions = declared_c_functions(script, Some(b"$libdir/m")).unwrap();
        let found: Vec<_> = functions
            .iter()
            .map(|f| (f.name.to_str_lossy(), f.probin.to_str_lossy(), f.prosrc.to_str_lossy(), f.position))
            .collect();
        assert_eq!(
            found,
            [
                ("f".into(), "$libdir/m".into(), "f".into(), Position { line: 3, column: 3 }),
                ("g".into(), "$libdir/m".into(), "h".into(), Position { line: 5, column: 1 }),
            ]
        );
    }

    #[test]
    fn an_error_is_placed_where_the_file_has_it() {
        let (position, error) = parse(b"SELECT '@extschema@', '@extschema@';\n \\quit", None).error.unwrap();
        assert_eq!(
            (position, error.message.as_str()),
            (Position { line: 2, column: 2 }, "syntax error at or near \"\\\"")
        );
    }

    #[test]
    fn bytes_outside_the_encoding_stop_the_script() {
        let message = |bytes: &[u8], encoding| parse(bytes, encoding).error.map(|(_, error)| error.message);
        assert_eq!(
            message(b"SELECT '\0';", None).unwrap(),
            "invalid byte sequence for encoding \"UTF8\": 0x00"
        );
        assert_eq!(message(b"SELECT '\xe9';", None), None);
        assert_eq!(
            message(b"SELECT '\xe9';", Some(b"utf-8")).unwrap(),
            "invalid byte sequence for encoding \"UTF8\": 0xe9 0x27 0x3b"
        );
        assert_eq!(message(b"SELECT '\xe9';", Some(b"LATIN1")), None);
        let cut = message(b"SELECT '\xa4';", Some(b"EUC_JP")).unwrap();
        assert_eq!(cut, "invalid byte sequence for encoding \"EUC_JP\": 0xa4 0x27");
    }

    #[test]
    fn sql_ascii_leaves_it_to_the_database() {
        let script = parse(b"SELECT '\xe9';", Some(b"SQL_ASCII"));
        assert_eq!(script.error, None);
        let doubt = script.doubt.unwrap().1.message;
        assert_eq!(doubt, "invalid byte sequence for encoding \"UTF8\": 0xe9 0x27 0x3b");
        assert_eq!(
            parse("SELECT 'é';".as_bytes(), Some(b"sql_ascii")),
            parse("SELECT 'é';".as_bytes(), None)
        );
        let zero = parse(b"\xe9\0", Some(b"SQL_ASCII"));
        assert_eq!(zero.error.unwrap().1.message, "invalid byte sequence for encoding \"SQL_ASCII\": 0x00");
        assert_eq!(zero.doubt, None);
    }

    #[test]
    fn the_encoding_comes_before_the_schema_and_the_schema_before_the_grammar() {
        let control = Control { schema: Some(b"a$b".to_vec()), ..Control::default() };
        let parse = |bytes: &[u8]| {
            let strings = StandardConformingStrings::On;
            parse_script(bytes, &substitutions(&control, &[]), Some(b"UTF8"), strings).unwrap()
        };
        let script = parse(b"\\echo x\n @extschema@ '");
        assert_eq!(script.refused_schema, Some((Position { line: 2, column: 2 }, None)));
        assert_eq!(parse(b"@extschema@ \xe9").refused_schema, None);
    }

    #[test]
    fn functions_that_code_creates_are_declared_too() {
        let script = b"DO $$ BEGIN CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'm', 's'; END $$;";
        let functions = declared_c_functions(script, None).unwrap();
        assert_eq!(functions.len(), 1);
        assert_eq!(functions[0].prosrc, b"s");
    }
}
