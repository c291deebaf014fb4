//! The part of `pgsym why` that is about symbols: who provides one to whom, and which other definitions were
//! passed over on the way.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::field::{Field, key};
use super::text::{Palette, count, paint, write_labelled};
use super::why::is_server;
use super::why_dyld;
use crate::discover::short_path;
use crate::model::{Binding, Module, NameHash};
use crate::name::{Name, bytes_as_path, path_bytes};
use crate::resolve::{ObjectId, Process};
use crate::tree::Tree;

/// One definition of the symbol, and whom it serves.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SymbolProvider {
    /// The object that defines it; null where nothing does.
    #[serde(flatten)]
    pub path: Field<key::FoundPath>,
    /// The version that it defines; null where it has none.
    #[serde(flatten)]
    pub version: Field<key::Version>,
    /// Who refers to it: the server first, then by path; nobody where a definition is all there is.
    pub users: Vec<SymbolUser>,
    /// Other definitions in the same processes, in the order they were met.
    pub passed_over: Vec<OtherDefinition>,
    /// For a symbol that nothing in the process defines: files of the tree that export it.
    pub exported_by: Vec<Exporter>,
}

/// One reference.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct SymbolUser {
    /// Whether it is of the server's own start.
    #[serde(skip)]
    pub(super) after_start: bool,
    /// The file of the tree whose loading brings the reference, or the server.
    #[serde(flatten)]
    pub module: Field<key::Module>,
    /// The object that refers to the symbol: that file or a library of it.
    #[serde(flatten)]
    pub requested_by: Field<key::RequestedBy>,
    /// The version asked for; null where none is.
    #[serde(flatten)]
    pub version: Field<key::Version>,
    /// Whether its absence is no error.
    pub weak: bool,
}

/// A definition that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct OtherDefinition {
    /// The object.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// Its version; null where it has none.
    #[serde(flatten)]
    pub version: Field<key::Version>,
    /// Why.
    pub reason: &'static str,
}

/// A file that exports the symbol.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Exporter {
    /// The file.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
}

/// What tells answers apart: the definition and those passed over.
pub(super) type Answer = (Field<key::FoundPath>, Field<key::Version>, Vec<OtherDefinition>);

/// The users of each answer.
pub(super) type Answers = BTreeMap<Answer, Vec<SymbolUser>>;

/// Asks every file of a tree, and its server, for a symbol.
pub(super) fn providers(tree: &Tree, name: &Name) -> Vec<SymbolProvider> {
    let mut answers = Answers::new();
    if let (Some(process), Some(server)) = (tree.process(), tree.server())
        && let Some((main, _)) = process.load_order().next()
    {
        let module = server.installation.server.as_path();
        ask(&mut answers, process, &process.closure(main), name, (module, false));
    }
    for file in tree.files().iter().filter(|file| !is_server(tree, file)) {
        let Some(load) = &file.load else { continue };
        let Some(root) = load.root else { continue };
        // What the server had loaded before has asked already.
        let is_new = |id: &ObjectId| tree.process().is_none_or(|process| process.object(*id).is_none());
        let is_own_process = load.process.main().is_some_and(|main| Some(main.id()) == file_id(file));
        let objects: Vec<ObjectId> =
            load.process.closure(root).into_iter().filter(|id| is_own_process || is_new(id)).collect();
        ask(&mut answers, &load.process, &objects, name, (&file.shown, true));
    }
    why_dyld::symbols(tree, name, &mut answers);
    if answers.is_empty() {
        return definitions(tree, name);
    }
    answers
        .into_iter()
        .map(|((path, version, passed_over), mut users)| {
            users.sort();
            users.dedup();
            let exported_by = if path.name().is_none() {
                let exporters = tree.exporters(name.as_bytes());
                exporters.map(|file| Exporter { path: file.shown.as_path().into() }).collect()
            } else {
                Vec::new()
            };
            SymbolProvider { path, version, users, passed_over, exported_by }
        })
        .collect()
}

/// Who defines a symbol that nothing refers to: the files of the tree, the server, and what they load.
fn definitions(tree: &Tree, name: &Name) -> Vec<SymbolProvider> {
    let hashes = NameHash::of(name.as_bytes());
    let mut found: BTreeSet<(PathBuf, Option<Name>)> = BTreeSet::new();
    let mut add = |path: &Path, module: &Module| {
        let symbols = module.symbols.get().into_iter();
        found.extend(symbols.flat_map(|symbols| symbols.lookup(name.as_bytes(), hashes)).map(|symbol| {
            let version = symbol.version().map(|version| version.name.clone());
            (tree.shown(path), version)
        }));
    };
    for file in tree.files() {
        if let Ok(module) = &file.module {
            add(&file.path, module);
        }
    }
    if let Some(server) = tree.server() {
        add(&server.installation.server, &server.module);
    }
    let mut seen = HashSet::new();
    let loads = tree.files().iter().filter_map(|file| file.load.as_ref()).map(|load| &load.process);
    for (_, object) in tree.process().into_iter().chain(loads).flat_map(Process::load_order) {
        if seen.insert(object.id()) {
            add(object.path(), object.module());
        }
    }
    let nobody = |(path, version): (PathBuf, Option<Name>)| SymbolProvider {
        path: Some(path.as_path()).into(),
        version: version.as_ref().into(),
        users: Vec::new(),
        passed_over: Vec::new(),
        exported_by: Vec::new(),
    };
    found.into_iter().map(nobody).collect()
}

