//! The tree in `testdata/demo`: a small installation with one of each common fault, so that a newcomer's first
//! audit has something to say; and in `testdata/builds` an old and a new build of one extension, to compare. Every
//! binary is described here and built without a compiler, which makes the trees the same bytes on every machine.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use pgsym_testkit::{Bind, Machine, Magic, SharedObject, Stack, TextRelocations};

use crate::support::{Outcome, workspace};

/// What to do with the demo tree.
#[derive(Args)]
pub(crate) struct Options {
    /// Change nothing; end with exit status 1 when the tree is not what this command would write
    #[arg(long)]
    check: bool,
}

/// Writes or checks the trees.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let outcomes =
        [run_one(options, "testdata/demo", &files())?, run_one(options, "testdata/builds", &builds())?];
    Ok(if outcomes.contains(&Outcome::Bad) { Outcome::Bad } else { Outcome::Good })
}

fn run_one(options: &Options, name: &str, wanted: &BTreeMap<PathBuf, Vec<u8>>) -> Result<Outcome> {
    let root = workspace().join(name);
    let present = read_tree(&root)?;
    if present == *wanted {
        return Ok(Outcome::Good);
    }
    if options.check {
        for path in wanted.keys().chain(present.keys()) {
            if wanted.get(path) != present.get(path) {
                println!("{name}/{} is not up to date: run `cargo xtask demo`", path.display());
            }
        }
        return Ok(Outcome::Bad);
    }
    if root.exists() {
        std::fs::remove_dir_all(&root).context("cannot remove the old demo tree")?;
    }
    for (path, bytes) in wanted {
        let place = root.join(path);
        let parent = place.parent().unwrap_or(&root);
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        std::fs::write(&place, bytes).with_context(|| format!("cannot write {}", place.display()))?;
        let mode = if path.ends_with("bin/postgres") { 0o755 } else { 0o644 };
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(mode))?;
    }
    println!("wrote {name}: {} files", wanted.len());
    Ok(Outcome::Good)
}

fn read_tree(root: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    if !root.exists() {
        return Ok(found);
    }
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.context("cannot read the demo tree")?;
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(root)?.to_owned();
            found.insert(path, std::fs::read(entry.path())?);
        }
    }
    Ok(found)
}

/// A module for PostgreSQL 15 without a fault: the others each change one thing.
fn module(function: &str) -> SharedObject {
    for_major(15, function)
}

fn for_major(major: u32, function: &str) -> SharedObject {
    SharedObject::new().bind(Bind::Now).magic(Magic::pg(major)).import("palloc").pg_function(function)
}

/// Two builds of one extension in an installation of its own: what the new one changes is what a packager should hear of.
fn builds() -> BTreeMap<PathBuf, Vec<u8>> {
    let server = SharedObject::new()
        .kind(pgsym_testkit::Kind::PieExecutable)
        .interp("/lib64/ld-linux-x86-64.so.2")
        .bind(Bind::Now)
        .export("palloc")
        .server("15.18", &Magic::pg(15));
    let old = module("add_one").pg_function("add_two").export("geo_version");
    let new = module("add_one").pg_function("add_many").needed("libacme-geo.so.1").runpath("$ORIGIN");
    let library = SharedObject::new().soname("libacme-geo.so.1").bind(Bind::Now).export("acme_geocode");
    let create = |name: &str| {
        format!(
            "CREATE FUNCTION {name}(integer) RETURNS integer\n    AS 'MODULE_PATHNAME' LANGUAGE c STRICT;\n"
        )
    };
    let control = |version: &str| {
        format!("default_version = '{version}'\nmodule_pathname = '$libdir/geo'\nrelocatable = true\n")
    };
    let old_script = create("add_one") + &create("add_two");
    let new_script = create("add_one") + &create("add_many");
    let update = "DROP FUNCTION add_two(integer);\n".to_owned() + &create("add_many");
    let mut files = BTreeMap::new();
    let mut add = |path: &str, bytes: Vec<u8>| files.insert(PathBuf::from(path), bytes);
    for build in ["old", "new"] {
        add(&format!("{build}/bin/postgres"), server.build());
        add(&format!("{build}/lib/plpgsql.so"), module("plpgsql_call_handler").build());
        add(&format!("{build}/share/postgres.bki"), b"# stands for the server's own files\n".to_vec());
        add(&format!("{build}/share/extension/geo--1.0.sql"), old_script.clone().into_bytes());
    }
    add("old/lib/geo.so", old.build());
    add("old/share/extension/geo.control", control("1.0").into_bytes());
    add("new/lib/geo.so", new.build());
    add("new/lib/libacme-geo.so.1", library.build());
    add("new/share/extension/geo.control", control("1.1").into_bytes());
    add("new/share/extension/geo--1.0--1.1.sql", update.into_bytes());
    add("new/share/extension/geo--1.1.sql", new_script.into_bytes());
    files
}

/// Every file of the tree.
fn files() -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut add = |path: &str, bytes: Vec<u8>| files.insert(PathBuf::from(path), bytes);
    for (path, object) in server().into_iter().chain(modules()) {
        add(path, object.build());
    }
    // A copy that was cut off, and what a development package has in the place of a library.
    add("lib/truncated.so", module("cut").build()[..200].to_vec());
    add("lib/empty.so", Vec::new());
    add("lib/libscript.so", b"/* GNU ld script */\nINPUT(libscript.so.1)\n".to_vec());
    for (path, text) in extensions() {
        add(&path, text.into_bytes());
    }
    files
}

