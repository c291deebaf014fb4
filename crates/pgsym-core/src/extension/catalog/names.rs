//! Schemas and types by what they are, whatever they are called at the moment: a function's signature means the
//! type itself, so it follows ALTER TYPE … RENAME TO, and a type that is dropped and made anew is another one.
//! Names without a schema are looked up along the search path (src/backend/catalog/namespace.c).

use std::borrow::Cow;
use std::sync::LazyLock;

use super::super::sql::{SYSTEM, TypeKey};
use crate::hash::HashMap;

/// A schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SchemaId(usize);

/// A name of a routine, type or operator: equal names have one id, so that keys made of them need no copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NameId(usize);

/// A type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TypeId(usize);

/// A type in a signature: itself, or an array of it.
pub(super) type Argument = (TypeId, bool);

/// The names in force.
#[derive(Debug, Clone)]
pub(super) struct Names {
    schemas: HashMap<Vec<u8>, SchemaId>,
    schema_count: usize,
    /// Those of the built-in types come first: the types' ids are the same numbers.
    ids: HashMap<Cow<'static, [u8]>, NameId>,
    types: HashMap<(SchemaId, NameId), TypeId>,
    /// The name of each type that was ever met.
    places_of_types: Vec<(SchemaId, NameId)>,
    types_of_schema: HashMap<SchemaId, Vec<TypeId>>,
    target: SchemaId,
    path: Vec<SchemaId>,
}

impl Names {
    /// No names but the target schema's.
    pub(super) fn new(target: &[u8]) -> Self {
        let first = SchemaId(0);
        let mut names = Self {
            schemas: HashMap::from_iter([(target.to_vec(), first)]),
            schema_count: 1,
            ids: BUILT_IN_IDS.clone(),
            types: HashMap::default(),
            places_of_types: Vec::new(),
            types_of_schema: HashMap::default(),
            target: first,
            path: vec![first],
        };
        let system = names.schema(SYSTEM);
        names.places_of_types.extend((0..BUILT_IN.len()).map(|name| (system, NameId(name))));
        names
    }

    /// The id of a name.
    pub(super) fn name(&mut self, name: &[u8]) -> NameId {
        if let Some(&known) = self.ids.get(name) {
            return known;
        }
        let new = NameId(self.ids.len());
        self.ids.insert(Cow::Owned(name.to_vec()), new);
        new
    }

    /// The schema of this name.
    pub(super) fn schema(&mut self, name: &[u8]) -> SchemaId {
        if let Some(&known) = self.schemas.get(name) {
            return known;
        }
        let new = SchemaId(self.schema_count);
        self.schema_count += 1;
        self.schemas.insert(name.to_vec(), new);
        new
    }

    /// ALTER SCHEMA … RENAME TO.
    pub(super) fn rename_schema(&mut self, from: &[u8], to: &[u8]) {
        if let Some(id) = self.schemas.remove(from) {
            self.schemas.insert(to.to_vec(), id);
        }
    }

    /// The search path that every script starts with: the target schema.
    pub(super) fn reset_path(&mut self) {
        self.path = vec![self.target];
    }

    /// SET search_path. Nothing of an extension is in the user's or the temporary schema.
    pub(super) fn set_path(&mut self, names: &[Vec<u8>]) {
        let is_schema = |name: &&Vec<u8>| {
            !matches!(name.as_slice(), b"" | b"$user" | b"pg_temp" | b"default" | b"DEFAULT")
        };
        self.path = names.iter().filter(is_schema).map(|name| self.schema(name)).collect();
    }

    /// Where CREATE without a schema puts things.
    pub(super) fn creation_schema(&self) -> SchemaId {
        self.path.first().copied().unwrap_or(self.target)
    }

