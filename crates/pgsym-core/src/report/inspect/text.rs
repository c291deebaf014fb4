//! An inspection in words: one line for each fact, a table only where there are many.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::super::document::Document;
use super::super::text::{LABEL, Palette, count, pad, paint, write_labelled};
use super::{ElfFacts, FileFacts, Inspection, ModuleFacts, PostgresFacts, SecondOpinion, SegmentLine};

/// Lines shown of one list of disagreements; JSON has all.
const DISAGREEMENTS: usize = 20;

impl Document for Inspection {
    const COMMAND: &'static str = "inspect";

    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        for (index, file) in self.files.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            file.write_text(out, palette)?;
        }
        Ok(())
    }
}

/// Writes one labelled fact, two columns in.
struct Lines<'o> {
    out: &'o mut dyn Write,
    palette: &'o Palette,
}

impl Lines<'_> {
    fn fact(&mut self, label: &str, text: &str) -> io::Result<()> {
        write_labelled(self.out, self.palette, 2, label, text)
    }

    /// Rows of a table: never wrapped, because their columns mean something.
    fn rows(&mut self, label: &str, rows: impl IntoIterator<Item = String>) -> io::Result<()> {
        for (index, row) in rows.into_iter().enumerate() {
            let label = pad(if index == 0 { label } else { "" }, LABEL);
            writeln!(self.out, "  {} {row}", paint(self.palette.dim, label))?;
        }
        Ok(())
    }

    fn list<T>(&mut self, label: &str, items: &[T], text: impl Fn(&T) -> String) -> io::Result<()> {
        for (index, item) in items.iter().enumerate() {
            self.fact(if index == 0 { label } else { "" }, &text(item))?;
        }
        Ok(())
    }
}

impl FileFacts {
    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        writeln!(out, "{}", paint(palette.heading, &self.path))?;
        if let Some(error) = &self.error {
            writeln!(out, "  {}: {error}", paint(palette.error, "unreadable"))?;
        }
        let mut lines = Lines { out, palette };
        if let Some(facts) = &self.facts {
            facts.write_text(&mut lines)?;
            for slice in facts.macho.iter().flat_map(|macho| &macho.further_slices) {
                let heading = format!("{} ({})", self.path, slice.arch);
                writeln!(lines.out, "{}", paint(palette.heading, heading))?;
                if let Some(error) = &slice.error {
                    writeln!(lines.out, "  {}: {error}", paint(palette.error, "unreadable"))?;
                }
                if let Some(facts) = &slice.facts {
                    facts.write_text(&mut lines)?;
                }
            }
        }
        if let Some(opinion) = &self.second_opinion {
            opinion.write_text(&mut lines)?;
        }
        Ok(())
    }
}

impl ModuleFacts {
    fn write_text(&self, lines: &mut Lines<'_>) -> io::Result<()> {
        let Self { kind, arch, bits, endian, size, .. } = self;
        lines.fact("file", &format!("{kind}, {arch}, {bits}-bit {endian}-endian, {size} bytes"))?;
        for (label, text) in self.macho.iter().flat_map(|macho| macho.lines()) {
            lines.fact(label, &text)?;
        }
        if self.soname.name().is_some() {
            let label = if self.macho.is_some() { "name" } else { "soname" };
            lines.fact(label, &self.soname.to_string())?;
        }
        if let Some(needed) = &self.needed {
            lines.list("needed", needed, |line| {
                let note = if line.kind == "needed" { String::new() } else { format!("  ({})", line.kind) };
                format!("{}{note}", line.name)
            })?;
            if needed.is_empty() {
                lines.fact("needed", "none")?;
            }
        }
        lines.list("search path", &self.search_paths, |line| format!("{} {}", line.tag, line.raw))?;
        if let Some(postgres) = &self.postgres {
            postgres.write_text(lines)?;
        }
        if let Some(symbols) = &self.symbols {
            let hash = match symbols.hash {
                Some(hash) => format!("{hash} of {}", count(symbols.hash_buckets, "bucket")),
                None if self.macho.is_some() => "found by the export trie".to_owned(),
                None => "without a hash table: nothing can be found in it".to_owned(),
            };
            let text = format!("{} exports, {} imports, {hash}", symbols.exports, symbols.imports);
            lines.fact("symbols", &text)?;
        }
        if let Some(elf) = &self.elf {
            elf.write_text(self, lines)?;
        }
        lines.list("unreadable", &self.unreadable, |line| format!("{}: {}", line.table, line.reason))
    }
}

impl PostgresFacts {
    fn write_text(&self, lines: &mut Lines<'_>) -> io::Result<()> {
        match (&self.magic, &self.magic_unknown) {
            (Some(magic), _) => {
                let mut text = format!("PostgreSQL {}", crate::postgres::major_words(magic.version));
                if magic.abi.name().is_some() {
                    write!(text, ", ABI \"{}\"", magic.abi).map_err(io::Error::other)?;
                }
                if magic.name.name().is_some() {
                    write!(text, ", module \"{}\" {}", magic.name, magic.module_version)
                        .map_err(io::Error::other)?;
                }
                lines.fact("magic", &text)?;
                let text = format!(
                    "length {}, funcmaxargs {}, indexmaxkeys {}, namedatalen {}, float8byval {}; read from {} at {:#x}",
                    magic.len,
                    magic.func_max_args,
                    magic.index_max_keys,
                    magic.name_data_len,
                    magic.float8_by_value,
                    self.magic_evidence.unwrap_or("data"),
                    self.magic_address.unwrap_or(0),
                );
                lines.fact("", &text)?;
            }
            (None, Some(reason)) => lines.fact("magic", &format!("cannot be told: {reason}"))?,
            (None, None) => lines.fact("magic", "none: not a module")?,
        }
        if !self.finfo.is_empty() {
            let odd = self.finfo.iter().filter(|record| record.api_version != Some(1)).count();
            let note = if odd == 0 {
                "all of API version 1".to_owned()
            } else {
                format!("{odd} not of API version 1")
            };
            lines.fact("functions", &format!("{}, {note}", count(self.finfo.len(), "record")))?;
        }
        Ok(())
    }
}

