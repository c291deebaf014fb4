//! `pgsym explain` and `pgsym rules`: what a rule checks and how to mend what it finds, from the same text as
//! the pages in `docs/rules`.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use super::document::Document;
use super::text::{Palette, WIDTH, pad, paint, wrap};
use crate::check::{Rule, Severity};
use crate::rules::RULES;

/// The answer of `pgsym explain`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explanation {
    /// The rule.
    #[serde(flatten)]
    pub rule: RuleEntry,
    /// Its documentation, Markdown.
    pub documentation: &'static str,
}

/// The answer of `pgsym rules`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RuleList {
    /// Every rule, by code.
    pub rules: Vec<RuleEntry>,
}

/// One rule.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RuleEntry {
    /// "PGS101".
    pub code: &'static str,
    /// "missing-dependency".
    pub name: &'static str,
    /// The group that it belongs to.
    pub group: &'static str,
    /// How bad it usually is: "error", "warning" or "info".
    pub severity: &'static str,
    /// One sentence.
    pub summary: &'static str,
}

impl RuleEntry {
    fn new(rule: &'static Rule) -> Self {
        Self {
            code: rule.code,
            name: rule.name,
            group: rule.group.as_str(),
            severity: rule.severity.as_str(),
            summary: rule.summary.trim(),
        }
    }
}

impl Explanation {
    /// The rule of a code or name, whichever case the code is written in; none where there is no such rule.
    pub fn of(code: &str) -> Option<Self> {
        let rule = RULES.iter().find(|rule| rule.code.eq_ignore_ascii_case(code) || rule.name == code)?;
        Some(Self { rule: RuleEntry::new(rule), documentation: rule.documentation })
    }
}

impl RuleList {
    /// Every rule.
    pub fn new() -> Self {
        let mut rules: Vec<RuleEntry> = RULES.iter().map(|rule| RuleEntry::new(rule)).collect();
        rules.sort_by_key(|rule| rule.code);
        Self { rules }
    }
}

impl Default for RuleList {
    fn default() -> Self {
        Self::new()
    }
}

impl Document for RuleList {
    const COMMAND: &'static str = "rules";

    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        let mut group = "";
        for rule in &self.rules {
            if rule.group != group {
                if !group.is_empty() {
                    writeln!(out)?;
                }
                group = rule.group;
                writeln!(out, "{}", paint(palette.heading, group))?;
            }
            let style = match rule.severity {
                word if word == Severity::Error.as_str() => palette.error,
                word if word == Severity::Warning.as_str() => palette.warning,
                _ => palette.info,
            };
            let severity = pad(rule.severity, 8);
            writeln!(
                out,
                "  {}  {}{}",
                rule.code,
                paint(style, severity),
                paint(palette.heading, rule.name)
            )?;
            for line in wrap(rule.summary, WIDTH - 18) {
                writeln!(out, "{:18}{line}", "")?;
            }
        }
        writeln!(out, "\n`pgsym explain CODE` says what a rule checks and how to mend what it finds.")
    }
}

impl Document for Explanation {
    const COMMAND: &'static str = "explain";

    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        let RuleEntry { code, name, severity, group, .. } = &self.rule;
        writeln!(out, "{} {} ({severity}, {group})\n", code, paint(palette.heading, name))?;
        write_markdown(self.documentation, out, palette)
    }
}

/// Writes Markdown for a terminal: headings without their marks, paragraphs and list items wrapped, code as it
/// stands.
fn write_markdown(text: &str, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
    let mut paragraph = String::new();
    let mut in_code = false;
    for line in text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)) {
        let is_item = line.trim_start().starts_with("- ");
        let starts_block = line.is_empty()
            || line.starts_with('#')
            || line.starts_with("```")
            || line.starts_with('|')
            || is_item;
        if (starts_block || in_code) && !paragraph.is_empty() {
            write_paragraph(&std::mem::take(&mut paragraph), out)?;
        }
        if line.starts_with("```") {
            in_code = !in_code;
        } else if in_code {
            writeln!(out, "    {line}")?;
        } else if let Some(heading) = line.strip_prefix("## ") {
            writeln!(out, "{}", paint(palette.heading, heading))?;
        } else if line.is_empty() || line.starts_with('|') {
            writeln!(out, "{line}")?;
        } else {
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line.trim());
        }
    }
    if paragraph.is_empty() { Ok(()) } else { write_paragraph(&paragraph, out) }
}

fn write_paragraph(text: &str, out: &mut dyn Write) -> io::Result<()> {
    let hang = if text.starts_with("- ") { 4 } else { 2 };
    for (index, line) in wrap(text, WIDTH - hang).into_iter().enumerate() {
        let indent = if index == 0 { 2 } else { hang };
        writeln!(out, "{:indent$}{line}", "")?;
    }
    Ok(())
}
