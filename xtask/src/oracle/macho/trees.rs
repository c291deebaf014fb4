//! Whole trees: which libraries are absent by an obvious walk over what LLVM prints, against `pgsym tree` and
//! `pgsym audit`; and whether the export trie of each module has what `pgsym functions` says that it has. The npm
//! packages lack the symbolic links that their installation makes, so each is looked at as unpacked and
//! once more with the links of its `pg-symlinks.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{binaries, llvm, ours};
use crate::support::command::{clean, run_well};
use crate::support::report::Report;

const LIMIT: Duration = Duration::from_mins(2);

/// Compares the installation in a package.
pub(super) fn compare(pgsym: &Path, package: &Path, tools: &Path) -> Result<Report> {
    let mut report = Report::default();
    let servers = walkdir::WalkDir::new(package).sort_by_file_name().into_iter().filter_map(Result::ok);
    let server = servers.map(walkdir::DirEntry::into_path).find(|path| path.ends_with("bin/postgres"));
    let Some(root) = server.as_deref().and_then(Path::parent).and_then(Path::parent) else {
        report.not_run("packages without bin/postgres", 1);
        return Ok(report);
    };
    let unpacked = absent(pgsym, root, tools, &mut report)?;
    let links = root.join("pg-symlinks.json");
    if !links.exists() {
        return functions(pgsym, root, tools, &unpacked, report);
    }
    let copy = tempfile::tempdir_in(package.parent().unwrap_or(package))?;
    let whole = restore(root, &links, copy.path())?;
    let left = absent(pgsym, &whole, tools, &mut report)?;
    // What is absent now must be truly absent: nothing in the whole package has the name.
    let entries = walkdir::WalkDir::new(copy.path()).into_iter().filter_map(Result::ok);
    let names: BTreeSet<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    for name in &left.absent {
        report.compared("libraries absent with the links restored", 1);
        let found = if names.contains(name) { "in the package" } else { "nowhere" };
        report.same(&format!("{}: {name}, absent with the links restored", root.display()), "nowhere", found);
    }
    functions(pgsym, &whole, tools, &left, report)
}

/// What a walk over the libraries of a tree comes to.
#[derive(Default)]
struct Walk {
    /// The leaf names of libraries that are not there.
    absent: BTreeSet<String>,
    /// Who asks for one of them.
    broken: BTreeSet<PathBuf>,
    /// What each file asks for and gets.
    needs: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

impl Walk {
    /// Whether a file, or something that it brings, asks for a library that is not there.
    fn is_broken(&self, file: &Path) -> bool {
        let mut pending = vec![file];
        let mut seen = BTreeSet::new();
        while let Some(file) = pending.pop().filter(|_| seen.len() < self.needs.len() + 1) {
            if self.broken.contains(file) {
                return true;
            }
            if seen.insert(file) {
                pending.extend(self.needs.get(file).into_iter().flatten().map(PathBuf::as_path));
            }
        }
        false
    }
}

/// Compares the absent libraries of a tree.
fn absent(pgsym: &Path, root: &Path, tools: &Path, report: &mut Report) -> Result<Walk> {
    let mut expected = BTreeSet::new();
    let mut walk = Walk::default();
    let server_paths: Vec<String> = rpaths(&root.join("bin/postgres"), tools)?.into_iter().collect();
    let relative = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    let mut asked = 0;
    for file in binaries(root)? {
        let own = rpaths(&file, tools)?;
        let file = std::fs::canonicalize(file)?;
        for name in dylibs(&file, tools)? {
            asked += 1;
            let found = if let Some(leaf) = name.strip_prefix("@rpath/") {
                // The rpaths of the program that opened it count, too; in these trees no library between has others.
                let from_server = server_paths.iter().map(|path| (path, root.join("bin/postgres")));
                own.iter().map(|path| (path, file.clone())).chain(from_server).find_map(|(path, owner)| {
                    Some(place(path, &owner, root)?.join(leaf)).filter(|path| is_there(path))
                })
            } else {
                place(&name, &file, root).filter(|path| is_there(path))
            };
            if let Some(found) = found {
                let found = std::fs::canonicalize(&found).unwrap_or(found);
                walk.needs.entry(file.clone()).or_default().insert(found);
            } else {
                expected.insert(format!("{} needs {name}", relative(&file)));
                walk.absent.insert(name.rsplit('/').next().unwrap_or(&name).to_owned());
                walk.broken.insert(file.clone());
            }
        }
    }
    report.compared("libraries asked for", asked);
    report.compared("libraries absent", expected.len());

    let answer = ours::ask(pgsym, &["tree"], &[root])?;
    let mut found = BTreeSet::new();
    for line in list(&answer["files"]).iter().flat_map(|file| list(&file["dependencies"])) {
        if line["path"].is_null() {
            let by = std::fs::canonicalize(text(&line["requested_by"]))?;
            found.insert(format!("{} needs {}", relative(&by), text(&line["name"])));
        }
    }
    report.same(
        &format!("{}: libraries absent, pgsym tree", root.display()),
        &joined(&expected),
        &joined(&found),
    );

    let answer = ours::ask(pgsym, &["audit"], &[root])?;
    let told: BTreeSet<String> = list(&answer["findings"])
        .iter()
        .filter(|finding| matches!(text(&finding["name"]), "missing-dylib" | "unresolved-rpath"))
        .map(|finding| text(&finding["subject"]))
        .map(|subject| subject.rsplit('/').next().unwrap_or(subject).to_owned())
        .collect();
    report.same(
        &format!("{}: libraries absent, pgsym audit", root.display()),
        &joined(&walk.absent),
        &joined(&told),
    );
    Ok(walk)
}

/// Whether the module of each C function has the symbol and its finfo record, by LLVM's reading of its trie, and whether the
/// server opens it at all, by the walk.
fn functions(pgsym: &Path, root: &Path, tools: &Path, walk: &Walk, mut report: Report) -> Result<Report> {
    let answer = ours::ask(pgsym, &["functions"], &[root])?;
    let arch = llvm::architectures(&root.join("bin/postgres"), tools)?.into_iter().next().unwrap_or_default();
    let mut exports: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for function in list(&answer["functions"]) {
        let symbol = text(&function["prosrc"]);
        let subject = format!("{}: {}", root.display(), function["probin"]);
        report.compared("C functions", 1);
        let module = function["module"].as_str().map(PathBuf::from);
        let opened = module.as_ref().and_then(|module| std::fs::canonicalize(module).ok());
        let is_broken = opened.is_some_and(|module| walk.is_broken(&module));
        let expected = if is_broken { "module-does-not-load" } else { "ok" };
        report.same(&format!("{subject}: {symbol}"), expected, text(&function["status"]));
        let Some(module) = module else { continue };
        if !exports.contains_key(&module) {
            let names = llvm::export_names(&module, &arch, tools)?;
            exports.insert(module.clone(), names);
        }
        for name in [format!("_{symbol}"), format!("_pg_finfo_{symbol}")] {
            let is_there = exports.get(&module).is_some_and(|names| names.contains(&name));
            report.same(
                &format!("{subject}: {name}"),
                "exported",
                if is_there { "exported" } else { "absent" },
            );
        }
    }
    Ok(report)
}

/// A copy of the tree with the links that its installation makes; the files themselves are shared.
fn restore(root: &Path, links: &Path, into: &Path) -> Result<PathBuf> {
    let package = root.parent().context("the tree lies in a package")?;
    let into = std::fs::canonicalize(into)?;
    for entry in walkdir::WalkDir::new(package) {
        let entry = entry?;
        let place = into.join(entry.path().strip_prefix(package)?);
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(place)?;
        } else if entry.file_type().is_file() {
            std::fs::hard_link(entry.path(), place)?;
        }
    }
    let links: Value =
        serde_json::from_slice(&std::fs::read(links)?).context("pg-symlinks.json is no JSON")?;
    for link in list(&links) {
        let target = into.join(text(&link["target"]));
        std::fs::create_dir_all(target.parent().context("a link has a place")?)?;
        let source = into.join(text(&link["source"]));
        std::os::unix::fs::symlink(&source, &target)
            .with_context(|| format!("cannot link {} to {}", target.display(), source.display()))?;
    }
    Ok(into.join(root.strip_prefix(package)?))
}

