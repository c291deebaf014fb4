//! Everything that the extensions of a tree say, read once: which scripts an installation runs, what they declare, and
//! which binary backs each C function. Rules and the `functions` command only look at this value.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::ByteSlice;
use rayon::prelude::*;

use super::catalog::Catalog;
use super::control::{Control, ControlError};
use super::functions::{Library, Status, find_library, status};
use super::library_path::{LibrarySettings, Loader, dlsuffix};
use super::name::{ScriptName, script_name};
use super::places::{Places, SearchSettings, find_places};
use super::script::{Position, SCHEMA, Script, parse_script, read_script, substitutions};
use super::sql::{Declaration, Routine, StandardConformingStrings};
use super::tree::{Extension, Plan, find_extensions, required_schemas};
use super::update_graph::Step;
use crate::discover::Installation;
use crate::error::FileError;
use crate::fs::{FileId, Fs};
use crate::model::Module;
use crate::name::path_bytes;

/// How much of the extensions is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// Nothing: the question is about binaries only.
    Nothing,
    /// The scripts that installing the default versions runs.
    #[default]
    Reachable,
    /// Every script.
    All,
}

/// What to read, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtensionSettings {
    /// How much.
    pub reading: Reading,
    /// Where.
    pub search: SearchSettings,
}

/// The extensions of a tree.
#[derive(Default)]
pub struct Inventory {
    /// Where they, and their modules, were looked for.
    pub places: Places,
    /// The server's message for an `extension_control_path` that it cannot use.
    pub error: Option<String>,
    /// Every extension that the places hold, by name.
    pub extensions: Vec<ExtensionRecord>,
    /// Files with the name of a script for which there is no control file.
    pub orphan_scripts: Vec<PathBuf>,
    /// Every library that a script, or the server's own catalog, names, by what asked for it and by name.
    pub libraries: Vec<Arc<Library>>,
    /// The server's major version that was taken.
    pub major: u32,
}

/// One extension.
pub struct ExtensionRecord {
    /// Its files.
    pub extension: Extension,
    /// Whether the question was about it; others are only there to be required.
    pub in_scope: bool,
    /// The scripts that were read: those of the chain in order, then the others by name.
    pub scripts: Vec<ScriptRecord>,
    /// The C functions, by name, probin and prosrc; those of the installation first.
    pub functions: Vec<Function>,
    /// LOAD statements of the chain.
    pub loads: Vec<LoadStatement>,
    /// The CREATE OPERATOR of the chain that takes an operator from its commutator or negator: the script, the
    /// place in it, and what a server says that looks at that.
    pub operator_error: Option<((PathBuf, Position), String)>,
}

/// One script file.
pub struct ScriptRecord {
    /// What it does.
    pub step: Step,
    /// Where it is.
    pub path: PathBuf,
    /// Whether installing the default version runs it.
    pub is_reachable: bool,
    /// The control parameters in force.
    pub control: Result<Control, ControlError>,
    /// What it says.
    pub script: Result<Arc<Script>, FileError>,
}

/// A C function of an extension.
#[derive(Clone)]
pub struct Function {
    /// The SQL name.
    pub name: Vec<u8>,
    /// The library as SQL names it.
    pub probin: Vec<u8>,
    /// The symbol.
    pub prosrc: Vec<u8>,
    /// The version of the extension: the installed one, or the one that an unreachable script leads to.
    pub version: Vec<u8>,
    /// Whether installing the default version leaves it in the catalog.
    pub is_installed: bool,
    /// The script that declares it last.
    pub script: PathBuf,
    /// Where in the script.
    pub position: Position,
    /// The library.
    pub library: Arc<Library>,
    /// What backs it.
    pub status: Status,
}

/// A LOAD statement.
pub struct LoadStatement {
    /// The script.
    pub script: PathBuf,
    /// Where in the script.
    pub position: Position,
    /// The library.
    pub library: Arc<Library>,
}

/// A module and what it brings, each with the path it was opened by, in the order in which `dlsym` searches.
pub type Objects = Vec<(PathBuf, Arc<Module>)>;

