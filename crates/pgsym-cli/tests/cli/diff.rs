//! `pgsym diff`: two builds, side by side.

use pgsym_testkit::{Bind, Magic, SharedObject, TreeBuilder};
use serde_json::Value;

use super::documents::assert_fits;
use super::support::{Run, module, pgsym, pgsym_in, server, workspace};

/// An installation with an extension whose functions are these.
fn build(version: &str, functions: &[&str]) -> TreeBuilder {
    let object =
        functions.iter().fold(SharedObject::new().bind(Bind::Now).magic(Magic::pg(15)), |object, name| {
            object.pg_function(name)
        });
    let create =
        |name: &&str| format!("CREATE FUNCTION {name}() RETURNS int LANGUAGE c AS 'MODULE_PATHNAME';\n");
    let script: String = functions.iter().map(create).collect();
    TreeBuilder::new()
        .object("bin/postgres", &server())
        .object("lib/plpgsql.so", &module())
        .object("lib/x.so", &object)
        .file("share/postgres.bki", "")
        .file(
            "share/extension/x.control",
            format!("default_version = '{version}'\nmodule_pathname = '$libdir/x'\n"),
        )
        .file(format!("share/extension/x--{version}.sql"), script)
        .file("share/extension/x--1.0--1.1.sql", "")
}

fn diff(old: &TreeBuilder, new: &TreeBuilder, options: &[&str]) -> Run {
    let (old, new) = (old.root().to_str().unwrap(), new.root().to_str().unwrap());
    pgsym(["diff", old, new].iter().chain(options))
}

#[test]
fn the_same_build_is_status_0() {
    let (one, other) = (build("1.0", &["f", "g"]), build("1.0", &["f", "g"]));
    let run = diff(&one, &other, &["--fail-on", "info"]);
    assert_eq!((run.status, &*run.stderr), (0, ""), "{}", run.stdout);
    assert!(run.stdout.ends_with("\n3 files and 1 extension on both sides: no change\n"), "{}", run.stdout);
}

#[test]
fn a_function_that_databases_have_is_status_1_in_the_servers_words() {
    let (old, new) = (build("1.0", &["f", "g"]), build("1.1", &["g"]));
    let run = diff(&old, &new, &[]);
    assert_eq!((run.status, &*run.stderr), (1, ""), "{}", run.stdout);
    let said = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let file = new.path("lib/x.so");
    assert!(
        said.contains(&format!("ERROR: could not find function \"f\" in file \"{}\"", file.display())),
        "{said}"
    );
    assert!(said.contains("the next call of it fails, until ALTER EXTENSION x UPDATE."), "{said}");
    assert!(
        run.stdout.lines().skip(2).all(|line| line.chars().count() <= 80 || line.contains("/tmp")),
        "{}",
        run.stdout
    );
}

#[test]
fn the_threshold_decides_about_the_status() {
    let (old, new) = (build("1.0", &["f"]), build("1.0", &["f", "g"]));
    let status = |options: &[&str]| diff(&old, &new, options).status;
    assert_eq!(status(&[]), 0);
    assert_eq!(status(&["--fail-on", "warning"]), 0);
    assert_eq!(status(&["--fail-on", "info"]), 1);
    let (old, new) = (build("1.0", &["f", "g"]), build("1.0", &["g"]));
    assert_eq!(diff(&old, &new, &["--fail-on", "never"]).status, 0);
}

#[test]
fn notes_may_be_left_out() {
    let (old, new) = (build("1.0", &["f"]), build("1.0", &["f", "g"]));
    let all = diff(&old, &new, &[]).stdout;
    assert!(all.contains("info function-added\n    New for SQL to call: g.\n"), "{all}");
    let worse = diff(&old, &new, &["--show", "warning"]).stdout;
    assert!(!worse.contains("function-added"), "{worse}");
    assert!(worse.contains("0 errors, 0 warnings, 1 note"), "{worse}");
}

#[test]
fn the_document_has_both_sides_and_all_names() {
    let (old, new) = (build("1.0", &["f", "g"]), build("1.1", &["g"]));
    let run = diff(&old, &new, &["--format", "json"]);
    let document = run.json();
    assert_fits("diff", &document);
    assert_eq!(document["schema"], "pgsym/diff/1");
    assert_eq!(document["old"]["server"]["version"], "15.18");
    assert_eq!(document["old"]["extensions"], 1);
    let file = &document["files"][0];
    assert_eq!(file["path"], "x.so");
    assert_eq!(file["old"], old.path("lib/x.so").to_str().unwrap());
    assert_eq!(file["changes"][0]["change"], "catalog-function");
    assert_eq!(file["changes"][0]["severity"], "error");
    assert_eq!(file["changes"][0]["names"][0]["name"], "f");
    let extension = &document["extensions"][0];
    assert_eq!((&extension["old_version"], &extension["new_version"]), (&"1.0".into(), &"1.1".into()));
    assert_eq!(document["summary"]["errors"], 1);
    assert_eq!(document["uncompared"], Value::Array(Vec::new()));
}

#[test]
fn threads_do_not_change_a_byte() {
    let demo = workspace().join("testdata/demo");
    let tree = build("1.0", &["f", "g"]);
    let answer = |jobs: &str, format: &str| {
        pgsym([
            "diff",
            demo.to_str().unwrap(),
            tree.root().to_str().unwrap(),
            "--jobs",
            jobs,
            "--format",
            format,
        ])
    };
    for format in ["text", "json"] {
        assert_eq!(answer("1", format), answer("4", format));
    }
}

