//! `@extschema:name@` and `@extschema@` that the server did not replace: the first before 16 and for an extension that is not
//! in `requires`, the second in a relocatable extension (src/backend/commands/extension.c: execute_extension_script).
//! Its parser then gets the operator `@`, the word and a colon, and no rule of gram.y goes on with that. Which of the
//! three tokens it names is a matter of what could stand there: an expression, the value of a definition, or a name.

use super::dialect::StandardConformingStrings;
use super::error::{SyntaxError, near};
use super::lexer::{Lexer, Token, TokenKind};
use super::split::Statement;

/// What both begin with.
pub(super) const MARK: &str = "@extschema";

/// The first of them that stands in a statement's code, not in a string, a name or a comment.
pub(super) fn placeholder_error(
    text: &[u8],
    statement: &Statement,
    strings: StandardConformingStrings,
) -> Option<SyntaxError> {
    let mut tokens = Lexer::range(text, statement.start, statement.end, strings);
    let mut context = Context::new(text, statement);
    while let Some(token) = tokens.next() {
        if matches!(token.kind, TokenKind::Sign(b'@') | TokenKind::Operator)
            && token.text(text).ends_with(b"@")
            && let Some(stop) = stop(text, token, tokens.clone(), &context)
        {
            return Some(near(text, stop));
        }
        context.pass(token);
    }
    None
}

/// The token at which the server stops, if a placeholder begins at `at` that no rule can go on with.
fn stop(text: &[u8], at: Token, mut behind: Lexer<'_>, context: &Context<'_>) -> Option<Token> {
    let word = behind.next().filter(|word| word.start == at.end && word.text(text) == b"extschema")?;
    let mark = behind.next().filter(|mark| mark.start == word.end)?;
    let is_at = |token: Token| token.text(text) == b"@";
    let (colon, last) = match mark.kind {
        TokenKind::Sign(b':') => {
            behind.next()?;
            (Some(mark), behind.next().filter(|&last| is_at(last)))
        }
        _ => (None, Some(mark).filter(|&last| is_at(last))),
    };
    let dot = last.and_then(|_| behind.next()).filter(|dot| dot.kind == TokenKind::Sign(b'.'));
    // A colon may stand in a slice, `a[x:y]`, and since 16 in `json_object(x:y)`; an operator never before a dot.
    if dot.is_none() && (colon.is_none() || context.levels.len() > 1) {
        return None;
    }
    Some(match context.expected(at) {
        Expected::Name => at,
        Expected::Operator => word,
        Expected::Expression if context.is_subscript() => dot?,
        Expected::Expression => colon.or(dot)?,
    })
}

/// What may begin at a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Name,
    Operator,
    Expression,
}

/// What stands before a token of a statement.
struct Context<'a> {
    text: &'a [u8],
    /// Whether the values of `name = value` are those of a definition (`def_arg`), which may be operators.
    is_definition: bool,
    /// Whether they are those of a setting.
    is_setting: bool,
    /// Whether the words of queries are privileges in it.
    is_grant: bool,
    /// The statement, and each parenthesis or bracket that is open.
    levels: Vec<Level>,
    /// The last two tokens, the nearer first.
    last: [Option<Token>; 2],
}

#[derive(Clone, Copy, Default)]
struct Level {
    /// Whether it is a query: what stands behind a name in parentheses are the arguments of a function.
    is_query: bool,
    /// Whether what a comma separates are expressions.
    lists_expressions: bool,
    /// Whether an expression may stand here.
    is_expression: bool,
    /// Whether it is `name[`.
    is_subscript: bool,
}

/// Words behind which a list of expressions stands.
const LISTS: [&str; 6] = ["select", "by", "values", "returning", "distinct", "all"];

/// Words behind which an expression stands, or a parenthesis with one.
const EXPRESSIONS: [&str; 17] = [
    "where", "and", "or", "not", "when", "then", "else", "case", "having", "limit", "offset", "default",
    "return", "check", "in", "between", "like",
];

/// Words behind which a name stands.
const NAMES: [&str; 6] = ["from", "join", "into", "lateral", "update", "table"];

impl<'a> Context<'a> {
    fn new(text: &'a [u8], statement: &Statement) -> Self {
        let is_one_of = |index, words: &[&str]| {
            let written = statement.word(text, index).unwrap_or_default();
            words.iter().any(|word| written.eq_ignore_ascii_case(word.as_bytes()))
        };
        let is_definition = is_one_of(0, &["create", "alter"])
            && (1..4).any(|index| is_one_of(index, &["type", "operator", "aggregate", "text", "collation"]));
        let is_setting = is_one_of(0, &["set", "alter"]);
        let is_grant =
            is_one_of(0, &["grant", "revoke"]) || statement.begins_with(text, &["alter", "default"]);
        Self { text, is_definition, is_setting, is_grant, levels: vec![Level::default()], last: [None; 2] }
    }

