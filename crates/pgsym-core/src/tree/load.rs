//! What loading each file of a tree does: into the server's process, or as a process of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::{Role, Settings, TreeFile};
use crate::error::FileError;
use crate::fs::{FileId, Fs};
use crate::hash::HashSet;
use crate::limits;
use crate::model::{Module, Symbol, Target};
use crate::name::Name;
use crate::postgres::{MagicBlock, Profile, Verdict, verdict};
use crate::resolve::{
    Attempt, FileStore, LoadError, LoadErrorKind, LoaderEnv, MainObject, ObjectId, Probe, Process, Via,
};

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

/// One environment for each machine that the tree has files of.
pub(super) struct Environments<'t> {
    pub(super) fs: &'t dyn Fs,
    pub(super) settings: &'t Settings,
    pub(super) known: Vec<(Target, Option<PathBuf>, Arc<LoaderEnv>)>,
}

impl Environments<'_> {
    /// The environment of the loader that a program names; of one for the same machine where a library names none.
    pub(super) fn of(&mut self, module: &Module) -> Arc<LoaderEnv> {
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
pub(super) fn interpreter_of(module: &Module) -> Option<PathBuf> {
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
pub(super) fn load_file(
    file: &TreeFile,
    store: &Arc<FileStore>,
    env: Arc<LoaderEnv>,
    server: Option<&Process>,
    expected: Option<&MagicBlock>,
    is_built_in: bool,
    own: &HashSet<FileId>,
) -> Option<Load> {
    let module = file.module.as_ref().ok()?;
    let kind = match file.role {
        Role::Other => return None,
        Role::Program => MainObject::Program,
        Role::Module | Role::Library => match server {
            Some(server) if file.role == Role::Module || server.env().target.same_machine(module.target) => {
                let Attempt { process, root, mut failure, .. } = server.dlopen(&file.path);
                if let Some(error) = failure.as_mut().filter(|_| is_built_in) {
                    doubt(&process, error);
                }
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

/// A built-in server is of one minor release. Later ones add functions, as 15.20 did with `heap_datum_check`: a symbol that no
/// built-in server of any major has may be one of them. Names of C++ and names with a version are none.
pub(super) fn doubt(process: &Process, error: &mut LoadError) {
    let Some(requester) = error.requester.filter(|_| error.kind == LoadErrorKind::UndefinedSymbol) else {
        return;
    };
    let may_be_later = |symbol: Symbol<'_>| {
        symbol.version().is_none()
            && !symbol.name().starts_with(b"_Z")
            && !Profile::any_exports(symbol.name())
    };
    let bindings = process.bindings(requester);
    let mut unresolved = bindings.iter().filter(|binding| binding.is_unresolved());
    if unresolved.all(|binding| may_be_later(binding.reference.symbol)) {
        error.kind = LoadErrorKind::LaterMinor;
    }
}

/// What loading each file does, until the files before it brought more than one run keeps: three hundred libraries that
/// all need each other are small files, and tens of millions of dependencies.
///
/// What is kept depends on the files alone: a file counts what those before it in path order brought, whichever thread was
/// first.
pub(super) fn load_all<T: Send + Default>(
    files: &[TreeFile],
    envs: Vec<Option<Arc<LoaderEnv>>>,
    server: Option<&Process>,
    load: impl Fn(&TreeFile, Arc<LoaderEnv>, &Module) -> (Option<Load>, T) + Sync,
) -> Vec<Result<(Option<Load>, T), FileError>> {
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

    use crate::resolve::Libc;
    use crate::rules::testing::{Case, library};
    use crate::tree::ServerChoice;

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
