//! The binaries of a tree: each parsed, then loaded into the server's process or as a process of its own.

use std::sync::Arc;

use rayon::prelude::*;

use super::dyld::{self, DyldLoad, chosen_slice};
use super::file::{TreeFile, demote_needed_libraries, parse_all};
use super::load::{Environments, interpreter_of, load_all, load_file};
use super::server::{Server, ServerSource, start_server};
use super::settings::{Reading, Settings};
use crate::discover::Candidate;
use crate::error::Error;
use crate::fs::FileId;
use crate::hash::HashSet;
use crate::model::Module;
use crate::resolve::dyld::DyldProcess;
use crate::resolve::{FileStore, LoaderEnv, Process, elements_of};

/// The files of a tree and the processes that they were loaded into.
pub(super) struct Loaded {
    pub(super) files: Vec<TreeFile>,
    /// The server's, before any of the files.
    pub(super) process: Option<Process>,
    /// What the loader says where the server does not start.
    pub(super) start_refused: Option<String>,
    /// The server's if it is a Mach-O file.
    pub(super) dyld_processes: Vec<DyldProcess>,
}

impl Loaded {
    /// Parses and loads every candidate. Fails only where the server cannot be modelled.
    pub(super) fn new(
        store: &Arc<FileStore>,
        server: Option<&Server>,
        candidates: Vec<Candidate>,
        settings: &Settings,
    ) -> Result<Self, Error> {
        let mut files = parse_all(store, candidates, settings);
        let elf_server = server.filter(|server| server.module.elf().is_some());
        let started = elf_server.map(|server| start_server(store, server, settings)).transpose()?;
        let (process, start_refused) = started.map_or((None, None), |(process, why)| (Some(process), why));
        let dyld_processes = match server {
            Some(server) => dyld::start_servers(store, server, settings)?,
            None => Vec::new(),
        };
        for file in &mut files {
            if let Ok(module) = &mut file.module {
                *module = chosen_slice(module, settings, &dyld_processes);
            }
        }
        load_files(&mut files, store, server, process.as_ref(), settings);
        let expected = server.and_then(|server| server.facts.magic.as_ref());
        let dyld_loads: Vec<Vec<DyldLoad>> = files
            .par_iter()
            .map(|file| dyld::load(file, store, settings, &dyld_processes, expected))
            .collect();
        for (file, loads) in files.iter_mut().zip(dyld_loads) {
            file.dyld = loads;
        }
        demote_needed_libraries(&mut files);
        Ok(Self { files, process, start_refused, dyld_processes })
    }
}

/// Loads the ELF files.
fn load_files(
    files: &mut [TreeFile],
    store: &Arc<FileStore>,
    server: Option<&Server>,
    process: Option<&Process>,
    settings: &Settings,
) {
    let mut envs = Environments { fs: store.fs(), settings, known: Vec::new() };
    if let Some(process) = process {
        let interpreter = server.and_then(|server| interpreter_of(&server.module));
        // What is known of the server's own file is of no other program's.
        let env = LoaderEnv { described: None, ..process.env().clone() };
        envs.known.push((env.target, interpreter, Arc::new(env)));
    }
    let env_of: Vec<Option<Arc<LoaderEnv>>> = files
        .iter()
        .map(|file| file.module.as_ref().ok().filter(|module| module.elf().is_some()))
        .map(|module| module.map(|module| envs.of(module)))
        .collect();
    let expected = server.and_then(|server| server.facts.magic.as_ref());
    let is_built_in = server.is_some_and(|server| server.source == ServerSource::BuiltIn);
    // Luck is looked for at the tree's own files, where somebody asks.
    let own: HashSet<FileId> = match settings.reading {
        Reading::Everything => {
            files.iter().filter_map(|file| file.module.as_ref().ok()).map(|module| module.id).collect()
        }
        Reading::Loading | Reading::Comparing | Reading::Links => HashSet::default(),
    };
    let load = |file: &TreeFile, env: Arc<LoaderEnv>, module: &Module| {
        let elements = match settings.reading {
            Reading::Everything => elements_of(module, &file.path, &env, store),
            Reading::Loading | Reading::Comparing | Reading::Links => Vec::new(),
        };
        let load = load_file(file, store, env, process, expected, is_built_in, &own);
        (load, elements)
    };
    let loaded = load_all(files, env_of, process, load);
    for (file, loaded) in files.iter_mut().zip(loaded) {
        match loaded {
            Ok((load, elements)) => (file.load, file.search_elements) = (load, elements),
            Err(error) => file.not_loaded = Some(error),
        }
    }
}
