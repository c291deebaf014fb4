//! CREATE FUNCTION and CREATE PROCEDURE, read clause by clause as the server's grammar has them
//! (src/backend/parser/gram.y: CreateFunctionStmt). The clauses come in any order, and default values and settings may
//! contain the words AS and LANGUAGE, so each clause is read in full; expressions are skipped by their parentheses.

use super::arguments::{Arguments, Defaults, arguments, table_columns};
use super::attributes::{Attribute, Attributes};
use super::cursor::Cursor;
use super::error::{Stop, SyntaxError, expect};
use super::keywords::Category;
use super::options::option;
use super::parameters::refused_parameters;
use super::result::refused_result;
use super::split::{Statement, Statements};
use super::types::{TypeKey, type_name};

/// Function or procedure: they share names but not DROP commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutineKind {
    /// CREATE FUNCTION.
    Function,
    /// CREATE PROCEDURE.
    Procedure,
}

/// A routine as its CREATE statement declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routine {
    /// Function or procedure.
    pub kind: RoutineKind,
    /// Whether the statement says OR REPLACE.
    pub replaces: bool,
    /// The schema the name is qualified with.
    pub schema: Option<Vec<u8>>,
    /// The name, folded and cut as the server stores it.
    pub name: Vec<u8>,
    /// The arguments. Schema, name and the types of the input arguments are the routine's identity.
    pub arguments: Arguments,
    /// The type of the result, or those of the columns of RETURNS TABLE.
    pub result: Vec<TypeKey>,
    /// The language, as the server compares it: `c` for `C`, but `C` for `'C'`.
    pub language: Option<Vec<u8>>,
    /// The string or strings behind AS.
    pub definition: Option<(Vec<u8>, Option<Vec<u8>>)>,
    /// What every server says when it runs the statement, which it parsed well.
    pub refusal: Option<String>,
    /// Offset of the statement's first byte in the preprocessed text.
    pub offset: usize,
}

impl Routine {
    /// `probin` and `prosrc` as CREATE FUNCTION stores them (`interpret_AS_clause` in functioncmds.c), or `None` when
    /// this is no C function.
    pub fn c_link(&self) -> Option<(&[u8], &[u8])> {
        if self.language.as_deref() != Some(b"c") {
            return None;
        }
        let (probin, symbol) = self.definition.as_ref()?;
        Some(match symbol.as_deref() {
            // "-" was the sign for "no link symbol" before PostgreSQL 7.2 and still is.
            None | Some(b"-") => (probin, &self.name),
            Some(symbol) => (probin, symbol),
        })
    }
}

/// Why a statement could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoutineError {
    /// The server would not take it either.
    Syntax(SyntaxError),
    /// It has more tokens than [`limits::STATEMENT_TOKENS`](crate::limits::STATEMENT_TOKENS).
    TooLong,
}

impl From<SyntaxError> for RoutineError {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(error)
    }
}

/// Reads the statement that `statements` cut last and for which [`Statement::creates`] found a function or procedure.
///
/// # Errors
///
/// The server's syntax error, at the token where its grammar stops; or that the statement has more tokens than pgsym
/// reads.
pub fn read_routine(statements: &Statements<'_>, statement: &Statement) -> Result<Routine, RoutineError> {
    let Some(mut cursor) = statements.cursor() else {
        return Err(RoutineError::TooLong);
    };
    let mut routine = Routine {
        kind: RoutineKind::Function,
        replaces: false,
        schema: None,
        name: Vec::new(),
        arguments: Arguments::default(),
        result: Vec::new(),
        language: None,
        definition: None,
        refusal: None,
        offset: statement.start,
    };
    let mut attributes = Attributes::default();
    match clauses(&mut cursor, &mut routine, &mut attributes) {
        Ok(()) => {
            routine.refusal = attributes.refusal(&routine, cursor.dialect());
            Ok(routine)
        }
        Err(stop) => Err(stop.error(&cursor, statements, statement).into()),
    }
}

