//! Every extension script there is, reachable or not, against PostgreSQL's own parser, twice. The running server gets each
//! script as one query in a transaction that has failed already: it parses the whole text, says what is wrong with
//! it, and runs nothing. And pglast, the server's grammar as a Python module, lists the C functions. Each
//! script is what the server's own replacements make of it.
//!
//! The traps of `testdata/sql` are compared as well, and damaged copies of them: a script that the server takes must
//! have no error and the same functions here, and an error that is told here must be the server's, word
//! for word and at its place. What the server finds and the reader of this project cannot is counted.

mod damage;
mod grammar;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use pgsym_core::extension::control::Control;
use pgsym_core::extension::preprocess::preprocess;
use pgsym_core::extension::script::{read_script, substitutions};
use pgsym_core::extension::sql::{Declaration, Dialect, ScriptFacts, scan_script};
use pgsym_core::extension::{ExtensionSettings, Reading};
use pgsym_core::fs::RealFs;
use pgsym_core::name::Shown;
use pgsym_core::tree::{ServerChoice, Settings, Tree};

use self::damage::Dice;
use crate::support::postgres::{DEBIAN_PREFIX, TestServer, need_debian_extensions};
use crate::support::report::{Difference, Exception, Report};
use crate::support::wire::{Connection, ServerError};
use crate::support::{Outcome, workspace};

/// Options of `cargo xtask oracle scripts`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Compare only scripts whose path contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Damaged copies of each trap
    #[arg(long, default_value_t = 300)]
    damaged: usize,
    /// The seed of the damage
    #[arg(long, default_value_t = 15)]
    seed: u64,
    /// Print the scripts in which the server finds an error and pgsym none
    #[arg(long)]
    missed: bool,
}

/// A text to compare, and what it is called in the report.
struct Case {
    name: String,
    text: Vec<u8>,
    origin: Origin,
}

/// Where a text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A package of Debian.
    Package,
    /// `testdata/sql`.
    MadeUp,
    /// A damaged copy of one of those.
    Damaged,
}

impl Origin {
    fn kind(self) -> &'static str {
        match self {
            Self::Package => "scripts",
            Self::MadeUp => "made-up scripts",
            Self::Damaged => "damaged scripts",
        }
    }
}

/// The major version of Debian's server and of the grammar in Python.
const MAJOR: u32 = 15;

/// The trap with literals that go on behind comments.
const CONTINUED: &str = "continued.sql";

/// `SELECT 1;` keeps a script that begins with COMMIT from ending the failed transaction.
const GUARD: &[u8] = b"SELECT 1;";

/// The error of every statement in a failed transaction.
const IN_FAILED_TRANSACTION: &str = "25P02";

/// Differences in words only: both refuse the script.
const EXCEPTIONS: [Exception; 2] = [
    Exception {
        applies: |difference| {
            difference.expected.contains("UESCAPE")
                || difference.expected.starts_with("invalid Unicode escape character")
        },
        reason: "a malformed UESCAPE clause is told as a syntax error at its first word",
    },
    Exception {
        applies: |difference| difference.expected.starts_with("trailing junk after numeric literal"),
        reason: "letters behind a number are an error of the scanner since 15 only",
    },
];

/// Compares.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    need_debian_extensions()?;
    let mut report = Report::new("Extension scripts against PostgreSQL's own parser");
    let mut cases = tree_cases()?;
    cases.extend(trap_cases(options)?);
    cases.retain(|case| case.name.contains(&options.only));

    let mut server = TestServer::prepare(Path::new(DEBIAN_PREFIX))?;
    server.start(&[])?;
    let mut connection = Connection::open(server.directory(), "UTF8")?;
    connection.query(b"BEGIN")?;
    connection.query(b"SELECT 1/0")?;
    let mut taken = Vec::new();
    for case in &cases {
        let ours = scan_script(&case.text, Dialect { major: Some(MAJOR), ..Dialect::default() });
        match said(&mut connection, &case.text)? {
            None => report.not_run("no query can hold a zero byte or text that is not UTF-8", 1),
            Some(Verdict::Taken) => taken.push((case, ours)),
            Some(Verdict::Refused(error)) => refused(case, &ours, &error, options, &mut report),
        }
    }
    drop(connection);
    server.stop()?;

    match grammar::Grammar::start() {
        Ok(mut grammar) => {
            for (case, ours) in &taken {
                compare_functions(case, ours, &grammar.read(&case.text)?, &mut report);
            }
        }
        Err(reason) => report.not_run(&format!("functions by pglast: {reason:#}"), taken.len()),
    }
    for (case, ours) in &taken {
        report.compared(&format!("{} that it takes", case.origin.kind()), 1);
        if let Some(error) = &ours.error {
            let found = format!("{} at byte {}", error.message, error.offset);
            report.same(&case.name, "the server takes it", &found);
        }
    }
    Ok(report.finish(&EXCEPTIONS))
}

/// Every script of Debian's extensions, each text once.
fn tree_cases() -> Result<Vec<Case>> {
    let roots = [Path::new(DEBIAN_PREFIX).join("lib")];
    let settings = Settings {
        server: ServerChoice::At(DEBIAN_PREFIX.into()),
        extensions: ExtensionSettings { reading: Reading::All, ..ExtensionSettings::default() },
        ..Settings::default()
    };
    let tree = Tree::load(Arc::new(RealFs::new()), &roots, settings)?;
    let default = Control::default();
    let mut texts: BTreeMap<Vec<u8>, String> = BTreeMap::new();
    let inventory = tree.inventory();
    let scripts = inventory.in_scope().flat_map(|record| &record.scripts);
    let scripts = scripts.map(|script| (&script.path, script.control.as_ref().unwrap_or(&default)));
    for (path, control) in scripts.chain(inventory.orphan_scripts.iter().map(|path| (path, &default))) {
        let Ok(bytes) = read_script(&RealFs::new(), path) else { continue };
        let text =
            preprocess(&bytes, &substitutions(control, &[])).map_err(anyhow::Error::from)?.text.into_owned();
        texts.entry(text).or_insert_with(|| path.display().to_string());
    }
    let case = |(text, name)| Case { name, text, origin: Origin::Package };
    Ok(texts.into_iter().map(case).collect())
}

