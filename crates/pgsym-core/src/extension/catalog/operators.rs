//! How the operators of an extension point at each other: COMMUTATOR and NEGATOR make the other operator point back, as a
//! shell where it does not exist yet (src/backend/catalog/pg_operator.c, OperatorCreate, get_other_operator, OperatorUpd).
//! Servers differ in what they refuse, see [`Guard`]. Only operators over a type that the extension itself makes
//! are judged: nothing else can have operators of that signature.

use super::names::{NameId, Names, SchemaId, TypeId};
use crate::extension::sql::{NewOperator, ObjectName, TypeKey};
use crate::hash::{HashMap, HashSet};
use crate::name::Shown;

/// Schema, name and operand types.
type Signature = (SchemaId, NameId, [Option<TypeId>; 2]);

/// Which servers refuse a CREATE OPERATOR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// All of them.
    Every,
    /// Those that look whether another operator has the partner: 17 and later, and newer minor releases of older majors.
    Partner,
    /// Those that also keep the links that a shell came with: 15.20 does, 17.10 and 18.4 put those of the statement in
    /// their place.
    Shell,
}

/// What becomes of a shell's own links when CREATE OPERATOR fills it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Shells {
    /// The statement's links, or none, take their place.
    #[default]
    Overwritten,
    /// They stay, and the statement may not name others.
    Kept,
}

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
    shells: Shells,
}

impl Operators {
    /// No operators, in a server that treats shells so.
    pub(super) fn new(shells: Shells) -> Self {
        Self { shells, ..Self::default() }
    }

    /// CREATE TYPE.
    pub(super) fn own_type(&mut self, id: TypeId) {
        self.own_types.insert(id);
    }

    /// Something happened to operators that is not followed: nothing is judged from here on.
    pub(super) fn give_up(&mut self) {
        self.is_unknown = true;
    }

    /// CREATE OPERATOR, and the message of the servers that refuse the statement.
    pub(super) fn create(&mut self, new: &NewOperator, names: &mut Names) -> Option<(Guard, String)> {
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
            self.give_up();
            return Some((Guard::Every, format!("operator {} already exists", Shown(&new.name.name))));
        }
        // The statement's own operator is entered first here and last there, which only shows where it is its own
        // partner: the server leaves such a link for later.
        let index = shell.unwrap_or_else(|| self.enter(own, new.name.name.clone()));
        let [left, right] = operands;
        let commutator = new.commutator.as_ref().map(|name| self.partner(name, [right, left], names));
        let negator = new.negator.as_ref().map(|name| self.partner(name, operands, names));
        if negator == Some(index) {
            self.give_up();
            // Where there is a shell, old servers find it in the catalog and do not see that it is the same operator.
            let guard = if shell.is_none() { Guard::Every } else { Guard::Partner };
            return Some((guard, "operator cannot be its own negator".to_owned()));
        }
        if let Some(refused) = self.fill(index, commutator, negator) {
            return Some((Guard::Shell, refused));
        }
        self.link(commutator, index, "commutator", |operator| &mut operator.commutator)
            .or_else(|| self.link(negator, index, "negator", |operator| &mut operator.negator))
            .map(|message| (Guard::Partner, message))
    }

    /// Gives an operator its links.
    fn fill(&mut self, index: usize, commutator: Option<usize>, negator: Option<usize>) -> Option<String> {
        let shells = self.shells;
        let operator = self.known.get_mut(index)?;
        operator.is_defined = true;
        if shells == Shells::Overwritten {
            (operator.commutator, operator.negator) = (commutator, negator);
            return None;
        }
        let name = operator.name.clone();
        let links = [
            ("commutator", commutator, &mut operator.commutator),
            ("negator", negator, &mut operator.negator),
        ];
        let mut contradicted = None;
        for (word, named, link) in links {
            let kept = link.or(named);
            *link = kept;
            if named.is_some() && named != kept {
                contradicted = contradicted.or(kept.map(|kept| (word, kept)));
            }
        }
        let (word, kept) = contradicted?;
        self.give_up();
        let kept = Shown(&self.known.get(kept)?.name);
        Some(format!("{word} operator {kept} is already the {word} of operator {}", Shown(&name)))
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
