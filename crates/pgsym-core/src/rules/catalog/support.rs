//! What the rules on extensions share: findings about a control file or a script, with the place and the server's
//! words as evidence; and, for tests, a small installation in memory.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::check::{Finding, Severity, Sink, TreeCx};
use crate::extension::control::{ControlError, ControlErrorKind};
use crate::extension::script::Position;
use crate::extension::{ExtensionRecord, Function};
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
    let secondary = record.scripts.iter().filter(|script| script.is_reachable);
    let secondary = secondary.filter_map(|script| script.control.as_ref().err());
    let mut errors: Vec<&ControlError> = primary.into_iter().chain(secondary).collect();
    errors.dedup();
    errors.into_iter().filter(move |error| is_wanted(error.kind))
}

/// The root of a staging tree in which an absolute symbolic link finds what it is meant for.
pub(super) fn staged_root(cx: &TreeCx<'_>, path: &Path) -> Option<PathBuf> {
    crate::discover::staged_root(cx.tree().store().fs(), path)
}

/// How many functions a finding lists before it only counts them.
pub(super) const LISTED: usize = 10;

/// One finding for all functions of an extension that lack the same thing in the same library, with the first of them in
/// the order in which the server meets them.
pub(super) fn on_functions<'t>(
    sink: &Sink<'_>,
    record: &'t ExtensionRecord,
    is_hit: impl Fn(&Function) -> bool,
    mut describe: impl FnMut(&[&Function]) -> String,
) -> Vec<(Finding, &'t Function)> {
    let mut findings = Vec::new();
    // A script may name as many libraries as it has functions.
    let mut groups: BTreeMap<(bool, &[u8]), Vec<&Function>> = BTreeMap::new();
    for function in record.functions.iter().filter(|function| is_hit(function)) {
        groups.entry((function.is_created, &function.probin)).or_default().push(function);
    }
    let order: HashMap<&Path, usize> =
        record.scripts.iter().enumerate().map(|(index, script)| (script.path.as_path(), index)).collect();
    for ((is_created, probin), mut of) in groups {
        // The server stops at the first.
        of.sort_by_key(|f| (order.get(f.script.as_path()), f.position));
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
        // A script that nothing runs any more breaks nobody's installation.
        findings.push((if is_created { finding } else { finding.severity(Severity::Info) }, first));
    }
    findings
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
