//! A PostgreSQL server of its own: a fresh data directory, a unix socket in it and nothing else, stopped when the
//! value goes. It runs as the user `postgres` where this process is root, since a server refuses to.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::command::{Finished, clean, run, run_well};
use super::debian;

/// Long enough for initdb or a start on a busy machine.
const START: Duration = Duration::from_mins(2);
const STATEMENT: Duration = Duration::from_mins(2);

/// The server that Debian's packages install.
pub(crate) const DEBIAN_PREFIX: &str = "/usr/lib/postgresql/15";

/// A data directory and, after [`start`](Self::start), a running server.
pub(crate) struct TestServer {
    bin: PathBuf,
    directory: tempfile::TempDir,
    is_running: bool,
    as_postgres: bool,
}

impl TestServer {
    /// Makes a data directory with the server below `prefix`.
    pub(crate) fn prepare(prefix: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("pgsym-server-").tempdir()?;
        let as_postgres = debian::is_root()?;
        if as_postgres {
            run_well(clean("chown").arg("postgres").arg(directory.path()), START)
                .context("cannot hand the data directory to the user postgres")?;
        }
        let server = Self { bin: prefix.join("bin"), directory, is_running: false, as_postgres };
        let mut initdb = server.command("initdb");
        initdb.args([
            "--no-sync",
            "--no-locale",
            "--encoding=UTF8",
            "--auth=trust",
            "--username=postgres",
            "-D",
        ]);
        run_well(initdb.arg(server.data()), START).context("initdb")?;
        Ok(server)
    }

    /// A directory that the server's user owns.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The path of one of the server's programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// One of the server's programs, run as the server's user.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.as_user(&self.program(program))
    }

    /// A shell of the server's user.
    pub(crate) fn shell(&self) -> Command {
        self.as_user(Path::new("/bin/sh"))
    }

    fn as_user(&self, program: &Path) -> Command {
        let mut command = if self.as_postgres {
            let mut command = clean("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            clean(program)
        };
        command.current_dir(self.directory.path());
        command
    }

    /// Starts the server with settings; the log is part of the error where it does not come up.
    pub(crate) fn start(&mut self, settings: &[(&str, &str)]) -> Result<()> {
        self.stop()?;
        let log = self.directory.path().join("log");
        let mut options = format!(
            "-k {} -c listen_addresses= -c fsync=off -c shared_buffers=16MB -c dynamic_shared_memory_type=mmap",
            self.directory.path().display()
        );
        for (name, value) in settings {
            options.push_str(&format!(" -c {name}='{value}'"));
        }
        let _ = std::fs::remove_file(&log);
        let mut start = self.command("pg_ctl");
        start
            .arg("-D")
            .arg(self.data())
            .arg("-l")
            .arg(&log)
            .args(["-w", "-t", "60", "-o", &options, "start"]);
        let finished = run(&mut start, START)?;
        if !finished.status.success() {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            bail!("the server does not start: {}", log.trim());
        }
        self.is_running = true;
        Ok(())
    }

    /// Stops the server, if it runs.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.is_running, false) {
            let mut stop = self.command("pg_ctl");
            stop.arg("-D").arg(self.data()).args(["-w", "-m", "immediate", "stop"]);
            run_well(&mut stop, START).context("cannot stop the server")?;
        }
        Ok(())
    }

    /// Runs statements in one session of a database, each as its own transaction, and returns what psql prints.
    pub(crate) fn session(&self, database: &str, statements: &[String]) -> Result<Finished> {
        // Relocatable builds come without a client; Debian's talks to every server.
        let own = self.program("psql");
        let psql = if own.exists() { own } else { Path::new(DEBIAN_PREFIX).join("bin/psql") };
        let mut psql = self.as_user(&psql);
        psql.args(["-X", "-q", "-A", "-t", "-U", "postgres", "-d", database, "-h"])
            .arg(self.directory.path());
        for statement in statements {
            psql.arg("-c").arg(statement);
        }
        run(&mut psql, STATEMENT)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{error:#}");
        }
    }
}

/// Makes sure that Debian's server and all extension packages that it has for it are installed.
pub(crate) fn need_debian_extensions() -> Result<()> {
    let mut packages = vec!["postgresql-15".to_owned()];
    packages.extend(debian::offered("postgresql-15-")?);
    debian::need_all(&packages)
}
