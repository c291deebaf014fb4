//! A tree of modules under one server: the value that rules check and programs ask. Loading it runs the phases
//! up to resolution; everything after that only reads it.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use crate::collide::Collisions;
use crate::discover::{
    Candidate, Discovery, Format, Installation, Roots, discover, find_installation, installations_below,
    server_at, serving, standing,
};
use crate::error::{Error, FileError, FileErrorKind};
use crate::extension::{ExtensionSettings, Inventory, Surroundings};
use crate::fs::{FileId, FileKind, Fs, Metadata};
use crate::limits;
use crate::model::{MachArch, Module, NameHash, ObjectKind, Symbol, Target};
use crate::name::{Name, shown_path};
use crate::parse::{Facets, parse};
use crate::postgres::{
    Magic, MagicBlock, Profile, ServerFacts, SymbolClass, Verdict, classify, profile, verdict,
};
use crate::resolve::dyld::{DyldProcess, ImageId};
use crate::resolve::{
    Attempt, FileStore, LoadError, LoaderEnv, LoaderOptions, MainObject, ObjectId, Probe, Process,
    SearchElement, Via, accepts, elements_of,
};
use crate::source::read_range;
use crate::tree_dyld::{self, chosen_slice};
use crate::tree_preload;

pub use crate::tree_dyld::DyldLoad;

/// The question: which files, under which process.
#[derive(Clone, Default)]
pub struct Settings {
    /// The server.
    pub server: ServerChoice,
    /// How much of each file is read.
    pub reading: Reading,
    /// What the process's environment says, and which C library it has.
    pub loader: LoaderOptions,
    /// The names of `shared_preload_libraries`, in order, as [`preload_names`](crate::extension::preload_names) reads
    /// the setting.
    pub preload: Vec<String>,
    /// The major version that modules should be for, where no server says it.
    pub pg_major: Option<u32>,
    /// The newest glibc that modules may ask for.
    pub max_glibc: Option<(u32, u32)>,
    /// How much of control files and scripts is read, and where the server looks for them.
    pub extensions: ExtensionSettings,
    /// Where the relative ones of the given paths stand, those of these settings included. A server opens modules by
    /// absolute path, so without this `$ORIGIN` of a module that was given by a relative path is not known.
    pub working_directory: Option<PathBuf>,
    /// The architecture that universal files are loaded for; every one of the server's where none is named.
    pub arch: Option<MachArch>,
    /// A macOS SDK, whose stubs tell which libraries the system has.
    pub sdk: Option<PathBuf>,
    /// Told of each finished file: how many are done, how many there are.
    pub progress: Option<Arc<dyn Fn(usize, usize) + Send + Sync>>,
}

impl Settings {
    /// Where a path of the question stands.
    fn standing(&self, fs: &dyn Fs, path: &Path) -> PathBuf {
        standing(fs, path, self.working_directory.as_deref())
    }

    /// Makes every directory of these settings absolute. Fails where one is none.
    fn stand(&mut self, fs: &dyn Fs) -> Result<(), Error> {
        let search = &mut self.extensions.search;
        let directories = [
            ("cannot use --sharedir", "name what pg_config --sharedir prints", &mut search.sharedir),
            ("cannot use --pkglibdir", "name what pg_config --pkglibdir prints", &mut search.pkglibdir),
            ("cannot use --sdk", "name what xcrun --show-sdk-path prints", &mut self.sdk),
        ];
        for (what, advice, directory) in directories {
            let Some(path) = directory else { continue };
            let standing = standing(fs, path, self.working_directory.as_deref());
            let seen = match fs.metadata(&standing) {
                Ok(metadata) if metadata.kind == FileKind::Directory => None,
                Ok(_) => Some("it is not a directory".to_owned()),
                Err(error) => Some(crate::error::os_text(&error)),
            };
            if let Some(seen) = seen {
                return Err(Error::Path { what, path: path.clone(), seen, advice });
            }
            *path = standing;
        }
        Ok(())
    }
}

/// How much of each file is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reading {
    /// Everything that rules look at.
    #[default]
    Everything,
    /// What loading needs: of libraries, which are many and large, no relocation. No rule is checked, and no collision
    /// looked for.
    Loading,
    /// What resolution needs: which files a process loads, in which order, after which searches. No symbol is read, so
    /// nothing tells a module from a library ([`Role::Library`]), and no rule is checked.
    Links,
}

impl Reading {
    /// The tables of a tree's own files.
    fn own(self) -> Facets {
        match self {
            Self::Everything | Self::Loading => Facets::RULES,
            Self::Links => Facets::LINK,
        }
    }

    /// The tables of everything else that a process loads: no notes, no section headers.
    fn others(self) -> Facets {
        match self {
            Self::Everything => Facets::RELOCATIONS,
            Self::Loading => Facets::SYMBOLS,
            Self::Links => Facets::LINK,
        }
    }
}

