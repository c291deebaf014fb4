//! Every line that this crate says to Cargo. Lines are collected and printed at the end, so that a build that fails
//! half-way tells Cargo nothing. (The `rerun-if-env-changed` lines of the C compiler's own variables are cc's, and
//! so are the lines that link what cc compiled, since cc knows which C++ runtime that takes.)

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind};

/// The instructions for Cargo, in order.
#[derive(Debug, Default)]
pub(crate) struct CargoOutput {
    lines: Vec<String>,
    compiled: Option<(cc::Build, PathBuf)>,
}

impl CargoOutput {
    /// The archive that cc compiled, with the build that decides which C++ runtime is linked beside it.
    pub(crate) fn link_compiled(&mut self, build: cc::Build, archive: PathBuf) {
        self.compiled = Some((build, archive));
    }

    /// One argument for the link of this package's cdylib. Tests, benches and binaries link without it.
    pub(crate) fn cdylib_link_arg(&mut self, argument: &str) -> Result<(), Error> {
        self.line("rustc-cdylib-link-arg", argument)
    }

    /// A static library to link, where it is found, and how.
    pub(crate) fn link_static(&mut self, directory: &Path, name: &str) -> Result<(), Error> {
        self.line("rustc-link-search", &format!("native={}", directory.display()))?;
        self.line("rustc-link-lib", &format!("static={name}"))
    }

    /// Run the build script again when a file changes.
    pub(crate) fn rerun_if_changed(&mut self, path: &Path) -> Result<(), Error> {
        self.line("rerun-if-changed", &path.display().to_string())
    }

    /// Run the build script again when a variable changes.
    pub(crate) fn rerun_if_env_changed(&mut self, name: &str) -> Result<(), Error> {
        self.line("rerun-if-env-changed", name)
    }

    /// A variable for the compilation of this package and for its tests while they run.
    pub(crate) fn rustc_env(&mut self, name: &str, value: &str) -> Result<(), Error> {
        self.line("rustc-env", &format!("{name}={value}"))
    }

    /// A value for the build scripts of direct dependents (`DEP_<LINKS>_<KEY>`).
    pub(crate) fn metadata(&mut self, key: &str, value: &str) -> Result<(), Error> {
        self.line("metadata", &format!("{key}={value}"))
    }

    /// Something the user should see.
    pub(crate) fn warning(&mut self, text: &str) {
        for line in text.lines() {
            self.lines.push(format!("cargo::warning={line}"));
        }
    }

    fn line(&mut self, key: &str, value: &str) -> Result<(), Error> {
        if value.contains(['\n', '\r']) {
            let message = format!("Cargo cannot be told {key}={value:?}: the value holds a line break");
            return Err(Error::new(ErrorKind::Write, message));
        }
        self.lines.push(format!("cargo::{key}={value}"));
        Ok(())
    }

    /// Prints what was collected.
    #[expect(clippy::print_stdout, reason = "this is how a build script talks to Cargo")]
    pub(crate) fn print(&self) -> Result<(), Error> {
        if let Some((build, archive)) = &self.compiled {
            cc::try_emit_link_directives(build, archive)
                .map_err(|error| Error::new(ErrorKind::Compile, error.to_string()))?;
        }
        for line in &self.lines {
            println!("{line}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_cannot_smuggle_an_instruction() {
        let mut output = CargoOutput::default();
        let error = output.cdylib_link_arg("-Wl,x\ncargo::rustc-env=A=B").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Write);
        output.warning("a\ncargo::rustc-env=A=B");
        assert_eq!(output.lines, ["cargo::warning=a", "cargo::warning=cargo::rustc-env=A=B"]);
    }
}
