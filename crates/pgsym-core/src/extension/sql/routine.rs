//! CREATE FUNCTION and CREATE PROCEDURE, read clause by clause as the server's grammar has them
//! (src/backend/parser/gram.y: CreateFunctionStmt). The clauses come in any order, and default values and settings may
//! contain the words AS and LANGUAGE, so each clause is read in full; expressions are skipped by their parentheses.

use super::attributes::{Attribute, Attributes};
use super::cursor::Cursor;
use super::keywords::Category;
use super::lexer::{Token, TokenKind};
use super::literal::{LiteralError, name_value, string_value};
use super::options::option;
use super::parameters::{Argument, Mode, refused_parameters};
use super::split::{Statement, Statements, SyntaxError};
use super::types::{self, TypeKey};
use crate::name::Shown;

/// Function or procedure: they share names but not DROP commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutineKind {
    /// CREATE FUNCTION.
    Function,
    /// CREATE PROCEDURE.
    Procedure,
}

/// The arguments of a routine, as CREATE, DROP and ALTER list them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arguments {
    /// All of them, in order.
    pub list: Vec<Parameter>,
    /// Whether an argument has a mode, such as IN or OUT.
    pub has_modes: bool,
    /// Whether an argument is OUT or INOUT, which makes a result.
    pub has_output: bool,
}

impl Arguments {
    fn of(arguments: &[Argument]) -> Self {
        let is_output = |argument: &Argument| matches!(argument.mode, Mode::Out | Mode::InOut);
        let parameter = |argument: &Argument| Parameter {
            key: argument.key.clone(),
            is_input: argument.mode != Mode::Out,
        };
        Self {
            list: arguments.iter().map(parameter).collect(),
            has_modes: arguments.iter().any(|argument| argument.mode != Mode::Default),
            has_output: arguments.iter().any(is_output),
        }
    }

    /// The types of the input arguments.
    pub fn input(&self) -> impl Iterator<Item = &TypeKey> {
        self.list.iter().filter(|parameter| parameter.is_input).map(|parameter| &parameter.key)
    }
}

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its type.
    pub key: TypeKey,
    /// Whether a caller gives it: false for OUT.
    pub is_input: bool,
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
        Err(stop) => Err(stop.error(&cursor, statements, statement)),
    }
}

