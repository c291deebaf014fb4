//! Running the program and looking at what it said.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pgsym_testkit::{Bind, Magic, SharedObject, TreeBuilder};
use serde_json::Value;

/// What one run of the program did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The exit status.
    pub(crate) status: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Run {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {:?}, stderr {:?}", self.stdout, self.stderr))
    }
}

/// The program with arguments, in a directory of its own choice.
pub(crate) fn pgsym<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Run {
    pgsym_in(Path::new("/"), arguments)
}

/// The program with arguments, run in a directory.
pub(crate) fn pgsym_in<S: AsRef<std::ffi::OsStr>>(
    directory: &Path,
    arguments: impl IntoIterator<Item = S>,
) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_pgsym"))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started");
    Run {
        status: output.status.code().expect("no signal ended the program"),
        stdout: String::from_utf8(output.stdout).expect("output is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
    }
}

/// The checkout.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace exists")
}

/// A module for PostgreSQL 15 without a fault.
pub(crate) fn module() -> SharedObject {
    SharedObject::new().bind(Bind::Now).magic(Magic::pg(15)).pg_function("f")
}

/// A server without libraries of its own.
pub(crate) fn server() -> SharedObject {
    SharedObject::new()
        .kind(pgsym_testkit::Kind::PieExecutable)
        .bind(Bind::Now)
        .interp("/lib64/ld-linux-x86-64.so.2")
        .export("palloc")
        .server("15.18", &Magic::pg(15))
}

/// An installation with one sound module and one that needs a library which is nowhere.
pub(crate) fn faulty_tree() -> TreeBuilder {
    TreeBuilder::new()
        .object("bin/postgres", &server())
        .object("lib/plpgsql.so", &module())
        .object("lib/sound.so", &module())
        .object("lib/faulty.so", &module().needed("libpgsym-test-nowhere.so.7"))
}

/// An installation without a fault.
pub(crate) fn sound_tree() -> TreeBuilder {
    TreeBuilder::new().object("bin/postgres", &server()).object("lib/plpgsql.so", &module())
}
