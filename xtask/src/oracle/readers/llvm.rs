//! llvm-readelf's view: its GNU-style text, which is stable across the releases that Debian has.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::view::{self, Symbol, View};
use crate::support::command::{clean, run_well};

/// The largest library of a Debian tree takes a second.
const LIMIT: Duration = Duration::from_mins(2);

/// Runs the program on a file and reads what it prints.
pub(super) fn read(program: &str, path: &Path) -> Result<View> {
    let flags = ["-W", "--dyn-syms", "--dynamic-table", "--version-info", "--notes"];
    let finished = run_well(clean(program).args(flags).arg(path), LIMIT)?;
    // Lossy decoding turns odd bytes into U+FFFD for every reader alike.
    let text = finished.stdout();
    let mut reader = Text::default();
    for line in text.lines() {
        reader.line(line).with_context(|| format!("{program} prints {line:?} of {}", path.display()))?;
    }
    Ok(reader.finish())
}

#[derive(Default)]
struct Text {
    view: View,
    part: Part,
    /// `vn_file` of the verneed record that is being read.
    file: String,
    definitions: Vec<(String, u16, bool, bool, Vec<String>)>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Part {
    #[default]
    Other,
    Dynamic,
    Symbols,
    Needs,
    Definitions,
}

impl Text {
    fn line(&mut self, line: &str) -> Result<()> {
        if let Some(part) = heading(line) {
            self.part = part;
            return Ok(());
        }
        match self.part {
            Part::Dynamic => self.dynamic(line),
            Part::Symbols => self.symbol(line)?,
            Part::Needs => self.need(line)?,
            Part::Definitions => self.definition(line)?,
            Part::Other => {
                if let Some(id) = line.trim().strip_prefix("Build ID: ") {
                    self.view.build_id.get_or_insert_with(|| id.to_owned());
                }
            }
        }
        Ok(())
    }

    /// `  0x000000000000000e (SONAME)       Library soname: [libssl.so.3]`
    fn dynamic(&mut self, line: &str) {
        let Some((tag, value)) = line.split_once('(').and_then(|(_, rest)| rest.split_once(')')) else {
            return;
        };
        let value = value.trim();
        let bracketed = || {
            let (_, inner) = value.split_once('[')?;
            Some(inner.strip_suffix(']')?.to_owned())
        };
        match tag {
            "NEEDED" | "AUXILIARY" | "FILTER" => self.view.needed.extend(bracketed()),
            "SONAME" => self.view.soname = bracketed(),
            "RPATH" => self.view.rpath = bracketed(),
            "RUNPATH" => self.view.runpath = bracketed(),
            "FLAGS" => self.view.flags.extend(value.split_whitespace().map(ToOwned::to_owned)),
            "FLAGS_1" => self.view.flags_1.extend(value.split_whitespace().map(ToOwned::to_owned)),
            "SYMBOLIC" | "TEXTREL" | "BIND_NOW" => {
                self.view.flags.insert(tag.to_owned());
            }
            _ => {}
        }
    }

    /// `     1: 0000000000000000     0 FUNC    GLOBAL DEFAULT   UND memcpy@GLIBC_2.14`
    fn symbol(&mut self, line: &str) -> Result<()> {
        let mut fields = line.split_whitespace();
        let Some(number) = fields.next().and_then(|field| field.strip_suffix(':')) else { return Ok(()) };
        let Ok(number) = number.parse::<usize>() else { return Ok(()) };
        if number == 0 {
            return Ok(());
        }
        let mut next = || fields.next().context("a field is missing");
        let value = u64::from_str_radix(next()?, 16)?;
        let size = next()?.parse()?;
        let kind = interned(next()?, view::kind);
        let binding = interned(next()?, view::binding);
        let visibility = interned(next()?, view::visibility);
        let mut section = next()?;
        // `[<other>: 0x60]` stands between visibility and section on some machines.
        while section.starts_with('[') || section.ends_with(']') {
            section = next()?;
        }
        let section = match section {
            "UND" => 0,
            "ABS" => 0xfff1,
            "COM" => 0xfff2,
            number => number.parse()?,
        };
        let full = fields.next().unwrap_or_default();
        let (name, version) = full.split_at(full.find('@').unwrap_or(full.len()));
        self.view.symbols.push(Symbol {
            name: name.to_owned(),
            version: version.to_owned(),
            kind,
            binding,
            visibility,
            section,
            value,
            size,
        });
        Ok(())
    }

    /// `  0x0000: Version: 1  File: libc.so.6  Cnt: 5`, `  0x0010:   Name: GLIBC_2.4  Flags: none  Version: 9`
    fn need(&mut self, line: &str) -> Result<()> {
        if let Some(file) = field(line, "File: ") {
            self.file = file.to_owned();
        } else if let Some(name) = field(line, "Name: ") {
            let index: u16 = field(line, "Version: ").context("no version")?.parse()?;
            let is_weak = field(line, "Flags: ").is_some_and(|flags| flags.contains("WEAK"));
            self.view.needs.push(view::need(&self.file, name, index & 0x7fff, is_weak));
        }
        Ok(())
    }

    /// `  0x001c: Rev: 1  Flags: none  Index: 2  Cnt: 1  Name: OPENSSL_3.0.0`, `  0x0038: Parent 1: OPENSSL_1.1.0`
    fn definition(&mut self, line: &str) -> Result<()> {
        if let Some(name) = field(line, "Name: ") {
            let index: u16 = field(line, "Index: ").context("no index")?.parse()?;
            let flags = field(line, "Flags: ").unwrap_or_default();
            let (base, weak) = (flags.contains("BASE"), flags.contains("WEAK"));
            self.definitions.push((name.to_owned(), index & 0x7fff, base, weak, Vec::new()));
        } else if let Some((_, parent)) = line.split_once("Parent ")
            && let Some((_, parent)) = parent.split_once(": ")
            && let Some((.., parents)) = self.definitions.last_mut()
        {
            parents.push(parent.to_owned());
        }
        Ok(())
    }

    fn finish(mut self) -> View {
        let lines = self.definitions.iter();
        self.view.definitions = lines
            .map(|(name, index, base, weak, parents)| view::definition(name, *index, *base, *weak, parents))
            .collect();
        self.view
    }
}

fn heading(line: &str) -> Option<Part> {
    let headings = [
        ("Dynamic section at", Part::Dynamic),
        ("Symbol table '", Part::Symbols),
        ("Version needs section", Part::Needs),
        ("Version definition section", Part::Definitions),
        ("Version symbols section", Part::Other),
        ("Displaying notes found", Part::Other),
        ("There is no dynamic section", Part::Other),
    ];
    headings.iter().find(|(start, _)| line.starts_with(start)).map(|(_, part)| *part)
}

/// The text behind a label, up to the two spaces before the next one.
fn field<'a>(line: &'a str, label: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(label)?;
    Some(rest.split("  ").next().unwrap_or(rest).trim())
}

/// The name as the views spell it.
fn interned(text: &str, names: fn(u8) -> &'static str) -> &'static str {
    (0..16).map(names).find(|name| *name == text).unwrap_or("unknown to this oracle")
}
