//! A tree that means harm: each bad file is one finding, and the run goes on.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::support::{module, pgsym, server};
use pgsym_testkit::TreeBuilder;

fn hostile_tree() -> TreeBuilder {
    let tree = TreeBuilder::new()
        .object("bin/postgres", &server())
        .object("lib/plpgsql.so", &module())
        .object("lib/last.so", &module().needed("libpgsym-test-nowhere.so.7"))
        .fifo("lib/fifo.so")
        .directory("lib/directory.so")
        .file("lib/empty.so", "")
        .symlink("lib/loop.so", "loop.so")
        .symlink("lib/dangling.so", "nowhere.so")
        .file("lib/zeros.so", "");
    let zeros = std::fs::OpenOptions::new().write(true).open(tree.path("lib/zeros.so")).unwrap();
    zeros.set_len(100 << 20).unwrap();
    tree
}

#[test]
fn each_bad_file_is_one_finding_and_the_run_goes_on() {
    let tree = hostile_tree();
    let run = pgsym(["audit", tree.root().to_str().unwrap(), "--format", "json"]);
    assert_eq!((run.status, &*run.stderr), (1, ""));
    let document = run.json();
    let findings = document["findings"].as_array().unwrap();
    for name in ["fifo.so", "directory.so", "empty.so", "loop.so", "dangling.so", "zeros.so", "last.so"] {
        let about: Vec<_> = findings
            .iter()
            .filter(|one| one["path"].as_str().unwrap().ends_with(&format!("/{name}")))
            .collect();
        assert_eq!(about.len(), 1, "{name}: {about:#?}");
    }
}

#[test]
fn every_command_survives_the_tree() {
    let tree = hostile_tree();
    let root = tree.root().to_str().unwrap();
    for arguments in [
        &["tree", root][..],
        &["why", "libpgsym-test-nowhere.so.7", root],
        &["symbols", root],
        &["inspect", root],
    ] {
        let run = pgsym(arguments);
        assert!(run.status < 2, "{arguments:?}: {}", run.stderr);
        assert!(run.stdout.contains("last.so"), "{arguments:?}");
    }
}

#[test]
fn a_file_that_may_not_be_read_is_one_finding() {
    let tree = TreeBuilder::new()
        .object("bin/postgres", &server())
        .object("lib/plpgsql.so", &module())
        .object("lib/secret.so", &module())
        .mode("lib/secret.so", 0o000)
        .mode("", 0o755);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgsym"));
    if std::fs::read(tree.path("lib/secret.so")).is_ok() {
        // Root may read everything, so the program runs as somebody who may not, from a place that is open to all.
        let program = tree.path("pgsym-copy");
        // Another process copies it: a child that a test beside this one starts would inherit the open file, and a file that
        // somebody may write to cannot be executed (ETXTBSY).
        assert!(
            Command::new("cp").arg(env!("CARGO_BIN_EXE_pgsym")).arg(&program).status().unwrap().success()
        );
        command = Command::new(program);
        command.uid(65534).gid(65534);
    }
    let library = tree.path("lib");
    let output =
        command.arg("audit").arg(library).args(["--format", "json"]).current_dir("/").output().unwrap();
    // The server may read what the auditor may not: no error, but no silence either.
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = document["findings"].as_array().unwrap();
    let about: Vec<_> =
        findings.iter().filter(|one| one["path"].as_str().unwrap().ends_with("/secret.so")).collect();
    assert_eq!(about.len(), 1, "{about:#?}");
    assert!(about[0].to_string().to_lowercase().contains("permission denied"), "{about:#?}");
}

#[test]
fn a_file_cut_at_any_byte_is_answered() {
    let whole = module().needed("libx.so.1").build();
    for length in (0..whole.len()).step_by(41) {
        let tree = TreeBuilder::new().file("cut.so", &whole[..length]);
        let run = pgsym(["inspect", tree.root().to_str().unwrap()]);
        assert!(run.status < 2, "{length} bytes: {}", run.stderr);
    }
}
