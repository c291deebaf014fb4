//! Where a dependency is looked for, and in which order (`_dl_map_object`, elf/dl-load.c): DT_RPATH along the chain of
//! loaders, LD_LIBRARY_PATH, the requester's DT_RUNPATH, the cache, the default directories.

use pgsym_core::resolve::Via;

use crate::support::{Server, library, needs, not_found, server};

/// A module that needs libmid.so, which needs libleaf.so; both in `/l`.
fn chain(module: impl FnOnce(pgsym_testkit::SharedObject) -> pgsym_testkit::SharedObject) -> Server {
    server()
        .object("/m/module.so", module(needs("libmid.so")))
        .object("/l/libmid.so", needs("libleaf.so"))
        .object("/l/libleaf.so", library())
}

#[test]
fn runpath_is_not_inherited_by_dependencies() {
    assert_eq!(chain(|module| module.runpath("/l")).refuse("/m/module.so"), not_found("libleaf.so"));
}

#[test]
fn rpath_is_inherited_by_dependencies() {
    let loaded = chain(|module| module.rpath("/l")).open("/m/module.so");
    assert_eq!(loaded, ["/m/module.so", "/l/libmid.so", "/l/libleaf.so"]);
}

#[test]
fn rpath_of_the_server_serves_modules() {
    let server = chain(|module| module).program(|program| program.rpath("/l"));
    assert_eq!(server.open("/m/module.so"), ["/m/module.so", "/l/libmid.so", "/l/libleaf.so"]);
}

#[test]
fn runpath_of_the_server_does_not() {
    let server = chain(|module| module).program(|program| program.runpath("/l"));
    assert_eq!(server.refuse("/m/module.so"), not_found("libmid.so"));
}

#[test]
fn an_object_with_both_tags_passes_on_nothing() {
    // Its DT_RPATH is void: for itself, where its DT_RUNPATH is searched instead, and for its dependencies.
    let server = chain(|module| module.rpath("/l").runpath("/r")).object("/r/libmid.so", needs("libleaf.so"));
    assert_eq!(server.refuse("/m/module.so"), not_found("libleaf.so"));
}

#[test]
fn a_runpath_shuts_out_every_inherited_rpath() {
    let server =
        chain(|module| module.rpath("/l")).object("/l/libmid.so", needs("libleaf.so").runpath("/nowhere"));
    assert_eq!(server.refuse("/m/module.so"), not_found("libleaf.so"));
}

#[test]
fn own_rpath_goes_before_that_of_the_loader_and_of_the_server() {
    let server = |own: bool, of_loader: bool| {
        let with = |object: pgsym_testkit::SharedObject, path, wanted| {
            if wanted { object.rpath(path) } else { object }
        };
        server()
            .program(|program| program.rpath("/s"))
            .object("/m/module.so", with(needs("libmid.so"), "/m", of_loader))
            .object("/m/libmid.so", with(needs("libleaf.so"), "/o", own))
            .object("/s/libmid.so", with(needs("libleaf.so"), "/o", own))
            .object("/o/libleaf.so", library())
            .object("/m/libleaf.so", library())
            .object("/s/libleaf.so", library())
    };
    let leaf = |server: &Server| server.open("/m/module.so").pop().unwrap();
    assert_eq!(leaf(&server(true, true)), "/o/libleaf.so");
    assert_eq!(leaf(&server(false, true)), "/m/libleaf.so");
    assert_eq!(leaf(&server(false, false)), "/s/libleaf.so");
}

#[test]
fn the_library_path_comes_behind_rpath_and_before_runpath() {
    let place = |module| {
        server()
            .library_path("/env")
            .object("/m/module.so", module)
            .object("/own/libx.so", library())
            .object("/env/libx.so", library())
    };
    assert_eq!(place(needs("libx.so").rpath("/own")).open("/m/module.so")[1], "/own/libx.so");
    assert_eq!(place(needs("libx.so").runpath("/own")).open("/m/module.so")[1], "/env/libx.so");
}