/// Why reading stopped: the grammar has no rule for the cursor's next token, a literal is malformed, or the code behind a
/// rule of the grammar raises this error at this offset.
pub(super) enum Stop {
    Grammar,
    Literal(LiteralError),
    Message(&'static str, usize),
}

impl Stop {
    /// The server's error.
    pub(super) fn error(
        self,
        cursor: &Cursor<'_>,
        statements: &Statements<'_>,
        statement: &Statement,
    ) -> RoutineError {
        RoutineError::Syntax(match self {
            Stop::Grammar => statements.stopped(cursor, statement),
            Stop::Literal(error) => SyntaxError { message: error.message.to_owned(), offset: error.offset },
            Stop::Message(message, offset) => SyntaxError { message: message.to_owned(), offset },
        })
    }
}

impl From<LiteralError> for Stop {
    fn from(error: LiteralError) -> Self {
        Stop::Literal(error)
    }
}

/// The error at a token. A malformed constant is one of the scanner, which comes before the grammar.
pub(super) fn near(text: &[u8], token: Token) -> SyntaxError {
    let decoded = string_value(text, &token, b'\\').or_else(|| name_value(text, &token, b'\\'));
    match decoded {
        Some(Err(error)) => SyntaxError { message: error.message.to_owned(), offset: error.offset },
        _ => SyntaxError {
            message: format!("syntax error at or near \"{}\"", Shown(token.text(text))),
            offset: token.start,
        },
    }
}

pub(super) fn expect(found: bool) -> Result<(), Stop> {
    if found { Ok(()) } else { Err(Stop::Grammar) }
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
            routine.result.push(types::type_name(cursor).ok_or(Stop::Grammar)?);
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

/// `table_func_column_list` in its parentheses.
fn table_columns(cursor: &mut Cursor<'_>) -> Result<Vec<Argument>, Stop> {
    expect(cursor.sign(b'('))?;
    let mut columns = Vec::new();
    loop {
        let name = parameter_name(cursor).ok_or(Stop::Grammar)?;
        let is_set = cursor.is_word("setof");
        let key = types::type_name(cursor).ok_or(Stop::Grammar)?;
        columns.push(Argument { mode: Mode::Table, name: Some(name), key, is_set, has_default: false });
        if cursor.sign(b')') {
            return Ok(columns);
        }
        expect(cursor.sign(b','))?;
    }
}

/// The arguments of a parenthesised list whose `(` was just taken, for DROP and ALTER.
pub(super) fn argument_list(cursor: &mut Cursor<'_>) -> Option<Arguments> {
    let found = arguments(cursor, Defaults::Refused).ok()?;
    Some(Arguments::of(&found))
}

/// Whether arguments have default values: `func_args_with_defaults` or `func_args`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defaults {
    Taken,
    Refused,
}

fn arguments(cursor: &mut Cursor<'_>, defaults: Defaults) -> Result<Vec<Argument>, Stop> {
    let mut found = Vec::new();
    if cursor.sign(b')') {
        return Ok(found);
    }
    loop {
        let from = cursor.position();
        let end = argument_end(cursor);
        let mut part = cursor.part(from, cursor.position());
        let argument = argument(&mut part, defaults);
        cursor.reached(from, &part);
        found.push(argument.ok_or(Stop::Grammar)?);
        cursor.take();
        match end {
            Some(b',') => {}
            Some(_) => return Ok(found),
            None => {
                cursor.exhaust();
                return Err(Stop::Grammar);
            }
        }
    }
}

/// Goes to the `,` or `)` behind an argument and says which, or to the end of a list that has none.
fn argument_end(cursor: &mut Cursor<'_>) -> Option<u8> {
    let mut depth = 0_usize;
    loop {
        let at = cursor.position();
        match cursor.take()?.kind {
            TokenKind::Sign(b'(' | b'[') => depth += 1,
            TokenKind::Sign(b')' | b']') if depth > 0 => depth -= 1,
            TokenKind::Sign(end @ (b')' | b',')) if depth == 0 => {
                cursor.seek(at);
                return Some(end);
            }
            _ => {}
        }
    }
}

/// One argument (`func_arg_with_default`).
fn argument(cursor: &mut Cursor<'_>, defaults: Defaults) -> Option<Argument> {
    let mode = argument_mode(cursor);
    let start = cursor.position();
    if let Some(argument) = whole_type(cursor, mode, None, defaults) {
        return Some(argument);
    }
    cursor.seek(start);
    // The type does not reach to the end, so the first word is the argument's name.
    let name = parameter_name(cursor)?;
    let mode = if mode == Mode::Default { argument_mode(cursor) } else { mode };
    whole_type(cursor, mode, Some(name), defaults)
}

/// `param_name`, which is a `type_function_name`.
fn parameter_name(cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
    if matches!(cursor.category(), Some(Category::Column | Category::Reserved)) {
        return None;
    }
    cursor.name()?.ok()
}

fn argument_mode(cursor: &mut Cursor<'_>) -> Mode {
    if cursor.word("in") {
        if cursor.word("out") { Mode::InOut } else { Mode::In }
    } else if cursor.word("inout") {
        Mode::InOut
    } else if cursor.word("variadic") {
        Mode::Variadic
    } else if cursor.word("out") {
        Mode::Out
    } else {
        Mode::Default
    }
}

/// A type with nothing but a default value behind it.
fn whole_type(
    cursor: &mut Cursor<'_>,
    mode: Mode,
    name: Option<Vec<u8>>,
    defaults: Defaults,
) -> Option<Argument> {
    let is_set = cursor.is_word("setof");
    let key = types::type_name(cursor)?;
    let is_at_end = cursor.is_at_end();
    let has_default =
        !is_at_end && defaults == Defaults::Taken && (cursor.word("default") || cursor.sign(b'='));
    // There is a value behind it.
    let ends = if has_default { !cursor.is_at_end() } else { is_at_end };
    ends.then_some(Argument { mode, name, key, is_set, has_default })
}

#[cfg(test)]
mod tests {
    use super::super::lexer::StandardConformingStrings;
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

    fn arguments_of(list: &str) -> String {
        let routine = read(&format!("CREATE FUNCTION f({list}) LANGUAGE c AS 'x'")).unwrap();
        routine.arguments.input().map(ToString::to_string).collect::<Vec<_>>().join(",")
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
    fn a_signature_has_the_input_types_only() {
        assert_eq!(arguments_of(""), "");
        assert_eq!(
            arguments_of("integer, a int, IN b int8, INOUT c text, OUT d text"),
            "int4,int4,int8,text"
        );
        assert_eq!(arguments_of("a OUT int, b IN OUT int, VARIADIC v text[]"), "int4,text[]");
        assert_eq!(arguments_of("double precision, x double precision"), "float8,float8");
        assert_eq!(arguments_of("timestamp with time zone, name varchar(10)"), "timestamptz,varchar");
        assert_eq!(arguments_of("s.t, a s.t%TYPE, b s.c.x%TYPE"), "s.t,t%type,x%type");
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
