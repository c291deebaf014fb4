//! Everything that the extensions of a tree say, read once: which scripts an installation runs, what they declare, and
//! which binary backs each C function. Rules and the `functions` command only look at this value.

mod declared;
mod libraries;
mod reopened;
mod requires;
mod run;
mod scope;
mod scripts;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use self::declared::{Declared, declared};
use self::libraries::{find_libraries, functions, library_at, loads, server_libraries};
pub use self::requires::{Cycle, ExtensionKey, Required};
pub use self::run::Run;
use self::scope::{Scope, orphan_scripts};
use self::scripts::{Job, jobs_of, jobs_of_chain, read_scripts, reread_with_other_strings};
use super::catalog::Guard;
use super::control::{Control, ControlError};
use super::functions::{Library, Opened, Status};
use super::library_path::Loader;
use super::places::{Places, SearchSettings, Site, find_places};
use super::script::{Position, Script};
use super::tree::{Extension, find_extensions, find_from};
use super::update_graph::Step;
use crate::discover::Installation;
use crate::error::FileError;
use crate::fs::Fs;
use crate::hash::HashSet;

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
    /// Every extension that the places hold, by name and site.
    pub extensions: Vec<ExtensionRecord>,
    /// Files with the name of a script for which there is no control file.
    pub orphan_scripts: Vec<PathBuf>,
    /// Every library that a script, or the server's own catalog, names, by what asked for it and by name.
    pub libraries: Vec<Arc<Library>>,
    /// Those that the server's own catalog names from the start (encoding conversions, Snowball), as it names them.
    pub own_libraries: Vec<Vec<u8>>,
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
    /// The C functions, by name, probin and prosrc; those that an installation leaves first, then those that it creates
    /// on the way.
    pub functions: Vec<Function>,
    /// LOAD statements of the scripts that were read, those of the chain first.
    pub loads: Vec<LoadStatement>,
    /// The CREATE OPERATOR statements of the chain that servers refuse; [`Guard::Shell`] goes before.
    pub operator_errors: Vec<OperatorError>,
}

/// A CREATE OPERATOR that servers refuse.
pub struct OperatorError {
    /// The script.
    pub script: PathBuf,
    /// Where in the script.
    pub position: Position,
    /// Which servers.
    pub guard: Guard,
    /// What they say.
    pub message: String,
}

/// One script file.
pub struct ScriptRecord {
    /// What it does.
    pub step: Step,
    /// Where it is.
    pub path: PathBuf,
    /// Who runs it.
    pub run: Run,
    /// The control parameters in force.
    pub control: Result<Control, ControlError>,
    /// What it says.
    pub script: Result<Arc<Script>, FileError>,
}

impl ScriptRecord {
    /// Whether the command that was asked about runs it: CREATE EXTENSION, which installs the default version.
    pub fn is_reachable(&self) -> bool {
        self.run == Run::Asked
    }
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
    /// Whether installing the default version creates it, though a later statement may drop or replace it.
    pub is_created: bool,
    /// The script that declares it last.
    pub script: PathBuf,
    /// Where in the script.
    pub position: Position,
    /// Where installing the default version does not create it: the other scripts that declare it.
    pub others: Vec<PathBuf>,
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
    /// Whether installing the default version runs it.
    pub is_run: bool,
    /// The library.
    pub library: Arc<Library>,
}

/// What the inventory takes from the tree of binaries.
pub(crate) struct Surroundings<'a> {
    /// The files.
    pub(crate) fs: &'a dyn Fs,
    /// The paths that were asked about.
    pub(crate) roots: &'a [PathBuf],
    /// The directories below them that hold control files.
    pub(crate) control_directories: &'a BTreeSet<PathBuf>,
    /// The server's directories.
    pub(crate) installation: Option<&'a Installation>,
    /// The major version that modules are for.
    pub(crate) major: Option<u32>,
    /// Whether the tree is one of macOS.
    pub(crate) is_macos: bool,
}

/// What opening modules one after the other comes to, up to the first that the server refuses.
pub(crate) type Open<'a> = &'a (dyn Fn(&[PathBuf]) -> Vec<Opened> + Sync);

/// The major version that is taken where nothing says one: the newest that is released.
pub(crate) const NEWEST_MAJOR: u32 = 18;

/// What the extensions around a tree declare, before any binary is asked for it: half of the work, which needs no module.
#[derive(Default)]
pub(crate) struct Declarations {
    places: Places,
    error: Option<String>,
    scope: Scope,
    extensions: Vec<Extension>,
    /// Of each extension.
    scripts: Vec<Vec<ScriptRecord>>,
    /// Of each extension.
    declared: Vec<Declared>,
    /// The libraries that the catalogs of servers name, with the site.
    own: Vec<(usize, Vec<u8>)>,
    major: u32,
}

impl Declarations {
    /// Reads them. Nothing in them stops it: what cannot be read is part of the value.
    pub(crate) fn read(around: &Surroundings<'_>, settings: &ExtensionSettings) -> Self {
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
        let scripts = Self::read_all(around, &extensions, jobs, major);
        let declared = extensions
            .par_iter()
            .zip(&scripts)
            .map(|(extension, scripts)| declared(extension, scripts))
            .collect();
        let own = server_libraries(fs, &places.sites);
        Self { places, error, scope, extensions, scripts, declared, own, major }
    }

