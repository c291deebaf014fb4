//! PGS5xx: what a package should not carry. Most of these rules judge one element of a search path, and an element
//! has one fault at most: the worst, in the order of [`Concern`].

pub(crate) mod build_path_in_search_path;
pub(crate) mod empty_search_path_element;
pub(crate) mod malformed_origin;
pub(crate) mod missing_search_path_directory;
pub(crate) mod relative_search_path;
pub(crate) mod rpath_and_runpath;
pub(crate) mod search_path_leaves_tree;
pub(crate) mod writable_search_path;

use std::path::Path;

use crate::check::{Finding, ModuleCx};
use crate::fs::Metadata;
use crate::model::SearchPathKind;
use crate::name::shown_path;
use crate::resolve::{Meaning, Outcome, Probe, SearchDirectory, SearchElement, Via, has_malformed_token};
use crate::rules::command;
use crate::rules::evidence::listed;
use crate::tree::Role;

/// What is wrong with an element, the worst first.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Concern {
    /// A `$` begins no token: the element is literal text.
    Malformed,
    /// Nothing between two colons.
    Empty,
    /// Not absolute.
    Relative,
    /// Somebody else may put a library there.
    Writable(Danger),
    /// A place where software is built, not installed.
    BuildPath,
    /// It does not exist.
    Missing,
    /// `$ORIGIN` and `..` lead out of what was asked about.
    Outside,
}

/// Who may put a library into a directory, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Danger {
    /// Whether it is everybody, and not only another user.
    is_everybody: bool,
    /// A clause: "/srv may be written by everybody (mode 0777)".
    reason: String,
}

/// The elements of a file with one kind of concern, each text once.
fn concerning<'t>(cx: &ModuleCx<'t>, wanted: impl Fn(&Concern) -> bool) -> Vec<(&'t SearchElement, Concern)> {
    let mut found: Vec<(&SearchElement, Concern)> = Vec::new();
    for element in &cx.file().search_elements {
        if let Some(concern) = concern(cx, element).filter(|concern| wanted(concern))
            && !found.iter().any(|(known, _)| known.text == element.text)
        {
            found.push((element, concern));
        }
    }
    found
}

fn concern(cx: &ModuleCx<'_>, element: &SearchElement) -> Option<Concern> {
    match &element.meaning {
        Meaning::Forgotten => None,
        _ if has_malformed_token(element.text.as_bytes()) => Some(Concern::Malformed),
        Meaning::Empty => Some(Concern::Empty),
        Meaning::Relative(_) => Some(Concern::Relative),
        Meaning::Directory(directory) => {
            if let Some(danger) = danger(cx, directory) {
                Some(Concern::Writable(danger))
            } else if is_build_path(cx, element, directory) {
                Some(Concern::BuildPath)
            } else if !directory.exists {
                Some(Concern::Missing)
            } else {
                leaves_tree(cx, element, directory).then_some(Concern::Outside)
            }
        }
    }
}

/// The overflow user: what a user namespace shows for owners that it does not map. It tells nothing.
const NOBODY: u32 = 65_534;

fn danger(cx: &ModuleCx<'_>, directory: &SearchDirectory) -> Option<Danger> {
    const OTHERS_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    let mine = cx.file().metadata.map(|metadata| metadata.uid);
    let is_foreign = |metadata: &Metadata| {
        metadata.uid != 0 && metadata.uid != NOBODY && mine.is_some_and(|mine| mine != metadata.uid)
    };
    let mut foreign = None;
    for (index, (path, metadata)) in directory.ancestors.iter().enumerate() {
        let path = shown_path(path);
        let mode = metadata.mode;
        // In a sticky directory others can add files, and not replace what is there.
        let holds = index > 0 || !directory.exists;
        if mode & OTHERS_WRITE != 0 && (index == 0 || mode & STICKY == 0) {
            let what = match (index, holds) {
                (0, false) => "everybody may put files into it",
                (0, true) => "everybody may make it",
                _ => "everybody may replace it",
            };
            let reason = format!("{what} ({path} has mode {mode:04o})");
            return Some(Danger { is_everybody: true, reason });
        }
        if is_foreign(metadata) && foreign.is_none() {
            foreign = Some(format!("user {} owns {path}, and not the user who owns this file", metadata.uid));
        }
    }
    foreign.map(|reason| Danger { is_everybody: false, reason })
}

/// Whether an element was written on the machine of a build: by the text, not by where it leads, since a finished
/// package may lie in such a place while it is audited. What starts at `$ORIGIN` moves with its file, wherever that
/// was built; an installation that lies in such a place itself is no build.
fn is_build_path(cx: &ModuleCx<'_>, element: &SearchElement, directory: &SearchDirectory) -> bool {
    const PLACES: [&str; 15] = [
        "/home",
        "/root",
        "/tmp",
        "/var/tmp",
        "/build",
        "/builddir",
        "/builds",
        "/usr/src",
        "/workspace",
        "/github",
        "/__w",
        "/io",
        // Where cibuildwheel mounts the sources.
        "/project",
        "/Users",
        "/var/lib/jenkins",
    ];
    const PARTS: [&str; 5] = ["buildroot", "BUILDROOT", "rpmbuild", "CMakeFiles", ".libs"];
    let text = element.text.as_path();
    let is_place = PLACES.iter().any(|place| text.starts_with(place))
        || text.components().any(|part| PARTS.iter().any(|name| part.as_os_str() == *name))
        || text.ancestors().any(|path| path.ends_with("debian/tmp"));
    let resolved = &*directory.resolved;
    text.is_absolute()
        && is_place
        && cx.tree().holds(resolved) != Some(true)
        && !is_below_installation(cx, resolved)
}

