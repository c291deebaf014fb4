//! `pgsym diff`: what changed between two builds, grouped by file and extension, and what breaks by it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use super::audit::{AuditEvidence, AuditServer, write_told};
use super::document::Document;
use super::field::{Field, key};
use super::text::{LABEL, Palette, count, listed, paint, write_in_column, write_wrapped};
use super::verbatim::verbatim;
use crate::check::Severity;
use crate::diff::{Change, Diff, Side, diff};
use crate::tree::Tree;

/// The answer of `pgsym diff`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Comparison {
    /// The build that users run.
    pub old: ComparedTree,
    /// The build that is to be shipped.
    pub new: ComparedTree,
    /// The files with changes, by path.
    pub files: Vec<ChangedFile>,
    /// The extensions with changes, by name.
    pub extensions: Vec<ChangedExtension>,
    /// What could not be read, so that nothing is said of it: by path, side and table.
    pub uncompared: Vec<UncomparedTable>,
    /// Counts.
    pub summary: ComparisonSummary,
    /// From which severity on text shows changes; those below are counted.
    #[serde(skip)]
    pub shown_from: Severity,
}

/// One of the two trees.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ComparedTree {
    /// As it was given.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// The server that loads its modules; null where none is known.
    pub server: Option<AuditServer>,
    /// Binaries looked at.
    pub files: usize,
    /// PostgreSQL modules among them.
    pub modules: usize,
    /// Extensions whose control files belong to the tree.
    pub extensions: usize,
}

/// The changes of one file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangedFile {
    /// Its path below `$libdir`, or below the paths that were given; that of the new file where it was renamed.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// The old file; null where the file is new.
    #[serde(flatten)]
    pub old: Field<key::OldPath>,
    /// The new file; null where the file is gone.
    #[serde(flatten)]
    pub new: Field<key::NewPath>,
    /// What changed: the worst first, then by "change" in the order of its documentation, and by message.
    pub changes: Vec<ChangeEntry>,
}

/// The changes of one extension.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangedExtension {
    /// Its name.
    #[serde(flatten)]
    pub extension: Field<key::Extension>,
    /// The old default version; null where there is none.
    #[serde(flatten)]
    pub old_version: Field<key::OldVersion>,
    /// The new default version; null where there is none.
    #[serde(flatten)]
    pub new_version: Field<key::NewVersion>,
    /// What changed, in the same order.
    pub changes: Vec<ChangeEntry>,
}

/// One change.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangeEntry {
    /// What changed: "catalog-function", "glibc-floor".
    pub change: &'static str,
    /// "error": a database, a module or a command that works with the old build fails with the new one; "warning": that
    /// can happen; "info": good to know.
    pub severity: &'static str,
    /// One sentence: both values, what they lead to.
    pub message: String,
    /// The old value; null where there is no single one.
    pub old: Option<String>,
    /// The new value, likewise.
    pub new: Option<String>,
    /// All that it is about, in byte order: symbols, versions, libraries, extensions.
    pub names: Vec<ChangedName>,
    /// What was seen.
    pub evidence: Vec<AuditEvidence>,
    /// What to do; empty where nothing can be advised.
    pub help: String,
    #[serde(skip)]
    level: Severity,
}

/// One name.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangedName {
    /// The name.
    #[serde(flatten)]
    pub name: Field<key::NameKey>,
}

/// Something that could not be read.
#[derive(Debug, Serialize, JsonSchema)]
pub struct UncomparedTable {
    /// The file.
    #[serde(flatten)]
    pub path: Field<key::PathKey>,
    /// "old" or "new".
    pub side: &'static str,
    /// What of it: "the file", a table.
    pub what: String,
    /// Why it cannot be read.
    pub error: String,
}

/// Counts of a comparison.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ComparisonSummary {
    /// Files that are on both sides.
    pub common_files: usize,
    /// Extensions that are on both sides.
    pub common_extensions: usize,
    /// Changes of that severity.
    pub errors: usize,
    /// Changes of that severity.
    pub warnings: usize,
    /// Changes of that severity.
    pub infos: usize,
}

