//! Exit statuses, and what the program says to a question that it cannot answer.

use pgsym_testkit::{Bind, Magic, SharedObject, TreeBuilder};

use super::support::{faulty_tree, module, pgsym, pgsym_in, sound_tree};

/// A question without an answer: status 2, nothing on standard output, one line on standard error.
fn assert_refused(arguments: &[&str], says: &[&str]) {
    let run = pgsym(arguments);
    assert_eq!(run.status, 2, "{arguments:?}: {run:?}");
    assert_eq!(run.stdout, "", "{arguments:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{arguments:?}: {}", run.stderr);
    for words in says {
        assert!(run.stderr.contains(words), "{arguments:?}: {:?} is not in {}", words, run.stderr);
    }
}

#[test]
fn a_sound_tree_is_status_0() {
    let tree = sound_tree();
    let run = pgsym(["audit".as_ref(), tree.root().as_os_str()]);
    assert_eq!((run.status, &*run.stderr), (0, ""), "{}", run.stdout);
}

#[test]
fn an_error_in_the_tree_is_status_1() {
    let tree = faulty_tree();
    let run = pgsym(["audit".as_ref(), tree.root().as_os_str()]);
    assert_eq!((run.status, &*run.stderr), (1, ""));
    assert!(run.stdout.contains("libpgsym-test-nowhere.so.7"), "{}", run.stdout);
    assert!(run.stdout.contains("PGS101 missing-dependency"), "{}", run.stdout);
}

#[test]
fn the_threshold_decides_about_the_status() {
    let tree = faulty_tree();
    let status = |options: &[&str]| {
        let mut arguments = vec!["audit", tree.root().to_str().unwrap()];
        arguments.extend(options);
        pgsym(arguments).status
    };
    assert_eq!(status(&["--fail-on", "never"]), 0);
    assert_eq!(status(&["--severity", "missing-dependency=warning", "--only", "missing-dependency"]), 0);
    let warnings = ["--severity", "PGS101=warning", "--only", "PGS101", "--fail-on", "warning"];
    assert_eq!(status(&warnings), 1);
    let infos = ["--severity", "loader=info", "--only", "PGS101", "--fail-on", "info"];
    assert_eq!(status(&infos), 1);
}

#[test]
fn allowed_rules_are_counted_and_not_shown() {
    let tree = faulty_tree();
    let run =
        pgsym(["audit", tree.root().to_str().unwrap(), "--allow", "missing-dependency", "--format", "json"]);
    let document = run.json();
    assert_eq!(run.status, 0, "{}", run.stdout);
    assert_eq!(document["summary"]["suppressed"], 1);
    let codes: Vec<_> = document["findings"].as_array().unwrap().iter().map(|one| &one["code"]).collect();
    assert!(!codes.contains(&&"PGS101".into()), "{codes:?}");
}

#[test]
fn notes_are_counted_unless_they_are_asked_for() {
    let tree = faulty_tree();
    let text = |options: &[&str]| {
        let mut arguments =
            vec!["audit", tree.root().to_str().unwrap(), "--severity", "missing-dependency=info"];
        arguments.extend(options);
        pgsym(arguments).stdout
    };
    let words = ".dynamic[0] DT_NEEDED";
    let counted = text(&[]);
    assert!(counted.contains("info PGS101 missing-dependency (1)\n    faulty.so\n"), "{counted}");
    assert!(!counted.contains(words), "{counted}");
    assert!(text(&["--show", "info"]).contains(words));
    assert!(text(&["--fail-on", "info"]).contains(words));
    assert!(!text(&["--fail-on", "info", "--show", "error"]).contains(words));
}

#[test]
fn tree_is_status_1_where_a_dependency_is_missing() {
    let tree = faulty_tree();
    assert_eq!(pgsym(["tree".as_ref(), tree.path("lib/faulty.so").as_os_str()]).status, 1);
    assert_eq!(pgsym(["tree".as_ref(), tree.path("lib/sound.so").as_os_str()]).status, 0);
}

