//! Which file satisfies each symbol reference: what the loader prints under `LD_DEBUG=bindings` while a server loads
//! modules, against the modelled bindings, reference by reference.
//!
//! The server runs in single-user mode, once per module and once per list of modules, with `LD_BIND_NOW=1`: every
//! reference is then bound at once, the libraries' too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use pgsym_core::fs::{Fs, RealFs};
use pgsym_core::name::Shown;
use pgsym_core::parse::Facets;
use pgsym_core::resolve::{FileStore, LoaderEnv, MainObject, Object, Process};

use crate::support::Outcome;
use crate::support::command::run;
use crate::support::cpu::own_loader;
use crate::support::postgres::{DEBIAN_PREFIX, TestServer, need_debian_extensions};
use crate::support::report::{Difference, Report};

/// Options of `cargo xtask oracle bindings`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Compare only modules whose file name contains this
    #[arg(long, default_value = "")]
    only: String,
}

/// Modules loaded one after the other in one process, in orders that make them meet.
const LISTS: [&[&str]; 6] = [
    &["ogr_fdw", "pointcloud-1.2", "postgis-3"],
    &["postgis-3", "pointcloud-1.2", "ogr_fdw"],
    &["unit", "numeral", "fuzzystrmatch", "pg_similarity"],
    &["pg_similarity", "fuzzystrmatch", "numeral", "unit"],
    &["plr", "sepgsql", "postgis_sfcgal-3", "rdkit"],
    &["llvmjit", "rdkit", "mysql_fdw", "tds_fdw", "plr"],
];

const SINGLE: Duration = Duration::from_mins(2);

/// Requester, symbol and version.
type Reference = (PathBuf, String, Option<String>);

/// Compares.
pub(crate) fn run_oracle(options: &Options) -> Result<Outcome> {
    need_debian_extensions()?;
    let prefix = Path::new(DEBIAN_PREFIX);
    let server = TestServer::prepare(prefix)?;
    let mut report =
        Report::new("symbol bindings of PostgreSQL 15 and its modules against LD_DEBUG=bindings");
    let start = start(prefix)?;
    let mut lists: Vec<Vec<PathBuf>> =
        super::load::modules(prefix, &options.only)?.into_iter().map(|path| vec![path]).collect();
    if options.only.is_empty() {
        let path = |name: &&str| prefix.join("lib").join(format!("{name}.so"));
        lists.extend(LISTS.iter().map(|names| names.iter().map(path).collect()));
    }
    // The server's own references are compared once, with the first list.
    let mut with_server = true;
    for list in &lists {
        let real = listen(&server, list)?;
        let process = load(&start, list)?;
        compare(&start, &process, &real, list, with_server, &mut report);
        with_server = false;
    }
    Ok(report.finish(&[]))
}

/// The server's process with the relocations of every file read.
fn start(prefix: &Path) -> Result<Process> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs::new());
    let store = Arc::new(FileStore::new(Arc::clone(&fs), Facets::SYMBOLS | Facets::RELOCATIONS));
    let path = prefix.join("bin/postgres");
    let module = store.module(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let interpreter =
        module.elf().and_then(|elf| elf.interpreter.get()).map(|name| name.as_path().to_owned());
    let env = Arc::new(LoaderEnv::read(&*fs, module.target, interpreter.as_deref(), &own_loader()));
    Process::start(store, env, &path, MainObject::Program).map_err(|error| anyhow::anyhow!(error.message))
}

fn load(start: &Process, list: &[PathBuf]) -> Result<Process> {
    let mut process = start.clone();
    for path in list {
        let attempt = process.dlopen(path);
        if let Some(failure) = attempt.failure {
            bail!("{}: {}", path.display(), failure.message);
        }
        process = attempt.process;
    }
    Ok(process)
}

/// What the loader says while a single-user server loads a list of modules.
fn listen(server: &TestServer, list: &[PathBuf]) -> Result<BTreeMap<Reference, BTreeSet<PathBuf>>> {
    let output = server.directory().join("bindings");
    let statements: String = list.iter().map(|path| format!("LOAD '{}';\n", path.display())).collect();
    let script = "printf '%s' \"$1\" | LD_BIND_NOW=1 LD_DEBUG=bindings LD_DEBUG_OUTPUT=\"$2\" exec \"$3\" --single -D \"$4\" \
        -c dynamic_shared_memory_type=mmap -c shared_buffers=16MB postgres";
    let mut command = server.shell();
    command
        .args(["-c", script, "sh", &statements])
        .arg(&output)
        .arg(server.program("postgres"))
        .arg(server.data());
    let finished = run(&mut command, SINGLE)?;
    let mut bindings = BTreeMap::new();
    let mut found = false;
    for entry in std::fs::read_dir(server.directory())? {
        let path = entry?.path();
        if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("bindings.")) {
            continue;
        }
        found = true;
        let text = std::fs::read(&path)?;
        for line in String::from_utf8_lossy(&text).lines() {
            if let Some((reference, provider)) = parse(line) {
                bindings.entry(reference).or_insert_with(BTreeSet::new).insert(provider);
            }
        }
        std::fs::remove_file(&path)?;
    }
    if !found {
        bail!("the loader wrote nothing: {}", finished.stderr().trim());
    }
    Ok(bindings)
}

