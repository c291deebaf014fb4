//! The demo tree: the faults that it was made for are the faults that are found.

use super::support::{pgsym_in, workspace};

#[test]
fn the_demo_has_what_its_names_say() {
    let run = pgsym_in(&workspace(), ["audit", "testdata/demo", "--format", "json"]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    let document = run.json();
    let findings = document["findings"].as_array().unwrap();
    let found = |file: &str, rule: &str| {
        findings.iter().any(|one| one["path"].as_str().unwrap().ends_with(file) && one["name"] == rule)
    };
    for (file, rule) in [("missing_library.so", "missing-dependency")] {
        assert!(found(file, rule), "{file} has no {rule}: {findings:#?}");
    }
    let about_healthy: Vec<_> =
        findings.iter().filter(|one| one["path"].as_str().unwrap().contains("/healthy")).collect();
    assert!(about_healthy.is_empty(), "{about_healthy:#?}");
}