#[test]
fn a_build_without_a_server_is_asked_under_that_of_the_other() {
    let old = build("1.0", &["f", "g"]);
    let new = TreeBuilder::new()
        .object("x.so", &SharedObject::new().magic(Magic::pg(16)).pg_function("g").pg_function("f"));
    let (installed, built) = (old.path("lib/x.so"), new.path("x.so"));
    let run = pgsym(["diff", installed.to_str().unwrap(), built.to_str().unwrap()]);
    assert_eq!(run.status, 1, "{}", run.stdout);
    assert!(run.stdout.contains("ERROR: incompatible library"), "{}", run.stdout);
    // The other way round, and for the servers that they are for.
    let run = pgsym(["diff", built.to_str().unwrap(), installed.to_str().unwrap()]);
    assert!(run.stdout.contains("info load"), "{}", run.stdout);
    let run = pgsym(["diff", installed.to_str().unwrap(), built.to_str().unwrap(), "--pg-version", "15,16"]);
    assert_eq!(run.status, 0, "{}", run.stdout);
    assert!(
        run.stdout.contains("It was built for PostgreSQL 15 and is for PostgreSQL 16."),
        "{}",
        run.stdout
    );
}

#[test]
fn each_side_may_have_a_root_of_its_own() {
    let of = |functions: &[&str]| {
        let object = functions.iter().fold(module(), |object, name| object.pg_function(name));
        TreeBuilder::new().object("usr/pg/bin/postgres", &server()).object("usr/pg/lib/x.so", &object)
    };
    let (old, new) = (of(&["g", "h"]), of(&["g"]));
    let roots = ["--old-root", old.root().to_str().unwrap(), "--new-root", new.root().to_str().unwrap()];
    let run = pgsym(["diff", "/usr/pg", "/usr/pg"].iter().chain(&roots));
    assert!(run.stdout.contains("warning function-removed\n    Not exported any more: h;"), "{run:?}");
    assert!(run.stdout.starts_with("old  PostgreSQL 15.18"), "{}", run.stdout);
}

#[test]
fn what_cannot_be_compared_is_refused_in_one_sentence() {
    let tree = build("1.0", &["f"]);
    let (root, file) = (tree.root().to_str().unwrap(), tree.path("lib/x.so"));
    for (arguments, says) in [
        (vec!["diff", root, file.to_str().unwrap()], "name two files or two directories"),
        (vec!["diff", root, "/no/such/place"], "/no/such/place"),
        (vec!["diff", root, root, "--pg-version", "15,16,17"], "more than two versions"),
        (vec!["diff", root, root, "--new-root", "/no/such/root"], "/no/such/root"),
        (vec!["diff", root, root, "--old-server", "/etc"], "no PostgreSQL server"),
        (vec!["diff", root], "<NEW>"),
    ] {
        let run = pgsym(&arguments);
        assert_eq!((run.status, &*run.stdout), (2, ""), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(says), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn a_broken_file_is_told_and_loses_nothing() {
    let (old, new) = (build("1.0", &["f"]), build("1.0", &["f"]).file("lib/x.so", "\x7fELF"));
    let run = diff(&old, &new, &[]);
    assert_eq!(run.status, 1, "{}", run.stdout);
    assert!(run.stdout.contains("error unreadable\n"), "{}", run.stdout);
    assert!(!run.stdout.contains("catalog-function"), "{}", run.stdout);
    let run = diff(&new, &new, &["--fail-on", "info"]);
    assert_eq!(run.status, 0, "{}", run.stdout);
    assert!(run.stdout.contains("\nnot compared\n"), "{}", run.stdout);
}

#[test]
fn the_demo_builds_differ_as_the_readme_says() {
    let run = pgsym_in(&workspace(), ["diff", "testdata/builds/old", "testdata/builds/new"]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert!(run.stdout.contains("1 error, 1 warning, "), "{}", run.stdout);
}

#[test]
fn several_installations_are_compared_each_with_its_own_successor() {
    let of = |functions: [&[&str]; 2]| {
        let script = "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'MODULE_PATHNAME';";
        std::iter::zip(["a", "b"], functions).fold(TreeBuilder::new(), |tree, (prefix, functions)| {
            let plain = SharedObject::new().bind(Bind::Now).magic(Magic::pg(15));
            let object = functions.iter().fold(plain, |object, name| object.pg_function(name));
            tree.object(format!("{prefix}/bin/postgres"), &server())
                .object(format!("{prefix}/lib/plpgsql.so"), &module())
                .object(format!("{prefix}/lib/x.so"), &object)
                .file(format!("{prefix}/share/postgres.bki"), "")
                .file(
                    format!("{prefix}/share/extension/x.control"),
                    "default_version = '1'\nmodule_pathname = '$libdir/x'\n",
                )
                .file(format!("{prefix}/share/extension/x--1.sql"), script)
        })
    };
    let (old, new) = (of([&["f"], &["f"]]), of([&["f"], &["g"]]));
    let document = diff(&old, &new, &["--format", "json"]).json();
    let paths: Vec<&str> =
        document["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["b/lib/x.so"], "{document:#}");
    assert_eq!(document["summary"]["common_extensions"], 2);
}