/// What the inventory takes from the tree of binaries.
pub struct Surroundings<'a> {
    /// The files.
    pub fs: &'a dyn Fs,
    /// The paths that were asked about.
    pub roots: &'a [PathBuf],
    /// The directories below them that hold control files.
    pub control_directories: &'a BTreeSet<PathBuf>,
    /// The server's directories.
    pub installation: Option<&'a Installation>,
    /// The major version that modules are for.
    pub major: Option<u32>,
    /// Whether the tree is one of macOS.
    pub is_macos: bool,
    /// The objects of a module's handle: itself and what it brings.
    pub open: &'a (dyn Fn(&Path) -> Objects + Sync),
}

/// The major version that is taken where nothing says one: the newest that is released.
pub(crate) const NEWEST_MAJOR: u32 = 18;

impl Inventory {
    /// Reads the extensions around a tree. Nothing in them stops it: what cannot be read is part of the value.
    pub fn read(around: &Surroundings<'_>, settings: &ExtensionSettings) -> Self {
        if settings.reading == Reading::Nothing {
            return Self::default();
        }
        let fs = around.fs;
        let major = around.major.unwrap_or(NEWEST_MAJOR);
        let places = find_places(around, &settings.search, major);
        let (extensions, error) = find_extensions(fs, &places.control, major);
        let scope = Scope::new(around, &settings.search);
        let jobs: Vec<Job<'_>> = extensions
            .iter()
            .enumerate()
            .filter(|(_, extension)| scope.may_include(extension))
            .flat_map(|(index, extension)| jobs_of(index, extension, settings.reading))
            .collect();
        let scripts = read_scripts(fs, &extensions, jobs, major);

        let library_settings = LibrarySettings {
            libdirs: &places.libdirs,
            dynamic_library_path: &places.dynamic_library_path,
            dlsuffix: dlsuffix(around.is_macos, major),
            major,
        };
        let mut grouped: Vec<Vec<ScriptRecord>> = extensions.iter().map(|_| Vec::new()).collect();
        for (index, script) in scripts {
            if let Some(group) = grouped.get_mut(index) {
                group.push(script);
            }
        }
        for scripts in &mut grouped {
            reread_with_other_strings(fs, scripts, &extensions, major);
        }
        let declared: Vec<Declared> = extensions
            .par_iter()
            .zip(&grouped)
            .map(|(extension, scripts)| declared(extension, scripts))
            .collect();
        let own = server_libraries(around, settings);
        let libraries = find_libraries(around, &library_settings, &declared, &own);
        let mut records: Vec<ExtensionRecord> = extensions
            .into_iter()
            .zip(grouped)
            .zip(declared)
            .map(|((extension, scripts), declared)| {
                let functions = functions(declared.functions, &libraries);
                let in_scope = scope.includes(&extension, &functions);
                let loads = loads(declared.loads, &libraries);
                let operator_error = declared.operator_error;
                ExtensionRecord { extension, in_scope, scripts, functions, loads, operator_error }
            })
            .collect();
        for record in &mut records {
            if !record.in_scope {
                (record.scripts, record.functions, record.loads) = Default::default();
                record.operator_error = None;
            }
        }
        let orphan_scripts = orphan_scripts(fs, &places, &scope, &records);
        let libraries = libraries.into_values().collect();
        Self { places, error, extensions: records, orphan_scripts, libraries, major }
    }

    /// The extensions that the question is about.
    pub fn in_scope(&self) -> impl Iterator<Item = &ExtensionRecord> {
        self.extensions.iter().filter(|record| record.in_scope)
    }

    /// An extension by its name.
    pub fn find(&self, name: &[u8]) -> Option<&ExtensionRecord> {
        let found = self.extensions.binary_search_by(|record| record.extension.name.as_slice().cmp(name));
        self.extensions.get(found.ok()?)
    }
}

/// Which extensions the question is about: those below a root; those of the installation, when a root holds its
/// modules or its control files, which a staging tree of the same layout does not; and those of which a named file is a
/// module.
struct Scope<'a> {
    roots: &'a [PathBuf],
    whole_installation: bool,
    named_modules: Vec<FileId>,
    fs: &'a dyn Fs,
}

