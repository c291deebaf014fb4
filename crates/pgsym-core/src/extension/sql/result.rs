//! What the server refuses of a routine's result, whatever is in the database: OUT parameters that say another type than
//! RETURNS (src/backend/commands/functioncmds.c, CreateFunction), and pseudo-types that no argument gives a meaning
//! (src/backend/catalog/pg_proc.c, ProcedureCreate; src/backend/parser/parse_coerce.c, check_valid_polymorphic_signature,
//! check_valid_internal_signature).

use super::arguments::Argument;
use super::types::{SYSTEM, TypeKey};
use crate::extension::catalog::is_built_in;

/// What two places of the server say.
#[derive(Debug, Default)]
pub(super) struct Refused {
    /// CreateFunction, of RETURNS.
    pub(super) of_result: Option<String>,
    /// ProcedureCreate, after everything else.
    pub(super) of_signature: Option<&'static str>,
}

/// `result` is the type behind RETURNS, where it is no TABLE.
pub(super) fn refused_result(result: Option<&TypeKey>, parameters: &[Argument]) -> Refused {
    Refused { of_result: contradicted(result, parameters), of_signature: undetermined(result, parameters) }
}

fn outputs(parameters: &[Argument]) -> impl Iterator<Item = &TypeKey> {
    parameters.iter().filter(|one| one.mode.is_output()).map(|one| &one.key)
}

fn inputs(parameters: &[Argument]) -> impl Iterator<Item = &TypeKey> {
    parameters.iter().filter(|one| one.mode.is_input()).map(|one| &one.key)
}

/// The type of the one output, or a record of several, is the result. Types are compared where both are the system's.
fn contradicted(result: Option<&TypeKey>, parameters: &[Argument]) -> Option<String> {
    let mut outputs = outputs(parameters);
    let first = outputs.next()?;
    let result = result.filter(|key| is_of_system(key))?;
    let wanted = match outputs.next() {
        None if is_of_system(first) && !result.is_same(first) => shown(first)?,
        None => return None,
        Some(_) if &*result.name == b"record" && !result.is_array => return None,
        Some(_) => "record".to_owned(),
    };
    Some(format!("function result type must be {wanted} because of OUT parameters"))
}

fn is_of_system(key: &TypeKey) -> bool {
    key.schema.as_deref().is_none_or(|schema| schema == SYSTEM) && is_built_in(&key.name)
}

/// `format_type_be` of a type that has a spelling of its own, or a plain name.
fn shown(key: &TypeKey) -> Option<String> {
    let name = match &*key.name {
        b"int2" => "smallint",
        b"int4" => "integer",
        b"int8" => "bigint",
        b"float4" => "real",
        b"float8" => "double precision",
        b"bool" => "boolean",
        b"bpchar" => "character",
        b"varchar" => "character varying",
        b"varbit" => "bit varying",
        b"time" => "time without time zone",
        b"timetz" => "time with time zone",
        b"timestamp" => "timestamp without time zone",
        b"timestamptz" => "timestamp with time zone",
        b"any" => "\"any\"",
        other => std::str::from_utf8(other).ok()?,
    };
    Some(if key.is_array { format!("{name}[]") } else { name.to_owned() })
}

/// The families of pseudo-types of which one determines another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pseudo {
    /// anyelement and its relatives; whether a range.
    Any {
        is_range: bool,
    },
    /// anycompatible and its relatives; whether a range.
    Compatible {
        is_range: bool,
    },
    Internal,
}

fn pseudo(key: &TypeKey) -> Option<Pseudo> {
    if key.is_array || key.schema.as_deref().is_some_and(|schema| schema != SYSTEM) {
        return None;
    }
    Some(match &*key.name {
        b"anyelement" | b"anyarray" | b"anynonarray" | b"anyenum" => Pseudo::Any { is_range: false },
        b"anyrange" | b"anymultirange" => Pseudo::Any { is_range: true },
        b"anycompatible" | b"anycompatiblearray" | b"anycompatiblenonarray" => {
            Pseudo::Compatible { is_range: false }
        }
        b"anycompatiblerange" | b"anycompatiblemultirange" => Pseudo::Compatible { is_range: true },
        b"internal" => Pseudo::Internal,
        _ => return None,
    })
}

/// A range gives its element, but an element no range.
fn undetermined(result: Option<&TypeKey>, parameters: &[Argument]) -> Option<&'static str> {
    let given = || inputs(parameters).filter_map(pseudo);
    let is_determined = |wanted| {
        given().any(|given| match (wanted, given) {
            (Pseudo::Any { is_range }, Pseudo::Any { is_range: given })
            | (Pseudo::Compatible { is_range }, Pseudo::Compatible { is_range: given }) => given || !is_range,
            (wanted, given) => wanted == given,
        })
    };
    let mut wanted = result.into_iter().chain(outputs(parameters)).filter_map(pseudo);
    let lacking = wanted.find(|&wanted| !is_determined(wanted))?;
    // A column may be of any type, anyarray among them; arrays of these types there are none.
    let is_unknown =
        |key: &TypeKey| key.name.ends_with(b"%type") || key.is_array && key.name.starts_with(b"any");
    if inputs(parameters).any(is_unknown) {
        return None;
    }
    Some(match lacking {
        Pseudo::Internal => "unsafe use of pseudo-type \"internal\"",
        _ => "cannot determine result data type",
    })
}