    /// Where names without a schema are looked for. The target schema is among them: scripts that set the path
    /// by calling a function leave no trace here.
    pub(super) fn searched(&self) -> impl Iterator<Item = SchemaId> + '_ {
        let more = (!self.path.contains(&self.target)).then_some(self.target);
        self.path.iter().copied().chain(more)
    }

    /// The type that CREATE TYPE makes; the shell type of the same name, where there is one.
    pub(super) fn new_type(&mut self, schema: Option<&[u8]>, name: &[u8]) -> TypeId {
        let schema = match schema {
            Some(schema) => self.schema(schema),
            None => self.creation_schema(),
        };
        let name = self.name(name);
        self.type_in(schema, name)
    }

    /// The type that a statement means. One that nothing made so far is taken to be a shell type, or one of a
    /// required extension, in the schema where CREATE would put it.
    pub(super) fn find_type(&mut self, schema: Option<&[u8]>, name: &[u8]) -> TypeId {
        let id = self.name(name);
        if id.0 < BUILT_IN.len() && schema.is_none_or(|schema| schema == SYSTEM) {
            return TypeId(id.0);
        }
        if let Some(schema) = schema {
            let schema = self.schema(schema);
            return self.type_in(schema, id);
        }
        let found = self.searched().find_map(|schema| self.types.get(&(schema, id)).copied());
        found.unwrap_or_else(|| self.type_in(self.creation_schema(), id))
    }

    /// The type in a signature.
    pub(super) fn argument(&mut self, key: &TypeKey) -> Argument {
        (self.find_type(key.schema.as_deref(), &key.name), key.is_array)
    }

    fn type_in(&mut self, schema: SchemaId, name: NameId) -> TypeId {
        let key = (schema, name);
        if let Some(&known) = self.types.get(&key) {
            return known;
        }
        let new = TypeId(self.places_of_types.len());
        self.places_of_types.push(key);
        self.types.insert(key, new);
        self.types_of_schema.entry(schema).or_default().push(new);
        new
    }

    /// Gives a type another name, or another schema.
    pub(super) fn alter_type(&mut self, id: TypeId, alter: impl FnOnce(&mut (SchemaId, NameId))) {
        let Some(place) = self.places_of_types.get_mut(id.0) else { return };
        self.types.remove(place);
        alter(place);
        self.types.insert(*place, id);
        self.types_of_schema.entry(place.0).or_default().push(id);
    }

    /// A dropped type leaves its name to the next.
    pub(super) fn forget_type(&mut self, id: TypeId) {
        if let Some(key) = self.places_of_types.get(id.0)
            && self.types.get(key) == Some(&id)
        {
            self.types.remove(key);
        }
    }

    /// The types of a schema that is dropped.
    pub(super) fn take_types_of(&mut self, schema: SchemaId) -> Vec<TypeId> {
        let mut types = self.types_of_schema.remove(&schema).unwrap_or_default();
        types.retain(|id| self.places_of_types.get(id.0).is_some_and(|(now, _)| *now == schema));
        types
    }
}

/// [`BUILT_IN`] by name.
static BUILT_IN_IDS: LazyLock<HashMap<Cow<'static, [u8]>, NameId>> = LazyLock::new(|| {
    let names = BUILT_IN.iter().map(|name| Cow::Borrowed(name.as_bytes()));
    names.zip((0..).map(NameId)).collect()
});

/// Whether pg_catalog has a type of this name, as [`TypeKey`] has it.
pub(in crate::extension) fn is_built_in(name: &[u8]) -> bool {
    BUILT_IN_IDS.contains_key(name)
}

/// Types of pg_catalog, which is searched before everything else (src/include/catalog/pg_type.dat); the row types
/// of the system's tables are not here.
const BUILT_IN: [&str; 107] = [
    "\"char\"",
    "aclitem",
    "any",
    "anyarray",
    "anycompatible",
    "anycompatiblearray",
    "anycompatiblemultirange",
    "anycompatiblenonarray",
    "anycompatiblerange",
    "anyelement",
    "anyenum",
    "anymultirange",
    "anynonarray",
    "anyrange",
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "cid",
    "cidr",
    "circle",
    "cstring",
    "date",
    "datemultirange",
    "daterange",
    "event_trigger",
    "fdw_handler",
    "float4",
    "float8",
    "gtsvector",
    "index_am_handler",
    "inet",
    "int2",
    "int2vector",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "internal",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "language_handler",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "nummultirange",
    "numrange",
    "oid",
    "oidvector",
    "path",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_ddl_command",
    "pg_dependencies",
    "pg_lsn",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
    "pg_snapshot",
    "point",
    "polygon",
    "record",
    "refcursor",
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "table_am_handler",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "trigger",
    "tsm_handler",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "txid_snapshot",
    "unknown",
    "uuid",
    "varbit",
    "varchar",
    "void",
    "xid",
    "xid8",
    "xml",
];