impl<'a> Scope<'a> {
    fn new(around: &'a Surroundings<'_>, search: &SearchSettings) -> Self {
        let canonical = |path: &Path| around.fs.canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let parts: Vec<PathBuf> = around
            .installation
            .into_iter()
            .flat_map(|found| [Some(&found.pkglibdir), found.sharedir.as_ref()])
            .flatten()
            .chain(&search.pkglibdir)
            .chain(&search.sharedir)
            .map(|path| canonical(path))
            .collect();
        let roots: Vec<PathBuf> = around.roots.iter().map(|root| canonical(root)).collect();
        let whole_installation = roots.iter().any(|root| parts.iter().any(|part| part.starts_with(root)));
        let named_modules = around
            .roots
            .iter()
            .filter_map(|root| around.fs.metadata(root).ok())
            .filter(|metadata| metadata.kind == crate::fs::FileKind::File)
            .map(|metadata| metadata.id)
            .collect();
        Self { roots: around.roots, whole_installation, named_modules, fs: around.fs }
    }

    fn may_include(&self, extension: &Extension) -> bool {
        !self.named_modules.is_empty() || self.has_place(extension)
    }

    fn has_place(&self, extension: &Extension) -> bool {
        self.has_path(&extension.control_path)
    }

    fn has_path(&self, path: &Path) -> bool {
        self.whole_installation || self.roots.iter().any(|root| path.starts_with(root))
    }

    fn includes(&self, extension: &Extension, functions: &[Function]) -> bool {
        self.has_place(extension)
            || functions.iter().filter_map(|function| function.library.path()).any(|path| {
                self.fs.metadata(path).is_ok_and(|metadata| self.named_modules.contains(&metadata.id))
            })
    }
}

/// Files named `x--….sql` beside control files, where no `x` is an extension.
fn orphan_scripts(
    fs: &dyn Fs,
    places: &Places,
    scope: &Scope<'_>,
    extensions: &[ExtensionRecord],
) -> Vec<PathBuf> {
    let is_known = |name: &[u8]| {
        extensions.binary_search_by(|record| record.extension.name.as_slice().cmp(name)).is_ok()
    };
    let mut found = Vec::new();
    for directory in places.control.iter().filter(|directory| scope.has_path(&directory.path)) {
        for entry in fs.read_dir(&directory.path).unwrap_or_default() {
            let path = directory.path.join(&entry.name);
            let name = path_bytes(Path::new(&entry.name));
            let mut owners = name.find_iter("--").filter_map(|at| name.get(..at)).peekable();
            if name.ends_with(b".sql") && owners.peek().is_some() && !owners.any(is_known) {
                found.push(path);
            }
        }
    }
    found
}

/// A script to read: the extension's index, the step and whether the chain has it.
struct Job<'a> {
    extension: usize,
    step: Step,
    is_reachable: bool,
    of: &'a Extension,
}

fn jobs_of(index: usize, extension: &Extension, reading: Reading) -> Vec<Job<'_>> {
    let chain: &[Step] = match &extension.plan {
        Plan::Chain(chain) => chain,
        _ => &[],
    };
    let job = |step: Step, is_reachable| Job { extension: index, step, is_reachable, of: extension };
    let mut jobs: Vec<Job<'_>> = chain.iter().map(|step| job(step.clone(), true)).collect();
    if reading == Reading::All {
        let files = extension.files.as_deref().unwrap_or_default();
        let others = files.iter().filter_map(|file| match script_name(&extension.name, file)? {
            ScriptName::Install(version) => Some(Step::Install(version.to_vec())),
            ScriptName::Update(from, to) => Some(Step::Update(from.to_vec(), to.to_vec())),
            ScriptName::Ignored => None,
        });
        jobs.extend(others.filter(|step| !chain.contains(step)).map(|step| job(step, false)));
    }
    jobs
}

