//! Where answers go, and what must not change them.

use std::io::Read as _;
use std::process::{Command, Stdio};

use pgsym_testkit::TreeBuilder;

use super::support::{faulty_tree, module, pgsym, pgsym_in, server};

/// Every command that looks at a tree, as it would be run on one.
fn questions(root: &str) -> Vec<Vec<String>> {
    let of = |arguments: &[&str]| arguments.iter().map(|argument| (*argument).to_owned()).collect();
    vec![
        of(&["audit", root]),
        of(&["tree", root]),
        of(&["why", "libpgsym-test-nowhere.so.7", root]),
        of(&["symbols", root]),
        of(&["inspect", root]),
    ]
}

#[test]
fn the_answer_does_not_depend_on_threads_quietness_or_directory() {
    let mut tree = TreeBuilder::new().object("bin/postgres", &server()).object("lib/plpgsql.so", &module());
    for number in 0..40 {
        let faulty = module().needed(format!("libpgsym-test-nowhere.so.{}", number % 9));
        tree = tree.object(format!("lib/m{number}.so"), &faulty);
    }
    let root = tree.root().to_str().unwrap();
    for question in questions(root) {
        for format in ["text", "json"] {
            let with = |options: &[&str], directory: &str| {
                let mut arguments = question.clone();
                arguments
                    .extend(["--format", format].iter().chain(options).map(|option| (*option).to_owned()));
                pgsym_in(directory.as_ref(), arguments)
            };
            let one = with(&["--jobs", "1"], "/");
            assert!(!one.stdout.is_empty(), "{question:?}");
            assert_eq!(one, with(&["--jobs", "4"], "/"), "{question:?}");
            assert_eq!(one, with(&["--quiet"], "/"), "{question:?}");
            assert_eq!(one, with(&["--no-progress"], root), "{question:?}");
        }
    }
}

#[test]
fn a_relative_path_leads_to_the_same_findings() {
    let tree = faulty_tree();
    let codes = |run: super::support::Run| {
        let findings = run.json()["findings"].as_array().unwrap().clone();
        findings.iter().map(|one| format!("{} {}", one["code"], one["subject"])).collect::<Vec<_>>()
    };
    let root = tree.root().to_str().unwrap();
    let absolute = codes(pgsym(["audit", root, "--format", "json"]));
    assert!(!absolute.is_empty());
    assert_eq!(absolute, codes(pgsym_in(tree.root(), ["audit", ".", "--format", "json"])));
    assert_eq!(absolute, codes(pgsym_in(tree.root(), ["audit", "lib", "bin", "--format", "json"])));
}

#[test]
fn origin_is_known_for_a_module_that_was_given_by_a_relative_path() {
    let tree = TreeBuilder::new()
        .object("bin/postgres", &server())
        .object("lib/plpgsql.so", &module())
        .object("lib/x.so", &module().needed("libdeep.so.1").runpath("$ORIGIN/deep"))
        .object("lib/deep/libdeep.so.1", &pgsym_testkit::SharedObject::new().soname("libdeep.so.1"));
    let run = pgsym_in(tree.root(), ["audit", "lib/x.so", "--only", "missing-dependency"]);
    assert_eq!(run.status, 0, "{}", run.stdout);
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let tree = faulty_tree();
    for question in questions(tree.root().to_str().unwrap()) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pgsym"))
            .args(&question)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "", "{question:?}");
        let status = child.wait().unwrap().code();
        assert!(matches!(status, Some(0 | 1)), "{question:?}: {status:?}");
    }
}

#[test]
fn a_file_is_replaced_as_a_whole_and_a_link_to_it_stays_a_link() {
    let tree = faulty_tree().file("old.json", "old").symlink("link.json", "old.json");
    let root = tree.root().to_str().unwrap();
    let link = tree.path("link.json");
    let run = pgsym(["audit", root, "--format", "json", "--output", link.to_str().unwrap()]);
    assert_eq!((run.status, &*run.stdout, &*run.stderr), (1, "", ""));
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    let written = std::fs::read_to_string(tree.path("old.json")).unwrap();
    assert_eq!(written, pgsym(["audit", root, "--format", "json"]).stdout);
    let names: Vec<_> =
        std::fs::read_dir(tree.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{names:?}");
}

#[test]
fn output_may_be_a_device() {
    let tree = faulty_tree();
    let run = pgsym(["audit", tree.root().to_str().unwrap(), "--output", "/dev/null"]);
    assert_eq!((run.status, &*run.stderr), (1, ""));
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn output_that_cannot_be_written_is_refused() {
    let tree = faulty_tree();
    let run = pgsym(["audit", tree.root().to_str().unwrap(), "--output", "/nonexistent/report"]);
    assert_eq!(run.status, 2);
    let words = "cannot write /nonexistent/report: No such file or directory\n";
    assert!(run.stderr.ends_with(words), "{}", run.stderr);
    let run = pgsym(["rules", "--output", "/nonexistent/report"]);
    assert!(run.stderr.ends_with(words), "{}", run.stderr);
}

#[test]
fn colours_only_repeat_the_words() {
    let tree = faulty_tree();
    for question in questions(tree.root().to_str().unwrap()) {
        let with = |colour: &str| {
            let mut arguments = question.clone();
            arguments.extend(["--color".to_owned(), colour.to_owned()]);
            pgsym(arguments).stdout
        };
        let (plain, coloured) = (with("never"), with("always"));
        assert!(!plain.contains('\x1b'), "{question:?}");
        assert!(coloured.contains('\x1b'), "{question:?}");
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
        assert_eq!(with("auto"), plain, "a pipe is no terminal");
    }
}

#[test]
fn names_from_files_cannot_reach_the_terminal_raw() {
    let nasty = "lib\x1b[31mred\u{202e}.so.1";
    let tree = faulty_tree()
        .object("lib/nasty.so", &module().needed(nasty).soname(format!("x{nasty}")).import(nasty))
        .file("share/extension/e\x1b[31m.control", "default_version = '1'\nbogus x = 'y'\n")
        .file("share/extension/q.control", "default_version = '1'\nmodule_pathname = '$libdir/\x1b[31mx'\n")
        .file("share/extension/q--1.sql", "CREATE FUNCTION f() RETURNS int LANGUAGE C AS 'MODULE_PATHNAME';");
    for question in questions(tree.root().to_str().unwrap()) {
        let text = pgsym(question.clone()).stdout;
        assert!(!text.contains('\x1b') && !text.contains('\u{202e}'), "{question:?}");
    }
    let run = pgsym(["tree".as_ref(), tree.path("lib/nasty.so").as_os_str()]);
    assert!(run.stdout.contains("lib\\x1b[31mred\\xe2\\x80\\xae.so.1"), "{}", run.stdout);
}
