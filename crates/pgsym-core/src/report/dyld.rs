//! What dyld did, in the terms of the reports: a tree's file that is Mach-O answers each question by its loads into
//! the server's processes, one for each architecture.

use std::collections::HashSet;

use super::audit::Verdict;
use super::dependencies::{FileDependencies, FoundDependency, SearchedPlace};
use super::load::{Cause, LoadedModule, not_for_server};
use crate::model::{DependencyKind, Ordinal, without_underscore};
use crate::name::Name;
use crate::postgres;
use crate::resolve::dyld::{DyldEdge, DyldProbe, DyldProcess, DyldVia, Image, Provider};
use crate::tree::{DyldLoad, Tree, TreeFile};

/// The load that a report shows of a file: that of the slice which the tree shows, or the first.
pub(super) fn shown_load(file: &TreeFile) -> Option<&DyldLoad> {
    let arch = file.module.as_ref().ok()?.macho()?.slice.arch;
    file.dyld.iter().find(|load| load.arch == arch).or(file.dyld.first())
}

/// The dependencies of a Mach-O file, in the order in which dyld opens them; none of another file.
pub(super) fn dependencies(file: &TreeFile) -> Option<FileDependencies> {
    let load = shown_load(file)?;
    let path = file.shown.as_path().into();
    let (Some(process), Some(root)) = (&load.process, load.root) else {
        return Some(FileDependencies { path, error: load.failure.clone(), dependencies: Vec::new() });
    };
    let mut seen = HashSet::from([root]);
    let mut rows: Vec<(usize, FoundDependency)> = Vec::new();
    let mut last = 0;
    for requester in process.closure(root) {
        let Some(image) = process.image(requester) else { continue };
        for edge in image.edges() {
            if edge.target.is_some_and(|target| !seen.insert(target)) {
                continue;
            }
            // A missing library stands behind what was opened before it was looked for.
            last = edge.target.map_or(last, |target| target.index());
            rows.push((last, found(process, load, image, edge)));
        }
    }
    if !load.in_server {
        rows.sort_by_key(|(rank, _)| *rank);
    }
    let dependencies = rows.into_iter().map(|(_, row)| row).collect();
    Some(FileDependencies { path, error: None, dependencies })
}

fn found(process: &DyldProcess, load: &DyldLoad, requester: &Image, edge: &DyldEdge) -> FoundDependency {
    let target = edge.target.and_then(|target| process.image(target));
    let was_there = edge.target.is_some_and(|target| target.index() < load.before);
    let loader = target.filter(|_| was_there && edge.via == Some(DyldVia::Loaded));
    let loader = loader.and_then(|target| process.image(target.loader()?));
    let deciding = edge.searched.last().filter(|_| target.is_some());
    let is_optional = matches!(edge.kind, DependencyKind::Weak | DependencyKind::Lazy);
    let error = edge.failure.clone().or_else(|| {
        // What is weak and missing says nothing, and neither does what dyld passes over.
        (edge.target.is_none()).then(|| format!("{} is not loaded", edge.name))
    });
    FoundDependency {
        name: (&edge.name).into(),
        path: target.map(Image::path).into(),
        requested_by: Some(requester.path()).into(),
        via: target.and(edge.via).map(DyldVia::as_str),
        element: deciding.and_then(|probe| element(process, probe)).as_ref().into(),
        loaded_by: loader.map(|loader| Name::from(crate::name::path_bytes(loader.path())).to_string()),
        error,
        optional: is_optional,
        searched: edge.searched.iter().map(|probe| searched(process, probe)).collect(),
    }
}

/// The LC_RPATH that a candidate comes from.
pub(super) fn element(process: &DyldProcess, probe: &DyldProbe) -> Option<Name> {
    let DyldVia::Rpath { owner, entry } = probe.via else { return None };
    Some(process.image(owner)?.module()?.search_paths.get(entry as usize)?.raw.clone())
}

pub(super) fn searched(process: &DyldProcess, probe: &DyldProbe) -> SearchedPlace {
    SearchedPlace {
        via: probe.via.as_str(),
        element: element(process, probe).as_ref().into(),
        path: probe.path.as_path().into(),
        outcome: probe.outcome.to_string(),
    }
}

/// Fills in what `pgsym load` says of a Mach-O file.
pub(super) fn answer(tree: &Tree, file: &TreeFile, answer: &mut LoadedModule) {
    let Some(load) = file.deciding_load() else { return };
    match (&load.verdict, &load.failure) {
        (Some(postgres::Verdict::Loads), _) => answer.verdict = Verdict::Loads,
        (Some(postgres::Verdict::Fails(message)), _) => {
            answer.verdict = Verdict::Fails;
            answer.error = Some(message.primary.clone());
            answer.detail.clone_from(&message.detail);
            answer.hint.clone_from(&message.hint);
        }
        (Some(postgres::Verdict::Unknown(why) | postgres::Verdict::Crashes(why)), _) => {
            answer.notes.push(why.clone());
        }
        (None, Some(failure)) => {
            answer.verdict = Verdict::Fails;
            answer.error = Some(failure.clone());
        }
        (None, None) => answer.notes.push(not_for_server(tree).unwrap_or_else(|| {
            "no server is known: what the module imports from it is not checked (--server)".to_owned()
        })),
    }
    if file.dyld.len() > 1 && answer.verdict == Verdict::Fails {
        answer.notes.push(format!("this is what the {} server says", load.arch));
    }
    answer.causes = causes(load);
}

/// Everything that stands in the way.
fn causes(load: &DyldLoad) -> Vec<Cause> {
    let Some(process) = &load.process else { return Vec::new() };
    let mut causes = Vec::new();
    for (id, image) in process.images().skip(load.before) {
        let cause = |kind, subject| Cause {
            kind,
            subject,
            requested_by: Some(image.path()).into(),
            provided_by: Vec::new(),
        };
        let missing = image.edges().iter().filter(|edge| edge.is_missing());
        causes.extend(missing.map(|edge| cause("missing-library", edge.name.to_string())));
        for binding in process.bindings(id) {
            // Alone, an image has no server to bind to.
            let needs_server = matches!(binding.import.from, Ordinal::Executable | Ordinal::Flat);
            let is_missing = match binding.provider {
                Provider::Missing(expected) => expected.is_some() || needs_server,
                Provider::BadOrdinal(_) => true,
                Provider::Image(_) | Provider::System(_) | Provider::Unlisted(_) | Provider::Null => false,
            };
            if is_missing && (load.in_server || !needs_server) {
                let name = Name::from(without_underscore(binding.import.name.as_bytes()));
                causes.push(cause("undefined-symbol", name.to_string()));
            }
        }
    }
    causes
}
