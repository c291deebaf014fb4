//! What a build script says, to Cargo when it succeeds and to the user when it cannot.

mod support;

use pgsym_build::Extension;
use support::Package;

const MODULE: &str = "const void *Pg_magic_func(void);\nconst void *Pg_magic_func(void) { return 0; }\n\
    long f(void);\nlong f(void) { return 1; }\n\
    const void *pg_finfo_f(void);\nconst void *pg_finfo_f(void) { return 0; }\n\
    int helper(void);\nint helper(void) { return 2; }\n";

/// Not a test: the script that the tests run in a process of its own.
#[test]
#[expect(
    clippy::print_stdout,
    reason = "a build script's lines begin where the test harness has not written yet"
)]
fn the_build_script() {
    let Some(script) = support::script_of_this_process() else { return };
    println!();
    let mut extension = Extension::new();
    extension.file("shim.c");
    match script.as_str() {
        "plain" => {}
        "strict" => _ = extension.rust_export("in_rust"),
        "map" => _ = extension.map_path("pg_exports.map"),
        "map-nowhere" => _ = extension.map_path("no/such/directory/pg_exports.map"),
        "typing-error" => _ = extension.export("Helper"),
        "helper" => _ = extension.export("helper").strict(false),
        "hide" => _ = extension.hide("no_such"),
        "sql" => _ = extension.sql_dir("extension"),
        "part" => _ = extension.part_of_module(true),
        "dependency" => _ = extension.dependency("other-part"),
        other => panic!("no script {other}"),
    }
    extension.emit();
}

fn package(test: &str) -> Package {
    let package = Package::new(test, 15);
    package.file("shim.c", MODULE);
    package
}

/// Asserts that each part is in the text.
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn a_module_is_linked_with_forced_names_and_a_map() {
    let package = package("plain");
    let out = package.path("out");
    let map = format!("-Wl,--version-script={}/pg_exports.map", out.display());
    assert_eq!(
        package.lines("plain", "rustc-cdylib-link-arg"),
        ["-Wl,-u,Pg_magic_func", "-Wl,-u,f", "-Wl,-u,pg_finfo_f", map.as_str()]
    );
    let text = "{\n  global:\n    Pg_magic_func;\n    f;\n    pg_finfo_f;\n};\n";
    assert_eq!(package.read("out/pg_exports.map"), text);
    assert_eq!(package.read("out/pgsym_link.map"), text);
}

#[test]
fn nothing_but_the_cdylib_gets_link_arguments() {
    let said = package("only-cdylib").run("plain");
    assert!(said.cargo.iter().all(|line| !line.starts_with("cargo::rustc-link-arg")), "{said:#?}");
}

#[test]
fn the_script_runs_again_for_sources_headers_and_the_choice_of_server() {
    let package = package("rerun");
    package.file("shim.c", &format!("#include \"own.h\"\n{MODULE}")).file("own.h", "\n");
    let files = package.lines("plain", "rerun-if-changed");
    for file in ["shim.c", "own.h", "build.rs"] {
        assert!(files.iter().any(|known| known == file), "{file} is not in {files:?}");
    }
    let variables = package.lines("plain", "rerun-if-env-changed");
    assert!(variables.contains(&"PG_CONFIG".to_owned()), "{variables:?}");
}

#[test]
fn rust_names_are_in_the_list_and_not_forced() {
    let package = package("strict");
    let arguments = package.lines("strict", "rustc-cdylib-link-arg");
    assert!(arguments.iter().all(|argument| !argument.contains("in_rust")), "{arguments:?}");
    assert_says(&package.read("out/pg_exports.map"), &["    in_rust;\n"]);
    assert!(!package.read("out/pgsym_link.map").contains("in_rust"));
    let variables = package.lines("strict", "rustc-env");
    assert!(variables.contains(&"PGSYM_EXPORTS_STRICT=1".to_owned()), "{variables:?}");
}

#[test]
fn requested_names_are_exported() {
    let package = package("helper");
    let variables = package.lines("helper", "rustc-env");
    assert!(variables.contains(&"PGSYM_EXPORTS_STRICT=0".to_owned()), "{variables:?}");
    assert_says(&package.read("out/pg_exports.map"), &["    helper;\n"]);
}

#[test]
fn hiding_what_nothing_defines_is_an_error() {
    let words = package("hide").fail("hide");
    assert_says(&words, &["no_such is to be hidden, but no compiled object defines it"]);
}

#[test]
fn from_sixteen_on_only_marked_symbols_can_be_exported() {
    let package = Package::new("hidden", 16);
    package.file("shim.c", MODULE);
    assert_says(&package.fail("plain"), &["Pg_magic_func has hidden visibility in shim.c", "PGDLLEXPORT"]);
    // As PG_MODULE_MAGIC and PG_FUNCTION_INFO_V1 mark their functions.
    let marked = format!("#pragma GCC visibility push(default)\n{MODULE}#pragma GCC visibility pop\n");
    package.file("shim.c", &marked);
    assert_eq!(package.lines("plain", "rustc-cdylib-link-arg").len(), 4);
}

