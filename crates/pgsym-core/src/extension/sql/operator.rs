//! CREATE OPERATOR, as far as operators point at each other: the name, the operand types, COMMUTATOR and NEGATOR
//! (src/backend/parser/gram.y: DefineStmt, def_elem, qual_all_Op; src/backend/commands/operatorcmds.c).

use super::change::{ObjectName, definition};
use super::cursor::Cursor;
use super::lexer::TokenKind;
use super::types::{TypeKey, type_name};

/// CREATE OPERATOR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOperator {
    /// Its name.
    pub name: ObjectName,
    /// LEFTARG; `None` for a prefix operator.
    pub left: Option<TypeKey>,
    /// RIGHTARG.
    pub right: Option<TypeKey>,
    /// COMMUTATOR.
    pub commutator: Option<ObjectName>,
    /// NEGATOR.
    pub negator: Option<ObjectName>,
    /// Offset of the statement in the preprocessed text.
    pub offset: usize,
}

/// Reads CREATE OPERATOR; `None` for CREATE OPERATOR CLASS and FAMILY.
pub(super) fn read_operator(cursor: &mut Cursor<'_>, offset: usize) -> Option<NewOperator> {
    cursor.words(&["create", "operator"]);
    let name = any_operator(cursor)?;
    let mut new = NewOperator { name, left: None, right: None, commutator: None, negator: None, offset };
    definition(cursor, |attribute, cursor| {
        match attribute {
            b"leftarg" => new.left = Some(type_name(cursor)?),
            b"rightarg" => new.right = Some(type_name(cursor)?),
            b"commutator" => new.commutator = Some(operator_value(cursor)?),
            b"negator" => new.negator = Some(operator_value(cursor)?),
            _ => {}
        }
        Some(())
    })?;
    Some(new)
}

/// `any_operator`: an operator with its schema.
fn any_operator(cursor: &mut Cursor<'_>) -> Option<ObjectName> {
    let mut schema = None;
    loop {
        let token = cursor.peek()?;
        if matches!(token.kind, TokenKind::Operator | TokenKind::Sign(_)) {
            let name = match cursor.take_text()? {
                // The scanner turns one spelling into the other.
                b"!=" => b"<>",
                other => other,
            };
            return Some(ObjectName { schema, name: name.to_vec() });
        }
        schema = Some(cursor.name()?.ok()?);
        if !cursor.sign(b'.') {
            return None;
        }
    }
}

/// An operator, `OPERATOR(schema.op)`, or a string, which is a name as it stands.
fn operator_value(cursor: &mut Cursor<'_>) -> Option<ObjectName> {
    if let Some(text) = cursor.string() {
        return Some(ObjectName { schema: None, name: text.ok()? });
    }
    if cursor.word("operator") {
        let name = if cursor.sign(b'(') { any_operator(cursor)? } else { return None };
        return cursor.sign(b')').then_some(name);
    }
    any_operator(cursor)
}

#[cfg(test)]
mod tests {
    use super::super::split::tests::with_cursor;
    use super::*;

    fn read(sql: &str) -> Option<NewOperator> {
        with_cursor(sql, |cursor| read_operator(cursor, 0))
    }

    fn name(schema: Option<&str>, name: &str) -> ObjectName {
        ObjectName { schema: schema.map(Into::into), name: name.into() }
    }

    #[test]
    fn links_come_in_every_spelling() {
        let new = read(
            "CREATE OPERATOR s.!= (LEFTARG = t, rightarg = s.u, FUNCTION = f, COMMUTATOR = OPERATOR(s.<>), \
             NEGATOR = '=', HASHES, RESTRICT = eqsel)",
        )
        .unwrap();
        assert_eq!(new.name, name(Some("s"), "<>"));
        assert_eq!((new.commutator, new.negator), (Some(name(Some("s"), "<>")), Some(name(None, "="))));
        assert_eq!(new.right.unwrap().to_string(), "s.u");
        let prefix = read("CREATE OPERATOR ## (RIGHTARG = t, COMMUTATOR = <)").unwrap();
        assert_eq!((prefix.left, prefix.commutator), (None, Some(name(None, "<"))));
    }

    #[test]
    fn classes_and_families_are_no_operators() {
        assert_eq!(read("CREATE OPERATOR CLASS c FOR TYPE t USING btree AS OPERATOR 1 <"), None);
        assert_eq!(read("CREATE OPERATOR FAMILY f USING btree"), None);
    }
}
