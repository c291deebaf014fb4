//! From the compiled objects and what the author asked for to the one set of names that the module must export.
//!
//! PostgreSQL looks symbols up with `dlsym`: the magic function, the entry points that its loaders know, and for
//! each C function of the SQL scripts the function and its `pg_finfo_` record (`fmgr.c`, `fetch_finfo_record`).
//! Every contradiction between the parts is reported, all of them at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::is_plain_name;
use super::objects::{Linkage, ObjectFile, ObjectSymbol};
pub use super::problem::Problem;
use crate::postgres::{FINFO_PREFIX, MAGIC_FUNCTION, SymbolClass, classify};

/// What the author of a module asked for, beside what the objects show.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Further names that the objects define, such as a background worker's main function.
    pub add: BTreeSet<String>,
    /// Names that stay inside although the objects would export them.
    pub hide: BTreeSet<String>,
    /// Names that Rust code defines with `#[unsafe(no_mangle)]`; rustc exports them itself.
    pub rust: BTreeSet<String>,
    /// Names that a dependency's archive brings, with the dependency.
    pub dependencies: BTreeMap<String, String>,
    /// C functions that SQL scripts declare.
    pub declared: Vec<DeclaredFunction>,
    /// Whether the result must hold `Pg_magic_func`: a module does, a part of one does not.
    pub needs_magic: bool,
}

/// A C function that an SQL script declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredFunction {
    /// The link symbol (`pg_proc.prosrc`), case as the server sees it.
    pub symbol: String,
    /// The script, as the author names it.
    pub script: String,
    /// Line of the declaration, from 1.
    pub line: usize,
}

/// The names a module must export, sorted by bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportSet {
    entries: BTreeMap<String, Export>,
}

/// One name that must be exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// What PostgreSQL looks it up for; [`SymbolClass::Other`] where only the author named it.
    pub class: SymbolClass,
    /// Who defines it.
    pub provider: Provider,
}

/// Who defines an exported name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// An object, by its label.
    Object(String),
    /// Rust code of the crate.
    Rust,
    /// A dependency, by the value of its `links` key.
    Dependency(String),
}

impl ExportSet {
    /// Decides what must be exported.
    ///
    /// # Errors
    ///
    /// Every [`Problem`], in a stable order; the list is not empty.
    pub fn plan(objects: &[ObjectFile], request: &Request) -> Result<Self, Vec<Problem>> {
        let mut planner = Planner::new(objects, request);
        planner.check_hidden();
        planner.select_from_objects();
        planner.add_requested();
        planner.check_finfo_records();
        planner.check_declared();
        planner.check_whole();
        if planner.problems.is_empty() { Ok(planner.set) } else { Err(planner.problems) }
    }

    /// The names and why they are there, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Export)> {
        self.entries.iter().map(|(name, export)| (name.as_str(), export))
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The names that archives bring and that a linker must be told to pull in and export: not those of Rust.
    pub fn forced(&self) -> impl Iterator<Item = &str> {
        self.iter().filter(|(_, export)| export.provider != Provider::Rust).map(|(name, _)| name)
    }

    /// The names that Rust code defines.
    pub fn rust(&self) -> impl Iterator<Item = &str> {
        self.iter().filter(|(_, export)| export.provider == Provider::Rust).map(|(name, _)| name)
    }

    /// Whether a name is in the set.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Number of names.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no name at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

struct Planner<'a> {
    objects: &'a [ObjectFile],
    request: &'a Request,
    /// Who defines a name, in the objects' order. Only looked up, never walked.
    definitions: HashMap<&'a str, Vec<Definition<'a>>>,
    set: ExportSet,
    problems: Vec<Problem>,
    /// Names that a problem of their own was reported for.
    reported: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy)]
struct Definition<'a> {
    object: &'a str,
    symbol: &'a ObjectSymbol,
}

impl<'a> Planner<'a> {
    fn new(objects: &'a [ObjectFile], request: &'a Request) -> Self {
        let mut definitions: HashMap<&str, Vec<Definition<'_>>> = HashMap::new();
        for object in objects {
            for symbol in &object.symbols {
                let definition = Definition { object: &object.label, symbol };
                definitions.entry(&symbol.name).or_default().push(definition);
            }
        }
        let (set, problems, reported) = (ExportSet::default(), Vec::new(), BTreeSet::new());
        Self { objects, request, definitions, set, problems, reported }
    }