#[test]
fn the_checked_in_map_is_kept_equal() {
    let mut package = package("map");
    assert!(package.run("map").is_success);
    assert_eq!(package.read("pg_exports.map"), package.read("out/pg_exports.map"));
    package.file("pg_exports.map", "{ global: old; };\n");
    package.set("PGSYM_MAP", "check");
    assert_says(&package.fail("map"), &["pg_exports.map does not hold the module's exports"]);
    assert_eq!(package.read("pg_exports.map"), "{ global: old; };\n");
    package.unset("PGSYM_MAP");
    assert!(package.run("map").is_success);
    package.set("PGSYM_MAP", "check");
    assert!(package.run("map").is_success);
}

#[test]
fn a_map_that_cannot_be_written_is_an_error() {
    let words = package("map-nowhere").fail("map-nowhere");
    assert_says(&words, &["cannot write the list of exports to", "no/such/directory/pg_exports.map"]);
}

#[test]
fn an_undefined_name_is_an_error_with_what_was_probably_meant() {
    let words = package("typing-error").fail("typing-error");
    assert_says(&words, &["Helper is to be exported, but no compiled object defines it (there is helper)"]);
}

#[test]
fn an_sql_function_without_its_symbol_is_an_error_with_script_and_line() {
    let package = package("sql");
    package.file("extension/x--1.sql", "CREATE FUNCTION f() RETURNS int AS 'MODULE_PATHNAME' LANGUAGE C;\n");
    assert!(package.run("sql").is_success);
    package.file(
        "extension/x--1--2.sql",
        "-- 2\nCREATE FUNCTION g() RETURNS int AS 'MODULE_PATHNAME', 'helper' LANGUAGE C;\n\
         CREATE FUNCTION h() RETURNS int AS 'MODULE_PATHNAME' LANGUAGE C;\n",
    );
    let words = package.fail("sql");
    assert_says(
        &words,
        &[
            "extension/x--1--2.sql:2 declares the C function helper, which no",
            "extension/x--1--2.sql:3 declares the C function h, which no compiled object defines",
        ],
    );
}

#[test]
fn no_pg_config_tells_what_was_searched_and_what_to_install() {
    let mut package = package("no-pg-config");
    package.unset("PG_CONFIG").set("PATH", "/nonexistent").set("HOME", "/nonexistent");
    assert_says(&package.fail("plain"), &["no pg_config was found; searched PG_CONFIG (not set)", "install"]);
    package.set("PG_CONFIG", "/nonexistent/pg_config");
    assert_says(&package.fail("plain"), &["cannot run /nonexistent/pg_config: No such file"]);
}

#[test]
fn a_pg_config_that_prints_rubbish_or_fails_is_an_error() {
    let mut package = package("rubbish");
    let rubbish = package.program("rubbish", "#!/bin/sh\nhead -c 100000 /dev/urandom\n");
    package.set("PG_CONFIG", &rubbish);
    assert_says(&package.fail("plain"), &["rubbish does not answer as pg_config does: there is no VERSION"]);
    let failing = package.program("failing", "#!/bin/sh\necho 'You need to install x' >&2\nexit 1\n");
    package.set("PG_CONFIG", &failing);
    assert_says(&package.fail("plain"), &["failing failed (exit status: 1): You need to install x"]);
}

#[test]
fn missing_headers_name_the_package_to_install() {
    let mut package = package("headers");
    let text = "#!/bin/sh\necho 'VERSION = PostgreSQL 17.2'\necho 'INCLUDEDIR-SERVER = /nonexistent'\n";
    let pg_config = package.program("no-headers", text);
    package.set("PG_CONFIG", &pg_config);
    assert_says(
        &package.fail("plain"),
        &["/nonexistent, where there is no postgres.h", "postgresql-server-dev-17"],
    );
}

#[test]
fn the_compilers_words_are_shown() {
    let package = package("c-error");
    package.file("shim.c", "int f(void) { return no_such_name; }\n");
    let words = package.fail("plain");
    assert_says(&words, &["cannot compile the C part", "shim.c:1:", "no_such_name"]);
    assert!(!words.contains("ToolExecError"), "{words}");
}

#[test]
fn a_compiler_that_is_not_there_is_one_sentence_with_the_way_out() {
    let mut package = package("no-compiler");
    package.set("CC", "/nonexistent/cc");
    let words = package.fail("plain");
    assert_says(
        &words,
        &[
            "pgsym-build: cannot compile the C part of the module: failed to find tool \"/nonexistent/cc\": No such file or \
             directory; install a compiler, or name the one to take with CC (for C++ with CXX)\n",
        ],
    );
    assert_eq!(words.matches("nonexistent").count(), 1, "{words}");
    package.set("TARGET", "aarch64-unknown-linux-gnu").set("CARGO_CFG_TARGET_ARCH", "aarch64");
    assert_says(
        &package.fail("plain"),
        &["for aarch64-unknown-linux-gnu, or name the one to take with CC_aarch64_unknown_linux_gnu"],
    );
}

