//! The search of musl's loader: `load_library` and `path_open` of ldso/dynlink.c, where they differ from glibc. RPATH
//! and RUNPATH are one list, inherited from everybody on the way; LD_LIBRARY_PATH comes first; there is no cache;
//! whatever file opens first is the library.

use std::path::{Path, PathBuf};

use object::elf;

use super::glibc::{Directory, Hit};
use super::process::{Object, ObjectId, Process};
use super::store::{OpenFailure, Opened};
use super::trace::{LoadError, LoadErrorKind, Outcome, Probe, Refusal, Via};
use crate::model::{Module, Target};
use crate::name::{Name, path_bytes, path_from_bytes};

/// Names that are musl itself, whatever file they would lead to.
const RESERVED: [&str; 7] = ["c.", "pthread.", "rt.", "m.", "dl.", "util.", "xnet."];

/// Searches a name; the message of a failure is only the system's sentence.
pub(crate) fn search(
    process: &Process,
    requester: Option<ObjectId>,
    name: &[u8],
) -> (Result<Hit, LoadError>, Vec<Probe>) {
    let mut probes = Vec::new();
    if name.contains(&b'/') {
        let path = path_from_bytes(name.to_vec());
        let result = match candidate(process, Via::Path, None, path.clone(), &mut probes) {
            Step::Hit => Ok(Hit { path, via: Via::Path }),
            Step::TryOn(last) => Err(failure(LoadErrorKind::NotFound, last)),
            Step::Stop(message) => Err(failure(LoadErrorKind::Refused, &message)),
        };
        return (result, probes);
    }
    // The message of a failed search ends with the last error number.
    let mut last = NO_SUCH_FILE;
    let library_path = [(Via::LibraryPath, process.library_path())].into_iter();
    let chain = requester
        .into_iter()
        .flat_map(|id| process.loaders(id))
        .map(|(id, object)| (Via::Rpath(id), object.rpath()));
    for (via, directories) in library_path.chain(chain) {
        match list(process, via, directories, name, &mut probes, &mut last) {
            Ok(Some(hit)) => return (Ok(hit), probes),
            Ok(None) => {}
            Err(error) => return (Err(error), probes),
        }
    }
    let system: Vec<Directory> = process
        .env()
        .system_directories
        .iter()
        .map(|path| Directory { element: Name::from(path_bytes(path)), prefix: path_bytes(path).to_vec() })
        .collect();
    let result = match list(process, Via::Default, &system, name, &mut probes, &mut last) {
        Ok(Some(hit)) => Ok(hit),
        Ok(None) => Err(failure(process.env().nowhere(), last)),
        Err(error) => Err(error),
    };
    (result, probes)
}