    fn is_one(&self, token: Option<Token>, words: &[&str]) -> bool {
        let written = token.filter(|token| token.kind == TokenKind::Word).map(|token| token.text(self.text));
        written.is_some_and(|written| words.iter().any(|word| written.eq_ignore_ascii_case(word.as_bytes())))
    }

    /// Whether the last token is one of these words.
    fn is_behind(&self, words: &[&str]) -> bool {
        self.is_one(self.last[0], words)
    }

    fn pass(&mut self, token: Token) {
        let mut level = self.levels.last().copied().unwrap_or_default();
        let is = |words: &[&str]| self.is_one(Some(token), words);
        match token.kind {
            TokenKind::Sign(open @ (b'(' | b'[')) => {
                let is_call = level.is_query && !self.is_behind(&NAMES);
                let is_expression = level.is_expression || is_call || self.is_behind(&["using", "on"]);
                let is_subscript = open == b'[' && !self.is_behind(&["array"]);
                let lists_expressions = is_expression;
                self.levels.push(Level { lists_expressions, is_expression, is_subscript, is_query: false });
            }
            TokenKind::Sign(b')' | b']') => {
                self.levels.pop();
            }
            TokenKind::Sign(b',') => level.is_expression = level.lists_expressions,
            // IF NOT EXISTS
            TokenKind::Word if is(&["exists"]) => level.is_expression = level.lists_expressions,
            TokenKind::Word if is(&LISTS) => {
                (level.lists_expressions, level.is_expression, level.is_query) = (true, true, true);
            }
            TokenKind::Word if is(&EXPRESSIONS) || (level.is_query && is(&["on"])) => {
                level.is_expression = true;
            }
            TokenKind::Word if is(&NAMES) => (level.lists_expressions, level.is_expression) = (false, false),
            _ => {}
        }
        if !matches!(token.kind, TokenKind::Sign(b'(' | b'[' | b')' | b']'))
            && let Some(last) = self.levels.last_mut()
        {
            *last = level;
        }
        self.last = [Some(token), self.last[0]];
    }

    fn is_subscript(&self) -> bool {
        self.levels.last().is_some_and(|level| level.is_subscript)
    }