    /// A name that is hidden by mistake stays exported under its right one.
    fn check_hidden(&mut self) {
        let request = self.request;
        for name in &request.hide {
            if request.add.contains(name) || request.rust.contains(name) {
                self.report(name, Problem::HiddenAndExported { name: name.clone() });
            } else if self.defining(name).is_none() && !request.dependencies.contains_key(name) {
                let similar = self.similar_to(name);
                self.report(name, Problem::HidesNothing { name: name.clone(), similar });
            }
        }
    }

    /// Takes from the objects what PostgreSQL knows by name: magic, entry points, records and their functions.
    fn select_from_objects(&mut self) {
        let objects = self.objects;
        for symbol in objects.iter().flat_map(|object| &object.symbols) {
            if self.class_of(&symbol.name) != SymbolClass::Other && !self.request.hide.contains(&symbol.name)
            {
                self.take(&symbol.name);
            }
        }
    }

    /// What a name is for, given the records that the objects and the author bring.
    fn class_of(&self, name: &str) -> SymbolClass {
        classify(name.as_bytes(), || {
            let record = finfo_of(name);
            self.defining(&record).is_some()
                || self.request.rust.contains(&record)
                || self.request.dependencies.contains_key(&record)
        })
    }

    /// Adds what the author named.
    fn add_requested(&mut self) {
        let request = self.request;
        for name in &request.rust {
            if self.check_name(name) {
                let export = Export { class: self.class_of(name), provider: Provider::Rust };
                self.set.entries.insert(name.clone(), export);
            }
        }
        for (name, dependency) in &request.dependencies {
            if self.check_name(name) && !request.hide.contains(name) {
                let provider = Provider::Dependency(dependency.clone());
                self.set.entries.insert(name.clone(), Export { class: self.class_of(name), provider });
            }
        }
        for name in &request.add {
            if self.set.contains(name) || !self.check_name(name) {
                continue;
            }
            if self.defining(name).is_some() {
                self.take(name);
            } else {
                let similar = self.similar_to(name);
                self.problems.push(Problem::NotDefined { name: name.clone(), similar });
            }
        }
    }

    /// A record promises a function: one without the other fails at CREATE FUNCTION.
    fn check_finfo_records(&mut self) {
        let records: Vec<(String, String)> = self
            .set
            .iter()
            .filter_map(|(name, export)| match (&export.provider, function_of(name)) {
                (Provider::Object(object), Some(function)) => Some((function.to_owned(), object.clone())),
                _ => None,
            })
            .collect();
        for (function, object) in records {
            if !self.set.contains(&function)
                && !self.request.hide.contains(&function)
                && self.defining(&function).is_none()
            {
                self.problems.push(Problem::FinfoWithoutFunction { function, object });
            }
        }
    }

    /// Each declared function needs itself and its record.
    fn check_declared(&mut self) {
        let request = self.request;
        let mut reported = BTreeSet::new();
        for declaration in &request.declared {
            for missing in [declaration.symbol.clone(), finfo_of(&declaration.symbol)] {
                if self.set.contains(&missing) || !reported.insert(missing.clone()) {
                    continue;
                }
                let is_hidden_by_request = request.hide.contains(&missing);
                self.problems.push(Problem::Declared {
                    declaration: declaration.clone(),
                    missing,
                    is_hidden_by_request,
                });
            }
        }
    }

    fn check_whole(&mut self) {
        if !self.problems.is_empty() {
            return;
        }
        if self.set.is_empty() && !self.objects.is_empty() {
            self.problems.push(Problem::NothingToExport);
        } else if self.request.needs_magic
            && !self.set.is_empty()
            && !self.set.names().any(|name| name.as_bytes() == MAGIC_FUNCTION)
        {
            self.problems.push(Problem::NoMagic);
        }
    }