/// ``   123:  binding file A [0] to B [0]: normal symbol `s' [V]``.
fn parse(line: &str) -> Option<(Reference, PathBuf)> {
    let (_, rest) = line.split_once("binding file ")?;
    let (requester, rest) = rest.split_once(" [0] to ")?;
    let (provider, rest) = rest.split_once(" [0]: ")?;
    let (_, rest) = rest.split_once(" symbol `")?;
    let (symbol, rest) = rest.split_once('\'')?;
    let version = rest.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']')).map(str::to_owned);
    Some(((PathBuf::from(requester), symbol.to_owned(), version), PathBuf::from(provider)))
}

fn compare(
    start: &Process,
    process: &Process,
    real: &BTreeMap<Reference, BTreeSet<PathBuf>>,
    list: &[PathBuf],
    with_server: bool,
    report: &mut Report,
) {
    let case = list
        .iter()
        .filter_map(|path| path.file_name())
        .map(|name| name.to_string_lossy())
        .collect::<Vec<_>>()
        .join(",");
    let provider_of = |object: &Object| object.path().to_owned();
    let mut known: BTreeSet<Reference> = BTreeSet::new();
    let objects: Vec<_> =
        if with_server { process.load_order().collect() } else { process.added_since(start).collect() };
    for (id, object) in objects {
        // The loader relocates itself without a scope.
        if Some(object.path()) == start.interpreter_path() {
            continue;
        }
        for binding in process.bindings(id) {
            let symbol = binding.reference.symbol;
            let version = symbol.version().map(|version| version.name.to_string());
            let reference = (object.path().to_owned(), Shown(symbol.name()).to_string(), version);
            let found =
                binding.definition.and_then(|definition| process.object(definition.object)).map(provider_of);
            let expected = real.get(&reference);
            report.compared("references", 1);
            let same = match (&expected, &found) {
                (Some(files), Some(file)) => files.len() == 1 && files.contains(file),
                (None, None) => true,
                _ => false,
            };
            if !same {
                let show = |files: Vec<&PathBuf>| match files.as_slice() {
                    [] => "nothing".to_owned(),
                    files => {
                        files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
                    }
                };
                report.differs(Difference {
                    subject: format!(
                        "{case}: {} needs {} {}",
                        reference.0.display(),
                        reference.1,
                        reference.2.clone().unwrap_or_default()
                    ),
                    expected: show(expected.map(|files| files.iter().collect()).unwrap_or_default()),
                    found: show(found.iter().collect()),
                });
            }
            known.insert(reference);
        }
    }
    compare_dlsym(start, process, real, &known, &case, report);
}

/// What the loader bound beyond the relocations comes from `dlsym`: the server's for its entry points, on the handle
/// of a module.
fn compare_dlsym(
    start: &Process,
    process: &Process,
    real: &BTreeMap<Reference, BTreeSet<PathBuf>>,
    known: &BTreeSet<Reference>,
    case: &str,
    report: &mut Report,
) {
    for (id, object) in process.added_since(start) {
        let beyond =
            real.iter().filter(|(reference, _)| reference.0 == object.path() && !known.contains(reference));
        for (reference, files) in beyond {
            let found = process.lookup(&process.closure(id), reference.1.as_bytes());
            let found = found.and_then(|definition| process.object(definition.object)).map(Object::path);
            report.compared("names looked up by dlsym", 1);
            report.same(
                &format!("{case}: dlsym({}, {})", object.path().display(), reference.1),
                &files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "),
                &found.map_or_else(String::new, |path| path.display().to_string()),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_lines_are_read() {
        let line = "     12:\tbinding file /a.so [0] to /b.so [0]: normal symbol `f' [V_1]";
        let (reference, provider) = parse(line).unwrap();
        assert_eq!(reference, (PathBuf::from("/a.so"), "f".to_owned(), Some("V_1".to_owned())));
        assert_eq!(provider, Path::new("/b.so"));
        assert_eq!(parse("12: calling init: /a.so"), None);
    }
}
