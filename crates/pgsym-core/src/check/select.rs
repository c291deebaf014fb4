//! Which rules run, and how bad their findings count: resolved here once, so that every output shows the same.

use std::str::FromStr;

use super::finding::{Finding, Severity};
use super::rule::Rule;
use crate::error::Error;
use crate::rules::RULES;

/// The rules of one run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only these, where any is named.
    pub only: Vec<Selector>,
    /// Not these.
    pub allow: Vec<Selector>,
    /// These with another severity than their own; the last that fits wins.
    pub severities: Vec<(Selector, Severity)>,
}

impl Selection {
    /// Whether a rule runs.
    pub fn includes(&self, rule: &Rule) -> bool {
        (self.only.is_empty() || self.only.iter().any(|selector| selector.fits(rule)))
            && !self.allow.iter().any(|selector| selector.fits(rule))
    }

    /// How bad a finding counts.
    pub(crate) fn severity(&self, finding: &Finding) -> Severity {
        self.severities
            .iter()
            .rev()
            .find(|(selector, _)| selector.fits(finding.rule))
            .map_or(finding.severity, |&(_, severity)| severity)
    }
}

/// Rules by code (`PGS101`), by the start of a code (`PGS1`), by name or by group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(String);

impl Selector {
    fn fits(&self, rule: &Rule) -> bool {
        rule.name == self.0
            || rule.group.as_str() == self.0
            || (self.0.starts_with("PGS") && rule.code.starts_with(&self.0))
    }
}

impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let selector = Self(if text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("pgs")) {
            text.to_ascii_uppercase()
        } else {
            text.to_owned()
        });
        if RULES.iter().any(|rule| selector.fits(rule)) {
            return Ok(selector);
        }
        Err(Error::Value {
            option: "rule",
            value: text.to_owned(),
            seen: "no rule has this code, name or group".to_owned(),
            advice: "`pgsym rules` lists them".to_owned(),
        })
    }
}
