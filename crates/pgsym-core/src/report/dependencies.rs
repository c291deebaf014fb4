//! `pgsym tree`: which file satisfies each dependency of a file, in the order the loader opens them, and by
//! which rule.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

use schemars::JsonSchema;
use serde::Serialize;

use super::document::Document;
use super::field::{Field, key};
use super::text::{Palette, pad, pad_to, paint};
use crate::error::FileErrorKind;
use crate::model::DependencyKind;
use crate::name::{Name, bytes_as_path, path_bytes, shown_path};
use crate::resolve::{Edge, ObjectId, Probe, Process, Via};
use crate::tree::{Tree, TreeFile};

/// The answer of `pgsym tree`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Dependencies {
    /// The files that were asked about, in path order.
    pub files: Vec<FileDependencies>,
}

/// One file and what it brings.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileDependencies {
    /// The file.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// Why the file itself cannot be loaded, in the loader's words; null where it can.
    pub error: Option<String>,
    /// What it needs, in the order the loader opens them, each file once; what is missing stands where it was
    /// looked for.
    pub dependencies: Vec<FoundDependency>,
}

/// One library, or one that is missing.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FoundDependency {
    /// The name asked for, tokens expanded.
    #[serde(flatten)]
    pub name: Field<key::NameKey>,
    /// The file; null where there is none.
    #[serde(flatten)]
    pub path: Field<key::FoundPath>,
    /// The first object that asks for it.
    #[serde(flatten)]
    pub requested_by: Field<key::RequestedBy>,
    /// The rule of the loader that led to it: "rpath", "runpath", "library-path", "cache", "default", "path",
    /// "loaded"; of Mach-O files also "rpath-stack" and "system"; null where it is missing.
    pub via: Option<&'static str>,
    /// The search path element that led to it, as it stands in the file.
    #[serde(flatten)]
    pub element: Field<key::Element>,
    /// Who brought it in before, where `via` is "loaded" and it was there before the file was.
    pub loaded_by: Option<String>,
    /// Why it cannot be used, in the loader's words; null where it can.
    pub error: Option<String>,
    /// Whether its absence is ignored (DT_AUXILIARY, LC_LOAD_WEAK_DYLIB).
    pub optional: bool,
    /// Every place that was looked at, in order.
    pub searched: Vec<SearchedPlace>,
}

/// One place that was looked at.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SearchedPlace {
    /// The rule of the loader that led there.
    pub via: &'static str,
    /// The search path element, as it stands in the file.
    #[serde(flatten)]
    pub element: Field<key::Element>,
    /// The candidate, or the directory where none of its files was tried.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// "found", "no such file", "wrong machine (aarch64)", …
    pub outcome: String,
}

impl Dependencies {
    /// The dependencies of every binary of a tree.
    pub fn new(tree: &Tree) -> Self {
        // A link to a directory is no file that could miss anything.
        let is_file = |file: &&TreeFile| {
            file.module.as_ref().err().is_none_or(|error| error.kind != FileErrorKind::LinkedDirectory)
        };
        Self {
            files: tree
                .files()
                .iter()
                .filter(is_file)
                .map(|file| FileDependencies::new(tree, file))
                .collect(),
        }
    }

    /// Whether any dependency is missing or any file cannot be loaded.
    pub fn has_missing(&self) -> bool {
        self.files.iter().any(|file| {
            file.error.is_some()
                || file
                    .dependencies
                    .iter()
                    .any(|dependency| dependency.error.is_some() && !dependency.optional)
        })
    }
}

impl FileDependencies {
    fn new(tree: &Tree, file: &TreeFile) -> Self {
        if let Some(of_dyld) = super::dyld::dependencies(file) {
            return of_dyld;
        }
        let path = file.shown.as_path().into();
        let load = match (&file.load, &file.module) {
            (_, Err(error)) => {
                return Self { path, error: Some(error.to_string()), dependencies: Vec::new() };
            }
            (None, Ok(_)) if file.not_loaded.is_some() => {
                let error = file.not_loaded.as_ref().map(ToString::to_string);
                return Self { path, error, dependencies: Vec::new() };
            }
            (None, Ok(module)) => {
                let error = match tree.process() {
                    Some(process) if !process.env().target.same_machine(module.target) => {
                        format!("it is for {}, the server for {}", module.target, process.env().target)
                    }
                    _ => "nothing loads a file of this kind".to_owned(),
                };
                return Self { path, error: Some(error), dependencies: Vec::new() };
            }
            (Some(load), Ok(_)) => load,
        };
        let Some(root) = load.root else {
            let error = load.failure.as_ref().map(|failure| failure.message.clone());
            return Self { path, error, dependencies: Vec::new() };
        };
        let before = tree.process().filter(|process| process.len() < load.process.len());
        let closure = load.process.closure(root);
        // What cannot be read is not nothing.
        let error = closure.iter().filter_map(|&id| load.process.object(id)).find_map(|object| {
            let error = object.module().dependencies.error()?;
            Some(format!("what {} needs is not known: {error}", shown_path(object.path())))
        });
        Self { path, error, dependencies: in_load_order(&load.process, before, &closure) }
    }
}

