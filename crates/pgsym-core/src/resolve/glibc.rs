//! The search of glibc's loader for one name: `_dl_map_object` and what it calls (elf/dl-load.c), rule by rule
//! and in its order. What is found here is then entered into the process by `process.rs`.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use object::elf;

use super::environment::{Libc, LoaderEnv};
use super::process::{Object, ObjectId, Process};
use super::store::{OpenFailure, Opened, Place};
use super::token::{Expanded, Tokens, expand};
use super::trace::{LoadError, LoadErrorKind, Outcome, Probe, Refusal, Via};
use crate::limits;
use crate::model::{Class, SearchPathKind, Segment};
use crate::name::{Name, bytes_as_path, path_bytes, path_from_bytes};
use crate::parse::elf::memory::PAGE;

/// One directory of a search list, as `fillin_rpath` leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directory {
    /// The element as it stands in the file or environment.
    pub(crate) element: Name,
    /// The expanded directory with one trailing slash; empty for the current directory.
    pub(crate) prefix: Vec<u8>,
}

/// A file that a search ended at.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    /// The path as the loader writes it, `l_name`; relative where the element was.
    pub(crate) path: PathBuf,
    /// By which rule.
    pub(crate) via: Via,
}

/// The state of one search.
pub(crate) struct Search<'p> {
    process: &'p Process,
    name: &'p [u8],
    pub(crate) probes: Vec<Probe>,
    /// A candidate of the other word size was met, which changes the final message.
    other_class: Option<Class>,
    /// The text of `errno` after the last attempt: what the final message ends with.
    last_error: Cow<'static, str>,
}

/// How one list of directories, or one candidate, ended.
enum Step {
    Hit(PathBuf),
    TryOn,
    /// The loader signals an error: nothing further is tried.
    Stop(PathBuf, Refusal),
    /// The rest of this list is given up, the next list is tried.
    GiveUpList,
}

const NO_SUCH_FILE: &str = "No such file or directory";

impl<'p> Search<'p> {
    /// Searches `name` (tokens expanded) on behalf of `requester`; none for the program itself.
    pub(crate) fn run(
        process: &'p Process,
        requester: Option<ObjectId>,
        name: &'p [u8],
    ) -> (Result<Hit, LoadError>, Vec<Probe>) {
        let mut search = Self {
            process,
            name,
            probes: Vec::new(),
            other_class: None,
            last_error: Cow::Borrowed(NO_SUCH_FILE),
        };
        let result = if name.contains(&b'/') { search.exact(requester) } else { search.lists(requester) };
        (result, search.probes)
    }

    /// A name with a slash is the path. `_dl_map_object` expands tokens in it on behalf of whoever asks; a needed name comes
    /// expanded already, so this serves `dlopen("$ORIGIN/x.so")`. Messages keep the name as it was given.
    fn exact(&mut self, requester: Option<ObjectId>) -> Result<Hit, LoadError> {
        let tokens = self.process.tokens(requester);
        let Expanded::Text(path) = expand(self.name, tokens) else {
            return Err(self.not_found());
        };
        match self.try_candidate(Via::Path, None, path_from_bytes(path.into_owned())) {
            Step::Hit(path) => Ok(Hit { path, via: Via::Path }),
            Step::Stop(path, refusal) => Err(refused(&path, &refusal)),
            Step::TryOn | Step::GiveUpList => Err(self.not_found()),
        }
    }

