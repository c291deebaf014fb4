//! What the rules on extensions share: findings about a control file or a script, with the place and the server's
//! words as evidence; and, for tests, a small installation in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::check::{Finding, Severity, Sink, TreeCx};
use crate::extension::control::{ControlError, ControlErrorKind};
use crate::extension::script::Position;
use crate::extension::{ExtensionRecord, Function, LoadStatement, Run, ScriptRecord, Status};
use crate::hash::{HashMap, HashSet};
use crate::name::{Shown, listed, shown_path};
pub(super) use crate::rules::evidence::name_root;

/// A finding about an extension's control file.
pub(super) fn on_control(sink: &Sink<'_>, record: &ExtensionRecord, message: String) -> Finding {
    sink.finding(&record.extension.control_path, Shown(&record.extension.name), message)
}

/// The evidence of a place in a text file.
pub(super) fn place(path: &Path, position: Position) -> String {
    format!("{}:{}:{}", shown_path(path), position.line, position.column)
}

/// What the server would say.
pub(super) fn server_says(finding: Finding, message: &str) -> Finding {
    finding.evidence("the server", format!("ERROR:  {message}"))
}

/// The errors of an extension's control files that installing it meets: the primary file's, or those of the
/// secondary files of its chain.
pub(super) fn control_errors<'t>(
    record: &'t ExtensionRecord,
    is_wanted: impl Fn(ControlErrorKind) -> bool + 't,
) -> impl Iterator<Item = &'t ControlError> {
    let primary = record.extension.control.as_ref().err();
    let secondary = record.scripts.iter().filter(|script| script.is_reachable());
    let secondary = secondary.filter_map(|script| script.control.as_ref().err());
    let mut errors: Vec<&ControlError> = primary.into_iter().chain(secondary).collect();
    errors.dedup();
    errors.into_iter().filter(move |error| is_wanted(error.kind))
}

/// An error of the secondary control file of a version that installing the default version does not pass through.
pub(super) struct OlderControlError<'t> {
    pub(super) error: &'t ControlError,
    concern: Concern,
    scripts: Vec<&'t Path>,
}

impl OlderControlError<'_> {
    /// See [`Scripts::weigh`].
    pub(super) fn weigh(&self, record: &ExtensionRecord, finding: Finding) -> Finding {
        Scripts::new(record).weigh(finding, self.concern, self.scripts.iter().copied())
    }
}

/// The errors of the secondary control files that only other commands meet, each once.
pub(super) fn older_control_errors(
    record: &ExtensionRecord,
    is_wanted: impl Fn(ControlErrorKind) -> bool,
) -> Vec<OlderControlError<'_>> {
    let mut found: Vec<OlderControlError<'_>> = Vec::new();
    if record.extension.control.is_err() {
        return found;
    }
    let told: Vec<&ControlError> = control_errors(record, |_| true).collect();
    for script in by_concern(record).into_iter().filter(|script| !script.is_reachable()) {
        let Err(error) = &script.control else { continue };
        if told.contains(&error) || !is_wanted(error.kind) {
            continue;
        }
        let concern = Concern::of(script);
        match found.iter_mut().find(|known| known.error == error) {
            Some(known) if known.concern == concern => known.scripts.push(&script.path),
            Some(_) => {}
            None => found.push(OlderControlError { error, concern, scripts: vec![&script.path] }),
        }
    }
    found
}

/// The root of a staging tree in which an absolute symbolic link finds what it is meant for.
pub(super) fn staged_root(cx: &TreeCx<'_>, path: &Path) -> Option<PathBuf> {
    crate::discover::staged_root(cx.tree().store().fs(), path)
}

/// How many functions a finding lists before it only counts them.
pub(super) const LISTED: usize = 10;

