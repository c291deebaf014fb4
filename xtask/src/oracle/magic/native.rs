//! The modules of this machine's packages, called by a host program.
//!
//! Debian's modules are linked with `-z now`, so each of their undefined symbols must be there when they are loaded,
//! and only a server has them all. The host is linked with a library that defines every symbol the server exports;
//! nothing calls them.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use pgsym_core::model::{SymbolKind, SymbolTable};
use pgsym_core::postgres::PgFacts;
use rayon::prelude::*;

use super::{Address, LIMIT, MODULES, describe, evidence, modules, read};
use crate::support::command::{clean, run, run_well};
use crate::support::report::Report;

/// The host program.
pub(super) struct Host {
    program: PathBuf,
}

impl Host {
    /// Compiles the host and the server's stand-in.
    pub(super) fn build(work: &Path, server: &Path) -> Result<Self> {
        let (module, _) = read(server).with_context(|| format!("cannot read {}", server.display()))?;
        let stub = work.join("server.c");
        fs::write(&stub, stand_in(&module)).context("cannot write the server's stand-in")?;
        let library = work.join("libserver.so");
        let compile = |arguments: &[&str], from: &Path, to: &Path| {
            run_well(clean("cc").args(["-w", "-O1", "-o"]).arg(to).arg(from).args(arguments), LIMIT)
                .with_context(|| format!("cannot compile {}", from.display()))
        };
        compile(&["-fno-builtin", "-fPIC", "-shared"], &stub, &library)?;
        let source = work.join("host.c");
        fs::write(&source, include_str!("host.c")).context("cannot write the host")?;
        let program = work.join("host");
        let origin = format!("-Wl,--no-as-needed,-rpath,{},{}", work.display(), library.display());
        // Modules use the mathematical functions of the server's own libm.
        compile(&[&origin, "-ldl", "-lm"], &source, &program)?;
        Ok(Self { program })
    }

    /// What a module returns from `Pg_magic_func` and from the finfo functions that pgsym saw.
    pub(super) fn ask(&self, module: &Path, facts: &PgFacts) -> Result<String> {
        let mut names = String::new();
        for record in &facts.finfo {
            let _ = writeln!(names, "pg_finfo_{}", record.function);
        }
        // A shell feeds the names: the runner gives its children an empty standard input.
        let list = self.program.with_file_name(format!(
            "{}.{}.names",
            module.file_name().unwrap_or_default().to_string_lossy(),
            std::process::id()
        ));
        fs::File::create(&list)?.write_all(names.as_bytes())?;
        let finished = run(
            clean("/bin/sh")
                .args(["-c", "exec \"$0\" \"$1\" <\"$2\""])
                .arg(&self.program)
                .arg(module)
                .arg(&list)
                .stdin(Stdio::null()),
            LIMIT,
        )?;
        fs::remove_file(&list)?;
        ensure!(finished.status.success(), "{}", finished.stderr().trim());
        Ok(finished.stdout())
    }
}

/// A C file that defines what the server exports: functions that return 0, zeroed variables of the right size.
/// What the server itself has from its C library by copy relocation (`stderr`, `environ`) stays the library's.
fn stand_in(server: &pgsym_core::model::Module) -> String {
    const LINKERS_OWN: [&str; 7] = ["main", "_start", "_init", "_fini", "_end", "_edata", "__bss_start"];
    let mut source = String::new();
    for symbol in server.symbols.get().into_iter().flat_map(SymbolTable::exports) {
        let name = String::from_utf8_lossy(symbol.name());
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name || LINKERS_OWN.contains(&&*name) || symbol.version().is_some() {
            continue;
        }
        let _ = match symbol.kind() {
            SymbolKind::Function => writeln!(source, "long {name}(void) {{ return 0; }}"),
            SymbolKind::Object => writeln!(source, "char {name}[4096];"),
            _ => Ok(()),
        };
    }
    source
}

/// Compares every module of the installed packages.
pub(super) fn compare(host: &Host) -> Result<Report> {
    let paths = modules(&Path::new("/").join(MODULES))?;
    let parts: Vec<Report> = paths.par_iter().map(|path| compare_one(host, path)).collect();
    let mut report = Report::default();
    for part in parts {
        report.absorb(part);
    }
    Ok(report)
}

fn compare_one(host: &Host, path: &Path) -> Report {
    let mut report = Report::default();
    let facts = match read(path) {
        Ok((_, facts)) => facts,
        Err(error) => {
            report.same(&path.display().to_string(), "readable", &format!("{error:#}"));
            return report;
        }
    };
    match host.ask(path, &facts) {
        Ok(expected) => {
            report.compared(&format!("native modules {}", evidence(&facts)), 1);
            report.compared("finfo records of native modules", facts.finfo.len());
            report.same(&path.display().to_string(), &expected, &describe(&facts, Address::Shown));
        }
        Err(error) => report.not_run(&format!("{} cannot be loaded: {error:#}", path.display()), 1),
    }
    report
}
