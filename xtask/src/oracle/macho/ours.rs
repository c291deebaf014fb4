//! What pgsym's JSON says of one slice, in LLVM's lines: `pgsym inspect` has the load commands, `pgsym symbols` the
//! exports and imports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Facts;
use super::llvm::{LAZY_BINDER, Llvm};
use crate::support::command::{clean, run};
use crate::support::workspace;

/// How long pgsym may take for one file.
const LIMIT: Duration = Duration::from_mins(2);

/// One slice as the two documents have it.
pub(super) struct Slice {
    /// "arm64".
    pub(super) arch: String,
    /// `facts` of the inspection, or why there are none.
    facts: Result<Value, String>,
    /// An entry of `pgsym symbols`.
    symbols: Value,
}

/// Builds the program, with the cargo that runs this.
pub(super) fn build() -> Result<std::path::PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", "pgsym-cli"])
        .current_dir(workspace())
        .status()
        .context("cannot run cargo")?;
    anyhow::ensure!(status.success(), "the build of pgsym failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), Into::into);
    Ok(target.join("debug/pgsym"))
}

/// What pgsym answers, as JSON. Findings (exit status 1) are an answer.
pub(super) fn ask(pgsym: &Path, arguments: &[&str], paths: &[&Path]) -> Result<Value> {
    let mut command = clean(pgsym);
    command.args(arguments).args(paths).args(["--format", "json"]);
    let finished = run(&mut command, LIMIT)?;
    anyhow::ensure!(
        matches!(finished.status.code(), Some(0 | 1)),
        "pgsym {} {}: {}",
        arguments.join(" "),
        paths.first().map_or_else(String::new, |path| path.display().to_string()),
        finished.stderr().trim()
    );
    serde_json::from_slice(&finished.stdout).context("pgsym's answer is no JSON")
}

/// The slices of a file.
pub(super) fn slices(pgsym: &Path, file: &Path) -> Result<Vec<Slice>> {
    let mut inspection = ask(pgsym, &["inspect"], &[file])?;
    let mut symbols = ask(pgsym, &["symbols"], &[file])?;
    let mut facts = inspection["files"][0]["facts"].take();
    let further = match facts["macho"]["further_slices"].take() {
        Value::Array(further) => further,
        _ => Vec::new(),
    };
    let arch = |facts: &Value| text(&facts["arch"]).to_owned();
    let mut found = vec![(arch(&facts), Ok(facts))];
    for mut slice in further {
        let facts = match slice["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(slice["facts"].take()),
        };
        found.push((arch(&slice), facts));
    }
    let symbols = symbols["files"].as_array_mut().map(std::mem::take).unwrap_or_default();
    anyhow::ensure!(
        symbols.len() == found.len(),
        "pgsym inspect and pgsym symbols count other slices in {}",
        file.display()
    );
    let both = found.into_iter().zip(symbols);
    Ok(both.map(|((arch, facts), symbols)| Slice { arch, facts, symbols }).collect())
}

