//! One thing that is wrong, with what was seen and what to do: structured, so that text and JSON are two
//! renderings of the same value.

use std::path::{Path, PathBuf};

use super::rule::Rule;

/// What really happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know.
    Info,
    /// It can hurt.
    Warning,
    /// It fails.
    Error,
}

impl Severity {
    /// The word in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static Rule,
    /// How bad it is here; a rule may say less than its usual severity.
    pub severity: Severity,
    /// The file that it is about, inside the tree.
    pub path: PathBuf,
    /// What in the file: a needed name, a symbol, a search path element.
    pub subject: String,
    /// One sentence: the entry, the value seen, what it leads to.
    pub message: String,
    /// What was seen, each with a label: `searched`, `the server`.
    pub evidence: Vec<Evidence>,
    /// What to do, as a command where one exists; empty where nothing can be advised.
    pub help: String,
}

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// A word or two.
    pub label: &'static str,
    /// What was seen.
    pub text: String,
}

impl Finding {
    /// A finding of a rule at its usual severity.
    #[expect(clippy::needless_pass_by_value, reason = "callers give what they have, owned or not")]
    pub fn new(rule: &'static Rule, path: &Path, subject: impl ToString, message: impl Into<String>) -> Self {
        Self {
            rule,
            severity: rule.severity,
            path: path.to_owned(),
            subject: subject.to_string(),
            message: message.into(),
            evidence: Vec::new(),
            help: String::new(),
        }
    }

    /// The same with another severity.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The same with one more thing that was seen.
    #[expect(clippy::needless_pass_by_value, reason = "callers give what they have, owned or not")]
    #[must_use]
    pub fn evidence(mut self, label: &'static str, text: impl ToString) -> Self {
        self.evidence.push(Evidence { label, text: text.to_string() });
        self
    }

    /// The same with what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// What the order of findings goes by.
    pub(crate) fn sort_key(&self) -> impl Ord + '_ {
        (&self.path, self.rule.code, &self.subject, &self.message)
    }
}
