//! The answer does not depend on the directory that a question is asked in, nor on how its paths are spelled: one tree
//! by every name it has, under every command.

use std::path::Path;

use pgsym_testkit::{SharedObject, TreeBuilder};
use serde_json::Value;

use super::support::{module, pgsym_in, server};

/// Image volumes beside an installation; a search path that leads to a directory which everybody may write to, and
/// holds the module itself; a file that is no module.
fn tree() -> TreeBuilder {
    let tree = TreeBuilder::new();
    let open = tree.path("volumes/open").into_os_string().into_encoded_bytes();
    tree.object("pg/bin/postgres", &server())
        .object("pg/lib/plpgsql.so", &module())
        .file("pg/share/extension/plpgsql.control", "default_version = '1'\n")
        .file("pg/share/extension/plpgsql--1.sql", "")
        .object("volumes/pair/lib/pair.so", &module().needed("libpgsym-test-nowhere.so.7"))
        .file("volumes/pair/share/extension/pair.control", "default_version = '1.0'\n")
        .file(
            "volumes/pair/share/extension/pair--1.0.sql",
            "CREATE FUNCTION f() RETURNS int LANGUAGE C AS '$libdir/pair';",
        )
        .object("volumes/open/own.so", &module().runpath(open))
        .mode("volumes/open", 0o777)
        .object("volumes/libplain.so", &SharedObject::new().soname("libother.so"))
        .directory("elsewhere/deep")
        // `..` of it is not the directory that it stands in.
        .symlink("elsewhere/link", "../volumes/pair")
        .symlink("elsewhere/volumes", "../volumes")
}

/// Every path below the root that was asked about, in one spelling.
fn without_spelling(value: &mut Value, given: &str, root: &str) {
    match value {
        Value::String(text) => {
            let is_path =
                |rest: &str| rest.starts_with('/') || !rest.starts_with(|c: char| c.is_alphanumeric());
            let word = |word: &str| match word.strip_prefix(given).filter(|rest| is_path(rest)) {
                Some(rest) => format!("ROOT{rest}"),
                None => word.to_owned(),
            };
            *text = text.replace(root, "ROOT").split_inclusive([' ', '"']).map(word).collect();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| without_spelling(item, given, root)),
        Value::Object(items) => items.values_mut().for_each(|item| without_spelling(item, given, root)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The status and the document of a command about `given`, which is `target` in the tree.
fn answer(tree: &TreeBuilder, from: &Path, command: &[&str], given: &str, target: &str) -> (i32, Value) {
    let mut arguments = command.to_vec();
    arguments.extend([given, "--format", "json"]);
    let run = pgsym_in(from, &arguments);
    assert_eq!(run.stderr, "", "{arguments:?} in {}", from.display());
    let mut document = run.json();
    let root = tree.path(target);
    without_spelling(&mut document, given.trim_end_matches('/'), root.to_str().unwrap());
    (run.status, document)
}

#[test]
fn every_spelling_of_a_tree_has_the_same_answer() {
    let tree = tree();
    let server = tree.path("pg/bin/postgres");
    let server = server.to_str().unwrap();
    let commands: [&[&str]; 9] = [
        &["audit"],
        &["audit", "--server", server],
        &["load", "--server", server],
        &["load"],
        &["functions", "--server", server],
        &["functions"],
        &["why", "libpgsym-test-nowhere.so.7", "--server", server],
        &["collisions", "--server", server],
        &["symbols"],
    ];
    let spellings = [
        ("elsewhere/deep", "../../volumes"),
        ("", "volumes"),
        ("", "./volumes"),
        ("", "volumes/"),
        ("", "elsewhere/../volumes"),
        ("volumes", "."),
        ("volumes/pair", ".."),
        ("elsewhere", "link/.."),
    ];
    for command in commands {
        let whole = tree.path("volumes");
        let expected = answer(&tree, Path::new("/"), command, whole.to_str().unwrap(), "volumes");
        for (from, given) in spellings {
            let found = answer(&tree, &tree.path(from), command, given, "volumes");
            assert_eq!(found, expected, "{command:?} {given} in {from:?}");
        }
        let link = tree.path("elsewhere/link/..");
        let found = answer(&tree, Path::new("/"), command, link.to_str().unwrap(), "volumes");
        assert_eq!(found, expected, "{command:?} {link:?}");
    }
}

#[test]
fn every_spelling_of_a_file_has_the_same_answer() {
    let tree = tree();
    let profile = pgsym_in(&tree.path("pg"), ["profile", "bin/postgres", "--output", "../server.profile"]);
    assert_eq!((profile.status, &*profile.stderr), (0, ""));
    let absolute = |path: &str| tree.path(path).to_str().unwrap().to_owned();
    // From the directory of the tree in the first place, everything has two names.
    for (binary, from_open) in [("pg/bin/postgres", "../../pg"), ("server.profile", "../../server.profile")] {
        for (target, given) in
            [("volumes/open/own.so", "./own.so"), ("volumes/libplain.so", "../libplain.so")]
        {
            for command in ["load", "audit", "tree"] {
                let expected = answer(
                    &tree,
                    Path::new("/"),
                    &[command, "--server", &absolute(binary)],
                    &absolute(target),
                    target,
                );
                let open = tree.path("volumes/open");
                let (status, mut found) =
                    answer(&tree, &open, &[command, "--server", from_open], given, target);
                assert_eq!(status, expected.0, "{command} {given} --server {from_open}");
                // Of a server, the prefix stands for the binary.
                without_spelling(&mut found, from_open, &absolute(target));
                assert_eq!(found, expected.1, "{command} {given} --server {from_open}");
            }
        }
    }
}

#[test]
fn paths_are_shown_as_they_were_given() {
    let tree = tree();
    let run = pgsym_in(&tree.path("elsewhere"), ["audit", "link/..", "--format", "json"]);
    let document = run.json();
    let paths: Vec<_> = document["modules"].as_array().unwrap().iter().map(|one| &one["path"]).collect();
    assert_eq!(paths, ["link/../open/own.so", "link/../pair/lib/pair.so"]);
    let finding = &document["findings"][0]["path"];
    assert!(finding.as_str().unwrap().starts_with("link/../"), "{finding}");
    let refused = pgsym_in(&tree.path("elsewhere"), ["audit", "./nowhere"]);
    assert_eq!(refused.status, 2);
    assert!(refused.stderr.contains("cannot read ./nowhere: No such file"), "{}", refused.stderr);
    let refused = pgsym_in(tree.root(), ["audit", "volumes", "--server", "./nowhere"]);
    assert!(refused.stderr.contains("no PostgreSQL server at ./nowhere: No such"), "{}", refused.stderr);
}