/// One finding for all functions of an extension that lack the same thing in the same library, with the first of them in
/// the order in which the server meets them. What the scripts of other versions lack besides is a finding of its own.
pub(super) fn on_functions<'t>(
    sink: &Sink<'_>,
    record: &'t ExtensionRecord,
    is_hit: impl Fn(&Function) -> bool,
    mut describe: impl FnMut(&[&Function]) -> String,
) -> Vec<(Finding, &'t Function)> {
    let scripts = Scripts::new(record);
    let mut findings = Vec::new();
    // A script may name as many libraries as it has functions.
    let mut groups: BTreeMap<(Concern, &[u8]), Vec<&Function>> = BTreeMap::new();
    for function in record.functions.iter().filter(|function| is_hit(function)) {
        let concern =
            if function.is_created { Concern::Installation } else { scripts.concern(&function.script) };
        groups.entry((concern, &function.probin)).or_default().push(function);
    }
    let mut told: HashSet<(&[u8], Option<&[u8]>)> = HashSet::default();
    for ((concern, probin), mut of) in groups {
        // The same library, or the same symbol in it, is one cause.
        of.retain(|function| !told.contains(&(probin, cause(function))));
        told.extend(of.iter().map(|function| (probin, cause(function))));
        // The server stops at the first.
        of.sort_by_key(|f| (scripts.index(&f.script), f.position));
        let Some(&first) = of.first() else { continue };
        let path = first.library.path().unwrap_or(&record.extension.control_path);
        let subject = format!("{} {}", Shown(&record.extension.name), Shown(probin));
        let mut finding = sink.finding(path, subject, describe(&of));
        for function in of.iter().take(LISTED) {
            let fate = if function.is_created && !function.is_installed {
                ", which a later statement drops or replaces"
            } else {
                ""
            };
            let place = place(&function.script, function.position);
            let text = format!("{} at {place}{fate}", Shown(&function.prosrc));
            finding = finding.evidence("declared", text);
        }
        if of.len() > LISTED {
            finding = finding.evidence("declared", format!("and {} more", of.len() - LISTED));
        }
        let of = of.iter().flat_map(|function| std::iter::once(&function.script).chain(&function.others));
        let of = of.map(PathBuf::as_path).filter(|path| scripts.concern(path) == concern);
        findings.push((scripts.weigh(finding, concern, of), first));
    }
    findings
}

/// LOAD statements of one library that fail: those of whom they concern most.
pub(super) struct FailingLoads<'t> {
    /// The first that the server meets.
    pub(super) first: &'t LoadStatement,
    all: Vec<&'t LoadStatement>,
    concern: Concern,
}

impl FailingLoads<'_> {
    /// How many there are besides the first, to be put behind its place.
    pub(super) fn others(&self) -> String {
        match self.all.len() {
            0 | 1 => String::new(),
            more => format!(", and {} more,", more - 1),
        }
    }

    /// See [`Scripts::weigh`].
    pub(super) fn weigh(&self, record: &ExtensionRecord, finding: Finding) -> Finding {
        let of = self.all.iter().map(|load| load.script.as_path());
        Scripts::new(record).weigh(finding, self.concern, of)
    }
}

/// The LOAD statements of an extension that fail, by what they load.
pub(super) fn failing_loads(
    record: &ExtensionRecord,
    is_hit: impl Fn(&LoadStatement) -> bool,
) -> Vec<FailingLoads<'_>> {
    let scripts = Scripts::new(record);
    let concern = |load: &LoadStatement| scripts.concern(&load.script);
    let mut groups: BTreeMap<&[u8], Vec<&LoadStatement>> = BTreeMap::new();
    for load in record.loads.iter().filter(|load| is_hit(load)) {
        groups.entry(&load.library.name).or_default().push(load);
    }
    let failing = groups.into_values().filter_map(|mut all| {
        all.sort_by_key(|load| (concern(load), scripts.index(&load.script), load.position));
        let &first = all.first()?;
        all.retain(|load| concern(load) == concern(first));
        Some(FailingLoads { first, concern: concern(first), all })
    });
    failing.collect()
}

/// What a function lacks besides its library: the symbol, unless the library itself is not to be had.
fn cause(function: &Function) -> Option<&[u8]> {
    let is_of_library = matches!(
        function.status,
        Status::ModuleNotFound | Status::ModuleUnreadable | Status::ModuleDoesNotLoad
    );
    (!is_of_library).then_some(&function.prosrc)
}

/// Whom a failing script concerns; the more users, the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Concern {
    /// Whoever installs the default version.
    Installation,
    /// Who updates to the default version, or installs an older one.
    Update,
    /// Who names a version that no update leads on from, or a way that is not the shortest.
    Nobody,
}

impl Concern {
    /// The severity of a finding that would have `severity` about an installation.
    pub(super) fn severity(self, severity: Severity) -> Severity {
        match self {
            Self::Installation => severity,
            Self::Update => severity.min(Severity::Warning),
            Self::Nobody => Severity::Info,
        }
    }

    /// Whom a script concerns.
    pub(super) fn of(script: &ScriptRecord) -> Self {
        match &script.run {
            Run::Asked => Self::Installation,
            run if run.is_towards_default() => Self::Update,
            _ => Self::Nobody,
        }
    }
}

/// The scripts of an extension by their paths.
pub(super) struct Scripts<'a> {
    record: &'a ExtensionRecord,
    by_path: HashMap<&'a Path, usize>,
}