impl Comparison {
    /// Compares two trees, both read for [`Reading::Comparing`](crate::tree::Reading::Comparing).
    pub fn new(old: &Tree, new: &Tree) -> Self {
        let found = diff(old, new);
        // What the server says is about the new tree's files.
        let verbatim = verbatim(new);
        let entries = |changes: &[Change]| -> Vec<ChangeEntry> {
            changes.iter().map(|change| ChangeEntry::new(change, new, &verbatim)).collect()
        };
        let number = |severity| found.changes().filter(|change| change.severity == severity).count();
        Self {
            old: ComparedTree::new(old),
            new: ComparedTree::new(new),
            files: found
                .files
                .iter()
                .map(|file| ChangedFile {
                    path: file.place.as_path().into(),
                    old: file.old.as_deref().into(),
                    new: file.new.as_deref().into(),
                    changes: entries(&file.changes),
                })
                .collect(),
            extensions: found
                .extensions
                .iter()
                .map(|extension| ChangedExtension {
                    extension: extension.name.as_slice().into(),
                    old_version: extension.old_version.as_deref().map_or_else(Field::null, Field::from),
                    new_version: extension.new_version.as_deref().map_or_else(Field::null, Field::from),
                    changes: entries(&extension.changes),
                })
                .collect(),
            uncompared: uncompared(&found),
            summary: ComparisonSummary {
                common_files: found.common_files,
                common_extensions: found.common_extensions,
                errors: number(Severity::Error),
                warnings: number(Severity::Warning),
                infos: number(Severity::Info),
            },
            shown_from: Severity::Info,
        }
    }

    /// How many changes are at least this bad.
    pub fn count_from(&self, severity: Severity) -> usize {
        let ComparisonSummary { errors, warnings, infos, .. } = self.summary;
        match severity {
            Severity::Error => errors,
            Severity::Warning => errors + warnings,
            Severity::Info => errors + warnings + infos,
        }
    }
}

fn uncompared(found: &Diff) -> Vec<UncomparedTable> {
    let lines = found.uncompared.iter().map(|one| UncomparedTable {
        path: one.path.as_path().into(),
        side: match one.side {
            Side::Old => "old",
            Side::New => "new",
        },
        what: one.what.clone(),
        error: one.error.clone(),
    });
    lines.collect()
}

impl ComparedTree {
    fn new(tree: &Tree) -> Self {
        Self {
            path: tree.roots().given().first().map(|path| &**path).into(),
            server: tree.server().map(|server| AuditServer::new(server, tree)),
            files: tree.files().len(),
            modules: tree.modules().count(),
            extensions: tree.inventory().in_scope().count(),
        }
    }
}

impl ChangeEntry {
    fn new(change: &Change, new: &Tree, verbatim: &[String]) -> Self {
        let shown = |text: &str| new.roots().shown_in(text, verbatim);
        let evidence = change.evidence.iter();
        Self {
            change: change.kind.as_str(),
            severity: change.severity.as_str(),
            message: shown(&change.message),
            old: change.old.clone(),
            new: change.new.clone(),
            names: change.names.iter().map(|name| ChangedName { name: name.into() }).collect(),
            evidence: evidence
                .map(|seen| AuditEvidence { label: seen.label, text: shown(&seen.text) })
                .collect(),
            help: shown(&change.help),
            level: change.severity,
        }
    }

    fn repeat_key(&self) -> (Reverse<Severity>, &'static str, &str) {
        (Reverse(self.level), self.change, &self.message)
    }

    fn write_head(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        let severity = paint(palette.of(self.level), self.severity);
        writeln!(out, "  {severity} {}", paint(palette.heading, self.change))
    }

    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        self.write_head(out, palette)?;
        write_told(out, palette, &self.message, &self.evidence, &self.help)
    }
}

/// In how many files a change may stand word for word before text tells it once for all of them. An error never is: each
/// has its own message of the server.
const REPEATED: usize = 3;

/// Files that such a change lists.
const FILES_PER_CHANGE: usize = 8;

