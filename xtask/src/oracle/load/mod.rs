//! `LOAD` in a running server against the predicted verdict and message: every module alone and after each of ten
//! lists of preloaded ones, and made-up modules for every message that the loader and the server have.
//!
//! What only running code decides, such as a `_PG_init` that insists on `shared_preload_libraries`, is not predicted: the
//! two agree there when pgsym says that the linker has no objection.

mod faulty;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use pgsym_core::fs::RealFs;
use pgsym_core::postgres::{self, MagicBlock, Verdict};
use pgsym_core::resolve::Process;
use pgsym_core::tree::{ServerChoice, Settings, Tree};
use rayon::prelude::*;

use crate::support::Outcome;
use crate::support::cpu::own_loader;
use crate::support::debian;
use crate::support::postgres::{DEBIAN_PREFIX, TestServer, need_debian_extensions};
use crate::support::report::{Difference, Report};

/// Options of `cargo xtask oracle load`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Compare only modules whose file name contains this
    #[arg(long, default_value = "")]
    only: String,
}

/// The lists of `shared_preload_libraries`: those that bring many libraries, that export what others define,
/// and that do nothing.
const PRELOADS: [&[&str]; 10] = [
    &["auto_explain"],
    &["pg_stat_statements", "auto_explain"],
    &["postgis-3", "postgis_raster-3"],
    &["plpgsql", "plpgsql_check"],
    &["pgcrypto", "sslinfo"],
    &["rum"],
    &["ogr_fdw", "pointcloud-1.2"],
    &["pointcloud-1.2", "ogr_fdw"],
    &["plr"],
    &["fuzzystrmatch", "pg_similarity", "unit", "numeral"],
];

/// Compares.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    need_debian_extensions()?;
    debian::need(&["postgresql-server-dev-15", "gcc", "libc6-dev", "lld", "patchelf"])?;
    let prefix = Path::new(DEBIAN_PREFIX);
    let modules = modules(prefix, &options.only)?;
    let mut server = TestServer::prepare(prefix)?;
    let mut report = Report::new("LOAD in PostgreSQL 15 against pgsym's verdict and message");
    server.start(&[])?;
    compare(&server, &[], &modules, "alone", &mut report)?;
    let made_up = faulty::build(server.directory())?;
    compare(&server, &[], &made_up, "made up", &mut report)?;
    for preload in PRELOADS {
        let value = preload.join(",");
        server
            .start(&[("shared_preload_libraries", &value)])
            .with_context(|| format!("preloading {value}"))?;
        let names: Vec<String> = preload.iter().map(|name| (*name).to_owned()).collect();
        compare(&server, &names, &modules, &format!("after {value}"), &mut report)?;
    }
    server.stop()?;
    Ok(report.finish(&[]))
}

/// The modules below a prefix.
pub(super) fn modules(prefix: &Path, only: &str) -> Result<Vec<PathBuf>> {
    let mut modules = Vec::new();
    for entry in std::fs::read_dir(prefix.join("lib"))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.ends_with(".so") && name.contains(only) {
            modules.push(path);
        }
    }
    modules.sort();
    Ok(modules)
}

fn compare(
    server: &TestServer,
    preload: &[String],
    modules: &[PathBuf],
    case: &str,
    report: &mut Report,
) -> Result<()> {
    let (process, expected) = model(preload)?;
    let results: Vec<Result<(String, String)>> = modules
        .par_iter()
        .map(|path| {
            let real = ask(server, path)?;
            let (verdict, _) = postgres::load(&process, path, expected.as_ref());
            Ok((real, predicted(&verdict)))
        })
        .collect();
    for (path, result) in modules.iter().zip(results) {
        let (real, predicted) = result?;
        let subject = format!("{} {case}", path.display());
        if real == predicted {
            report.compared("verdicts and messages", 1);
        } else if predicted == LOADS && is_decided_by_code(&real) {
            let kind = if real == CRASHED { "crashes" } else { "refuses" };
            report.compared(&format!("verdicts where running code {kind} what the linker took"), 1);
        } else {
            report.differs(Difference { subject, expected: real, found: predicted });
        }
    }
    Ok(())
}

/// The server's process with its preloaded modules, as pgsym models it.
fn model(preload: &[String]) -> Result<(Process, Option<MagicBlock>)> {
    let settings = Settings {
        server: ServerChoice::At(DEBIAN_PREFIX.into()),
        preload: preload.to_vec(),
        loader: own_loader(),
        ..Settings::default()
    };
    let tree = Tree::load(Arc::new(RealFs::new()), &[], settings)?;
    let process = tree.process().context("no process was modelled")?.clone();
    Ok((process, tree.server().and_then(|server| server.facts.magic.clone())))
}

const LOADS: &str = "loads";

/// What the server answers: `loads`, its message from `ERROR:` on, or that the backend crashed.
fn ask(server: &TestServer, path: &Path) -> Result<String> {
    for _ in 0..RETRIES {
        let finished = server.session("postgres", &[format!("LOAD '{}'", path.display())])?;
        if finished.status.success() {
            return Ok(LOADS.to_owned());
        }
        let stderr = finished.stderr();
        // Another session's module took the whole server down: its answer says nothing about this one.
        if BYSTANDER.iter().any(|text| stderr.contains(text)) {
            std::thread::sleep(Duration::from_millis(200));
            continue;
        }
        if stderr.contains("server closed the connection unexpectedly") {
            return Ok(CRASHED.to_owned());
        }
        return Ok(match stderr.find("ERROR:  ") {
            Some(at) => stderr[at..].trim_end().to_owned(),
            None => stderr.trim_end().to_owned(),
        });
    }
    bail!("the server does not come back after a crash, before {}", path.display())
}

/// Half a minute: recovery of an empty cluster takes less than a second.
const RETRIES: usize = 150;

/// What a session hears while the server recovers from somebody else's crash.
const BYSTANDER: [&str; 4] = [
    "crash of another server process",
    "in recovery mode",
    "not yet accepting connections",
    "is starting up",
];

const CRASHED: &str = "the backend crashed";

fn predicted(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Loads => LOADS.to_owned(),
        Verdict::Fails(message) => message.to_string(),
        Verdict::Crashes(_) => CRASHED.to_owned(),
        Verdict::Unknown(why) => format!("unknown: {why}"),
    }
}

/// Messages that are not of dfmgr.c come from the module's own `_PG_init`, and so does a crash of a backend that
/// the linker let pass.
fn is_decided_by_code(message: &str) -> bool {
    if message == CRASHED {
        return true;
    }
    let primary = message.strip_prefix("ERROR:  ").or_else(|| message.strip_prefix("FATAL:  "));
    primary.is_some_and(|primary| {
        !["could not load library", "incompatible library", "could not access file", "could not find"]
            .iter()
            .any(|start| primary.starts_with(start))
    })
}
