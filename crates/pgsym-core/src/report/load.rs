//! `pgsym load`: would the server load each module, and if not, what would it say and what would cure it.

use std::collections::BTreeSet;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use super::audit::Verdict;
use super::document::Document;
use super::field::{Field, key};
use super::text::{Palette, count, none_taken, paint, write_labelled};
use crate::error::FileErrorKind;
use crate::name::{Name, Shown, path_bytes};
use crate::postgres;
use crate::resolve::{LoadErrorKind, VersionMatch, checks_of};
use crate::tree::{Load, Role, Tree, TreeFile};

/// The answer of `pgsym load`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Loads {
    /// The server that was assumed, in words: "PostgreSQL 15.18 (/usr/lib/postgresql/15/bin/postgres)".
    pub server: String,
    /// The modules, in path order.
    pub modules: Vec<LoadedModule>,
}

/// One module under one server.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LoadedModule {
    /// Where it is.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// The major version of the server.
    pub pg_version: Option<u32>,
    /// Whether it loads.
    pub verdict: Verdict,
    /// The server's own message, word for word, after `ERROR:`; null where there is none.
    pub error: Option<String>,
    /// After `DETAIL:`.
    pub detail: Option<String>,
    /// After `HINT:`.
    pub hint: Option<String>,
    /// Everything that stands in the way, not only what the message names, each with a cure where the tree has one.
    pub causes: Vec<Cause>,
    /// What only running the module decides, and signs of it in the file.
    pub notes: Vec<String>,
}

/// One thing that stands in the way.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Cause {
    /// "missing-library", "bad-library", "missing-version", "undefined-symbol", "magic", "unreadable".
    pub kind: &'static str,
    /// The library, version or symbol.
    pub subject: String,
    /// The object that needs it.
    #[serde(flatten)]
    pub requested_by: Field<key::RequestedBy>,
    /// The modules of the tree that would provide it, were they loaded before.
    pub provided_by: Vec<String>,
}

/// Imports that say that a module hooks into the start of the server, with what follows from them: the linker is
/// content, and `_PG_init` may still refuse.
const START_UP: [(&str, &str); 6] = [
    (
        "process_shared_preload_libraries_in_progress",
        "its code asks whether it is loaded by shared_preload_libraries",
    ),
    (
        "RegisterBackgroundWorker",
        "it registers a background worker, which works from shared_preload_libraries only",
    ),
    (
        "RequestAddinShmemSpace",
        "it asks for shared memory, which is granted during the start of the server only",
    ),
    ("RequestNamedLWLockTranche", "it asks for locks, which are granted during the start of the server only"),
    ("shmem_request_hook", "it asks for shared memory, which is granted during the start of the server only"),
    // The last: sepgsql refuses in a backend (`_PG_init`, contrib/sepgsql/hooks.c), others only ask where they run.
    ("IsUnderPostmaster", "its code asks whether it runs in a backend or in the server's first process"),
];

impl Loads {
    /// The verdict on each module of a tree.
    pub fn new(tree: &Tree) -> Self {
        let modules = tree
            .files()
            .iter()
            .filter(|file| file.role == Role::Module || file.is_named)
            .map(|file| LoadedModule::new(tree, file))
            .collect();
        Self { server: server_words(tree), modules }
    }

    /// Joins the answers under several servers, module by module.
    pub fn joined(answers: Vec<Self>) -> Self {
        let server = answers.iter().map(|answer| answer.server.clone()).collect::<Vec<_>>().join(", ");
        let mut modules: Vec<LoadedModule> = answers.into_iter().flat_map(|answer| answer.modules).collect();
        modules.sort_by(|a, b| (&a.path, a.pg_version).cmp(&(&b.path, b.pg_version)));
        Self { server, modules }
    }

    /// Whether any module fails.
    pub fn has_failure(&self) -> bool {
        self.modules.iter().any(|module| module.verdict == Verdict::Fails)
    }

    /// Whether the question is answered: there is a module, and a verdict on each.
    pub fn is_answered(&self) -> bool {
        !self.modules.is_empty() && self.modules.iter().all(|module| module.verdict != Verdict::Unknown)
    }
}

fn server_words(tree: &Tree) -> String {
    let Some(server) = tree.server() else {
        return match tree.other_servers() {
            [] => "none: each file is its own process".to_owned(),
            others @ [first, ..] => none_taken(others.len(), Name::from(path_bytes(&tree.shown(first)))),
        };
    };
    let version = server.facts.version.as_deref().unwrap_or("of unknown version");
    let path = Name::from(path_bytes(&tree.shown(&server.installation.server)));
    format!("PostgreSQL {version} ({path})")
}