/// The path that a name without `@rpath` means; none for the system's, which the shared cache has.
fn place(name: &str, owner: &Path, root: &Path) -> Option<PathBuf> {
    let path = if let Some(rest) = name.strip_prefix("@loader_path") {
        owner.parent()?.join(rest.trim_start_matches('/'))
    } else if let Some(rest) = name.strip_prefix("@executable_path") {
        root.join("bin").join(rest.trim_start_matches('/'))
    } else {
        PathBuf::from(name)
    };
    // ".." by its letters: none of these directories is a link.
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    Some(plain)
}

fn is_there(path: &Path) -> bool {
    path.starts_with("/usr/lib") || path.starts_with("/System/Library") || path.is_file()
}

/// The libraries of all slices.
fn dylibs(file: &Path, tools: &Path) -> Result<BTreeSet<String>> {
    let mut objdump = clean(tools.join("llvm-objdump"));
    objdump.args(["--macho", "--arch=all", "--dylibs-used"]).arg(file);
    let printed = run_well(&mut objdump, LIMIT)?.stdout();
    let names = printed.lines().filter_map(|line| line.strip_prefix('\t')?.split(" (compatibility").next());
    // An image's own install name stands first of each slice.
    let mut id = clean(tools.join("llvm-objdump"));
    id.args(["--macho", "--arch=all", "--dylib-id"]).arg(file);
    let printed_id = run_well(&mut id, LIMIT)?.stdout();
    let ids: BTreeSet<&str> = printed_id.lines().filter(|line| !line.ends_with(':')).collect();
    Ok(names.filter(|name| !ids.contains(name)).map(str::to_owned).collect())
}

/// The LC_RPATHs of all slices.
fn rpaths(file: &Path, tools: &Path) -> Result<BTreeSet<String>> {
    let mut objdump = clean(tools.join("llvm-objdump"));
    objdump.args(["--macho", "--arch=all", "--rpaths"]).arg(file);
    let printed = run_well(&mut objdump, LIMIT)?.stdout();
    Ok(printed.lines().filter(|line| !line.ends_with(':') && !line.is_empty()).map(str::to_owned).collect())
}

fn joined(lines: &BTreeSet<String>) -> String {
    lines.iter().cloned().collect::<Vec<_>>().join("\n")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