    /// Puts a defined name into the set, or says why it cannot be exported.
    fn take(&mut self, name: &str) {
        if self.set.contains(name) || !self.check_name(name) {
            return;
        }
        let strong = |definition: &Definition<'_>| !definition.symbol.is_weak;
        let strong: Vec<Definition<'_>> = self.definitions(name).filter(strong).take(2).collect();
        if let [first, second] = strong[..] {
            let objects = [first.object.to_owned(), second.object.to_owned()];
            self.report(name, Problem::Duplicate { name: name.to_owned(), objects });
            return;
        }
        let Some(Definition { object, symbol }) = self.defining(name) else { return };
        let object = object.to_owned();
        if symbol.linkage == Linkage::Hidden {
            self.report(name, Problem::Hidden { name: name.to_owned(), object });
            return;
        }
        let export = Export { class: self.class_of(name), provider: Provider::Object(object) };
        self.set.entries.insert(name.to_owned(), export);
    }

    fn definitions(&self, name: &str) -> impl Iterator<Item = Definition<'a>> + use<'_, 'a> {
        self.definitions.get(name).into_iter().flatten().copied()
    }

    /// The definition that a linker takes: a strong one before a weak one, the first of each.
    fn defining(&self, name: &str) -> Option<Definition<'a>> {
        self.definitions(name).min_by_key(|definition| definition.symbol.is_weak)
    }

    fn check_name(&mut self, name: &str) -> bool {
        let is_plain = is_plain_name(name);
        if !is_plain {
            self.report(name, Problem::UnsafeName { name: name.to_owned() });
        }
        is_plain
    }

    /// Reports a problem of a name, once for each name.
    fn report(&mut self, name: &str, problem: Problem) {
        if self.reported.insert(name.to_owned()) {
            self.problems.push(problem);
        }
    }

    /// A defined name that a typing error away from `name`: equal but for case, or one edit apart.
    fn similar_to(&self, name: &str) -> Option<String> {
        let mut similar: Vec<&str> = self
            .objects
            .iter()
            .flat_map(|object| &object.symbols)
            .map(|symbol| symbol.name.as_str())
            .filter(|other| other.eq_ignore_ascii_case(name) || is_one_edit_apart(other, name))
            .collect();
        similar.sort_unstable();
        similar.first().map(|name| (*name).to_owned())
    }
}

/// The name of a function's record.
fn finfo_of(function: &str) -> String {
    format!("{}{function}", String::from_utf8_lossy(FINFO_PREFIX))
}

/// The function that a record is for; `None` for other names.
fn function_of(record: &str) -> Option<&str> {
    let function = record.as_bytes().strip_prefix(FINFO_PREFIX)?;
    std::str::from_utf8(function).ok().filter(|function| !function.is_empty())
}

/// Whether one insertion, deletion or replacement of a byte makes the names equal.
fn is_one_edit_apart(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let prefix = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (rest_a, rest_b) = (&a[prefix..], &b[prefix..]);
    let suffix = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(x, y)| x == y).count();
    rest_a.len() - suffix <= 1 && rest_b.len() - suffix <= 1
}

#[cfg(test)]
mod tests {
    use super::super::objects::Platform;
    use super::*;

    fn object(label: &str, names: &[&str]) -> ObjectFile {
        let mut symbols: Vec<ObjectSymbol> = names
            .iter()
            .map(|name| match name.strip_prefix('-') {
                Some(name) => (name, Linkage::Hidden),
                None => (*name, Linkage::Exportable),
            })
            .map(|(name, linkage)| ObjectSymbol { name: name.to_owned(), linkage, is_weak: false })
            .collect();
        symbols.sort();
        let platform =
            Platform { is_macho: false, arch: "x86_64", pointer_width: 64, is_little_endian: true };
        ObjectFile { label: label.to_owned(), platform, symbols }
    }

    fn module() -> Request {
        Request { needs_magic: true, ..Request::default() }
    }