/// Reads the scripts in parallel, each file once: the same file under another name, with the same replacements,
/// says the same.
fn read_scripts(
    fs: &dyn Fs,
    extensions: &[Extension],
    jobs: Vec<Job<'_>>,
    major: u32,
) -> Vec<(usize, ScriptRecord)> {
    type Key = (FileId, Control, Vec<(Vec<u8>, Vec<u8>)>);
    let prepared: Vec<_> = jobs
        .into_par_iter()
        .map(|job| {
            let path = job.of.script_path(&job.step);
            let control = job.of.control_for(fs, &job.step, major);
            let key: Option<Key> = control.as_ref().ok().and_then(|control| {
                let schemas = required_schemas(control, extensions, major);
                Some((fs.metadata(&path).ok()?.id, without_places(control), schemas))
            });
            (job, path, control, key)
        })
        .collect();
    let mut first: HashMap<&Key, usize> = HashMap::new();
    let source: Vec<usize> = prepared
        .iter()
        .enumerate()
        .map(|(index, (.., key))| key.as_ref().map_or(index, |key| *first.entry(key).or_insert(index)))
        .collect();
    let read: Vec<Option<Result<Arc<Script>, FileError>>> = prepared
        .par_iter()
        .enumerate()
        .map(|(index, (_, path, control, key))| {
            if source.get(index) != Some(&index) {
                return None;
            }
            // The scripts of an extension whose control file is broken are read all the same, as if it were empty.
            let default = Control::default();
            let control = control.as_ref().unwrap_or(&default);
            let schemas = key.as_ref().map(|(.., schemas)| schemas.as_slice()).unwrap_or_default();
            Some(read_script(fs, path).map(|bytes| {
                let values = substitutions(control, schemas);
                let strings = StandardConformingStrings::On;
                Arc::new(parse_script(&bytes, &values, control.encoding.as_deref(), strings))
            }))
        })
        .collect();
    prepared
        .into_iter()
        .zip(source)
        .filter_map(|((job, path, control, _), source)| {
            let script = read.get(source)?.clone()?;
            let record =
                ScriptRecord { step: job.step, path, is_reachable: job.is_reachable, control, script };
            Some((job.extension, record))
        })
        .collect()
}

/// Reads again what an earlier script of the chain makes the server read differently: `SET
/// standard_conforming_strings` outlives the script that says it.
fn reread_with_other_strings(
    fs: &dyn Fs,
    scripts: &mut [ScriptRecord],
    extensions: &[Extension],
    major: u32,
) {
    let mut strings = StandardConformingStrings::On;
    for record in scripts.iter_mut().filter(|record| record.is_reachable) {
        if strings == StandardConformingStrings::Off
            && let Ok(control) = &record.control
        {
            let schemas = required_schemas(control, extensions, major);
            record.script = read_script(fs, &record.path).map(|bytes| {
                let values = substitutions(control, &schemas);
                Arc::new(parse_script(&bytes, &values, control.encoding.as_deref(), strings))
            });
        }
        let declarations = record.script.iter().flat_map(|script| &script.declarations);
        for (_, declaration) in declarations {
            if let Declaration::SetStandardConformingStrings(setting) = declaration {
                strings = *setting;
            }
        }
    }
}

/// The parameters without the places where they were said, which do not change what a script says.
fn without_places(control: &Control) -> Control {
    Control {
        requires_place: None,
        default_version_place: None,
        module_pathname_place: None,
        comment: None,
        ..control.clone()
    }
}

