//! musl's rules, where they are others (ldso/dynlink.c).

use std::path::Path;

use pgsym_core::resolve::Libc;

use crate::support::{Server, library, needs, open, server};

fn musl() -> Server {
    server()
        .libc(Libc::Musl)
        .program(|program| program.interp("/lib/ld-musl-x86_64.so.1"))
        .object("/lib/ld-musl-x86_64.so.1", library())
}

fn gone(name: &str, by: &str) -> String {
    format!("Error loading shared library {name}: No such file or directory (needed by {by})")
}

#[test]
fn the_library_path_comes_before_rpath() {
    let server = musl()
        .library_path("/env")
        .object("/m/module.so", needs("libx.so").rpath("/own"))
        .object("/own/libx.so", library())
        .object("/env/libx.so", library());
    assert_eq!(server.open("/m/module.so")[1], "/env/libx.so");
}

#[test]
fn rpath_and_runpath_are_one_thing_and_inherited() {
    for module in [needs("libmid.so").rpath("/l"), needs("libmid.so").runpath("/l")] {
        let server = musl()
            .object("/m/module.so", module)
            .object("/l/libmid.so", needs("libleaf.so").runpath("/nowhere"))
            .object("/l/libleaf.so", library());
        assert_eq!(server.open("/m/module.so"), ["/m/module.so", "/l/libmid.so", "/l/libleaf.so"]);
    }
}

#[test]
fn runpath_of_the_server_serves_modules() {
    let server = musl()
        .program(|program| program.runpath("/s"))
        .object("/m/module.so", needs("libx.so"))
        .object("/s/libx.so", library());
    assert_eq!(server.open("/m/module.so")[1], "/s/libx.so");
}

#[test]
fn any_other_dollar_makes_the_whole_path_void() {
    for path in ["/l:$LIB", "${FOO}:/l", "/l:${ORIGIN"] {
        let server =
            musl().object("/m/module.so", needs("libx.so").rpath(path)).object("/l/libx.so", library());
        let sentence = server.refuse("/m/module.so");
        assert_eq!(sentence, gone("libx.so", "/m/module.so"), "{path}");
    }
    let server = musl()
        .object("/m/module.so", needs("libx.so").rpath("/nowhere:${ORIGIN}/l"))
        .object("/m/l/libx.so", library());
    assert_eq!(server.open("/m/module.so")[1], "/m/l/libx.so");
}

#[test]
fn objects_match_by_the_name_searched_never_by_soname() {
    let server = musl()
        .object("/m/first.so", needs("libleaf.so").rpath("/a"))
        .object("/m/second.so", needs("libreal.so").rpath("/b"))
        .object("/m/third.so", needs("libleaf.so").rpath("/b"))
        .object("/a/libleaf.so", library().soname("libreal.so"))
        .object("/b/libreal.so", library())
        .object("/b/libleaf.so", library());
    let mut process = server.start();
    assert_eq!(open(&mut process, "/m/first.so"), ["/m/first.so", "/a/libleaf.so"]);
    assert_eq!(open(&mut process, "/m/second.so"), ["/m/second.so", "/b/libreal.so"]);
    assert_eq!(open(&mut process, "/m/third.so"), ["/m/third.so"]);
}

#[test]
fn the_same_file_is_one_object_by_whatever_name() {
    let server = musl()
        .object("/m/first.so", needs("liba.so").rpath("/l"))
        .object("/m/second.so", needs("libb.so").rpath("/l"))
        .object("/l/liba.so", library())
        .tree(|files| files.hard_link("/l/libb.so", "/l/liba.so"));
    let mut process = server.start();
    assert_eq!(open(&mut process, "/m/first.so").len(), 2);
    assert_eq!(open(&mut process, "/m/second.so"), ["/m/second.so"]);
}

#[test]
fn versions_are_not_checked() {
    let leaf =
        library().soname("libleaf.so").export_versioned("f", "V2", pgsym_testkit::VersionDefault::Default);
    let module = || needs("libleaf.so").rpath("/l").import_versioned("f", "libleaf.so", "V1");
    let with = |server: Server| server.object("/m/module.so", module()).object("/l/libleaf.so", leaf.clone());
    assert_eq!(with(musl()).open("/m/module.so").len(), 2);
    assert_eq!(
        with(server()).refuse("/m/module.so"),
        "/l/libleaf.so: version `V1' not found (required by /m/module.so)"
    );
}

#[test]
fn the_path_file_replaces_the_default_directories() {
    let module = || musl().object("/m/module.so", needs("libx.so"));
    let usual = module().object("/usr/local/lib/libx.so", library());
    assert_eq!(usual.open("/m/module.so")[1], "/usr/local/lib/libx.so");
    let told = module()
        .file("/etc/ld-musl-x86_64.path", b"/one\n/two:/three\n")
        .object("/three/libx.so", library())
        .object("/usr/lib/libx.so", library());
    assert_eq!(told.open("/m/module.so")[1], "/three/libx.so");
}

#[test]
fn libc_is_the_loader_whatever_file_has_its_name() {
    let server = musl().object("/m/module.so", needs("libc.so").rpath("/l")).object("/l/libc.so", library());
    assert!(!server.open("/m/module.so").contains(&"/l/libc.so".to_owned()));
}

#[test]
fn the_first_file_that_opens_is_the_library() {
    let server = musl()
        .object("/m/module.so", needs("libx.so").rpath("/bad:/good"))
        .file("/bad/libx.so", b"text")
        .object("/good/libx.so", library());
    let attempt = server.start().dlopen(Path::new("/m/module.so"));
    assert_eq!(
        attempt.failure.unwrap().message,
        "Error loading shared library libx.so: Exec format error (needed by /m/module.so)"
    );
}
