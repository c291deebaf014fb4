//! The arguments of a routine, as they are written in CREATE, DROP and ALTER (src/backend/parser/gram.y: func_args,
//! func_args_with_defaults, table_func_column_list). What the server refuses of them afterwards, `parameters.rs` says.

use super::cursor::Cursor;
use super::error::{Stop, expect};
use super::keywords::Category;
use super::lexer::TokenKind;
use super::types::{TypeKey, type_name};

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
    pub(super) fn of(arguments: &[Argument]) -> Self {
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

/// A parameter as it is written, or a column of RETURNS TABLE.
#[derive(Debug)]
pub(super) struct Argument {
    pub(super) mode: Mode,
    pub(super) name: Option<Vec<u8>>,
    pub(super) key: TypeKey,
    /// SETOF.
    pub(super) is_set: bool,
    pub(super) has_default: bool,
}

/// `FunctionParameterMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Default,
    In,
    Out,
    InOut,
    Variadic,
    Table,
}

impl Mode {
    pub(super) fn is_input(self) -> bool {
        !matches!(self, Self::Out | Self::Table)
    }

    pub(super) fn is_output(self) -> bool {
        matches!(self, Self::Out | Self::InOut | Self::Table)
    }
}

/// Whether arguments have default values: `func_args_with_defaults` or `func_args`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Defaults {
    Taken,
    Refused,
}

/// The arguments of a parenthesised list whose `(` was just taken.
pub(super) fn arguments(cursor: &mut Cursor<'_>, defaults: Defaults) -> Result<Vec<Argument>, Stop> {
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

/// The same for DROP and ALTER.
pub(super) fn argument_list(cursor: &mut Cursor<'_>) -> Option<Arguments> {
    let found = arguments(cursor, Defaults::Refused).ok()?;
    Some(Arguments::of(&found))
}

/// `table_func_column_list` in its parentheses.
pub(super) fn table_columns(cursor: &mut Cursor<'_>) -> Result<Vec<Argument>, Stop> {
    expect(cursor.sign(b'('))?;
    let mut columns = Vec::new();
    loop {
        let name = parameter_name(cursor).ok_or(Stop::Grammar)?;
        let is_set = cursor.is_word("setof");
        let key = type_name(cursor).ok_or(Stop::Grammar)?;
        columns.push(Argument { mode: Mode::Table, name: Some(name), key, is_set, has_default: false });
        if cursor.sign(b')') {
            return Ok(columns);
        }
        expect(cursor.sign(b','))?;
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
    let key = type_name(cursor)?;
    let is_at_end = cursor.is_at_end();
    let has_default =
        !is_at_end && defaults == Defaults::Taken && (cursor.word("default") || cursor.sign(b'='));
    // There is a value behind it.
    let ends = if has_default { !cursor.is_at_end() } else { is_at_end };
    ends.then_some(Argument { mode, name, key, is_set, has_default })
}

#[cfg(test)]
mod tests {
    use super::super::split::tests::with_cursor;
    use super::*;

    fn arguments_of(list: &str) -> String {
        let arguments = with_cursor(&format!("({list})"), |cursor| {
            cursor.sign(b'(');
            argument_list(cursor)
        });
        arguments.unwrap().input().map(ToString::to_string).collect::<Vec<_>>().join(",")
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
}