#[test]
fn the_compilers_warnings_are_passed_on() {
    let package = package("c-warning");
    package.file("shim.c", &format!("#warning look here\n{MODULE}"));
    assert_says(&package.lines("plain", "warning").join("\n"), &["look here"]);
}

#[test]
fn an_object_of_another_architecture_is_refused() {
    let mut package = package("architecture");
    package.set("CARGO_CFG_TARGET_ARCH", "aarch64");
    assert_says(
        &package.fail("plain"),
        &["shim.c is ELF for x86_64 (64-bit, little endian), but the target is"],
    );
}

#[test]
fn lto_objects_are_refused_before_they_lose_symbols() {
    let mut package = package("c-lto");
    package.set("CFLAGS", "-flto");
    assert_says(&package.fail("plain"), &["-flto", "symbols are not there yet"]);
}

#[test]
fn gnu_ld_without_another_linker_fails_with_three_remedies() {
    let mut package = package("bfd");
    let sysroot = package.path("sysroot").display().to_string();
    let linker = package.program("ld-driver", "#!/bin/sh\necho 'GNU ld (GNU Binutils) 2.40'\n");
    let rustc = package.program(
        "rustc",
        &format!(
            "#!/bin/sh\ncase \"$*\" in *sysroot*) echo '{sysroot}';; *) echo '\"{linker}\" \"-m64\"';; esac\n"
        ),
    );
    package.set("RUSTC", &rustc).unset("PGSYM_LINKER");
    let words = package.fail("plain");
    assert_says(&words, &["linked with GNU ld", "gcc-ld has no ld.lld", "  1. ", "  2. ", "  3. "]);
    package.set("PGSYM_LINKER", "ld");
    assert_says(&package.fail("plain"), &["PGSYM_LINKER is \"ld\": it must be lld, mold, gold or bfd"]);
}

/// aarch64 Linux has GNU ld by default, and rustc's lld for the host links for every target.
#[test]
fn cross_compiling_takes_the_hosts_lld_instead_of_the_targets_gnu_ld() {
    let mut package = package("cross");
    let sysroot = package.path("sysroot").display().to_string();
    package.file("sysroot/lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld/ld.lld", "");
    let answers =
        "case \"$*\" in *-fuse-ld=lld*) echo 'LLD 22.1.2';; *) echo 'GNU ld (GNU Binutils) 2.40';; esac";
    let driver = package.program("aarch64-linux-gnu-gcc", &format!("#!/bin/sh\n{answers}\n"));
    let rustc = package.program(
        "rustc",
        &format!(
            "#!/bin/sh\ncase \"$*\" in *sysroot*) echo '{sysroot}';; *) echo '\"{driver}\" \"a.o\"';; esac\n"
        ),
    );
    package.set("RUSTC", &rustc).unset("PGSYM_LINKER");
    package.set("TARGET", "aarch64-unknown-linux-gnu").set("CARGO_CFG_TARGET_ARCH", "aarch64");
    package.set("CC_aarch64_unknown_linux_gnu", "clang");
    let arguments = package.lines("plain", "rustc-cdylib-link-arg");
    let directory = format!("-B{sysroot}/lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld");
    assert_eq!(arguments[..3], [directory.as_str(), "-fuse-ld=lld", "-Wl,-u,Pg_magic_func"]);
}

#[test]
fn a_part_of_a_module_hands_its_names_on() {
    let mut package = package("part");
    assert_says(&package.fail("part"), &["`links` key"]);
    package.set("CARGO_MANIFEST_LINKS", "other-part");
    let list = package.path("out/pgsym_link.map").display().to_string();
    assert_eq!(package.lines("part", "metadata"), [format!("pgsym_exports={list}")]);
    assert_eq!(package.lines("part", "rustc-cdylib-link-arg"), [] as [&str; 0]);

    let mut user = Package::new("part-user", 15);
    user.file("shim.c", "long g(void);\nlong g(void) { return 1; }\nvoid *pg_finfo_g(void);\nvoid *pg_finfo_g(void) { return 0; }\n");
    assert_says(&user.fail("dependency"), &["DEP_OTHER_PART_PGSYM_EXPORTS is not set"]);
    user.set("DEP_OTHER_PART_PGSYM_EXPORTS", &list);
    let arguments = user.lines("dependency", "rustc-cdylib-link-arg");
    assert_eq!(arguments[..2], ["-Wl,-u,Pg_magic_func", "-Wl,-u,f"]);
}

#[test]
fn outside_a_build_script_the_missing_variable_is_named() {
    let mut package = package("outside");
    package.unset("TARGET");
    assert_says(&package.fail("plain"), &["TARGET is not set: Extension::emit works in a build script"]);
}

#[test]
fn an_unknown_target_is_refused() {
    let mut package = package("windows");
    package.set("CARGO_CFG_TARGET_OS", "windows").set("TARGET", "x86_64-pc-windows-msvc");
    assert_says(&package.fail("plain"), &["cannot make a PostgreSQL module for x86_64-pc-windows-msvc"]);
}