impl Document for Comparison {
    const COMMAND: &'static str = "diff";

    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        self.old.write_text(out, palette, "old")?;
        self.new.write_text(out, palette, "new")?;
        let repeated = self.repeated();
        let is_shown = |change: &&ChangeEntry| {
            change.level >= self.shown_from && !repeated.contains_key(&change.repeat_key())
        };
        for file in &self.files {
            Self::write_group(out, palette, &file.heading(), file.changes.iter().filter(is_shown))?;
        }
        for extension in &self.extensions {
            let changes = extension.changes.iter().filter(|change| change.level >= self.shown_from);
            Self::write_group(out, palette, &extension.heading(), changes)?;
        }
        Self::write_repeated(out, palette, &repeated)?;
        if !self.uncompared.is_empty() {
            writeln!(out, "\n{}", paint(palette.heading, "not compared"))?;
        }
        for one in &self.uncompared {
            write_wrapped(out, 2, &format!("{} ({}): {}: {}", one.path, one.side, one.what, one.error))?;
        }
        writeln!(out)?;
        self.write_summary(out, palette)
    }
}

/// Changes that several files have, by what they say, the worst first.
type Repeated<'c> =
    BTreeMap<(Reverse<Severity>, &'static str, &'c str), Vec<(&'c ChangedFile, &'c ChangeEntry)>>;

impl Comparison {
    fn write_group<'c>(
        out: &mut dyn Write,
        palette: &Palette,
        heading: &str,
        changes: impl Iterator<Item = &'c ChangeEntry>,
    ) -> io::Result<()> {
        for (index, change) in changes.enumerate() {
            if index == 0 {
                writeln!(out, "\n{}", paint(palette.heading, heading))?;
            }
            change.write_text(out, palette)?;
        }
        Ok(())
    }

    /// Changes that many files have, with those files: after a rebuild for another system or major version nearly all do.
    fn repeated(&self) -> Repeated<'_> {
        let mut found = Repeated::new();
        for file in &self.files {
            let changes = file.changes.iter().filter(|change| change.level < Severity::Error);
            for change in changes.filter(|change| change.level >= self.shown_from) {
                found.entry(change.repeat_key()).or_default().push((file, change));
            }
        }
        found.retain(|_, files| files.len() > REPEATED);
        found
    }

    fn write_repeated(out: &mut dyn Write, palette: &Palette, repeated: &Repeated<'_>) -> io::Result<()> {
        if !repeated.is_empty() {
            writeln!(out, "\n{}", paint(palette.heading, "in several files"))?;
        }
        for files in repeated.values() {
            let Some((_, change)) = files.first() else { continue };
            change.write_head(out, palette)?;
            write_wrapped(out, 4, &change.message)?;
            let list = listed(files.iter().map(|(file, _)| &file.path), FILES_PER_CHANGE);
            write_in_column(out, palette, (6, LABEL), &count(files.len(), "file"), &list)?;
        }
        Ok(())
    }

    fn write_summary(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()> {
        let ComparisonSummary { common_files, common_extensions, errors, warnings, infos } = self.summary;
        let mut what = count(common_files, "file");
        if common_extensions > 0 {
            what = format!("{what} and {}", count(common_extensions, "extension"));
        }
        if errors + warnings + infos == 0 {
            return writeln!(out, "{what} on both sides: {}", paint(palette.good, "no change"));
        }
        writeln!(out, "{what} on both sides: {}", palette.severities(errors, warnings, infos))
    }
}

impl ComparedTree {
    fn write_text(&self, out: &mut dyn Write, palette: &Palette, label: &str) -> io::Result<()> {
        match &self.server {
            Some(server) => server.write_line(out, palette, &format!("{label}  ")),
            None => writeln!(out, "{label}  {}: no server found (--{label}-server PATH)", self.path),
        }
    }
}

impl ChangedFile {
    fn heading(&self) -> String {
        self.path.to_string()
    }
}

impl ChangedExtension {
    fn heading(&self) -> String {
        let versions = match (self.old_version.name(), self.new_version.name()) {
            (Some(old), Some(new)) if old != new => format!(" {old} → {new}"),
            (Some(version), _) | (None, Some(version)) => format!(" {version}"),
            (None, None) => String::new(),
        };
        format!("extension {}{versions}", self.extension)
    }
}
