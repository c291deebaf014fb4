//! The two lists that are compared: the one that `ld.so --list` prints, addresses taken away, and the one that the
//! resolver's process gives, written as the loader writes it (elf/rtld.c, the end of `dl_main` in trace mode).

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use pgsym_core::name::Name;
use pgsym_core::resolve::{
    FileStore, LoadErrorKind, LoaderEnv, LoaderOptions, MainObject, Process, VersionMatch, checks_of,
    usual_interpreter,
};

use super::HOST_LOADER;
use crate::support::command::{clean, run};
use crate::support::cpu::own_loader;

/// One way to call the loader.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variant {
    /// `--library-path`.
    pub(crate) library_path: Option<String>,
    /// `--inhibit-cache`.
    pub(crate) inhibits_cache: bool,
}

impl Variant {
    /// The words for it in a report.
    pub(crate) fn name(&self) -> &'static str {
        match (&self.library_path, self.inhibits_cache) {
            (None, false) => "plain lists",
            (Some(_), false) => "lists with --library-path",
            (None, true) => "lists with --inhibit-cache",
            (Some(_), true) => "lists with --library-path and --inhibit-cache",
        }
    }
}

/// One file's list takes the loader a few milliseconds.
const LIMIT: Duration = Duration::from_secs(30);

/// What the loader of this machine says of `file`, in the directory `/`: a line for each object, or its error.
///
/// `--list` ends at the first library that is missing. The other way of listing, which ldd uses, goes on; so a file
/// that fails is listed both ways.
pub(crate) fn listed_by_loader(file: &Path, variant: &Variant) -> Result<String> {
    let call = |list: bool| -> Result<String> {
        let mut command = clean(HOST_LOADER);
        if let Some(library_path) = &variant.library_path {
            command.arg("--library-path").arg(library_path);
        }
        if variant.inhibits_cache {
            command.arg("--inhibit-cache");
        }
        if list {
            command.arg("--list");
        } else {
            command.env("LD_TRACE_LOADED_OBJECTS", "1");
        }
        let finished = run(command.arg(file), LIMIT)?;
        if let Some(signal) = finished.status.signal() {
            bail!("the loader itself crashes, with signal {signal}");
        }
        Ok(normalise(&finished.stdout(), &finished.stderr(), file))
    };
    let mut text = call(true)?;
    if text.starts_with(FAILURE) {
        text.push_str(&call(false)?);
    }
    Ok(text)
}

/// What stands before an error in a list.
const FAILURE: &str = "error: ";

/// Takes the addresses and the kernel's own object away; an error keeps what the loader says after its preamble.
pub(crate) fn normalise(stdout: &str, stderr: &str, file: &Path) -> String {
    let mut text = String::new();
    for line in stdout.lines() {
        let line = line.trim();
        let line = match line.rsplit_once(" (0x") {
            Some((line, _)) => line,
            None => line,
        };
        if !line.starts_with("linux-vdso.so.1") {
            let _ = writeln!(text, "{line}");
        }
    }
    let name = format!("{}: ", file.display());
    for line in stderr.lines() {
        let line = line.strip_prefix(&name).unwrap_or(line);
        let line = line.strip_prefix("error while loading shared libraries: ").unwrap_or(line);
        let _ = writeln!(text, "{FAILURE}{}", with_error_text(line));
    }
    text
}

/// Before libc is there, the loader knows the sentences of three error numbers only (elf/dl-minimal.c); a server's
/// `dlopen`, which pgsym speaks for, has them all.
fn with_error_text(line: &str) -> String {
    match line.rsplit_once(": Error ").and_then(|(head, number)| Some((head, number.parse().ok()?))) {
        Some((head, number)) => {
            let text = std::io::Error::from_raw_os_error(number).to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            format!("{head}: {text}")
        }
        None => line.to_owned(),
    }
}

/// The list that pgsym's resolver comes to.
pub(crate) fn listed_by_pgsym(store: &Arc<FileStore>, file: &Path, variant: &Variant) -> String {
    let module = match store.module(file) {
        Ok(module) => module,
        Err(error) => return format!("unreadable: {error}\n"),
    };
    let options = LoaderOptions {
        library_path: variant.library_path.as_deref().map(Name::from),
        current_directory: Some("/".into()),
        ..own_loader()
    };
    let interpreter = usual_interpreter(module.target).map(Path::new);
    let mut env = LoaderEnv::read(store.fs(), module.target, interpreter, &options);
    if variant.inhibits_cache {
        env.cache = pgsym_core::model::Table::Absent;
    }
    match Process::start(Arc::clone(store), Arc::new(env), file, MainObject::Listed) {
        Ok(process) => render(&process),
        // Both ways of listing fail alike.
        Err(error) => format!("{FAILURE}{0}\n{FAILURE}{0}\n", error.message),
    }
}

/// Writes a process as the loader lists it, both ways where it fails. A missing library has a line each time that
/// something asks for it: the loader enters an object of that name which answers nobody.
pub(crate) fn render(process: &Process) -> String {
    let Some(failure) = process.failure() else { return render_objects(process) };
    // ldd's way forgives a missing library, and still ends at the first one that is refused.
    let refusal = process
        .load_order()
        .flat_map(|(_, object)| object.edges())
        .filter_map(|edge| edge.target.as_ref().err())
        .find(|error| error.kind != LoadErrorKind::NotFound);
    let first = format!("{FAILURE}{}\n", failure.message);
    let second =
        refusal.map_or_else(|| render_objects(process), |refusal| format!("{FAILURE}{}\n", refusal.message));
    first + &second
}

/// Every object in load order, and every missing one where it was asked for. The loader's own line stands directly
/// behind the last object that was found before it: `dl_main` takes it out of the list and puts it back behind its
/// predecessor in the search list, in which missing libraries have no place.
fn render_objects(process: &Process) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut behind_found = 0;
    let mut listed = vec![process.load_order().next().map(|(id, _)| id)];
    for edge in process.load_order().flat_map(|(_, object)| object.edges()) {
        let Ok(target) = edge.target else {
            lines.push(format!("{} => not found", edge.name));
            continue;
        };
        if listed.contains(&Some(target)) {
            continue;
        }
        listed.push(Some(target));
        let path = process.object(target).map_or(Path::new(""), |object| object.path());
        if process.interpreter() == Some(target) {
            lines.insert(behind_found, path.display().to_string());
            behind_found += 1;
            continue;
        }
        lines.push(if path.as_os_str().as_encoded_bytes() == edge.name.as_bytes() {
            path.display().to_string()
        } else {
            format!("{} => {}", edge.name, path.display())
        });
        behind_found = lines.len();
    }
    if lines.is_empty() {
        lines.push("statically linked".to_owned());
    }
    lines.extend(version_complaints(process));
    lines.join("\n") + "\n"
}

/// What the loader says of versions after it has listed the objects (elf/dl-version.c, `_dl_check_map_versions`).
fn version_complaints(process: &Process) -> Vec<String> {
    let path = |id| process.object(id).map_or_else(String::new, |object| object.path().display().to_string());
    let mut lines = Vec::new();
    for (id, _) in process.load_order() {
        for check in checks_of(process, id) {
            let complaint = match check.result {
                VersionMatch::Missing => format!("version `{}' not found", check.version.name),
                VersionMatch::WeakMissing => format!("weak version `{}' not found", check.version.name),
                VersionMatch::Unversioned => "no version information available".to_owned(),
                VersionMatch::Defined | VersionMatch::Unknown => continue,
            };
            lines.push(format!("{FAILURE}{}: {complaint} (required by {})", path(check.provider), path(id)));
        }
    }
    lines
}
