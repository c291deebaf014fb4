//! Which server an answer is about: the one that is named, the built-in one of a version, the one around or below the
//! paths, and what is said where there are several.

use pgsym_testkit::{Bind, Kind, Machine, Magic, SharedObject, TreeBuilder};

use super::support::{module, pgsym, server};

/// Refused with status 2, in one line that says this.
fn assert_refused(arguments: &[&str], says: &[&str]) {
    let run = pgsym(arguments);
    assert_eq!((run.status, &*run.stdout, run.stderr.lines().count()), (2, "", 1), "{arguments:?}: {run:?}");
    for words in says {
        assert!(run.stderr.contains(words), "{arguments:?}: {words:?} is not in {}", run.stderr);
    }
}

#[test]
fn a_version_is_a_built_in_server_or_that_of_the_named_one() {
    let tree = super::support::sound_tree();
    let (root, server) = (tree.root().to_str().unwrap(), tree.path("bin/postgres"));
    let server = server.to_str().unwrap();
    for version in ["12", "19", "99"] {
        let says = ["--pg-version", version, "write 13 to 18"];
        assert_refused(&["audit", root, "--pg-version", version], &says);
        assert_refused(&["load", root, "--pg-version", &format!("15,{version}")], &says);
        let says = ["--pg-version", version, "is PostgreSQL 15"];
        assert_refused(&["load", root, "--server", server, "--pg-version", version], &says);
    }
    let run = pgsym(["load", root, "--server", server, "--pg-version", "15"]);
    assert_eq!((run.status, &*run.stderr), (0, ""));
    // The built-in server takes the place of the tree's own.
    let run = pgsym(["load", root, "--pg-version", "16"]);
    assert!(run.stdout.contains("/built-in/postgres-16"), "{}", run.stdout);
    assert!(run.stdout.contains("Server is version 16, library is version 15."), "{}", run.stdout);
}

#[test]
fn the_server_below_the_paths_is_taken_and_others_are_told() {
    let tree = TreeBuilder::new()
        .object("all/one/native/bin/postgres", &server())
        .object("all/one/native/lib/plpgsql.so", &module())
        .file("all/wrapper/bin/postgres", "#!/bin/sh\n");
    let path = tree.path("all");
    let path = path.to_str().unwrap();
    let taken = format!("server  PostgreSQL 15.18, x86_64, glibc 2.36  ({path}/one/native/bin/postgres)\n");
    let audit = |path: &str| pgsym(["audit", path]).stdout;
    // The C library is the machine's.
    let before_libc = taken.split("glibc").next().unwrap();
    assert!(audit(path).starts_with(before_libc), "{}", audit(path));
    assert!(!audit(path).contains("not taken"));
    let run = pgsym(["audit", "--root", path, "/"]);
    assert!(run.stdout.contains("(/one/native/bin/postgres)"), "{}", run.stdout);

    // A server without modules beside it.
    let tree = tree.object("all/bare/bin/postgres", &server());
    let said = audit(path);
    assert!(said.starts_with(before_libc), "{said}");
    assert!(said.contains(&format!("not taken: {path}/bare/bin/postgres (--server PATH)")), "{said}");
    let json = pgsym(["audit", path, "--format", "json"]).json();
    assert_eq!(json["other_servers"][0]["path"], format!("{path}/bare/bin/postgres"));

    // Two that have modules: what serves one is nothing for the other.
    let tree = tree.object("all/bare/lib/x.so", &module());
    let said = audit(tree.path("all").to_str().unwrap());
    let words =
        format!("server  none taken of 2, such as {path}/bare/bin/postgres: name one with --server PATH");
    assert!(said.starts_with(&words), "{said}");
    let load = pgsym(["load", path]);
    assert!(load.stdout.starts_with(&words), "{}", load.stdout);
    let collisions = pgsym(["collisions", path]);
    assert_eq!(collisions.status, 2);
    let words = format!(
        "2 PostgreSQL servers belong to these paths, such as {path}/bare/bin/postgres, and none is taken"
    );
    assert!(collisions.stderr.contains(&words), "{}", collisions.stderr);
}

#[test]
fn a_machine_without_a_system_here_is_one_warning() {
    let foreign = || SharedObject::for_machine(Machine::RiscV64).bind(Bind::Now);
    let server = foreign()
        .kind(Kind::PieExecutable)
        .interp("/lib/ld-linux-riscv64-lp64d.so.1")
        .needed("libc.so.6")
        .export("palloc")
        .server("15.18", &Magic::pg(15));
    let module = |name: &str| foreign().magic(Magic::pg(15)).needed("libc.so.6").needed(name);
    let tree = TreeBuilder::new()
        .object("pg/bin/postgres", &server)
        .object("pg/lib/plpgsql.so", &module("libm.so.6"))
        .object("pg/lib/x.so", &module("libpgsym-test-nowhere.so.7"));
    let codes = |run: super::support::Run| -> Vec<String> {
        let document = run.json();
        let findings = document["findings"].as_array().unwrap();
        findings.iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect()
    };
    let root = tree.root().to_str().unwrap();
    let audit = || pgsym(["audit", "--root", root, "/pg", "--format", "json", "--only", "loader"]);
    assert_eq!(audit().status, 0);
    assert_eq!(codes(audit()), ["PGS107"]);
    let load = pgsym(["load", "--root", root, "/pg/lib/x.so", "--format", "json"]);
    assert_eq!((load.status, &load.json()["modules"][0]["verdict"]), (2, &"unknown".into()));
    // With a system for it, what that lacks is missing.
    let libc = foreign().soname("libc.so.6");
    let tree = tree
        .object("lib/ld-linux-riscv64-lp64d.so.1", &foreign().soname("ld-linux-riscv64-lp64d.so.1"))
        .object("lib/libc.so.6", &libc)
        .object("lib/libm.so.6", &foreign().soname("libm.so.6"));
    let root = tree.root().to_str().unwrap();
    let audit = pgsym(["audit", "--root", root, "/pg", "--format", "json", "--only", "loader"]);
    assert_eq!(audit.status, 1);
    assert_eq!(codes(audit), ["PGS101"]);
}
