//! The statements that take away or change what earlier ones made, as far as they concern routines and the types in
//! their signatures: DROP with its behaviour, ALTER … RENAME TO and SET SCHEMA, ALTER EXTENSION … ADD and DROP,
//! SET search_path; and CREATE TYPE and CREATE DOMAIN, because dropping a type or one of its functions takes others along
//! (src/backend/parser/gram.y: DropStmt, RemoveFuncStmt, RenameStmt, AlterObjectSchemaStmt, DefineStmt).

use super::arguments::{Arguments, argument_list};
use super::cursor::Cursor;
use super::lexer::TokenKind;
use super::routine::function_name;
use super::types::{TypeKey, type_name};

/// The name of a type, or of a relation, which has a type of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// The schema it is qualified with.
    pub schema: Option<Vec<u8>>,
    /// The name.
    pub name: Vec<u8>,
}

/// A routine as DROP and ALTER name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutineName {
    /// The name.
    pub name: ObjectName,
    /// Its arguments; `None` when the statement gives none and the name alone must do.
    pub arguments: Option<Arguments>,
}

/// What becomes of the objects that depend on a dropped one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropBehavior {
    /// There must be none.
    Restrict,
    /// They go too.
    Cascade,
}

/// What ALTER does to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alteration {
    /// RENAME TO.
    Rename(Vec<u8>),
    /// SET SCHEMA.
    SetSchema(Vec<u8>),
}

/// A change to what earlier statements made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// DROP FUNCTION, PROCEDURE or ROUTINE.
    DropRoutines(Vec<RoutineName>, DropBehavior),
    /// DROP TYPE or DOMAIN, or of a relation.
    DropTypes(Vec<ObjectName>, DropBehavior),
    /// DROP SCHEMA.
    DropSchemas(Vec<Vec<u8>>, DropBehavior),
    /// ALTER FUNCTION, PROCEDURE or ROUTINE.
    AlterRoutine(RoutineName, Alteration),
    /// ALTER TYPE or DOMAIN, or of a relation.
    AlterType(ObjectName, Alteration),
    /// ALTER SCHEMA … RENAME TO.
    RenameSchema(Vec<u8>, Vec<u8>),
    /// ALTER EXTENSION … ADD FUNCTION, PROCEDURE or ROUTINE: the extension and the routine.
    AddMember(Vec<u8>, RoutineName),
    /// ALTER EXTENSION … DROP FUNCTION, PROCEDURE or ROUTINE.
    RemoveMember(Vec<u8>, RoutineName),
    /// SET search_path: the schemas in order.
    SearchPath(Vec<Vec<u8>>),
}

/// A function that a type is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeFunction {
    /// `input`.
    Input,
    /// `receive`.
    Receive,
    /// `output`, `send`, or `canonical` of a range: takes the type itself.
    OfItself,
    /// `typmod_in`.
    ModifierInput,
    /// `typmod_out`.
    ModifierOutput,
    /// `analyze` or `subscript`.
    Internal,
    /// `subtype_diff` of a range: takes two of the subtype.
    OfSubtype,
}

/// CREATE TYPE or CREATE DOMAIN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewType {
    /// Its name.
    pub name: ObjectName,
    /// The functions that its definition names.
    pub functions: Vec<(TypeFunction, ObjectName)>,
    /// The type that it is made over: a domain's base type, a range's subtype.
    pub over: Option<TypeKey>,
}

/// Reads DROP, ALTER or SET; `None` for what does not concern routines or types.
pub(super) fn read_change(cursor: &mut Cursor<'_>) -> Option<Change> {
    if cursor.word("drop") {
        return drop(cursor);
    }
    if cursor.words(&["alter", "extension"]) {
        let extension = cursor.name()?.ok()?;
        let is_added = cursor.word("add");
        if !(is_added || cursor.word("drop")) || !routine_word(cursor) {
            return None;
        }
        let routine = routine_name(cursor)?;
        return Some(if is_added {
            Change::AddMember(extension, routine)
        } else {
            Change::RemoveMember(extension, routine)
        });
    }
    if cursor.words(&["alter", "schema"]) {
        let from = cursor.name()?.ok()?;
        let Alteration::Rename(to) = alteration(cursor)? else { return None };
        return Some(Change::RenameSchema(from, to));
    }
    if cursor.word("alter") {
        if routine_word(cursor) {
            let routine = routine_name(cursor)?;
            return Some(Change::AlterRoutine(routine, alteration(cursor)?));
        }
        if !type_word(cursor) {
            return None;
        }
        cursor.words(&["if", "exists"]);
        cursor.word("only");
        let object = object_name(cursor)?;
        return Some(Change::AlterType(object, alteration(cursor)?));
    }
    search_path(cursor)
}

