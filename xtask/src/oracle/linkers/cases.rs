//! The crates of the linker oracle: what people write, in its kinds, and what the module must export in each.

/// A crate to build.
pub(crate) struct Case {
    /// Its name, also the directory's.
    pub(crate) name: &'static str,
    /// The library target with the module.
    pub(crate) library: &'static str,
    /// The manifest to build, relative to the directory.
    pub(crate) manifest: &'static str,
    /// Path and text of each file; `PGSYM_BUILD` stands for the path of pgsym-build.
    pub(crate) files: Vec<(&'static str, String)>,
    /// Whether to build with `--release`.
    pub(crate) is_release: bool,
    /// Whether no C symbol has to be forced, so that any linker will do.
    pub(crate) forces_nothing: bool,
    /// The mark of the linker that the crate itself chooses, by the name of the one the oracle does.
    pub(crate) own_mark: fn(&str) -> Option<&'static str>,
    /// What must come out, by the linker's name.
    pub(crate) expected: fn(&str) -> Expected,
}

impl Case {
    /// The words for cargo: a command, and the profile.
    pub(crate) fn cargo(&self, command: &'static str) -> Vec<&'static str> {
        if self.is_release { vec![command, "--release"] } else { vec![command] }
    }
}

/// What must come out of a case.
pub(crate) enum Expected {
    /// The module exports exactly these names, sorted.
    Exports(&'static [&'static str]),
    /// The build fails with these words.
    Fails(&'static str),
    /// The build succeeds, and verification says that all of these are missing.
    Loses(&'static [&'static str]),
}

const MAGIC: &str = "#include \"postgres.h\"\n#include \"fmgr.h\"\nPG_MODULE_MAGIC;\n";
const HEADERS: &str = "#include \"postgres.h\"\n#include \"fmgr.h\"\n";

/// A C function `name` that calls the server and a Rust function.
fn c_function(name: &str) -> String {
    format!(
        "extern int rust_twice(int value);\n\
         PG_FUNCTION_INFO_V1({name});\n\
         Datum {name}(PG_FUNCTION_ARGS)\n{{\n\
         \tif (PG_ARGISNULL(0))\n\t\telog(ERROR, \"null\");\n\
         \tPG_RETURN_INT32(rust_twice(PG_GETARG_INT32(0)));\n}}\n"
    )
}

/// A Rust library with what C calls, std included, and a test.
const RUST: &str = "use std::cell::Cell;\n\
    thread_local! { static CALLS: Cell<Option<String>> = const { Cell::new(None) }; }\n\
    #[unsafe(no_mangle)]\n\
    pub extern \"C\" fn rust_twice(value: i32) -> i32 {\n    \
        CALLS.with(|calls| calls.set(Some(format!(\"{:?}\", std::thread::current().id()))));\n    \
        value.wrapping_mul(2)\n}\n\
    #[cfg(test)]\nmod tests {\n    #[test]\n    fn twice() {\n        \
        assert_eq!(super::rust_twice(21), 42);\n    }\n}\n";

/// A manifest with pgsym-build, and more sections behind it.
fn manifest(name: &str, more: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
         [lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n\n[workspace]\n\n\
         [build-dependencies]\npgsym-build = {{ path = \"PGSYM_BUILD\" }}\n\n{more}"
    )
}

/// A build script.
fn script(calls: &str) -> String {
    format!(
        "fn main() {{\n    pgsym_build::Extension::new(){calls}.rust_export(\"rust_twice\").emit();\n}}\n"
    )
}

/// A case of one package.
fn case(
    name: &'static str,
    more_manifest: &str,
    build_script: String,
    sources: Vec<(&'static str, String)>,
    expected: fn(&str) -> Expected,
) -> Case {
    let mut files = vec![
        ("Cargo.toml", manifest(name, more_manifest)),
        ("build.rs", build_script),
        ("src/lib.rs", RUST.to_owned()),
    ];
    files.extend(sources);
    let (library, manifest) = (name, "Cargo.toml");
    Case {
        name,
        library,
        manifest,
        files,
        is_release: false,
        forces_nothing: false,
        own_mark: |_| None,
        expected,
    }
}

fn one_function() -> Vec<(&'static str, String)> {
    vec![("src/shim.c", format!("{MAGIC}{}", c_function("one")))]
}

fn one_exported(_: &str) -> Expected {
    Expected::Exports(&["Pg_magic_func", "one", "pg_finfo_one", "rust_twice"])
}

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let shim = || script(".file(\"src/shim.c\")");
    vec![
        case("one-c", "", shim(), one_function(), one_exported),
        proven_by_its_own_test(),
        case(
            "several-c",
            "",
            script(".files([\"src/magic.c\", \"src/a.c\", \"src/b.c\"]).export(\"worker_main\").hide(\"b\").hide(\"pg_finfo_b\")"),
            vec![
                ("src/magic.c", format!("{MAGIC}void _PG_init(void);\nvoid _PG_init(void) {{}}\n")),
                ("src/a.c", format!("{HEADERS}{}int helper_of_a(void);\nint helper_of_a(void) {{ return 1; }}\n", c_function("a"))),
                ("src/b.c", format!("{HEADERS}{}PGDLLEXPORT void worker_main(Datum arg);\nvoid worker_main(Datum arg) {{ (void) arg; }}\n", c_function("b"))),
            ],
            |_| Expected::Exports(&["Pg_magic_func", "_PG_init", "a", "pg_finfo_a", "rust_twice", "worker_main"]),
        ),
        case(
            "cpp",
            "",
            script(".file(\"src/magic.c\").file(\"src/shim.cpp\")"),
            vec![
                ("src/magic.c", MAGIC.to_owned()),
                ("src/shim.cpp", CPP.to_owned()),
            ],
            |_| Expected::Exports(&["Pg_magic_func", "cpp_length", "pg_finfo_cpp_length", "rust_twice"]),
        ),
        release(case("lto", "[profile.release]\nlto = \"fat\"\ncodegen-units = 1\n", shim(), one_function(), one_exported)),
        release(case("strip", "[profile.release]\nstrip = \"symbols\"\n", shim(), one_function(), one_exported)),
        release(case("panic-abort", "[profile.release]\npanic = \"abort\"\n", shim(), one_function(), one_exported)),
        case(
            "from-cc",
            "cc = \"1\"\n",
            "fn main() {\n    let mut build = cc::Build::new();\n    build.file(\"src/shim.c\").define(\"SHIM\", None);\n    \
             pgsym_build::Extension::from_cc(build, \"shim\").rust_export(\"rust_twice\").emit();\n}\n"
                .to_owned(),
            vec![("src/shim.c", format!("#ifdef SHIM\n{MAGIC}{}#endif\n", c_function("one")))],
            one_exported,
        ),
        Case {
            // RUSTFLAGS in the environment go before those of the configuration; the driver stays.
            own_mark: |linker| (linker == "default").then_some("gold "),
            ..case(
                "cargo-config",
                "",
                shim(),
                [one_function(), vec![(".cargo/config.toml", GOLD_BY_CONFIGURATION.to_owned())]].concat(),
                one_exported,
            )
        },
        Case {
            own_mark: |_| Some("mold "),
            ..case(
                "linker-wrapper",
                "",
                shim(),
                [
                    one_function(),
                    vec![
                        (".cargo/config.toml", "[target.'cfg(unix)']\nlinker = \"./driver\"\n".to_owned()),
                        ("driver", "#!/bin/sh\nexec cc \"$@\" -fuse-ld=mold\n".to_owned()),
                    ],
                ]
                .concat(),
                one_exported,
            )
        },
        dependency_with_the_shim(),
        Case {
            forces_nothing: true,
            ..case(
                "no-c",
                "",
                "fn main() {\n    pgsym_build::Extension::new().rust_export(\"rust_twice\").rust_export(\"Pg_magic_func\").emit();\n}\n"
                    .to_owned(),
                vec![("src/lib.rs", format!("{RUST}{RUST_MAGIC}"))],
                |_| Expected::Exports(&["Pg_magic_func", "rust_twice"]),
            )
        },
        case(
            "no-mangle-beside-c",
            "",
            script(".file(\"src/shim.c\").rust_export(\"rust_sql\")"),
            vec![
                ("src/shim.c", format!("{MAGIC}{}PG_FUNCTION_INFO_V1(rust_sql);\n", c_function("one"))),
                (
                    "src/lib.rs",
                    format!("{RUST}#[unsafe(no_mangle)]\npub extern \"C\" fn rust_sql(_: *mut ()) -> usize {{ 1 }}\n"),
                ),
            ],
            |_| {
                Expected::Exports(&[
                    "Pg_magic_func",
                    "one",
                    "pg_finfo_one",
                    "pg_finfo_rust_sql",
                    "rust_sql",
                    "rust_twice",
                ])
            },
        ),
        case(
            "sql",
            "",
            script(".file(\"src/shim.c\").sql_dir(\"extension\")"),
            vec![
                ("src/shim.c", format!("{MAGIC}{}", c_function("one"))),
                ("extension/sql--1.sql", "CREATE FUNCTION one(int) RETURNS int AS 'MODULE_PATHNAME' LANGUAGE C;\n".to_owned()),
            ],
            one_exported,
        ),
        case(
            "sql-missing",
            "",
            script(".file(\"src/shim.c\").sql_dir(\"extension\")"),
            vec![
                ("src/shim.c", format!("{MAGIC}{}", c_function("one"))),
                ("extension/x--1.sql", "\nCREATE FUNCTION two(int) RETURNS int AS 'MODULE_PATHNAME' LANGUAGE C;\n".to_owned()),
            ],
            |_| Expected::Fails("extension/x--1.sql:2 declares the C function two, which no compiled object defines"),
        ),
        case("undefined", "", script(".file(\"src/shim.c\").export(\"no_such\")"), one_function(), |_| {
            Expected::Fails("no_such is to be exported, but no compiled object defines it")
        }),
        case("nothing", "", "fn main() {\n    pgsym_build::Extension::new().file(\"src/shim.c\").emit();\n}\n".to_owned(), vec![("src/shim.c", "int helper(void);\nint helper(void) { return 1; }\n".to_owned())], |_| {
            Expected::Fails("the compiled objects define nothing that PostgreSQL looks up")
        }),
        case("rust-undefined", "", script(".file(\"src/shim.c\").rust_export(\"no_such\")"), one_function(), |linker| match linker {
            // gold cannot be told; the module's own test, or `pgsym verify`, finds it.
            "gold" => Expected::Exports(&["Pg_magic_func", "one", "pg_finfo_one", "rust_twice"]),
            _ => Expected::Fails("no_such"),
        }),
        naive(),
    ]
}

fn release(case: Case) -> Case {
    Case { is_release: true, ..case }
}

/// The module's own test proves its exports, strictly.
fn proven_by_its_own_test() -> Case {
    let sources = vec![
        ("src/shim.c", format!("{MAGIC}{}", c_function("one"))),
        (
            "tests/exports.rs",
            "#[test]\nfn exports_are_there() {\n    let module = pgsym_build::testing::cdylib(\"proven\");\n    \
             pgsym_build::testing::assert_exports(module);\n}\n"
                .to_owned(),
        ),
    ];
    let script = script(".file(\"src/shim.c\").map_path(\"src/pg_exports.map\").strict(true)");
    let more = "[dev-dependencies]\npgsym-build = { path = \"PGSYM_BUILD\" }\n";
    case("proven", more, script, sources, one_exported)
}

const CPP: &str = "extern \"C\" {\n#include \"postgres.h\"\n#include \"fmgr.h\"\nextern int rust_twice(int value);\n\
    PG_FUNCTION_INFO_V1(cpp_length);\n}\n#include <string>\n#include <vector>\n\
    namespace { struct Words { std::vector<std::string> list; }; }\n\
    std::string exported_by_nobody(int value) { return std::to_string(value); }\n\
    extern \"C\" Datum cpp_length(PG_FUNCTION_ARGS)\n{\n\
    \tWords words;\n\twords.list.push_back(exported_by_nobody(PG_GETARG_INT32(0)));\n\
    \tPG_RETURN_INT32(rust_twice((int) words.list.front().size()));\n}\n";

const RUST_MAGIC: &str = "#[repr(C)]\npub struct Magic { len: i32, version: i32, rest: [i32; 4], abi: [u8; 32] }\n\
    #[unsafe(no_mangle)]\npub extern \"C\" fn Pg_magic_func() -> *const Magic {\n    \
    static MAGIC: Magic = Magic { len: 56, version: 1500, rest: [100, 32, 64, 1], \
    abi: *b\"PostgreSQL\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\" };\n    &MAGIC\n}\n";

const GOLD_BY_CONFIGURATION: &str =
    "[target.'cfg(unix)']\nlinker = \"clang\"\nrustflags = [\"-Clink-arg=-fuse-ld=gold\"]\n";

/// A workspace whose library crate brings the C code, and whose module crate has none.
fn dependency_with_the_shim() -> Case {
    let dependency = "[package]\nname = \"shim-part\"\nversion = \"0.0.0\"\nedition = \"2024\"\nlinks = \"shim-part\"\n\n\
        [build-dependencies]\npgsym-build = { path = \"PGSYM_BUILD\" }\n";
    let module = "[package]\nname = \"dependency\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
        [lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n\n[dependencies]\nshim-part = { path = \"../part\" }\n\n\
        [build-dependencies]\npgsym-build = { path = \"PGSYM_BUILD\" }\n";
    Case {
        name: "dependency",
        library: "dependency",
        manifest: "Cargo.toml",
        files: vec![
            ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"part\", \"module\"]\n".to_owned()),
            ("part/Cargo.toml", dependency.to_owned()),
            (
                "part/build.rs",
                "fn main() {\n    pgsym_build::Extension::new().file(\"src/shim.c\").part_of_module(true).emit();\n}\n".to_owned(),
            ),
            ("part/src/lib.rs", "//! Brings the C part of the module.\n".to_owned()),
            ("part/src/shim.c", format!("{MAGIC}{}", c_function("one"))),
            ("module/Cargo.toml", module.to_owned()),
            ("module/build.rs", script(".dependency(\"shim-part\")")),
            ("module/src/lib.rs", format!("use shim_part as _;\n{RUST}")),
        ],
        is_release: false,
        forces_nothing: false,
        own_mark: |_| None,
        expected: one_exported,
    }
}

/// What is usually recommended: a second version script from build.rs, and nothing else.
fn naive() -> Case {
    let script = "fn main() {\n    \
        let headers = std::process::Command::new(\"pg_config\").arg(\"--includedir-server\").output().unwrap();\n    \
        let headers = String::from_utf8(headers.stdout).unwrap();\n    \
        cc::Build::new().file(\"src/shim.c\").include(headers.trim()).flag(\"-fvisibility=default\").compile(\"shim\");\n    \
        let directory = std::env::var(\"CARGO_MANIFEST_DIR\").unwrap();\n    \
        println!(\"cargo:rustc-link-arg=-Wl,--version-script={directory}/src/pg_exports.map\");\n}\n";
    let map = "{\n    global:\n        Pg_magic_func;\n        one; pg_finfo_one;\n    local: *;\n};\n";
    let sources =
        vec![("src/shim.c", format!("{MAGIC}{}", c_function("one"))), ("src/pg_exports.map", map.to_owned())];
    case("naive-recipe", "cc = \"1\"\n", script.to_owned(), sources, |linker| match linker {
        "bfd" => Expected::Fails("anonymous version tag cannot be combined with other version tags"),
        "gold" => Expected::Fails("symbol not defined"),
        _ => Expected::Loses(&["Pg_magic_func", "one", "pg_finfo_one"]),
    })
}
