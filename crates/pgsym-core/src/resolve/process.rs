//! One process as its loader sees it: the program and its libraries in load order, then each `dlopen`. Libraries
//! load breadth first, and a name that any object of the process answers to is never searched again, which
//! is why the order of modules matters.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::environment::{Libc, LoaderEnv};
use super::glibc::{
    Directory, Hit, OpenMode, Search, match_loaded, read_only_dynamic, refuse_to_map, split_search_path,
};
use super::musl;
use super::scope::{GlobalScope, Scope};
use super::search_list::SearchList;
use super::settled::Settled;
use super::store::{FileStore, Opened};
use super::token::{Expanded, Tokens, expand};
use super::trace::{Edge, LoadError, LoadErrorKind, Outcome, Probe, Via};
use super::versions;
use crate::fs::FileId;
use crate::limits;
use crate::model::{DependencyKind, Module, SearchPathKind};
use crate::name::{Name, Shown, path_bytes, shown_path};

/// An object of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ObjectId(u32);

impl ObjectId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One file mapped into a process.
#[derive(Debug, Clone)]
pub struct Object {
    path: PathBuf,
    id: FileId,
    module: Arc<Module>,
    /// The names it answers to beside its path (`l_libname`).
    names: Vec<Name>,
    loader: Option<ObjectId>,
    rpath: Vec<Directory>,
    runpath: Vec<Directory>,
    origin: Option<Vec<u8>>,
    /// One per dependency, once they were looked for.
    edges: Option<Arc<[Edge]>>,
    /// How long the global scope was when the object was relocated.
    scope: usize,
}

impl Object {
    /// The path that it was opened by (`l_name`), symbolic links as they were.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its file.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// What it says.
    pub fn module(&self) -> &Arc<Module> {
        &self.module
    }

    /// Who brought it in; the program for a `dlopen`ed object, nobody for the program.
    pub fn loader(&self) -> Option<ObjectId> {
        self.loader
    }

    /// What became of each of its dependencies, in file order.
    pub fn edges(&self) -> &[Edge] {
        self.edges.as_deref().unwrap_or_default()
    }

    pub(crate) fn runpath(&self) -> &[Directory] {
        &self.runpath
    }

    pub(crate) fn rpath(&self) -> &[Directory] {
        &self.rpath
    }

    pub(crate) fn origin(&self) -> Option<&[u8]> {
        self.origin.as_deref()
    }

    /// Whether its path or one of the names it was requested by is this one.
    pub(crate) fn answers_to(&self, name: &[u8]) -> bool {
        path_bytes(&self.path) == name || self.names.iter().any(|known| known.as_bytes() == name)
    }
}

/// How the first object of a process comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MainObject {
    /// A program that the kernel starts: `$ORIGIN` is its resolved directory.
    Program,
    /// Any object given to `ld.so --list`: `$ORIGIN` is the directory of the path given.
    Listed,
}

/// The objects of one process.
#[derive(Clone)]
pub struct Process {
    store: Arc<FileStore>,
    env: Arc<LoaderEnv>,
    objects: Vec<Arc<Object>>,
    /// The order in which the loader lists them: the interpreter stands where something needed it.
    order: Vec<ObjectId>,
    interpreter: Option<ObjectId>,
    /// The objects that symbols are looked up in, in order.
    global: GlobalScope,
    library_path: Vec<Directory>,
    /// First failure since the start of the process or of the current `dlopen`.
    failure: Option<LoadError>,
    /// Whether objects come in by `dlopen`, at whatever depth, and not at the start.
    is_dlopen: bool,
    /// How many dependencies its objects have together.
    edges: usize,
}

/// The end of one `dlopen`.
pub struct Attempt {
    /// The process with the new objects in it; with a failure, what was mapped until then and, for the
    /// sake of the report, what could be found of the rest.
    pub process: Process,
    /// The opened object.
    pub root: Option<ObjectId>,
    /// How the file itself was looked for.
    pub searched: Vec<Probe>,
    /// The first failure: what `dlerror` tells.
    pub failure: Option<LoadError>,
}