    fn lists(&mut self, requester: Option<ObjectId>) -> Result<Hit, LoadError> {
        let env = self.process.env();
        let object = requester.and_then(|id| self.process.object(id));
        let has_runpath =
            object.is_some_and(|object| object.module().search_path(SearchPathKind::Runpath).is_some());
        if has_runpath {
            self.note_ignored_rpaths(requester);
        } else {
            for (owner, directories) in self.process.rpath_chain(requester) {
                if let Some(hit) = self.list(Via::Rpath(owner), directories)? {
                    return Ok(hit);
                }
            }
        }
        if let Some(hit) = self.list(Via::LibraryPath, self.process.library_path())? {
            return Ok(hit);
        }
        if let Some(object) = object
            && let Some(hit) = self.list(Via::Runpath, object.runpath())?
        {
            return Ok(hit);
        }
        // DF_1_NODEFLIB of the requester, or of the program where there is no requester.
        let asking = object.or_else(|| self.process.main());
        let no_default = asking.is_some_and(|object| {
            object.module().elf().is_some_and(|elf_file| elf_file.flags_1 & elf::DF_1_NODEFLIB.0 != 0)
        });
        if let Some(hit) = self.cache(env, no_default)? {
            return Ok(hit);
        }
        if no_default {
            self.skip(Via::Default, "DF_1_NODEFLIB keeps this object from the default directories");
        } else {
            let default: Vec<Directory> =
                env.system_directories.iter().map(|path| Directory::system(path)).collect();
            if let Some(hit) = self.list(Via::Default, &default)? {
                return Ok(hit);
            }
        }
        let kind = env.nowhere();
        Err(LoadError { kind, ..self.not_found() })
    }

    /// Tries each directory of a list (`open_path`).
    fn list(&mut self, via: Via, directories: &[Directory]) -> Result<Option<Hit>, LoadError> {
        for directory in directories {
            match self.directory(via, directory) {
                Step::Hit(path) => return Ok(Some(Hit { path, via })),
                Step::TryOn => {}
                Step::Stop(path, refusal) => return Err(refused(&path, &refusal)),
                Step::GiveUpList => return Ok(None),
            }
        }
        Ok(None)
    }

    fn directory(&mut self, via: Via, directory: &Directory) -> Step {
        let env = self.process.env();
        let store = self.process.store();
        let shown = || path_from_bytes(trim_slash(&directory.prefix).to_vec());
        let Some(absolute) = env.absolute(bytes_as_path(&directory.prefix)) else {
            self.push(via, Some(&directory.element), shown(), Outcome::UnknownDirectory);
            return Step::TryOn;
        };
        let place = store.place(&absolute);
        if place != Place::Directory {
            self.push(via, Some(&directory.element), shown(), Outcome::NoDirectory);
            // `fillin_rpath` takes a relative element for existing, so `open_path` meets ENOTDIR and gives up the list, where it
            // would have found out that an absolute one is no directory.
            let is_tried = !directory.prefix.starts_with(b"/");
            return match place {
                Place::File if is_tried => self.not_a_directory(),
                _ => self.missing(),
            };
        }
        let mut last = Step::TryOn;
        for subdirectory in env.subdirectories.iter().map(Some).chain([None]) {
            let mut path = directory.prefix.clone();
            if let Some(subdirectory) = subdirectory {
                path.extend_from_slice(subdirectory.as_bytes());
                path.push(b'/');
                // A subdirectory that does not exist, as nearly all, is not worth a line of the trace.
                if !env.absolute(bytes_as_path(&path)).is_some_and(|path| store.is_directory(&path)) {
                    continue;
                }
            }
            path.extend_from_slice(self.name);
            match self.try_candidate(via, Some(&directory.element), path_from_bytes(path)) {
                // `open_path` looks at the error number of the last candidate only.
                failed @ (Step::TryOn | Step::GiveUpList) => last = failed,
                done => return done,
            }
        }
        last
    }

