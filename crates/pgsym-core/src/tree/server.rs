//! The server of a tree: found by its layout, named, read from a profile or built in; its process with what it preloads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Reading, ServerChoice, Settings, preload};
use crate::discover::{
    Candidate, Format, Installation, Installations, installations_below, server_at, serving,
};
use crate::error::{Error, FileErrorKind};
use crate::fs::{FileKind, Fs, Metadata};
use crate::limits;
use crate::model::{Module, Target};
use crate::name::{Name, shown_path};
use crate::parse::{Facets, parse};
use crate::postgres::{Profile, ServerFacts, profile, verdict};
use crate::resolve::{Attempt, Described, FileStore, Libc, LoadErrorKind, LoaderEnv, MainObject, Process};
use crate::source::read_range;

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
    /// What a profile knows beside that.
    pub(crate) described: Option<Described>,
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

pub(super) fn find_server(
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
            let mut installations = Installations::new(fs);
            let around = roots.iter().find_map(|root| installations.above(root)).or_else(below);
            profile.sharedir = around.as_ref().and_then(|around| around.sharedir.clone());
            profile.pkglibdir = around
                .map(|around| around.pkglibdir)
                .or_else(|| module_directory(fs, candidates, roots.first()?));
            let path = PathBuf::from(format!("/built-in/postgres-{major}"));
            let server = enter_profile(store, profile, &path, settings);
            return Ok(Some(Server { source: ServerSource::BuiltIn, ..server }));
        }
        ServerChoice::Detect | ServerChoice::DetectOr(_) => {
            let mut above = installations_above(fs, roots, candidates);
            match above.len() {
                1 => above.swap_remove(0),
                _ => return Ok(None),
            }
        }
    };
    let mut server = match read_server(store, installation) {
        // Nobody named it; what it is, the search below tells.
        Err(_) if matches!(settings.server, ServerChoice::Detect | ServerChoice::DetectOr(_)) => {
            return Ok(None);
        }
        read => read?,
    };
    override_directories(&mut server, settings);
    agree(&server, settings)?;
    Ok(Some(server))
}

/// What the search among the files of a tree comes to.
#[derive(Default)]
pub(super) struct ServersBelow {
    /// The one that serves the modules.
    pub(super) serving: Option<Server>,
    /// Those that were not taken.
    pub(super) others: Vec<PathBuf>,
    /// The first file in the place of a server that is none, and what was seen of it.
    pub(super) unread: Option<(PathBuf, String)>,
}

/// The directory that stands for pkglibdir where no installation says it: the path, or where the module is that it names. A
/// control file's directory holds none.
fn module_directory(fs: &dyn Fs, candidates: &[Candidate], root: &Path) -> Option<PathBuf> {
    if fs.metadata(root).is_ok_and(|metadata| metadata.kind == FileKind::Directory) {
        return Some(root.to_owned());
    }
    let is_named = candidates.iter().any(|candidate| candidate.path == root);
    root.parent().filter(|_| is_named).map(Path::to_owned)
}

