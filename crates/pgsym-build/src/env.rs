//! The environment of the build script as a value. What the user can set is remembered, so that Cargo is told to
//! run the script again when it changes; what Cargo itself sets needs no such line.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::{Error, ErrorKind};

/// Where variables are read.
#[derive(Debug)]
pub(crate) struct Env {
    fixed: Option<BTreeMap<String, OsString>>,
    tracked: RefCell<BTreeSet<String>>,
}

impl Env {
    /// The variables of this process.
    pub(crate) fn of_process() -> Self {
        Self { fixed: None, tracked: RefCell::default() }
    }

    /// Exactly these variables.
    #[cfg(test)]
    pub(crate) fn fixed(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value)));
        Self { fixed: Some(variables.collect()), tracked: RefCell::default() }
    }

    /// A variable that Cargo sets.
    pub(crate) fn get(&self, name: &str) -> Option<OsString> {
        match &self.fixed {
            Some(variables) => variables.get(name).cloned(),
            None => env::var_os(name),
        }
    }

    /// A variable that Cargo sets, as text; empty and non-UTF-8 values count as absent.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.into_string().ok().filter(|value| !value.is_empty())
    }

    /// A variable that the user may set: a change runs the build script again.
    pub(crate) fn tracked(&self, name: &str) -> Option<OsString> {
        self.tracked.borrow_mut().insert(name.to_owned());
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The same, as text.
    pub(crate) fn tracked_text(&self, name: &str) -> Option<String> {
        self.tracked(name)?.into_string().ok()
    }

    /// A variable that Cargo sets for every build script.
    pub(crate) fn required(&self, name: &str) -> Result<String, Error> {
        self.text(name).ok_or_else(|| {
            let message =
                format!("{name} is not set: Extension::emit works in a build script that Cargo runs");
            Error::new(ErrorKind::NotABuildScript, message)
        })
    }

    /// OUT_DIR.
    pub(crate) fn out_dir(&self) -> Result<PathBuf, Error> {
        self.required("OUT_DIR").map(PathBuf::from)
    }

    /// What [`Self::tracked`] was asked for, sorted.
    pub(crate) fn tracked_names(&self) -> Vec<String> {
        self.tracked.borrow().iter().cloned().collect()
    }
}