fn clauses(cursor: &mut Cursor<'_>, routine: &mut Routine, attributes: &mut Attributes) -> Result<(), Stop> {
    expect(cursor.word("create"))?;
    routine.replaces = cursor.words(&["or", "replace"]);
    if cursor.word("procedure") {
        routine.kind = RoutineKind::Procedure;
    } else {
        expect(cursor.word("function"))?;
    }
    let (mut name, is_column) = function_name(cursor)?;
    if is_column {
        cursor.peek();
        return Err(Stop::Grammar);
    }
    routine.name = name.pop().unwrap_or_default();
    routine.schema = name.pop();
    if cursor.sign(b'[') {
        cursor.peek(); // `ColId indirection` lets a subscript begin here, of which no name can come
        return Err(Stop::Grammar);
    }
    expect(cursor.sign(b'('))?;
    let mut parameters = arguments(cursor, Defaults::Taken)?;
    routine.arguments = Arguments::of(&parameters);
    let mut is_table = false;
    // A procedure has no result: there the word only begins the option of that name.
    if routine.kind == RoutineKind::Function && cursor.word("returns") {
        attributes.has_result = true;
        attributes.returns_set = cursor.is_word("setof") || cursor.is_word("table");
        if cursor.words(&["null", "on", "null", "input"]) {
            // That option, in a function whose result its OUT arguments tell.
            attributes.has_result = false;
            attributes.see(routine.kind, Attribute::Strict);
        } else if cursor.word("table") {
            is_table = true;
            let columns = table_columns(cursor)?;
            routine.result = columns.iter().map(|column| column.key.clone()).collect();
            parameters.extend(columns);
        } else {
            routine.result.push(type_name(cursor).ok_or(Stop::Grammar)?);
        }
    }
    // `createfunc_opt_list` may be empty since 14.
    expect(!cursor.dialect().is_before(14) || !cursor.is_at_end())?;
    while !cursor.is_at_end() {
        if !option(cursor, routine, attributes)? {
            attributes.has_body = true;
            break;
        }
    }
    if is_table && routine.arguments.has_output {
        // `mergeTableFuncParameters`, which points at nothing.
        return Err(Stop::Message(
            "OUT and INOUT arguments aren't allowed in TABLE functions",
            routine.offset,
        ));
    }
    let result = routine.result.first().filter(|_| !is_table);
    attributes.of_result = refused_result(result, &parameters);
    attributes.of_parameters = refused_parameters(routine.kind, &parameters, cursor.dialect());
    Ok(())
}

/// `func_name`, and whether it is a single word that only names columns.
pub(super) fn function_name(cursor: &mut Cursor<'_>) -> Result<(Vec<Vec<u8>>, bool), Stop> {
    let first = cursor.category();
    expect(first != Some(Category::Reserved))?;
    if first == Some(Category::Function) {
        let start = cursor.position();
        cursor.take();
        expect(!cursor.sign(b'.'))?;
        cursor.seek(start);
    }
    let names = cursor.qualified_name().ok_or(Stop::Grammar)??;
    let is_column = first == Some(Category::Column) && names.len() == 1;
    Ok((names, is_column))
}

#[cfg(test)]
mod tests {
    use super::super::dialect::StandardConformingStrings;
    use super::*;

    fn read(sql: &str) -> Result<Routine, String> {
        let mut statements = Statements::new(sql.as_bytes(), StandardConformingStrings::On);
        let statement = statements.next().expect("a statement");
        let routine = match read_routine(&statements, &statement) {
            Ok(routine) => Ok(routine),
            Err(RoutineError::Syntax(error)) => Err(error.message),
            Err(RoutineError::TooLong) => panic!("too long"),
        };
        assert_eq!(statements.next(), None, "one statement only");
        routine
    }

    fn link(sql: &str) -> (String, String) {
        let routine = read(sql).unwrap();
        let (probin, prosrc) = routine.c_link().expect("a C function");
        (String::from_utf8_lossy(probin).into_owned(), String::from_utf8_lossy(prosrc).into_owned())
    }

    #[test]
    fn every_spelling_of_the_link_gives_the_same_function() {
        let wanted = ("lib".to_owned(), "sym".to_owned());
        for sql in [
            "CREATE FUNCTION f() RETURNS int AS 'lib', 'sym' LANGUAGE C",
            "CREATE OR REPLACE FUNCTION s.f() RETURNS int LANGUAGE c AS 'lib','sym'",
            "create function F() returns setof int language 'c' as $$lib$$, $x$sym$x$",
            "CREATE FUNCTION f() RETURNS int LANGUAGE \"c\" AS E'\\x6cib', U&'s\\0079m'",
            "CREATE FUNCTION f() RETURNS int LANGUAGE c AS U&'!006cib' UESCAPE '!', 's'\n 'ym'",
            "CREATE PROCEDURE f() LANGUAGE C AS 'lib', 'sym'",
        ] {
            assert_eq!(link(sql), wanted, "{sql}");
        }
    }

    #[test]
    fn the_link_symbol_defaults_to_the_folded_name() {
        assert_eq!(link("CREATE FUNCTION Foo5() RETURNS int LANGUAGE C AS 'lib'").1, "foo5");
        assert_eq!(link("CREATE FUNCTION \"Foo5\"() RETURNS int LANGUAGE C AS 'lib', '-'").1, "Foo5");
        let long = "a".repeat(70);
        assert_eq!(
            link(&format!("CREATE FUNCTION {long}() RETURNS int LANGUAGE C AS 'lib'")).1,
            "a".repeat(63)
        );
    }

