//! What is in pg_proc after a chain of scripts ran: routines created, replaced, renamed, moved and dropped, in
//! order, and those that go with a type or a schema (src/backend/catalog/dependency.c). A routine's identity is its
//! schema, name and input types, as the server's; of two scripts that declare the same one the later wins, which
//! is how an update moves a function to another module.

mod names;
mod operators;

pub(super) use names::is_built_in;
use names::{Argument, NameId, Names, SchemaId, TypeId};
pub use operators::Guard;
use operators::{Operators, Shells};

use super::sql::{
    Alteration, Arguments, Change, Declaration, DropBehavior, NewType, ObjectName, Routine, RoutineKind,
    RoutineName, TypeFunction,
};
use crate::hash::HashMap;

/// A routine that belongs to the extension, and where it was declared last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<P> {
    /// Its name.
    pub name: Vec<u8>,
    /// `probin` and `prosrc`, when it is a C function.
    pub link: Option<(Vec<u8>, Vec<u8>)>,
    /// Where the declaration in force stands.
    pub place: P,
}

/// A routine that exists.
#[derive(Debug, Clone)]
struct Known<P> {
    member: Member<P>,
    /// False after ALTER EXTENSION … DROP FUNCTION.
    is_member: bool,
    schema: SchemaId,
    name: NameId,
    input: Vec<Argument>,
    /// All arguments of a procedure, by which DROP PROCEDURE may name it too.
    all: Option<Vec<Argument>>,
    /// Types that are made of this function.
    types: Vec<TypeId>,
}

/// What goes with a type.
#[derive(Debug, Clone, Default)]
struct Dependents {
    routines: Vec<usize>,
    types: Vec<TypeId>,
}

/// The routines of one extension. The indices by name, schema and type may hold routines that are gone or that have moved
/// on; whoever uses them looks. So no statement costs more than what it takes away.
#[derive(Debug, Clone)]
pub struct Catalog<P> {
    extension: Vec<u8>,
    names: Names,
    routines: Vec<Option<Known<P>>>,
    by_signature: HashMap<(SchemaId, NameId, Vec<Argument>), usize>,
    by_name: HashMap<(SchemaId, NameId), Vec<usize>>,
    by_schema: HashMap<SchemaId, Vec<usize>>,
    by_type: HashMap<TypeId, Dependents>,
    /// As the two kinds of servers have them.
    operators: [Operators; 2],
    operator_error: Option<(P, Guard, String)>,
    shell_error: Option<(P, Guard, String)>,
}

/// Something to drop.
enum Object {
    Routine(usize),
    Type(TypeId),
}

impl<P> Catalog<P> {
    /// The empty catalog of `extension`; unqualified names belong to `schema`.
    pub fn new(extension: &[u8], schema: &[u8]) -> Self {
        Self {
            extension: extension.to_vec(),
            names: Names::new(schema),
            routines: Vec::new(),
            by_signature: HashMap::default(),
            by_name: HashMap::default(),
            by_schema: HashMap::default(),
            by_type: HashMap::default(),
            operators: [Shells::Overwritten, Shells::Kept].map(Operators::new),
            operator_error: None,
            shell_error: None,
        }
    }

    /// The routines that belong to the extension, in the order in which they were first created.
    pub fn into_members(self) -> impl Iterator<Item = Member<P>> {
        self.routines.into_iter().flatten().filter(|known| known.is_member).map(|known| known.member)
    }

    /// The CREATE OPERATOR statements that servers refuse, with who does and in which words: first the one that only
    /// servers with [`Guard::Shell`] meet, if it comes before any other; then the first that others refuse.
    pub fn operator_errors(&self) -> impl Iterator<Item = &(P, Guard, String)> {
        self.shell_error.iter().chain(&self.operator_error)
    }

    /// A script of the chain begins: the server sets search_path anew.
    pub fn begin_script(&mut self) {
        self.names.reset_path();
    }