    /// Reads these chains in place of those of an installation. Whatever the chains do not have is not read.
    pub(crate) fn of_chains(
        around: &Surroundings<'_>,
        search: &SearchSettings,
        chain: &dyn Fn(&Extension) -> Vec<Step>,
    ) -> Self {
        let major = around.major.unwrap_or(NEWEST_MAJOR);
        let places = find_places(around, search, major);
        let (extensions, error) = find_extensions(around.fs, &places.control, major);
        let jobs: Vec<Job<'_>> = extensions
            .iter()
            .enumerate()
            .flat_map(|(index, extension)| jobs_of_chain(index, extension, chain(extension)))
            .collect();
        let scripts = Self::read_all(around, &extensions, jobs, major);
        let declared = extensions
            .iter()
            .zip(&scripts)
            .map(|(extension, scripts)| declared(extension, scripts))
            .collect();
        let scope = Scope::new(around, search);
        Self { places, error, scope, extensions, scripts, declared, own: Vec::new(), major }
    }

    /// The scripts of each extension.
    fn read_all(
        around: &Surroundings<'_>,
        extensions: &[Extension],
        jobs: Vec<Job<'_>>,
        major: u32,
    ) -> Vec<Vec<ScriptRecord>> {
        let fs = around.fs;
        let mut scripts: Vec<Vec<ScriptRecord>> = extensions.iter().map(|_| Vec::new()).collect();
        for (index, script) in read_scripts(fs, extensions, jobs, major, around.major) {
            if let Some(scripts) = scripts.get_mut(index) {
                scripts.push(script);
            }
        }
        for (extension, scripts) in extensions.iter().zip(&mut scripts) {
            reread_with_other_strings(fs, scripts, extensions, extension.site, major, around.major);
        }
        scripts
    }

    /// Looks for the binaries behind what they declare.
    pub(crate) fn backed_by(self, around: &Surroundings<'_>, open: Open<'_>) -> Inventory {
        let Self { places, error, scope, extensions, scripts, declared, own, major } = self;
        let declared_at = extensions.iter().map(|extension| extension.site).zip(&declared);
        let declared_at: Vec<(usize, &Declared)> = declared_at.collect();
        let libraries = find_libraries(around, open, &places.sites, &declared_at, &own, major);
        let mut records: Vec<ExtensionRecord> = extensions
            .into_par_iter()
            .zip(scripts)
            .zip(declared)
            .map(|((extension, scripts), declared)| {
                let site = extension.site;
                let functions = functions(declared.functions, site, &libraries);
                let in_scope = scope.includes(around.fs, &extension, &functions);
                let loads = loads(declared.loads, site, &libraries);
                let operator_errors = declared.operator_errors;
                ExtensionRecord { extension, in_scope, scripts, functions, loads, operator_errors }
            })
            .collect();
        for record in &mut records {
            if !record.in_scope {
                (record.scripts, record.functions, record.loads) = Default::default();
                record.operator_errors.clear();
            }
        }
        let orphan_scripts = orphan_scripts(around.fs, &places, &scope, &records);
        // Two sites that find the same for a name are one answer.
        let mut answers = HashSet::default();
        let libraries = libraries.into_values().filter(|library| {
            let tried = library.expansion.as_ref().map(|found| (found.found, found.path.clone()));
            let (name, hidden) = (library.name.clone(), library.hidden.clone());
            answers.insert((name, tried.map_err(Clone::clone), hidden, library.defeated.clone()))
        });
        let libraries = libraries.collect();
        let mut own_libraries: Vec<Vec<u8>> = own.into_iter().map(|(_, name)| name).collect();
        own_libraries.dedup();
        let mut inventory =
            Inventory { places, error, extensions: records, orphan_scripts, libraries, own_libraries, major };
        inventory.open_again(open);
        inventory
    }
}

impl Inventory {
    /// What the extensions of a site mean by a name of a library, whether or not one of their scripts has it.
    pub(crate) fn library(
        &self,
        around: &Surroundings<'_>,
        open: Open<'_>,
        site: usize,
        probin: &[u8],
    ) -> Option<Library> {
        let site = self.places.sites.get(site)?;
        Some(library_at(around, open, site, Loader::ExternalFunction, probin, self.major))
    }

    /// The extensions that the question is about.
    pub fn in_scope(&self) -> impl Iterator<Item = &ExtensionRecord> {
        self.extensions.iter().filter(|record| record.in_scope)
    }

    /// The extension that another one means by a name.
    pub fn find(&self, name: &[u8], from: &ExtensionRecord) -> Option<&ExtensionRecord> {
        let is_open = |site: usize| !self.places.sites.get(site).is_some_and(|site| site.is_installation);
        find_from(&self.extensions, |record| &record.extension, name, from.extension.site, is_open)
    }

    /// What an extension sees.
    pub fn site(&self, record: &ExtensionRecord) -> &Site {
        const NOTHING: &Site = &Site::NOTHING;
        self.places.sites.get(record.extension.site).unwrap_or(NOTHING)
    }
}