#[test]
fn the_cache_comes_behind_runpath_and_before_the_default_directories() {
    let with = |runpath: &str| {
        server()
            .cache(&[("libx.so.1", "/opt/lib/libx.so.1")])
            .object("/m/module.so", needs("libx.so.1").runpath(runpath))
            .object("/own/libx.so.1", library())
            .object("/opt/lib/libx.so.1", library())
            .object("/lib/x86_64-linux-gnu/libx.so.1", library())
    };
    assert_eq!(with("/own").open("/m/module.so")[1], "/own/libx.so.1");
    assert_eq!(with("/nowhere").open("/m/module.so")[1], "/opt/lib/libx.so.1");
}

#[test]
fn a_cache_entry_that_does_not_open_is_passed_over() {
    let server = server()
        .cache(&[("libx.so.1", "/opt/lib/libx.so.1")])
        .object("/m/module.so", needs("libx.so.1"))
        .object("/usr/lib/libx.so.1", library());
    assert_eq!(server.open("/m/module.so")[1], "/usr/lib/libx.so.1");
}

#[test]
fn default_directories_are_those_of_the_loader_in_its_order() {
    let all = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib"];
    for first in 0..all.len() {
        let server =
            all[first..].iter().fold(server().object("/m/module.so", needs("libx.so")), |server, at| {
                server.object(&format!("{at}/libx.so"), library())
            });
        assert_eq!(server.open("/m/module.so")[1], format!("{}/libx.so", all[first]));
    }
}

#[test]
fn nodeflib_keeps_an_object_from_default_directories_in_the_cache_too() {
    let module = || needs("libx.so.1").no_default_libraries();
    let server = |path: &str| {
        server()
            .cache(&[("libx.so.1", path)])
            .object("/m/module.so", module())
            .object("/usr/lib/libx.so.1", library())
            .object("/opt/lib/libx.so.1", library())
    };
    assert_eq!(server("/usr/lib/libx.so.1").refuse("/m/module.so"), not_found("libx.so.1"));
    assert_eq!(server("/opt/lib/libx.so.1").open("/m/module.so")[1], "/opt/lib/libx.so.1");
}

#[test]
fn ld_so_conf_is_for_ldconfig_alone() {
    let server = server()
        .file("/etc/ld.so.conf", b"/opt/lib\n")
        .object("/m/module.so", needs("libx.so"))
        .object("/opt/lib/libx.so", library());
    assert_eq!(server.refuse("/m/module.so"), not_found("libx.so"));
}

#[test]
fn a_name_with_a_slash_is_a_path_and_never_searched() {
    let server = server()
        .library_path("/env")
        .object("/m/module.so", needs("sub/libx.so").runpath("/m"))
        .object("/m/sub/libx.so", library())
        .object("/env/sub/libx.so", library());
    assert_eq!(server.refuse("/m/module.so"), not_found("sub/libx.so"));
    // Relative ones start at the current directory.
    let server = server.object("/run/sub/libx.so", library());
    assert_eq!(server.open("/m/module.so")[1], "sub/libx.so");
}

#[test]
fn tokens_in_a_needed_name_are_expanded() {
    let server = server()
        .object("/m/module.so", needs("$ORIGIN/private/libx.so"))
        .object("/m/private/libx.so", library());
    assert_eq!(server.open("/m/module.so")[1], "/m/private/libx.so");
}

#[test]
fn every_edge_tells_the_rule_and_every_place() {
    let process = chain(|module| module.rpath("/empty:/l")).tree(|files| files.directory("/empty")).start();
    let attempt = process.dlopen(std::path::Path::new("/m/module.so"));
    let root = attempt.root.unwrap();
    let edge = &attempt.process.object(root).unwrap().edges()[0];
    assert_eq!(edge.via, Some(Via::Rpath(root)));
    let places: Vec<String> = edge
        .searched
        .iter()
        .map(|probe| format!("{} {}: {}", probe.via.as_str(), probe.path.display(), probe.outcome))
        .collect();
    assert_eq!(places, ["rpath /empty/libmid.so: no such file", "rpath /l/libmid.so: found"]);
}
