//! The demo tree: the faults that it was made for are the faults that are found.

use serde_json::Value;

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
    for (file, rule) in [
        ("missing_library.so", "missing-dependency"),
        ("wrong_machine_library.so", "wrong-architecture"),
        ("wrong_machine.so", "wrong-architecture"),
        ("other_major.so", "wrong-major"),
        ("no_magic.so", "missing-magic-block"),
        ("hidden_function.so", "hidden-entry-point"),
        ("hidden_function.so", "missing-function"),
        ("build_path.so", "build-path-in-search-path"),
        ("empty_path_element.so", "empty-search-path-element"),
        ("executable_stack.so", "executable-stack"),
        ("text_relocations.so", "text-relocations"),
        ("truncated.so", "unreadable-file"),
        ("empty.so", "unreadable-file"),
        ("no_script.control", "no-install-script"),
    ] {
        assert!(found(file, rule), "{file} has no {rule}: {findings:#?}");
    }
    let about_healthy: Vec<_> =
        findings.iter().filter(|one| one["path"].as_str().unwrap().contains("/healthy")).collect();
    assert!(about_healthy.is_empty(), "{about_healthy:#?}");
}

#[test]
fn an_extension_whose_module_does_not_load_is_not_backed() {
    let ask = |command: &str, extension: &str| {
        let control = format!("testdata/demo/share/extension/{extension}.control");
        pgsym_in(&workspace(), [command, &control, "--format", "json"])
    };
    for (extension, said) in [
        ("other_major", "version mismatch"),
        ("missing_library", "cannot open shared object file: No such file or directory"),
        ("no_magic", "missing magic block"),
        ("misspelt_import", "undefined symbol"),
    ] {
        let functions = ask("functions", extension);
        assert_eq!(functions.status, 1, "{}", functions.stdout);
        let entry = &functions.json()["functions"][0];
        assert_eq!(entry["status"], "module-does-not-load", "{entry:#}");
        assert!(entry["error"].as_str().unwrap().contains(said), "{entry:#}");
        let audit = ask("audit", extension);
        assert_eq!(audit.status, 1, "{}", audit.stdout);
        assert_eq!(audit.json()["findings"][0]["code"], "PGS626", "{}", audit.stdout);
    }
    let healthy = ask("functions", "healthy");
    assert_eq!((healthy.status, &healthy.json()["functions"][0]["error"]), (0, &Value::Null));
}
