//! Where answers go and where trees come from: what every command does around its own question.

use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use pgsym_core::discover::{self, Candidate, Roots, discover};
use pgsym_core::fs::{Fs, RealFs};
use pgsym_core::model::Module;
use pgsym_core::parse::{Facets, parse};
use pgsym_core::report::{Document, Palette, write_json};
use pgsym_core::tree::{Settings, Tree};
use pgsym_core::{FileError, FileErrorKind};
use rayon::prelude::*;

use crate::args::{Common, Format, Jobs, Process, Root};
use crate::memory;
use crate::terminal::{self, Progress};

/// How many threads `--jobs` may start for each processor.
const JOBS_PER_PROCESSOR: usize = 4;

/// Writes a command's answer as the common options say.
pub(crate) struct Output<'a> {
    common: &'a Common,
}

impl<'a> Output<'a> {
    /// Prepares the run: threads are set before anything uses them.
    pub(crate) fn new(common: &'a Common) -> anyhow::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        // Two thousand threads on two processors only wait for each other, a minute long.
        let jobs =
            common.jobs.map_or(processors, |Jobs(jobs)| jobs.get().min(processors * JOBS_PER_PROCESSOR));
        // The first thread works as well: handing work over and a heap more cost a sixth of a short run.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).use_current_thread();
        let pool = pool.start_handler(|_| memory::prepare_thread());
        pool.build_global().with_context(|| format!("cannot start {jobs} threads"))?;
        Ok(Self { common })
    }

    /// Loads a tree, with progress when it takes long and somebody watches.
    pub(crate) fn load(
        &self,
        process: &Process,
        paths: &[PathBuf],
        mut settings: Settings,
    ) -> anyhow::Result<ManuallyDrop<Tree>> {
        let progress = (!self.common.quiet && !self.common.no_progress).then(Progress::start).flatten();
        settings.progress = progress.as_ref().map(Progress::callback);
        let tree =
            Tree::load(process.root.fs()?, paths, settings).map_err(|error| process.root.explain(error));
        if let Some(progress) = progress {
            progress.finish();
        }
        // The process ends with the answer: taking a tree of thousands of objects apart again is a tenth of a short run.
        Ok(ManuallyDrop::new(tree?))
    }

    /// Writes a document to standard output or to the file of `--output`.
    pub(crate) fn write<D: Document>(&self, document: &D) -> anyhow::Result<()> {
        match &self.common.output {
            None => {
                let stdout = io::stdout().lock();
                let palette = terminal::palette(self.common.color, &stdout);
                let mut out = io::BufWriter::with_capacity(64 << 10, stdout);
                forgive_closed_pipe(self.render(document, &palette, &mut out).and_then(|()| out.flush()))
                    .context("cannot write to standard output")
            }
            Some(path) => {
                let palette = terminal::palette_for_file(self.common.color);
                let mut text = Vec::new();
                self.render(document, &palette, &mut text)?;
                replace(path, &text)
            }
        }
    }

    /// Says that there was nothing to answer about: the empty answer of a command that has no summary looks like no run.
    pub(crate) fn note_nothing(&self, is_empty: bool) {
        if is_empty && !self.common.quiet {
            terminal::note("no binary is there: nothing was read");
        }
    }

    fn render<D: Document>(&self, document: &D, palette: &Palette, out: &mut dyn Write) -> io::Result<()> {
        match self.common.format {
            Format::Text => document.write_text(out, palette),
            Format::Json => write_json(document, out),
        }
    }
}

/// Whoever reads our output may stop reading: `pgsym symbols x.so | head`.
fn forgive_closed_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes text that no option changes.
pub(crate) fn write_stdout(text: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    forgive_closed_pipe(stdout.write_all(text).and_then(|()| stdout.flush()))
        .context("cannot write to standard output")
}

/// Writes the file that somebody named, or says in one sentence why not.
pub(crate) fn replace(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    // A FileError has the system's sentence without the number that Rust puts behind it.
    write_file(path, text)
        .map_err(FileError::from)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Replaces a file as a whole, so that nobody reads half an answer. A device or FIFO is written to as it is.
fn write_file(path: &Path, text: &[u8]) -> io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return forgive_closed_pipe(std::fs::OpenOptions::new().write(true).open(path)?.write_all(text));
    }
    // A symbolic link stays one: what it leads to is replaced.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = target.with_file_name(name);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    let written = file
        .write_all(text)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&temporary, &target));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// The whole of a regular file of at most `limit` bytes. Anything else, such as a FIFO that nobody writes to or a device
/// without an end, is refused before it is opened.
pub(crate) fn read_whole(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    Ok(RealFs::new().read_small(path, limit)?)
}

/// One file that a command without a process looks at.
pub(crate) struct NamedFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Whether it was named, rather than a directory above it.
    pub(crate) is_named: bool,
    /// What it says.
    pub(crate) module: Result<Module, FileError>,
}

/// The binaries that paths lead to, in path order.
pub(crate) struct NamedFiles<'a> {
    fs: &'a dyn Fs,
    facets: Facets,
    candidates: Vec<Candidate>,
}

impl<'a> NamedFiles<'a> {
    /// Finds them, to be read for the given tables.
    pub(crate) fn find(
        fs: &'a dyn Fs,
        root: &Root,
        paths: &[PathBuf],
        facets: Facets,
    ) -> anyhow::Result<Self> {
        let roots = Roots::new(fs, paths, root.working_directory().as_deref());
        let found = discover(fs, &roots)
            .and_then(|found| found.windows.refuse(&roots, &found.candidates).map(|()| found))
            .map_err(|error| root.explain(error))?;
        Ok(Self { fs, facets, candidates: found.candidates })
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Parses them, at a time as many as there are threads: the largest ones are neighbours (three libLLVM), and whoever
    /// writes the answer of one waits for no more.
    pub(crate) fn read(&self) -> impl Iterator<Item = NamedFile> {
        let read = |candidate: &Candidate| {
            if candidate.format.clone()? == discover::Format::Windows {
                return Err(FileError::new(FileErrorKind::NotAnObject, "it is a Windows binary (PE)"));
            }
            let (source, metadata) = candidate.open(self.fs)?;
            parse(&candidate.path, metadata, &*source, self.facets)
        };
        self.candidates.chunks(rayon::current_num_threads()).flat_map(move |batch| {
            batch
                .par_iter()
                .map(|candidate| NamedFile {
                    module: read(candidate),
                    is_named: candidate.is_named,
                    path: candidate.shown.clone(),
                })
                .collect::<Vec<_>>()
        })
    }
}

/// A file that was asked for by name and cannot be read leaves its question open.
pub(crate) fn refuse_unread(unread: &[(PathBuf, FileError)]) -> anyhow::Result<()> {
    match unread {
        [] => Ok(()),
        [(path, error), ..] => {
            anyhow::bail!("cannot read {}: {error}; name a shared object or program", path.display())
        }
    }
}