impl<'a> Scripts<'a> {
    pub(super) fn new(record: &'a ExtensionRecord) -> Self {
        let by_path =
            record.scripts.iter().enumerate().map(|(index, script)| (script.path.as_path(), index)).collect();
        Self { record, by_path }
    }

    fn index(&self, path: &Path) -> Option<usize> {
        self.by_path.get(path).copied()
    }

    fn get(&self, path: &Path) -> Option<&'a ScriptRecord> {
        self.record.scripts.get(self.index(path)?)
    }

    /// Whom a script concerns.
    pub(super) fn concern(&self, path: &Path) -> Concern {
        self.get(path).map_or(Concern::Nobody, Concern::of)
    }

    /// A finding about some scripts at the severity of those whom they concern, with the commands that fail where
    /// installing the default version is none of them.
    pub(super) fn weigh<'p>(
        &self,
        finding: Finding,
        concern: Concern,
        of: impl Iterator<Item = &'p Path>,
    ) -> Finding {
        if concern == Concern::Installation {
            return finding;
        }
        let severity = concern.severity(finding.severity);
        let mut told = HashSet::default();
        let paths = of.filter(|path| told.insert(*path));
        let commands: Vec<String> = paths
            .filter_map(|path| self.get(path))
            .map(|script| script.run.command(&self.record.extension.name, &script.step))
            .collect();
        let mut finding = finding.severity(severity);
        for command in commands.iter().take(LISTED) {
            finding = finding.evidence("fails", command);
        }
        match commands.len().saturating_sub(LISTED) {
            0 => finding,
            more => finding.evidence("fails", format!("and {more} more")),
        }
    }
}

/// The scripts of an extension, those that concern most users first.
pub(super) fn by_concern(record: &ExtensionRecord) -> Vec<&ScriptRecord> {
    let mut scripts: Vec<&ScriptRecord> = record.scripts.iter().collect();
    scripts.sort_by_key(|script| Concern::of(script));
    scripts
}

/// The first few function names, for a sentence.
pub(super) fn names(functions: &[&Function]) -> String {
    listed(functions.iter().map(|function| Shown(&function.prosrc)), 3)
}

#[cfg(test)]
pub(crate) mod testing {
    use crate::check::Finding;
    use crate::extension::{Reading, SearchSettings};
    use crate::rules::testing::{Case, module};
    use crate::tree::ServerChoice;

    /// The stage of all rules with a place for control files.
    pub(crate) fn case() -> Case {
        Case::new().fs(|fs| fs.directory("/pg/share/extension").file("/pg/share/postgres.bki", ""))
    }

    /// What the cases of this group put on the stage.
    pub(crate) trait Extensions: Sized {
        /// A control file and an install script of version 1.0 for extension `x`.
        fn extension(self, control: &str, script: &str) -> Self;
        /// A module with these C functions.
        fn functions(self, path: &str, functions: &[&str]) -> Self;
        /// Another major version, for which there is no server binary.
        fn major(self, major: u32) -> Self;
        /// Reads every script.
        fn all_scripts(self) -> Self;
        /// Changes where the server looks.
        fn search(self, change: impl FnOnce(&mut SearchSettings)) -> Self;
    }

    impl Extensions for Case {
        fn extension(self, control: &str, script: &str) -> Self {
            self.file("/pg/share/extension/x.control", format!("default_version = '1.0'\n{control}"))
                .file("/pg/share/extension/x--1.0.sql", script)
        }

        fn functions(self, path: &str, functions: &[&str]) -> Self {
            self.object(path, &functions.iter().fold(module(), |object, name| object.pg_function(name)))
        }

        fn major(self, major: u32) -> Self {
            self.settings(|settings| {
                settings.server = ServerChoice::None;
                settings.pg_major = Some(major);
                settings.extensions.search.sharedir = Some("/pg/share".into());
                settings.extensions.search.pkglibdir = Some("/pg/lib".into());
            })
        }

        fn all_scripts(self) -> Self {
            self.settings(|settings| settings.extensions.reading = Reading::All)
        }

        fn search(self, change: impl FnOnce(&mut SearchSettings)) -> Self {
            self.settings(|settings| change(&mut settings.extensions.search))
        }
    }

    /// A CREATE FUNCTION statement.
    pub(crate) fn function(name: &str, probin: &str) -> String {
        format!("CREATE FUNCTION {name}() RETURNS int LANGUAGE c AS '{probin}';\n")
    }

    /// What the server would say, from a finding's evidence.
    pub(crate) fn server(finding: &Finding) -> &str {
        let said = finding.texts("the server");
        said.first().expect("the server says something").trim_start_matches("ERROR:  ")
    }
}
