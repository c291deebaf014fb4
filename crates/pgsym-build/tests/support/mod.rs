//! Runs a build script the way Cargo does: a process of its own with Cargo's variables. The test's own executable is
//! the script; what it says to Cargo and to the user comes back as text.

#![allow(dead_code, reason = "each test file uses its part")]

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that tells the child which script it is.
const SCRIPT: &str = "PGSYM_TEST_SCRIPT";

/// A package in a directory of its own.
pub(crate) struct Package {
    /// Its directory.
    pub(crate) directory: PathBuf,
    variables: Vec<(String, String)>,
}

/// What a build script said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Whether it ended with success.
    pub(crate) is_success: bool,
    /// The `cargo::` lines.
    pub(crate) cargo: Vec<String>,
    /// stderr.
    pub(crate) errors: String,
}

/// The name of the script to be, in the child.
pub(crate) fn script_of_this_process() -> Option<String> {
    env::var(SCRIPT).ok()
}

impl Package {
    /// An empty package for x86-64 Linux, with a `pg_config` for a server of this major whose headers are empty.
    pub(crate) fn new(test: &str, major: u32) -> Self {
        let directory = env::temp_dir().join(format!("pgsym-build-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        for name in ["out", "server", "bin"] {
            fs::create_dir_all(directory.join(name)).unwrap();
        }
        let mut package = Self { directory, variables: Vec::new() };
        package.file("server/postgres.h", "");
        let answers = format!(
            "#!/bin/sh\necho 'VERSION = PostgreSQL {major}.1'\necho 'BINDIR = /pg/bin'\n\
             echo 'INCLUDEDIR-SERVER = {}'\n",
            package.directory.join("server").display()
        );
        let pg_config = package.program("pg_config", &answers);
        package.set("PG_CONFIG", &pg_config);
        package.set("OUT_DIR", &package.directory.join("out").display().to_string());
        package.set("CARGO_MANIFEST_DIR", &package.directory.display().to_string());
        for (name, value) in [
            ("CARGO_PKG_NAME", "x"),
            ("HOST", "x86_64-unknown-linux-gnu"),
            ("TARGET", "x86_64-unknown-linux-gnu"),
            ("CARGO_CFG_TARGET_OS", "linux"),
            ("CARGO_CFG_TARGET_ENV", "gnu"),
            ("CARGO_CFG_TARGET_ARCH", "x86_64"),
            ("CARGO_CFG_TARGET_POINTER_WIDTH", "64"),
            ("CARGO_CFG_TARGET_ENDIAN", "little"),
            ("OPT_LEVEL", "0"),
            ("DEBUG", "false"),
            ("PROFILE", "debug"),
            // Which linker this machine has by default is not what these tests are about.
            ("PGSYM_LINKER", "lld"),
        ] {
            package.set(name, value);
        }
        package
    }

    /// Writes a file.
    pub(crate) fn file(&self, path: &str, text: &str) -> &Self {
        let path = self.directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Writes a program and gives its path.
    pub(crate) fn program(&self, name: &str, text: &str) -> String {
        let path = self.directory.join("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.unset(name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes a variable.
    pub(crate) fn unset(&mut self, name: &str) -> &mut Self {
        self.variables.retain(|(known, _)| known != name);
        self
    }

    /// Runs the script of a name.
    pub(crate) fn run(&self, script: &str) -> Said {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "the_build_script", "--nocapture", "--test-threads=1"]);
        command.current_dir(&self.directory).env_clear();
        for name in ["PATH", "HOME", "RUSTUP_HOME", "CARGO_HOME", "RUSTUP_TOOLCHAIN"] {
            if let Some(value) = env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).env(SCRIPT, script);
        let output = command.output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        Said {
            is_success: output.status.success(),
            cargo: stdout.lines().filter(|line| line.starts_with("cargo::")).map(str::to_owned).collect(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a script that must fail, and gives what it said to the user.
    pub(crate) fn fail(&self, script: &str) -> String {
        let said = self.run(script);
        assert!(!said.is_success, "the script did not fail: {said:#?}");
        let told: Vec<&String> = said.cargo.iter().filter(|line| !line.contains("warning=")).collect();
        assert!(told.is_empty(), "a failing script told Cargo {told:#?}");
        said.errors
    }

    /// Runs a script that must succeed, and gives the values of one kind of line.
    pub(crate) fn lines(&self, script: &str, key: &str) -> Vec<String> {
        let said = self.run(script);
        assert!(said.is_success, "{}", said.errors);
        let prefix = format!("cargo::{key}=");
        said.cargo.iter().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect()
    }

    /// A file of the package.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.directory.join(path)).unwrap()
    }

    /// A path below the package.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.directory.join(path)
    }
}

impl Drop for Package {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
