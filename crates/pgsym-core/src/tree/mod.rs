//! A tree of modules under one server: the value that rules check and programs ask. Loading it runs the phases
//! up to resolution; everything after that only reads it.

pub(crate) mod dyld;
mod file;
mod load;
mod loaded;
mod preload;
mod server;
mod settings;

pub use dyld::DyldLoad;
pub use file::{LoadOutcome, Role, TreeFile};
pub use load::{Load, LuckyEdge};
pub use server::{Server, ServerSource};
pub use settings::{Reading, ServerChoice, Settings};

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use self::load::doubt;
use self::loaded::Loaded;
use self::server::{ServersBelow, find_server, find_server_below};
use crate::collide::Collisions;
use crate::discover::{Candidate, Discovery, Format, Roots, WindowsBinaries, discover};
use crate::error::Error;
use crate::extension::library_path::Expansion;
use crate::extension::tree::Extension;
use crate::extension::update_graph::Step;
use crate::extension::{
    Declarations, ExtensionSettings, Inventory, Library, Opened, Reading as Scripts, Surroundings,
};
use crate::fs::{FileId, FileKind, Fs};
use crate::hash::HashSet;
use crate::model::{NameHash, Symbol};
use crate::postgres::{MagicBlock, Verdict, dyld_verdict, load, verdict};
use crate::resolve::dyld::{DyldProcess, Image, ImageId};
use crate::resolve::{FileStore, LoadError, LoadErrorKind, ObjectId, Process, accepts};

/// Whether files are those of macOS where no server says it.
fn is_macos(candidates: &[Candidate]) -> bool {
    let has = |format| candidates.iter().any(|candidate| candidate.format == Ok(format));
    has(Format::MachO) && !has(Format::Elf)
}

/// A tree of modules under one server.
pub struct Tree {
    settings: Settings,
    files: Vec<TreeFile>,
    server: Option<Server>,
    process: Option<Process>,
    start_refused: Option<String>,
    dyld_processes: Vec<DyldProcess>,
    other_servers: Vec<PathBuf>,
    unread_server: Option<(PathBuf, String)>,
    store: Arc<FileStore>,
    roots: Roots,
    control_directories: BTreeSet<PathBuf>,
    windows: WindowsBinaries,
    is_macos: bool,
    /// What scripts say, where it was read beside the binaries and [`Self::inventory`] has not taken it yet.
    declarations: Mutex<Option<Declarations>>,
    inventory: OnceLock<Inventory>,
    collisions: OnceLock<Option<Collisions>>,
    /// The roots that are directories, every symbolic link resolved.
    resolved_roots: Vec<PathBuf>,
}

