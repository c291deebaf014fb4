//! A page for each rule in `docs/rules` and the table of all of them, from the documentation in the rules' own files:
//! what `pgsym explain` prints, to be read in a browser.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use pgsym_core::check::{Group, Rule};
use pgsym_core::rules::RULES;

use super::Generated;
use crate::support::workspace;

const DIRECTORY: &str = "docs/rules";

/// The pages and the table.
pub(super) fn pages() -> impl Iterator<Item = Generated> {
    let pages = RULES.iter().map(|rule| Generated { path: path(rule), text: page(rule) });
    pages.chain([Generated { path: format!("{DIRECTORY}/README.md"), text: table() }])
}

/// Pages that no rule has any more.
pub(super) fn stale(wanted: &[Generated]) -> Result<Vec<String>> {
    let directory = workspace().join(DIRECTORY);
    let Ok(entries) = std::fs::read_dir(&directory) else { return Ok(Vec::new()) };
    let mut stale = Vec::new();
    for entry in entries {
        let name = entry.with_context(|| format!("cannot read {DIRECTORY}"))?.file_name();
        let path = format!("{DIRECTORY}/{}", name.to_string_lossy());
        if !wanted.iter().any(|file| file.path == path) {
            stale.push(path);
        }
    }
    stale.sort();
    Ok(stale)
}

fn path(rule: &Rule) -> String {
    format!("{DIRECTORY}/{}", file_name(rule))
}

fn file_name(rule: &Rule) -> String {
    format!("{}-{}.md", rule.code, rule.name)
}

fn page(rule: &Rule) -> String {
    format!(
        "# {} {}\n\n*Group: {}. Usually: {}.*\n\n{}",
        rule.code,
        rule.name,
        rule.group.as_str(),
        rule.severity.as_str(),
        rule.markdown()
    )
}

fn table() -> String {
    let mut text = String::from(
        "# Rules\n\nEach rule stands in one file below `crates/pgsym-core/src/rules`, with its documentation, its check and \
         its tests; these pages are made from them by `cargo xtask generate`. Severity says what really happens: an *error* \
         fails, a *warning* can hurt, an *info* is good to know. Many rules say less or more than their usual severity \
         where they know better; their pages tell.\n",
    );
    let mut group: Option<Group> = None;
    for rule in RULES {
        if group.replace(rule.group) != Some(rule.group) {
            let title = rule.group.as_str();
            let _ = write!(text, "\n## {title}\n\n| code | name | usually | what |\n|---|---|---|---|\n");
        }
        let _ = writeln!(
            text,
            "| [{}]({}) | `{}` | {} | {} |",
            rule.code,
            file_name(rule),
            rule.name,
            rule.severity.as_str(),
            rule.summary.replace('|', "\\|")
        );
    }
    text
}