#[test]
fn a_path_that_does_not_exist_is_refused() {
    assert_refused(
        &["audit", "/nonexistent/lib"],
        &["/nonexistent/lib", "No such file or directory", "name a"],
    );
    assert_refused(&["tree", "/nonexistent/x.so"], &["/nonexistent/x.so"]);
    assert_refused(&["symbols", "/nonexistent/x.so"], &["/nonexistent/x.so"]);
    assert_refused(&["audit", "/", "--root", "/nonexistent"], &["/nonexistent", "No such file or directory"]);
    assert_refused(&["audit", "/etc", "--server", "/nonexistent"], &["no PostgreSQL server at /nonexistent"]);
    assert_refused(&["audit", ""], &["PATH", "value is required"]);
}

#[test]
fn a_bad_option_is_refused_in_one_line() {
    assert_refused(&["audit", "/", "--nonsense"], &["--nonsense"]);
    assert_refused(&["nonsense"], &["nonsense"]);
    assert_refused(&["audit"], &["PATH"]);
    assert_refused(&["audit", "/", "--libc", "uclibc"], &["uclibc", "musl"]);
    assert_refused(&["audit", "/", "--max-glibc", "two"], &["2.28"]);
    assert_refused(&["audit", "/", "--only", "PGS999"], &["PGS999", "pgsym rules"]);
    assert_refused(&["audit", "/", "--severity", "PGS101=fatal"], &["fatal"]);
    assert_refused(&["audit", "/", "--jobs", "0"], &["--jobs"]);
    assert_refused(&["audit", "/", "--cpu", "z80"], &["z80", "native"]);
    assert_refused(&["audit", "/", "--pg-version", "15,16"], &["--pg-version"]);
    assert_refused(&["symbols", "/x.so", "--match", "("], &["--match"]);
    assert_refused(&["explain", "PGS000"], &["PGS000", "pgsym rules"]);
    assert_refused(&["man", "nonsense"], &["nonsense"]);
}

#[test]
fn a_preload_that_the_server_would_refuse_is_refused() {
    let tree = faulty_tree()
        .object("lib/old.so", &SharedObject::new().bind(Bind::Now).magic(Magic::pg(14)))
        .object("lib/none.so", &SharedObject::new().bind(Bind::Now).export("f"));
    let root = tree.root().to_str().unwrap();
    let refused = |preload: &str, says: &str| {
        for command in ["audit", "load"] {
            assert_refused(&[command, root, "--preload", preload], &["--preload", says]);
        }
    };
    refused("faulty", "the server would not start: FATAL:  could not load library");
    refused("sound,faulty", "the server would not start: FATAL:  could not load library");
    refused("old", "version mismatch DETAIL:  Server is version 15, library is version 14.");
    refused("none", "missing magic block HINT:");
    refused("nosuch", "FATAL:  could not access file \"nosuch\": No such file or directory");
    refused("deep/nosuch", "data directory");
    refused("sound,", "invalid list syntax in parameter");
    for accepted in ["sound", " sound , \"plpgsql\" ", "$libdir/sound", "sound.so", ""] {
        let run = pgsym(["load", tree.path("lib/sound.so").to_str().unwrap(), "--preload", accepted]);
        assert_eq!((run.status, &*run.stderr), (0, ""), "{accepted}");
    }
}