    /// Opens and verifies one candidate (`open_verify`).
    fn try_candidate(&mut self, via: Via, element: Option<&Name>, path: PathBuf) -> Step {
        let env = self.process.env();
        let Some(absolute) = env.absolute(&path) else {
            self.push(via, element, path, Outcome::UnknownDirectory);
            return Step::TryOn;
        };
        let opened = self.process.store().open(&absolute);
        let (outcome, step) = match &*opened {
            Opened::Failed(OpenFailure::Missing) => (Outcome::Missing, self.missing()),
            Opened::Failed(OpenFailure::NotADirectory) => (Outcome::Missing, self.not_a_directory()),
            Opened::Failed(OpenFailure::Denied) => {
                self.last_error = Cow::Borrowed("Permission denied");
                (Outcome::Denied, Step::TryOn)
            }
            Opened::Failed(OpenFailure::Other(text)) => {
                self.last_error = Cow::Owned(text.clone());
                let refusal =
                    Refusal { message: "cannot open shared object file".to_owned(), os: Some(text.clone()) };
                (Outcome::Refused(refusal), Step::GiveUpList)
            }
            Opened::Failed(OpenFailure::Unreadable(refusal)) => {
                (Outcome::Refused(refusal.clone()), Step::Stop(path.clone(), refusal.clone()))
            }
            Opened::File(file) => {
                let verdict = match &file.first_bytes {
                    Err(refusal) => Outcome::Refused(refusal.clone()),
                    Ok(first) => first.glibc_verdict(env),
                };
                if let Outcome::OtherClass(class) = verdict {
                    self.other_class = Some(class);
                }
                let step = match &verdict {
                    Outcome::Found => Step::Hit(path.clone()),
                    Outcome::Refused(refusal) => Step::Stop(path.clone(), refusal.clone()),
                    // It leaves with errno set to ENOENT.
                    _ => self.missing(),
                };
                (verdict, step)
            }
        };
        self.push(via, element, path, outcome);
        step
    }

    /// ENOENT: the search goes on.
    fn missing(&mut self) -> Step {
        self.last_error = Cow::Borrowed(NO_SUCH_FILE);
        Step::TryOn
    }

    /// ENOTDIR. glibc's change to treat it as ENOENT came with a test of 2023 (elf/tst-non-directory-path), after 2.37; 2.36
    /// was seen to stop.
    fn not_a_directory(&mut self) -> Step {
        self.last_error = Cow::Borrowed("Not a directory");
        if self.process.env().libc.is_glibc_since(2, 38) { Step::TryOn } else { Step::GiveUpList }
    }

    /// One answer of `ld.so.cache`; if it does not open, the search goes on.
    fn cache(&mut self, env: &LoaderEnv, no_default: bool) -> Result<Option<Hit>, LoadError> {
        let Some(cache) = env.cache.get() else {
            self.skip(
                Via::Cache,
                match env.cache.error() {
                    Some(_) => "ld.so.cache cannot be read",
                    None => "there is no ld.so.cache",
                },
            );
            return Ok(None);
        };
        let Some(path) = cache.lookup(&Name::from(self.name), &env.hwcaps) else {
            self.push(Via::Cache, None, PathBuf::from(super::cache::LD_SO_CACHE), Outcome::NoEntry);
            return Ok(None);
        };
        if no_default
            && env.system_directories.iter().any(|system| path_bytes(path).starts_with(path_bytes(system)))
        {
            self.skip(
                Via::Cache,
                "DF_1_NODEFLIB keeps this object from cache entries in default directories",
            );
            return Ok(None);
        }
        match self.try_candidate(Via::Cache, None, path.to_owned()) {
            Step::Hit(path) => Ok(Some(Hit { path, via: Via::Cache })),
            Step::Stop(path, refusal) => Err(refused(&path, &refusal)),
            Step::TryOn | Step::GiveUpList => Ok(None),
        }
    }

    /// Names in the trace the RPATHs that would have helped an object without a RUNPATH of its own.
    fn note_ignored_rpaths(&mut self, requester: Option<ObjectId>) {
        if self.process.rpath_chain(requester).next().is_some() {
            self.skip(
                Via::Runpath,
                "the requester's DT_RUNPATH shuts out every DT_RPATH, inherited ones too",
            );
        }
    }