/// Which server loads the modules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ServerChoice {
    /// The one of the installation that the first path lies in, if it lies in one.
    #[default]
    Detect,
    /// The one at this path: binary, prefix, `pg_config`, or a profile of it.
    At(PathBuf),
    /// The built-in profile of a major version.
    Version(u32),
    /// None: each file is its own process, as `ld.so --list` treats it.
    None,
}

/// The server of a tree.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its directories.
    pub installation: Installation,
    /// Its binary.
    pub module: Arc<Module>,
    /// What PostgreSQL says of itself in it.
    pub facts: ServerFacts,
    /// Where all that was read.
    pub source: ServerSource,
}

/// Where a server's facts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerSource {
    /// Its binary.
    Binary,
    /// A profile of it.
    Profile,
    /// The built-in profile of a major version, which is of one of its minor releases.
    BuiltIn,
}

/// One file of a tree.
pub struct TreeFile {
    /// Its path inside the tree, absolute: what rules and processes work on.
    pub path: PathBuf,
    /// The same as the caller would name it: what answers show.
    pub shown: PathBuf,
    /// What it is, or why that cannot be told.
    pub format: Result<Format, FileError>,
    /// The parsed binary, or why it cannot be parsed.
    pub module: Result<Arc<Module>, FileError>,
    /// Every slice of a fat Mach-O file that can be read, in file order; [`Self::module`] is one of them.
    pub slices: Vec<Arc<Module>>,
    /// What it is for.
    pub role: Role,
    /// What `stat` says of it; none where that fails, and under [`Reading::Links`].
    pub metadata: Option<Metadata>,
    /// The elements of its DT_RPATH and DT_RUNPATH, in file order.
    pub search_elements: Vec<SearchElement>,
    /// For a library with another name than its DT_SONAME: whether its directory has a file of that name. Not looked
    /// for under [`Reading::Links`].
    pub has_soname_sibling: bool,
    /// What loading it does; none for what no process of this tree loads (object files, unreadable files, libraries
    /// and programs for other machines).
    pub load: Option<Load>,
    /// Why it was not loaded, where the files before it brought all that one run keeps.
    pub not_loaded: Option<FileError>,
    /// What loading it does if it is a Mach-O file: once for each architecture, in the order of the server's slices.
    pub dyld: Vec<DyldLoad>,
    /// Whether the caller named it.
    pub is_named: bool,
}

/// What a file of a tree is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A PostgreSQL module: it has a magic block, or everything else that a module has.
    Module,
    /// A library that modules need, or one that has nothing of a module.
    Library,
    /// An executable program.
    Program,
    /// Anything that a process does not load: object files, unreadable files.
    Other,
}

/// What loading a file into the modelled process does.
pub struct Load {
    /// The process afterwards.
    pub process: Process,
    /// The file's object in it.
    pub root: Option<ObjectId>,
    /// The first failure, in the loader's words.
    pub failure: Option<LoadError>,
    /// What the server says; for a module only.
    pub verdict: Option<Verdict>,
    /// Dependencies that are satisfied because something else loaded them before.
    pub lucky: Vec<LuckyEdge>,
}

/// A dependency that a search would not find: it is satisfied because an object of the process already answers to
/// its name, and that object is none that the server itself always brings.
#[derive(Debug, Clone)]
pub struct LuckyEdge {
    /// Who asks.
    pub requester: ObjectId,
    /// Index into the requester's edges.
    pub edge: usize,
    /// What the search would have looked at.
    pub searched: Vec<Probe>,
}

/// A tree of modules under one server.
pub struct Tree {
    settings: Settings,
    files: Vec<TreeFile>,
    server: Option<Server>,
    process: Option<Process>,
    dyld_processes: Vec<DyldProcess>,
    other_servers: Vec<PathBuf>,
    store: Arc<FileStore>,
    roots: Roots,
    control_directories: BTreeSet<PathBuf>,
    inventory: OnceLock<Inventory>,
    collisions: OnceLock<Option<Collisions>>,
    /// The roots that are directories, every symbolic link resolved.
    resolved_roots: Vec<PathBuf>,
}

