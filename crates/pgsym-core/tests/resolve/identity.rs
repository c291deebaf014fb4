//! When no search takes place, and when a file found is an object that is there already (`_dl_map_object`,
//! `_dl_name_match_p` and the end of `_dl_map_object_from_fd`, elf/dl-load.c).

use crate::support::{library, needs, not_found, open, server};

#[test]
fn a_soname_match_beats_the_search() {
    let server = server()
        .object("/m/first.so", needs("libleaf.so").runpath("/a"))
        .object("/m/second.so", needs("libleaf.so").runpath("/b"))
        .object("/a/libleaf.so", library().soname("libleaf.so"))
        .object("/b/libleaf.so", library().soname("libleaf.so"));
    let mut process = server.start();
    assert_eq!(open(&mut process, "/m/first.so"), ["/m/first.so", "/a/libleaf.so"]);
    assert_eq!(open(&mut process, "/m/second.so"), ["/m/second.so"]);
    // Alone, the second module finds its own.
    assert_eq!(server.open("/m/second.so"), ["/m/second.so", "/b/libleaf.so"]);
}

#[test]
fn a_file_of_another_name_answers_to_its_soname() {
    let server = server()
        .object("/x/other_name.so", library().soname("libleaf.so"))
        .object("/m/module.so", needs("libleaf.so"));
    let mut process = server.start();
    assert_eq!(open(&mut process, "/x/other_name.so"), ["/x/other_name.so"]);
    assert_eq!(open(&mut process, "/m/module.so"), ["/m/module.so"]);
    assert_eq!(server.refuse("/m/module.so"), not_found("libleaf.so"));
}

#[test]
fn an_object_answers_to_the_names_it_was_found_by() {
    let server = server()
        .object("/m/first.so", needs("libalias.so").runpath("/a"))
        .object("/m/second.so", needs("libalias.so"))
        .object("/a/libalias.so", library().soname("libreal.so"));
    let mut process = server.start();
    assert_eq!(open(&mut process, "/m/first.so").len(), 2);
    assert_eq!(open(&mut process, "/m/second.so"), ["/m/second.so"]);
}

#[test]
fn a_path_opened_twice_is_one_object() {
    let mut process = server().object("/m/module.so", library()).start();
    assert_eq!(open(&mut process, "/m/module.so").len(), 1);
    assert!(open(&mut process, "/m/module.so").is_empty());
}

#[test]
fn hard_links_and_symbolic_links_are_one_object_copies_are_two() {
    let server = server()
        .object("/m/module.so", library().soname("module.so"))
        .tree(|files| files.hard_link("/n/hard.so", "/m/module.so").symlink("/n/soft.so", "/m/module.so"))
        .object("/n/copy.so", library().soname("module.so"));
    let mut process = server.start();
    assert_eq!(open(&mut process, "/m/module.so"), ["/m/module.so"]);
    assert!(open(&mut process, "/n/hard.so").is_empty());
    assert!(open(&mut process, "/n/soft.so").is_empty());
    assert_eq!(open(&mut process, "/n/copy.so"), ["/n/copy.so"]);
}

#[test]
fn libraries_load_breadth_first() {
    let server = server()
        .object("/m/module.so", needs("liba.so").needed("libb.so").runpath("/l"))
        .object("/l/liba.so", needs("libc1.so").runpath("/l"))
        .object("/l/libb.so", library())
        .object("/l/libc1.so", library());
    assert_eq!(server.open("/m/module.so"), ["/m/module.so", "/l/liba.so", "/l/libb.so", "/l/libc1.so"]);
}

#[test]
fn breadth_first_order_saves_a_library_without_a_path_of_its_own() {
    // liba.so cannot find libb.so, and need not: it is there before liba.so is asked what it needs.
    let with = |module| {
        server()
            .object("/m/module.so", module)
            .object("/l/liba.so", needs("libb.so"))
            .object("/l/libb.so", library())
    };
    let both = with(needs("liba.so").needed("libb.so").runpath("/l"));
    assert_eq!(both.open("/m/module.so"), ["/m/module.so", "/l/liba.so", "/l/libb.so"]);
    assert_eq!(with(needs("liba.so").runpath("/l")).refuse("/m/module.so"), not_found("libb.so"));
}

#[test]
fn libraries_that_need_each_other_load_once() {
    let server = server()
        .object("/l/liba.so", needs("libb.so").runpath("/l"))
        .object("/l/libb.so", needs("liba.so").runpath("/l"));
    assert_eq!(server.open("/l/liba.so"), ["/l/liba.so", "/l/libb.so"]);
}

#[test]
fn what_the_server_needs_is_there_for_its_modules() {
    let server = server()
        .program(|program| program.needed("libssl.so.3").runpath("/pg/lib"))
        .object("/pg/lib/libssl.so.3", library().soname("libssl.so.3"))
        .object("/m/module.so", needs("libssl.so.3").runpath("$ORIGIN/private"))
        .object("/m/private/libssl.so.3", library().soname("libssl.so.3"));
    assert_eq!(server.open("/m/module.so"), ["/m/module.so"]);
}

#[test]
fn a_failed_open_changes_nothing() {
    let process = server().object("/m/module.so", needs("libgone.so")).start();
    let before = process.len();
    assert!(process.dlopen(std::path::Path::new("/m/module.so")).failure.is_some());
    assert_eq!(process.len(), before);
}