fn drop(cursor: &mut Cursor<'_>) -> Option<Change> {
    if routine_word(cursor) {
        let names = list(cursor, routine_name)?;
        return Some(Change::DropRoutines(names, behavior(cursor)));
    }
    if cursor.word("schema") {
        let names = list(cursor, |cursor| cursor.name()?.ok())?;
        return Some(Change::DropSchemas(names, behavior(cursor)));
    }
    if !type_word(cursor) {
        return None;
    }
    let names = list(cursor, object_name)?;
    Some(Change::DropTypes(names, behavior(cursor)))
}

fn list<T>(cursor: &mut Cursor<'_>, item: impl Fn(&mut Cursor<'_>) -> Option<T>) -> Option<Vec<T>> {
    cursor.words(&["if", "exists"]);
    let mut items = vec![item(cursor)?];
    while cursor.sign(b',') {
        items.push(item(cursor)?);
    }
    Some(items)
}

fn behavior(cursor: &mut Cursor<'_>) -> DropBehavior {
    if cursor.word("cascade") {
        return DropBehavior::Cascade;
    }
    cursor.word("restrict");
    DropBehavior::Restrict
}

fn alteration(cursor: &mut Cursor<'_>) -> Option<Alteration> {
    if cursor.words(&["rename", "to"]) {
        return Some(Alteration::Rename(cursor.name()?.ok()?));
    }
    if cursor.words(&["set", "schema"]) {
        return Some(Alteration::SetSchema(cursor.name()?.ok()?));
    }
    None
}

fn routine_word(cursor: &mut Cursor<'_>) -> bool {
    cursor.word("function") || cursor.word("procedure") || cursor.word("routine")
}

/// The kinds of objects that are, or have, a type.
fn type_word(cursor: &mut Cursor<'_>) -> bool {
    cursor.word("type")
        || cursor.word("domain")
        || cursor.word("table")
        || cursor.word("view")
        || cursor.words(&["materialized", "view"])
        || cursor.words(&["foreign", "table"])
}

/// `any_name`.
fn object_name(cursor: &mut Cursor<'_>) -> Option<ObjectName> {
    let mut names = cursor.qualified_name()?.ok()?;
    let name = names.pop()?;
    Some(ObjectName { schema: names.pop(), name })
}

/// `function_with_argtypes`.
fn routine_name(cursor: &mut Cursor<'_>) -> Option<RoutineName> {
    let (mut names, is_column) = function_name(cursor).ok()?;
    let name = names.pop()?;
    let name = ObjectName { schema: names.pop(), name };
    if is_column && cursor.peek().is_some_and(|token| token.kind == TokenKind::Sign(b'(')) {
        return None;
    }
    if cursor.sign(b'[') {
        cursor.peek(); // as in CREATE FUNCTION
        return None;
    }
    let arguments = if cursor.sign(b'(') { Some(argument_list(cursor)?) } else { None };
    Some(RoutineName { name, arguments })
}

fn search_path(cursor: &mut Cursor<'_>) -> Option<Change> {
    cursor.word("set");
    if !cursor.word("session") {
        cursor.word("local");
    }
    if !cursor.word("search_path") || !(cursor.word("to") || cursor.sign(b'=')) {
        return None;
    }
    let mut schemas = Vec::new();
    loop {
        schemas.push(cursor.string().or_else(|| cursor.name())?.ok()?);
        if !cursor.sign(b',') {
            return Some(Change::SearchPath(schemas));
        }
    }
}

/// Reads CREATE TYPE or CREATE DOMAIN.
pub(super) fn read_type(cursor: &mut Cursor<'_>) -> Option<NewType> {
    cursor.word("create");
    if cursor.word("domain") {
        let name = object_name(cursor)?;
        cursor.word("as");
        return Some(NewType { name, functions: Vec::new(), over: Some(type_name(cursor)?) });
    }
    cursor.word("type");
    let mut new = NewType { name: object_name(cursor)?, functions: Vec::new(), over: None };
    // A shell type has nothing here, a composite type and an enum nothing that matters.
    if cursor.words(&["as", "range"]) || !(cursor.is_at_end() || cursor.is_word("as")) {
        type_definition(cursor, &mut new)?;
    }
    Some(new)
}

fn type_definition(cursor: &mut Cursor<'_>, new: &mut NewType) -> Option<()> {
    definition(cursor, |attribute, cursor| {
        let function = match attribute {
            b"input" => TypeFunction::Input,
            b"receive" => TypeFunction::Receive,
            b"output" | b"send" | b"canonical" => TypeFunction::OfItself,
            b"typmod_in" => TypeFunction::ModifierInput,
            b"typmod_out" => TypeFunction::ModifierOutput,
            b"analyze" | b"analyse" | b"subscript" => TypeFunction::Internal,
            b"subtype_diff" => TypeFunction::OfSubtype,
            b"subtype" => {
                new.over = Some(type_name(cursor)?);
                return Some(());
            }
            _ => return Some(()),
        };
        new.functions.push((function, object_name(cursor)?));
        Some(())
    })
}