    fn expected(&self, at: Token) -> Expected {
        if self.is_grant {
            return Expected::Name;
        }
        if at.end - at.start > 1 {
            return Expected::Expression; // `=@`
        }
        let kind = self.last[0].map(|token| token.kind);
        let is_open = kind == Some(TokenKind::Sign(b'('));
        let is_number = kind == Some(TokenKind::Number);
        let is_equal = kind == Some(TokenKind::Sign(b'='));
        let of_operator = self.is_behind(&["operator", "using"])
            || ((is_open || is_number) && self.is_one(self.last[1], &["operator"]))
            || (is_equal && self.is_definition);
        if of_operator {
            return Expected::Operator;
        }
        let is_name = match self.last[0].map(|token| (token.kind, token.text(self.text))) {
            Some((TokenKind::Operator, b"::")) => true,
            Some((TokenKind::Sign(b'='), _)) => self.is_setting,
            Some((
                TokenKind::Operator | TokenKind::Sign(b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'<' | b'>'),
                _,
            )) => false,
            _ if self.is_behind(&["as"]) => true,
            _ => !self.levels.last().is_some_and(|level| level.is_expression),
        };
        if is_name { Expected::Name } else { Expected::Expression }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::scan_script;
    use super::*;

    /// The token at which the server stops.
    fn named(sql: &str) -> Option<String> {
        let error = scan_script(sql.as_bytes(), StandardConformingStrings::On).error?;
        let token = error.message.strip_prefix("syntax error at or near \"");
        Some(token.and_then(|token| token.strip_suffix('"')).unwrap_or(&error.message).to_owned())
    }

    /// What PostgreSQL 13, 15 and 18 say to each of these when nothing is replaced.
    #[test]
    fn the_token_is_the_one_at_which_the_server_stops() {
        for sql in [
            "select @extschema:cube@.cube(1)",
            "select 1, @extschema:cube@.cube(1)",
            "select a from t where @extschema:cube@.f(a)",
            "select (@extschema:cube@.f(a))",
            "insert into t values (@extschema:cube@.f())",
            "insert into t(a) select @extschema:cube@.f()",
            "update t set a = @extschema:cube@.f()",
            "alter table t alter a set default @extschema:cube@.f()",
            "create table t (a int default @extschema:cube@.f())",
            "create table t (a int check (@extschema:cube@.f(a)))",
            "create view v as select @extschema:cube@.f()",
            "create trigger t after insert on t for each row when (@extschema:cube@.f()) execute procedure f()",
            "create policy p on t using (@extschema:cube@.f())",
            "values (@extschema:cube@.f())",
            "values (1, @extschema:cube@.f())",
            "select case when @extschema:cube@.f() then @extschema:cube@.f() else @extschema:cube@.f() end",
            "select f(1, @extschema:cube@.f())",
            "select 1 + @extschema:cube@.f()",
            "select 1 =@extschema:cube@.f()",
            "select 1 @extschema:cube@.f()",
            "select a @extschema:cube@.+ b",
            "select array[@extschema:cube@.f()]",
            "select * from f(@extschema:cube@.f())",
            "select * from t order by @extschema:cube@.f()",
            "select * from t where a in (@extschema:cube@.f())",
            "select * from t where not @extschema:cube@.f()",
            "select * from t where a and @extschema:cube@.f()",
            "select * from t limit @extschema:cube@.f()",
            "select distinct @extschema:cube@.f()",
            "select distinct on (@extschema:cube@.f()) 1",
            "select all @extschema:cube@.f()",
            "with x as (select @extschema:cube@.f()) select 1",
            "prepare x as select @extschema:cube@.f()",
            "explain select @extschema:cube@.f()",
        ] {
            assert_eq!(named(sql).as_deref(), Some(":"), "{sql}");
        }
        for sql in [
            "select * from @extschema:cube@.t",
            "select * from a, @extschema:cube@.t",
            "select * from a join @extschema:cube@.t on true",
            "select 1::@extschema:cube@.cube",
            "select cast(1 as @extschema:cube@.cube)",
            "insert into @extschema:cube@.t values (1)",
            "update @extschema:cube@.t set a = 1",
            "delete from @extschema:cube@.t",
            "alter table @extschema:cube@.t add a int",
            "alter table only @extschema:cube@.t add a int",
            "alter table if exists @extschema:cube@.t add a int",
            "alter table t add a @extschema:cube@.cube",
            "alter table t add column a @extschema:cube@.cube",
            "alter table t alter a type @extschema:cube@.cube",
            "create table @extschema:cube@.t (a int)",
            "create table if not exists @extschema:cube@.t (a int)",
            "create table t (a @extschema:cube@.cube)",
            "create table t (a int, b @extschema:cube@.cube)",
            "create view @extschema:cube@.v as select 1",
            "create type @extschema:cube@.t",
            "create type t as (a @extschema:cube@.cube)",
            "create domain d as @extschema:cube@.cube",
            "create domain d @extschema:cube@.cube",
            "create domain @extschema:cube@.d as int",
            "create operator class @extschema:cube@.c for type int using gist as storage int",
            "create operator class c for type @extschema:cube@.cube using gist as storage int",
            "create operator class c for type int using gist as function 1 @extschema:cube@.f(int)",
            "create operator class c for type int using gist as storage @extschema:cube@.cube",
            "create operator class c for type int using gist family @extschema:cube@.f as storage int",
            "create operator family @extschema:cube@.f using gist",
            "create aggregate @extschema:cube@.a(int) (sfunc = f)",
            "create aggregate a(@extschema:cube@.cube) (sfunc = f)",
            "create cast (@extschema:cube@.cube as int) with function f",
            "create cast (int as @extschema:cube@.cube) with function f",
            "create cast (int as text) with function @extschema:cube@.f(int)",
            "create index i on @extschema:cube@.t (a)",
            "create index i on t (@extschema:cube@.f(a))",
            "create index i on t using gist (a @extschema:cube@.ops)",
            "create trigger t after insert on @extschema:cube@.t for each row execute function f()",
            "create trigger t after insert on t for each row execute function @extschema:cube@.f()",
            "create trigger t after insert on t for each row execute procedure @extschema:cube@.f()",
            "create sequence @extschema:cube@.s",
            "create rule r as on insert to @extschema:cube@.t do nothing",
            "create schema @extschema:cube@",
            "create event trigger e on ddl_command_end execute function @extschema:cube@.f()",
            "create policy p on @extschema:cube@.t using (true)",
            "create foreign data wrapper w handler @extschema:cube@.f",
            "create text search configuration @extschema:cube@.t (copy = pg_catalog.simple)",
            "create materialized view @extschema:cube@.v as select 1",
            "comment on function @extschema:cube@.f() is 'x'",
            "comment on type @extschema:cube@.t is 'x'",
            "comment on cast (@extschema:cube@.cube as int) is 'x'",
            "comment on function f(@extschema:cube@.cube) is 'x'",
            "comment on function f(int, @extschema:cube@.cube) is 'x'",
            "grant select on @extschema:cube@.t to public",
            "grant select on table @extschema:cube@.t to public",
            "grant usage on schema @extschema:cube@ to public",
            "grant execute on function @extschema:cube@.f() to public",
            "set search_path = @extschema:cube@, public",
            "set search_path to @extschema:cube@",
            "set search_path to public, @extschema:cube@",
            "set local search_path to @extschema:cube@",
            "alter function f(int) set search_path = @extschema:cube@",
            "alter function @extschema:cube@.f(int) strict",
            "alter function f(@extschema:cube@.cube) strict",
            "alter extension x add function @extschema:cube@.f(int)",
            "alter type @extschema:cube@.t set schema x",
            "alter operator family @extschema:cube@.f using gist add operator 1 + (int, int)",
            "alter default privileges in schema @extschema:cube@ grant select on tables to public",
            "alter role x set search_path = @extschema:cube@",
            "drop type @extschema:cube@.t",
            "drop type if exists @extschema:cube@.t",
            "drop type a, @extschema:cube@.t",
            "drop table @extschema:cube@.t",
            "drop cast (@extschema:cube@.cube as int)",
            "drop aggregate @extschema:cube@.a(int)",
            "call @extschema:cube@.p()",
            "truncate @extschema:cube@.t",
            "truncate table @extschema:cube@.t",
            "lock table @extschema:cube@.t",
            "lock @extschema:cube@.t",
            "copy @extschema:cube@.t from stdin",
            "refresh materialized view @extschema:cube@.v",
            "analyze @extschema:cube@.t",
            "security label on table @extschema:cube@.t is 'x'",
            "select * from lateral @extschema:cube@.f()",
            "create statistics s on a from @extschema:cube@.t",
            "create transform for @extschema:cube@.cube language sql (from sql with function f(internal))",
            "alter table @extschema@.t add a int",
        ] {
            assert_eq!(named(sql).as_deref(), Some("@"), "{sql}");
        }
        for sql in [
            "create type t (input = @extschema:cube@.f)",
            "create operator @extschema:cube@.+ (leftarg = int)",
            "create operator + (leftarg = @extschema:cube@.cube, rightarg = int, procedure = f)",
            "create operator + (procedure = @extschema:cube@.f)",
            "create operator + (leftarg = int, procedure = @extschema:cube@.f)",
            "create operator + (commutator = operator(@extschema:cube@.+))",
            "create operator class c for type int using gist as operator 1 @extschema:cube@.+",
            "create aggregate a(int) (sfunc = @extschema:cube@.f)",
            "create aggregate a(int) (sfunc = f, stype = @extschema:cube@.cube)",
            "create text search configuration t (copy = @extschema:cube@.simple)",
            "comment on operator @extschema:cube@.+ (int, int) is 'x'",
            "alter operator @extschema:cube@.+ (int, int) owner to x",
            "drop operator @extschema:cube@.+ (int, int)",
            "select a operator(@extschema:cube@.+) b",
            "select * from t order by a using @extschema:cube@.<",
        ] {
            assert_eq!(named(sql).as_deref(), Some("extschema"), "{sql}");
        }
        for sql in ["select a[@extschema:cube@.f()]", "select @extschema@.f()"] {
            assert_eq!(named(sql).as_deref(), Some("."), "{sql}");
        }
    }

    #[test]
    fn text_that_is_no_code_is_not_read() {
        for sql in [
            "select a[@extschema:cube@x] from (select '{}'::int[] as a) s",
            "select '@extschema:cube@.f()'",
            "select 1 -- @extschema:cube@.f()",
            "select $$@extschema:cube@.f()$$",
            "select 1 as \"@extschema:cube@\"",
            "select @extschema@",
        ] {
            assert_eq!(named(sql), None, "{sql}");
        }
    }

    #[test]
    fn the_reader_of_a_statement_sees_it_where_it_looks() {
        let at = |token: &str| Some(token.to_owned());
        let create = |rest: &str| named(&format!("CREATE FUNCTION f{rest}"));
        assert_eq!(create("(@extschema:cube@.cube) RETURNS int LANGUAGE sql AS ''"), at("@"));
        assert_eq!(create("() RETURNS int SET search_path = @extschema:cube@ LANGUAGE sql AS ''"), at("@"));
        assert_eq!(create("(a int DEFAULT @extschema:cube@.f()) RETURNS int LANGUAGE sql AS ''"), at(":"));
        assert_eq!(create("() RETURNS int RETURN @extschema:cube@.f()"), at(":"));
        assert_eq!(create("() RETURNS int BEGIN ATOMIC SELECT @extschema:cube@.f(); END"), at(":"));
        assert_eq!(create("() RETURNS int LANGUAGE sql AS 'SELECT @extschema:cube@.f()'"), None);
        assert_eq!(named("DROP FUNCTION @extschema:cube@.f(int)"), at("@"));
    }
}