impl Tree {
    /// Finds, parses and resolves the files below `roots`.
    ///
    /// Fails only when the question cannot be answered: a root that does not exist, or is relative without
    /// [`Settings::working_directory`]; a server that is none. A broken
    /// file is a file of the tree like any other.
    #[expect(clippy::needless_pass_by_value, reason = "the tree keeps it")]
    pub fn load(fs: Arc<dyn Fs>, roots: &[PathBuf], mut settings: Settings) -> Result<Self, Error> {
        settings.refuse_relative(roots)?;
        settings.stand(&*fs)?;
        let roots = Roots::new(&*fs, roots, settings.working_directory.as_deref());
        let Discovery { mut candidates, control_directories, linked, windows } = discover(&*fs, &roots)?;
        windows.refuse(&roots, &candidates)?;
        if settings.reading == Reading::Everything {
            // One file has the same faults by each of its names.
            candidates.retain(|candidate| !candidate.is_repeated);
        }
        let store = Arc::new(FileStore::new(Arc::clone(&fs), settings.others()));
        let server = find_server(&*fs, &store, roots.paths(), &candidates, &settings)?;
        let ServersBelow { serving: server, others: other_servers, unread: unread_server } =
            match (server, &settings.server) {
                (None, ServerChoice::Detect | ServerChoice::DetectOr(_)) => {
                    find_server_below(&*fs, &store, roots.paths(), &candidates, &settings)
                }
                (serving, _) => ServersBelow { serving, ..ServersBelow::default() },
            };
        let server = match (server, &settings.server) {
            (None, ServerChoice::DetectOr(path)) if other_servers.is_empty() && unread_server.is_none() => {
                let named = Settings { server: ServerChoice::At(path.clone()), ..settings.clone() };
                find_server(&*fs, &store, roots.paths(), &candidates, &named)?
            }
            (server, _) => server,
        };
        let major = server.as_ref().and_then(|server| server.facts.major()).or(settings.pg_major);
        settings.agree_with(major)?;
        let is_macos = server.as_ref().map_or_else(
            || is_macos(&candidates),
            // In a tree that mixes formats the server decides which modules are its own.
            |server| server.module.macho().is_some(),
        );
        let declare = || {
            // Whoever runs rules asks for it in any case, and no binary is needed for it.
            let around = Surroundings {
                fs: &*fs,
                roots: roots.paths(),
                control_directories: &control_directories,
                installation: server.as_ref().map(|server| &server.installation),
                major,
                is_macos,
            };
            (settings.reading == Reading::Everything)
                .then(|| Declarations::read(&around, &settings.extensions))
        };
        let (loaded, declarations) =
            rayon::join(|| Loaded::new(&store, server.as_ref(), candidates, &settings), declare);
        let Loaded { files, process, start_refused, dyld_processes } = loaded?;
        // What was named and is a file is among the files.
        let named: HashSet<&Path> =
            files.iter().filter(|file| file.is_named).map(|file| &*file.path).collect();
        let is_directory = |path: &PathBuf| {
            !named.contains(&**path)
                && fs.metadata(path).is_ok_and(|metadata| metadata.kind == FileKind::Directory)
        };
        let resolved_roots = roots
            .paths()
            .iter()
            .filter(|root| is_directory(root))
            .filter_map(|root| fs.canonicalize(root).ok())
            .chain(linked)
            .collect();
        Ok(Self {
            settings,
            files,
            server,
            process,
            start_refused,
            dyld_processes,
            other_servers,
            unread_server,
            store,
            roots,
            control_directories,
            windows,
            is_macos,
            declarations: Mutex::new(declarations),
            inventory: OnceLock::new(),
            collisions: OnceLock::new(),
            resolved_roots,
        })
    }

    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            fs: self.store.fs(),
            roots: self.roots.paths(),
            control_directories: &self.control_directories,
            installation: self.server.as_ref().map(|server| &server.installation),
            major: self.pg_major(),
            is_macos: self.is_macos,
        }
    }

    /// What a catalog that names a library leads to here, as the extensions of a site see it
    /// ([`Places::sites`](crate::extension::Places::sites)); none where there is no such site.
    pub fn library(&self, site: usize, probin: &[u8]) -> Option<Library> {
        self.inventory().library(&self.surroundings(), &|paths| self.open(paths), site, probin)
    }

    /// The same where the file behind the name is known.
    pub fn library_in(&self, path: &Path, probin: &[u8]) -> Library {
        Library {
            name: probin.to_vec(),
            expansion: Ok(Expansion { path: path.to_owned(), found: true, tried: Vec::new() }),
            hidden: Vec::new(),
            defeated: None,
            opened: self.open(&[path.to_owned()]).pop().unwrap_or_default(),
        }
    }

    /// The extensions with every script that their directories hold, those of older versions included; read at each
    /// call.
    pub fn inventory_of_all_scripts(&self) -> Inventory {
        let settings = &self.settings.extensions;
        let settings = ExtensionSettings { reading: Scripts::All, ..settings.clone() };
        self.backed(Declarations::read(&self.surroundings(), &settings))
    }

    /// The extensions with the scripts of these chains alone, in place of those that installing their default versions runs;
    /// read at each call.
    pub(crate) fn inventory_of_chains(&self, chain: &dyn Fn(&Extension) -> Vec<Step>) -> Inventory {
        self.backed(Declarations::of_chains(&self.surroundings(), &self.settings.extensions.search, chain))
    }

    /// What the server makes of modules that SQL names, loaded one after the other into one process, up to the first that
    /// it refuses. Of each the module alone where no process is modelled for it, without a verdict.
    fn open(&self, paths: &[PathBuf]) -> Vec<Opened> {
        let mut processes =
            (self.process.as_ref().map(Cow::Borrowed), self.dyld_processes.first().map(Cow::Borrowed));
        let mut all = Vec::new();
        for path in paths {
            let Ok(module) = self.store.module(path) else {
                let verdict = self.process.as_ref().map(|process| load(process, path, self.expected()).0);
                all.push(Opened { verdict, ..Opened::default() });
                break;
            };
            // Opened alone, it is what it is as a file of the tree.
            let known = self.find(module.id).filter(|file| paths.len() == 1 && file.path == *path);
            let opened = if module.macho().is_some() {
                self.open_image(&mut processes.1, path, known.and_then(|file| file.dyld.first()))
            } else {
                self.open_object(&mut processes.0, path, known.and_then(|file| file.load.as_ref()))
            };
            let mut opened = opened.unwrap_or_default();
            if opened.objects.is_empty() {
                opened.objects.push((path.clone(), module));
            }
            let is_end = matches!(opened.verdict, Some(Verdict::Fails(_) | Verdict::Crashes(_)));
            all.push(opened);
            if is_end {
                break;
            }
        }
        all
    }

    fn open_object(
        &self,
        process: &mut Option<Cow<'_, Process>>,
        path: &Path,
        known: Option<&Load>,
    ) -> Option<Opened> {
        let opened = |process: &Process, root: Option<ObjectId>, failure: Option<&LoadError>| {
            let closure = root.map(|root| process.closure(root)).unwrap_or_default();
            let objects = closure.into_iter().filter_map(|id| process.object(id));
            let verdict = || verdict(process, root, failure, path, self.expected());
            Opened {
                objects: objects
                    .map(|object| (object.path().to_owned(), Arc::clone(object.module())))
                    .collect(),
                libc: Some(process.env().libc),
                verdict: self.process.is_some().then(verdict),
                lacks_symbols: failure.is_some_and(|failure| failure.kind == LoadErrorKind::UndefinedSymbol),
            }
        };
        if let Some(known) = known {
            return Some(opened(&known.process, known.root, known.failure.as_ref()));
        }
        let mut attempt = process.as_ref()?.dlopen(path);
        if let Some(error) = attempt.failure.as_mut().filter(|_| self.is_built_in()) {
            doubt(&attempt.process, error);
        }
        let found = opened(&attempt.process, attempt.root, attempt.failure.as_ref());
        *process = Some(Cow::Owned(attempt.process));
        Some(found)
    }

    /// The same for a Mach-O module: the images as far as they have a file.
    fn open_image(
        &self,
        process: &mut Option<Cow<'_, DyldProcess>>,
        path: &Path,
        known: Option<&DyldLoad>,
    ) -> Option<Opened> {
        let opened = |process: &DyldProcess, root: Option<ImageId>, failure: Option<&str>| {
            let closure = root.map(|root| process.closure(root)).unwrap_or_default();
            let images = closure.into_iter().filter_map(|id| process.image(id));
            let object = |image: &Image| Some((image.path().to_owned(), Arc::clone(image.module()?)));
            let verdict = || dyld_verdict(process, root, failure, path, self.expected());
            Opened {
                objects: images.filter_map(object).collect(),
                libc: None,
                verdict: (!self.dyld_processes.is_empty()).then(verdict),
                lacks_symbols: failure.is_some_and(|failure| failure.contains("flat namespace")),
            }
        };
        if let Some(known) = known {
            return Some(opened(known.process.as_ref()?, known.root, known.failure.as_deref()));
        }
        let attempt = process.as_ref()?.dlopen(path);
        let found = opened(&attempt.process, attempt.root, attempt.failure.as_deref());
        *process = Some(Cow::Owned(attempt.process));
        Some(found)
    }

    /// Whether the server is a built-in one, of some minor release.
    fn is_built_in(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.source == ServerSource::BuiltIn)
    }

    /// The server's own block, which it compares those of modules with.
    fn expected(&self) -> Option<&MagicBlock> {
        self.server.as_ref()?.facts.magic.as_ref()
    }

    /// Its files in path order.
    pub fn files(&self) -> &[TreeFile] {
        &self.files
    }

    /// The PostgreSQL modules among them.
    pub fn modules(&self) -> impl Iterator<Item = &TreeFile> {
        self.files.iter().filter(|file| file.role == Role::Module)
    }

    /// The server that loads them, where one is known.
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// Servers below the roots that were not taken: beside the one that serves the modules, or several of which none serves
    /// all.
    pub fn other_servers(&self) -> &[PathBuf] {
        &self.other_servers
    }

    /// A file in the place of the server that nobody named and that is none, with what was seen of it.
    pub fn unread_server(&self) -> Option<(&Path, &str)> {
        self.unread_server.as_ref().map(|(path, seen)| (&**path, &**seen))
    }

    /// The server's process before any of the tree's modules, its preloaded ones included.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// What the loader says where the server itself does not start; what it would load is modelled all the same.
    pub fn start_refused(&self) -> Option<&str> {
        self.start_refused.as_deref()
    }

    /// The server's processes if it is a Mach-O file, one for each architecture, its preloaded modules included.
    pub fn dyld_processes(&self) -> &[DyldProcess] {
        &self.dyld_processes
    }

    /// The extensions around the roots, their scripts and functions; put together at the first call.
    pub fn inventory(&self) -> &Inventory {
        self.inventory.get_or_init(|| {
            let read = self.declarations.lock().unwrap_or_else(PoisonError::into_inner).take();
            let read_now = || Declarations::read(&self.surroundings(), &self.settings.extensions);
            self.backed(read.unwrap_or_else(read_now))
        })
    }

    fn backed(&self, declarations: Declarations) -> Inventory {
        declarations.backed_by(&self.surroundings(), &|paths| self.open(paths))
    }

    /// Who meets whom in the server's process; looked for at the first call. None without a server.
    pub fn collisions(&self) -> Option<&Collisions> {
        self.collisions.get_or_init(|| Collisions::find(self)).as_ref()
    }

    /// The question.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The files that the run has met, the tree's and others.
    pub fn store(&self) -> &FileStore {
        &self.store
    }

    /// The paths that were asked about.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// The Windows binaries below the roots, of which nothing is read.
    pub fn windows(&self) -> &WindowsBinaries {
        &self.windows
    }

    /// A path as the caller would name it.
    pub fn shown(&self, path: &Path) -> PathBuf {
        self.roots.shown(path)
    }

    /// Whether a path lies below one of the roots.
    pub fn contains(&self, path: &Path) -> bool {
        self.roots.paths().iter().any(|root| path.starts_with(root))
    }

    /// The files of the tree that export a symbol, in path order.
    pub fn exporters<'t>(&'t self, name: &'t [u8]) -> impl Iterator<Item = &'t TreeFile> {
        let hashes = NameHash::of(name);
        self.files.iter().filter(move |file| {
            let symbols = file.module.as_ref().ok().and_then(|module| module.symbols.get());
            symbols.is_some_and(|symbols| symbols.lookup(name, hashes).next().is_some())
        })
    }

    /// The files of the tree but `file` whose definition a reference of it would take, versions included, in path
    /// order; none without a server, whose C library decides.
    pub fn providers<'t>(
        &'t self,
        reference: Symbol<'t>,
        file: &'t TreeFile,
    ) -> impl Iterator<Item = &'t TreeFile> {
        let libc = self.process().map(|process| process.env().libc);
        self.exporters(reference.name()).filter(move |other| {
            let module = other.module.as_ref().ok().filter(|_| other.path != file.path);
            module.zip(libc).is_some_and(|(module, libc)| accepts(module, reference, libc).is_some())
        })
    }

    /// Whether a path without symbolic links lies below a directory that was asked about; nothing to say where only
    /// single files were.
    pub fn holds(&self, resolved: &Path) -> Option<bool> {
        if self.resolved_roots.is_empty() {
            return None;
        }
        Some(self.resolved_roots.iter().any(|root| resolved.starts_with(root)))
    }

    /// The file of the tree with an identity.
    pub fn find(&self, id: FileId) -> Option<&TreeFile> {
        self.files.iter().find(|file| file.module.as_ref().is_ok_and(|module| module.id == id))
    }

    /// The major version that modules are expected to be for.
    pub fn pg_major(&self) -> Option<u32> {
        self.server.as_ref().and_then(|server| server.facts.major()).or(self.settings.pg_major)
    }
}