/// Why a file that no process was modelled for is nothing for the server, where one is known.
pub(super) fn not_for_server(tree: &Tree) -> Option<String> {
    let (server, other) = match tree.server()?.module.macho() {
        Some(_) => ("a Mach-O", "an ELF"),
        None => ("an ELF", "a Mach-O"),
    };
    Some(format!("the server is {server} program, and this is {other} file: another server's"))
}

impl LoadedModule {
    fn new(tree: &Tree, file: &TreeFile) -> Self {
        let mut answer = Self {
            path: file.shown.as_path().into(),
            pg_version: tree.pg_major(),
            verdict: Verdict::Unknown,
            error: None,
            detail: None,
            hint: None,
            causes: Vec::new(),
            notes: Vec::new(),
        };
        if !file.dyld.is_empty() {
            super::dyld::answer(tree, file, &mut answer);
            return answer;
        }
        match file.load.as_ref().and_then(|load| load.verdict.as_ref()) {
            Some(verdict) => answer.take(verdict.clone()),
            None => answer.refuse(tree, file),
        }
        if let Some(load) = file.load.as_ref().filter(|_| file.role != Role::Program) {
            if answer.verdict != Verdict::Loads {
                answer.causes = causes(tree, file, load);
            }
            answer.notes.extend(start_up_notes(load));
        }
        if let Some(why) = tree.start_refused().filter(|_| answer.verdict == Verdict::Loads) {
            answer.verdict = Verdict::Unknown;
            answer
                .notes
                .push(format!("the server itself does not start, and would load it if it did: {why}"));
        }
        answer
    }

    /// A file that no process was modelled for: unreadable, for another machine, or without a server.
    fn refuse(&mut self, tree: &Tree, file: &TreeFile) {
        if let Some(process) = tree.process() {
            let expected = tree.server().and_then(|server| server.facts.magic.as_ref());
            return self.take(postgres::load(process, &file.path, expected).0);
        }
        match (&file.module, file.load.as_ref().and_then(|load| load.failure.as_ref())) {
            (Err(error), _) => {
                // A server of any system refuses what is no object file at all.
                if matches!(error.kind, FileErrorKind::NotAnObject | FileErrorKind::TooShort) {
                    self.verdict = Verdict::Fails;
                }
                self.notes.push(error.to_string());
            }
            (Ok(_), Some(failure)) => {
                let env = file.load.as_ref().map(|load| load.process.env());
                match env.and_then(|env| env.why_unknown(failure)) {
                    Some(why) => self.notes.push(why),
                    None => {
                        self.verdict = Verdict::Fails;
                        self.error = Some(failure.message.clone());
                    }
                }
            }
            (Ok(_), None) => self.notes.push(not_for_server(tree).unwrap_or_else(|| {
                "no server is known: what the module imports from it is not checked (--server, --pg-version)"
                    .to_owned()
            })),
        }
    }

    /// Takes over what the server says.
    fn take(&mut self, verdict: postgres::Verdict) {
        match verdict {
            postgres::Verdict::Loads => self.verdict = Verdict::Loads,
            postgres::Verdict::Fails(message) => {
                self.verdict = Verdict::Fails;
                self.error = Some(message.primary);
                self.detail = message.detail;
                self.hint = message.hint;
            }
            postgres::Verdict::Crashes(why) => {
                self.verdict = Verdict::Fails;
                self.notes.push(format!("the server's process ends without a message of its own: {why}"));
            }
            postgres::Verdict::Unknown(why) => self.notes.push(why),
        }
    }
}

/// Everything that stands in the way of a module and what it brings.
fn causes(tree: &Tree, file: &TreeFile, load: &Load) -> Vec<Cause> {
    let (process, Some(root)) = (&load.process, load.root) else { return Vec::new() };
    let mut causes = Vec::new();
    let mut seen: BTreeSet<(&'static str, String)> = BTreeSet::new();
    let mut add = |kind: &'static str, subject: String, requested_by, provided_by: Vec<String>| {
        if seen.insert((kind, subject.clone())) {
            causes.push(Cause { kind, subject, requested_by, provided_by });
        }
    };
    let new: Vec<_> = match tree.process() {
        Some(server) => process.added_since(server).collect(),
        None => process.load_order().collect(),
    };
    for (id, object) in new {
        let by = || object.path().into();
        for edge in object.edges() {
            if let Err(error) = &edge.target
                && edge.kind != crate::model::DependencyKind::Auxiliary
                && !matches!(error.kind, LoadErrorKind::NoSystem | LoadErrorKind::Elsewhere)
            {
                let kind =
                    if error.kind == LoadErrorKind::NotFound { "missing-library" } else { "bad-library" };
                let bringers = tree.files().iter().filter(|other| {
                    other.module.as_ref().is_ok_and(|module| module.soname.as_ref() == Some(&edge.name))
                });
                add(kind, edge.name.to_string(), by(), bringers.map(name_of).collect());
            }
        }
        for check in checks_of(process, id).iter().filter(|check| check.result == VersionMatch::Missing) {
            add("missing-version", check.version.name.to_string(), by(), Vec::new());
        }
        // Without a server, the server's own symbols are missing from every module; without the system of its machine,
        // those of the C library.
        if tree.process().is_some() && process.env().has_system {
            for binding in process.bindings(id).iter().filter(|binding| binding.is_unresolved()) {
                let symbol = binding.reference.symbol;
                let providers = tree.providers(symbol, file).map(name_of).collect();
                add("undefined-symbol", Shown(symbol.name()).to_string(), by(), providers);
            }
        }
    }
    if let Some(postgres::Verdict::Fails(message)) = &load.verdict
        && message.primary.starts_with("incompatible library")
    {
        let object = process.object(root).map(|object| object.path()).into();
        let what = message.detail.clone().unwrap_or_else(|| "missing magic block".to_owned());
        add("magic", what, object, Vec::new());
    }
    causes
}