/// The traps, and damaged copies of them.
fn trap_cases(options: &Options) -> Result<Vec<Case>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for directory in ["testdata/sql/traps", "testdata/sql/chains"] {
        for entry in std::fs::read_dir(workspace().join(directory))? {
            let path = entry?.path();
            if path.extension().is_some_and(|suffix| suffix == "sql") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let mut dice = Dice(options.seed);
    let mut cases = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read(&path)?;
        for copy in 0..options.damaged {
            let text = dice.damage(&text);
            cases.push(Case { name: format!("{name} damaged {copy}"), text, origin: Origin::Damaged });
        }
        cases.push(Case { name, text, origin: Origin::MadeUp });
    }
    Ok(cases)
}

/// What the server's parser makes of a text.
enum Verdict {
    Taken,
    Refused(ServerError),
}

/// Asks the server; `None` for what no query can hold.
fn said(connection: &mut Connection, text: &[u8]) -> Result<Option<Verdict>> {
    let Ok(checked) = std::str::from_utf8(text) else { return Ok(None) };
    if text.contains(&0) {
        return Ok(None);
    }
    let Some(mut error) = connection.query(&[GUARD, text].concat())? else {
        anyhow::bail!("a statement ran in a failed transaction")
    };
    if error.code == IN_FAILED_TRANSACTION {
        return Ok(Some(Verdict::Taken));
    }
    // Characters from 1, the guard among them, to bytes from 0.
    let characters = error.position.and_then(|at| at.checked_sub(GUARD.len() + 1));
    error.position =
        characters.map(|at| checked.char_indices().nth(at).map_or(checked.len(), |(byte, _)| byte));
    Ok(Some(Verdict::Refused(error)))
}

/// A script with an error: ours must be the same, or none.
fn refused(case: &Case, ours: &ScriptFacts, error: &ServerError, options: &Options, report: &mut Report) {
    let kind = case.origin.kind();
    let place =
        |offset: Option<usize>| offset.map_or_else(|| "nowhere".to_owned(), |at| format!("byte {at}"));
    let expected = format!("{} at {}", as_shown(&error.message), place(error.position));
    let Some(own) = &ours.error else {
        report.compared(&format!("{kind} that it refuses and pgsym does not"), 1);
        if options.missed {
            println!("missed: {}: {expected}", case.name);
        }
        return;
    };
    let found = format!("{} at {}", own.message, place(Some(own.offset)));
    if found == expected {
        report.compared(&format!("{kind} with the same error, word for word"), 1);
    } else if error.position == Some(own.offset) {
        // Numbers with letters behind them, and prefixes of literals before a quote that follows a name: a matter of the
        // server's release.
        report.compared(&format!("{kind} that both refuse at the same place, in other words"), 1);
        if options.missed {
            println!("other words: {}: {expected} / {found}", case.name);
        }
    } else if error.position.is_some_and(|at| at < own.offset) {
        // The server stopped earlier, at a statement that is not read here.
        report.compared(&format!("{kind} that both refuse, the server at an earlier place"), 1);
    } else {
        report.differs(Difference { subject: case.name.clone(), expected, found });
    }
}

/// The server's message as findings show it: on one line, and of an unterminated literal only the beginning.
fn as_shown(message: &str) -> String {
    /// What `Statements` keeps of the text behind "at or near".
    const KEPT: usize = 60;
    let Some((head, near)) = message.split_once(" at or near \"") else { return message.to_owned() };
    let mut near = near.strip_suffix('"').unwrap_or(near).as_bytes();
    if head.starts_with("unterminated") {
        near = near.get(..KEPT).unwrap_or(near);
    }
    format!("{head} at or near \"{}\"", Shown(near))
}

fn compare_functions(case: &Case, ours: &ScriptFacts, answer: &grammar::Answer, report: &mut Report) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let own: Vec<[String; 3]> = ours
        .declarations
        .iter()
        .filter_map(|declaration| match declaration {
            Declaration::Create(routine) => {
                let (probin, prosrc) = routine.c_link()?;
                Some([text(&routine.name), text(probin), text(prosrc)])
            }
            _ => None,
        })
        .collect();
    match answer {
        grammar::Answer::Functions(functions) => {
            report.compared("C functions, in order", functions.len());
            if *functions != own {
                let (expected, found) = first_difference(functions, &own);
                report.differs(Difference { subject: case.name.clone(), expected, found });
            }
        }
        // Its scanner hands comments on as tokens, so that no literal continues behind one.
        grammar::Answer::Error(_) if case.origin == Origin::Damaged || case.name == CONTINUED => {
            report.not_run("made-up scripts that the server takes and pglast does not", 1);
        }
        grammar::Answer::Error(message) => {
            report.same(&case.name, "the server takes it", &format!("pglast: {message}"));
        }
    }
}

fn first_difference(expected: &[[String; 3]], found: &[[String; 3]]) -> (String, String) {
    let at = expected.iter().zip(found).take_while(|(one, other)| one == other).count();
    let show = |list: &[[String; 3]]| {
        list.get(at).map_or_else(|| "no further function".to_owned(), |function| format!("{function:?}"))
    };
    (show(expected), show(found))
}