impl Process {
    /// Starts a process: the program, its interpreter, and its libraries breadth first. A library that is missing is
    /// left out and reported by [`failure`](Self::failure), as `ld.so --list` does.
    pub fn start(
        store: Arc<FileStore>,
        env: Arc<LoaderEnv>,
        path: &Path,
        kind: MainObject,
    ) -> Result<Self, LoadError> {
        let mut process = Self {
            store,
            env,
            objects: Vec::new(),
            order: Vec::new(),
            interpreter: None,
            global: GlobalScope::default(),
            library_path: Vec::new(),
            failure: None,
            is_dlopen: false,
            edges: 0,
        };
        let (opened_by, mapping) = match kind {
            // musl calls a program as its caller did; both find its `$ORIGIN` through /proc/self/exe.
            MainObject::Program if process.env.libc == Libc::Musl => (path.to_owned(), Mapping::Program),
            MainObject::Program => (process.resolved(path), Mapping::Program),
            MainObject::Listed => (path.to_owned(), Mapping::Listed),
        };
        let main = process.map_file(None, path_bytes(&opened_by), opened_by.clone(), mapping)?;
        process.order.push(main);
        process.map_interpreter(main);
        if let Some(raw) = process.env.library_path.as_ref().filter(|raw| !raw.is_empty()) {
            let tokens = process.tokens(Some(main));
            process.library_path = match process.env.libc {
                Libc::Glibc(..) => split_search_path(raw.as_bytes(), b":;", tokens),
                Libc::Musl => musl::split(raw.as_bytes()),
            };
        }
        process.load_dependencies(main);
        process.global = GlobalScope::started_with(process.closure(main));
        process.note_scope(0);
        Ok(process)
    }

    /// What `dlopen(path, RTLD_NOW | RTLD_GLOBAL)`, called from the program, would do. The process itself stays
    /// as it is: adopt [`Attempt::process`] where there was no failure.
    pub fn dlopen(&self, path: &Path) -> Attempt {
        let mut process = self.clone();
        process.failure = None;
        let new_from = process.objects.len();
        process.is_dlopen = true;
        let (target, _, searched) =
            process.request(process.order.first().copied(), path_bytes(path), Mapping::Dlopen);
        let root = match target {
            Ok(root) => {
                process.failure = process.failure.take().or_else(|| process.stack_failure(&[root]));
                process.load_dependencies(root);
                process.extend_global_scope(root, new_from);
                let closure = process.closure(root);
                process.failure = process
                    .failure
                    .take()
                    .or_else(|| process.stack_failure(&closure))
                    .or_else(|| versions::check(&process, &closure, new_from))
                    .or_else(|| process.isa_failure(root, new_from))
                    .or_else(|| process.relocation_failure(root, new_from))
                    .or_else(|| process.constructor_failure(root, new_from));
                Some(root)
            }
            Err(error) => {
                process.failure = Some(error);
                None
            }
        };
        let failure = process.failure.clone();
        Attempt { process, root, searched, failure }
    }

    /// The first failure of the start, in the loader's words.
    pub fn failure(&self) -> Option<&LoadError> {
        self.failure.as_ref()
    }

    /// What the start of a program ends at: a library that is missing or refused, then the versions of all
    /// (`dl_main`, elf/rtld.c). Symbols are not looked up.
    pub(crate) fn start_failure(&self) -> Option<LoadError> {
        let main = *self.order.first()?;
        self.failure.clone().or_else(|| versions::check(self, &self.closure(main), 0))
    }

    /// The objects in load order.
    pub fn load_order(&self) -> impl Iterator<Item = (ObjectId, &Object)> {
        self.order.iter().filter_map(|&id| Some((id, self.object(id)?)))
    }

    /// How many objects are loaded.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// How many objects and dependencies it has beyond those of an earlier state.
    pub(crate) fn weight_since(&self, earlier: Option<&Self>) -> usize {
        let weight = |process: &Self| process.objects.len() + process.edges;
        weight(self).saturating_sub(earlier.map_or(0, weight))
    }

    /// Whether nothing is loaded; never true of a started process.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// One object.
    pub fn object(&self, id: ObjectId) -> Option<&Object> {
        self.objects.get(id.index()).map(|object| &**object)
    }

    /// The program.
    pub fn main(&self) -> Option<&Object> {
        self.objects.first().map(|object| &**object)
    }

    /// The loader itself, which is mapped before the first library.
    pub fn interpreter(&self) -> Option<ObjectId> {
        self.interpreter
    }

    /// The path of the loader itself.
    pub fn interpreter_path(&self) -> Option<&Path> {
        self.interpreter.and_then(|id| self.object(id)).map(Object::path)
    }