    fn skip(&mut self, via: Via, reason: &'static str) {
        self.push(via, None, PathBuf::new(), Outcome::Skipped(reason));
    }

    fn push(&mut self, via: Via, element: Option<&Name>, path: PathBuf, outcome: Outcome) {
        self.probes.push(Probe { via, element: element.cloned(), path, outcome });
    }

    fn not_found(&self) -> LoadError {
        let name = Name::from(self.name);
        let message = match self.other_class {
            Some(Class::Bits32) => format!("{name}: wrong ELF class: ELFCLASS32"),
            Some(Class::Bits64) => format!("{name}: wrong ELF class: ELFCLASS64"),
            None => format!("{name}: cannot open shared object file: {}", self.last_error),
        };
        LoadError { message, kind: LoadErrorKind::NotFound, requester: None }
    }
}

fn refused(path: &Path, refusal: &Refusal) -> LoadError {
    let path = Name::from(path_bytes(path));
    LoadError { message: format!("{path}: {refusal}"), kind: LoadErrorKind::Refused, requester: None }
}

fn trim_slash(prefix: &[u8]) -> &[u8] {
    match prefix {
        [] => b".",
        [b'/'] => prefix,
        [directory @ .., b'/'] => directory,
        _ => prefix,
    }
}

impl Directory {
    fn system(path: &Path) -> Self {
        let mut prefix = path_bytes(path).to_vec();
        prefix.push(b'/');
        Self { element: Name::from(path_bytes(path)), prefix }
    }
}

/// Splits and expands a search path (`fillin_rpath`): empty elements mean the current directory, elements that
/// become empty by expansion are dropped, duplicates too.
pub(crate) fn split_search_path(raw: &[u8], separators: &[u8], tokens: Tokens<'_>) -> Vec<Directory> {
    let mut directories: Vec<Directory> = Vec::new();
    for element in raw.split(|byte| separators.contains(byte)).take(limits::SEARCH_PATH_ELEMENTS) {
        let prefix = if element.is_empty() {
            Vec::new()
        } else {
            match expand(element, tokens) {
                Expanded::Discarded => continue,
                Expanded::Text(text) if text.is_empty() => continue,
                Expanded::Text(text) => with_one_slash(text.into_owned()),
            }
        };
        if !directories.iter().any(|known| known.prefix == prefix) {
            directories.push(Directory { element: Name::from(element), prefix });
        }
    }
    directories
}

/// Trailing slashes trimmed to one; `/` stays as it is.
fn with_one_slash(mut text: Vec<u8>) -> Vec<u8> {
    while text.len() > 1 && text.last() == Some(&b'/') {
        text.pop();
    }
    if text.last() != Some(&b'/') {
        text.push(b'/');
    }
    text
}

/// Whether an object of the process answers to a name (`_dl_name_match_p` and the DT_SONAME test of
/// `_dl_map_object`). A match by soname adds the name to the object.
pub(crate) fn match_loaded<'p>(
    mut objects: impl Iterator<Item = (ObjectId, &'p Object)>,
    name: &[u8],
) -> Option<ObjectId> {
    objects
        .find(|(_, object)| {
            object.answers_to(name)
                || object.module().soname.as_ref().is_some_and(|soname| soname.as_bytes() == name)
        })
        .map(|(id, _)| id)
}

/// How the loader comes to map a file: the mode bits of `_dl_map_object_from_fd` that change what it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenMode {
    /// As a dependency.
    Dependency,
    /// By `dlopen` (`__RTLD_DLOPEN`).
    Dlopen,
    /// As the file named on the loader's own command line (`__RTLD_OPENEXEC`), which may be a program.
    Listed,
}

