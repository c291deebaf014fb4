//! What the Mach-O rules share: walks over what dyld did, and sentences. A universal file is loaded once for each
//! architecture; what is wrong with several slices is told of the first.

use std::collections::BTreeSet;
use std::path::Path;

use crate::check::{Finding, ModuleCx, Severity};
use crate::model::{Dependency, MachO, Module, without_underscore};
use crate::name::Shown;
use crate::postgres::Verdict;
use crate::resolve::dyld::{DyldEdge, DyldProcess, DyldVia, Image};
use crate::tree::{DyldLoad, Role};

/// A library that an image of a file's process lacks, with the image.
pub(crate) struct MissingLibrary<'t> {
    pub(crate) load: &'t DyldLoad,
    pub(crate) process: &'t DyldProcess,
    pub(crate) image: &'t Image,
    pub(crate) edge: &'t DyldEdge,
}

/// The libraries that a file and what it brings lack, each once, told of the first architecture; those that lack in the server
/// itself are the server's. A library that another file of the tree brings in is judged there, where its stack of
/// LC_RPATHs is the real one.
pub(crate) fn missing_libraries<'t>(cx: &ModuleCx<'t>) -> Vec<MissingLibrary<'t>> {
    let mut found = Vec::new();
    if cx.role() == Role::Library && is_brought_by_others(cx) {
        return found;
    }
    for load in cx.dyld() {
        let Some(process) = &load.process else { continue };
        for (_, image) in process.images().skip(load.before) {
            for edge in image.edges().iter().filter(|edge| edge.is_missing()) {
                let is_told = found.iter().any(|known: &MissingLibrary<'_>| {
                    known.edge.name == edge.name && known.image.path() == image.path()
                });
                if !is_told {
                    found.push(MissingLibrary { load, process, image, edge });
                }
            }
        }
    }
    found
}

/// Whether another file's process has the file among its images.
fn is_brought_by_others(cx: &ModuleCx<'_>) -> bool {
    let Some(id) = cx.module().map(|module| module.id) else { return false };
    cx.tree().files().iter().flat_map(|file| &file.dyld).any(|load| {
        let images = load.process.iter().flat_map(|process| process.images().skip(load.before));
        images.filter(|(image, _)| Some(*image) != load.root).any(|(_, image)| image.id() == Some(id))
    })
}

/// `load command 12, LC_LOAD_DYLIB @rpath/libpq.5.dylib`.
pub(crate) fn library_entry(macho: &MachO, dependency: &Dependency) -> String {
    let kind = macho.commands.get(dependency.entry as usize);
    let kind = kind.and_then(|command| command.kind.name()).unwrap_or("LC_LOAD_DYLIB");
    format!("load command {}, {kind} {}", dependency.entry, dependency.name)
}

/// The entry behind an edge.
pub(crate) fn entry_of(image: &Image, edge: &DyldEdge) -> String {
    let dependency = image.module().and_then(|module| module.needed().get(edge.dependency));
    match (image.macho(), dependency) {
        (Some(macho), Some(dependency)) => library_entry(macho, dependency),
        _ => edge.name.to_string(),
    }
}

/// Adds every candidate of a search with the LC_RPATH that it comes from.
pub(crate) fn with_search(mut finding: Finding, process: &DyldProcess, edge: &DyldEdge) -> Finding {
    let mut told = BTreeSet::new();
    // dyld looks at an absolute path twice, without and with the shared cache; its message has both.
    for probe in edge.searched.iter().filter(|probe| told.insert((&probe.path, probe.outcome.to_string()))) {
        let rule = match probe.via {
            DyldVia::Rpath { owner, entry } => {
                let owner = process.image(owner);
                let path = owner.and_then(|owner| owner.module()?.search_paths.get(entry as usize));
                let of = owner.map_or_else(String::new, |owner| base(owner.path()));
                format!("LC_RPATH {} of {of}", path.map_or_else(String::new, |path| path.raw.to_string()))
            }
            DyldVia::LoaderPath => "@loader_path".to_owned(),
            DyldVia::ExecutablePath => "@executable_path".to_owned(),
            DyldVia::LibraryPath => "DYLD_LIBRARY_PATH".to_owned(),
            DyldVia::Fallback => "fallback for images built before the macOS 14 SDK".to_owned(),
            DyldVia::Loaded | DyldVia::Path | DyldVia::System => "path".to_owned(),
        };
        finding = finding.evidence("searched", format!("{rule}: {}: {}", shown(&probe.path), probe.outcome));
    }
    finding
}

/// Adds what the server says, where this load's failure is what it says.
pub(crate) fn with_verdict(finding: Finding, load: &DyldLoad, failure: Option<&str>) -> Finding {
    match &load.verdict {
        Some(Verdict::Fails(message)) if failure.is_none() || load.failure.as_deref() == failure => {
            finding.evidence("the server", message)
        }
        _ => finding,
    }
}

/// How bad it is that a file does not load: an error for what a server loads.
pub(crate) fn severity(cx: &ModuleCx<'_>) -> Severity {
    match cx.role() {
        Role::Module => Severity::Error,
        Role::Library | Role::Program | Role::Other => Severity::Warning,
    }
}

/// What follows for the file.
pub(crate) fn consequence(cx: &ModuleCx<'_>) -> &'static str {
    match cx.role() {
        Role::Module => "the server cannot load the module",
        Role::Program => "the program does not start",
        Role::Library | Role::Other => "whatever needs this library cannot be loaded",
    }
}

/// A file's last component, as it can be shown.
pub(crate) fn base(path: &Path) -> String {
    path.file_name().map_or_else(|| shown(path), |name| Shown(name.as_encoded_bytes()).to_string())
}

/// A path as it can be shown.
pub(crate) fn shown(path: &Path) -> String {
    Shown(crate::name::path_bytes(path)).to_string()
}

/// A symbol as people write it.
pub(crate) fn symbol(name: &crate::name::Name) -> String {
    Shown(without_underscore(name.as_bytes())).to_string()
}

/// Keeps the first finding of each subject.
#[derive(Default)]
pub(crate) struct Once(BTreeSet<String>);

impl Once {
    /// Whether a subject is new.
    pub(crate) fn is_new(&mut self, subject: &impl ToString) -> bool {
        self.0.insert(subject.to_string())
    }
}

/// The slices of a tree's file, or the file itself where it has only one.
pub(crate) fn slices<'t>(cx: &ModuleCx<'t>) -> Vec<&'t Module> {
    let file = cx.file();
    if file.slices.is_empty() {
        return cx.module().map(|module| &**module).into_iter().collect();
    }
    file.slices.iter().map(|slice| &**slice).collect()
}