/// How one candidate ended.
enum Step {
    Hit,
    /// With the text of the error number.
    TryOn(&'static str),
    Stop(String),
}

const NO_SUCH_FILE: &str = "No such file or directory";

fn list(
    process: &Process,
    via: Via,
    directories: &[Directory],
    name: &[u8],
    probes: &mut Vec<Probe>,
    last: &mut &'static str,
) -> Result<Option<Hit>, LoadError> {
    for directory in directories {
        // `path_open` writes "%.*s/%s": a trailing slash of the element stays.
        let mut path = directory.prefix.clone();
        path.push(b'/');
        path.extend_from_slice(name);
        let path = path_from_bytes(path);
        match candidate(process, via, Some(&directory.element), path.clone(), probes) {
            Step::Hit => return Ok(Some(Hit { path, via })),
            Step::TryOn(error) => *last = error,
            Step::Stop(message) => return Err(failure(LoadErrorKind::Refused, &message)),
        }
    }
    Ok(None)
}

fn candidate(
    process: &Process,
    via: Via,
    element: Option<&Name>,
    path: PathBuf,
    probes: &mut Vec<Probe>,
) -> Step {
    let env = process.env();
    let mut step = Step::TryOn(NO_SUCH_FILE);
    let outcome = match env.absolute(&path).map(|absolute| process.store().open(&absolute)).as_deref() {
        None => Outcome::UnknownDirectory,
        Some(Opened::Failed(OpenFailure::Missing)) => Outcome::Missing,
        Some(Opened::Failed(OpenFailure::NotADirectory)) => {
            step = Step::TryOn("Not a directory");
            Outcome::Missing
        }
        Some(Opened::Failed(OpenFailure::Denied)) => {
            step = Step::TryOn("Permission denied");
            Outcome::Denied
        }
        Some(Opened::Failed(OpenFailure::Unreadable(refusal))) => {
            // It opens, so it is the library; reading it as one fails.
            step = Step::Stop(refusal.os.clone().unwrap_or_else(|| EXEC_FORMAT.to_owned()));
            Outcome::Refused(refusal.clone())
        }
        // ENAMETOOLONG is tried on, any other number inhibits the search: "fd = -2".
        Some(Opened::Failed(OpenFailure::Other(text))) => {
            let text = strerror(text);
            step = Step::Stop(text.to_owned());
            Outcome::Refused(Refusal::new(text))
        }
        Some(Opened::File(file)) => {
            let verdict = match &file.first_bytes {
                Err(_) => Outcome::Refused(Refusal::new(EXEC_FORMAT)),
                Ok(first) => first.musl_verdict(env.target),
            };
            step = match &verdict {
                Outcome::Refused(refusal) => Step::Stop(refusal.message.clone()),
                _ => Step::Hit,
            };
            verdict
        }
    };
    probes.push(Probe { via, element: element.cloned(), path, outcome });
    step
}

/// What `map_library` refuses of a file whose header is good: one without PT_DYNAMIC, or with its address 0.
pub(crate) fn refuse_to_map(object: &Module) -> Option<Refusal> {
    let elf_file = object.elf()?;
    let dynamic = elf_file.segments.iter().rev().find(|segment| segment.kind == elf::PT_DYNAMIC.0);
    dynamic.is_none_or(|segment| segment.address == 0).then(|| Refusal::new(EXEC_FORMAT))
}

/// musl's own words for the error numbers of `open` whose text differs from glibc's (src/errno/__strerror.h).
fn strerror(glibc: &str) -> &str {
    match glibc {
        "Too many levels of symbolic links" => "Symbolic link loop",
        "Too many open files" => "No file descriptors available",
        "Input/output error" => "I/O error",
        other => other,
    }
}

const EXEC_FORMAT: &str = "Exec format error";

fn failure(kind: LoadErrorKind, os: &str) -> LoadError {
    LoadError { message: os.to_owned(), kind, requester: None }
}

/// The whole sentence: for a `dlopen` without, for a dependency with the requester.
pub(crate) fn not_loaded(process: &Process, requester: Option<ObjectId>, name: &[u8], os: &str) -> String {
    let name = Name::from(name);
    match requester.and_then(|id| process.object(id)) {
        Some(object) => {
            let by = Name::from(path_bytes(object.path()));
            format!("Error loading shared library {name}: {os} (needed by {by})")
        }
        None => format!("Error loading shared library {name}: {os}"),
    }
}

/// Splits a path list: separators are `:` and newline, empty elements do not exist.
pub(crate) fn split(raw: &[u8]) -> Vec<Directory> {
    raw.split(|byte| matches!(byte, b':' | b'\n'))
        .filter(|element| !element.is_empty())
        .map(|element| Directory { element: Name::from(element), prefix: element.to_vec() })
        .collect()
}

/// The one search path of an object (`fixup_rpath`): `$ORIGIN` and `${ORIGIN}` are replaced wherever they stand,
/// and any other `$` makes the whole list void.
pub(crate) fn rpath(object: &Object, raw: Option<&Name>) -> Vec<Directory> {
    let Some(raw) = raw else { return Vec::new() };
    let origin: Option<&[u8]> = object.origin();
    let mut expanded = Vec::new();
    let mut rest = raw.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'$' {
            expanded.push(byte);
            rest = tail;
            continue;
        }
        let after = tail.strip_prefix(b"ORIGIN").or_else(|| tail.strip_prefix(b"{ORIGIN}"));
        let (Some(after), Some(origin)) = (after, origin) else { return Vec::new() };
        expanded.extend_from_slice(origin);
        rest = after;
    }
    split(&expanded)
}

/// What `$ORIGIN` stands for: the path as it was opened up to its last slash, so relative where the path was.
pub(crate) fn origin(path: &Path) -> Vec<u8> {
    let bytes = path_bytes(path);
    match bytes.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => bytes[..slash].to_vec(),
        None => b".".to_vec(),
    }
}

/// Objects match by the slash-less name that they were first searched by, never by soname.
pub(crate) fn match_loaded<'p>(
    mut objects: impl Iterator<Item = (ObjectId, &'p Object)>,
    interpreter: Option<(ObjectId, &Object)>,
    name: &[u8],
) -> Option<ObjectId> {
    let is_reserved = name
        .strip_prefix(b"lib")
        .is_some_and(|rest| RESERVED.iter().any(|reserved| rest.starts_with(reserved.as_bytes())));
    let is_interpreter_path = interpreter.is_some_and(|(_, object)| path_bytes(object.path()) == name);
    if is_reserved || is_interpreter_path {
        return interpreter.map(|(id, _)| id);
    }
    if name.contains(&b'/') {
        return None;
    }
    // A short name exists only where a search gave it: a path never counts.
    objects.find(|(_, object)| object.answers_to(name)).map(|(id, _)| id)
}

/// Where musl's loader usually stands.
pub(crate) fn interpreter(target: Target) -> PathBuf {
    Path::new("/lib").join(format!("ld-musl-{}.so.1", super::environment::musl_arch(target)))
}
