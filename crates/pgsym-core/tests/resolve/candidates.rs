//! Which candidates the search passes over and which stop it (`open_verify`), and what is refused after that
//! (`_dl_map_object_from_fd`), in the loader's words.

use pgsym_testkit::{Class, Damage, HeaderField, Kind, Machine, ProgramHeaderField, SharedObject};

use crate::support::{Server, library, needs, not_found, server};

/// A module that needs libx.so, with a bad candidate in the first directory and a good one in the second.
fn with_candidate(change: impl FnOnce(Server) -> Server) -> Server {
    change(server().object("/m/module.so", needs("libx.so").runpath("/bad:/good")))
        .object("/good/libx.so", library())
}

fn candidate(object: SharedObject) -> Server {
    with_candidate(|server| server.object("/bad/libx.so", object))
}

#[test]
fn a_candidate_of_another_machine_class_or_owner_is_passed_over() {
    let passed_over = [
        ("missing", with_candidate(|server| server)),
        ("32 bits", candidate(SharedObject::for_machine(Machine::I386))),
        ("x32", candidate(SharedObject::for_machine(Machine::X32))),
        ("aarch64", candidate(SharedObject::for_machine(Machine::Aarch64))),
        (
            "unreadable",
            with_candidate(|server| {
                server.object("/bad/libx.so", library()).tree(|files| files.mode("/bad/libx.so", 0))
            }),
        ),
        ("dangling", with_candidate(|server| server.tree(|files| files.symlink("/bad/libx.so", "/nowhere")))),
    ];
    for (what, server) in passed_over {
        assert_eq!(server.open("/m/module.so"), ["/m/module.so", "/good/libx.so"], "{what}");
    }
}

#[test]
fn bad_candidate_stops_the_search() {
    let text: &[u8] = b"/* GNU ld script */ INPUT ( /good/libx.so ) and so on, longer than an ELF header\n";
    let stopped = [
        ("file too short", with_candidate(|server| server.file("/bad/libx.so", b""))),
        ("file too short", candidate(library().damage(Damage::Truncated(63)))),
        ("invalid ELF header", with_candidate(|server| server.file("/bad/libx.so", text))),
        (
            "cannot read file data: Is a directory",
            with_candidate(|server| server.tree(|files| files.directory("/bad/libx.so"))),
        ),
        ("ELF file OS ABI invalid", candidate(library().osabi(9))),
        ("ELF file ABI version invalid", candidate(library().abi_version(1))),
        (
            "ELF file version ident does not match current one",
            candidate(library().damage(Damage::Ident(6, 0))),
        ),
        ("nonzero padding in e_ident", candidate(library().damage(Damage::Ident(9, 1)))),
        (
            "ELF file version does not match current one",
            candidate(library().damage(Damage::Header(HeaderField::Version, 2))),
        ),
        ("only ET_DYN and ET_EXEC can be loaded", candidate(library().kind(Kind::Relocatable))),
        (
            "ELF file's phentsize not the expected size",
            candidate(library().damage(Damage::Header(HeaderField::PhEntSize, 32))),
        ),
    ];
    for (message, server) in stopped {
        assert_eq!(server.refuse("/m/module.so"), format!("/bad/libx.so: {message}"));
    }
}

#[test]
fn a_file_that_cannot_be_mapped_is_refused_by_the_name_asked_for() {
    const PT_LOAD: u32 = 1;
    const PT_DYNAMIC: u32 = 2;
    let no_dynamic = Damage::ProgramHeader(PT_DYNAMIC, ProgramHeaderField::Type, 0);
    let no_bytes = Damage::ProgramHeader(PT_DYNAMIC, ProgramHeaderField::FileSize, 0);
    let askew = Damage::ProgramHeader(PT_LOAD, ProgramHeaderField::Offset, 8);
    let refused = [
        ("cannot dynamically load executable", library().kind(Kind::Executable)),
        ("cannot dynamically load position-independent executable", library().kind(Kind::PieExecutable)),
        ("object file has no dynamic section", library().damage(no_dynamic)),
        // As a separate debug file has it.
        ("object file has no dynamic section", library().damage(no_bytes)),
        ("ELF load command address/offset not page-aligned", library().damage(askew)),
        ("shared object cannot be dlopen()ed", library().no_dlopen()),
    ];
    for (message, object) in refused {
        let sentence = server().object("/m/module.so", object).refuse("/m/module.so");
        assert_eq!(sentence, format!("/m/module.so: {message}"));
    }
}

#[test]
fn the_final_message_names_the_wrong_class_where_one_was_met() {
    let server = server()
        .object("/m/module.so", needs("libx.so").runpath("/bad"))
        .object("/bad/libx.so", library().class(Class::Elf32));
    assert_eq!(server.refuse("/m/module.so"), "libx.so: wrong ELF class: ELFCLASS32");
}

#[test]
fn the_first_failure_in_load_order_is_what_dlerror_tells() {
    let server = server()
        .object("/m/module.so", needs("liba.so").needed("libgone.so").runpath("/l"))
        .object("/l/liba.so", needs("libalsogone.so"));
    assert_eq!(server.refuse("/m/module.so"), not_found("libgone.so"));
}
