//! What the grammar takes in CREATE FUNCTION and CREATE PROCEDURE and the server refuses whenever it runs the statement:
//! options that are given twice or exclude each other, and parts that must be there
//! (src/backend/commands/functioncmds.c: compute_function_attributes, compute_common_attribute, CreateFunction,
//! interpret_AS_clause). 13 looks for the body and the language before the values of other options.

use super::dialect::Dialect;
use super::result::Refused;
use super::routine::{Routine, RoutineKind};
use crate::name::Shown;

/// Options of which the server keeps one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    As,
    Language,
    Transform,
    Security,
    // What follows is for functions only.
    Window,
    Volatility,
    Strict,
    Leakproof,
    Cost,
    Rows,
    Support,
    Parallel,
}

/// What was seen of a statement's options.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    seen: u16,
    /// What compute_function_attributes says at an option.
    at_option: Option<&'static str>,
    /// What it says of the values behind the last option.
    of_value: Option<&'static str>,
    /// What interpret_function_parameter_list says.
    pub(super) of_parameters: Option<String>,
    /// What is said of the result.
    pub(super) of_result: Refused,
    /// RETURNS.
    pub(super) has_result: bool,
    /// RETURNS SETOF or TABLE.
    pub(super) returns_set: bool,
    /// The body of 14 and later: RETURN or BEGIN ATOMIC.
    pub(super) has_body: bool,
}

impl Attributes {
    /// An option.
    pub(super) fn see(&mut self, kind: RoutineKind, attribute: Attribute) {
        let bit = 1_u16 << (attribute as u16);
        if kind == RoutineKind::Procedure && attribute as u16 >= Attribute::Window as u16 {
            self.at_option.get_or_insert("invalid attribute in procedure definition");
        } else if self.seen & bit != 0 {
            self.at_option.get_or_insert("conflicting or redundant options");
        }
        self.seen |= bit;
    }

    /// A value that no server takes.
    pub(super) fn bad_value(&mut self, message: &'static str) {
        self.of_value.get_or_insert(message);
    }