/// Each object of a closure but its root, by the edge that asked for it first, and each edge that leads nowhere.
fn in_load_order(process: &Process, before: Option<&Process>, closure: &[ObjectId]) -> Vec<FoundDependency> {
    // Sorted vectors: hashing the few objects of a module took a third of the time that its whole answer takes.
    let mut rank: Vec<(ObjectId, usize)> =
        process.load_order().enumerate().map(|(rank, (id, _))| (id, rank)).collect();
    rank.sort_unstable();
    let rank_of = |id: ObjectId| {
        let at = rank.binary_search_by_key(&id, |&(known, _)| known).ok()?;
        rank.get(at).map(|&(_, rank)| rank)
    };
    let mut seen: BTreeSet<ObjectId> = closure.first().copied().into_iter().collect();
    let mut missing: BTreeSet<(&Name, ObjectId)> = BTreeSet::new();
    let mut found: Vec<(usize, FoundDependency)> = Vec::with_capacity(closure.len());
    // A missing library stands behind what the loader opened before it looked for that.
    let mut last_rank = 0;
    for &requester in closure {
        for edge in process.object(requester).map_or(&[][..], |object| object.edges()) {
            let is_new = match &edge.target {
                Ok(target) => seen.insert(*target),
                Err(_) => missing.insert((&edge.name, requester)),
            };
            if !is_new {
                continue;
            }
            if let Ok(target) = edge.target {
                last_rank = rank_of(target).unwrap_or(last_rank);
            }
            found.push((last_rank, FoundDependency::new(process, before, edge)));
        }
    }
    // With a server, what it had already loaded stands where the file asks for it.
    if before.is_none() {
        found.sort_by_key(|(rank, _)| *rank);
    }
    found.into_iter().map(|(_, dependency)| dependency).collect()
}

impl FoundDependency {
    fn new(process: &Process, before: Option<&Process>, edge: &Edge) -> Self {
        let path_of = |id| process.object(id).map(|object: &crate::resolve::Object| object.path());
        let target = edge.target.as_ref().ok().copied();
        let was_there = |id: ObjectId| before.is_some_and(|before| before.object(id).is_some());
        let loaded_by = target.filter(|&id| edge.via == Some(Via::Loaded) && was_there(id)).and_then(|id| {
            let loader = process.object(id)?.loader()?;
            path_of(loader).map(|path| Name::from(path_bytes(path)).to_string())
        });
        let deciding = edge.searched.last().filter(|_| target.is_some());
        Self {
            name: (&edge.name).into(),
            path: target.and_then(path_of).into(),
            requested_by: path_of(edge.requester).into(),
            via: target.and(edge.via).map(Via::as_str),
            element: deciding.and_then(|probe| probe.element.as_ref()).into(),
            loaded_by,
            error: edge.target.as_ref().err().map(|error| error.message.clone()),
            optional: edge.kind == DependencyKind::Auxiliary,
            searched: edge.searched.iter().map(SearchedPlace::new).collect(),
        }
    }
}

impl SearchedPlace {
    /// One probe of a search trace.
    pub fn new(probe: &Probe) -> Self {
        Self {
            via: probe.via.as_str(),
            element: probe.element.as_ref().into(),
            path: probe.path.as_path().into(),
            outcome: probe.outcome.to_string(),
        }
    }

    /// The rule and its element in words: `runpath $ORIGIN/../deps`.
    pub(super) fn rule(&self) -> String {
        rule_words(self.via, &self.element)
    }
}

/// A rule of the loader in words.
pub(super) fn rule_words(via: &str, element: &Field<key::Element>) -> String {
    let rule = match via {
        "library-path" => "LD_LIBRARY_PATH",
        "cache" => "ld.so.cache",
        "default" => "default directory",
        "path" => "by its path",
        "profile" => "the server's profile",
        "loaded" => "already loaded",
        "rpath-stack" => "LC_RPATH",
        "system" => "the system's",
        other => other,
    };
    match element.name() {
        Some(element) if via != "default" => format!("{rule} {element}"),
        _ => rule.to_owned(),
    }
}

/// Columns that the tree of names may take before the directory starts.
const NAME_COLUMNS: usize = 38;

impl Document for Dependencies {
    const COMMAND: &'static str = "tree";

    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        for (index, file) in self.files.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            writeln!(out, "{}", paint(palette.heading, &file.path))?;
            if let Some(error) = &file.error {
                writeln!(out, "└─ {}: {error}", paint(palette.error, "NOT LOADED"))?;
            }
            if file.dependencies.is_empty() && file.error.is_none() {
                writeln!(out, "   {}", paint(palette.dim, "needs no library"))?;
            }
            write_branches(file, out, palette)?;
        }
        Ok(())
    }
}

/// A line that is still to be written: a dependency and where it hangs.
struct Branch<'d> {
    dependency: &'d FoundDependency,
    /// The lines of the branches above it.
    stem: Rc<str>,
    is_last: bool,
}

