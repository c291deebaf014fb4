//! `exports` and `verify`: from objects to a linker's list, and from a finished module back to it.

use std::path::Path;
use std::process::Command;

use pgsym_testkit::{Export, SharedObject, TreeBuilder, VersionDefault, Visibility};

use super::documents::assert_fits;
use super::support::{Run, pgsym_in};

const SHIM: &str = "const void *Pg_magic_func(void) { return 0; }\nlong f(void) { return 1; }\n\
    const void *pg_finfo_f(void) { return 0; }\nint helper(void) { return 2; }\nvoid worker_main(void) {}\n";

/// A directory with the shim's object.
fn compiled() -> TreeBuilder {
    let tree = TreeBuilder::new().file("shim.c", SHIM);
    let output = Command::new("cc")
        .args(["-c", "shim.c"])
        .current_dir(tree.root())
        .output()
        .expect("cc can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    tree
}

fn run(directory: &Path, words: &str) -> Run {
    pgsym_in(directory, words.split_whitespace())
}

#[test]
fn a_version_script_holds_what_the_server_looks_up_and_no_helper() {
    let tree = compiled();
    let said = run(tree.root(), "exports shim.o --export worker_main");
    let list =
        "{\n  global:\n    Pg_magic_func;\n    f;\n    pg_finfo_f;\n    worker_main;\n  local:\n    *;\n};\n";
    assert_eq!((said.status, said.stdout.as_str(), said.stderr.as_str()), (0, list, ""));
}

#[test]
fn what_is_hidden_is_there_and_not_exported() {
    let tree = compiled();
    for (words, sentence) in [
        ("exports shim.o --export f --hide f", "f is to be hidden and to be exported; say one of them"),
        ("exports shim.o --hide nosuch", "nosuch is to be hidden, but no compiled object defines it"),
        ("exports shim.o --export nosuch", "declare it with --rust-export"),
    ] {
        let said = run(tree.root(), words);
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{words}");
        assert!(said.stderr.contains(sentence), "{}", said.stderr);
    }
}

#[test]
fn every_form_can_be_asked_for() {
    let tree = compiled();
    let form = |form: &str| {
        run(tree.root(), &format!("exports shim.o --hide f --hide pg_finfo_f --form {form}")).stdout
    };
    assert_eq!(form("addition"), "{\n  global:\n    Pg_magic_func;\n};\n");
    assert_eq!(form("exported-symbols"), "_Pg_magic_func\n");
    assert_eq!(form("pgxs"), "Pg_magic_func             1\n");
}

#[test]
fn names_that_cannot_be_exported_leave_the_question_open() {
    let tree = compiled();
    let said = run(tree.root(), "exports shim.o --export Helper");
    assert_eq!((said.status, said.stdout.as_str()), (2, ""));
    let words = "Helper is to be exported, but no compiled object defines it (there is helper)";
    assert!(said.stderr.contains(words), "{}", said.stderr);
    let said = run(tree.root(), "exports shim.c");
    assert_eq!(said.status, 2);
    assert!(said.stderr.contains("name objects (.o) or static archives (.a)"), "{}", said.stderr);
}

/// A module that lost one name, versioned another, and has one too many.
fn finished() -> TreeBuilder {
    let module = SharedObject::new()
        .export("Pg_magic_func")
        .export_versioned("f", "V1", VersionDefault::Default)
        .add_export(Export::function("pg_finfo_f").visibility(Visibility::Hidden))
        .export("SSL_new");
    TreeBuilder::new()
        .object("m.so", &module)
        .file("m.map", "{ global: Pg_magic_func; f; pg_finfo_f; local: *; };\n")
}

#[test]
fn a_finished_module_is_compared_name_by_name() {
    let tree = finished();
    let said = run(tree.root(), "verify m.so --map m.map");
    assert_eq!((said.status, said.stderr.as_str()), (1, ""));
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines.first(), Some(&"m.so"));
    for line in [
        "  missing   pg_finfo_f is not exported: it is linked in, but a version script or",
        "  versioned f is exported as f@@V1; a named version node was used by accident",
        "  extra     SSL_new is exported and was not meant to be",
        "1 export as meant by m.map, 3 differences",
    ] {
        assert!(lines.contains(&line), "{line:?} is not in:\n{}", said.stdout);
    }
}

#[test]
fn a_module_as_it_was_meant_passes() {
    let tree = finished().file("exact.txt", "Pg_magic_func 1\nSSL_new 2\n");
    let allowed = run(tree.root(), "verify m.so --map exact.txt --allow-extra");
    assert_eq!(allowed.status, 0, "{}", allowed.stdout);
    assert_eq!(run(tree.root(), "verify m.so --map exact.txt").status, 1);
    let tree = TreeBuilder::new().object("m.so", &SharedObject::new().export("f")).file("m.map", "{ f; };");
    let said = run(tree.root(), "verify m.so --map m.map");
    assert_eq!((said.status, said.stdout.as_str()), (0, "m.so\n1 export as meant by m.map, 0 differences\n"));
}

#[test]
fn unreadable_sides_leave_the_question_open() {
    let tree = finished().file("pattern.map", "{ global: pg_finfo_*; };").file("text.so", "INPUT(m.so)");
    for (words, message) in [
        ("verify m.so --map nowhere.map", "cannot read the list of exports nowhere.map"),
        ("verify m.so --map pattern.map", "is a pattern; write out each name"),
        ("verify nowhere.so --map m.map", "cannot read the module nowhere.so"),
        ("verify text.so --map m.map", "neither an ELF nor a Mach-O file"),
    ] {
        let said = run(tree.root(), words);
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{words}");
        assert!(said.stderr.contains(message), "{message:?} is not in {:?}", said.stderr);
    }
}

#[test]
fn both_documents_fit_their_schemas() {
    let tree = finished();
    assert_fits("verify", &run(tree.root(), "verify m.so --map m.map --format json").json());
    let document = run(compiled().root(), "exports shim.o --format json").json();
    assert_fits("exports", &document);
    assert_eq!(
        document["exports"][1],
        serde_json::json!({ "name": "f", "class": "function", "object": "shim.o" })
    );
}
