//! Trees that nobody should have: every one is an answer, in bounded time and memory.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pgsym_core::fs::RealFs;
use pgsym_core::parse::Facets;
use pgsym_core::resolve::{FileStore, LoaderEnv, LoaderOptions, MainObject, Process};
use pgsym_testkit::{Damage, TreeBuilder};

use crate::support::{X86_64, library, needs, not_found, server};

/// The loader's sentence about a dependency of a module in a tree on disk, listed by itself.
fn failure_on_disk(tree: &TreeBuilder) -> Option<String> {
    let fs = Arc::new(RealFs::new());
    let env = Arc::new(LoaderEnv::read(&*fs, X86_64, None, &LoaderOptions::default()));
    let store = Arc::new(FileStore::new(fs, Facets::SYMBOLS));
    let process = Process::start(store, env, &tree.path("m/module.so"), MainObject::Listed).unwrap();
    process.failure().map(|failure| failure.message.clone())
}

fn module_for_disk() -> TreeBuilder {
    TreeBuilder::new().object("m/module.so", &needs("libx.so").runpath("$ORIGIN/l"))
}

#[test]
fn a_link_loop_is_a_candidate_that_does_not_open() {
    let server = server()
        .object("/m/module.so", needs("libx.so").runpath("/l"))
        .tree(|files| files.symlink("/l/libx.so", "/k/libx.so").symlink("/k/libx.so", "/l/libx.so"));
    let sentence = server.refuse("/m/module.so");
    assert!(sentence.starts_with("libx.so: cannot open shared object file: "), "{sentence}");
}

#[test]
fn a_fifo_is_never_waited_for() {
    let tree = module_for_disk().directory("m/l");
    let made = std::process::Command::new("mkfifo").arg(tree.path("m/l/libx.so")).status().unwrap();
    assert!(made.success());
    let start = Instant::now();
    assert!(failure_on_disk(&tree).unwrap().ends_with("file too short"));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_directory_with_the_name_of_a_library_stops_the_search() {
    let tree = module_for_disk().directory("m/l/libx.so");
    let path = tree.path("m/l/libx.so");
    assert_eq!(
        failure_on_disk(&tree).unwrap(),
        // `$ORIGIN` is the directory of the path given.
        format!("{}: cannot read file data: Is a directory", path.display())
    );
}

#[test]
fn a_device_is_not_read() {
    let tree = module_for_disk().directory("m/l");
    symlink("/dev/zero", tree.path("m/l/libx.so")).unwrap();
    assert!(failure_on_disk(&tree).unwrap().ends_with("file too short"));
}

#[test]
fn a_hundred_megabytes_of_zeros_are_not_read() {
    let tree = module_for_disk().directory("m/l");
    let file = std::fs::File::create(tree.path("m/l/libx.so")).unwrap();
    // Sparse: the disk holds nothing of it.
    file.set_len(100 << 20).unwrap();
    let start = Instant::now();
    assert!(failure_on_disk(&tree).unwrap().ends_with("invalid ELF header"));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_search_path_of_a_million_elements_is_searched_up_to_a_limit() {
    let path = "/x:".repeat(300_000);
    let server = server().object("/m/module.so", needs("libx.so").runpath(path));
    assert_eq!(server.refuse("/m/module.so"), not_found("libx.so"));
}

#[test]
fn thousands_of_equal_dependencies_are_one_search() {
    let server = server()
        .object("/m/module.so", needs("libx.so").runpath("/l").damage(Damage::RepeatNeeded(4_000)))
        .object("/l/libx.so", library());
    let attempt = server.start().dlopen(Path::new("/m/module.so"));
    assert!(attempt.process.len() < 10);
}

#[test]
fn a_long_chain_of_libraries_needs_no_stack() {
    let last = 3_000;
    let server = (0..last).fold(server(), |server, index| {
        let object = needs(&format!("lib{}.so", index + 1)).rpath("/l");
        server.object(&format!("/l/lib{index}.so"), object)
    });
    let server = server.object(&format!("/l/lib{last}.so"), library());
    assert_eq!(server.open("/l/lib0.so").len(), last + 1);
}

#[test]
fn a_library_that_needs_itself_is_itself() {
    let server = server().object("/l/libx.so", needs("libx.so").runpath("/l").soname("libx.so"));
    assert_eq!(server.open("/l/libx.so"), ["/l/libx.so"]);
}

#[test]
fn a_server_whose_own_library_is_missing_says_so() {
    let process = server().program(|program| program.needed("libgone.so")).start_anyhow();
    assert_eq!(process.failure().unwrap().message, not_found("libgone.so"));
}