#[test]
fn help_version_and_generated_pages_are_status_0() {
    for arguments in [&["--help"][..], &["--version"], &["audit", "--help"], &["man"], &["man", "audit"]] {
        let run = pgsym(arguments);
        assert_eq!((run.status, &*run.stderr), (0, ""), "{arguments:?}");
        assert!(run.stdout.contains("pgsym"), "{arguments:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let run = pgsym(["completions", shell]);
        assert_eq!(run.status, 0);
        assert!(run.stdout.contains("--fail-on") || run.stdout.contains("fail-on"), "{shell}");
    }
}

#[test]
fn every_rule_can_be_explained_by_code_and_by_name() {
    let list = pgsym(["rules", "--format", "json"]).json();
    let rules = list["rules"].as_array().unwrap().clone();
    assert!(!rules.is_empty());
    for rule in rules {
        let (code, name) = (rule["code"].as_str().unwrap(), rule["name"].as_str().unwrap());
        let by_code = pgsym(["explain", &code.to_lowercase()]);
        assert_eq!(by_code.status, 0, "{code}");
        assert!(by_code.stdout.starts_with(&format!("{code} {name} ")), "{}", by_code.stdout);
        assert_eq!(pgsym(["explain", name]), by_code);
    }
}

#[test]
fn a_named_file_that_is_no_binary_is_refused_after_the_others_were_answered() {
    let tree = sound_tree().file("notes.txt", "text");
    let arguments = [
        "symbols".into(),
        tree.path("lib/plpgsql.so").into_os_string(),
        tree.path("notes.txt").into_os_string(),
    ];
    let run = pgsym_in(tree.root(), arguments);
    assert_eq!(run.status, 2);
    assert!(run.stdout.contains("Pg_magic_func"), "{}", run.stdout);
    assert!(run.stderr.contains("notes.txt"), "{}", run.stderr);
}

#[test]
fn where_nothing_is_there_the_answer_says_so() {
    let tree = TreeBuilder::new().directory("empty").object("x/x.so", &module());
    for (command, stdout, stderr) in [
        ("audit", "no module, library or extension is there: nothing was checked", ""),
        ("functions", "no extension is there: nothing was looked for", ""),
        ("tree", "", "no binary is there: nothing was read"),
        ("symbols", "", "no binary is there: nothing was read"),
        ("inspect", "", "no binary is there: nothing was read"),
    ] {
        let run = pgsym_in(tree.root(), [command, "empty"]);
        assert_eq!((run.status, &*run.stderr), (0, &*line(stderr)), "{command}");
        assert!(run.stdout.ends_with(&line(stdout)), "{command}: {}", run.stdout);
        let quiet = pgsym_in(tree.root(), [command, "empty", "--quiet"]);
        assert_eq!((quiet.status, quiet.stdout, &*quiet.stderr), (0, run.stdout, ""), "{command}");
    }
    let module = pgsym_in(tree.root(), ["functions", "x"]);
    assert_eq!(module.stdout, "no extension is there: nothing was looked for\n");
}

fn line(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{text}\n") }
}

#[test]
fn a_file_that_is_no_binary_is_told_in_one_way() {
    let tree = TreeBuilder::new()
        .file("notes.txt", "only text, and long enough to hold the header of a binary file");
    for command in ["inspect", "symbols"] {
        let run = pgsym_in(tree.root(), [command, "notes.txt"]);
        assert_eq!(run.status, 2, "{command}");
        assert!(run.stderr.contains("the file is neither ELF nor Mach-O"), "{command}: {}", run.stderr);
    }
}

#[test]
fn why_says_who_defines_a_symbol_that_nobody_asks_for() {
    let tree = TreeBuilder::new()
        .object("lib/x.so", &module().needed("libdep.so.1").runpath("$ORIGIN/deps"))
        .object("lib/deps/libdep.so.1", &SharedObject::new().soname("libdep.so.1").export("dep_only"));
    let ask = |name: &str, format: &str| pgsym_in(tree.root(), ["why", name, "lib/x.so", "--format", format]);
    let own = ask("f", "text");
    assert_eq!(
        (own.status, &*own.stdout),
        (
            1,
            "f is defined by lib/x.so\n  no reference here: only dlsym finds it, as the server does for C functions\n"
        )
    );
    let of_dependency = ask("dep_only", "json");
    let symbols = &of_dependency.json()["symbols"];
    assert!(symbols[0]["path"].as_str().unwrap().ends_with("lib/deps/libdep.so.1"), "{symbols:#}");
    assert_eq!((symbols.as_array().unwrap().len(), symbols[0]["users"].as_array().unwrap().len()), (1, 0));
}

#[test]
fn why_is_status_1_where_nothing_asks() {
    let tree = faulty_tree();
    let root = tree.root().to_str().unwrap();
    let nothing = pgsym(["why", "libnobody.so.1", root]);
    assert_eq!(nothing.status, 1);
    assert!(nothing.stdout.contains("nothing here asks"), "{}", nothing.stdout);
    let missing = pgsym(["why", "libpgsym-test-nowhere.so.7", root]);
    assert_eq!(missing.status, 1);
    assert!(missing.stdout.contains("NOT FOUND"), "{}", missing.stdout);
    assert!(missing.stdout.contains("lib/faulty.so → libpgsym-test-nowhere.so.7"), "{}", missing.stdout);
}

#[test]
fn a_relative_root_without_a_server_finds_the_modules_of_its_extensions() {
    let tree = TreeBuilder::new()
        .object("volume/lib/x.so", &module())
        .file("volume/share/extension/x.control", "default_version = '1'\nmodule_pathname = '$libdir/x'\n")
        .file(
            "volume/share/extension/x--1.sql",
            "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'MODULE_PATHNAME';",
        );
    for (place, root) in [("volume", "."), ("", "volume")] {
        let run = pgsym_in(&tree.path(place), ["audit", root, "--show", "info"]);
        assert!(!run.stdout.contains("module-not-found"), "{root}: {}", run.stdout);
        assert_eq!(run.status, 0, "{root}: {}", run.stdout);
    }
}

#[test]
fn what_is_no_server_is_refused() {
    let tree = sound_tree()
        .object("bin/other", &server_without_facts())
        .file("garbage", "garbage\n")
        .file("cut.profile", "pgsym-profile 3\nmachine 62 64 little\nf palloc\n");
    let module = tree.path("lib/plpgsql.so");
    let module = module.to_str().unwrap();
    for (name, says) in [
        ("lib/plpgsql.so", "it is not a program"),
        ("bin/other", "without PostgreSQL's magic block"),
        ("garbage", "neither a program nor a profile"),
        ("cut.profile", "the end of the profile is missing"),
    ] {
        let server = tree.path(name);
        let server = server.to_str().unwrap();
        assert_refused(&["load", "--server", server, module], &[server, says]);
        assert_refused(&["profile", server], &[]);
    }
}

/// A program that is none of PostgreSQL's.
fn server_without_facts() -> SharedObject {
    SharedObject::new()
        .kind(pgsym_testkit::Kind::PieExecutable)
        .interp("/lib64/ld-linux-x86-64.so.2")
        .export("main")
}

#[test]
fn directories_that_are_none_are_refused() {
    let tree = sound_tree().file("file", "");
    let root = tree.root().to_str().unwrap();
    let file = tree.path("file");
    for option in ["--sharedir", "--pkglibdir", "--sdk"] {
        assert_refused(&["audit", root, option, "/nonexistent"], &[option, "No such file or directory"]);
        assert_refused(&["audit", root, option, file.to_str().unwrap()], &[option, "not a directory"]);
    }
    assert_refused(
        &["audit", "--root", root, "/usr/nowhere"],
        &["cannot read /usr/nowhere inside the root", root, "No such file or directory"],
    );
}

#[test]
fn files_without_an_end_are_refused_at_once() {
    let tree = sound_tree().fifo("fifo");
    let fifo = tree.path("fifo");
    let (fifo, module) = (fifo.to_str().unwrap(), tree.path("lib/plpgsql.so"));
    let module = module.to_str().unwrap();
    for endless in [fifo, "/dev/zero"] {
        assert_refused(&["verify", module, "--map", endless], &[endless, "not a regular file"]);
        assert_refused(&["verify", endless, "--map", module], &[]);
        assert_refused(&["exports", endless], &[endless, "not a regular file"]);
    }
}

#[test]
fn threads_are_bounded() {
    let tree = sound_tree();
    let run = |jobs: &str| pgsym(["audit", tree.root().to_str().unwrap(), "--jobs", jobs]);
    assert_eq!(run("99999"), run("1"));
    assert_refused(&["audit", "/", "--jobs", "0"], &["--jobs", "1 or more"]);
    assert_refused(&["audit", "/", "--jobs", "x"], &["1 or more"]);
}

#[test]
fn why_wants_a_name() {
    assert_refused(&["why", "", "/"], &["NAME", "name a library or a symbol"]);
}

#[test]
fn a_function_that_is_not_kept_is_told_and_is_no_row() {
    let script = "CREATE FUNCTION f() RETURNS int LANGUAGE c AS '$libdir/x';
        CREATE FUNCTION old() RETURNS int LANGUAGE c AS '$libdir/x', 'gone'; DROP FUNCTION old();";
    let tree = TreeBuilder::new()
        .object("usr/lib/postgresql/15/lib/x.so", &module())
        .file("usr/share/postgresql/15/extension/x.control", "default_version = '1'")
        .file("usr/share/postgresql/15/extension/x--1.sql", script);
    let text = pgsym_in(tree.root(), ["functions", ".", "--pg-version", "15"]);
    assert_eq!(text.status, 1, "{}", text.stdout);
    let told = "x  old, on the way: gone in $libdir/x, missing-function\n";
    assert!(text.stdout.contains(told), "{}", text.stdout);
    let last = "1 C function, backed; 1 function on the way not backed\n";
    assert!(text.stdout.ends_with(last), "{}", text.stdout);
    let document = pgsym_in(tree.root(), ["functions", ".", "--pg-version", "15", "--format", "json"]).json();
    assert_eq!(document["functions"].as_array().unwrap().len(), 1, "{document:#}");
}

#[test]
fn load_without_a_verdict_is_status_2() {
    let tree = sound_tree().directory("empty").fifo("lib/pipe.so").file("lib/text.so", "text");
    let server = tree.path("bin/postgres");
    let server = server.to_str().unwrap();
    let path = |entry: &str| tree.path(entry).to_str().unwrap().to_owned();
    let load = |entry: &str| pgsym(["load", "--server", server, &path(entry), "--format", "json"]);
    let empty = load("empty");
    assert_eq!(empty.status, 2, "{empty:?}");
    assert!(empty.stderr.contains("there is no module"), "{}", empty.stderr);
    let verdict = |run: &super::support::Run| (run.status, run.json()["modules"][0]["verdict"].clone());
    // The server would wait for somebody who writes to it.
    assert_eq!(verdict(&load("lib/pipe.so")), (2, "unknown".into()));
    // What is no object file is refused by any server.
    assert_eq!(verdict(&load("lib/text.so")), (1, "fails".into()));
    assert_eq!(verdict(&pgsym(["load", &path("lib/text.so"), "--format", "json"])), (1, "fails".into()));
}

#[test]
fn each_name_of_a_file_that_is_asked_about_has_its_answer() {
    let tree = TreeBuilder::new()
        .object("bin/postgres", &super::support::server())
        .object("lib/x.so", &module())
        .hard_link("lib/hard.so", "lib/x.so")
        .symlink("lib/link.so", "x.so");
    let path = |entry: &str| tree.path(entry).to_str().unwrap().to_owned();
    let names = [path("lib/hard.so"), path("lib/link.so"), path("lib/x.so")];
    let arguments = ["load", "--format", "json"].map(str::to_owned).into_iter().chain(names.clone());
    let document = pgsym(arguments).json();
    let told: Vec<String> = document["modules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|module| module["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, names);
    // A directory is asked about its files.
    let document = pgsym(["load", "--format", "json", &path("lib")]).json();
    assert_eq!(document["modules"].as_array().unwrap().len(), 1);
}

#[test]
fn windows_builds_are_refused_in_one_sentence() {
    let mut pe = vec![0; 0x84];
    pe[..2].copy_from_slice(b"MZ");
    pe[0x3c] = 0x80;
    pe[0x80..].copy_from_slice(b"PE\0\0");
    let tree = TreeBuilder::new()
        .file("bin/postgres.exe", &pe)
        .file("lib/x.dll", &pe)
        .file("share/extension/x.control", "default_version = '1.0'");
    let (root, library) = (tree.root().to_str().unwrap(), tree.path("lib/x.dll"));
    let library = library.to_str().unwrap();
    for command in ["audit", "load", "tree", "symbols", "inspect", "functions", "collisions"] {
        assert_refused(&[command, root], &["x.dll", "Windows builds are not read"]);
        assert_refused(&[command, library], &["x.dll", "Windows builds are not read"]);
    }
    // Among files that are read it is good to know.
    let tree = tree.object("lib/x.so", &module());
    let run = pgsym(["audit", tree.root().to_str().unwrap(), "--only", "file", "--format", "json"]);
    assert_eq!(run.json()["findings"].as_array().unwrap().len(), 1, "{}", run.stdout);
    assert_eq!(run.json()["findings"][0]["severity"], "info");
}

#[test]
fn a_server_that_does_not_start_loads_nothing() {
    let server = super::support::server().needed("libpgsym-test-nowhere.so.7");
    let tree = TreeBuilder::new().object("bin/postgres", &server).object("lib/x.so", &module());
    let (root, library) = (tree.root().to_str().unwrap(), tree.path("lib/x.so"));
    let run = pgsym(["load", library.to_str().unwrap(), "--format", "json"]);
    assert_eq!((run.status, &run.json()["modules"][0]["verdict"]), (2, &"unknown".into()));
    assert!(run.stdout.contains("error while loading shared libraries: libpgsym-test-nowhere.so.7"));
    let codes = |path: &str| -> Vec<serde_json::Value> {
        let run = pgsym(["audit", path, "--only", "loader", "--format", "json"]);
        run.json()["findings"].as_array().unwrap().iter().map(|one| one["code"].clone()).collect()
    };
    assert_eq!(codes(&format!("{root}/lib")), ["PGS109"]);
    assert_eq!(codes(root), ["PGS101"]);
}

#[test]
fn a_setting_that_the_server_lacks_and_an_sdk_that_is_none_are_refused() {
    let tree = sound_tree();
    let root = tree.root().to_str().unwrap();
    assert_refused(
        &["audit", root, "--sdk", root],
        &["cannot use --sdk", "neither SDKSettings.json nor usr/lib"],
    );
    let path = ["--extension-control-path", "$system"];
    let asked = |version| [&["audit", root, "--pg-version", version], &path[..]].concat();
    assert_refused(&asked("15"), &["PostgreSQL 15 has no such setting"]);
    assert_ne!(pgsym(asked("18")).status, 2);
}

#[test]
fn a_control_file_or_a_script_is_a_question_about_its_extension() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    for name in ["x", "y"] {
        write(&format!("{name}.control"), "default_version = '1'\nrequires = 'z'");
        write(&format!("{name}--1.sql"), "SELECT 1;");
    }
    write("w--1.sql", "SELECT 1;");
    for name in ["x.control", "x--1.sql"] {
        let path = directory.path().join(name);
        let document = pgsym(["audit", path.to_str().unwrap(), "--format", "json"]).json();
        let findings = document["findings"].as_array().unwrap();
        let found: Vec<_> =
            findings.iter().map(|one| (one["code"].clone(), one["subject"].clone())).collect();
        assert_eq!(found, [("PGS609".into(), "x".into())], "{name}");
        assert_eq!(document["summary"]["files"], 0, "{name}");
    }
    let alone = directory.path().join("w--1.sql");
    assert_refused(&["audit", alone.to_str().unwrap()], &["there is no w.control beside it"]);
}
