//! What LLVM's programs say of one slice, brought into lines that can be compared.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::Facts;
use crate::support::command::{clean, run_well};

/// The symbol that ld64 puts into the symbol table of every image, bound or not; left out of the undefined symbols.
pub(super) const LAZY_BINDER: &str = "dyld_stub_binder";

/// How long one program may take for one slice.
const LIMIT: Duration = Duration::from_mins(2);

/// LLVM's side of a comparison.
pub(super) struct Llvm {
    /// The aspects, as text.
    pub(super) facts: Facts,
    /// Whether the slice has chained fixups.
    pub(super) is_chained: bool,
}

/// Asks about one slice.
pub(super) fn facts(file: &Path, arch: &str, llvm: &Path) -> Result<Llvm> {
    let mut objdump = clean(llvm.join("llvm-objdump"));
    objdump.args(["--macho", &format!("--arch={arch}"), "--private-headers", "--exports-trie", "--bind"]);
    objdump.args(["--lazy-bind", "--weak-bind", "--chained-fixups"]).arg(file);
    let text = run_well(&mut objdump, LIMIT)?.stdout();
    let mut nm = clean(llvm.join("llvm-nm"));
    nm.args(["-um", "-arch", arch]).arg(file);
    let undefined = run_well(&mut nm, LIMIT)?.stdout();
    let is_chained = text.contains("chained fixups header");
    Ok(Llvm {
        facts: vec![
            ("load commands", commands(&text)),
            ("exports", exports(&text)),
            ("imports", if is_chained { chained(&text) } else { binds(&text) }),
            ("undefined symbols", undefined_symbols(&undefined)),
        ],
        is_chained,
    })
}

/// The architectures of a file, in its order.
pub(super) fn architectures(file: &Path, llvm: &Path) -> Result<Vec<String>> {
    let mut lipo = clean(llvm.join("llvm-lipo"));
    let printed = run_well(lipo.arg(file).arg("-archs"), LIMIT)?.stdout();
    Ok(printed.split_whitespace().map(str::to_owned).collect())
}

/// The names in the export trie of one slice.
pub(super) fn export_names(file: &Path, arch: &str, llvm: &Path) -> Result<BTreeSet<String>> {
    let mut objdump = clean(llvm.join("llvm-objdump"));
    objdump.args(["--macho", &format!("--arch={arch}"), "--exports-trie"]).arg(file);
    let printed = run_well(&mut objdump, LIMIT)?.stdout();
    let name = |line: &str| line.split_once(' ')?.1.split_whitespace().next().map(str::to_owned);
    Ok(table(&printed, "Exports trie:").filter_map(name).collect())
}

/// Each command on a line with what it says.
fn commands(text: &str) -> String {
    let mut out = String::new();
    let Some(start) = text.find("Load command 0\n") else { return out };
    let end = text.find("Exports trie:").unwrap_or(text.len());
    for block in text[start..end].split("Load command ").skip(1) {
        // Sections follow their segment.
        let block = block.split("Section\n").next().unwrap_or(block);
        let field = |name: &str| {
            block.lines().map(str::trim_start).find_map(|line| line.strip_prefix(name)).map_or("", str::trim)
        };
        let string = |name: &str| {
            let value = field(name);
            value.rsplit_once(" (offset").map_or(value, |(text, _)| text).to_owned()
        };
        let kind = field("cmd ");
        let _ = write!(out, "{kind} {}", field("cmdsize "));
        match kind {
            "LC_SEGMENT" | "LC_SEGMENT_64" => {
                let _ = write!(
                    out,
                    " {} {} {} {} {}",
                    field("segname "),
                    number(field("vmaddr ")),
                    number(field("vmsize ")),
                    field("fileoff "),
                    field("filesize ")
                );
            }
            "LC_RPATH" => {
                let _ = write!(out, " {}", string("path "));
            }
            "LC_UUID" => {
                let _ = write!(out, " {}", field("uuid ").replace('-', "").to_lowercase());
            }
            "LC_BUILD_VERSION" => {
                let _ = write!(out, " {} {} {}", field("platform "), field("minos "), field("sdk "));
            }
            _ if kind.starts_with("LC_VERSION_MIN_") => {
                let _ = write!(out, " {} {}", field("version "), field("sdk "));
            }
            _ if kind.ends_with("_DYLIB") => {
                let _ = write!(
                    out,
                    " {} {} {} {}",
                    string("name "),
                    field("time stamp ").split(' ').next().unwrap_or_default(),
                    field("current version "),
                    field("compatibility version ")
                );
            }
            _ => {}
        }
        out.push('\n');
    }
    out
}

