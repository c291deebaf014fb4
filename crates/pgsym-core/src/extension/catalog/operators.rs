//! How the operators of an extension point at each other: COMMUTATOR and NEGATOR make the other operator point back, as a
//! shell where it does not exist yet. Since 17, and in newer minor releases of older majors, the server refuses a
//! statement that would turn such a pointer to another operator (src/backend/catalog/pg_operator.c, OperatorCreate,
//! get_other_operator, OperatorUpd). Only operators over a type that the extension itself makes are judged:
//! nothing else can have operators of that signature.

use std::collections::{HashMap, HashSet};

use super::names::{NameId, Names, SchemaId, TypeId};
use crate::extension::sql::{NewOperator, ObjectName, TypeKey};
use crate::name::Shown;

/// Schema, name and operand types.
type Signature = (SchemaId, NameId, [Option<TypeId>; 2]);

#[derive(Debug, Clone)]
struct Operator {
    name: Vec<u8>,
    commutator: Option<usize>,
    negator: Option<usize>,
    /// False for a shell, which another operator's clause made.
    is_defined: bool,
}

/// The operators that the scripts made so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Operators {
    known: Vec<Operator>,
    by_signature: HashMap<Signature, usize>,
    own_types: HashSet<TypeId>,
    is_unknown: bool,
}

impl Operators {
    /// CREATE TYPE.
    pub(super) fn own_type(&mut self, id: TypeId) {
        self.own_types.insert(id);
    }

    /// Something happened to operators that is not followed: nothing is judged from here on.
    pub(super) fn give_up(&mut self) {
        self.is_unknown = true;
    }

    /// CREATE OPERATOR, and the server's message when the statement would take an operator from its partner.
    pub(super) fn create(&mut self, new: &NewOperator, names: &mut Names) -> Option<String> {
        let mut operand = |key: &Option<TypeKey>| key.as_ref().map(|key| names.argument(key));
        let operands = [operand(&new.left), operand(&new.right)];
        let is_array = operands.iter().flatten().any(|&(_, is_array)| is_array);
        let operands = operands.map(|operand| operand.map(|(id, _)| id));
        let is_own = operands.iter().flatten().any(|id| self.own_types.contains(id));
        if self.is_unknown || is_array || !is_own {
            return None;
        }
        let own = Self::place(&new.name, operands, names);
        let shell = self.by_signature.get(&own).copied();
        if shell.and_then(|index| self.known.get(index)).is_some_and(|operator| operator.is_defined) {
            self.give_up(); // the server says that it exists already
            return None;
        }
        // The statement's own operator is entered first here and last there, which only shows where it is its own
        // partner: the server leaves such a link for later.
        let index = shell.unwrap_or_else(|| self.enter(own, new.name.name.clone()));
        let [left, right] = operands;
        let commutator = new.commutator.as_ref().map(|name| self.partner(name, [right, left], names));
        let negator = new.negator.as_ref().map(|name| self.partner(name, operands, names));
        if negator == Some(index) {
            self.give_up(); // the server says that it cannot be its own negator
            return None;
        }
        if let Some(operator) = self.known.get_mut(index) {
            (operator.commutator, operator.negator, operator.is_defined) = (commutator, negator, true);
        }
        self.link(commutator, index, "commutator", |operator| &mut operator.commutator)
            .or_else(|| self.link(negator, index, "negator", |operator| &mut operator.negator))
    }

    fn place(name: &ObjectName, operands: [Option<TypeId>; 2], names: &mut Names) -> Signature {
        let id = names.name(&name.name);
        let schema = match &name.schema {
            Some(schema) => names.schema(schema),
            None => names.creation_schema(),
        };
        (schema, id, operands)
    }

    fn enter(&mut self, signature: Signature, name: Vec<u8>) -> usize {
        let index = self.known.len();
        self.known.push(Operator { name, commutator: None, negator: None, is_defined: false });
        self.by_signature.insert(signature, index);
        index
    }

    /// The operator that a clause names, made as a shell where there is none.
    fn partner(&mut self, name: &ObjectName, operands: [Option<TypeId>; 2], names: &mut Names) -> usize {
        let mut place = Self::place(name, operands, names);
        let schemas: Vec<SchemaId> = match name.schema {
            Some(_) => vec![place.0],
            None => names.searched().collect(),
        };
        let creation = place.0;
        for schema in schemas {
            place.0 = schema;
            if let Some(&known) = self.by_signature.get(&place) {
                return known;
            }
        }
        place.0 = creation;
        self.enter(place, name.name.clone())
    }

    /// Makes a partner point back.
    fn link(
        &mut self,
        partner: Option<usize>,
        index: usize,
        word: &str,
        pointer: impl Fn(&mut Operator) -> &mut Option<usize>,
    ) -> Option<String> {
        let partner = self.known.get_mut(partner?)?;
        let name = partner.name.clone();
        let third = *pointer(partner).get_or_insert(index);
        if third == index {
            return None;
        }
        self.give_up();
        let third = self.known.get(third)?;
        Some(format!(
            "{word} operator {} is already the {word} of operator {}",
            Shown(&name),
            Shown(&third.name)
        ))
    }
}