/// Why glibc does not survive an object whose `.dynamic` lies in a page that a later, read-only PT_LOAD covers: it writes
/// there. It does not rebase entries of an object at its own address (ET_EXEC), nor since 2.35 those of a PT_DYNAMIC without
/// PF_W (`dl_relocate_ld`), nor ever on MIPS and RISC-V (DL_RO_DYN_SECTION).
pub(crate) fn read_only_dynamic(
    object: &crate::model::Module,
    env: &LoaderEnv,
    is_program: bool,
) -> Option<String> {
    let elf_file = object.elf()?;
    let entries = elf_file.read_only_entries;
    let never = matches!(object.target.machine, elf::EM_MIPS | elf::EM_MIPS_RS3_LE | elf::EM_RISCV);
    if env.libc == Libc::Musl || never {
        return None;
    }
    let header = elf_file.segments.iter().rfind(|segment| segment.kind == elf::PT_DYNAMIC.0)?;
    let rebases = object.kind != crate::model::ObjectKind::Executable
        && (header.flags & elf::PF_W.0 != 0 || !env.libc.is_glibc_since(2, 35));
    let address = entries.rebased.filter(|_| rebases).or(entries.debug.filter(|_| is_program))?;
    Some(format!(
        "the loader writes to .dynamic at address {address:#x}, in a page that a read-only PT_LOAD covers: SIGSEGV"
    ))
}

/// What `_dl_map_segments` (elf/dl-map-segments.h) says of PT_LOADs that are out of order: where the last ends before the
/// first begins, the length of the whole is no length; and where the first reaches beyond the start of the last one and
/// there are pages between any two, the loader has the words of another fault.
fn unmappable(segments: &[Segment]) -> Option<&'static str> {
    let start = |segment: &Segment| segment.address / PAGE;
    let end = |segment: &Segment| segment.address.saturating_add(segment.file_size).div_ceil(PAGE);
    let loads: Vec<&Segment> = segments.iter().filter(|segment| segment.kind == elf::PT_LOAD.0).collect();
    let (first, last) = (loads.first()?, loads.last()?);
    if last.address.saturating_add(last.memory_size) < first.address {
        return Some("failed to map segment from shared object");
    }
    let has_holes = loads.windows(2).any(|pair| end(pair[0]) != start(pair[1]));
    (has_holes && start(last) < end(first)).then_some("ELF load command address/offset not page-aligned")
}

/// What mapping a file refuses after its first bytes are accepted, in the order of `_dl_map_object_from_fd`.
pub(crate) fn refuse_to_map(object: &crate::model::Module, mode: OpenMode) -> Option<Refusal> {
    let elf_file = object.elf()?;
    let mut loads = elf_file.segments.iter().filter(|segment| segment.kind == elf::PT_LOAD.0).peekable();
    let has_loads = loads.peek().is_some();
    if loads.any(|segment| segment.address.wrapping_sub(segment.offset) % PAGE != 0) {
        return Some(Refusal::new("ELF load command address/offset not page-aligned"));
    }
    if !has_loads {
        return Some(Refusal::new("object file has no loadable segments"));
    }
    if let Some(words) = unmappable(&elf_file.segments) {
        return Some(Refusal::new(words));
    }
    let is_executable = object.kind == crate::model::ObjectKind::Executable;
    if is_executable && mode != OpenMode::Listed {
        return Some(Refusal::new("cannot dynamically load executable"));
    }
    // A separate debug file keeps the header and has no bytes for it.
    let has_dynamic =
        elf_file.segments.iter().any(|segment| segment.kind == elf::PT_DYNAMIC.0 && segment.file_size != 0);
    if !has_dynamic && !is_executable {
        return Some(Refusal::new("object file has no dynamic section"));
    }
    if elf_file.flags_1 & elf::DF_1_NOOPEN.0 != 0 && mode == OpenMode::Dlopen {
        return Some(Refusal::new("shared object cannot be dlopen()ed"));
    }
    if elf_file.flags_1 & elf::DF_1_PIE.0 != 0 && mode != OpenMode::Listed {
        return Some(Refusal::new("cannot dynamically load position-independent executable"));
    }
    None
}