    /// The server's message for a statement that was read to its end. Whether the language exists is not asked here.
    pub(super) fn refusal(&self, routine: &Routine, dialect: Dialect) -> Option<String> {
        let of_13 = || match (&routine.definition, &routine.language) {
            _ if !dialect.is_before(14) => None,
            (None, _) => Some("no function body specified"),
            (_, None) => Some("no language specified"),
            _ => None,
        };
        if let Some(message) = self.at_option.or_else(of_13).or(self.of_value) {
            return Some(message.to_owned());
        }
        let language = match routine.language.as_deref() {
            Some(language) => language,
            None if self.has_body => b"sql",
            None => return Some("no language specified".to_owned()),
        };
        // The server looks it up now. One of another case does not exist, which is told of the language.
        let built_in: [&[u8]; 4] = [b"c", b"internal", b"plpgsql", b"sql"];
        if !built_in.contains(&language) && built_in.iter().any(|known| known.eq_ignore_ascii_case(language))
        {
            return None;
        }
        if let Some(message) = self.of_parameters.as_ref().or(self.of_result.of_result.as_ref()) {
            return Some(message.clone());
        }
        let is_function = routine.kind == RoutineKind::Function;
        if is_function && !self.has_result && !routine.arguments.has_output {
            return Some("function result type must be specified".to_owned());
        }
        match &routine.definition {
            None if !self.has_body => return Some("no function body specified".to_owned()),
            Some(_) if self.has_body => return Some("duplicate function body specified".to_owned()),
            None if language != b"sql" => {
                return Some("inline SQL function body only valid for language SQL".to_owned());
            }
            Some((_, Some(_))) if language != b"c" => {
                return Some(format!("only one AS item needed for language \"{}\"", Shown(language)));
            }
            _ => {}
        }
        let has_rows = self.seen & (1 << (Attribute::Rows as u16)) != 0;
        let of_rows = (has_rows && !self.returns_set)
            .then_some("ROWS is not applicable when function does not return a set");
        of_rows.or(self.of_result.of_signature).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::super::dialect::Dialect;
    use super::super::routine::read_routine;
    use super::super::split::Statements;

    fn refusal(rest: &str) -> Option<String> {
        refusal_by(None, rest)
    }

    fn refusal_by(major: Option<u32>, rest: &str) -> Option<String> {
        let sql = format!("CREATE {rest}");
        let mut statements = Statements::new(sql.as_bytes(), Dialect { major, ..Dialect::default() });
        let statement = statements.next().unwrap();
        read_routine(&statements, &statement).unwrap_or_else(|error| panic!("{sql}: {error:?}")).refusal
    }

    #[test]
    fn procedures_have_output_and_13_looks_for_the_body_first() {
        for (rest, of_13, later) in [
            ("PROCEDURE f(OUT b int) LANGUAGE sql AS ''", "procedures cannot have OUT arguments", ""),
            (
                "PROCEDURE f(VARIADIC a int[], OUT b int) LANGUAGE sql AS ''",
                "procedures cannot have OUT arguments",
                "VARIADIC parameter must be the last parameter",
            ),
            (
                "FUNCTION f(a int, a int) LANGUAGE sql",
                "no function body specified",
                "parameter name \"a\" used more than once",
            ),
            ("FUNCTION f() RETURNS int COST 0", "no function body specified", "COST must be positive"),
        ] {
            assert_eq!(refusal_by(Some(13), rest).unwrap_or_default(), of_13, "{rest}");
            assert_eq!(refusal_by(Some(14), rest).unwrap_or_default(), later, "{rest}");
            assert_eq!(refusal(rest).unwrap_or_default(), later, "{rest}");
        }
    }

    /// What PostgreSQL 13 to 18 say to `CREATE …`, in an extension script.
    #[test]
    fn what_the_grammar_takes_and_no_server_creates_is_told_in_its_words() {
        let twice = "conflicting or redundant options";
        let procedure = "invalid attribute in procedure definition";
        let internal = "unsafe use of pseudo-type \"internal\"";
        let undetermined = "cannot determine result data type";
        for (rest, said) in [
            ("FUNCTION f() RETURNS int AS 'x'", "no language specified"),
            ("FUNCTION f() RETURNS int LANGUAGE c", "no function body specified"),
            ("FUNCTION f() RETURNS int LANGUAGE c STRICT CALLED ON NULL INPUT AS 'x'", twice),
            ("FUNCTION f() RETURNS int LANGUAGE c RETURNS NULL ON NULL INPUT STRICT AS 'x'", twice),
            ("FUNCTION f() RETURNS int LANGUAGE c AS 'x' AS 'x'", twice),
            ("FUNCTION f() RETURNS int LANGUAGE c LANGUAGE c AS 'x'", twice),
            ("FUNCTION f() RETURNS int LANGUAGE c STABLE IMMUTABLE AS 'x'", twice),
            ("FUNCTION f() RETURNS int LANGUAGE c LEAKPROOF NOT LEAKPROOF AS 'x'", twice),
            ("FUNCTION f() RETURNS int LANGUAGE c SECURITY DEFINER EXTERNAL SECURITY INVOKER AS 'x'", twice),
            ("FUNCTION f() RETURNS int LANGUAGE c PARALLEL SAFE PARALLEL SAFE AS 'x'", twice),
            ("FUNCTION f() RETURNS int LANGUAGE c COST 0.0 AS 'x'", "COST must be positive"),
            ("FUNCTION f() RETURNS SETOF int LANGUAGE c ROWS -5 AS 'x'", "ROWS must be positive"),
            (
                "FUNCTION f() RETURNS int LANGUAGE c PARALLEL \"SAFE\" AS 'x'",
                "parameter \"parallel\" must be SAFE, RESTRICTED, or UNSAFE",
            ),
            ("FUNCTION f(VARIADIC int[]) LANGUAGE c AS 'x'", "function result type must be specified"),
            (
                "FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1', 'x'",
                "only one AS item needed for language \"sql\"",
            ),
            (
                "FUNCTION f() RETURNS int LANGUAGE c ROWS 5 AS 'x'",
                "ROWS is not applicable when function does not return a set",
            ),
            ("FUNCTION f() RETURNS int AS 'x' LANGUAGE sql RETURN 1", "duplicate function body specified"),
            (
                "FUNCTION f() RETURNS int LANGUAGE plpgsql RETURN 1",
                "inline SQL function body only valid for language SQL",
            ),
            ("FUNCTION f() RETURNS internal LANGUAGE c AS 'x'", internal),
            ("FUNCTION f(a int, OUT b internal) LANGUAGE c AS 'x'", internal),
            ("FUNCTION f() RETURNS anyelement LANGUAGE c AS 'x'", undetermined),
            ("FUNCTION f(anyelement) RETURNS anyrange LANGUAGE c AS 'x'", undetermined),
            ("FUNCTION f(anyelement) RETURNS anycompatible LANGUAGE c AS 'x'", undetermined),
            ("FUNCTION f(a int, OUT b anyarray) LANGUAGE c AS 'x'", undetermined),
            ("FUNCTION f() RETURNS TABLE(a int, b pg_catalog.anyarray) LANGUAGE c AS 'x'", undetermined),
            (
                "FUNCTION f(OUT a int) RETURNS text LANGUAGE c AS 'x'",
                "function result type must be integer because of OUT parameters",
            ),
            (
                "FUNCTION f(INOUT a timestamptz[], b int) RETURNS text LANGUAGE c AS 'x'",
                "function result type must be timestamp with time zone[] because of OUT parameters",
            ),
            (
                "FUNCTION f(OUT a int, OUT b x) RETURNS SETOF int LANGUAGE c AS 'x'",
                "function result type must be record because of OUT parameters",
            ),
            ("PROCEDURE f() LANGUAGE c STRICT AS 'x'", procedure),
            ("PROCEDURE f() LANGUAGE c RETURNS NULL ON NULL INPUT AS 'x'", procedure),
            ("PROCEDURE f() LANGUAGE c PARALLEL SAFE AS 'x'", procedure),
            ("PROCEDURE f() AS 'x'", "no language specified"),
            (
                "FUNCTION f(a int, a int) RETURNS int LANGUAGE sql AS 'x'",
                "parameter name \"a\" used more than once",
            ),
            (
                "FUNCTION f(INOUT a int, a int) LANGUAGE sql AS 'x'",
                "parameter name \"a\" used more than once",
            ),
            (
                "FUNCTION f(INOUT a int, OUT a int) LANGUAGE sql AS 'x'",
                "parameter name \"a\" used more than once",
            ),
            (
                "FUNCTION f(OUT a int, OUT a int) LANGUAGE sql AS 'x'",
                "parameter name \"a\" used more than once",
            ),
            (
                "FUNCTION f(a int, VARIADIC A int[]) RETURNS int LANGUAGE sql AS 'x'",
                "parameter name \"a\" used more than once",
            ),
            (
                "FUNCTION f() RETURNS TABLE (a int, a int) LANGUAGE sql AS 'x'",
                "parameter name \"a\" used more than once",
            ),
            ("PROCEDURE f(a int, a int) LANGUAGE sql AS 'x'", "parameter name \"a\" used more than once"),
            (
                "FUNCTION f(VARIADIC a int[], b int) RETURNS int LANGUAGE sql AS 'x'",
                "VARIADIC parameter must be the last input parameter",
            ),
            (
                "FUNCTION f(VARIADIC a int[], VARIADIC b int[]) RETURNS int LANGUAGE sql AS 'x'",
                "VARIADIC parameter must be the last input parameter",
            ),
            (
                "FUNCTION f(VARIADIC a int[], INOUT b int) LANGUAGE sql AS 'x'",
                "VARIADIC parameter must be the last input parameter",
            ),
            (
                "PROCEDURE f(VARIADIC a int[], b int) LANGUAGE sql AS 'x'",
                "VARIADIC parameter must be the last input parameter",
            ),
            (
                "PROCEDURE f(VARIADIC a int[], OUT b int) LANGUAGE sql AS 'x'",
                "VARIADIC parameter must be the last parameter",
            ),
            (
                "FUNCTION f(VARIADIC a int) RETURNS int LANGUAGE sql AS 'x'",
                "VARIADIC parameter must be an array",
            ),
            (
                "FUNCTION f(a int DEFAULT 1, b int) RETURNS int LANGUAGE sql AS 'x'",
                "input parameters after one with a default value must also have defaults",
            ),
            (
                "FUNCTION f(a int = 1, INOUT b int) LANGUAGE sql AS 'x'",
                "input parameters after one with a default value must also have defaults",
            ),
            (
                "FUNCTION f(a int DEFAULT 1, OUT b int, c int) LANGUAGE sql AS 'x'",
                "input parameters after one with a default value must also have defaults",
            ),
            (
                "FUNCTION f(a int = 1, VARIADIC b int[]) RETURNS int LANGUAGE sql AS 'x'",
                "input parameters after one with a default value must also have defaults",
            ),
            (
                "PROCEDURE f(a int DEFAULT 1, OUT b int) LANGUAGE sql AS 'x'",
                "procedure OUT parameters cannot appear after one with a default value",
            ),
            (
                "PROCEDURE f(INOUT a int DEFAULT 1, INOUT b int) LANGUAGE sql AS 'x'",
                "input parameters after one with a default value must also have defaults",
            ),
            (
                "FUNCTION f(OUT a int DEFAULT 1) LANGUAGE sql AS 'x'",
                "only input parameters can have default values",
            ),
            (
                "FUNCTION f(a SETOF int) RETURNS int LANGUAGE sql AS 'x'",
                "functions cannot accept set arguments",
            ),
            (
                "FUNCTION f() RETURNS TABLE (a SETOF int) LANGUAGE sql AS 'x'",
                "functions cannot accept set arguments",
            ),
            ("PROCEDURE f(SETOF int) LANGUAGE sql AS 'x'", "procedures cannot accept set arguments"),
        ] {
            assert_eq!(refusal(rest).as_deref(), Some(said), "{rest}");
        }
    }

    #[test]
    fn what_a_server_creates_is_not_refused() {
        for rest in [
            "FUNCTION f() RETURNS int LANGUAGE c SET a.b = 1 SET a.b = 2 COST +1 AS 'x'",
            "FUNCTION f(OUT int) LANGUAGE c AS 'x', 'y'",
            "FUNCTION f(INOUT int) LANGUAGE c AS 'x'",
            "FUNCTION f(INOUT internal) LANGUAGE c AS 'x'",
            "FUNCTION f(internal, int) RETURNS internal LANGUAGE c AS 'x'",
            "FUNCTION f(anyrange) RETURNS anyelement LANGUAGE c AS 'x'",
            "FUNCTION f(anymultirange) RETURNS anyrange LANGUAGE c AS 'x'",
            "FUNCTION f(anyelement, OUT a anyarray, OUT b int) LANGUAGE c AS 'x'",
            "FUNCTION f(VARIADIC anycompatiblearray) RETURNS anycompatible LANGUAGE c AS 'x'",
            "FUNCTION f(pg_stats.histogram_bounds%TYPE) RETURNS anyelement LANGUAGE c AS 'x'",
            "FUNCTION f() RETURNS public.anyelement LANGUAGE c AS 'x'",
            "FUNCTION f(OUT a int) RETURNS SETOF integer LANGUAGE c AS 'x'",
            "FUNCTION f(OUT a int, OUT b int) RETURNS record LANGUAGE c AS 'x'",
            "FUNCTION f(OUT a int) RETURNS x LANGUAGE c AS 'x'",
            "FUNCTION f() RETURNS int LANGUAGE 'C' AS 'x', 'y'",
            "FUNCTION f() RETURNS TABLE (a int) LANGUAGE c ROWS 0.5 AS 'x'",
            "FUNCTION f() RETURNS SETOF int LANGUAGE c ROWS 5 COST 1 WINDOW AS 'x'",
            "FUNCTION f() RETURNS int RETURN 1",
            "FUNCTION f() RETURNS int LANGUAGE SQL BEGIN ATOMIC SELECT 1; END",
            "PROCEDURE f() LANGUAGE c SECURITY DEFINER TRANSFORM FOR TYPE a, FOR TYPE b AS 'x'",
            "FUNCTION f() RETURNS int RETURNS NULL ON NULL INPUT LANGUAGE c AS 'x'",
            "FUNCTION f(a int, OUT a int) LANGUAGE sql AS 'x'",
            "FUNCTION f(a int) RETURNS TABLE (a int) LANGUAGE sql AS 'x'",
            "FUNCTION f(\"A\" int, a int) RETURNS int LANGUAGE sql AS 'x'",
            "FUNCTION f(VARIADIC a int[], OUT b int) LANGUAGE sql AS 'x'",
            "FUNCTION f(VARIADIC anyarray) RETURNS int LANGUAGE sql AS 'x'",
            "FUNCTION f(a int DEFAULT 1, OUT b int) LANGUAGE sql AS 'x'",
            "FUNCTION f(a int DEFAULT 1) RETURNS TABLE (b int) LANGUAGE sql AS 'x'",
            "FUNCTION f(VARIADIC a int[] DEFAULT '{}') RETURNS int LANGUAGE sql AS 'x'",
            "PROCEDURE f(OUT b int, VARIADIC a int[]) LANGUAGE sql AS 'x'",
        ] {
            assert_eq!(refusal(rest), None, "{rest}");
        }
    }
}