    /// Applies one statement that stands at `place`.
    pub fn apply(&mut self, declaration: &Declaration, place: P) {
        match declaration {
            Declaration::Create(routine) => self.create(routine, place),
            Declaration::CreateType(new) => self.create_type(new),
            Declaration::CreateOperator(new) => {
                let [plain, strict] = &mut self.operators;
                let refused = plain.create(new, &mut self.names);
                let by_strict = strict.create(new, &mut self.names);
                if self.operator_error.is_some() {
                    return;
                }
                if let Some((guard, message)) = refused {
                    self.operator_error = Some((place, guard, message));
                } else if let Some((_, message)) = by_strict {
                    self.shell_error.get_or_insert((place, Guard::Shell, message));
                }
            }
            Declaration::OtherOperators => self.give_up_operators(),
            Declaration::Change(change) => self.change(change),
            Declaration::Load { .. }
            | Declaration::Refused { .. }
            | Declaration::CreateExtension { .. }
            | Declaration::CreateLanguage(_)
            | Declaration::Do { .. }
            | Declaration::SetStandardConformingStrings(_) => {}
        }
    }

    fn give_up_operators(&mut self) {
        for operators in &mut self.operators {
            operators.give_up();
        }
    }

    fn create(&mut self, routine: &Routine, place: P) {
        let schema = match &routine.schema {
            Some(schema) => self.names.schema(schema),
            None => self.names.creation_schema(),
        };
        // In this order: a result that does not exist yet becomes a shell type, which the arguments may name.
        let result: Vec<Argument> = routine.result.iter().map(|key| self.names.argument(key)).collect();
        let (all, input) = self.arguments(&routine.arguments);
        let name = self.names.name(&routine.name);
        let link = routine.c_link().map(|(probin, prosrc)| (probin.to_vec(), prosrc.to_vec()));
        let member = Member { name: routine.name.clone(), link, place };
        let signature = (schema, name, input);
        let index = self.by_signature.get(&signature).copied().unwrap_or(self.routines.len());
        let (.., input) = signature;
        for (used, _) in result.iter().chain(&all) {
            self.by_type.entry(*used).or_default().routines.push(index);
        }
        if let Some(Some(known)) = self.routines.get_mut(index) {
            known.member = member;
            return;
        }
        let all = (routine.kind == RoutineKind::Procedure).then_some(all);
        let known = Known { member, is_member: true, schema, name, input, all, types: Vec::new() };
        self.routines.push(Some(known));
        self.index(index);
    }

    /// The types of all arguments, and those of the input arguments.
    fn arguments(&mut self, arguments: &Arguments) -> (Vec<Argument>, Vec<Argument>) {
        let all: Vec<Argument> =
            arguments.list.iter().map(|parameter| self.names.argument(&parameter.key)).collect();
        let is_input = arguments.list.iter().map(|parameter| parameter.is_input);
        let input = all.iter().zip(is_input).filter(|(_, is_input)| *is_input).map(|(&id, _)| id).collect();
        (all, input)
    }

    /// Makes a routine known by its present names.
    fn index(&mut self, index: usize) {
        let Some(Some(known)) = self.routines.get(index) else { return };
        let (schema, name) = (known.schema, known.name);
        for arguments in [Some(&known.input), known.all.as_ref()].into_iter().flatten() {
            self.by_signature.entry((schema, name, arguments.clone())).or_insert(index);
        }
        self.by_name.entry((schema, name)).or_default().push(index);
        self.by_schema.entry(schema).or_default().push(index);
    }

    /// Takes a routine's signatures out of the index.
    fn forget_signatures(&mut self, known: &Known<P>, index: usize) {
        for arguments in [Some(&known.input), known.all.as_ref()].into_iter().flatten() {
            let signature = (known.schema, known.name, arguments.clone());
            if self.by_signature.get(&signature) == Some(&index) {
                self.by_signature.remove(&signature);
            }
        }
    }

    fn create_type(&mut self, new: &NewType) {
        let id = self.names.new_type(new.name.schema.as_deref(), &new.name.name);
        for operators in &mut self.operators {
            operators.own_type(id);
        }
        let over = new.over.as_ref().map(|key| self.names.find_type(key.schema.as_deref(), &key.name));
        if let Some(over) = over {
            self.by_type.entry(over).or_default().types.push(id);
        }
        let mut built_in = |name: &[u8]| self.names.find_type(None, name);
        let (cstring, internal) = (built_in(b"cstring"), built_in(b"internal"));
        let (oid, int4) = (built_in(b"oid"), built_in(b"int4"));
        for (function, name) in &new.functions {
            // What findTypeInputFunction and its relatives of typecmds.c, and findRange… look for.
            let signatures: Vec<Vec<Argument>> = match function {
                TypeFunction::Input => {
                    vec![vec![(cstring, false)], vec![(cstring, false), (oid, false), (int4, false)]]
                }
                TypeFunction::Receive => {
                    vec![vec![(internal, false)], vec![(internal, false), (oid, false), (int4, false)]]
                }
                TypeFunction::OfItself => vec![vec![(id, false)]],
                TypeFunction::ModifierInput => vec![vec![(cstring, true)]],
                TypeFunction::ModifierOutput => vec![vec![(int4, false)]],
                TypeFunction::Internal => vec![vec![(internal, false)]],
                TypeFunction::OfSubtype => over.map(|over| vec![(over, false); 2]).into_iter().collect(),
            };
            let found = signatures.into_iter().find_map(|input| self.by_input(name, input));
            if let Some(Some(known)) = found.and_then(|index| self.routines.get_mut(index)) {
                known.types.push(id);
            }
        }
    }