impl Tree {
    /// Finds, parses and resolves the files below `roots`.
    ///
    /// Fails only when the question cannot be answered: a root that does not exist, a server that is none. A broken
    /// file is a file of the tree like any other.
    #[expect(clippy::needless_pass_by_value, reason = "the tree keeps it")]
    pub fn load(fs: Arc<dyn Fs>, roots: &[PathBuf], mut settings: Settings) -> Result<Self, Error> {
        settings.stand(&*fs)?;
        let roots = Roots::new(&*fs, roots, settings.working_directory.as_deref());
        let Discovery { candidates, control_directories } = discover(&*fs, &roots)?;
        let store = Arc::new(FileStore::new(Arc::clone(&fs), settings.reading.others()));
        let server = find_server(&*fs, &store, roots.paths(), &candidates, &settings)?;
        let (server, other_servers) = match (server, &settings.server) {
            (None, ServerChoice::Detect) => find_server_below(&*fs, &store, &candidates, &settings),
            (server, _) => (server, Vec::new()),
        };
        let mut files = parse_all(&store, candidates, &settings);
        let elf_server = server.as_ref().filter(|server| server.module.elf().is_some());
        let process = elf_server.map(|server| start_server(&store, server, &settings)).transpose()?;
        let dyld_processes = match &server {
            Some(server) => tree_dyld::start_servers(&store, server, &settings)?,
            None => Vec::new(),
        };
        for file in &mut files {
            if let Ok(module) = &mut file.module {
                *module = chosen_slice(module, &settings, &dyld_processes);
            }
        }
        let mut envs = Environments { fs: &*fs, settings: &settings, known: Vec::new() };
        if let Some(process) = &process {
            let interpreter = server.as_ref().and_then(|server| interpreter_of(&server.module));
            envs.known.push((process.env().target, interpreter, Arc::new(process.env().clone())));
        }
        let env_of: Vec<Option<Arc<LoaderEnv>>> = files
            .iter()
            .map(|file| file.module.as_ref().ok().filter(|module| module.elf().is_some()))
            .map(|module| module.map(|module| envs.of(module)))
            .collect();
        let expected = server.as_ref().and_then(|server| server.facts.magic.clone());
        // Luck is looked for at the tree's own files, where somebody asks.
        let own: HashSet<FileId> = match settings.reading {
            Reading::Everything => {
                files.iter().filter_map(|file| file.module.as_ref().ok()).map(|module| module.id).collect()
            }
            Reading::Loading | Reading::Links => HashSet::new(),
        };
        let load = |file: &TreeFile, env: Arc<LoaderEnv>, module: &Module| {
            let elements = match settings.reading {
                Reading::Everything => elements_of(module, &file.path, &env, &store),
                Reading::Loading | Reading::Links => Vec::new(),
            };
            (load_file(file, &store, env, process.as_ref(), expected.as_ref(), &own), elements)
        };
        let loaded = load_all(&files, env_of, process.as_ref(), load);
        for (file, loaded) in files.iter_mut().zip(loaded) {
            match loaded {
                Ok((load, elements)) => (file.load, file.search_elements) = (load, elements),
                Err(error) => file.not_loaded = Some(error),
            }
        }
        let dyld_loads: Vec<Vec<DyldLoad>> = files
            .par_iter()
            .map(|file| tree_dyld::load(file, &store, &settings, &dyld_processes, expected.as_ref()))
            .collect();
        for (file, loads) in files.iter_mut().zip(dyld_loads) {
            file.dyld = loads;
        }
        demote_needed_libraries(&mut files);
        let is_directory =
            |path: &PathBuf| fs.metadata(path).is_ok_and(|metadata| metadata.kind == FileKind::Directory);
        let resolved_roots = roots
            .paths()
            .iter()
            .filter(|root| is_directory(root))
            .filter_map(|root| fs.canonicalize(root).ok())
            .collect();
        let (inventory, collisions) = (OnceLock::new(), OnceLock::new());
        Ok(Self {
            settings,
            files,
            server,
            process,
            dyld_processes,
            other_servers,
            store,
            roots,
            control_directories,
            inventory,
            collisions,
            resolved_roots,
        })
    }

    fn read_extensions(&self) -> Inventory {
        let formats = || self.files.iter().filter_map(|file| file.format.as_ref().ok());
        let around = Surroundings {
            fs: self.store.fs(),
            roots: self.roots.paths(),
            control_directories: &self.control_directories,
            installation: self.server.as_ref().map(|server| &server.installation),
            major: self.pg_major(),
            // In a tree that mixes formats the server decides which modules are its own.
            is_macos: self.server.as_ref().map_or_else(
                || {
                    formats().any(|format| *format == Format::MachO)
                        && !formats().any(|format| *format == Format::Elf)
                },
                |server| server.module.macho().is_some(),
            ),
            open: &|path| self.handle_scope(path),
        };
        Inventory::read(&around, &self.settings.extensions)
    }