/// pgsym's side of a comparison, or why the slice cannot be read.
pub(super) fn facts(slice: &Slice, llvm: &Llvm) -> Result<Facts, String> {
    let facts = slice.facts.as_ref().map_err(Clone::clone)?;
    if let Some(error) = slice.symbols["error"].as_str() {
        return Err(error.to_owned());
    }
    Ok(vec![
        ("load commands", commands(facts)),
        ("exports", exports(facts, &slice.symbols)),
        ("imports", if llvm.is_chained { chained(&slice.symbols) } else { binds(facts, &slice.symbols) }),
        ("undefined symbols", undefined(facts, &slice.symbols, llvm)),
    ])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn commands(facts: &Value) -> String {
    let macho = &facts["macho"];
    let mut out = String::new();
    let mut segments = list(&macho["segments"]).iter();
    let mut platforms = list(&macho["platforms"]).iter();
    for (index, command) in list(&macho["commands"]).iter().enumerate() {
        let kind = text(&command["name"]);
        let _ = write!(out, "{kind} {}", command["size"]);
        let is_here = |line: &&Value| line["entry"] == index;
        match kind {
            "LC_SEGMENT" | "LC_SEGMENT_64" => {
                if let Some(segment) = segments.next() {
                    let _ = write!(
                        out,
                        " {} {} {} {} {}",
                        text(&segment["name"]),
                        segment["address"],
                        segment["memory_size"],
                        segment["offset"],
                        segment["file_size"]
                    );
                }
            }
            "LC_RPATH" => {
                let path = list(&facts["search_paths"]).iter().find(is_here);
                let _ = write!(out, " {}", path.map_or("", |path| text(&path["raw"])));
            }
            "LC_UUID" => {
                let _ = write!(out, " {}", text(&macho["uuid"]));
            }
            "LC_BUILD_VERSION" | "LC_VERSION_MIN_MACOSX" => {
                if let Some(entry) = platforms.next() {
                    let platform = match (kind, text(&entry["platform"])) {
                        ("LC_BUILD_VERSION", "macOS") => "macos ".to_owned(),
                        ("LC_BUILD_VERSION", _) => format!("{} ", entry["number"]),
                        _ => String::new(),
                    };
                    // LLVM writes "n/a" for an SDK that is not known.
                    let sdk = Some(text(&entry["sdk"])).filter(|sdk| *sdk != "0.0").unwrap_or("n/a");
                    let _ = write!(out, " {platform}{} {sdk}", text(&entry["minimum"]));
                }
            }
            "LC_ID_DYLIB" => {
                let _ = write!(out, " {} {}", text(&facts["soname"]), versions(macho));
            }
            _ if kind.ends_with("_DYLIB") => {
                if let Some(at) = list(&facts["needed"]).iter().position(|line| is_here(&line)) {
                    let name = text(&facts["needed"][at]["name"]);
                    let _ = write!(out, " {name} {}", versions(&macho["libraries"][at]));
                }
            }
            _ => {}
        }
        out.push('\n');
    }
    out
}

/// Time stamp and versions, three parts each.
fn versions(line: &Value) -> String {
    let three = |version: &Value| {
        let version = text(version);
        if version.matches('.').count() == 1 { format!("{version}.0") } else { version.to_owned() }
    };
    let (current, compatibility) = (three(&line["current_version"]), three(&line["compatibility_version"]));
    format!("{} {current} {compatibility}", line["timestamp"])
}

fn exports(facts: &Value, symbols: &Value) -> String {
    let segments = list(&facts["macho"]["segments"]);
    let base = segments.iter().find(|segment| segment["name"] == "__TEXT");
    let base = base.and_then(|segment| segment["address"].as_u64()).unwrap_or(0);
    let mut lines: Vec<String> = list(&symbols["exports"])
        .iter()
        .map(|export| {
            let line = &export["macho"];
            let is_absolute = line["absolute"] == true;
            // LLVM adds the image's base to all but re-exports, to absolute values too.
            let address = line["address"]
                .as_u64()
                .map_or(0, |address| if is_absolute { address.wrapping_add(base) } else { address });
            let word = |is: bool, word: &'static str| if is { word } else { "" };
            format!(
                "{} {address:#x}{}{}{}{}",
                text(&line["raw"]),
                word(!line["reexport"].is_null(), " re-export"),
                word(export["binding"] == "weak", " weak_def"),
                word(export["kind"] == "tls", " per-thread"),
                word(is_absolute, " absolute"),
            )
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

/// One import as the document has it, an image's own coalesced definitions among them.
struct Import<'j> {
    name: &'j str,
    ordinal: i64,
    is_weak: bool,
    is_own: bool,
    tables: Vec<&'j str>,
}

fn imports(symbols: &Value) -> impl Iterator<Item = Import<'_>> {
    fn tables(value: &Value) -> Vec<&str> {
        list(value).iter().map(text).collect()
    }
    let foreign = list(&symbols["imports"]).iter().map(|import| Import {
        name: text(&import["macho"]["raw"]),
        ordinal: import["macho"]["ordinal"].as_i64().unwrap_or(i64::MIN),
        is_weak: import["weak"] == true,
        is_own: false,
        tables: tables(&import["macho"]["tables"]),
    });
    let own = list(&symbols["exports"]).iter().map(|export| Import {
        name: text(&export["macho"]["raw"]),
        ordinal: -3,
        is_weak: false,
        is_own: true,
        tables: tables(&export["macho"]["coalesced"]),
    });
    foreign.chain(own.filter(|import| !import.tables.is_empty()))
}

fn joined(lines: BTreeSet<String>) -> String {
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

fn weak(is_weak: bool) -> &'static str {
    if is_weak { " weak_import" } else { "" }
}

fn chained(symbols: &Value) -> String {
    let line = |import: Import<'_>| format!("{} {}{}", import.name, import.ordinal, weak(import.is_weak));
    joined(imports(symbols).map(line).collect())
}

fn binds(facts: &Value, symbols: &Value) -> String {
    let mut lines = BTreeSet::new();
    for import in imports(symbols) {
        let library = library(facts, import.ordinal);
        for table in &import.tables {
            lines.insert(match *table {
                "weak" => format!("weak {}", import.name),
                "lazy" => format!("lazy {} {library}", import.name),
                _ => format!("bind {} {library}{}", import.name, weak(import.is_weak)),
            });
        }
    }
    joined(lines)
}

/// `llvm-nm` reads LC_SYMTAB, where pgsym reads what dyld binds; each symbol that is bound stands in both. Of one that
/// is coalesced with other images' weak definitions only LC_SYMTAB names a library, so LLVM's is taken for it.
fn undefined(facts: &Value, symbols: &Value, llvm: &Llvm) -> String {
    let of_llvm: BTreeMap<&str, &str> = llvm
        .facts
        .iter()
        .filter(|(aspect, _)| *aspect == "undefined symbols")
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| line.split_once(' '))
        .collect();
    let exported: BTreeSet<&str> =
        list(&symbols["exports"]).iter().map(|export| text(&export["macho"]["raw"])).collect();
    let lines = imports(symbols)
        .filter(|import| !import.is_own && !exported.contains(import.name) && import.name != LAZY_BINDER)
        .map(|import| {
            let library = match import.ordinal {
                -3 => of_llvm.get(import.name).map_or_else(String::new, ToString::to_string),
                -1 => "executable".to_owned(),
                -2 => "dynamically looked up".to_owned(),
                other => library(facts, other),
            };
            format!("{} {library}", import.name)
        });
    joined(lines.collect())
}

/// LLVM's short name of a library (`MachOObjectFile::guessLibraryShortName`): the leaf without `.dylib` and without
/// a version of one character before it, twice; a leaf without `.dylib` as it is, as frameworks have it.
fn library(facts: &Value, ordinal: i64) -> String {
    match ordinal {
        0 => return "this-image".to_owned(),
        -1 => return "main-executable".to_owned(),
        -2 => return "flat-namespace".to_owned(),
        -3 => return "weak".to_owned(),
        _ => {}
    }
    let at = list(&facts["macho"]["libraries"]).iter().position(|line| line["ordinal"] == ordinal);
    let Some(at) = at else { return "<<bad library ordinal>>".to_owned() };
    let name = text(&facts["needed"][at]["name"]);
    let leaf = name.rsplit('/').next().unwrap_or(name);
    let Some(stem) = leaf.strip_suffix(".dylib") else { return leaf.to_owned() };
    let without_version = |stem: &str| match stem.as_bytes() {
        [.., b'.', _] => stem[..stem.len() - 2].to_owned(),
        _ => stem.to_owned(),
    };
    without_version(&without_version(stem))
}