    /// Schemas in which an object of this name is looked for.
    fn schemas_of(&mut self, name: &ObjectName) -> Vec<SchemaId> {
        match &name.schema {
            Some(schema) => vec![self.names.schema(schema)],
            None => self.names.searched().collect(),
        }
    }

    fn by_input(&mut self, name: &ObjectName, input: Vec<Argument>) -> Option<usize> {
        let mut signature = (self.names.creation_schema(), self.names.name(&name.name), input);
        self.schemas_of(name).into_iter().find_map(|schema| {
            signature.0 = schema;
            self.by_signature.get(&signature).copied()
        })
    }

    /// The routines that a statement means. The server wants exactly one; here a name without arguments means
    /// all of that name, because code may have dropped the others.
    fn find(&mut self, wanted: &RoutineName) -> Vec<usize> {
        let Some(arguments) = &wanted.arguments else {
            let name = self.names.name(&wanted.name.name);
            let schemas = self.schemas_of(&wanted.name).into_iter();
            let mut found = schemas.map(|schema| self.named(schema, name));
            return found.find(|found| !found.is_empty()).unwrap_or_default();
        };
        let (_, input) = self.arguments(arguments);
        self.by_input(&wanted.name, input).into_iter().collect()
    }

    fn named(&self, schema: SchemaId, name: NameId) -> Vec<usize> {
        let is_it = |index: &usize| {
            let known = self.routines.get(*index).and_then(Option::as_ref);
            known.is_some_and(|known| known.schema == schema && known.name == name)
        };
        let found = self.by_name.get(&(schema, name));
        found.into_iter().flatten().copied().filter(is_it).collect()
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::DropRoutines(names, behavior) => {
                let found = names.iter().flat_map(|name| self.find(name)).map(Object::Routine).collect();
                self.drop(found, *behavior);
            }
            Change::DropTypes(names, behavior) => {
                let find = |name: &ObjectName| self.names.find_type(name.schema.as_deref(), &name.name);
                let found = names.iter().map(find).map(Object::Type).collect();
                self.drop(found, *behavior);
            }
            Change::DropSchemas(names, DropBehavior::Cascade) => {
                for name in names {
                    self.drop_schema(name);
                }
            }
            // The server refuses unless the schema is empty.
            Change::DropSchemas(_, DropBehavior::Restrict) => {}
            Change::AlterRoutine(name, alteration) => {
                for index in self.find(name) {
                    self.alter(index, alteration);
                }
            }
            Change::AlterType(name, alteration) => {
                let id = self.names.find_type(name.schema.as_deref(), &name.name);
                match alteration {
                    Alteration::Rename(to) => {
                        let name = self.names.name(to);
                        self.names.alter_type(id, |place| place.1 = name);
                    }
                    Alteration::SetSchema(to) => {
                        let schema = self.names.schema(to);
                        self.names.alter_type(id, |place| place.0 = schema);
                    }
                }
            }
            Change::RenameSchema(from, to) => self.names.rename_schema(from, to),
            Change::AddMember(extension, name) => self.set_member(extension, name, true),
            Change::RemoveMember(extension, name) => self.set_member(extension, name, false),
            Change::SearchPath(names) => self.names.set_path(names),
        }
    }

    fn set_member(&mut self, extension: &[u8], name: &RoutineName, is_member: bool) {
        if extension != self.extension {
            return;
        }
        for index in self.find(name) {
            if let Some(Some(known)) = self.routines.get_mut(index) {
                known.is_member = is_member;
            }
        }
    }

    fn alter(&mut self, index: usize, alteration: &Alteration) {
        let Some(mut known) = self.routines.get_mut(index).and_then(Option::take) else { return };
        self.forget_signatures(&known, index);
        match alteration {
            Alteration::Rename(to) => {
                known.member.name.clone_from(to);
                known.name = self.names.name(to);
            }
            Alteration::SetSchema(to) => known.schema = self.names.schema(to),
        }
        if let Some(slot) = self.routines.get_mut(index) {
            *slot = Some(known);
        }
        self.index(index);
    }

    fn drop_schema(&mut self, name: &[u8]) {
        let schema = self.names.schema(name);
        let routines = self.by_schema.remove(&schema).unwrap_or_default().into_iter().filter(|index| {
            self.routines.get(*index).and_then(Option::as_ref).is_some_and(|known| known.schema == schema)
        });
        let mut found: Vec<Object> = routines.map(Object::Routine).collect();
        found.extend(self.names.take_types_of(schema).into_iter().map(Object::Type));
        self.drop(found, DropBehavior::Cascade);
    }

    /// Drops objects, and with CASCADE what depends on them: on a type the routines with it in their signature
    /// and the types over it, on a routine the types that are made of it.
    fn drop(&mut self, mut objects: Vec<Object>, behavior: DropBehavior) {
        if behavior == DropBehavior::Cascade {
            self.give_up_operators();
        }
        while let Some(object) = objects.pop() {
            let (routines, types) = match object {
                Object::Routine(index) => {
                    let Some(known) = self.routines.get_mut(index).and_then(Option::take) else { continue };
                    self.forget_signatures(&known, index);
                    (Vec::new(), known.types)
                }
                Object::Type(id) => {
                    self.names.forget_type(id);
                    let dependents = self.by_type.remove(&id).unwrap_or_default();
                    (dependents.routines, dependents.types)
                }
            };
            if behavior == DropBehavior::Cascade {
                objects.extend(routines.into_iter().map(Object::Routine));
                objects.extend(types.into_iter().map(Object::Type));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sql::{StandardConformingStrings, scan_script};
    use super::*;

    fn catalog(scripts: &[&str]) -> Vec<String> {
        let mut catalog = Catalog::new(b"e", b"public");
        for (index, script) in scripts.iter().enumerate() {
            catalog.begin_script();
            for declaration in scan_script(script.as_bytes(), StandardConformingStrings::On).declarations {
                catalog.apply(&declaration, index);
            }
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let link = |member: &Member<usize>| match &member.link {
            Some((probin, prosrc)) => format!("{}:{}", text(probin), text(prosrc)),
            None => "-".to_owned(),
        };
        catalog.into_members().map(|m| format!("{} {} {}", text(&m.name), link(&m), m.place)).collect()
    }

    const F: &str = "CREATE FUNCTION f(int) RETURNS int LANGUAGE c AS 'x';";

    #[test]
    fn a_later_replacement_moves_the_function() {
        let replaced = "CREATE OR REPLACE FUNCTION public.f(a integer) RETURNS int LANGUAGE c AS 'y', 'g';";
        assert_eq!(catalog(&[F, replaced]), ["f y:g 1"]);
        let other = "CREATE OR REPLACE FUNCTION f(text) RETURNS int LANGUAGE c AS 'y', 'g';";
        assert_eq!(catalog(&[F, other]), ["f x:f 0", "f y:g 1"]);
        let sql = "CREATE OR REPLACE FUNCTION f(int4) RETURNS int LANGUAGE sql AS 'SELECT 1';";
        assert_eq!(catalog(&[F, sql]), ["f - 1"]);
    }

    #[test]
    fn drops_and_renames_follow_the_signature() {
        assert_eq!(catalog(&[F, "DROP FUNCTION f(text)"]), ["f x:f 0"]);
        assert_eq!(catalog(&[F, "DROP ROUTINE IF EXISTS public.f(IN int, OUT text)"]), [""; 0]);
        assert_eq!(catalog(&[F, "DROP FUNCTION f"]), [""; 0]);
        assert_eq!(catalog(&[F, "DROP FUNCTION other.f(int)"]), ["f x:f 0"]);
        assert_eq!(catalog(&[F, "ALTER EXTENSION e DROP FUNCTION f(int)"]), [""; 0]);
        assert_eq!(catalog(&[F, "ALTER FUNCTION f(int) RENAME TO g", "DROP FUNCTION f(int)"]), ["g x:f 0"]);
        assert_eq!(catalog(&[F, "DROP FUNCTION f(int)", F]), ["f x:f 2"]);
    }
}
