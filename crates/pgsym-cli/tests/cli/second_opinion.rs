//! `inspect --second-opinion`: two readers agree on sound files, and a reader in trouble is reported, never
//! ours to share.

use pgsym_testkit::{MachCpu, MachImage, TreeBuilder};

use super::support::{module, pgsym, server};

#[test]
fn two_readers_agree_on_a_sound_file() {
    let object = module().needed("libm.so.6").runpath("$ORIGIN").soname("x.so").import("palloc");
    let tree = TreeBuilder::new().object("x.so", &object).object("postgres", &server());
    let run = pgsym(["inspect", tree.root().to_str().unwrap(), "--second-opinion", "--format", "json"]);
    assert_eq!(run.status, 0, "{}", run.stdout);
    let document = run.json();
    for file in document["files"].as_array().unwrap() {
        let opinion = &file["second_opinion"];
        assert_eq!(opinion["failure"], serde_json::Value::Null, "{opinion}");
        assert_eq!(opinion["disagreements"].as_array().unwrap().len(), 0, "{opinion}");
        assert!(opinion["compared"].as_u64().unwrap() > 12, "{opinion}");
    }
}

#[test]
fn a_reader_that_refuses_the_file_is_reported() {
    let bytes = module().build();
    let tree = TreeBuilder::new().file("cut.so", &bytes[..80]);
    let run = pgsym(["inspect", tree.root().to_str().unwrap(), "--second-opinion", "--format", "json"]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    let opinion = &run.json()["files"][0]["second_opinion"];
    assert!(opinion["failure"].as_str().unwrap().contains("refuses the file"), "{opinion}");
}

#[test]
fn the_child_lives_under_limits() {
    let run = pgsym(["second-opinion-child"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let answer: Result<serde_json::Value, String> = serde_json::from_str(&run.stdout).unwrap();
    assert!(answer.is_err(), "no bytes are no file: {answer:?}");
}

#[test]
fn of_a_mach_o_file_nobody_else_is_asked() {
    let image = MachImage::bundle(MachCpu::X86_64).library("/usr/lib/libSystem.B.dylib").magic(15);
    let tree = TreeBuilder::new().file("x.dylib", image.build());
    let path = tree.path("x.dylib");
    let run = pgsym(["inspect", path.to_str().unwrap(), "--second-opinion"]);
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("none: goblin is asked about ELF files only"), "{}", run.stdout);
    let run = pgsym(["inspect", path.to_str().unwrap(), "--second-opinion", "--format", "json"]);
    let opinion = &run.json()["files"][0]["second_opinion"];
    assert_eq!((opinion["compared"].as_u64(), opinion["failure"].is_null()), (Some(0), true), "{opinion}");
}
