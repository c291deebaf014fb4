//! The random-tree oracle: small trees of libraries, made with real linkers, are loaded by the real loader of glibc or musl,
//! and the resolver must say beforehand which files are mapped in which order, and every error, word for word.
//!
//! A difference names its seed; `--seed N --count 1 --keep DIR` lays the smallest tree that still shows it into DIR.
//! The host runs as `nobody` when this program is root, so that unreadable files are.

mod compare;
mod describe;
mod generate;
mod lay;
mod predict;
mod random;
mod record;
mod shrink;
mod toolchain;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};

use describe::{Family, Maker, Tree};
use record::Record;
use toolchain::Toolchain;

use crate::support::{Outcome, debian};

/// Compilers and linkers of Debian.
const PACKAGES: [&str; 7] = ["binutils", "gcc", "libc6-dev", "lld", "mold", "musl", "musl-tools"];

/// Compares the resolver with the real loader on random trees.
#[derive(Debug, clap::Args)]
pub(crate) struct Trees {
    /// Seed of the first tree; the following trees have the following seeds
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many trees
    #[arg(long, default_value_t = 2000)]
    count: u64,
    /// Whose loader
    #[arg(long, value_enum, default_value = "glibc")]
    family: Family,
    /// Compare with what is installed, and install nothing
    #[arg(long)]
    no_install: bool,
    /// Threads, each with its own directory
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Write what the real loader did into this directory, one JSON file per tree
    #[arg(long, value_name = "DIR")]
    records: Option<PathBuf>,
    /// Lay each differing tree, made as small as possible, into this directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// What a run has seen: the shape of the trees, so that a reader can tell whether they ask enough.
#[derive(Debug, Default)]
struct Tally {
    trees: u64,
    links: usize,
    libraries: u64,
    built_by_testkit: u64,
    failed_starts: u64,
    loaded: u64,
    objects: u64,
    failed: u64,
    differing: Vec<u64>,
}

pub(crate) fn run(arguments: &Trees) -> Result<Outcome> {
    if !arguments.no_install {
        debian::need(&PACKAGES)?;
    }
    let started = Instant::now();
    let makers = toolchain::makers()?;
    let scratch =
        tempfile::Builder::new().prefix("trees-").permissions(fs::Permissions::from_mode(0o755)).tempdir()?;
    for directory in arguments.records.iter().chain(&arguments.keep) {
        fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
    }
    let next = AtomicU64::new(arguments.seed);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.threads.max(1))
            .map(|number| {
                let directory = scratch.path().join(number.to_string());
                let (makers, next, tally) = (&makers, &next, &tally);
                scope.spawn(move || work(arguments, &directory, makers, next, tally))
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    let mut tally = tally.into_inner().expect("no worker panicked");
    tally.differing.sort_unstable();
    report(arguments, &tally, &makers, started);
    Ok(if tally.differing.is_empty() { Outcome::Good } else { Outcome::Bad })
}

/// One worker: trees until none is left.
fn work(
    arguments: &Trees,
    directory: &Path,
    makers: &[Maker],
    next: &AtomicU64,
    tally: &Mutex<Tally>,
) -> Result<()> {
    let root = directory.join("tree");
    let mut toolchain = Toolchain::new(&directory.join("cache"), arguments.family)?;
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= arguments.seed.saturating_add(arguments.count) {
            break;
        }
        let tree = generate::generate(seed, arguments.family, as_text(&root)?, makers);
        let (real, differences) =
            examine(&tree, &root, &mut toolchain).with_context(|| format!("seed {seed}"))?;
        if let Some(directory) = &arguments.records {
            let text = serde_json::to_string_pretty(&serde_json::json!({"tree": tree, "record": real}))?;
            fs::write(directory.join(format!("{seed}.json")), text)?;
        }
        if !differences.is_empty() {
            complain(arguments, &tree, &differences, makers, &mut toolchain)?;
        }
        let mut tally = tally.lock().expect("no worker panicked");
        tally.count(&tree, &real);
        if tally.trees.is_multiple_of(250) {
            eprintln!("{} of {} trees, {} differ", tally.trees, arguments.count, tally.differing.len());
        }
        if !differences.is_empty() {
            tally.differing.push(seed);
        }
    }
    tally.lock().expect("no worker panicked").links += toolchain.links;
    Ok(())
}

/// Lays a tree, has it loaded, and compares.
fn examine(tree: &Tree, root: &Path, toolchain: &mut Toolchain) -> Result<(Record, Vec<String>)> {
    lay::lay(tree, root, toolchain)?;
    let real = record::record(tree, root)?;
    let predicted = predict::predict(tree, root)?;
    let differences = compare::differences(&real, &predicted);
    Ok((real, differences))
}

/// Prints a difference and, with `--keep`, shrinks its tree inside the kept directory.
fn complain(
    arguments: &Trees,
    tree: &Tree,
    differences: &[String],
    makers: &[Maker],
    toolchain: &mut Toolchain,
) -> Result<()> {
    let Some(keep) = &arguments.keep else {
        println!("seed {}: {}", tree.seed, differences.join("\n  "));
        return Ok(());
    };
    let home = keep.canonicalize()?.join(format!("seed-{}", tree.seed));
    fs::create_dir_all(&home)?;
    let root = home.join("tree");
    // The same seed below another root: the paths inside change, nothing else.
    let tree = generate::generate(tree.seed, arguments.family, as_text(&root)?, makers);
    let tree = shrink::shrink(&tree, |candidate| {
        examine(candidate, &root, toolchain).is_ok_and(|(_, differences)| !differences.is_empty())
    });
    let (real, differences) = examine(&tree, &root, toolchain)?;
    let text = serde_json::to_string_pretty(&serde_json::json!({"tree": tree, "record": real}))?;
    fs::write(home.join("case.json"), &text)?;
    println!("seed {}: {}\n  {}", tree.seed, differences.join("\n  "), home.display());
    Ok(())
}

fn as_text(path: &Path) -> Result<&str> {
    path.to_str().context("the directory's path is not UTF-8")
}

impl Tally {
    fn count(&mut self, tree: &Tree, real: &Record) {
        self.trees += 1;
        for entry in &tree.entries {
            if let describe::Content::Library(library) = &entry.content {
                self.libraries += 1;
                self.built_by_testkit += u64::from(library.maker == Maker::Builder);
            }
        }
        for step in &real.steps {
            match &step.outcome {
                record::Outcome::Failed(_) if step.what == "start" => self.failed_starts += 1,
                record::Outcome::Failed(_) => self.failed += 1,
                record::Outcome::Loaded(_) if step.what == "start" => {}
                record::Outcome::Loaded(objects) => {
                    self.loaded += 1;
                    self.objects += objects.len() as u64;
                }
            }
        }
    }
}

fn report(arguments: &Trees, tally: &Tally, makers: &[Maker], started: Instant) {
    println!(
        "{} trees for {:?}, seeds {} to {}, in {:.0} s",
        tally.trees,
        arguments.family,
        arguments.seed,
        arguments.seed.saturating_add(arguments.count).saturating_sub(1),
        started.elapsed().as_secs_f64(),
    );
    println!(
        "  {} libraries, {} of them by the testkit, the others by {makers:?} in {} runs",
        tally.libraries, tally.built_by_testkit, tally.links
    );
    println!(
        "  {} starts failed; {} dlopens mapped {} objects, {} dlopens failed",
        tally.failed_starts, tally.loaded, tally.objects, tally.failed
    );
    println!("  {} trees differ: {:?}", tally.differing.len(), tally.differing);
}