    #[test]
    fn a_quoted_language_is_not_folded() {
        for sql in ["LANGUAGE 'C'", "LANGUAGE \"C\"", "LANGUAGE internal", ""] {
            let routine = read(&format!("CREATE FUNCTION f() RETURNS int {sql} AS 'lib'")).unwrap();
            assert_eq!(routine.c_link(), None, "{sql}");
        }
    }

    #[test]
    fn clauses_that_contain_the_words_of_other_clauses_are_read_whole() {
        let sql = "CREATE FUNCTION f(a text DEFAULT 'x) AS ''y''', b int = (1), c text DEFAULT f(')', 2)) \
                   RETURNS language SET search_path TO language, 'as' SET a.b = -1 COST 0.5 ROWS 10 \
                   SUPPORT s.language TRANSFORM FOR TYPE hstore, FOR TYPE s.t PARALLEL SAFE \
                   SET TIME ZONE INTERVAL '1' SET x FROM CURRENT NOT LEAKPROOF \
                   RETURNS NULL ON NULL INPUT LANGUAGE c AS 'lib'";
        assert_eq!(link(sql), ("lib".to_owned(), "f".to_owned()));
        assert_eq!(read(sql).unwrap().arguments.input().count(), 3);
    }

    /// PostgreSQL 13, 15 and 18 create each of these.
    #[test]
    fn a_setting_takes_every_form_of_its_value() {
        for setting in [
            "TIME ZONE INTERVAL '1' HOUR TO MINUTE",
            "TIME ZONE INTERVAL '1' HOUR",
            "TIME ZONE INTERVAL '1' MINUTE",
            "TIME ZONE INTERVAL '1'",
            "TIME ZONE INTERVAL (2) '1'",
            "TIME ZONE LOCAL",
            "TIME ZONE DEFAULT",
            "TIME ZONE utc",
            "TIME ZONE \"UTC\"",
            "TIME ZONE -8.5",
            "TIME ZONE +1",
            "NAMES",
            "NAMES DEFAULT",
            "NAMES 'utf8'",
            "XML OPTION DOCUMENT",
            "ROLE none",
            "SESSION AUTHORIZATION DEFAULT",
            "SCHEMA 'a'",
            "a.b = DEFAULT",
            "a.b TO on",
        ] {
            let sql = format!("CREATE FUNCTION f() RETURNS int SET {setting} STABLE LANGUAGE c AS 'lib'");
            assert_eq!(link(&sql).0, "lib", "{setting}");
        }
    }

    #[test]
    fn a_table_result_and_a_body_in_sql_are_no_obstacle() {
        let table = "CREATE FUNCTION f() RETURNS TABLE(a int, b text) LANGUAGE c AS 'lib'";
        assert_eq!(link(table).0, "lib");
        let columns = read(table).unwrap().result;
        assert_eq!(columns.iter().map(ToString::to_string).collect::<Vec<_>>(), ["int4", "text"]);
        assert_eq!(read("CREATE FUNCTION f() RETURNS int RETURN 1").unwrap().c_link(), None);
        assert_eq!(read("CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; END").unwrap().c_link(), None);
    }

    #[test]
    fn a_syntax_error_names_the_token_as_the_server_does() {
        let error = |sql| read(sql).unwrap_err();
        assert_eq!(
            error("CREATE FUNCTION f() RETURNS int LANGUAGE c AS lib"),
            "syntax error at or near \"lib\""
        );
        assert_eq!(error("CREATE FUNCTION f RETURNS int"), "syntax error at or near \"RETURNS\"");
        assert_eq!(error("CREATE FUNCTION f(a int b)"), "syntax error at or near \"b\"");
        assert_eq!(error("CREATE FUNCTION f() AS 'x', LANGUAGE c"), "syntax error at or near \"LANGUAGE\"");
        assert_eq!(error("CREATE FUNCTION f() AS;"), "syntax error at or near \";\"");
        assert_eq!(error("CREATE FUNCTION f() AS"), "syntax error at end of input");
        assert_eq!(error("CREATE FUNCTION f() SET TIME ZUNE 1"), "syntax error at or near \"ZUNE\"");
        let zone = |value: &str| {
            read(&format!("CREATE FUNCTION f() SET TIME ZONE {value} LANGUAGE c AS 'x'")).unwrap_err()
        };
        let fields = "time zone interval must be HOUR or HOUR TO MINUTE";
        for (value, said) in [
            ("INTERVAL '1' DAY TO HOUR", fields),
            ("INTERVAL '1' SECOND(2)", fields),
            ("INTERVAL '1' HOUR TO SECOND", fields),
            ("INTERVAL '1' YEAR TO DAY", "syntax error at or near \"DAY\""),
            ("INTERVAL '1' MINUTE TO HOUR", "syntax error at or near \"HOUR\""),
            ("INTERVAL(2) '1' HOUR", "syntax error at or near \"HOUR\""),
            ("INTERVAL(1.5) '1'", "syntax error at or near \"1.5\""),
            ("INTERVAL() '1'", "syntax error at or near \")\""),
            ("INTERVAL HOUR", "syntax error at or near \"HOUR\""),
            ("'1', '2'", "syntax error at or near \",\""),
        ] {
            assert_eq!(zone(value), said, "{value}");
        }
        assert_eq!(error("CREATE FUNCTION f() SET NAMES utf8 AS 'x'"), "syntax error at or near \"utf8\"");
        assert_eq!(error("CREATE FUNCTION f() SET SCHEMA a AS 'x'"), "syntax error at or near \"a\"");
        assert_eq!(error("CREATE FUNCTION f(a int[x]) AS 'x'"), "syntax error at or near \"x\"");
        assert_eq!(error("CREATE FUNCTION f() AS E'\\u00'"), "invalid Unicode escape");
    }

