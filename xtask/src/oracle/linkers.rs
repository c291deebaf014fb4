//! `cargo xtask oracle linkers`: what each linker really makes of a crate that uses `pgsym-build`.
//!
//! Every case of [`cases`] is a crate of its own, written below `target/oracle-linkers` and built with rustc's
//! default linker, Debian's lld, mold, gold and GNU ld. The module's dynamic symbols must be exactly the ones that the
//! case names by hand, `cargo test` must link and pass, and a case that cannot work must fail with our words. With
//! `--regress` the example extension also passes its regression tests in a server, once per linker.

mod cases;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, bail, ensure};
use pgsym_core::exports::{Difference, ModuleExports};

use cases::{Case, Expected};

use crate::support::{Outcome, debian, workspace};

/// Which cases and linkers.
#[derive(Debug, clap::Args)]
pub(crate) struct Linkers {
    /// Only cases whose name contains this.
    #[arg(long)]
    case: Option<String>,
    /// Only this linker.
    #[arg(long, value_parser = ["default", "lld", "mold", "gold", "bfd"])]
    linker: Option<String>,
    /// Also build examples/kham_pg with each linker and run its regression tests in PostgreSQL.
    #[arg(long)]
    regress: bool,
}

/// A linker that the oracle builds with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LinkerSetup {
    /// Its name in the table.
    name: &'static str,
    /// RUSTFLAGS that choose it.
    flags: &'static str,
    /// What it leaves in a module: `.comment`, or gold's note. GNU ld leaves nothing.
    mark: Option<&'static str>,
}

/// rustc's default on x86-64 is its own lld; the others are Debian's packages.
const LINKERS: [LinkerSetup; 5] = [
    LinkerSetup { name: "default", flags: "", mark: Some("Linker: LLD") },
    LinkerSetup {
        name: "lld",
        flags: "-Clinker-features=-lld -Clink-arg=-fuse-ld=lld",
        mark: Some("Linker: Debian LLD"),
    },
    LinkerSetup { name: "mold", flags: "-Clink-arg=-fuse-ld=mold", mark: Some("mold ") },
    LinkerSetup { name: "gold", flags: "-Clink-arg=-fuse-ld=gold", mark: Some("gold ") },
    LinkerSetup { name: "bfd", flags: "-Clink-arg=-fuse-ld=bfd", mark: None },
];

/// What rustc's own lld leaves, which replaces GNU ld.
const BUNDLED_LLD: &str = "Linker: LLD";

/// What was done, row by row.
#[derive(Debug, Default)]
struct Table {
    rows: usize,
    differences: usize,
}

impl Table {
    fn row(&mut self, case: &str, linker: &str, outcome: anyhow::Result<String>) {
        self.rows += 1;
        match outcome {
            Ok(words) => println!("{case:<20}{linker:<9}ok    {words}"),
            Err(error) => {
                self.differences += 1;
                println!("{case:<20}{linker:<9}WRONG {error:#}");
            }
        }
    }
}

/// Runs the oracle; bad when any case differs.
pub(crate) fn run(arguments: &Linkers) -> anyhow::Result<Outcome> {
    debian::need(&["binutils", "clang", "g++", "lld", "mold", "postgresql-server-dev-15"])?;
    if arguments.regress {
        debian::need(&["gosu", "postgresql-15"])?;
    }
    let root = workspace();
    let place = Place::new(&root)?;
    let mut table = Table::default();
    println!("{:<20}{:<9}result", "case", "linker");
    let is_wanted_case = |name: &str| arguments.case.as_deref().is_none_or(|part| name.contains(part));
    let is_wanted =
        |linker: &&LinkerSetup| arguments.linker.as_deref().is_none_or(|name| name == linker.name);
    for case in cases::all().iter().filter(|case| is_wanted_case(case.name)) {
        for linker in LINKERS.iter().filter(is_wanted) {
            table.row(case.name, linker.name, check(&place, case, *linker));
        }
    }
    if arguments.regress {
        for linker in LINKERS.iter().filter(is_wanted) {
            table.row("kham_pg", linker.name, regress(&place, &root, *linker));
        }
    }
    ensure!(table.rows > 0, "no case and linker fits the options");
    println!("{} builds, {} differences", table.rows, table.differences);
    Ok(if table.differences == 0 { Outcome::Good } else { Outcome::Bad })
}

/// Where crates are written and built. One target directory for all, so that pgsym-build is compiled once; the
/// target is named, so that RUSTFLAGS do not reach build scripts.
struct Place {
    root: PathBuf,
    directory: PathBuf,
    target: PathBuf,
    triple: String,
}

impl Place {
    fn new(root: &Path) -> anyhow::Result<Self> {
        let directory = root.join("target/oracle-linkers");
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let output =
            Command::new("rustc").args(["--print", "host-tuple"]).output().context("cannot run rustc")?;
        let triple = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        ensure!(!triple.is_empty(), "rustc --print host-tuple says nothing");
        Ok(Self { root: root.to_owned(), target: directory.join("target"), directory, triple })
    }

    /// Runs cargo on a crate with a linker's flags, in the crate's directory, whose `.cargo` counts.
    fn cargo(&self, words: &[&str], manifest: &Path, linker: LinkerSetup) -> anyhow::Result<Output> {
        let mut command = Command::new(env!("CARGO"));
        // Set but empty, RUSTFLAGS would hide the ones in the configuration.
        command.env_remove("RUSTFLAGS");
        if !linker.flags.is_empty() {
            command.env("RUSTFLAGS", linker.flags);
        }
        command
            .args(words)
            .args(["--offline", "--quiet", "--target", &self.triple, "--manifest-path"])
            .arg(manifest)
            .current_dir(manifest.parent().unwrap_or(&self.directory))
            .env("CARGO_TARGET_DIR", &self.target)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .output()
            .context("cannot run cargo")
    }