impl ElfFacts {
    fn write_text(&self, facts: &ModuleFacts, lines: &mut Lines<'_>) -> io::Result<()> {
        if self.interpreter.name().is_some() {
            lines.fact("interpreter", &self.interpreter.to_string())?;
        }
        let flags: Vec<&str> = self.flags.iter().chain(&self.flags_1).map(String::as_str).collect();
        if !flags.is_empty() {
            lines.fact("flags", &flags.join(" "))?;
        }
        for (index, need) in self.version_needs.iter().flatten().enumerate() {
            let versions: Vec<String> =
                need.versions.iter().map(|version| version.name.to_string()).collect();
            let label = if index == 0 { "versions" } else { "" };
            lines.fact(label, &format!("of {}: {}", need.file, versions.join(" ")))?;
        }
        for (index, definition) in self.version_definitions.iter().flatten().enumerate() {
            let base = if definition.base { "  (base)" } else { "" };
            lines.fact(if index == 0 { "defines" } else { "" }, &format!("{}{base}", definition.name))?;
        }
        lines.fact("stack", self.stack.as_deref().unwrap_or("no PT_GNU_STACK: executable on x86"))?;
        lines.fact("relro", self.relro)?;
        if let Some(tls) = &self.tls {
            lines.fact("tls", &format!("{} bytes, aligned to {}", tls.size, tls.align))?;
        }
        if let Some(relocations) = &self.relocations {
            let mut text = format!(
                "{} and {} of the PLT, {} symbols",
                relocations.count, relocations.plt, relocations.symbols
            );
            for (number, what) in [
                (relocations.relr, "packed in DT_RELR"),
                (relocations.text, "in read-only segments"),
                (relocations.static_tls, "that need static TLS"),
            ] {
                if number > 0 {
                    write!(text, ", {number} {what}").map_err(io::Error::other)?;
                }
            }
            lines.fact("relocations", &text)?;
        }
        if let Some(id) = &self.build_id {
            lines.fact("build id", id)?;
        }
        if let Some(tag) = &self.abi_tag {
            lines.fact("kernel", &format!("{tag} or later"))?;
        }
        lines.list("properties", &self.properties, String::clone)?;
        lines.list("dlopen", &self.dlopen_notes, |note| {
            format!("{} ({}): {}", note.sonames.join(" or "), note.priority, note.description)
        })?;
        self.write_tables(facts, lines)
    }

    fn write_tables(&self, facts: &ModuleFacts, lines: &mut Lines<'_>) -> io::Result<()> {
        if let Some(sections) = &self.sections {
            lines.fact("sections", &count(sections.count as usize, "header"))?;
            lines.list("differ", &sections.disagreements, String::clone)?;
            if let Some(hidden) = sections.hidden_entry_points.as_ref().filter(|hidden| !hidden.is_empty()) {
                lines.fact("hidden", &hidden.join(" "))?;
            }
        }
        let segments = self.segments.iter().map(|segment| {
            let SegmentLine { kind, flags, address, memory_size, .. } = segment;
            format!("{}{flags}  {address:#010x} +{memory_size:#x}", pad(kind, 18))
        });
        lines.rows("segments", segments)?;
        let named = |index: usize| {
            let needed = facts.needed.iter().flatten().map(|line| (line.entry, line.name.to_string()));
            let paths = facts.search_paths.iter().map(|line| (line.entry, line.raw.to_string()));
            let name = needed.chain(paths).find(|(entry, _)| *entry as usize == index);
            name.map(|(_, name)| format!("  {name}")).unwrap_or_default()
        };
        let dynamic = self.dynamic.iter().flatten().map(|entry| {
            let index = pad(&format!("[{}]", entry.index), 6);
            format!("{index}{}{:#x}{}", pad(&entry.tag, 18), entry.value, named(entry.index))
        });
        lines.rows("dynamic", dynamic)
    }
}

impl SecondOpinion {
    fn write_text(&self, lines: &mut Lines<'_>) -> io::Result<()> {
        if let Some(unsupported) = &self.unsupported {
            return lines.fact("second", unsupported);
        }
        if let Some(failure) = &self.failure {
            return lines.fact("second", &format!("{}: {failure}", self.reader));
        }
        let number = self.disagreements.len();
        if number == 0 {
            let text = format!("{} agrees on {}", self.reader, count(self.compared, "fact"));
            return lines.fact("second", &text);
        }
        lines.fact(
            "second",
            &format!("{} differs in {number} of {}", self.reader, count(self.compared, "fact")),
        )?;
        for disagreement in self.disagreements.iter().take(DISAGREEMENTS) {
            lines.fact("", &disagreement.fact)?;
            lines.fact("", &format!("  pgsym  {}", disagreement.pgsym))?;
            lines.fact("", &format!("  other  {}", disagreement.other))?;
        }
        if number > DISAGREEMENTS {
            lines.fact("", &format!("… and {} more (--format json has all)", number - DISAGREEMENTS))?;
        }
        Ok(())
    }
}