/// The server: as much of it as modules can see.
fn server() -> Vec<(&'static str, SharedObject)> {
    let exports =
        ["palloc", "pfree", "errstart", "errfinish", "errmsg", "DefineCustomIntVariable", "text_to_cstring"];
    let postgres = exports.iter().fold(
        SharedObject::new()
            .kind(pgsym_testkit::Kind::PieExecutable)
            .interp("/lib64/ld-linux-x86-64.so.2")
            .bind(Bind::Now)
            .needed("libssl.so.3")
            .runpath("$ORIGIN/../lib/private")
            .import_versioned("SSL_new", "libssl.so.3", "OPENSSL_3.0.0")
            .server("15.18", &Magic::pg(15)),
        |server, name| server.export(*name),
    );
    let libssl = SharedObject::new()
        .soname("libssl.so.3")
        .bind(Bind::Now)
        .version_definition("OPENSSL_3.0.0", &[])
        .export_versioned("SSL_new", "OPENSSL_3.0.0", pgsym_testkit::VersionDefault::Default)
        .export_versioned("SSL_free", "OPENSSL_3.0.0", pgsym_testkit::VersionDefault::Default);
    vec![("bin/postgres", postgres), ("lib/private/libssl.so.3", libssl)]
}

/// The modules: what each gets wrong is its name.
fn modules() -> Vec<(&'static str, SharedObject)> {
    let bundled_ssl = SharedObject::new()
        .soname("libssl-9ad06800.so.1.1")
        .bind(Bind::Now)
        .export("SSL_new")
        .export("SSL_free");
    vec![
        ("lib/plpgsql.so", module("plpgsql_call_handler")),
        ("lib/healthy.so", module("healthy_add")),
        ("lib/missing_library.so", module("geocode").needed("libacme-geo.so.1").import("acme_geocode")),
        (
            "lib/wrong_machine_library.so",
            module("scale").needed("libpixel.so.2").runpath("$ORIGIN/pixel.libs"),
        ),
        ("lib/pixel.libs/libpixel.so.2", SharedObject::for_machine(Machine::Aarch64).soname("libpixel.so.2")),
        (
            "lib/wrong_machine.so",
            SharedObject::for_machine(Machine::Aarch64).magic(Magic::pg(15)).bind(Bind::Now),
        ),
        ("lib/other_major.so", for_major(14, "old")),
        ("lib/no_magic.so", SharedObject::new().bind(Bind::Now).pg_function("plain")),
        ("lib/misspelt_import.so", module("greet").import("text_to_cstrnig")),
        ("lib/hidden_function.so", module("seen").pg_finfo("hidden_sum", 1).local_function("hidden_sum")),
        ("lib/build_path.so", module("built").runpath("/home/ci/build/deps/lib:$ORIGIN")),
        ("lib/empty_path_element.so", module("empty").runpath("$ORIGIN/pixel.libs::")),
        ("lib/executable_stack.so", module("trampoline").stack(Stack::Executable)),
        ("lib/text_relocations.so", module("fixed").text_relocations(TextRelocations::Tagged)),
        (
            "lib/bundled_openssl.so",
            module("fetch_url")
                .needed("libssl-9ad06800.so.1.1")
                .runpath("$ORIGIN/fetch.libs")
                .import("SSL_new"),
        ),
        ("lib/fetch.libs/libssl-9ad06800.so.1.1", bundled_ssl),
    ]
}

/// Control files and scripts: one extension for each module, and what extensions get wrong by themselves.
fn extensions() -> Vec<(String, String)> {
    let control = |module: &str| {
        format!(
            "comment = 'demo'\ndefault_version = '1.0'\nmodule_pathname = '$libdir/{module}'\nrelocatable = true\n"
        )
    };
    let function = |name: &str| {
        format!(
            "CREATE FUNCTION {name}(integer) RETURNS integer\n    AS 'MODULE_PATHNAME', '{name}' LANGUAGE c STRICT;\n"
        )
    };
    let mut files =
        vec![("share/postgres.bki".to_owned(), "# stands for the server's own files\n".to_owned())];
    let mut add = |name: &str, module: &str, version: &str, script: String| {
        files.push((format!("share/extension/{name}.control"), control(module)));
        files.push((format!("share/extension/{name}--{version}.sql"), script));
    };
    for (name, declared) in [
        ("plpgsql", "plpgsql_call_handler"),
        ("healthy", "healthy_add"),
        ("missing_library", "geocode"),
        ("wrong_machine_library", "scale"),
        ("other_major", "old"),
        ("no_magic", "plain"),
        ("misspelt_import", "greet"),
        ("build_path", "built"),
        ("empty_path_element", "empty"),
        ("executable_stack", "trampoline"),
        ("text_relocations", "fixed"),
        ("bundled_openssl", "fetch_url"),
    ] {
        add(name, name, "1.0", function(declared));
    }
    // The script asks for a function that its module does not export.
    add("hidden_function", "hidden_function", "1.0", function("seen") + &function("hidden_sum"));
    // There is no script that leads to the default version.
    add("no_script", "healthy", "0.9", function("healthy_add"));
    files
}
