//! What the server refuses of the parameters of CREATE FUNCTION and CREATE PROCEDURE, whatever is in the database
//! (src/backend/commands/functioncmds.c: interpret_function_parameter_list): sets, VARIADIC before another parameter or of
//! no array, a name that is given twice, default values that callers could not leave out.

use std::collections::BTreeMap;

use super::arguments::{Argument, Mode};
use super::dialect::Dialect;
use super::routine::RoutineKind;
use super::types::{SYSTEM, TypeKey};
use crate::name::Shown;

/// The server's message for the first parameter that it refuses. Procedures have OUT parameters since 14.
pub(super) fn refused_parameters(
    kind: RoutineKind,
    parameters: &[Argument],
    dialect: Dialect,
) -> Option<String> {
    let is_procedure = kind == RoutineKind::Procedure;
    let (mut is_variadic, mut has_defaults) = (false, false);
    let mut names = Names::default();
    for parameter in parameters {
        let mode = parameter.mode;
        let refused = if parameter.is_set {
            let routines = if is_procedure { "procedures" } else { "functions" };
            return Some(format!("{routines} cannot accept set arguments"));
        } else if is_procedure && mode == Mode::Out && dialect.is_before(14) {
            Some("procedures cannot have OUT arguments")
        } else if is_variadic && mode.is_input() {
            Some("VARIADIC parameter must be the last input parameter")
        } else if is_variadic && is_procedure {
            Some("VARIADIC parameter must be the last parameter")
        } else if mode == Mode::Variadic && is_plain(&parameter.key) {
            Some("VARIADIC parameter must be an array")
        } else if let Some(name) = parameter.name.as_deref().filter(|name| names.is_taken(name, mode)) {
            return Some(format!("parameter name \"{}\" used more than once", Shown(name)));
        } else if parameter.has_default && !mode.is_input() {
            Some("only input parameters can have default values")
        } else if parameter.has_default || !has_defaults {
            None
        } else if mode.is_input() {
            Some("input parameters after one with a default value must also have defaults")
        } else if is_procedure {
            Some("procedure OUT parameters cannot appear after one with a default value")
        } else {
            None
        };
        if let Some(message) = refused {
            return Some(message.to_owned());
        }
        is_variadic |= mode == Mode::Variadic;
        has_defaults |= parameter.has_default;
    }
    None
}

/// The names so far: a pure input may be called as a pure output is.
#[derive(Default)]
struct Names<'a>(BTreeMap<&'a [u8], (bool, bool)>);

impl<'a> Names<'a> {
    /// Whether there is one that conflicts with this name, which is there from now on.
    fn is_taken(&mut self, name: &'a [u8], mode: Mode) -> bool {
        let (has_input, has_output) = self.0.entry(name).or_default();
        let is_taken = (*has_input && mode.is_input()) || (*has_output && mode.is_output());
        *has_input |= mode.is_input();
        *has_output |= mode.is_output();
        is_taken
    }
}

/// Whether it is one of the types that the grammar has words for, none of which is an array. What another name means the
/// database decides.
fn is_plain(key: &TypeKey) -> bool {
    const NAMES: [&[u8]; 16] = [
        b"int4",
        b"int2",
        b"int8",
        b"float4",
        b"float8",
        b"bool",
        b"numeric",
        b"bpchar",
        b"varchar",
        b"bit",
        b"varbit",
        b"timestamp",
        b"timestamptz",
        b"time",
        b"timetz",
        b"interval",
    ];
    !key.is_array && key.schema.as_deref() == Some(SYSTEM) && NAMES.contains(&&*key.name)
}
