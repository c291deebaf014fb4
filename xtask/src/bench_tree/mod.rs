//! One table of time and memory against peers, over the real trees of a Debian system, all measured in the same run.
//! Each group has one question, asked of pgsym and of programs that answer it too, and a target.
//!
//! A target is for the median of what a person waits where pgsym may use every processor, and of processor time where it is
//! asked on one thread; the table has both for everybody.

mod table;
pub(crate) mod work;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use tempfile::TempDir;

use self::table::{Contender, Group, Measure, READER, Target, WRITER};
use crate::support::command::{clean, run_well};
use crate::support::measure::measure;
use crate::support::{Outcome, debian, elf_files, workspace};

/// How to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Measured runs of each contender, after one that warms up
    #[arg(long, default_value_t = 15)]
    runs: usize,
    /// The program to measure, instead of a release build of this checkout
    #[arg(long)]
    pgsym: Option<PathBuf>,
    /// Write the table to docs/benchmarks.md as well
    #[arg(long)]
    write: bool,
}

const MODULES: &str = "/usr/lib/postgresql/15/lib";
const LIBRARIES: &str = "/usr/lib";

/// Peers that a target names.
const BARE: &str = "bare loop over the same tables";
const SCANELF: &str = "scanelf -qRnrs-";
const LDD: &str = "ldd -r, file by file";

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let mut packages = debian::offered("postgresql-15-")?;
    packages.extend(["postgresql-15", "libtree", "pax-utils", "binutils"].map(str::to_owned));
    debian::need_all(&packages)?;
    let pgsym = match &options.pgsym {
        Some(path) => path.clone(),
        None => build()?,
    };
    let own = std::env::current_exe().context("cannot find this program")?;
    let modules = modules()?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let directory = TempDir::with_prefix("bench-tree-")?;
    let list = list_binaries(directory.path())?;
    let mut groups = vec![
        tree_group(&pgsym, &modules),
        symbols_group(&own, &list, threads),
        search_group(&pgsym, &own, threads),
        load_group(&pgsym, &modules, threads),
        audit_group(&pgsym, &modules, threads),
    ];
    for group in &mut groups {
        group.measure(options.runs, measure)?;
    }
    let symbols = count_symbols(&own, &list)?;
    let same = same_bytes(&pgsym, &modules, threads)?;
    let text = table::render(&groups, symbols, &same);
    println!("{text}");
    if options.write {
        let path = workspace().join("docs/benchmarks.md");
        std::fs::write(&path, table::document(&text))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let met = groups.iter().all(Group::is_met)
        && table::is_memory_met(&groups, symbols)
        && same.iter().all(|(_, same)| *same);
    Ok(if met { Outcome::Good } else { Outcome::Bad })
}

/// Which file satisfies each dependency of every module.
fn tree_group(pgsym: &Path, modules: &[PathBuf]) -> Group {
    Group {
        title: format!("tree of {} modules, one thread", modules.len()),
        contenders: vec![
            Contender::ours("pgsym tree --jobs 1", program(pgsym, &["tree", "--jobs", "1"], modules)),
            // -vv goes into every library, as pgsym does; without it the most common ones are left out.
            Contender::peer("libtree -vv", program("libtree", &["-vv"], modules)),
            Contender::slow("lddtree", program("lddtree", &[], modules)),
            Contender::slow("ldd, file by file", shell("for f; do ldd \"$f\"; done", modules)),
        ],
        targets: vec![Target { measure: Measure::Cpu, peer: "libtree -vv", at_most: 1.0 }],
    }
}

/// Every dynamic symbol of the binaries below /usr/lib with its version, the binaries listed before. The peer as it is used
/// searches for them as well; the group of those who do stands behind.
fn symbols_group(own: &Path, list: &str, threads: usize) -> Group {
    let read =
        |threads: usize| program(own, &["bench-work", "read", "--threads", &threads.to_string(), list], &[]);
    let readelf = format!("xargs -a {list} readelf -dW --dyn-syms");
    Group {
        title: format!("every dynamic symbol below {LIBRARIES}, files known"),
        contenders: vec![
            Contender::ours(READER, read(1)),
            Contender::also_ours(&format!("pgsym's reader, {threads} threads"), read(threads)),
            Contender::peer(BARE, program(own, &["bench-work", "bare", list], &[])),
            Contender::peer(SCANELF, program("scanelf", &["-qRnrs-", LIBRARIES], &[])),
            Contender::peer(
                "scanelf -qnrs- -f, files known",
                program("scanelf", &["-qnrs-", "-f", list], &[]),
            ),
            Contender::slow("readelf -dW --dyn-syms", shell(&readelf, &[])),
        ],
        targets: vec![
            Target { measure: Measure::Cpu, peer: BARE, at_most: 2.0 },
            Target { measure: Measure::Cpu, peer: SCANELF, at_most: 0.1 },
        ],
    }
}