/// Whether a path lies in the prefix of the server.
fn is_below_installation(cx: &ModuleCx<'_>, resolved: &Path) -> bool {
    cx.server().is_some_and(|server| {
        let binary = &server.installation.server;
        let prefix = binary.parent().and_then(Path::parent);
        prefix.is_some_and(|prefix| resolved.starts_with(prefix))
            || resolved.starts_with(&server.installation.pkglibdir)
    })
}

fn leaves_tree(cx: &ModuleCx<'_>, element: &SearchElement, directory: &SearchDirectory) -> bool {
    use bstr::ByteSlice as _;
    let is_by_origin = element.text.as_bytes().find(b"ORIGIN").is_some();
    is_by_origin
        && cx.tree().holds(&directory.resolved) == Some(false)
        && !is_below_installation(cx, &directory.resolved)
        // What the loader searches anyway is part of the system, wherever the tree lies.
        && cx.load().is_none_or(|load| !load.process.env().is_system_directory(&directory.resolved))
}

/// What the loader takes an element without a leading slash from.
fn current_directory(cx: &ModuleCx<'_>) -> &'static str {
    match cx.role() {
        Role::Program => "the directory that the program is started in",
        Role::Module | Role::Library | Role::Other => "the server's current directory, the data directory",
    }
}

/// `.dynamic[7] DT_RUNPATH`.
fn entry(element: &SearchElement) -> String {
    format!(".dynamic[{}] {}", element.entry, element.kind.tag())
}

/// The libraries that the loader looks for in an element when the file is loaded.
fn searched_for(cx: &ModuleCx<'_>, element: &SearchElement) -> Vec<String> {
    edges_at(cx, element, |_| true)
}

/// Those among them that it finds there.
fn found_in(cx: &ModuleCx<'_>, element: &SearchElement) -> Vec<String> {
    edges_at(cx, element, |probe| probe.outcome == Outcome::Found)
}

fn edges_at(cx: &ModuleCx<'_>, element: &SearchElement, wanted: impl Fn(&Probe) -> bool) -> Vec<String> {
    let Some(load) = cx.load() else { return Vec::new() };
    let mut names: Vec<String> = Vec::new();
    for (id, object) in load.process.load_order() {
        for edge in object.edges() {
            let is_met = edge.searched.iter().any(|probe| {
                probe.element.as_ref() == Some(&element.text)
                    && wanted(probe)
                    && match probe.via {
                        Via::Rpath(owner) => {
                            element.kind == SearchPathKind::Rpath && Some(owner) == load.root
                        }
                        Via::Runpath => element.kind == SearchPathKind::Runpath && Some(id) == load.root,
                        _ => false,
                    }
            });
            if is_met {
                names.push(edge.name.to_string());
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

/// Adds the whole list and what is looked for in the element.
fn evidence(cx: &ModuleCx<'_>, element: &SearchElement, finding: Finding) -> Finding {
    let raw =
        cx.module().and_then(|module| module.search_path(element.kind)).map(|path| path.raw.to_string());
    let mut finding = finding;
    if let Some(raw) = raw.filter(|raw| *raw != element.text.to_string()) {
        finding = finding.evidence("the whole path", raw);
    }
    let searched = searched_for(cx, element);
    if searched.is_empty() { finding } else { finding.evidence("searched for", listed(searched)) }
}

/// How to do without an element: the command that leaves it out, and where a library is found by it, the file's own
/// directory in its place.
fn without(cx: &ModuleCx<'_>, element: &SearchElement) -> String {
    let found = found_in(cx, element);
    if found.is_empty() {
        with_another(cx, element, None)
    } else {
        let command = with_another(cx, element, Some(b"$ORIGIN"));
        format!("put {} beside the file, and: {command}", listed(found))
    }
}

/// The command that writes the search path with something else, or nothing, in the place of an element.
fn with_another(cx: &ModuleCx<'_>, element: &SearchElement, another: Option<&[u8]>) -> String {
    let Some(module) = cx.module() else { return String::new() };
    let mut elements: Vec<Vec<u8>> = Vec::new();
    for old in command::search_path_of(module) {
        let new = if element.text.as_bytes() == old { another.map(<[u8]>::to_vec) } else { Some(old) };
        elements.extend(new.filter(|new| !elements.contains(new)));
    }
    command::set_search_path(module, &elements, &command::file_word(cx.path()))
}