    /// What PostgreSQL 13 to 18 say to `CREATE FUNCTION …`.
    #[test]
    fn a_name_is_none_of_the_key_words_that_cannot_be_one() {
        for (rest, token) in [
            ("f(position text)", "position"),
            ("f(row text)", "row"),
            ("f(values text)", "values"),
            ("f(coalesce int)", "coalesce"),
            ("f(precision int)", "precision"),
            ("f(none int)", "none"),
            ("f(normalize text)", "normalize"),
            ("f(a int, IN user int)", "user"),
            ("f(table int)", "table"),
            ("f(time Text)", "Text"),
            ("f(time TIME)", "TIME"),
            ("f(int INT)", "INT"),
            ("f(bit BIT)", "BIT"),
            ("f(char text)", "text"),
            ("f(national text)", "text"),
            ("f(interval INTERVAL)", "INTERVAL"),
            ("f(timestamp text)", "text"),
            ("f(a position)", "position"),
            ("f(position.x)", "position"),
            ("f(user.x)", "user"),
            ("f(int.x)", "."),
            ("f(a int DEFAULT)", ")"),
            ("f(a int =)", ")"),
            ("f(a int := 1)", ":="),
            ("position()", "("),
            ("user()", "user"),
            ("left.f()", "."),
            ("user.f()", "user"),
            ("f() RETURNS position", "position"),
            ("f() RETURNS TABLE AS 'x'", "AS"),
            ("f() RETURNS TABLE ()", ")"),
            ("f() RETURNS TABLE (int)", "int"),
            ("f() RETURNS TABLE (a)", ")"),
            ("f() RETURNS TABLE (OUT b int)", "OUT"),
            ("f() RETURNS TABLE (position int)", "position"),
            ("f() RETURNS TABLE (a int DEFAULT 1)", "DEFAULT"),
        ] {
            let said = read(&format!("CREATE FUNCTION {rest} LANGUAGE c")).unwrap_err();
            assert_eq!(said, format!("syntax error at or near \"{token}\""), "{rest}");
        }
        for sql in
            ["f(OUT a int) RETURNS TABLE (b int) LANGUAGE c", "f(INOUT int) RETURNS TABLE (b int) LANGUAGE c"]
        {
            let said = read(&format!("CREATE FUNCTION {sql}")).unwrap_err();
            assert_eq!(said, "OUT and INOUT arguments aren't allowed in TABLE functions", "{sql}");
        }
    }

    /// All of 13 to 18 take these.
    #[test]
    fn other_key_words_are_names() {
        for rest in [
            "f(double int)",
            "f(double precision, double double precision)",
            "f(left int, collation int, name text, language text, zone text)",
            "f(\"position\" text, \"user\" text)",
            "f(out int, in int, inout int)",
            "f(timestamp with time zone, character varying, national character varying (10))",
            "f(left.x, a s.position, s.user)",
            "left()",
            "public.user()",
            "public.position()",
            "position.f()",
            "f(a int DEFAULT position('a' in 'b'), b int = (1))",
        ] {
            assert!(read(&format!("CREATE FUNCTION {rest} LANGUAGE c")).is_ok(), "{rest}");
        }
        let table =
            "CREATE FUNCTION f(a int DEFAULT 1) RETURNS TABLE (a int, left text[]) LANGUAGE c AS 'lib'";
        assert_eq!(link(table).0, "lib");
    }
}