/// What an extension's scripts declare, before anything is looked up.
struct Declared {
    functions: Vec<DeclaredFunction>,
    loads: Vec<(PathBuf, Position, Vec<u8>)>,
    operator_error: Option<((PathBuf, Position), String)>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct DeclaredFunction {
    is_unreachable: bool,
    name: Vec<u8>,
    probin: Vec<u8>,
    prosrc: Vec<u8>,
    version: Vec<u8>,
    script: PathBuf,
    position: Position,
}

fn declared(extension: &Extension, scripts: &[ScriptRecord]) -> Declared {
    let control = extension.control.as_ref().ok();
    let schema = control.and_then(|control| control.schema.as_deref()).unwrap_or(SCHEMA);
    let mut catalog: Catalog<(PathBuf, Position)> = Catalog::new(&extension.name, schema);
    let mut found = Declared { functions: Vec::new(), loads: Vec::new(), operator_error: None };
    let mut installed_version = Vec::new();
    for record in scripts {
        let Ok(script) = &record.script else { continue };
        catalog.begin_script();
        for (position, declaration) in &script.declarations {
            if let Declaration::Load { file, .. } = declaration
                && record.is_reachable
            {
                found.loads.push((record.path.clone(), *position, file.clone()));
            }
            match declaration {
                declaration if record.is_reachable => {
                    catalog.apply(declaration, (record.path.clone(), *position));
                }
                Declaration::Create(routine) => {
                    found.functions.extend(unreachable_function(routine, record, *position));
                }
                _ => {}
            }
        }
        if record.is_reachable {
            installed_version = record.step.version().to_vec();
        }
    }
    for member in catalog.members() {
        let Some((probin, prosrc)) = &member.link else { continue };
        found.functions.push(DeclaredFunction {
            is_unreachable: false,
            name: member.name.clone(),
            probin: probin.clone(),
            prosrc: prosrc.clone(),
            version: installed_version.clone(),
            script: member.place.0.clone(),
            position: member.place.1,
        });
    }
    found.operator_error = catalog.operator_error().cloned();
    // One entry per name, probin and prosrc: overloads share it, and the installation's entry stands for the
    // older scripts' too.
    found.functions.sort();
    let key = |f: &DeclaredFunction| (f.name.clone(), f.probin.clone(), f.prosrc.clone());
    let mut seen = std::collections::HashSet::new();
    found.functions.retain(|function| seen.insert(key(function)));
    found
}

fn unreachable_function(
    routine: &Routine,
    record: &ScriptRecord,
    position: Position,
) -> Option<DeclaredFunction> {
    let (probin, prosrc) = routine.c_link()?;
    Some(DeclaredFunction {
        is_unreachable: true,
        name: routine.name.clone(),
        probin: probin.to_vec(),
        prosrc: prosrc.to_vec(),
        version: record.step.version().to_vec(),
        script: record.path.clone(),
        position,
    })
}

/// Libraries that the server's own catalog names from the start: encoding conversions in `postgres.bki`, the Snowball
/// stemmer in `snowball_create.sql`.
fn server_libraries(around: &Surroundings<'_>, settings: &ExtensionSettings) -> Vec<Vec<u8>> {
    const LIBDIR: &[u8] = b"$libdir/";
    let sharedir = settings.search.sharedir.as_ref();
    let sharedir = sharedir.or_else(|| around.installation.and_then(|found| found.sharedir.as_ref()));
    let mut names = BTreeSet::new();
    for file in
        sharedir.iter().flat_map(|dir| ["postgres.bki", "snowball_create.sql"].map(|name| dir.join(name)))
    {
        let Ok(bytes) = read_script(around.fs, &file) else { continue };
        for at in bytes.find_iter(LIBDIR) {
            let rest = bytes.get(at + LIBDIR.len()..).unwrap_or_default();
            let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_-.".contains(b)).count();
            names.insert([LIBDIR, rest.get(..length).unwrap_or_default()].concat());
        }
    }
    names.into_iter().collect()
}

type Libraries = BTreeMap<(LoaderKey, Vec<u8>), Arc<Library>>;

/// [`Loader`] as a key: only 18 and later tell the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LoaderKey {
    Function,
    File,
}

fn find_libraries(
    around: &Surroundings<'_>,
    settings: &LibrarySettings<'_>,
    declared: &[Declared],
    own: &[Vec<u8>],
) -> Libraries {
    let own = own.iter().map(|name| (LoaderKey::Function, name.as_slice()));
    let mut names: Vec<(LoaderKey, &[u8])> = declared
        .iter()
        .flat_map(|declared| {
            let functions = declared.functions.iter().map(|f| (LoaderKey::Function, f.probin.as_slice()));
            let loads = declared.loads.iter().map(|(.., name)| (LoaderKey::File, name.as_slice()));
            functions.chain(loads)
        })
        .chain(own)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_par_iter()
        .map(|(key, name)| {
            let loader = match key {
                LoaderKey::Function => Loader::ExternalFunction,
                LoaderKey::File => Loader::File,
            };
            let library = find_library(around.fs, settings, loader, name, |path| (around.open)(path));
            ((key, name.to_vec()), Arc::new(library))
        })
        .collect()
}

fn functions(declared: Vec<DeclaredFunction>, libraries: &Libraries) -> Vec<Function> {
    declared
        .into_iter()
        .filter_map(|function| {
            let library = libraries.get(&(LoaderKey::Function, function.probin.clone()))?;
            Some(Function {
                status: status(library, &function.prosrc),
                library: Arc::clone(library),
                name: function.name,
                probin: function.probin,
                prosrc: function.prosrc,
                version: function.version,
                is_installed: !function.is_unreachable,
                script: function.script,
                position: function.position,
            })
        })
        .collect()
}

fn loads(declared: Vec<(PathBuf, Position, Vec<u8>)>, libraries: &Libraries) -> Vec<LoadStatement> {
    declared
        .into_iter()
        .filter_map(|(script, position, name)| {
            let library = Arc::clone(libraries.get(&(LoaderKey::File, name))?);
            Some(LoadStatement { script, position, library })
        })
        .collect()
}