fn name_of(file: &TreeFile) -> String {
    Name::from(file.path.file_name().unwrap_or_default().as_encoded_bytes()).to_string()
}

/// What the imports of a module say about its start.
fn start_up_notes(load: &Load) -> Vec<String> {
    let module = load.root.and_then(|root| load.process.object(root)).map(|object| object.module());
    let Some(symbols) = module.and_then(|module| module.symbols.get()) else { return Vec::new() };
    // The first of the list that is imported, in one walk over the imports.
    let known = symbols
        .imports()
        .filter_map(|symbol| START_UP.iter().position(|(name, _)| symbol.is_named(name.as_bytes())));
    let first = known.min().and_then(|at| START_UP.get(at));
    let note = |(name, meaning): &(&str, &str)| {
        format!("{name}: {meaning}; whether _PG_init refuses, only running it tells")
    };
    first.map(note).into_iter().collect()
}

impl Document for Loads {
    const COMMAND: &'static str = "load";

    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        writeln!(out, "server  {}", self.server)?;
        let several = self.modules.iter().any(|module| module.pg_version != self.modules[0].pg_version);
        for module in &self.modules {
            let version = match module.pg_version.filter(|_| several) {
                Some(version) => format!("{version:>4}  "),
                None => String::new(),
            };
            let (style, word) = match module.verdict {
                Verdict::Loads => (palette.good, "loads"),
                Verdict::Fails => (palette.error, "FAILS"),
                Verdict::Unknown => (palette.warning, "unknown"),
            };
            writeln!(
                out,
                "{} {version}{}",
                paint(style, format!("{word:<8}")),
                paint(palette.heading, &module.path)
            )?;
            module.write_details(out, palette)?;
        }
        let number = |verdict| self.modules.iter().filter(|module| module.verdict == verdict).count();
        writeln!(
            out,
            "\n{}: {} load, {} fail, {} unknown (up to _PG_init, which only running it decides)",
            count(self.modules.len(), "verdict"),
            number(Verdict::Loads),
            number(Verdict::Fails),
            number(Verdict::Unknown)
        )
    }
}

impl LoadedModule {
    fn write_details(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        for (label, text) in [("ERROR:", &self.error), ("DETAIL:", &self.detail), ("HINT:", &self.hint)] {
            if let Some(text) = text {
                write_labelled(out, palette, 4, label, text)?;
            }
        }
        for cause in &self.causes {
            let mut text = format!("{}, needed by {}", cause.subject, cause.requested_by.base_name());
            if !cause.provided_by.is_empty() {
                text.push_str(&format!(
                    "; provided by {}, which is not loaded yet",
                    cause.provided_by.join(", ")
                ));
            }
            write_labelled(out, palette, 4, cause.kind, &text)?;
        }
        for note in &self.notes {
            write_labelled(out, palette, 4, "note", note)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};

    #[test]
    fn the_first_sign_of_a_start_of_the_server_is_noted() {
        let note = |imports: &[&str]| {
            let server = imports.iter().fold(module(), |server, import| server.export(*import));
            let object = imports.iter().fold(module(), |object, import| object.import(*import));
            // What the server would export, a preloaded module does here.
            let case = Case::new().object("first.so", &server).object("x.so", &object);
            let tree = case.settings(|settings| settings.preload = vec!["first".to_owned()]).tree();
            let loads = Loads::new(&tree);
            let module =
                loads.modules.iter().find(|module| module.path.to_string().ends_with("x.so")).unwrap();
            module.notes.iter().find(|note| note.contains("_PG_init refuses")).cloned().unwrap_or_default()
        };
        // sepgsql asks for nothing else.
        assert!(note(&["IsUnderPostmaster"]).starts_with("IsUnderPostmaster: its code asks"));
        assert!(note(&["IsUnderPostmaster", "RegisterBackgroundWorker"]).starts_with("RegisterBackgroundW"));
        assert_eq!(note(&["palloc"]), "");
    }
}