impl Branch<'_> {
    /// What stands before the lines below it.
    fn below(&self) -> String {
        format!("{}{}", self.stem, if self.is_last { "   " } else { "│  " })
    }
}

/// Writes each dependency below the first object that asks for it. A chain of libraries may be long, so the walk
/// keeps its own stack.
fn write_branches(file: &FileDependencies, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
    let mut children: BTreeMap<&[u8], Vec<&FoundDependency>> = BTreeMap::new();
    for dependency in &file.dependencies {
        children.entry(dependency.requested_by.as_bytes()).or_default().push(dependency);
    }
    // The file's own entry answers to the path that it was opened by, which may be longer than the one given.
    let paths: BTreeSet<&[u8]> = file.dependencies.iter().map(|other| other.path.as_bytes()).collect();
    let roots = file
        .dependencies
        .iter()
        .map(|dependency| dependency.requested_by.as_bytes())
        .filter(|path| !paths.contains(path));
    let mut pending: Vec<Branch<'_>> = Vec::new();
    for root in roots {
        // Each once: what it asks for is taken out.
        push(&mut pending, children.remove(root).unwrap_or_default(), "");
    }
    let mut line = String::new();
    while let Some(branch) = pending.pop() {
        line.clear();
        write_branch(&branch, &mut line, out, palette)?;
        // As above, and each path is asked for by whoever is written first.
        let own = branch.dependency.path.name().and_then(|path| children.remove(path.as_bytes()));
        if let Some(own) = own {
            push(&mut pending, own, &branch.below());
        }
    }
    Ok(())
}

/// Queues the branches of one object, last to first, so that the first is written next.
fn push<'d>(pending: &mut Vec<Branch<'d>>, list: Vec<&'d FoundDependency>, stem: &str) {
    let (count, stem) = (list.len(), Rc::from(stem));
    for (index, dependency) in list.into_iter().enumerate().rev() {
        pending.push(Branch { dependency, stem: Rc::clone(&stem), is_last: index + 1 == count });
    }
}

/// Writes the lines of one branch, the first of them through `line`, which is empty.
fn write_branch(
    branch: &Branch<'_>,
    line: &mut String,
    out: &mut dyn Write,
    palette: &Palette,
) -> io::Result<()> {
    let Branch { dependency, stem, is_last } = branch;
    line.push_str(stem);
    line.push_str(if *is_last { "└─ " } else { "├─ " });
    line.push_str(&dependency.name.to_string());
    // What is longer than its column, as install names are, gets a line of its own.
    if line.chars().count() >= NAME_COLUMNS {
        writeln!(out, "{line}")?;
        *line = branch.below();
    }
    pad_to(line, 0, NAME_COLUMNS);
    if let Some(error) = &dependency.error {
        return write_missing(branch, error, line, out, palette);
    }
    let path = bytes_as_path(dependency.path.as_bytes());
    let directory = path.parent().unwrap_or(Path::new(""));
    let reason = match (&dependency.loaded_by, dependency.via) {
        (Some(by), _) => {
            let by = by.rsplit('/').next().unwrap_or(by);
            format!("already loaded by {by}")
        }
        (None, Some(via)) => rule_words(via, &dependency.element),
        (None, None) => String::new(),
    };
    // The system's library is no file, and its path is its name.
    if dependency.via != Some("system") || dependency.path.as_bytes() != dependency.name.as_bytes() {
        let is_named_so = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes() == base_name(dependency.name.as_bytes()));
        let start = line.len();
        line.push_str(&shown_path(if is_named_so { directory } else { path }).to_string());
        pad_to(line, start, 29);
    }
    writeln!(out, "{line}{}", paint(palette.dim, reason))
}

/// Writes what stands in the place of a file that is missing, behind the name in `line`.
fn write_missing(
    branch: &Branch<'_>,
    error: &str,
    line: &str,
    out: &mut dyn Write,
    palette: &Palette,
) -> io::Result<()> {
    let (dependency, below) = (branch.dependency, branch.below());
    let what = if dependency.searched.iter().any(|place| place.outcome.starts_with("refused")) {
        "NOT LOADED"
    } else {
        "NOT FOUND"
    };
    let note = if dependency.optional { " (optional)" } else { "" };
    writeln!(out, "{line}{}{note}", paint(palette.error, what))?;
    if dependency.searched.is_empty() {
        return writeln!(out, "{below}  {error}");
    }
    let width = dependency.searched.iter().map(|place| place.rule().chars().count()).max().unwrap_or(0);
    for place in &dependency.searched {
        let rule = pad(&place.rule(), width + 1);
        // A cache without the name has no candidate to show.
        let candidate = if place.via == "cache" && place.outcome == "no entry" {
            String::new()
        } else {
            format!("{} — ", place.path)
        };
        writeln!(out, "{below}  {}{candidate}{}", paint(palette.dim, rule), place.outcome)?;
    }
    Ok(())
}

fn base_name(name: &[u8]) -> &[u8] {
    name.rsplit(|&byte| byte == b'/').next().unwrap_or(name)
}