fn file_id(file: &crate::tree::TreeFile) -> Option<crate::fs::FileId> {
    file.module.as_ref().ok().map(|module| module.id)
}

fn ask(
    answers: &mut Answers,
    process: &Process,
    objects: &[ObjectId],
    name: &Name,
    (module, after_start): (&Path, bool),
) {
    let hashes = NameHash::of(name.as_bytes());
    for &id in objects {
        let Some(object) = process.object(id) else { continue };
        let Some(symbols) = object.module().symbols.get() else { continue };
        // Binding every reference of an object takes long; a name that it does not have is no reference.
        let has_name = symbols.lookup(name.as_bytes(), hashes).next().is_some()
            || symbols.imports().any(|symbol| symbol.name() == name.as_bytes());
        if !has_name {
            continue;
        }
        let scope = process.scope_of(id);
        for binding in process.bindings(id) {
            let symbol = binding.reference.symbol;
            if symbol.name() != name.as_bytes() {
                continue;
            }
            let definition = binding.definition;
            let path = definition.and_then(|definition| process.object(definition.object));
            let passed = process.passed_over(&scope, &binding).into_iter().filter_map(|passed| {
                let object = process.object(passed.definition.object)?;
                Some(OtherDefinition {
                    path: object.path().into(),
                    version: passed.definition.symbol.version().map(|version| version.name).into(),
                    reason: passed.reason,
                })
            });
            let answer = (
                path.map(crate::resolve::Object::path).into(),
                definition
                    .and_then(|definition| definition.symbol.version())
                    .map(|version| version.name)
                    .into(),
                passed.collect(),
            );
            answers.entry(answer).or_default().push(SymbolUser {
                after_start,
                module: module.into(),
                requested_by: object.path().into(),
                version: symbol.version().map(|version| version.name).into(),
                weak: symbol.binding() == Binding::Weak,
            });
        }
    }
}

impl SymbolProvider {
    pub(super) fn write_text(
        &self,
        name: &Field<key::NameKey>,
        roots: &[PathBuf],
        out: &mut dyn Write,
        palette: &Palette,
    ) -> io::Result<()> {
        let name = paint(palette.heading, name);
        match self.path.name() {
            Some(path) => {
                let version = self.version.name().map(|version| format!(" as {version}")).unwrap_or_default();
                writeln!(out, "{name} is defined by {path}{version}")?;
            }
            None if self.users.iter().all(|user| user.weak) => {
                writeln!(out, "{name} is defined by nothing, and stays zero: the references are weak")?;
            }
            None => writeln!(out, "{name} is {} in the process", paint(palette.error, "NOT DEFINED"))?,
        }
        if self.users.is_empty() {
            writeln!(out, "  no reference here: only dlsym finds it, as the server does for C functions")?;
        } else {
            writeln!(out, "  for {}:", count(self.users.len(), "reference"))?;
        }
        for user in &self.users {
            let module = Name::from(path_bytes(short_path(bytes_as_path(user.module.as_bytes()), roots)));
            let library = bytes_as_path(user.requested_by.as_bytes()).file_name();
            let is_own = bytes_as_path(user.module.as_bytes()).file_name() == library;
            let via = match library {
                Some(library) if !is_own => format!(" → {}", Name::from(library.as_encoded_bytes())),
                _ => String::new(),
            };
            let version = user.version.name().map(|version| format!("  {version}")).unwrap_or_default();
            let weak = if user.weak { "  weak" } else { "" };
            writeln!(out, "    {module}{via}{}", paint(palette.dim, version + weak))?;
        }
        for other in &self.passed_over {
            let version = other.version.name().map(|version| format!(" {version}")).unwrap_or_default();
            let text = format!("{}{version}: {}", other.path, other.reason);
            write_labelled(out, palette, 2, "passed over", &text)?;
        }
        for exporter in &self.exported_by {
            let text = format!("{}, which is not loaded before", exporter.path);
            write_labelled(out, palette, 2, "exported by", &text)?;
        }
        Ok(())
    }
}
