//! pglast: the parser of PostgreSQL 15 as a Python module, in an environment of its own below `target`. The client
//! that fetches it needs this process's environment, so that it finds its configuration.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::support::command::run_well;
use crate::support::{debian, workspace};

/// The release with the grammar of 15.
const PACKAGE: &str = "pglast==5.10";

/// How long it may take to come.
const LIMIT: Duration = Duration::from_mins(5);

/// What it says of a script.
#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Answer {
    /// Name, probin and prosrc of each C function.
    #[serde(deserialize_with = "functions")]
    Functions(Vec<[String; 3]>),
    /// The script has an error.
    Error(String),
}

/// Without a second string behind AS, and with `-` in its place, the symbol is the function's name.
fn functions<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<[String; 3]>, D::Error> {
    let listed: Vec<Vec<String>> = serde::Deserialize::deserialize(input)?;
    let whole = |function: Vec<String>| {
        let mut parts = function.into_iter();
        let (name, probin) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let symbol = parts.next().filter(|symbol| symbol != "-").unwrap_or_else(|| name.clone());
        [name, probin, symbol]
    };
    Ok(listed.into_iter().map(whole).collect())
}

/// The running parser.
pub(super) struct Grammar {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    directory: tempfile::TempDir,
}

impl Grammar {
    /// Installs it where it is missing, and starts it.
    pub(super) fn start() -> Result<Self> {
        let environment = workspace().join("target/corpus/scripts/python");
        let make = || {
            run_well(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment), LIMIT)
                .context("python3 cannot make an environment")
        };
        if !environment.join("bin/pip").exists() && make().is_err() {
            debian::need(&["python3-venv"])?;
            make()?;
        }
        let python = environment.join("bin/python");
        if run_well(Command::new(&python).args(["-c", "import pglast"]), LIMIT).is_err() {
            let mut install = Command::new(&python);
            run_well(install.args(["-m", "pip", "install", "--quiet", PACKAGE]), LIMIT)
                .with_context(|| format!("cannot install {PACKAGE}"))?;
        }
        let mut child = Command::new(&python)
            .args(["-c", include_str!("parse.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start Python")?;
        let questions = child.stdin.take().context("a pipe")?;
        let answers = BufReader::new(child.stdout.take().context("a pipe")?);
        Ok(Self { child, questions, answers, directory: tempfile::tempdir()? })
    }

    /// Asks about a script.
    pub(super) fn read(&mut self, text: &[u8]) -> Result<Answer> {
        let file = self.directory.path().join("script.sql");
        std::fs::write(&file, text)?;
        self.ask(&file).context("the parser in Python")
    }

    fn ask(&mut self, file: &Path) -> Result<Answer> {
        writeln!(self.questions, "{}", file.display())?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Grammar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