/// The installations that the paths lie in, each once; where several paths lie in different ones, those below the
/// paths that lie in none count as well.
fn installations_above(fs: &dyn Fs, roots: &[PathBuf], candidates: &[Candidate]) -> Vec<Installation> {
    let absolute = |root: &PathBuf| fs.canonicalize(root).unwrap_or_else(|_| root.clone());
    let mut installations = Installations::new(fs);
    let above = |root: &PathBuf| installations.above(root).or_else(|| installations.above(&absolute(root)));
    let of_roots: Vec<Option<Installation>> = roots.iter().map(above).collect();
    let mut found: Vec<Installation> = of_roots.iter().flatten().cloned().collect();
    if !found.is_empty() {
        let outside: Vec<&PathBuf> =
            roots.iter().zip(&of_roots).filter(|(_, above)| above.is_none()).map(|(root, _)| root).collect();
        let is_outside = |candidate: &&Candidate| outside.iter().any(|root| candidate.path.starts_with(root));
        let below: Vec<Candidate> = candidates.iter().filter(is_outside).cloned().collect();
        found.extend(installations_below(fs, &below));
    }
    let mut seen: Vec<PathBuf> = Vec::new();
    found.retain(|installation| {
        let server = absolute(&installation.server);
        let is_new = !seen.contains(&server);
        seen.push(server);
        is_new
    });
    found
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

/// The server among the files of the tree, where none or several are above the roots, and those that were not taken.
pub(super) fn find_server_below(
    fs: &dyn Fs,
    store: &FileStore,
    roots: &[PathBuf],
    candidates: &[Candidate],
    settings: &Settings,
) -> ServersBelow {
    let mut found = installations_above(fs, roots, candidates);
    if found.is_empty() {
        found = installations_below(fs, candidates);
    }
    let (mut servers, mut installations) = (Vec::new(), Vec::new());
    let mut unread = None;
    for installation in found.into_iter().take(limits::SERVERS) {
        match read_server(store, installation.clone()) {
            Ok(server) => {
                servers.push(server);
                installations.push(installation);
            }
            Err(Error::Path { path, seen, .. }) => {
                unread.get_or_insert((path, seen));
            }
            Err(_) => {}
        }
    }
    let serving = serving(&installations, candidates).map(|index| servers.remove(index)).map(|mut server| {
        override_directories(&mut server, settings);
        server
    });
    let others = servers.into_iter().map(|server| server.installation.server).collect();
    ServersBelow { serving, others, unread }
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
    let target = candidates.iter().filter(is_elf).find_map(target).unwrap_or(Target::X86_64);
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
    Ok(Server { installation, module, facts, source: ServerSource::Binary, described: None })
}

/// Starts the server and loads what it preloads.
pub(super) fn start_server(
    store: &Arc<FileStore>,
    server: &Server,
    settings: &Settings,
) -> Result<(Process, Option<String>), Error> {
    let interpreter = server.module.elf().and_then(|elf| elf.interpreter.get()).map(Name::as_path);
    let env = LoaderEnv::read(store.fs(), server.module.target, interpreter, &settings.loader);
    let env = Arc::new(LoaderEnv { described: server.described.clone(), ..env });
    let path = &server.installation.server;
    let mut process =
        Process::start(Arc::clone(store), env, path, MainObject::Program).map_err(|error| Error::Path {
            what: "cannot model the server",
            path: path.clone(),
            seen: error.message,
            advice: "name another one with --server",
        })?;
    // Of a profile the libraries are elsewhere.
    let refused = if server.source == ServerSource::Binary { start_refused(&process, path) } else { None };
    let expected = server.facts.magic.as_ref();
    for name in &settings.preload {
        let path = preload::path(store.fs(), server, settings, name)?;
        let Attempt { process: after, root, failure, .. } = process.dlopen(&path);
        // Without symbols nobody knows of a magic block.
        if settings.reading != Reading::Links || failure.is_some() {
            preload::accept(name, verdict(&after, root, failure.as_ref(), &path, expected))?;
        }
        process = after;
    }
    Ok((process, refused))
}

/// What the loader says where the program does not start, as `rtld` writes it; nothing where that cannot be told.
fn start_refused(process: &Process, path: &Path) -> Option<String> {
    let error = process.start_failure().filter(|error| process.env().why_unknown(error).is_none())?;
    let path = shown_path(path);
    Some(match error.kind {
        LoadErrorKind::Crash => error.message,
        // `print_missing_version`, elf/rtld.c.
        LoadErrorKind::VersionNotFound => format!("{path}: {}", error.message),
        _ if process.env().libc == Libc::Musl => error.message,
        _ => format!("{path}: error while loading shared libraries: {}", error.message),
    })
}

#[cfg(test)]
mod tests {
    use pgsym_testkit::{Kind, Magic, SharedObject};

    use crate::postgres::Profile;
    use crate::resolve::Via;
    use crate::rules::testing::{Case, library, module};
    use crate::tree::{ServerChoice, Tree};

    /// A relocatable server, as wheels bring one, and a module that needs a library which comes with it.
    fn bundle() -> Case {
        let server = SharedObject::new()
            .kind(Kind::PieExecutable)
            .interp("/lib64/ld-linux-x86-64.so.2")
            .needed("libc.so.6")
            .needed("libown.so.1")
            .runpath("$ORIGIN/../lib")
            .dynamic_string(0x6fff_f000, "postgres (PostgreSQL) 15.8")
            .magic(Magic::pg(15));
        Case::new()
            .object("/pg/bin/postgres", &server)
            .object("/pg/lib/libown.so.1", &library("libown.so.1"))
            .object("uses.so", &module().needed("libown.so.1"))
    }

    fn profile(case: &Case) -> String {
        let tree = case.tree();
        let mut text = Vec::new();
        Profile::of(tree.server().unwrap(), tree.process().unwrap()).write(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn under(case: &Case, profile: String) -> Tree {
        let at = |settings: &mut crate::tree::Settings| {
            settings.server = ServerChoice::At("/ci/deep/x.profile".into());
        };
        case.clone().file("/ci/deep/x.profile", profile).settings(at).tree()
    }

    /// What became of the server's own library, and whether the module loads.
    fn found(tree: &Tree) -> (Option<Via>, bool) {
        let main = tree.process().unwrap().main().unwrap();
        let edge = main.edges().iter().find(|edge| edge.name == "libown.so.1").unwrap();
        let module = tree.files().iter().find(|file| file.path.ends_with("uses.so")).unwrap();
        (edge.via, module.load.as_ref().unwrap().failure.is_none())
    }

    #[test]
    fn origin_of_a_profile_is_where_the_server_lies() {
        let case = bundle();
        assert_eq!(found(&under(&case, profile(&case))), (Some(Via::Runpath), true));
    }

    #[test]
    fn a_library_that_the_search_does_not_find_is_where_the_profile_has_it() {
        let case = bundle();
        // The formats before 3 did not say where the server lies.
        let old: Vec<String> =
            profile(&case).lines().filter(|line| !line.starts_with("server ")).map(str::to_owned).collect();
        let old = old.join("\n").replace("pgsym-profile 3", "pgsym-profile 2");
        let (lines, _) = old.rsplit_once('\n').unwrap();
        let old = format!("{lines}\nend {}\n", lines.lines().count());
        assert_eq!(found(&under(&case, old)), (Some(Via::Profile), true));
    }

    #[test]
    fn a_profile_of_a_profile_is_the_same() {
        let case = bundle();
        let text = profile(&case);
        let tree = under(&case, text.clone());
        let mut again = Vec::new();
        Profile::of(tree.server().unwrap(), tree.process().unwrap()).write(&mut again).unwrap();
        assert_eq!(String::from_utf8(again).unwrap(), text);
    }
}