/// `definition`: `(name = value, …)`, each value read as far as `attribute` wants it.
pub(super) fn definition<'a>(
    cursor: &mut Cursor<'a>,
    mut attribute: impl FnMut(&[u8], &mut Cursor<'a>) -> Option<()>,
) -> Option<()> {
    if !cursor.sign(b'(') {
        return None;
    }
    loop {
        let name = cursor.name()?.ok()?;
        if cursor.sign(b'=') {
            attribute(&name, cursor)?;
        }
        loop {
            if cursor.sign(b',') {
                break;
            }
            if cursor.sign(b')') {
                return Some(());
            }
            if cursor.sign(b'(') {
                if !cursor.close() {
                    return None;
                }
            } else {
                cursor.take()?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::split::tests::with_cursor;
    use super::*;

    fn change(sql: &str) -> Option<Change> {
        with_cursor(sql, read_change)
    }

    fn new_type(sql: &str) -> Option<NewType> {
        with_cursor(sql, read_type)
    }

    fn object(name: &str) -> ObjectName {
        ObjectName { schema: None, name: name.into() }
    }

    fn shown(routine: &RoutineName) -> String {
        let name = String::from_utf8_lossy(&routine.name.name);
        let types =
            |arguments: &Arguments| arguments.input().map(ToString::to_string).collect::<Vec<_>>().join(",");
        routine
            .arguments
            .as_ref()
            .map_or_else(|| name.clone().into_owned(), |list| format!("{name}({})", types(list)))
    }

    #[test]
    fn drop_takes_lists_and_a_behaviour() {
        let Some(Change::DropRoutines(names, DropBehavior::Cascade)) =
            change("DROP FUNCTION IF EXISTS a(x int, OUT text), s.b, c() CASCADE")
        else {
            panic!("not read")
        };
        assert_eq!(names.iter().map(shown).collect::<Vec<_>>(), ["a(int4)", "b", "c()"]);
        let both = vec![object("a"), object("b")];
        assert_eq!(change("DROP TYPE a, b CASCADE"), Some(Change::DropTypes(both, DropBehavior::Cascade)));
        let view = Change::DropTypes(vec![object("v")], DropBehavior::Restrict);
        assert_eq!(change("DROP MATERIALIZED VIEW IF EXISTS v"), Some(view));
        let schemas = Change::DropSchemas(vec![b"s".to_vec(), b"t".to_vec()], DropBehavior::Restrict);
        assert_eq!(change("DROP SCHEMA s, t RESTRICT"), Some(schemas));
        assert_eq!(change("DROP OPERATOR + (int, int) CASCADE"), None);
        assert_eq!(change("DROP AGGREGATE a(int)"), None);
    }

    #[test]
    fn alter_renames_moves_and_changes_members() {
        let Some(Change::AlterRoutine(routine, Alteration::Rename(to))) =
            change("ALTER ROUTINE f(text) RENAME TO g")
        else {
            panic!("not read")
        };
        assert_eq!((shown(&routine).as_str(), to.as_slice()), ("f(text)", b"g".as_slice()));
        let moved = Change::AlterType(object("t"), Alteration::SetSchema(b"s".to_vec()));
        assert_eq!(change("ALTER TABLE IF EXISTS ONLY t SET SCHEMA s"), Some(moved));
        assert!(matches!(change("ALTER EXTENSION e ADD PROCEDURE p(int)"), Some(Change::AddMember(..))));
        assert!(matches!(change("ALTER EXTENSION e DROP FUNCTION f"), Some(Change::RemoveMember(..))));
        assert_eq!(change("ALTER EXTENSION e DROP TYPE t"), None);
        assert_eq!(change("ALTER FUNCTION f(text) STRICT"), None);
        assert_eq!(change("ALTER TABLE t RENAME a TO b"), None);
        let path = Change::SearchPath(vec![b"s".to_vec(), b"public".to_vec()]);
        assert_eq!(change("SET LOCAL search_path TO s, 'public'"), Some(path));
    }

    #[test]
    fn types_name_their_functions() {
        let new = new_type("CREATE TYPE t (INTERNALLENGTH = 4, INPUT = s.t_in, output = t_out, LIKE = numeric(1, 2), PASSEDBYVALUE)")
        .unwrap();
        let input = ObjectName { schema: Some(b"s".to_vec()), name: b"t_in".to_vec() };
        assert_eq!(new.functions, [(TypeFunction::Input, input), (TypeFunction::OfItself, object("t_out"))]);
        let range = new_type("CREATE TYPE r AS RANGE (subtype = int, subtype_diff = d)").unwrap();
        assert_eq!(range.over.unwrap().to_string(), "int4");
        assert_eq!(range.functions, [(TypeFunction::OfSubtype, object("d"))]);
        let domain = new_type("CREATE DOMAIN d AS s.t CHECK (VALUE > 0)").unwrap();
        assert_eq!(domain.over.unwrap().to_string(), "s.t");
        for sql in ["CREATE TYPE t", "CREATE TYPE t AS (a int)", "CREATE TYPE t AS ENUM ('a')"] {
            assert_eq!(new_type(sql).unwrap().functions, [], "{sql}");
        }
    }
}
