//! What the text of a search path means (`fillin_rpath`, `_dl_dst_substitute`, `_dl_important_hwcaps`).

use pgsym_core::resolve::{CpuLevel, Libc};

use crate::support::{SERVER, library, needs, not_found, server};

#[test]
fn empty_element_is_the_current_directory() {
    for runpath in ["/nowhere:", ":/nowhere", "/nowhere::/nowhere"] {
        let server = server()
            .object("/m/module.so", needs("libx.so").runpath(runpath))
            .object("/run/libx.so", library());
        assert_eq!(server.open("/m/module.so")[1], "libx.so", "{runpath}");
    }
}

#[test]
fn an_empty_path_is_none() {
    let server =
        server().object("/m/module.so", needs("libx.so").runpath("")).object("/run/libx.so", library());
    assert_eq!(server.refuse("/m/module.so"), not_found("libx.so"));
}

#[test]
fn an_empty_runpath_shuts_out_rpaths_all_the_same() {
    let server = server()
        .program(|program| program.rpath("/l"))
        .object("/m/module.so", needs("libx.so").runpath(""))
        .object("/l/libx.so", library());
    assert_eq!(server.refuse("/m/module.so"), not_found("libx.so"));
}

#[test]
fn relative_elements_start_at_the_current_directory() {
    let server = server()
        .object("/m/module.so", needs("libx.so").runpath("lib"))
        .object("/m/lib/libx.so", library())
        .object("/run/lib/libx.so", library());
    assert_eq!(server.open("/m/module.so")[1], "lib/libx.so");
}

#[test]
fn slashes_at_the_end_are_trimmed() {
    let server =
        server().object("/m/module.so", needs("libx.so").runpath("/l///")).object("/l/libx.so", library());
    assert_eq!(server.open("/m/module.so")[1], "/l/libx.so");
}

#[test]
fn a_semicolon_separates_in_the_library_path_only() {
    let files = |server: crate::support::Server| server.object("/b/libx.so", library());
    let with = files(server().library_path("/a;/b").object("/m/module.so", needs("libx.so")));
    assert_eq!(with.open("/m/module.so")[1], "/b/libx.so");
    let without = files(server().object("/m/module.so", needs("libx.so").runpath("/a;/b")));
    assert_eq!(without.refuse("/m/module.so"), not_found("libx.so"));
}

#[test]
fn tokens_stand_anywhere_and_several_times() {
    let server = server()
        .object("/m/module.so", needs("libx.so").runpath("/up$ORIGIN/${LIB}/$PLATFORM"))
        .object("/up/m/lib/x86_64-linux-gnu/x86_64/libx.so", library());
    assert_eq!(server.open("/m/module.so")[1], "/up/m/lib/x86_64-linux-gnu/x86_64/libx.so");
}

#[test]
fn what_only_looks_like_a_token_is_text() {
    for element in ["/x/$ORIGINAL", "/x/${ORIGIN", "/x/$FOO", "/x/$LIBS"] {
        let server = server()
            .object("/m/module.so", needs("libx.so").runpath(element))
            .object(&format!("{element}/libx.so"), library());
        assert_eq!(server.open("/m/module.so")[1], format!("{element}/libx.so"));
    }
}

#[test]
fn origin_is_the_directory_of_the_path_that_was_opened() {
    // The link's directory, not that of the file behind it.
    let server = server()
        .object("/real/module.so", needs("libx.so").runpath("$ORIGIN"))
        .tree(|files| files.symlink("/link/module.so", "/real/module.so"))
        .object("/real/libx.so", library())
        .object("/link/libx.so", library());
    assert_eq!(server.open("/link/module.so")[1], "/link/libx.so");
    assert_eq!(server.open("/real/module.so")[1], "/real/libx.so");
}

#[test]
fn origin_of_the_server_is_where_its_file_really_is() {
    let process = server()
        .program(|program| program.needed("libx.so").runpath("$ORIGIN/../lib"))
        .object("/pg/lib/libx.so", library())
        .start();
    let paths: Vec<_> = process.load_order().map(|(_, object)| object.path().to_owned()).collect();
    assert_eq!(paths, [SERVER, "/pg/bin/../lib/libx.so"].map(std::path::PathBuf::from));
}

#[test]
fn origin_of_a_dependency_is_its_own_directory() {
    let server = server()
        .object("/m/module.so", needs("libmid.so").runpath("/l"))
        .object("/l/libmid.so", needs("libleaf.so").runpath("$ORIGIN/sub"))
        .object("/l/sub/libleaf.so", library());
    assert_eq!(server.open("/m/module.so")[2], "/l/sub/libleaf.so");
}

#[test]
fn hwcaps_directories_come_first_best_first_and_as_the_processor_allows() {
    let levels = ["x86-64-v2", "x86-64-v3", "x86-64-v4"];
    let all = levels.iter().fold(
        server().object("/m/module.so", needs("libx.so").runpath("/l")).object("/l/libx.so", library()),
        |server, level| server.object(&format!("/l/glibc-hwcaps/{level}/libx.so"), library()),
    );
    for (cpu, place) in [
        (CpuLevel::V1, "/l/libx.so"),
        (CpuLevel::V2, "/l/glibc-hwcaps/x86-64-v2/libx.so"),
        (CpuLevel::V3, "/l/glibc-hwcaps/x86-64-v3/libx.so"),
        (CpuLevel::V4, "/l/glibc-hwcaps/x86-64-v4/libx.so"),
    ] {
        assert_eq!(all.clone().cpu(cpu).open("/m/module.so")[1], place);
    }
    // glibc 2.32 knows none.
    let old = all.cpu(CpuLevel::V4).libc(Libc::Glibc(2, 32));
    assert_eq!(old.open("/m/module.so")[1], "/l/libx.so");
}

#[test]
fn tls_and_platform_directories_ended_with_glibc_2_37() {
    let server = server()
        .object("/m/module.so", needs("libx.so").runpath("/l"))
        .object("/l/tls/libx.so", library())
        .object("/l/x86_64/libx.so", library())
        .object("/l/libx.so", library());
    assert_eq!(server.clone().libc(Libc::Glibc(2, 36)).open("/m/module.so")[1], "/l/tls/libx.so");
    assert_eq!(server.libc(Libc::Glibc(2, 37)).open("/m/module.so")[1], "/l/libx.so");
}
