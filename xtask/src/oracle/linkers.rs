//! `cargo xtask oracle linkers`: what each linker really makes of a crate that uses `pgsym-build`.
//!
//! Needs Debian's `clang`, `lld`, `mold`, `binutils`, `g++` and `postgresql-server-dev-15`; `--regress` also `postgresql-15`
//! and, as root, `gosu` or `runuser`.
//!
//! Every case of [`cases`] is a crate of its own, written below `target/oracle-linkers` and built with rustc's
//! default linker, Debian's lld, mold, gold and GNU ld. The module's dynamic symbols must be exactly the ones that the
//! case names by hand, `cargo test` must link and pass, and a case that cannot work must fail with our words. The
//! macOS arguments are linked by clang and ld64.lld. With
//! `--regress` the example extension also passes its regression tests in a server, once per linker.

mod cases;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, bail, ensure};
use pgsym_core::exports::{Difference, ModuleExports};

use cases::{Case, Expected};

use crate::support::{Outcome, workspace};

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
pub(crate) struct LinkerSetup {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// RUSTFLAGS that choose it.
    flags: &'static str,
    /// What the linker that must have run leaves in the module: `.comment`, or gold's note. GNU ld leaves nothing, and
    /// is replaced by rustc's lld wherever C symbols have to be exported.
    mark: &'static [u8],
    /// The mark when nothing has to be forced, and the linker is not replaced.
    own_mark: Option<&'static [u8]>,
}

/// rustc's default on x86-64 is its own lld; the others are Debian's packages.
const LINKERS: [LinkerSetup; 5] = [
    LinkerSetup { name: "default", flags: "", mark: b"Linker: LLD", own_mark: Some(b"Linker: LLD") },
    LinkerSetup {
        name: "lld",
        flags: "-Clinker-features=-lld -Clink-arg=-fuse-ld=lld",
        mark: b"Linker: Debian LLD",
        own_mark: Some(b"Linker: Debian LLD"),
    },
    LinkerSetup { name: "mold", flags: "-Clink-arg=-fuse-ld=mold", mark: b"mold ", own_mark: Some(b"mold ") },
    LinkerSetup { name: "gold", flags: "-Clink-arg=-fuse-ld=gold", mark: b"gold ", own_mark: Some(b"gold ") },
    LinkerSetup { name: "bfd", flags: "-Clink-arg=-fuse-ld=bfd", mark: b"Linker: LLD", own_mark: None },
];

/// Runs the oracle; bad when any case differs.
pub(crate) fn run(arguments: &Linkers) -> anyhow::Result<Outcome> {
    let root = workspace();
    let place = Place::new(&root)?;
    let mut differences = 0;
    let mut done = 0;
    println!("{:<20}{:<9}result", "case", "linker");
    let cases = cases::all();
    let wanted = |name: &str| arguments.case.as_deref().is_none_or(|part| name.contains(part));
    for case in cases.iter().filter(|case| wanted(case.name)) {
        for linker in
            LINKERS.iter().filter(|linker| arguments.linker.as_deref().is_none_or(|n| n == linker.name))
        {
            let outcome = check(&place, case, *linker);
            done += 1;
            differences += usize::from(outcome.is_err());
            match outcome {
                Ok(words) => println!("{:<20}{:<9}ok    {words}", case.name, linker.name),
                Err(error) => println!("{:<20}{:<9}WRONG {error:#}", case.name, linker.name),
            }
        }
    }
    if wanted("mach-o") && arguments.linker.is_none() {
        let outcome = mach_o(&root);
        done += 1;
        differences += usize::from(outcome.is_err());
        match outcome {
            Ok(words) => println!("{:<20}{:<9}ok    {words}", "mach-o", "ld64.lld"),
            Err(error) => println!("{:<20}{:<9}WRONG {error:#}", "mach-o", "ld64.lld"),
        }
    }
    if arguments.regress {
        for linker in
            LINKERS.iter().filter(|linker| arguments.linker.as_deref().is_none_or(|n| n == linker.name))
        {
            let outcome = regress(&place, &root, *linker);
            done += 1;
            differences += usize::from(outcome.is_err());
            match outcome {
                Ok(words) => println!("{:<20}{:<9}ok    {words}", "kham_pg", linker.name),
                Err(error) => println!("{:<20}{:<9}WRONG {error:#}", "kham_pg", linker.name),
            }
        }
    }
    println!("{done} builds, {differences} differences");
    ensure!(done > 0, "no case and linker fits the options");
    Ok(if differences == 0 { Outcome::Good } else { Outcome::Bad })
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

    /// Runs cargo on a crate with a linker's flags.
    fn cargo(&self, command: &[&str], manifest: &Path, linker: LinkerSetup) -> anyhow::Result<Output> {
        Command::new(env!("CARGO"))
            .args(command)
            .args(["--offline", "--quiet", "--target", &self.triple, "--manifest-path"])
            .arg(manifest)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUSTFLAGS", linker.flags)
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
    let build: &[&str] = if case.is_release { &["build", "--release"] } else { &["build"] };
    let profile = if case.is_release { "release" } else { "debug" };
    let module = place.module(profile, case.library);
    // A module of another linker must not be taken for this one's.
    if module.exists() {
        fs::remove_file(&module)?;
    }
    let output = place.cargo(build, &manifest, linker)?;
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
            let exports = read_module(&module)?;
            let seen: Vec<&str> = exports.exports.keys().map(String::as_str).collect();
            ensure!(seen == names, "exports {seen:?}\ninstead of {names:?}");
            let versioned = exports.exports.values().flatten().next();
            ensure!(versioned.is_none(), "a version was attached: {versioned:?}");
            let mark = if case.forces_nothing { linker.own_mark } else { Some(linker.mark) };
            if let Some(mark) = mark {
                let bytes = fs::read(&module)?;
                let is_marked = bytes.windows(mark.len()).any(|window| window == mark);
                ensure!(is_marked, "was not linked by {}", String::from_utf8_lossy(mark));
            }
            let test: &[&str] = if case.is_release { &["test", "--release"] } else { &["test"] };
            let output = place.cargo(test, &manifest, linker)?;
            let words = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            ensure!(output.status.success(), "cargo test fails:\n{words}");
            ensure!(words.contains("test result: ok. "), "cargo test ran nothing:\n{words}");
            Ok(format!("{} exports, tests pass", names.len()))
        }
    }
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
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let lock = directory.join("Cargo.lock");
    if !lock.exists() {
        fs::copy(place.root.join("Cargo.lock"), &lock)?;
    }
    Ok(())
}

/// Links Mach-O images with the arguments for macOS: the tests of pgsym-build that need clang and ld64.lld.
fn mach_o(root: &Path) -> anyhow::Result<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "test",
            "--offline",
            "--quiet",
            "--package",
            "pgsym-build",
            "--test",
            "mach_o",
            "--",
            "--ignored",
        ])
        .current_dir(root)
        .output()
        .context("cannot run cargo")?;
    let words = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{words}{}", String::from_utf8_lossy(&output.stderr));
    let summary = words.lines().find(|line| line.starts_with("test result: ok. "));
    let passed = summary.and_then(|line| line.split("ok. ").nth(1)?.split(';').next());
    let passed = passed.context("cargo test says no result")?;
    ensure!(passed != "0 passed", "no test ran");
    Ok(passed.to_owned())
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
