//! Trees as packagers have them, asked about as a person would who stands in front of them.

use super::support::{module, pgsym, pgsym_in, server};
use pgsym_testkit::{Magic, SharedObject, TreeBuilder};

const CONTROL: &str = "default_version = '1'\nmodule_pathname = '$libdir/new'\n";
const SCRIPT: &str = "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'MODULE_PATHNAME';";

/// An installed server with an extension that cannot be created, and a package staged beside it.
fn staged() -> TreeBuilder {
    TreeBuilder::new()
        .object("usr/lib/postgresql/15/bin/postgres", &server())
        .object("usr/lib/postgresql/15/lib/plpgsql.so", &module())
        .file("usr/share/postgresql/15/postgres.bki", "")
        .file("usr/share/postgresql/15/extension/old.control", "default_version = '1'")
        .object("stage/usr/lib/postgresql/15/lib/new.so", &module())
        .file("stage/usr/share/postgresql/15/extension/new.control", CONTROL)
        .file("stage/usr/share/postgresql/15/extension/new--1.sql", SCRIPT)
}

#[test]
fn a_staged_package_is_asked_about_alone() {
    let tree = staged();
    let root = tree.root().to_str().unwrap();
    let ask = |command, path| pgsym([command, "--root", root, path, "--server", "/usr/lib/postgresql/15"]);
    let audit = ask("audit", "/stage");
    assert!(audit.stdout.contains("1 module, 1 extension: "), "{}", audit.stdout);
    assert!(!audit.stdout.contains("old"), "{}", audit.stdout);
    let functions = ask("functions", "/stage");
    assert!(functions.stdout.contains("1 C function, backed"), "{}", functions.stdout);
    let without_server = pgsym(["functions", "--root", root, "/stage", "--pg-version", "15"]);
    assert!(without_server.stdout.contains("1 C function, backed"), "{}", without_server.stdout);
    // The installed tree has its own fault, and tells it when it is asked about.
    assert!(ask("audit", "/usr/lib/postgresql/15").stdout.contains("PGS603 no-install-script"));
}

#[test]
fn image_volumes_may_be_named_by_a_relative_path() {
    let tree = TreeBuilder::new()
        .object("volumes/new/lib/new.so", &SharedObject::new().magic(Magic::pg(18)).pg_function("f"))
        .file("volumes/new/share/extension/new.control", CONTROL)
        .file("volumes/new/share/extension/new--1.sql", SCRIPT);
    for path in ["volumes", "./volumes", "volumes/new"] {
        let run = pgsym_in(tree.root(), ["functions", path, "--pg-version", "18", "--format", "json"]);
        let functions = run.json();
        assert_eq!(functions["functions"][0]["status"], "ok", "{path}: {functions:#}");
    }
}

#[test]
fn a_relative_control_path_is_refused() {
    let tree = staged();
    let run = pgsym_in(tree.root(), ["audit", "stage", "--extension-control-path", "volumes:$system"]);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("write absolute directories or $system"), "{}", run.stderr);
}
