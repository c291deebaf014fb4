//! JSON: every document fits its schema, and says what `docs` promises.

use pgsym_testkit::{SharedObject, TreeBuilder, VersionDefault};
use serde_json::Value;

use super::support::{faulty_tree, module, pgsym, server, workspace};

/// Fails where a document does not fit `docs/schema/<command>.json`.
pub(crate) fn assert_fits(command: &str, document: &Value) {
    let path = workspace().join("docs/schema").join(format!("{command}.json"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<String> = validator
        .iter_errors(document)
        .map(|problem| format!("{}: {problem}", problem.instance_path()))
        .collect();
    assert!(problems.is_empty(), "{command}: {problems:#?}");
}

/// A tree with something of everything: names that are not UTF-8, versions, missing libraries, damage.
fn varied_tree() -> TreeBuilder {
    let odd = [&b"lib\xff"[..], b".so.1"].concat();
    faulty_tree()
        .object("lib/odd.so", &module().needed(odd.clone()).runpath("$ORIGIN/../deep:/nowhere"))
        .object("lib/deep/libodd.so.1", &SharedObject::new().soname(odd))
        .object(
            "lib/versioned.so",
            &module()
                .needed("libv.so.1")
                .runpath("$ORIGIN")
                .import_versioned("v_call", "libv.so.1", "V_2")
                .weak_import("maybe"),
        )
        .object(
            "lib/libv.so.1",
            &SharedObject::new().soname("libv.so.1").version_definition("V_2", &[]).export_versioned(
                "v_call",
                "V_2",
                VersionDefault::Default,
            ),
        )
        .file("lib/text.so", "INPUT(libv.so.1)")
        .file("share/extension/x.control", "default_version = 1")
        .file(
            "share/extension/x--1.sql",
            b"CREATE FUNCTION \"f\xff\"() RETURNS int LANGUAGE c AS '$libdir/sound', 'f';
              DO $$ BEGIN CREATE FUNCTION g() RETURNS int LANGUAGE c AS '$libdir/sound'; END $$;
              LOAD 'gone';",
        )
        .file("share/extension/x--0--1.sql", "CREATE FUNCTION h() RETURNS int LANGUAGE c AS 'sound';")
        .file("share/extension/broken.control", "default_version")
        .file("lib/empty.so", "")
        .file("lib/short.so", b"\x7fELF")
}

#[test]
fn every_document_fits_its_schema() {
    let tree = varied_tree();
    let root = tree.root().to_str().unwrap();
    let demo = workspace().join("testdata/demo");
    let demo = demo.to_str().unwrap();
    for (command, arguments) in [
        ("audit", vec!["audit", root]),
        ("audit", vec!["audit", "/etc/hostname"]),
        ("tree", vec!["tree", root]),
        ("tree", vec!["tree", root, "--server", root]),
        ("why", vec!["why", "libv.so.1", root]),
        ("why", vec!["why", "libpgsym-test-nowhere.so.7", root]),
        ("functions", vec!["functions", root]),
        ("functions", vec!["functions", root, "--all-scripts"]),
        ("why", vec!["why", "v_call", root]),
        ("why", vec!["why", "palloc", root]),
        ("diff", vec!["diff", root, root]),
        ("diff", vec!["diff", root, demo]),
        ("symbols", vec!["symbols", root]),
        ("inspect", vec!["inspect", root, "--second-opinion"]),
        ("explain", vec!["explain", "PGS101"]),
        ("rules", vec!["rules"]),
    ] {
        let run = pgsym(arguments.iter().copied().chain(["--format", "json"]));
        assert!(run.status < 2, "{arguments:?}: {}", run.stderr);
        let document = run.json();
        assert_fits(command, &document);
        assert_eq!(document["schema"], format!("pgsym/{command}/1"));
        assert_eq!(document["pgsym"], env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn a_schema_rejects_a_document_without_its_keys() {
    let schema = std::fs::read_to_string(workspace().join("docs/schema/audit.json")).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let tree = faulty_tree();
    let good = pgsym(["audit", tree.root().to_str().unwrap(), "--format", "json"]).json();
    for key in ["schema", "pgsym", "modules", "findings", "summary", "server"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(key);
        assert!(!validator.is_valid(&bad), "{key}");
    }
    let mut bad = good;
    bad["modules"][0]["load"]["verdict"] = "perhaps".into();
    assert!(!validator.is_valid(&bad));
}

#[test]
fn the_checked_in_schemas_are_those_of_the_types() {
    for (command, text) in pgsym_core::report::schemas() {
        let path = workspace().join("docs/schema").join(format!("{command}.json"));
        let present = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(present, text, "{} is not up to date: run `cargo xtask generate`", path.display());
    }
}

#[test]
fn an_audit_tells_modules_findings_and_their_number() {
    let tree = varied_tree();
    let document = pgsym(["audit", tree.root().to_str().unwrap(), "--format", "json"]).json();
    assert_eq!(document["server"]["version"], "15.18");
    let modules = document["modules"].as_array().unwrap();
    let of = |name: &str| {
        modules.iter().find(|one| one["path"].as_str().unwrap().ends_with(name)).unwrap_or(&Value::Null)
    };
    assert_eq!(of("lib/sound.so")["magic"]["version"], 1500);
    assert_eq!(of("lib/sound.so")["magic"]["abi"], "PostgreSQL");
    assert_eq!(of("lib/sound.so")["load"]["verdict"], "loads");
    assert_eq!(of("lib/faulty.so")["load"]["verdict"], "fails");
    let error = of("lib/faulty.so")["load"]["error"].as_str().unwrap();
    assert!(error.contains("libpgsym-test-nowhere.so.7: cannot open shared object file"), "{error}");
    let number = |severity: &str| {
        let findings = document["findings"].as_array().unwrap();
        findings.iter().filter(|one| one["severity"] == severity).count()
    };
    for (key, severity) in [("errors", "error"), ("warnings", "warning"), ("infos", "info")] {
        assert_eq!(document["summary"][key], number(severity));
    }
    assert_eq!(document["summary"]["modules"], modules.len());
}

#[test]
fn names_that_are_not_utf8_carry_their_bytes() {
    let tree = varied_tree();
    let run = pgsym(["tree", tree.path("lib/odd.so").to_str().unwrap(), "--format", "json"]);
    let dependency = &run.json()["files"][0]["dependencies"][0];
    assert_eq!(dependency["name"], "lib\u{fffd}.so.1");
    assert_eq!(dependency["bytes"], "6c6962ff2e736f2e31");
    let run = pgsym(["tree", tree.path("lib/faulty.so").to_str().unwrap(), "--format", "json"]);
    let dependency = &run.json()["files"][0]["dependencies"][0];
    assert_eq!(dependency["name"], "libpgsym-test-nowhere.so.7");
    assert_eq!(dependency.get("bytes"), None);
}

#[test]
fn a_tree_lists_each_library_once_with_its_search() {
    let library = |name: &str| SharedObject::new().soname(name);
    let tree = TreeBuilder::new()
        .object("x.so", &module().needed("liba.so").needed("libb.so").needed("libgone.so").rpath("$ORIGIN"))
        .object("liba.so", &library("liba.so").needed("libc1.so"))
        .object("libb.so", &library("libb.so").needed("libc1.so"))
        .object("libc1.so", &library("libc1.so"));
    let run = pgsym(["tree", tree.path("x.so").to_str().unwrap(), "--format", "json"]);
    assert_eq!(run.status, 1);
    let document = run.json();
    let dependencies = document["files"][0]["dependencies"].as_array().unwrap();
    let names: Vec<_> = dependencies.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["liba.so", "libb.so", "libgone.so", "libc1.so"]);
    assert_eq!(dependencies[0]["via"], "rpath");
    assert_eq!(dependencies[0]["element"], "$ORIGIN");
    assert_eq!(dependencies[0]["path"], tree.path("liba.so").to_str().unwrap());
    assert_eq!(dependencies[3]["requested_by"], tree.path("liba.so").to_str().unwrap());
    assert_eq!(dependencies[2]["path"], Value::Null);
    assert_eq!(dependencies[2]["via"], Value::Null);
    assert_eq!(dependencies[2]["searched"][0]["outcome"], "no such file");
}

#[test]
fn with_a_server_its_own_libraries_are_already_loaded() {
    let tree = TreeBuilder::new()
        .object("bin/postgres", &server().needed("libshared.so.1").runpath("$ORIGIN/../private"))
        .object("private/libshared.so.1", &SharedObject::new().soname("libshared.so.1"))
        .object("lib/plpgsql.so", &module())
        .object("lib/x.so", &module().needed("libshared.so.1"));
    let module = tree.path("lib/x.so");
    let alone = pgsym(["tree", module.to_str().unwrap()]);
    assert_eq!(alone.status, 1, "{}", alone.stdout);
    let run = pgsym([
        "tree",
        module.to_str().unwrap(),
        "--server",
        tree.root().to_str().unwrap(),
        "--format",
        "json",
    ]);
    assert_eq!(run.status, 0, "{}", run.stdout);
    let dependency = &run.json()["files"][0]["dependencies"][0];
    assert_eq!(dependency["via"], "loaded");
    assert!(dependency["loaded_by"].as_str().unwrap().ends_with("bin/postgres"), "{dependency}");
}

#[test]
fn symbols_are_classified_and_filtered() {
    let tree = varied_tree();
    let path = tree.path("lib/versioned.so");
    let document = pgsym(["symbols", path.to_str().unwrap(), "--format", "json"]).json();
    let exports = document["files"][0]["exports"].as_array().unwrap();
    let classes: Vec<_> =
        exports.iter().map(|one| (one["name"].as_str().unwrap(), one["class"].as_str().unwrap())).collect();
    assert_eq!(classes, [("Pg_magic_func", "magic"), ("pg_finfo_f", "finfo"), ("f", "function")]);
    let imports = document["files"][0]["imports"].as_array().unwrap();
    let call = imports.iter().find(|one| one["name"] == "v_call").unwrap();
    assert_eq!((&call["version"], &call["library"]), (&"V_2".into(), &"libv.so.1".into()));
    let maybe = imports.iter().find(|one| one["name"] == "maybe").unwrap();
    assert_eq!((&maybe["weak"], &maybe["version"]), (&true.into(), &Value::Null));
    let filtered = pgsym(["symbols", path.to_str().unwrap(), "--match", "^v_", "--format", "json"]).json();
    assert_eq!(filtered["files"][0]["exports"].as_array().unwrap().len(), 0);
    assert_eq!(filtered["files"][0]["imports"].as_array().unwrap().len(), 1);
}

#[test]
fn inside_a_root_paths_are_those_of_the_root() {
    let tree = TreeBuilder::new()
        .object("usr/lib/postgresql/15/bin/postgres", &server())
        .object("usr/lib/postgresql/15/lib/plpgsql.so", &module())
        .object("usr/lib/postgresql/15/lib/x.so", &module().needed("libx.so.1").runpath("/opt/x"))
        .object("opt/real/libx.so.1", &SharedObject::new().soname("libx.so.1"))
        .symlink("opt/x", "/opt/real");
    let root = tree.root().to_str().unwrap();
    let run = pgsym(["tree", "/usr/lib/postgresql/15/lib/x.so", "--root", root, "--format", "json"]);
    let document = run.json();
    assert_eq!(run.status, 0, "{}", run.stdout);
    assert_eq!(document["files"][0]["path"], "/usr/lib/postgresql/15/lib/x.so");
    assert_eq!(document["files"][0]["dependencies"][0]["path"], "/opt/x/libx.so.1");
    assert!(!run.stdout.contains(root), "{}", run.stdout);
}

#[test]
fn why_tells_who_provides_a_symbol_and_what_was_passed_over() {
    let tree = TreeBuilder::new()
        .object("bin/postgres", &server())
        .object("lib/plpgsql.so", &module())
        .object(
            "lib/x.so",
            &module().import("palloc").import("nobody_has_this").needed("liby.so").runpath("$ORIGIN"),
        )
        .object("lib/liby.so", &SharedObject::new().soname("liby.so").export("palloc"))
        .object("lib/z.so", &module().export("nobody_has_this").export("z"));
    let root = tree.root().to_str().unwrap();
    let run = pgsym(["why", "palloc", root, "--format", "json"]);
    assert_eq!(run.status, 0, "{}", run.stdout);
    let document = run.json();
    let provider = &document["symbols"][0];
    assert!(provider["path"].as_str().unwrap().ends_with("bin/postgres"), "{provider}");
    assert!(provider["users"][0]["module"].as_str().unwrap().ends_with("lib/x.so"), "{provider}");
    assert!(provider["passed_over"][0]["path"].as_str().unwrap().ends_with("lib/liby.so"), "{provider}");
    let run = pgsym(["why", "nobody_has_this", tree.path("lib/x.so").to_str().unwrap(), "--format", "json"]);
    assert_eq!(run.status, 1, "{}", run.stdout);
    assert_eq!(run.json()["symbols"][0]["path"], Value::Null);
    let run = pgsym(["why", "nobody_has_this", root]);
    assert_eq!(run.status, 1);
    let line = format!("exported by {}", tree.path("lib/z.so").display());
    assert!(run.stdout.contains("NOT DEFINED") && run.stdout.contains(&line), "{}", run.stdout);
}