    /// The environment that it runs in.
    pub fn env(&self) -> &LoaderEnv {
        &self.env
    }

    /// The files that it opens.
    pub fn store(&self) -> &FileStore {
        &self.store
    }

    /// The object loaded from a file.
    pub fn find_file(&self, id: FileId) -> Option<ObjectId> {
        self.order.iter().copied().find(|&object| self.object(object).is_some_and(|object| object.id == id))
    }

    /// The objects that this process has and an earlier state of it had not, in load order.
    pub fn added_since<'p>(
        &'p self,
        earlier: &Self,
    ) -> impl Iterator<Item = (ObjectId, &'p Object)> + use<'p> {
        let known = earlier.objects.len();
        self.load_order().filter(move |(id, _)| id.index() >= known)
    }

    /// Where a name would be found if no object of the process answered to it: what the search of `requester`
    /// leads to by itself.
    pub fn search_afresh(&self, requester: ObjectId, name: &Name) -> (Option<FileId>, Vec<Probe>) {
        let (found, probes) = match self.env.libc {
            Libc::Glibc(..) => Search::run(self, Some(requester), name.as_bytes()),
            Libc::Musl => musl::search(self, Some(requester), name.as_bytes()),
        };
        let file = found.ok().and_then(|hit| match &*self.store.open(&self.env.absolute(&hit.path)?) {
            Opened::File(file) => Some(file.metadata.id),
            Opened::Failed(_) => None,
        });
        (file, probes)
    }

    /// An object and everything it brings, breadth first, each once: the order in which `dlsym` on its handle
    /// searches.
    pub fn closure(&self, root: ObjectId) -> Vec<ObjectId> {
        let mut list = SearchList::of(root);
        while let Some(id) = list.next() {
            list.add(id, self.object(id).map_or(&[][..], Object::edges));
        }
        list.objects
    }

    /// The chain of objects from `id` to the program: who brought it in.
    pub fn loaders(&self, id: ObjectId) -> impl Iterator<Item = (ObjectId, &Object)> {
        let mut next = Some(id);
        std::iter::from_fn(move || {
            let id = next?;
            let object = self.object(id)?;
            // A loader is always older than what it loads, so the chain ends.
            next = object.loader;
            Some((id, object))
        })
    }

    /// The scope that an object was relocated in.
    pub(crate) fn global_scope(&self, id: ObjectId) -> &[ObjectId] {
        self.global.until(self.object(id).map_or(0, |object| object.scope))
    }

    /// What the program itself brings: it is there before anything is opened.
    pub(crate) fn started(&self) -> &[ObjectId] {
        self.global.started()
    }

    /// Whether one object was relocated by an earlier `dlopen` than another, or at the start.
    pub(super) fn is_relocated_before(&self, earlier: ObjectId, later: ObjectId) -> bool {
        let scope = |id| self.object(id).map_or(0, |object| object.scope);
        scope(earlier) < scope(later)
    }

    /// The scope that an object was relocated in, behind the object itself where DT_SYMBOLIC puts it first, ready to look names up in.
    pub(super) fn scope(&self, id: ObjectId, own: Option<ObjectId>) -> Scope<'_> {
        Scope::new(self, &self.global, own, self.object(id).map_or(0, |object| object.scope))
    }

    /// What is known of the references of the files that this process and its earlier and later states relocate.
    pub(super) fn settled(&self) -> &Settled {
        self.global.settled()
    }

    /// Appends what `root` brings to the global scope (`add_to_global_update`, elf/dl-open.c). glibc does so after
    /// relocating, with the new objects found in the local scope that follows the global one: the same order.
    fn extend_global_scope(&mut self, root: ObjectId, new_from: usize) {
        self.global.extend(self.closure(root));
        self.note_scope(new_from);
    }

    /// Notes how long the scope is when the objects from `new_from` on are relocated.
    fn note_scope(&mut self, new_from: usize) {
        let end = self.global.len();
        for index in new_from..self.objects.len() {
            if let Some(object) = self.object_mut(ObjectId(index as u32)) {
                object.scope = end;
            }
        }
    }

    /// glibc refuses since 2.41 to make the stack executable for what a `dlopen` maps (`_dl_map_object_from_fd`).
    fn stack_failure(&self, mapped: &[ObjectId]) -> Option<LoadError> {
        let wants = |object: &Object| object.module.wants_executable_stack();
        if !self.env.libc.is_glibc_since(2, 41) || self.main().is_some_and(wants) {
            return None;
        }
        let started = self.started();
        let object = mapped.iter().filter(|id| !started.contains(id)).find_map(|&id| {
            let object = self.object(id)?;
            wants(object).then_some(object)
        })?;
        // `lose` names what was asked for.
        let name = object.names.first().cloned().unwrap_or_else(|| Name::from(path_bytes(&object.path)));
        Some(LoadError {
            message: format!(
                "{name}: cannot enable executable stack as shared object requires: Invalid argument"
            ),
            kind: LoadErrorKind::Refused,
            requester: object.loader,
        })
    }

    /// What a search for one of an object's dependencies ends at if nothing in the process answers to the name yet.
    pub fn search_alone(&self, requester: ObjectId, name: &Name) -> (Result<PathBuf, LoadError>, Vec<Probe>) {
        let (found, probes) = match self.env.libc {
            Libc::Glibc(..) => Search::run(self, Some(requester), name.as_bytes()),
            Libc::Musl => musl::search(self, Some(requester), name.as_bytes()),
        };
        (found.map(|hit| hit.path), probes)
    }

    pub(crate) fn library_path(&self) -> &[Directory] {
        &self.library_path
    }

    /// The DT_RPATH lists that serve a requester: its own, its loaders', and the program's last; none of an
    /// object that has a DT_RUNPATH.
    pub(crate) fn rpath_chain(
        &self,
        requester: Option<ObjectId>,
    ) -> impl Iterator<Item = (ObjectId, &[Directory])> {
        let main = self.order.first().copied();
        let start = requester.or(main);
        let chain: Vec<ObjectId> =
            start.map(|start| self.loaders(start).map(|(id, _)| id).collect()).unwrap_or_default();
        let main_too = main.filter(|main| !chain.contains(main));
        chain
            .into_iter()
            .chain(main_too)
            .filter_map(|id| Some((id, self.object(id)?.rpath())))
            .filter(|(_, directories)| !directories.is_empty())
    }

    /// One dependency or `dlopen` of `name`.
    fn request(
        &mut self,
        requester: Option<ObjectId>,
        name: &[u8],
        mapping: Mapping,
    ) -> (Result<ObjectId, LoadError>, Option<Via>, Vec<Probe>) {
        if let Some(id) = self.already_loaded(name) {
            if matches!(self.env.libc, Libc::Glibc(..)) {
                self.add_name(id, name);
            }
            self.list(id);
            return (Ok(id), Some(Via::Loaded), Vec::new());
        }
        let (mut found, mut probes) = match self.env.libc {
            Libc::Glibc(..) => Search::run(self, requester, name),
            Libc::Musl => musl::search(self, requester, name),
        };
        self.ask_description(name, &mut found, &mut probes);
        let needed_by = requester.filter(|_| mapping != Mapping::Dlopen);
        match found {
            Err(mut error) => {
                error.requester = requester;
                if self.env.libc == Libc::Musl {
                    error.message = musl::not_loaded(self, needed_by, name, &error.message);
                }
                (Err(error), None, probes)
            }
            Ok(hit) => {
                let mut mapped = self.map_file(requester, name, hit.path, mapping);
                if let Err(error) = &mut mapped
                    && self.env.libc == Libc::Musl
                    && error.kind == LoadErrorKind::Refused
                {
                    error.message = musl::not_loaded(self, needed_by, name, &error.message);
                }
                (mapped, Some(hit.via), probes)
            }
        }
    }

    /// What the description of a program knows of a library that the search did not find: it was written where the program
    /// lies, and may be read elsewhere.
    fn ask_description(&self, name: &[u8], found: &mut Result<Hit, LoadError>, probes: &mut Vec<Probe>) {
        let Err(error) = found else { return };
        if !matches!(error.kind, LoadErrorKind::NotFound | LoadErrorKind::NoSystem) {
            return;
        }
        let Some(path) = self.env.described_library(name).map(Path::to_owned) else { return };
        let is_here = matches!(&*self.store.open(&path), Opened::File(_));
        let outcome = if is_here { Outcome::Found } else { Outcome::Missing };
        probes.push(Probe { via: Via::Profile, element: None, path: path.clone(), outcome });
        if is_here {
            *found = Ok(Hit { path, via: Via::Profile });
        } else {
            error.kind = LoadErrorKind::Elsewhere;
        }
    }

    /// glibc: `add_name_to_object`.
    fn add_name(&mut self, id: ObjectId, name: &[u8]) {
        if let Some(object) = self.object_mut(id)
            && !object.answers_to(name)
        {
            object.names.push(Name::from(name));
        }
    }

    /// musl: an object that so far had only a path gets the last component of it as short name when a
    /// search leads to the same file.
    fn add_short_name(&mut self, id: ObjectId, searched: &[u8]) {
        if let Some(object) = self.object_mut(id)
            && object.names.is_empty()
            && !searched.contains(&b'/')
            && let Some(last) = object.path.file_name()
        {
            object.names.push(Name::from(last.as_encoded_bytes()));
        }
    }

    fn already_loaded(&self, name: &[u8]) -> Option<ObjectId> {
        let objects =
            self.objects.iter().enumerate().map(|(index, object)| (ObjectId(index as u32), &**object));
        match self.env.libc {
            // The program's own name is empty (`_dl_new_object`, elf/rtld.c), so an empty DT_NEEDED means it.
            Libc::Glibc(..) if name.is_empty() && self.is_dlopen => self.order.first().copied(),
            Libc::Glibc(..) => match_loaded(objects, name),
            Libc::Musl => {
                let interpreter = self.interpreter.and_then(|id| Some((id, self.object(id)?)));
                musl::match_loaded(objects, interpreter, name)
            }
        }
    }

    /// Enters a file that a search ended at: reuses an object of the same file, else maps it.
    fn map_file(
        &mut self,
        requester: Option<ObjectId>,
        name: &[u8],
        path: PathBuf,
        mapping: Mapping,
    ) -> Result<ObjectId, LoadError> {
        let fail = |kind, message: String| LoadError { message, kind, requester };
        let absolute = self.env.absolute(&path).unwrap_or(Cow::Borrowed(&path));
        let opened = self.store.open(&absolute);
        let Opened::File(file) = &*opened else {
            let why = self.store.module(&absolute).err().map_or_else(String::new, |error| error.to_string());
            let message = format!("{}: cannot open shared object file: {why}", shown_path(&path));
            return Err(fail(LoadErrorKind::NotFound, message));
        };
        if let Some(id) = self.objects.iter().position(|object| object.id == file.metadata.id) {
            let id = ObjectId(id as u32);
            match self.env.libc {
                Libc::Glibc(..) => self.add_name(id, name),
                Libc::Musl => self.add_short_name(id, name),
            }
            self.list(id);
            return Ok(id);
        }
        let module = file
            .module
            .clone()
            .map_err(|error| fail(LoadErrorKind::Unreadable, format!("{}: {error}", shown_path(&path))))?;
        if let Some(mode) = mapping.open_mode(self.is_dlopen)
            && matches!(self.env.libc, Libc::Glibc(..))
            && let Some(refusal) = refuse_to_map(&module, mode)
        {
            // `lose` names what was asked for, where `open_verify` names the file.
            return Err(fail(LoadErrorKind::Refused, format!("{}: {refusal}", Shown(name))));
        }
        if self.env.libc == Libc::Musl
            && mapping != Mapping::Program
            && let Some(refusal) = musl::refuse_to_map(&module)
        {
            return Err(fail(LoadErrorKind::Refused, refusal.message));
        }
        if self.objects.len() >= limits::PROCESS_OBJECTS {
            return Err(fail(
                LoadErrorKind::Limit,
                format!("{}: more objects than one process is modelled with", shown_path(&path)),
            ));
        }
        if let Some(crash) = read_only_dynamic(&module, &self.env, mapping.is_program()) {
            self.failure.get_or_insert(fail(LoadErrorKind::Crash, format!("{}: {crash}", shown_path(&path))));
        }
        let id = ObjectId(self.objects.len() as u32);
        let program = || match &self.env.described {
            Some(described) => described.program.clone(),
            None => Some(self.resolved(&absolute)),
        };
        let origin = match (mapping, self.env.libc) {
            (Mapping::Program, Libc::Musl) => program().map(|path| musl::origin(&path)),
            (_, Libc::Musl) => Some(musl::origin(&path)),
            (Mapping::Program, Libc::Glibc(..)) => program().and_then(|path| origin(&path)),
            (_, Libc::Glibc(..)) => self.env.absolute(&path).and_then(|absolute| origin(&absolute)),
        };
        // musl gives a short name only to what a search found.
        let names = match self.env.libc {
            Libc::Musl if name.contains(&b'/') => Vec::new(),
            Libc::Musl | Libc::Glibc(..) => vec![Name::from(name)],
        };
        self.objects.push(Arc::new(Object {
            id: file.metadata.id,
            names,
            loader: requester,
            rpath: Vec::new(),
            runpath: Vec::new(),
            origin,
            edges: None,
            scope: 0,
            path,
            module,
        }));
        let (rpath, runpath) = self.search_paths(id);
        if let Some(object) = self.object_mut(id) {
            object.rpath = rpath;
            object.runpath = runpath;
        }
        if !matches!(mapping, Mapping::Program | Mapping::Listed) {
            self.list(id);
        }
        Ok(id)
    }

    /// The directories of an object's DT_RPATH and DT_RUNPATH; a DT_RUNPATH makes its DT_RPATH void.
    fn search_paths(&self, id: ObjectId) -> (Vec<Directory>, Vec<Directory>) {
        let Some(object) = self.object(id) else { return Default::default() };
        let raw =
            |kind| object.module.search_path(kind).map(|path| path.raw.clone()).filter(|raw| !raw.is_empty());
        let (rpath, runpath) = (raw(SearchPathKind::Rpath), raw(SearchPathKind::Runpath));
        if self.env.libc == Libc::Musl {
            // `decode_dyn`: DT_RUNPATH takes the place of DT_RPATH, an empty one too.
            let has_runpath = object.module.search_path(SearchPathKind::Runpath).is_some();
            let list = if has_runpath { runpath } else { rpath };
            return (musl::rpath(object, list.as_ref()), Vec::new());
        }
        let tokens = self.tokens(Some(id));
        let split = |raw: Option<Name>| {
            raw.map(|raw| split_search_path(raw.as_bytes(), b":", tokens)).unwrap_or_default()
        };
        if object.module.search_path(SearchPathKind::Runpath).is_some() {
            (Vec::new(), split(runpath))
        } else {
            (split(rpath), Vec::new())
        }
    }

    /// A path as /proc/self/exe would tell it.
    fn resolved(&self, path: &Path) -> PathBuf {
        self.store.fs().canonicalize(path).unwrap_or_else(|_| path.to_owned())
    }

    /// An object to change; other processes that share it keep theirs.
    fn object_mut(&mut self, id: ObjectId) -> Option<&mut Object> {
        self.objects.get_mut(id.index()).map(Arc::make_mut)
    }

    /// What tokens stand for in the names and paths of an object; of the program where nobody is named.
    pub(crate) fn tokens(&self, id: Option<ObjectId>) -> Tokens<'_> {
        let object = id.or_else(|| self.order.first().copied()).and_then(|id| self.object(id));
        Tokens {
            origin: object.and_then(Object::origin),
            lib: self.env.lib.as_bytes(),
            platform: self.env.platform.as_ref().map(Name::as_bytes),
        }
    }

    /// The interpreter is in every process before the first library, and answers to its path and soname.
    fn map_interpreter(&mut self, main: ObjectId) {
        let named = self.object(main).and_then(|object| {
            object.module.elf().and_then(|elf| elf.interpreter.get()).map(|name| name.as_path().to_owned())
        });
        let usual = super::environment::usual_interpreter(self.env.target).map(PathBuf::from);
        let path = match self.env.libc {
            Libc::Glibc(..) => named.or(usual),
            Libc::Musl => named.or_else(|| Some(musl::interpreter(self.env.target))),
        };
        let Some(path) = path else { return };
        let before = self.order.len();
        if let Ok(id) = self.map_file(None, path_bytes(&path), path.clone(), Mapping::Interpreter) {
            // It is listed where the first object needs it.
            self.order.truncate(before);
            self.interpreter = Some(id);
        }
    }

    /// Puts an object at the end of the load order, once.
    fn list(&mut self, id: ObjectId) {
        if !self.order.contains(&id) && !self.objects.is_empty() {
            self.order.push(id);
        }
    }

    /// Loads what `root` needs, breadth first (`_dl_map_object_deps`). A failure is noted and the walk goes on.
    fn load_dependencies(&mut self, root: ObjectId) {
        let mut list = SearchList::of(root);
        while let Some(id) = list.next() {
            self.find_dependencies(id);
            let edges = self.object(id).and_then(|object| object.edges.clone()).unwrap_or_default();
            for filtee in list.add(id, &edges) {
                self.list_before(filtee, id);
            }
        }
    }

    /// Moves a filtee in front of its filter in the load order, as the loader's chain of objects has them.
    fn list_before(&mut self, filtee: ObjectId, filter: ObjectId) {
        if self.env.libc == Libc::Musl || filtee == filter {
            return;
        }
        self.order.retain(|&id| id != filtee);
        let at = self.order.iter().position(|&id| id == filter).unwrap_or(self.order.len());
        self.order.insert(at, filtee);
    }

    fn find_dependencies(&mut self, id: ObjectId) {
        let Some(object) = self.object(id) else { return };
        if object.edges.is_some() {
            return;
        }
        let (module, path) = (Arc::clone(&object.module), Name::from(path_bytes(&object.path)));
        self.edges += module.needed().len();
        if self.edges > limits::PROCESS_EDGES {
            let message = format!("{path}: more dependencies than one process is modelled with");
            let error = LoadError { message, kind: LoadErrorKind::Limit, requester: Some(id) };
            self.failure.get_or_insert(error);
            return;
        }
        let mut edges = Vec::with_capacity(module.needed().len());
        for (dependency, wanted) in module.needed().iter().enumerate() {
            // musl knows no filters.
            if self.env.libc == Libc::Musl && wanted.kind != DependencyKind::Needed {
                continue;
            }
            let name = match self.env.libc {
                Libc::Glibc(..) => expand(wanted.name.as_bytes(), self.tokens(Some(id))),
                Libc::Musl => Expanded::Text(Cow::Borrowed(wanted.name.as_bytes())),
            };
            let (name, (target, via, searched)) = match name {
                Expanded::Text(name) => {
                    let result = self.request(Some(id), &name, Mapping::Dependency);
                    (Name::from(&*name), result)
                }
                Expanded::Discarded => {
                    // `expand_dst`: "empty dynamic string token substitution".
                    let error = LoadError {
                        message: format!("{}: empty dynamic string token substitution", wanted.name),
                        kind: LoadErrorKind::NotFound,
                        requester: Some(id),
                    };
                    (wanted.name.clone(), (Err(error), None, Vec::new()))
                }
            };
            if let Err(error) = &target
                && wanted.kind != DependencyKind::Auxiliary
                && self.failure.is_none()
            {
                self.failure = Some(LoadError { requester: Some(id), ..error.clone() });
            }
            edges.push(Edge { requester: id, dependency, name, kind: wanted.kind, target, via, searched });
        }
        if let Some(object) = self.object_mut(id) {
            object.edges = Some(edges.into());
        }
    }
}

