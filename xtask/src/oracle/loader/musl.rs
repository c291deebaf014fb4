//! musl's loader, where its rules are others than glibc's: a handful of libraries built with `musl-gcc`, listed by
//! `ld-musl-*.so.1 --list` and by pgsym.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use pgsym_core::fs::RealFs;
use pgsym_core::name::Name;
use pgsym_core::parse::Facets;
use pgsym_core::resolve::{FileStore, Libc, LoaderEnv, LoaderOptions, MainObject, Process};
use tempfile::TempDir;

use crate::support::command::{clean, run, run_well};
use crate::support::report::Report;

const LIMIT: Duration = Duration::from_secs(30);

/// One library to build: where, its soname, what it needs, its search path and its kind.
struct Library {
    path: &'static str,
    soname: &'static str,
    needed: &'static [&'static str],
    /// Linker arguments; `@` stands for the directory of the whole.
    arguments: &'static [&'static str],
}

const fn library(
    path: &'static str,
    soname: &'static str,
    needed: &'static [&'static str],
    arguments: &'static [&'static str],
) -> Library {
    Library { path, soname, needed, arguments }
}

/// Needed libraries are linked by path, so each stands before those that need it.
const LIBRARIES: [Library; 12] = [
    library("a/libleaf.so", "libleaf.so", &[], &[]),
    library("b/libleaf.so", "libleaf.so", &[], &[]),
    library("a/libgone.so", "libgone.so", &[], &[]),
    library("a/libmid.so", "libmid.so", &["a/libleaf.so"], &[]),
    // Found by its file's name, whatever its soname says.
    library("a/libother.so", "libalias.so", &[], &[]),
    // The RUNPATH of a requester's requester serves; glibc's does not.
    library("inherits.so", "", &["a/libmid.so"], &["-rpath=$ORIGIN/a", "--enable-new-dtags"]),
    library("rpath.so", "", &["a/libmid.so"], &["-rpath=@/b:@/a", "--disable-new-dtags"]),
    library("dollar.so", "", &["a/libmid.so"], &["-rpath=$LIB:@/a"]),
    library("braces.so", "", &["a/libmid.so"], &["-rpath=:@/nowhere:${ORIGIN}/b/../a"]),
    library("missing.so", "", &["a/libgone.so", "a/libmid.so"], &["-rpath=@/a"]),
    library("nothing.so", "", &["a/libmid.so"], &[]),
    library("twice.so", "", &["a/libleaf.so", "a/libmid.so"], &["-rpath=@/b:@/a"]),
];

/// Builds, lists and compares.
pub(crate) fn compare() -> Result<Report> {
    let place = TempDir::with_prefix("loader-musl-")?;
    let root = fs::canonicalize(place.path())?;
    build(&root)?;
    fs::remove_file(root.join("a/libgone.so"))?;
    let loader = loader()?;
    let store = Arc::new(FileStore::new(Arc::new(RealFs::new()), Facets::LINK));
    let mut report = Report::default();
    for library in LIBRARIES.iter().filter(|library| !library.path.contains('/')) {
        for library_path in [None, Some(root.join("b").display().to_string())] {
            let file = root.join(library.path);
            let mut command = clean(&loader);
            if let Some(library_path) = &library_path {
                command.arg("--library-path").arg(library_path);
            }
            let finished = run(command.arg("--list").arg(&file), LIMIT)?;
            let expected = normalise(&finished.stdout(), &finished.stderr());
            let found = listed_by_pgsym(&store, &file, library_path.as_deref())?;
            report.compared("lists of musl's loader", 1);
            report.same(&format!("musl: {} ({library_path:?})", library.path), &expected, &found);
        }
    }
    Ok(report)
}

fn build(root: &Path) -> Result<()> {
    fs::write(root.join("empty.c"), "int pgsym_nothing;\n")?;
    for library in &LIBRARIES {
        let output = root.join(library.path);
        fs::create_dir_all(output.parent().unwrap_or(root))?;
        let mut command = clean("musl-gcc");
        command.current_dir(root).args(["-shared", "-fPIC", "-o"]).arg(&output).arg("empty.c");
        command.args(["-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined", "-Wl,-rpath-link=a"]);
        if !library.soname.is_empty() {
            command.arg(format!("-Wl,-soname={}", library.soname));
        }
        for argument in library.arguments {
            command.arg(format!("-Wl,{}", argument.replace('@', &root.display().to_string())));
        }
        command.args(library.needed);
        run_well(&mut command, LIMIT).with_context(|| format!("cannot build {}", library.path))?;
    }
    Ok(())
}

/// musl's loader on this machine.
fn loader() -> Result<PathBuf> {
    fs::read_dir("/lib")?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("ld-musl-") && name.ends_with(".so.1")
        })
        .context("the package musl is installed, but /lib has no ld-musl-*.so.1")
}

/// Errors first, then the lines, addresses taken away. musl tells of every missing library and goes on.
fn normalise(stdout: &str, stderr: &str) -> String {
    let mut text = String::new();
    for line in stderr.lines() {
        let _ = writeln!(text, "error: {line}");
    }
    for line in stdout.lines() {
        let line = line.trim();
        let _ = writeln!(text, "{}", line.rsplit_once(" (0x").map_or(line, |(line, _)| line));
    }
    text
}

fn listed_by_pgsym(store: &Arc<FileStore>, file: &Path, library_path: Option<&str>) -> Result<String> {
    let module = store.module(file).map_err(anyhow::Error::msg)?;
    let options = LoaderOptions {
        libc: Some(Libc::Musl),
        library_path: library_path.map(Name::from),
        current_directory: Some("/".into()),
        ..LoaderOptions::default()
    };
    let env = LoaderEnv::read(store.fs(), module.target, None, &options);
    let process = Process::start(Arc::clone(store), Arc::new(env), file, MainObject::Listed)
        .map_err(|error| anyhow::anyhow!("{}: {}", file.display(), error.message))?;
    let mut errors = String::new();
    for edge in process.load_order().flat_map(|(_, object)| object.edges()) {
        if let Err(error) = &edge.target {
            let _ = writeln!(errors, "error: {}", error.message);
        }
    }
    let interpreter = process.interpreter().and_then(|id| process.object(id)).context("no interpreter")?;
    let mut lines = format!("{}\n", interpreter.path().display());
    let mut listed = Vec::new();
    for edge in process.load_order().flat_map(|(_, object)| object.edges()) {
        if let Ok(target) = edge.target
            && !listed.contains(&target)
        {
            listed.push(target);
            let path = process.object(target).map_or(Path::new(""), |object| object.path());
            let _ = writeln!(lines, "{} => {}", edge.name, path.display());
        }
    }
    Ok(errors + &lines)
}