    /// The objects in which `dlsym` on the handle of a module searches; the module alone where no process is
    /// modelled for it, nothing where it cannot be read.
    fn handle_scope(&self, path: &Path) -> Vec<(PathBuf, Arc<Module>)> {
        let Ok(module) = self.store.module(path) else { return Vec::new() };
        let scope = |process: &Process, root: Option<ObjectId>| {
            let objects = process.closure(root?).into_iter().filter_map(|id| process.object(id));
            Some(objects.map(|object| (object.path().to_owned(), Arc::clone(object.module()))).collect())
        };
        if module.macho().is_some() {
            return self.dyld_handle_scope(path, module);
        }
        let known = self.find(module.id).and_then(|file| file.load.as_ref());
        let found = match (known, &self.process) {
            (Some(load), _) => scope(&load.process, load.root),
            (None, Some(process)) => {
                let attempt = process.dlopen(path);
                scope(&attempt.process, attempt.root)
            }
            (None, None) => None,
        };
        found.unwrap_or_else(|| vec![(path.to_owned(), module)])
    }

    /// The images in which `dlsym` on the handle of a Mach-O module searches, as far as they have a file.
    fn dyld_handle_scope(&self, path: &Path, module: Arc<Module>) -> Vec<(PathBuf, Arc<Module>)> {
        let scope = |process: &DyldProcess, root: Option<ImageId>| {
            let images = process.closure(root?).into_iter().filter_map(|id| process.image(id));
            Some(
                images
                    .filter_map(|image| Some((image.path().to_owned(), Arc::clone(image.module()?))))
                    .collect(),
            )
        };
        let known = self.find(module.id).and_then(|file| file.dyld.first());
        let found = match (known, self.dyld_processes.first()) {
            (Some(load), _) => load.process.as_ref().and_then(|process| scope(process, load.root)),
            (None, Some(process)) => {
                let attempt = process.dlopen(path);
                scope(&attempt.process, attempt.root)
            }
            (None, None) => None,
        };
        found.unwrap_or_else(|| vec![(path.to_owned(), module)])
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

    /// The server's process before any of the tree's modules, its preloaded ones included.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// The server's processes if it is a Mach-O file, one for each architecture, its preloaded modules included.
    pub fn dyld_processes(&self) -> &[DyldProcess] {
        &self.dyld_processes
    }

    /// The extensions around the roots, their scripts and functions; read at the first call.
    pub fn inventory(&self) -> &Inventory {
        self.inventory.get_or_init(|| self.read_extensions())
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

fn find_server(
    fs: &dyn Fs,
    store: &FileStore,
    roots: &[PathBuf],
    candidates: &[Candidate],
    settings: &Settings,
) -> Result<Option<Server>, Error> {
    let installation = match &settings.server {
        ServerChoice::None => return Ok(None),
        ServerChoice::At(given) => {
            let path = settings.standing(fs, given);
            match read_profile(fs, &path).map_err(|error| error.about(given))? {
                Some(profile) => {
                    let server = enter_profile(store, profile, &path, settings);
                    agree(&server, settings)?;
                    return Ok(Some(server));
                }
                None => server_at(fs, &path).map_err(|error| error.about(given))?,
            }
        }
        ServerChoice::Version(major) => {
            let mut profile = built_in(fs, candidates, *major)?;
            // The directories are those of the tree, where it has any.
            let below = || {
                let mut found = installations_below(fs, candidates);
                serving(&found, candidates).map(|index| found.swap_remove(index))
            };
            let around = roots.iter().find_map(|root| find_installation(fs, root)).or_else(below);
            profile.sharedir = around.as_ref().and_then(|around| around.sharedir.clone());
            profile.pkglibdir = around.map(|around| around.pkglibdir).or_else(|| roots.first().cloned());
            let path = PathBuf::from(format!("/built-in/postgres-{major}"));
            let server = enter_profile(store, profile, &path, settings);
            return Ok(Some(Server { source: ServerSource::BuiltIn, ..server }));
        }
        ServerChoice::Detect => {
            let absolute = |root: &PathBuf| fs.canonicalize(root).unwrap_or_else(|_| root.clone());
            match roots.iter().find_map(|root| {
                find_installation(fs, root).or_else(|| find_installation(fs, &absolute(root)))
            }) {
                Some(installation) => installation,
                None => return Ok(None),
            }
        }
    };
    let mut server = read_server(store, installation)?;
    override_directories(&mut server, settings);
    agree(&server, settings)?;
    Ok(Some(server))
}

/// Fails where the server that was named is of another major version than the one that was asked for.
fn agree(server: &Server, settings: &Settings) -> Result<(), Error> {
    match (settings.pg_major, server.facts.major()) {
        (Some(asked), Some(found)) if asked != found => Err(Error::Value {
            option: "--pg-version",
            value: asked.to_string(),
            seen: format!("the server {} is PostgreSQL {found}", shown_path(&server.installation.server)),
            advice: "give --server or --pg-version, or have them agree".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The server among the files of the tree, where none is above the roots, and those that were not taken.
fn find_server_below(
    fs: &dyn Fs,
    store: &FileStore,
    candidates: &[Candidate],
    settings: &Settings,
) -> (Option<Server>, Vec<PathBuf>) {
    let (mut servers, installations): (Vec<Server>, Vec<Installation>) = installations_below(fs, candidates)
        .into_iter()
        .take(limits::SERVERS)
        .filter_map(|installation| Some((read_server(store, installation.clone()).ok()?, installation)))
        .unzip();
    let serving = serving(&installations, candidates).map(|index| servers.remove(index)).map(|mut server| {
        override_directories(&mut server, settings);
        server
    });
    (serving, servers.into_iter().map(|server| server.installation.server).collect())
}

/// `--pkglibdir` and `--sharedir`.
fn override_directories(server: &mut Server, settings: &Settings) {
    let search = &settings.extensions.search;
    if let Some(pkglibdir) = &search.pkglibdir {
        server.installation.pkglibdir.clone_from(pkglibdir);
    }
    if search.sharedir.is_some() {
        server.installation.sharedir.clone_from(&search.sharedir);
    }
}

/// The profile at a path; none where the file is something else.
fn read_profile(fs: &dyn Fs, path: &Path) -> Result<Option<Profile>, Error> {
    let mark = profile::MARK_OF_ANY;
    let Ok((source, _)) = fs.open(path) else { return Ok(None) };
    if !read_range(&*source, 0, mark.len() as u64, "the mark").is_ok_and(|start| start == mark) {
        return Ok(None);
    }
    let refuse = |seen: String| Error::Path {
        what: "cannot read the server's profile",
        path: path.to_owned(),
        seen,
        advice: "write it anew with `pgsym profile`",
    };
    let bytes = fs.read_small(path, limits::PROFILE_BYTES).map_err(|error| refuse(error.to_string()))?;
    Profile::parse(&bytes).map(Some).map_err(refuse)
}

/// The built-in profile of a major, for the machine of the first file that can be asked.
fn built_in(fs: &dyn Fs, candidates: &[Candidate], major: u32) -> Result<Profile, Error> {
    // Not through the store, which would keep this reading of the file instead of the full one.
    let target = |candidate: &Candidate| {
        let (source, metadata) = fs.open(&candidate.path).ok()?;
        parse(&candidate.path, metadata, &*source, Facets::LINK).ok().map(|module| module.target)
    };
    let is_elf = |candidate: &&Candidate| candidate.format == Ok(Format::Elf);
    let target = candidates.iter().filter(is_elf).find_map(target).unwrap_or(profile::X86_64);
    Profile::built_in(major, target).ok_or_else(|| Error::Value {
        option: "--pg-version",
        value: major.to_string(),
        seen: "there is no built-in profile of this major version".to_owned(),
        advice: "write 13 to 18, or name a server with --server".to_owned(),
    })
}

/// Makes the store know a server that is no file.
fn enter_profile(store: &FileStore, profile: Profile, path: &Path, settings: &Settings) -> Server {
    let mut server = profile.into_server(path);
    let metadata = Metadata { id: server.module.id, kind: FileKind::File, len: 0, mode: 0o755, uid: 0 };
    store.insert(path, metadata, &Vec::new(), Ok(Arc::clone(&server.module)));
    override_directories(&mut server, settings);
    server
}

fn read_server(store: &FileStore, installation: Installation) -> Result<Server, Error> {
    let path = installation.server.clone();
    let refuse = |seen: String| Error::Path {
        what: "cannot read the server",
        path: path.clone(),
        seen,
        advice: "name another one with --server",
    };
    let (source, metadata) = store.fs().open(&path).map_err(|error| refuse(crate::error::os_text(&error)))?;
    let module = parse(&path, metadata, &*source, Facets::SYMBOLS).map_err(|error| {
        refuse(match error.kind {
            FileErrorKind::NotAnObject => {
                "it is neither a program nor a profile that `pgsym profile` wrote".to_owned()
            }
            _ => error.to_string(),
        })
    })?;
    let facts = ServerFacts::read(&*source, &module);
    if let Some(seen) = facts.why_no_server(&module) {
        return Err(Error::Path {
            what: "no PostgreSQL server at",
            path: path.clone(),
            seen: seen.to_owned(),
            advice: "name the postgres binary, its installation prefix, or the pg_config beside it",
        });
    }
    let module = Arc::new(module);
    store.insert(&path, metadata, &*source, Ok(Arc::clone(&module)));
    Ok(Server { installation, module, facts, source: ServerSource::Binary })
}

/// Starts the server and loads what it preloads.
fn start_server(store: &Arc<FileStore>, server: &Server, settings: &Settings) -> Result<Process, Error> {
    let interpreter = server.module.elf().and_then(|elf| elf.interpreter.get()).map(Name::as_path);
    let env = Arc::new(LoaderEnv::read(store.fs(), server.module.target, interpreter, &settings.loader));
    let path = &server.installation.server;
    let mut process =
        Process::start(Arc::clone(store), env, path, MainObject::Program).map_err(|error| Error::Path {
            what: "cannot model the server",
            path: path.clone(),
            seen: error.message,
            advice: "name another one with --server",
        })?;
    let expected = server.facts.magic.as_ref();
    for name in &settings.preload {
        let path = tree_preload::path(store.fs(), server, settings, name)?;
        let Attempt { process: after, root, failure, .. } = process.dlopen(&path);
        // Without symbols nobody knows of a magic block.
        if settings.reading != Reading::Links || failure.is_some() {
            tree_preload::accept(name, verdict(&after, root, failure.as_ref(), &path, expected))?;
        }
        process = after;
    }
    Ok(process)
}

fn parse_all(store: &FileStore, candidates: Vec<Candidate>, settings: &Settings) -> Vec<TreeFile> {
    let total = candidates.len();
    let done = AtomicUsize::new(0);
    candidates
        .into_par_iter()
        .map(|candidate| {
            let file = parse_one(store, candidate, settings.reading);
            if let Some(progress) = &settings.progress {
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            }
            file
        })
        .collect()
}

fn parse_one(store: &FileStore, candidate: Candidate, reading: Reading) -> TreeFile {
    let Candidate { path, shown, format, is_named } = candidate;
    let module = match &format {
        Ok(Format::Elf | Format::MachO) => parse_caught(store, &path, reading.own()),
        Ok(Format::Empty) => Err(FileError::too_short("the file is empty")),
        Ok(Format::LinkerScript) => Err(FileError::new(
            FileErrorKind::NotAnObject,
            "the file is a linker script: text, which the linker follows and the loader refuses",
        )),
        Ok(Format::Other) => {
            Err(FileError::new(FileErrorKind::NotAnObject, "the file is neither ELF nor Mach-O"))
        }
        Err(error) => Err(error.clone()),
    };
    let role = module.as_ref().map_or(Role::Other, |module| role(module));
    let is_for_rules = reading == Reading::Everything;
    let metadata = is_for_rules.then(|| store.fs().metadata(&path).ok()).flatten();
    let has_soname_sibling =
        is_for_rules && module.as_ref().is_ok_and(|module| has_soname_sibling(store.fs(), &path, module));
    TreeFile {
        path,
        shown,
        format,
        slices: module.as_ref().map_or_else(|_| Vec::new(), slices),
        module,
        role,
        metadata,
        search_elements: Vec::new(),
        has_soname_sibling,
        load: None,
        not_loaded: None,
        dyld: Vec::new(),
        is_named,
    }
}

/// The slices of a file that has several.
fn slices(module: &Arc<Module>) -> Vec<Arc<Module>> {
    let further = module.macho().into_iter().flat_map(|macho| &macho.further_slices);
    let further: Vec<Arc<Module>> = further.filter_map(|slice| slice.module.clone().ok()).collect();
    if further.is_empty() {
        return Vec::new();
    }
    std::iter::once(Arc::clone(module)).chain(further).collect()
}

/// Whether the directory of a library has a file of the name that its DT_SONAME says, the library's own name
/// included.
fn has_soname_sibling(fs: &dyn Fs, path: &Path, module: &Module) -> bool {
    // An install name is a path; whoever links the library looks for its last component.
    let is_usable = |soname: &&Name| module.macho().is_some() || !soname.has_slash();
    let soname = module.soname.as_ref().filter(is_usable).and_then(|soname| soname.as_path().file_name());
    let Some(soname) = soname else { return false };
    let has = |path: &Path| {
        path.file_name().is_some_and(|name| name == soname)
            || fs.metadata(&path.with_file_name(soname)).is_ok()
    };
    // A symbolic link from elsewhere, such as /usr/bin/ld.so, is not where anybody looks for the library.
    has(path) || fs.canonicalize(path).is_ok_and(|resolved| has(&resolved))
}

/// Parses a file; even a fault of our own costs that one file and names it.
fn parse_caught(store: &FileStore, path: &Path, facets: Facets) -> Result<Arc<Module>, FileError> {
    let (source, metadata) = store.fs().open(path)?;
    let parsed =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| parse(path, metadata, &*source, facets)));
    let module = parsed
        .unwrap_or_else(|_| Err(FileError::malformed("the reader failed on this file: please report it")))
        .map(Arc::new);
    store.insert(path, metadata, &*source, module.clone());
    module
}

/// What a file is for, by itself.
fn role(module: &Module) -> Role {
    match module.kind {
        ObjectKind::Executable | ObjectKind::PositionIndependentExecutable => return Role::Program,
        ObjectKind::Relocatable | ObjectKind::Core | ObjectKind::Other(_) => return Role::Other,
        ObjectKind::SharedObject => {}
    }
    if module.postgres.get().is_some_and(|facts| !matches!(facts.magic, Magic::Absent)) {
        return Role::Module;
    }
    let has_entry_point = module.symbols.get().is_some_and(|symbols| {
        symbols.exports().any(|symbol| classify(symbol.name(), || false) != SymbolClass::Other)
    });
    let hides_entry_point = module
        .elf()
        .and_then(|elf| elf.sections.get())
        .and_then(|sections| sections.hidden_entry_points.get())
        .is_some_and(|hidden| !hidden.is_empty());
    if has_entry_point || hides_entry_point { Role::Module } else { Role::Library }
}

/// A file without a magic block that some other file of the tree needs is a library, whatever it exports.
fn demote_needed_libraries(files: &mut [TreeFile]) {
    let mut needed: HashSet<FileId> = files
        .iter()
        .filter_map(|file| file.load.as_ref())
        .flat_map(|load| {
            load.process.load_order().filter(|(id, _)| Some(*id) != load.root).map(|(_, object)| object.id())
        })
        .collect();
    for load in files.iter().flat_map(|file| &file.dyld) {
        let images = load.process.iter().flat_map(DyldProcess::images);
        needed.extend(images.filter(|(id, _)| Some(*id) != load.root).filter_map(|(_, image)| image.id()));
    }
    for file in files.iter_mut().filter(|file| file.role == Role::Module) {
        let Ok(module) = &file.module else { continue };
        let has_magic = module.postgres.get().is_some_and(|facts| !matches!(facts.magic, Magic::Absent));
        if !has_magic && needed.contains(&module.id) {
            file.role = Role::Library;
        }
    }
}

/// One environment for each machine that the tree has files of.
struct Environments<'t> {
    fs: &'t dyn Fs,
    settings: &'t Settings,
    known: Vec<(Target, Option<PathBuf>, Arc<LoaderEnv>)>,
}

impl Environments<'_> {
    /// The environment of the loader that a program names; of one for the same machine where a library names none.
    fn of(&mut self, module: &Module) -> Arc<LoaderEnv> {
        let interpreter = interpreter_of(module);
        let known = self.known.iter().find(|(target, known, _)| {
            target.same_machine(module.target) && (interpreter.is_none() || *known == interpreter)
        });
        if let Some((_, _, env)) = known {
            return Arc::clone(env);
        }
        let path = interpreter.as_deref();
        let env = Arc::new(LoaderEnv::read(self.fs, module.target, path, &self.settings.loader));
        self.known.push((module.target, interpreter, Arc::clone(&env)));
        env
    }
}

/// The loader that a file is for: what PT_INTERP says; of a library that needs musl's C library, musl's.
fn interpreter_of(module: &Module) -> Option<PathBuf> {
    if let Some(named) = module.elf()?.interpreter.get() {
        return Some(named.as_path().to_owned());
    }
    let is_musl = |name: &Name| *name == "libc.so" || name.as_bytes().starts_with(b"libc.musl-");
    module
        .needed()
        .iter()
        .any(|dependency| is_musl(&dependency.name))
        .then(|| crate::resolve::musl_interpreter(module.target))
}

/// Loads one file: a module or library into the server, a program or, without a server, anything as its
/// own process.
fn load_file(
    file: &TreeFile,
    store: &Arc<FileStore>,
    env: Arc<LoaderEnv>,
    server: Option<&Process>,
    expected: Option<&MagicBlock>,
    own: &HashSet<FileId>,
) -> Option<Load> {
    let module = file.module.as_ref().ok()?;
    let kind = match file.role {
        Role::Other => return None,
        Role::Program => MainObject::Program,
        Role::Module | Role::Library => match server {
            Some(server) if file.role == Role::Module || server.env().target.same_machine(module.target) => {
                let Attempt { process, root, failure, .. } = server.dlopen(&file.path);
                let verdict = (file.role == Role::Module)
                    .then(|| verdict(&process, root, failure.as_ref(), &file.path, expected));
                let lucky = lucky_edges(&process, Some(server), own);
                return Some(Load { process, root, failure, verdict, lucky });
            }
            Some(_) => return None,
            None => MainObject::Listed,
        },
    };
    // A file that is its own process keeps the name it was given by, as `ld.so --list` does, when the directory that the
    // name starts from is known.
    let path = if env.current_directory.is_some() { &file.shown } else { &file.path };
    let process = Process::start(Arc::clone(store), env, path, kind).ok()?;
    let root = process.find_file(module.id);
    let failure = process.failure().cloned();
    let lucky = lucky_edges(&process, None, own);
    Some(Load { process, root, failure, verdict: None, lucky })
}

/// What loading each file does, until the files before it brought more than one run keeps: three hundred libraries that
/// all need each other are small files, and tens of millions of dependencies.
///
/// What is kept depends on the files alone: a file counts what those before it in path order brought, whichever thread was
/// first.
fn load_all<T: Send>(
    files: &[TreeFile],
    envs: Vec<Option<Arc<LoaderEnv>>>,
    server: Option<&Process>,
    load: impl Fn(&TreeFile, Arc<LoaderEnv>, &Module) -> (Option<Load>, T) + Sync,
) -> Vec<Result<(Option<Load>, T), FileError>>
where
    T: Default,
{
    let load_one = |file: &TreeFile, env: Option<Arc<LoaderEnv>>| match (env, &file.module) {
        (Some(env), Ok(module)) => load(file, env, module),
        _ => (None, T::default()),
    };
    let weight =
        |loaded: &(Option<Load>, T)| loaded.0.as_ref().map_or(0, |load| load.process.weight_since(server));
    let done = AtomicUsize::new(0);
    let in_parallel: Vec<Option<(Option<Load>, T)>> = files
        .par_iter()
        .zip(envs.clone())
        .map(|(file, env)| {
            (done.load(Ordering::Relaxed) <= limits::TREE_EDGES).then(|| {
                let loaded = load_one(file, env);
                done.fetch_add(weight(&loaded), Ordering::Relaxed);
                loaded
            })
        })
        .collect();
    let mut kept = 0;
    in_parallel
        .into_iter()
        .zip(files.iter().zip(envs))
        .map(|(loaded, (file, env))| {
            if kept > limits::TREE_EDGES {
                return Err(FileError::limit(format!(
                    "the files before it bring more than {} libraries and dependencies",
                    limits::TREE_EDGES
                )));
            }
            let loaded = loaded.unwrap_or_else(|| load_one(file, env));
            kept += weight(&loaded);
            Ok(loaded)
        })
        .collect()
}

/// The dependencies of the tree's own files that only an earlier load of something else satisfies.
fn lucky_edges(process: &Process, server: Option<&Process>, own: &HashSet<FileId>) -> Vec<LuckyEdge> {
    if own.is_empty() {
        return Vec::new();
    }
    // What the program itself brings is always there; what was preloaded or came with the module is not.
    let always: HashSet<FileId> = server
        .and_then(|server| Some(server.closure(server.load_order().next()?.0)))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|id| process.object(id))
        .map(crate::resolve::Object::id)
        .collect();
    let mut lucky = Vec::new();
    for (requester, object) in process.load_order() {
        if !own.contains(&object.id()) || server.is_some_and(|server| server.object(requester).is_some()) {
            continue;
        }
        for (edge, wanted) in object.edges().iter().enumerate() {
            let Some(target) = wanted.target.as_ref().ok().and_then(|&id| process.object(id)) else {
                continue;
            };
            if wanted.via != Some(Via::Loaded)
                || wanted.name.has_slash()
                // The loader itself is in every process.
                || target.loader().is_none()
                || always.contains(&target.id())
                || is_found_by_everybody(process, target.path(), &wanted.name)
            {
                continue;
            }
            let (found, searched) = process.search_alone(requester, &wanted.name);
            if found.is_err() {
                lucky.push(LuckyEdge { requester, edge, searched });
            }
        }
    }
    lucky
}

/// Whether the cache or a default directory leads every requester to a path: the common case, answered without a
/// search.
fn is_found_by_everybody(process: &Process, path: &Path, name: &Name) -> bool {
    let env = process.env();
    env.cache.get().and_then(|cache| cache.lookup(name, &env.hwcaps)).is_some_and(|cached| cached == path)
        || (path.file_name().is_some_and(|last| last == name.as_path())
            && path.parent().is_some_and(|directory| env.is_system_directory(directory)))
}

#[cfg(test)]
mod tests {
    use pgsym_testkit::{Kind, SharedObject};

    use super::*;
    use crate::resolve::Libc;
    use crate::rules::testing::{Case, library};

    #[test]
    fn a_program_has_the_loader_that_it_names_whatever_came_before() {
        let program = SharedObject::new()
            .kind(Kind::PieExecutable)
            .interp("/lib/ld-musl-x86_64.so.1")
            .needed("libc.so");
        let case = Case::new()
            .object("/lib/ld-musl-x86_64.so.1", &SharedObject::new().soname("libc.so"))
            .object("a_library.so", &library("a_library.so"))
            .object("tool", &program)
            .settings(|settings| settings.server = ServerChoice::None);
        let tree = case.tree();
        let libc = |name: &str| {
            let file = tree.files().iter().find(|file| file.path.ends_with(name)).unwrap();
            file.load.as_ref().unwrap().process.env().libc
        };
        assert_eq!(libc("tool"), Libc::Musl);
        assert!(matches!(libc("a_library.so"), Libc::Glibc(..)));
    }
}