    fn set_of(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn declared(symbol: &str) -> DeclaredFunction {
        DeclaredFunction { symbol: symbol.to_owned(), script: "x--1.sql".to_owned(), line: 7 }
    }

    #[test]
    fn magic_entry_points_records_and_their_functions_are_exported_and_helpers_are_not() {
        let objects = [
            object("a.o", &["Pg_magic_func", "_PG_init", "helper", "f", "pg_finfo_f"]),
            object("b.o", &["g", "pg_finfo_g", "_PG_output_plugin_init", "debug"]),
        ];
        let set = ExportSet::plan(&objects, &module()).unwrap();
        let names: Vec<&str> = set.names().collect();
        assert_eq!(
            names,
            ["Pg_magic_func", "_PG_init", "_PG_output_plugin_init", "f", "g", "pg_finfo_f", "pg_finfo_g"]
        );
    }

    #[test]
    fn a_function_may_live_in_another_object_than_its_record() {
        let objects = [object("a.o", &["Pg_magic_func", "pg_finfo_f"]), object("b.o", &["f"])];
        let set = ExportSet::plan(&objects, &module()).unwrap();
        assert!(set.contains("f"));
    }

    #[test]
    fn requested_names_join_and_hidden_names_leave() {
        let objects = [object("a.o", &["Pg_magic_func", "worker_main", "f", "pg_finfo_f"])];
        let request =
            Request { add: set_of(&["worker_main"]), hide: set_of(&["f", "pg_finfo_f"]), ..module() };
        let set = ExportSet::plan(&objects, &request).unwrap();
        assert_eq!(set.names().collect::<Vec<_>>(), ["Pg_magic_func", "worker_main"]);
    }

    #[test]
    fn hiding_what_nothing_defines_or_what_is_exported_is_a_mistake() {
        let objects = [object("a.o", &["Pg_magic_func", "worker_main"])];
        let request = Request {
            add: set_of(&["worker_main"]),
            hide: set_of(&["worker_main", "workermain"]),
            ..module()
        };
        let problems = ExportSet::plan(&objects, &request).unwrap_err();
        let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            texts,
            [
                "worker_main is to be hidden and to be exported; say one of them",
                "workermain is to be hidden, but no compiled object defines it (there is worker_main)"
            ]
        );
    }

    #[test]
    fn a_rust_function_completes_a_record_in_c_without_being_forced() {
        let objects = [object("a.o", &["Pg_magic_func", "pg_finfo_f"])];
        let request = Request { rust: set_of(&["f"]), declared: vec![declared("f")], ..module() };
        let set = ExportSet::plan(&objects, &request).unwrap();
        assert_eq!(set.forced().collect::<Vec<_>>(), ["Pg_magic_func", "pg_finfo_f"]);
        assert_eq!(set.rust().collect::<Vec<_>>(), ["f"]);
    }

    #[test]
    fn contradictions_are_reported_together() {
        let objects = [
            object("a.o", &["Pg_magic_func", "-g", "pg_finfo_g", "pg_finfo_lost", "worker_main"]),
            object("b.o", &["Pg_magic_func"]),
        ];
        let request = Request {
            add: set_of(&["Worker_Main", "a;b"]),
            declared: vec![declared("gone"), declared("gone")],
            ..module()
        };
        let problems = ExportSet::plan(&objects, &request).unwrap_err();
        let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
        let expected = [
            "Pg_magic_func is defined in a.o and again in b.o",
            "g has hidden visibility in a.o",
            "Worker_Main is to be exported, but no compiled object defines it (there is worker_main)",
            "\"a;b\" cannot stand",
            "a.o has PG_FUNCTION_INFO_V1(lost), but no compiled object defines lost",
            "x--1.sql:7 declares the C function gone, which no compiled object defines",
            "x--1.sql:7 declares the C function gone, which has no pg_finfo_gone",
        ];
        for start in expected {
            assert!(texts.iter().any(|text| text.starts_with(start)), "{start} is not in {texts:#?}");
        }
        assert_eq!(texts.len(), expected.len(), "{texts:#?}");
    }

    #[test]
    fn objects_without_anything_for_postgresql_are_refused() {
        let problems = ExportSet::plan(&[object("a.o", &["helper"])], &module()).unwrap_err();
        assert_eq!(problems, [Problem::NothingToExport]);
        let problems = ExportSet::plan(&[object("a.o", &["_PG_init"])], &module()).unwrap_err();
        assert_eq!(problems, [Problem::NoMagic]);
    }

    #[test]
    fn a_part_of_a_module_needs_no_magic() {
        let set = ExportSet::plan(&[object("a.o", &["f", "pg_finfo_f"])], &Request::default()).unwrap();
        assert_eq!(set.len(), 2);
    }
}