fn number(hex: &str) -> u64 {
    u64::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap_or(u64::MAX)
}

/// The part of the output below a heading, up to the next empty line.
fn table<'t>(text: &'t str, heading: &str) -> impl Iterator<Item = &'t str> {
    let start = text.find(&format!("\n{heading}\n")).map_or(text.len(), |at| at + heading.len() + 2);
    text[start..].lines().take_while(|line| !line.is_empty())
}

/// `name address flags`, sorted.
fn exports(text: &str) -> String {
    let mut lines: Vec<String> = table(text, "Exports trie:")
        .map(|line| {
            let (address, rest) = line.split_once("  ").unwrap_or((line, ""));
            let name = rest.split(" [").next().unwrap_or(rest);
            let (name, reexported) =
                name.split_once(" (from ").map_or((name, false), |(name, _)| (name, true));
            let flags = rest.split_once(" [").map_or("", |(_, flags)| flags);
            let address = if reexported || flags.contains("re-export") { 0 } else { number(address) };
            let name = name.trim_end();
            let has = |word: &str| if flags.contains(word) { format!(" {word}") } else { String::new() };
            let (weak, thread, absolute) = (has("weak_def"), has("per-thread"), has("absolute"));
            format!("{name} {address:#x}{}{weak}{thread}{absolute}", has("re-export"))
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

/// `table name library weak`, each once.
fn binds(text: &str) -> String {
    let mut lines = BTreeSet::new();
    for line in table(text, "Bind table:").skip(1) {
        // segment section address type addend library symbol [(weak_import)]
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [_, _, _, _, _, library, name, rest @ ..] = &*words {
            lines.insert(format!("bind {name} {library}{}", weak(rest)));
        }
    }
    for line in table(text, "Lazy bind table:").skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [_, _, _, library, name, rest @ ..] = &*words {
            lines.insert(format!("lazy {name} {library}{}", weak(rest)));
        }
    }
    for line in table(text, "Weak bind table:").skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [_, _, _, _, _, name] = &*words {
            lines.insert(format!("weak {name}"));
        }
    }
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

fn weak(rest: &[&str]) -> &'static str {
    if rest.contains(&"(weak_import)") { " weak_import" } else { "" }
}

/// `name ordinal weak`, each once.
fn chained(text: &str) -> String {
    let mut lines = BTreeSet::new();
    for block in text.split("dyld chained import[").skip(1) {
        let field = |name: &str| {
            let line = block.lines().map(str::trim_start).find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default()
        };
        let ordinal = field("lib_ordinal = ").split(' ').next().unwrap_or_default();
        let name =
            field("name_offset = ").split_once(" (").map_or("", |(_, name)| name.trim_end_matches(')'));
        let weak = if field("weak_import = ") == "1" { " weak_import" } else { "" };
        lines.insert(format!("{name} {ordinal}{weak}"));
    }
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

/// `name library`, each once.
fn undefined_symbols(text: &str) -> String {
    let lines: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("(undefined) "))
        .filter_map(|line| {
            let (line, library) = line.split_once(" (").unwrap_or((line, ""));
            let library = library.trim_start_matches("from ").trim_end_matches(')');
            let name = line.split(' ').next_back().filter(|name| *name != LAZY_BINDER)?;
            Some(format!("{name} {library}"))
        })
        .collect();
    lines.into_iter().collect::<Vec<_>>().join("\n")
}
