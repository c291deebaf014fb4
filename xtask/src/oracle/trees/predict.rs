//! What pgsym's resolver says about a tree, in the same form as what the real loader did.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use pgsym_core::fs::{DirEntry, Fs, Metadata, RealFs};
use pgsym_core::model::{Class, Endian, Target};
use pgsym_core::name::Name;
use pgsym_core::parse::Facets;
use pgsym_core::resolve::{
    FileStore, Libc, LoadError, LoadErrorKind, LoaderEnv, LoaderOptions, MainObject, Outcome as ProbeOutcome,
    Probe, Process,
};
use pgsym_core::source::Source;

use super::describe::{Family, Tree};
use super::record::{Object, Outcome, Record, Step, host_path, is_root};
use crate::support::cpu::own_loader;

/// The machine's files as `nobody` sees them, which is who the host runs as when this program is root.
struct NobodysFs(RealFs);

impl Fs for NobodysFs {
    fn open(&self, path: &Path) -> io::Result<(Box<dyn Source>, Metadata)> {
        let metadata = self.0.metadata(path)?;
        if is_root() && metadata.mode & 0o004 == 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.0.open(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.0.metadata(path)
    }

    fn symlink_metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.0.symlink_metadata(path)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.0.read_link(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.0.read_dir(path)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.0.canonicalize(path)
    }
}

/// A prediction.
pub(super) struct Prediction {
    pub(super) record: Record,
    /// Steps that fail by a search without a single attempt to open a file. The loader then prints the error number that some
    /// earlier call left behind, or none.
    pub(super) without_attempt: Vec<usize>,
}

pub(super) fn predict(tree: &Tree, root: &Path) -> Result<Prediction> {
    let working_directory = root.join(tree.working_directory);
    let fs: Arc<dyn Fs> = Arc::new(NobodysFs(RealFs::new()));
    let target = Target {
        machine: object::elf::EM_X86_64,
        class: Class::Bits64,
        endian: Endian::Little,
        os_abi: 0,
        abi_version: 0,
        flags: 0,
    };
    let options = LoaderOptions {
        libc: (tree.family == Family::Musl).then_some(Libc::Musl),
        library_path: tree.library_path.as_deref().map(Name::from),
        current_directory: Some(working_directory.clone()),
        ..own_loader()
    };
    let env = Arc::new(LoaderEnv::read(&*fs, target, None, &options));
    let store = Arc::new(FileStore::new(fs, Facets::SYMBOLS));
    let mut process = Process::start(store, env, &host_path(tree, root), MainObject::Program)
        .map_err(|error| anyhow!("the resolver cannot start the host: {}", error.message))?;

    let mut without_attempt = Vec::new();
    if let Some(failure) = process.failure() {
        if made_no_attempt(&process, failure, &[]) {
            without_attempt.push(0);
        }
        let outcome = Outcome::Failed(failure.message.clone());
        let steps = vec![Step { what: "start".to_owned(), outcome }];
        return Ok(Prediction { record: Record { steps }, without_attempt });
    }
    let mut steps = vec![Step { what: "start".to_owned(), outcome: added(&process, 1, &working_directory)? }];
    for what in &tree.opens {
        let before = process.len();
        let attempt = process.dlopen(Path::new(what));
        let outcome = if let Some(failure) = attempt.failure {
            if made_no_attempt(&attempt.process, &failure, &attempt.searched) {
                without_attempt.push(steps.len());
            }
            Outcome::Failed(failure.message)
        } else {
            process = attempt.process;
            added(&process, before, &working_directory)?
        };
        steps.push(Step { what: what.clone(), outcome });
    }
    Ok(Prediction { record: Record { steps }, without_attempt })
}

/// Whether the search behind a failure opened nothing; `searched` is the search for the opened file itself.
fn made_no_attempt(process: &Process, failure: &LoadError, searched: &[Probe]) -> bool {
    let failed_edge = failure.requester.and_then(|id| process.object(id)).and_then(|object| {
        object
            .edges()
            .iter()
            .find(|edge| edge.target.as_ref().is_err_and(|error| error.message == failure.message))
    });
    failure.kind == LoadErrorKind::NotFound
        && failed_edge.map_or(searched, |edge| &edge.searched).iter().all(|probe| {
            matches!(
                probe.outcome,
                ProbeOutcome::NoDirectory | ProbeOutcome::NoEntry | ProbeOutcome::Skipped(_)
            )
        })
}

/// The objects of the load order from the `before`th on.
fn added(process: &Process, before: usize, working_directory: &Path) -> Result<Outcome> {
    process
        .load_order()
        .skip(before)
        .map(|(_, object)| {
            let name = object.path().to_str().context("paths of the tree are UTF-8")?.to_owned();
            let file =
                working_directory.join(&name).canonicalize().with_context(|| format!("find {name}"))?;
            Ok(Object { name, file })
        })
        .collect::<Result<_>>()
        .map(Outcome::Loaded)
}
