//! A package's staging tree beside the installed server: the server's extensions serve it, and are not its faults.

use std::path::Path;

use pgsym_testkit::TreeBuilder;
use serde_json::Value;

use super::support::{module, pgsym, server};

/// An installed server with a broken extension and a sound one, and the staging tree of an extension that requires the
/// sound one.
fn tree() -> TreeBuilder {
    let tree = TreeBuilder::new();
    let root = tree.root().strip_prefix("/").unwrap().to_owned();
    let staged = |path: &str| Path::new("stage").join(&root).join("pg").join(path);
    tree.object("pg/bin/postgres", &server())
        .object("pg/lib/plpgsql.so", &module())
        .object("pg/lib/bad.so", &module().needed("libpgsym-test-nowhere.so.7"))
        .file("pg/share/extension/broken.control", "default_version = '2'\n")
        .file("pg/share/extension/broken--1.sql", "")
        .file("pg/share/extension/base.control", "default_version = '1'\nrelocatable = true\n")
        .file("pg/share/extension/base--1.sql", "")
        .file(
            staged("share/extension/own.control"),
            "default_version = '1'\nrequires = 'base'\nmodule_pathname = '$libdir/own'\n",
        )
        .file(
            staged("share/extension/own--1.sql"),
            "CREATE FUNCTION f() RETURNS int LANGUAGE C AS 'MODULE_PATHNAME';",
        )
        .object(staged("lib/own.so"), &module())
}

/// Code and path of each finding.
fn findings(document: &Value) -> Vec<(&str, &str)> {
    let findings = document["findings"].as_array().unwrap().iter();
    findings.map(|one| (one["code"].as_str().unwrap(), one["path"].as_str().unwrap())).collect()
}

#[test]
fn the_installed_extensions_are_no_fault_of_a_staging_tree() {
    let tree = tree();
    let server = tree.path("pg/bin/postgres");
    let audit = |path: &str| {
        pgsym([
            "audit".as_ref(),
            "--server".as_ref(),
            server.as_os_str(),
            tree.path(path).as_os_str(),
            "--format".as_ref(),
            "json".as_ref(),
        ])
    };
    let staged = audit("stage");
    let document = staged.json();
    assert_eq!((staged.status, findings(&document)), (0, vec![]), "{}", staged.stdout);
    assert_eq!(document["summary"]["extensions"], 1);
    // What the installed tree is asked about, it answers.
    let installed = audit("pg/lib");
    assert_eq!(installed.status, 1);
    let document = installed.json();
    let found = findings(&document);
    assert!(
        found.iter().any(|(code, path)| *code == "PGS603" && path.ends_with("broken.control")),
        "{found:?}"
    );
    assert!(found.iter().any(|(code, path)| *code == "PGS101" && path.ends_with("bad.so")), "{found:?}");
}
