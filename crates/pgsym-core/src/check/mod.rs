//! Runs the rules over a tree and collects what they find, in an order that depends on the tree alone.

mod context;
mod finding;
mod rule;
mod select;

pub use context::{ModuleCx, Sink, TreeCx};
pub use finding::{Evidence, Finding, Severity};
pub use rule::{Check, Group, Rule};
pub use select::{Selection, Selector};

pub(crate) use rule::declare_rule;

use rayon::prelude::*;

use crate::rules::RULES;
use crate::tree::Tree;

/// Checks a tree with the selected rules. The findings are sorted by path, code, subject and message.
pub fn check(tree: &Tree, selection: &Selection) -> Vec<Finding> {
    let rules: Vec<&'static Rule> = RULES.iter().copied().filter(|rule| selection.includes(rule)).collect();
    // Whoever had to wait for a value would block a thread that is needed for it: what rules ask for is there before any of them
    // runs. Those of single files ask for no collisions.
    let collisions = || {
        if rules.iter().any(|rule| rule.group == Group::Symbols && matches!(rule.check, Check::Tree(_))) {
            tree.collisions();
        }
    };
    let single = || -> Vec<Finding> {
        // Every report counts the extensions.
        tree.inventory();
        let found = tree.files().par_iter().flat_map_iter(|file| {
            let mut sink = Sink::new(selection);
            let cx = ModuleCx::new(tree, file);
            for rule in &rules {
                if let Check::Module(check) = rule.check {
                    check(&cx, sink.of(rule));
                }
            }
            sink.into_findings()
        });
        found.collect()
    };
    let ((), mut findings) = rayon::join(collisions, single);
    let whole = rules.par_iter().flat_map_iter(|rule| {
        let mut sink = Sink::new(selection);
        if let Check::Tree(check) = rule.check {
            check(&TreeCx::new(tree), sink.of(rule));
        }
        sink.into_findings()
    });
    findings.par_extend(whole);
    findings.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
    findings.dedup();
    findings
}
