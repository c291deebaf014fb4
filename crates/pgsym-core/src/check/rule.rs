//! A rule: its documentation, its data and its check, declared in one file and listed by one line.

use super::context::{ModuleCx, Sink, TreeCx};
use super::finding::Severity;

/// One rule.
pub struct Rule {
    /// `PGS` and three digits, never reused.
    pub code: &'static str,
    /// Kebab case; reads after "allow".
    pub name: &'static str,
    /// The folder that it stands in.
    pub group: Group,
    /// How bad it usually is.
    pub severity: Severity,
    /// One line.
    pub summary: &'static str,
    /// The whole documentation as it stands in the source, a space before each line; see
    /// [`markdown`](Self::markdown).
    pub documentation: &'static str,
    /// The check.
    pub check: Check,
}

/// What a check looks at.
#[derive(Clone, Copy)]
pub enum Check {
    /// One file at a time, in parallel.
    Module(fn(&ModuleCx<'_>, &mut Sink<'_>)),
    /// The whole tree, once.
    Tree(fn(&TreeCx<'_>, &mut Sink<'_>)),
}

/// The groups of rules: the hundreds of their codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// PGS1xx: which file satisfies a dependency.
    Loader,
    /// PGS2xx: which object satisfies a symbol.
    Symbols,
    /// PGS3xx: PostgreSQL's own contract.
    Abi,
    /// PGS4xx: how the code may be mapped.
    Hardening,
    /// PGS5xx: what a package should not carry.
    Packaging,
    /// PGS6xx: control files and SQL scripts.
    Catalog,
    /// PGS7xx: what only Mach-O has.
    Macho,
    /// PGS9xx: files that cannot be read.
    File,
}

impl Group {
    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loader => "loader",
            Self::Symbols => "symbols",
            Self::Abi => "abi",
            Self::Hardening => "hardening",
            Self::Packaging => "packaging",
            Self::Catalog => "catalog",
            Self::Macho => "macho",
            Self::File => "file",
        }
    }
}

impl Rule {
    /// The documentation, Markdown: the summary, then sections with headings of the second level.
    pub fn markdown(&self) -> String {
        let mut text = String::with_capacity(self.documentation.len());
        for line in self.documentation.lines() {
            text.push_str(line.strip_prefix(' ').unwrap_or(line));
            text.push('\n');
        }
        text
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code
    }
}

impl Eq for Rule {}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, self.name)
    }
}

/// Declares a rule. The first line of its documentation is the summary; all of it is what rustdoc, `pgsym explain`
/// and the pages in `docs/rules` show, so it is written once.
macro_rules! declare_rule {
    (
        #[doc = $summary:literal]
        $(#[doc = $line:literal])*
        $vis:vis static $ident:ident = {
            code: $code:literal,
            name: $name:literal,
            group: $group:ident,
            severity: $severity:ident,
            check: $scope:ident($check:path) $(,)?
        }
    ) => {
        #[doc = $summary]
        $(#[doc = $line])*
        $vis static $ident: $crate::check::Rule = $crate::check::Rule {
            code: $code,
            name: $name,
            group: $crate::check::Group::$group,
            severity: $crate::check::Severity::$severity,
            summary: $summary.trim_ascii(),
            documentation: concat!($summary, "\n", $($line, "\n"),*),
            check: $crate::check::Check::$scope($check),
        };
    };
}

pub(crate) use declare_rule;
