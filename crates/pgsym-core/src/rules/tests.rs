//! What every rule promises, checked for all of them at once: its file, its code, its documentation, and on which
//! of the other rules' cases it fires.

use std::collections::BTreeSet;
use std::path::Path;

use super::testing::Case;
use super::{CASES, RULES};
use crate::check::{Group, Rule};

/// A rule of the list, with what its file's tests hold for this one.
pub(super) struct Listed {
    pub(super) rule: &'static Rule,
    pub(super) file: &'static str,
    pub(super) firing: fn() -> Case,
    pub(super) silent: fn() -> Case,
}

/// Codes that stood for a rule once and never will again, with the rule's name.
const RETIRED: &[(&str, &str)] = &[];

/// The sections of a rule's documentation, in their order; `Options` only where there are any.
const SECTIONS: [&str; 7] = [
    "What it checks",
    "Why it matters",
    "When it fires",
    "How to fix",
    "What it cannot see",
    "Options",
    "References",
];

/// Which rules fire on another rule's firing case, and why that is right.
const ALSO: &[(&str, &str)] = &[
    // A file whose soname is not its name is how two files come to share one.
    ("PGS212", "PGS105"),
    // A budget is overdrawn by objects that use it at all.
    ("PGS218", "PGS404"),
];

#[test]
fn every_rule_fires_on_its_own_case_and_on_no_other() {
    let mut unlisted = Vec::new();
    for listed in CASES {
        let codes: BTreeSet<&str> =
            (listed.firing)().run_all().iter().map(|finding| finding.rule.code).collect();
        assert!(codes.contains(listed.rule.code), "{} does not fire on its own case", listed.rule.name);
        for code in codes {
            if code != listed.rule.code && !ALSO.contains(&(listed.rule.code, code)) {
                unlisted.push((listed.rule.code, code));
            }
        }
    }
    assert_eq!(unlisted, [], "(case of, also fires)");
}

#[test]
fn every_rule_is_silent_on_its_silent_case() {
    for listed in CASES {
        let findings = (listed.silent)().run(listed.rule);
        assert_eq!(findings, [], "{}", listed.rule.name);
    }
}

#[test]
fn every_file_of_a_group_is_a_listed_rule() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rules");
    let listed: BTreeSet<String> = CASES.iter().map(|listed| listed.file.to_owned()).collect();
    let mut files = BTreeSet::new();
    for group in std::fs::read_dir(&rules).unwrap().map(Result::unwrap) {
        if !group.file_type().unwrap().is_dir() {
            continue;
        }
        for file in std::fs::read_dir(group.path()).unwrap().map(Result::unwrap) {
            let path = file.path();
            if std::fs::read_to_string(&path).unwrap().contains("declare_rule! {") {
                let path = path.strip_prefix(&rules).unwrap();
                files.insert(path.to_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(files, listed);
}

#[test]
fn a_rules_file_and_folder_are_its_name_and_group() {
    for listed in CASES {
        let rule = listed.rule;
        assert_eq!(listed.file, format!("{}/{}.rs", rule.group.as_str(), rule.name.replace('-', "_")));
    }
}

#[test]
fn codes_are_sorted_unique_of_their_group_and_not_retired() {
    for pair in RULES.windows(2) {
        assert!(pair[0].code < pair[1].code, "{} before {}", pair[0].code, pair[1].code);
    }
    for rule in RULES {
        let digits = rule.code.strip_prefix("PGS").unwrap();
        assert!(digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{}", rule.code);
        let hundreds = match rule.group {
            Group::Loader => '1',
            Group::Symbols => '2',
            Group::Abi => '3',
            Group::Hardening => '4',
            Group::Packaging => '5',
            Group::Catalog => '6',
            Group::Macho => '7',
            Group::File => '9',
        };
        assert!(digits.starts_with(hundreds), "{} in group {}", rule.code, rule.group.as_str());
        assert!(RETIRED.iter().all(|(code, _)| *code != rule.code), "{} is retired", rule.code);
    }
    let names: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), RULES.len());
}

#[test]
fn every_documentation_has_its_sections_in_order() {
    for rule in RULES {
        let text = rule.markdown();
        assert_eq!(text.lines().next(), Some(rule.summary), "{}", rule.name);
        assert!(rule.summary.ends_with('.') && !rule.summary.starts_with(' '), "{}", rule.name);
        let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let wanted: Vec<&str> =
            SECTIONS.into_iter().filter(|name| *name != "Options" || sections.contains(name)).collect();
        assert_eq!(sections, wanted, "{}", rule.name);
        for part in text.split("## ").skip(1) {
            let body = part.split_once('\n').map_or("", |(_, body)| body);
            assert!(body.trim().len() > 20, "{}: a section says nothing: {part:?}", rule.name);
        }
    }
}
