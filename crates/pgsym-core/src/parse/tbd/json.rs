//! Version 5: one JSON object with the library and those that it brings. A part without `targets` is for all.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Stub, StubLibrary, Wanted, add};
use crate::error::FileError;
use crate::name::Name;

#[derive(Deserialize)]
struct Document {
    main_library: Library,
    #[serde(default)]
    libraries: Vec<Library>,
}

#[derive(Deserialize)]
struct Library {
    #[serde(default)]
    target_info: Vec<TargetInfo>,
    #[serde(default)]
    install_names: Vec<InstallName>,
    #[serde(default)]
    reexported_libraries: Vec<Names>,
    #[serde(default)]
    exported_symbols: Vec<Symbols>,
    #[serde(default)]
    reexported_symbols: Vec<Symbols>,
}

#[derive(Deserialize)]
struct TargetInfo {
    target: String,
}

#[derive(Deserialize)]
struct InstallName {
    targets: Option<Vec<String>>,
    name: String,
}

#[derive(Deserialize)]
struct Names {
    targets: Option<Vec<String>>,
    names: Vec<String>,
}

#[derive(Deserialize)]
struct Symbols {
    targets: Option<Vec<String>>,
    #[serde(default)]
    text: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    data: BTreeMap<String, Vec<String>>,
}

pub(super) fn parse(text: &str, wanted: &Wanted) -> Result<Stub, FileError> {
    let document: Document = serde_json::from_str(text)
        .map_err(|error| FileError::malformed(format!("the stub is no JSON of version 5: {error}")))?;
    let mut libraries = Vec::new();
    for library in std::iter::once(document.main_library).chain(document.libraries) {
        if library.target_info.iter().any(|info| wanted.is_target(&info.target)) {
            libraries.push(library.read(wanted)?);
        }
    }
    Ok(Stub { libraries })
}

impl Library {
    fn read(self, wanted: &Wanted) -> Result<StubLibrary, FileError> {
        let is_wanted = |targets: &Option<Vec<String>>| {
            targets.as_ref().is_none_or(|targets| targets.iter().any(|target| wanted.is_target(target)))
        };
        let install_name = self.install_names.iter().find(|line| is_wanted(&line.targets));
        let mut found = StubLibrary {
            install_name: Name::from(install_name.map_or("", |line| &line.name)),
            ..StubLibrary::default()
        };
        for line in self.reexported_libraries.iter().filter(|line| is_wanted(&line.targets)) {
            found.reexported.extend(line.names.iter().map(|name| Name::from(name.as_str())));
        }
        let symbols = self.exported_symbols.iter().chain(&self.reexported_symbols);
        for symbols in symbols.filter(|symbols| is_wanted(&symbols.targets)) {
            for (list, names) in symbols.text.iter().chain(&symbols.data) {
                add(&mut found, list, names)?;
            }
        }
        Ok(found)
    }
}
