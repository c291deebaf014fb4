//! The Mach-O side of a tree: one process for each architecture that the server has, and what loading each file
//! into it does. A tree may mix formats; a file is only ever loaded by a process of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Reading, Role, Server, Settings, TreeFile};
use crate::error::Error;
use crate::model::{MachArch, Module};
use crate::name::path_from_bytes;
use crate::postgres::{MagicBlock, Verdict, dyld_verdict};
use crate::resolve::FileStore;
use crate::resolve::dyld::{DyldAttempt, DyldEnv, DyldProcess, ImageId, SystemLibraries, slice_for};

/// What loading a Mach-O file does, for one architecture.
pub struct DyldLoad {
    /// What the process runs as.
    pub arch: MachArch,
    /// The process afterwards; none where the file cannot even be the program of one.
    pub process: Option<DyldProcess>,
    /// The file's image in it.
    pub root: Option<ImageId>,
    /// How many of its images were there before.
    pub before: usize,
    /// The failure that dyld tells of, in its words.
    pub failure: Option<String>,
    /// What the server says; for a module only.
    pub verdict: Option<Verdict>,
    /// Whether a server loads it, rather than the file being its own process.
    pub in_server: bool,
}

/// The architectures of a tree's file, in file order.
pub(crate) fn architectures_of(file: &TreeFile) -> Vec<MachArch> {
    if file.slices.is_empty() {
        return file.module.as_ref().map_or_else(|_| Vec::new(), |module| architectures(module));
    }
    file.slices.iter().filter_map(|slice| Some(slice.macho()?.slice.arch)).collect()
}

/// The architectures that a Mach-O file has, in file order; of one slice, its own.
fn architectures(module: &Module) -> Vec<MachArch> {
    let Some(macho) = module.macho() else { return Vec::new() };
    let further = macho.further_slices.iter().filter(|slice| slice.module.is_ok());
    std::iter::once(macho.slice.arch).chain(further.map(|slice| slice.arch)).collect()
}

/// The environment of a process of an architecture.
fn environment(store: &Arc<FileStore>, settings: &Settings, arch: MachArch) -> Arc<DyldEnv> {
    let split = |list: &[u8]| -> Vec<PathBuf> {
        list.split(|&byte| byte == b':')
            .filter(|directory| !directory.is_empty())
            .map(|directory| path_from_bytes(directory.to_vec()))
            .collect()
    };
    let system = match &settings.sdk {
        Some(directory) => SystemLibraries::Sdk(store.sdk(directory)),
        None => SystemLibraries::ByPrefix,
    };
    Arc::new(DyldEnv {
        library_path: settings
            .loader
            .library_path
            .as_ref()
            .map_or_else(Vec::new, |list| split(list.as_bytes())),
        current_directory: settings.loader.current_directory.clone(),
        system,
        ..DyldEnv::new(arch)
    })
}

/// Starts the server once for each of its architectures, or for the one that was asked for, and loads what it
/// preloads; nothing for a server that is no Mach-O file.
pub(crate) fn start_servers(
    store: &Arc<FileStore>,
    server: &Server,
    settings: &Settings,
) -> Result<Vec<DyldProcess>, Error> {
    let refuse = |seen: String| Error::Path {
        what: "cannot model the server",
        path: server.installation.server.clone(),
        seen,
        advice: "name another one with --server",
    };
    let mut processes = Vec::new();
    for arch in architectures(&server.module) {
        if settings.arch.is_some_and(|wanted| arch.grade(wanted).is_none()) {
            continue;
        }
        let env = environment(store, settings, arch);
        let path = &server.installation.server;
        let mut process = DyldProcess::start(Arc::clone(store), env, path).map_err(refuse)?;
        let expected = server.facts.magic.as_ref();
        for name in &settings.preload {
            let path = super::preload::path(store.fs(), server, settings, name)?;
            let DyldAttempt { process: after, root, failure, .. } = process.dlopen(&path);
            // Without symbols nobody knows of a magic block.
            if settings.reading != Reading::Links || failure.is_some() {
                super::preload::accept(
                    name,
                    dyld_verdict(&after, root, failure.as_deref(), &path, expected),
                )?;
            }
            process = after;
        }
        processes.push(process);
    }
    match (processes.is_empty(), settings.arch) {
        (true, Some(arch)) if server.module.macho().is_some() => {
            Err(refuse(format!("it has no {arch} slice")))
        }
        _ => Ok(processes),
    }
}

/// Loads one file: a module or library into each server process, a program or, without a server, anything as its
/// own process for each of its slices.
pub(crate) fn load(
    file: &TreeFile,
    store: &Arc<FileStore>,
    settings: &Settings,
    servers: &[DyldProcess],
    expected: Option<&MagicBlock>,
) -> Vec<DyldLoad> {
    let Ok(module) = &file.module else { return Vec::new() };
    if module.macho().is_none() || file.role == Role::Other {
        return Vec::new();
    }
    if file.role != Role::Program && !servers.is_empty() {
        return servers.iter().map(|server| in_server(file, server, expected)).collect();
    }
    architectures_of(file)
        .into_iter()
        .filter(|arch| settings.arch.is_none_or(|wanted| arch.grade(wanted).is_some()))
        .map(|arch| alone(&file.path, module, arch, store, settings))
        .collect()
}

fn in_server(file: &TreeFile, server: &DyldProcess, expected: Option<&MagicBlock>) -> DyldLoad {
    let attempt = server.dlopen(&file.path);
    let (process, root, failure) = (attempt.process, attempt.root, attempt.failure);
    let verdict = (file.role == Role::Module)
        .then(|| dyld_verdict(&process, root, failure.as_deref(), &file.path, expected));
    let arch = process.env().arch;
    DyldLoad { arch, process: Some(process), root, before: attempt.before, failure, verdict, in_server: true }
}

fn alone(
    path: &Path,
    module: &Arc<Module>,
    arch: MachArch,
    store: &Arc<FileStore>,
    settings: &Settings,
) -> DyldLoad {
    let env = environment(store, settings, arch);
    match DyldProcess::start(Arc::clone(store), env, path) {
        Ok(process) => DyldLoad {
            arch,
            root: process.find_file(module.id),
            failure: process.failure().map(str::to_owned),
            process: Some(process),
            before: 0,
            verdict: None,
            in_server: false,
        },
        Err(failure) => DyldLoad {
            arch,
            process: None,
            root: None,
            before: 0,
            failure: Some(failure),
            verdict: None,
            in_server: false,
        },
    }
}

/// The slice that a tree shows of a file: that of the first server process which can load it, or of the architecture
/// that was asked for, or the first.
pub(crate) fn chosen_slice(
    module: &Arc<Module>,
    settings: &Settings,
    servers: &[DyldProcess],
) -> Arc<Module> {
    let mut wanted = settings.arch.into_iter().chain(servers.iter().map(|server| server.env().arch));
    wanted.find_map(|arch| slice_for(module, arch)).unwrap_or_else(|| Arc::clone(module))
}
