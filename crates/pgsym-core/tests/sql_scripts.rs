//! Scripts that are easy to misread, and scripts that nobody would write. What the traps must give stands beside them
//! in `testdata/sql/traps`, worked out by hand from scan.l and gram.y.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use pgsym_core::extension::preprocess::{Substitutions, preprocess};
use pgsym_core::extension::sql::{Declaration, StandardConformingStrings, scan_script};

fn traps() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/sql/traps");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .expect("the traps are in the checkout")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "sql"))
        .collect();
    files.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

fn functions(script: &[u8]) -> Result<Vec<[String; 3]>, String> {
    let values = Substitutions {
        owner: b"postgres",
        schema: Some(b"public"),
        required_schemas: &[],
        module_pathname: Some(b"$libdir/module"),
    };
    let preprocessed = preprocess(script, &values);
    let facts = scan_script(&preprocessed.expect("not too long").text, StandardConformingStrings::On);
    if let Some(error) = facts.error {
        return Err(error.message);
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let declared = facts.declarations.iter().filter_map(|declaration| match declaration {
        Declaration::Create(routine) => {
            let (probin, prosrc) = routine.c_link()?;
            Some([text(&routine.name), text(probin), text(prosrc)])
        }
        _ => None,
    });
    Ok(declared.collect())
}

#[test]
fn traps_give_what_the_servers_grammar_says() {
    let mut given = String::new();
    for (name, script) in traps() {
        writeln!(given, "{name}").unwrap();
        match functions(&script) {
            Ok(functions) => {
                for [function, probin, prosrc] in functions {
                    writeln!(given, "  {function} | {probin} | {prosrc}").unwrap();
                }
            }
            Err(message) => writeln!(given, "  ERROR: {message}").unwrap(),
        }
    }
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/sql/traps/expected.txt");
    let expected = std::fs::read_to_string(expected).expect("the expectation is in the checkout");
    assert_eq!(given, expected, "\n{given}");
}

/// A small generator with a fixed seed: the same damage in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }
}

#[test]
fn damaged_scripts_end_without_a_panic() {
    let interesting: &[&[u8]] = &[
        b"'",
        b"\"",
        b"$$",
        b"$a$",
        b"/*",
        b"*/",
        b"--",
        b"\n",
        b"(",
        b")",
        b";",
        b"E'",
        b"U&'",
        b"\\",
        b"\0",
        b"\xff",
        b"CREATE FUNCTION ",
        b" AS ",
        b"BEGIN ATOMIC ",
        b" END",
        b"@extschema@",
        b"MODULE_PATHNAME",
        b"\\echo ",
        b"UESCAPE '",
        b"[",
        b"DEFAULT ",
        b"DO ",
    ];
    let mut dice = Dice(15);
    let mut statements = 0;
    for (_, script) in traps() {
        for _ in 0..400 {
            let mut damaged = script.clone();
            for _ in 0..=dice.below(6) {
                let at = dice.below(damaged.len() + 1);
                match dice.below(3) {
                    0 => drop(
                        damaged.splice(at..at, interesting[dice.below(interesting.len())].iter().copied()),
                    ),
                    1 => damaged.truncate(at),
                    _ => drop(damaged.drain(at..(at + dice.below(20)).min(damaged.len()))),
                }
            }
            statements += functions(&damaged).map_or(0, |functions| functions.len());
        }
    }
    assert!(statements > 0, "some of the damaged scripts still declare functions");
}

/// An eighth of a megabyte of one thing: reading it must cost one walk, whatever it is.
#[test]
fn monotonous_scripts_cost_one_walk() {
    const BYTES: usize = 128 << 10;
    let heads: &[&str] = &[
        "",
        "SELECT ",
        "CREATE FUNCTION f(",
        "CREATE FUNCTION f(a int DEFAULT ",
        "CREATE RULE r AS DO ",
        "DO $x$ ",
        "CREATE FUNCTION f() BEGIN ATOMIC ",
        "DO $x$ language c create ",
    ];
    let units: &[&str] = &[
        "(",
        ")",
        "[",
        "'",
        "''",
        "\"",
        "$",
        "$$",
        "$a$",
        "/*",
        "*/",
        "/*/",
        "-",
        "--\n",
        "+-",
        ";",
        "not ",
        "a.",
        "'a'\n",
        "a ",
        ", ",
        "\n\\echo",
        "@extschema@",
        "create function ",
        "create or ",
        "create function f() ",
        "BEGIN ATOMIC ",
        "END ",
        "U&'",
        "E'\\",
        "MODULE_PATHNAME",
        "f() returns ",
        "1",
        "language c",
    ];
    for head in heads {
        for unit in units {
            let script = [head.as_bytes(), unit.repeat(BYTES / unit.len()).as_bytes()].concat();
            let start = Instant::now();
            let _ = functions(&script);
            // Quadratic work takes minutes; the bound leaves room for an unoptimised build on a busy machine.
            assert!(start.elapsed() < Duration::from_secs(20), "{head:?} and then {unit:?}");
        }
    }
}