/// The same with the search for binaries, in which every file below /usr/lib is opened by either side: what that takes by
/// itself no search is faster than.
fn search_group(pgsym: &Path, own: &Path, threads: usize) -> Group {
    let read = |threads: usize| {
        program(own, &["bench-work", "read", "--threads", &threads.to_string(), LIBRARIES], &[])
    };
    Group {
        title: format!("every dynamic symbol below {LIBRARIES}, searched for"),
        contenders: vec![
            Contender::ours("search and reader, 1 thread", read(1)),
            Contender::also_ours(&format!("search and reader, {threads} threads"), read(threads)),
            // With the answer as text, as the peer does.
            Contender::also_ours(WRITER, program(pgsym, &["symbols", "--jobs", "1", LIBRARIES], &[])),
            Contender::peer("only opening every file", program(own, &["bench-work", "open", LIBRARIES], &[])),
            Contender::peer(SCANELF, program("scanelf", &["-qRnrs-", LIBRARIES], &[])),
        ],
        targets: Vec::new(),
    }
}

/// Whether the server loads each of its modules: every reference bound in its process.
fn load_group(pgsym: &Path, modules: &[PathBuf], threads: usize) -> Group {
    let load = |jobs: &str| program(pgsym, &["load", "--jobs", jobs], modules);
    Group {
        title: format!("every reference of {} modules bound in the server", modules.len()),
        contenders: vec![
            Contender::ours("pgsym load --jobs 1", load("1")),
            Contender::also_ours(&format!("pgsym load --jobs {threads}"), load(&threads.to_string())),
            Contender::peer(LDD, ldd(modules)),
        ],
        targets: vec![Target { measure: Measure::Wall, peer: LDD, at_most: 0.05 }],
    }
}

fn ldd(modules: &[PathBuf]) -> Command {
    shell("for f; do ldd -r \"$f\"; done", modules)
}

/// What is wrong with the server's modules.
fn audit_group(pgsym: &Path, modules: &[PathBuf], threads: usize) -> Group {
    let audit = |jobs: &str| program(pgsym, &["audit", "--jobs", jobs, MODULES], &[]);
    Group {
        title: "audit of the PostgreSQL 15 modules".to_owned(),
        contenders: vec![
            Contender::ours("pgsym audit --jobs 1", audit("1")),
            Contender::also_ours(&format!("pgsym audit --jobs {threads}"), audit(&threads.to_string())),
            Contender::peer(LDD, ldd(modules)),
        ],
        targets: vec![Target { measure: Measure::Wall, peer: LDD, at_most: 0.1 }],
    }
}

fn program(program: impl AsRef<Path>, arguments: &[&str], files: &[PathBuf]) -> Command {
    let mut command = clean(program);
    command.args(arguments).args(files);
    command
}

fn shell(script: &str, files: &[PathBuf]) -> Command {
    let mut command = clean("/bin/sh");
    command.args(["-c", script, "sh"]).args(files);
    command
}

/// A release build of the program, made by the cargo that runs this.
fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--package", "pgsym-cli"])
        .current_dir(workspace())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the release build failed");
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    Ok(target.join("release/pgsym"))
}

/// The modules themselves, without the files of other kinds beside them.
fn modules() -> Result<Vec<PathBuf>> {
    let mut modules: Vec<PathBuf> = std::fs::read_dir(MODULES)
        .with_context(|| format!("cannot read {MODULES}"))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "so"))
        .collect();
    modules.sort();
    Ok(modules)
}

/// Writes the list of every ELF file below /usr/lib, for those that take one.
fn list_binaries(directory: &Path) -> Result<String> {
    let files = elf_files::below(Path::new(LIBRARIES));
    let mut text = String::new();
    for (path, _) in &files {
        text.push_str(path.to_str().with_context(|| format!("not UTF-8: {}", path.display()))?);
        text.push('\n');
    }
    let list = directory.join("binaries");
    std::fs::write(&list, text)?;
    Ok(list.display().to_string())
}

/// How many symbols there are, as the reader counts them.
fn count_symbols(own: &Path, list: &str) -> Result<u32> {
    let finished =
        run_well(&mut program(own, &["bench-work", "read", list], &[]), std::time::Duration::from_mins(5))?;
    let text = finished.stdout();
    text.split(' ')
        .nth(2)
        .and_then(|count| count.parse().ok())
        .with_context(|| format!("not a count: {text}"))
}

/// Whether commands give the same bytes on one thread and on several.
fn same_bytes(pgsym: &Path, modules: &[PathBuf], threads: usize) -> Result<Vec<(String, bool)>> {
    // More threads than processors too: the order of the work is then as mixed as it gets.
    let many = (threads * 4).to_string();
    let mut results = Vec::new();
    for (words, files) in [
        (vec!["audit"], vec![PathBuf::from(MODULES)]),
        (vec!["audit", "--format", "json"], vec![PathBuf::from(MODULES)]),
        (vec!["tree"], modules.to_vec()),
        (vec!["tree", "--format", "json"], modules.to_vec()),
        (vec!["symbols"], vec![PathBuf::from(MODULES)]),
    ] {
        let output = |jobs: &str| -> Result<Vec<u8>> {
            let mut command = program(pgsym, &words, &files);
            command.args(["--jobs", jobs]);
            let finished = crate::support::command::run(&mut command, std::time::Duration::from_mins(2))?;
            if finished.stdout.is_empty() {
                bail!("pgsym {} prints nothing: {}", words.join(" "), finished.stderr().trim());
            }
            Ok(finished.stdout)
        };
        let one = output("1")?;
        let same = [threads.to_string(), many.clone()]
            .iter()
            .map(|jobs| output(jobs))
            .all(|other| other.is_ok_and(|other| other == one));
        results.push((format!("pgsym {}", words.join(" ")), same));
    }
    Ok(results)
}