/// Why a file is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mapping {
    /// The program, which the kernel maps.
    Program,
    /// The file that the loader was told to list.
    Listed,
    /// The loader, which the kernel maps too.
    Interpreter,
    Dependency,
    Dlopen,
}

impl Mapping {
    /// Whether DT_DEBUG is filled in.
    fn is_program(self) -> bool {
        matches!(self, Self::Program | Self::Listed)
    }

    /// How the loader maps the file; none where the kernel does. What a `dlopen` brings along is opened by it too.
    fn open_mode(self, is_dlopen: bool) -> Option<OpenMode> {
        match self {
            Self::Program | Self::Interpreter => None,
            Self::Listed => Some(OpenMode::Listed),
            Self::Dependency if !is_dlopen => Some(OpenMode::Dependency),
            Self::Dependency | Self::Dlopen => Some(OpenMode::Dlopen),
        }
    }
}

/// The directory of an absolute path without a trailing slash, `/` for a file in the root (`_dl_new_object`).
fn origin(absolute: &Path) -> Option<Vec<u8>> {
    let bytes = path_bytes(absolute);
    let slash = bytes.iter().rposition(|&byte| byte == b'/')?;
    Some(bytes[..slash.max(1)].to_vec())
}

impl LoaderEnv {
    /// A path as the process would open it, relative ones from its current directory; none where that is not known.
    pub(crate) fn absolute<'p>(&self, path: &'p Path) -> Option<Cow<'p, Path>> {
        if path.is_absolute() {
            return Some(Cow::Borrowed(path));
        }
        self.current_directory.as_ref().map(|directory| Cow::Owned(directory.join(path)))
    }
}
