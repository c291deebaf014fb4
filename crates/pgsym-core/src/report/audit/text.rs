//! The text of an audit: the server, the findings file by file, those that are only counted, the sum.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Write};

use super::super::document::Document;
use super::super::field::{Field, key};
use super::super::text::{LABEL, Palette, count, listed, none_taken, paint, write_in_column, write_wrapped};
use super::{Audit, AuditEvidence, AuditFinding, AuditServer, AuditSummary};
use crate::discover::short_path;
use crate::name::{Name, bytes_as_path, path_bytes};

/// Lines of evidence shown under one label; the rest is counted. JSON has all of them.
const LINES_PER_LABEL: usize = 12;

/// Files listed for a rule whose findings are only counted.
const FILES_PER_RULE: usize = 8;

impl Document for Audit {
    const COMMAND: &'static str = "audit";

    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        self.write_header(out, palette)?;
        let (shown, folded): (Vec<&AuditFinding>, Vec<&AuditFinding>) =
            self.findings.iter().partition(|finding| finding.level >= self.shown_from);
        let mut last = None;
        for finding in shown {
            if last != Some(&finding.path) {
                writeln!(out, "\n{}", paint(palette.heading, self.short(&finding.path)))?;
                last = Some(&finding.path);
            }
            finding.write_text(out, palette)?;
        }
        Self::write_folded(&folded, out, palette)?;
        if !self.findings.is_empty() || self.server.is_some() {
            writeln!(out)?;
        }
        self.write_summary(out, palette)
    }
}

impl Audit {
    fn short(&self, path: &Field<key::PathKey>) -> Name {
        Name::from(path_bytes(short_path(bytes_as_path(path.as_bytes()), &self.roots)))
    }

    /// Counts findings rule by rule, with the files that they are about.
    fn write_folded(folded: &[&AuditFinding], out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        let mut rules: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
        for finding in folded {
            let path = bytes_as_path(finding.path.as_bytes());
            let name = path.file_name().map_or_else(|| path_bytes(path), OsStr::as_encoded_bytes);
            let files = rules.entry((finding.code, finding.name)).or_default();
            let name = Name::from(name).to_string();
            if files.last() != Some(&name) {
                files.push(name);
            }
        }
        if !rules.is_empty() {
            writeln!(out, "\n{}", paint(palette.heading, "notes (--show info tells them one by one)"))?;
        }
        for ((code, name), files) in rules {
            let number = folded.iter().filter(|finding| finding.code == code).count();
            writeln!(
                out,
                "  {} {code} {} ({number})",
                paint(palette.info, "info"),
                paint(palette.heading, name)
            )?;
            write_wrapped(out, 4, &listed(&files, FILES_PER_RULE))?;
        }
        Ok(())
    }

    fn write_header(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        match (&self.server, &self.other_servers[..]) {
            (Some(server), others) => {
                server.write_line(out, palette, "server  ")?;
                if let [other, further @ ..] = others {
                    let more = if further.is_empty() {
                        String::new()
                    } else {
                        format!(" and {} more", further.len())
                    };
                    writeln!(out, "        not taken: {}{more} (--server PATH)", other.path)?;
                }
            }
            (None, others @ [first, ..]) => {
                writeln!(out, "server  {}", none_taken(others.len(), &first.path))?;
            }
            (None, []) => writeln!(
                out,
                "server  none found: what modules import from it is not checked (--server PATH)"
            )?,
        }
        if let Some(cpu) = self.cpu {
            writeln!(out, "cpu     {cpu}: it has libraries of its own in glibc-hwcaps (--cpu LEVEL)")?;
        }
        Ok(())
    }

    fn write_summary(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        let AuditSummary { files, modules, extensions, errors, warnings, infos, suppressed } = self.summary;
        if files == 0 && extensions == 0 && self.findings.is_empty() && suppressed == 0 {
            return writeln!(out, "no module, library or extension is there: nothing was checked");
        }
        let mut what = count(modules, "module");
        for (number, noun) in [(files - modules, "other file"), (extensions, "extension")] {
            if number > 0 {
                what = what + ", " + &count(number, noun);
            }
        }
        if self.findings.is_empty() {
            write!(out, "{what}: {}", paint(palette.good, "nothing found"))?;
        } else {
            write!(out, "{what}: {}", palette.severities(errors, warnings, infos))?;
        }
        if suppressed > 0 {
            write!(out, " ({suppressed} allowed)")?;
        }
        writeln!(out)?;
        if let Some(worst) = self.findings.iter().rev().max_by_key(|finding| finding.level) {
            writeln!(out, "`pgsym explain {}` says more.", worst.code)?;
        }
        Ok(())
    }
}

impl AuditServer {
    /// Writes the line that tells of it.
    pub(in super::super) fn write_line(
        &self,
        out: &mut dyn Write,
        palette: &Palette,
        label: &str,
    ) -> io::Result<()> {
        let version = self.version.as_deref().unwrap_or("of unknown version");
        let libc = self.libc.as_deref().map(|libc| format!(", {libc}")).unwrap_or_default();
        let path = paint(palette.dim, format!("({})", self.path));
        let arch = if self.slices.is_empty() { self.arch.clone() } else { self.slices.join(" and ") };
        writeln!(out, "{label}PostgreSQL {version}, {arch}{libc}  {path}")
    }
}

impl AuditFinding {
    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        writeln!(
            out,
            "  {} {} {}",
            paint(palette.of(self.level), self.severity),
            self.code,
            paint(palette.heading, self.name)
        )?;
        write_told(out, palette, &self.message, &self.evidence, &self.help)
    }
}

/// Writes a sentence, what was seen under its labels, and what to do.
pub(in super::super) fn write_told(
    out: &mut dyn Write,
    palette: &Palette,
    message: &str,
    evidence: &[AuditEvidence],
    help: &str,
) -> io::Result<()> {
    let labels = evidence.iter().map(|evidence| evidence.label.chars().count());
    let column = labels.max().unwrap_or(0).max(LABEL);
    write_wrapped(out, 4, message)?;
    let mut label = "";
    let mut lines = 0;
    for (index, seen) in evidence.iter().enumerate() {
        let is_new = seen.label != label;
        lines = if is_new { 1 } else { lines + 1 };
        label = seen.label;
        if lines <= LINES_PER_LABEL {
            let label = if is_new { label } else { "" };
            write_in_column(out, palette, (6, column), label, &seen.text)?;
        } else if lines == LINES_PER_LABEL + 1 {
            let more = evidence[index..].iter().take_while(|other| other.label == label).count();
            let rest = format!("… and {more} more (--format json has all)");
            write_in_column(out, palette, (6, column), "", &rest)?;
        }
    }
    if !help.is_empty() {
        write_in_column(out, palette, (6, column), "fix", help)?;
    }
    Ok(())
}