    fn module(&self, profile: &str, name: &str) -> PathBuf {
        let name = format!("lib{}.so", name.replace('-', "_"));
        [self.target.as_path(), Path::new(&self.triple), Path::new(profile), Path::new(&name)]
            .iter()
            .collect()
    }
}

/// Builds a case with a linker and compares; says what was seen.
fn check(place: &Place, case: &Case, linker: LinkerSetup) -> anyhow::Result<String> {
    let directory = place.directory.join(case.name);
    write_crate(place, case, &directory)?;
    let manifest = directory.join(case.manifest);
    let module = place.module(if case.is_release { "release" } else { "debug" }, case.library);
    // A module of another linker must not be taken for this one's.
    if module.exists() {
        fs::remove_file(&module)?;
    }
    let output = place.cargo(&case.cargo("build"), &manifest, linker)?;
    let words = String::from_utf8_lossy(&output.stderr);
    match (case.expected)(linker.name) {
        Expected::Fails(message) => {
            ensure!(!output.status.success(), "built, but should fail with {message:?}");
            ensure!(words.contains(message), "failed without {message:?}:\n{words}");
            Ok(format!("fails: {message}"))
        }
        Expected::Loses(names) => {
            ensure!(output.status.success(), "does not build:\n{words}");
            let exports = read_module(&module)?;
            let verdict = exports.compare(names.iter().copied());
            let lost: Vec<&str> = verdict
                .differences
                .iter()
                .filter(|difference| matches!(difference, Difference::Missing { .. }))
                .map(Difference::name)
                .collect();
            ensure!(lost == names, "expected to lose {names:?}, lost {lost:?}");
            Ok(format!("links and loses {} of {} exports", lost.len(), names.len()))
        }
        Expected::Exports(names) => {
            ensure!(output.status.success(), "does not build:\n{words}");
            check_exports(&module, names)?;
            check_mark(&module, case, linker)?;
            check_tests(&place.cargo(&case.cargo("test"), &manifest, linker)?)?;
            Ok(format!("{} exports, tests pass", names.len()))
        }
    }
}

fn check_exports(module: &Path, names: &[&str]) -> anyhow::Result<()> {
    let exports = read_module(module)?;
    let seen: Vec<&str> = exports.exports.keys().map(String::as_str).collect();
    ensure!(seen == names, "exports {seen:?}\ninstead of {names:?}");
    let versioned = exports.exports.values().flatten().next();
    ensure!(versioned.is_none(), "a version was attached: {versioned:?}");
    Ok(())
}

/// Whether the module was linked by the linker that the case should have been linked by.
fn check_mark(module: &Path, case: &Case, linker: LinkerSetup) -> anyhow::Result<()> {
    let mark = match (case.own_mark)(linker.name) {
        Some(mark) => Some(mark),
        None if case.forces_nothing => linker.mark,
        None => linker.mark.or(Some(BUNDLED_LLD)),
    };
    if let Some(mark) = mark {
        let bytes = fs::read(module)?;
        let is_marked = bytes.windows(mark.len()).any(|window| window == mark.as_bytes());
        ensure!(is_marked, "was not linked by the linker that leaves {mark:?}");
    }
    Ok(())
}

fn check_tests(output: &Output) -> anyhow::Result<()> {
    let words =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "cargo test fails:\n{words}");
    ensure!(words.contains("test result: ok. "), "cargo test ran nothing:\n{words}");
    Ok(())
}

/// Writes the files of a case, with the workspace's lock file, so that nothing new has to be downloaded.
fn write_crate(place: &Place, case: &Case, directory: &Path) -> anyhow::Result<()> {
    let build_crate = place.root.join("crates/pgsym-build");
    for (path, text) in &case.files {
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let text = text.replace("PGSYM_BUILD", &build_crate.display().to_string());
        if fs::read_to_string(&path).is_ok_and(|present| present == text) {
            continue;
        }
        let is_program = text.starts_with("#!");
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        if is_program {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
    }
    let lock = directory.join("Cargo.lock");
    if !lock.exists() {
        fs::copy(place.root.join("Cargo.lock"), &lock)?;
    }
    Ok(())
}

fn read_module(path: &Path) -> anyhow::Result<ModuleExports> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ModuleExports::read(&bytes).with_context(|| format!("cannot read {}", path.display()))
}

/// Builds the example with a linker and runs its regression tests, through the script that its image starts with.
fn regress(place: &Place, root: &Path, linker: LinkerSetup) -> anyhow::Result<String> {
    let example = root.join("examples/kham_pg");
    let manifest = example.join("Cargo.toml");
    let output = place.cargo(&["build", "--release"], &manifest, linker)?;
    ensure!(output.status.success(), "does not build:\n{}", String::from_utf8_lossy(&output.stderr));
    let module = place.module("release", "kham_pg");
    let output = Command::new(example.join("docker/entrypoint.sh"))
        .env("KHAM_MODULE", &module)
        .env("KHAM_SOURCE", &example)
        .output()
        .context("cannot run the example's entrypoint")?;
    let words = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("regression tests fail:\n{words}{}", String::from_utf8_lossy(&output.stderr));
    }
    let summary = words.lines().rev().find(|line| line.contains("passed")).unwrap_or("passed");
    Ok(summary.trim().trim_matches(['=', ' ']).to_owned())
}
