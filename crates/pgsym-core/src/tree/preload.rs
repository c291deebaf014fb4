//! `--preload`: the modules that the server loads at its start. One that it refuses keeps it from starting, so nothing
//! else can be asked; the answer is then what the server would say, and no tree.

use std::path::PathBuf;

use super::{Server, Settings};
use crate::error::Error;
use crate::extension::library_path::{LibrarySettings, dlsuffix};
use crate::extension::{NEWEST_MAJOR, PreloadError, preload_path};
use crate::fs::Fs;
use crate::postgres::Verdict;

/// The file behind a name of `shared_preload_libraries`.
pub(crate) fn path(fs: &dyn Fs, server: &Server, settings: &Settings, name: &str) -> Result<PathBuf, Error> {
    let search = &settings.extensions.search;
    let major = server.facts.major().or(settings.pg_major).unwrap_or(NEWEST_MAJOR);
    let libraries = LibrarySettings {
        libdirs: std::slice::from_ref(&server.installation.pkglibdir),
        dynamic_library_path: search.dynamic_library_path.as_deref().unwrap_or("$libdir").as_bytes(),
        dlsuffix: dlsuffix(server.module.macho().is_some(), major),
        major,
    };
    preload_path(fs, &libraries, name).map_err(|error| match error {
        PreloadError::Server(message) => refused(name, &format!("FATAL:  {message}")),
        PreloadError::InDataDirectory => Error::Value {
            option: "--preload",
            value: name.to_owned(),
            seen: "a relative path starts in the server's data directory, which is not known".to_owned(),
            advice: "write a name in $libdir or an absolute path".to_owned(),
        },
    })
}

/// Ends the run where the server would not start with a module: `verdict` is what it says of it.
pub(crate) fn accept(name: &str, verdict: Verdict) -> Result<(), Error> {
    match verdict {
        Verdict::Loads => Ok(()),
        Verdict::Fails(message) => {
            let further = [("DETAIL", message.detail), ("HINT", message.hint)];
            let further: String = further
                .into_iter()
                .filter_map(|(label, text)| Some(format!(" {label}:  {}", text?.replace('\n', " "))))
                .collect();
            Err(refused(name, &format!("FATAL:  {}{further}", message.primary)))
        }
        Verdict::Crashes(what) => Err(refused(name, &what)),
        Verdict::Unknown(why) => Err(Error::Value {
            option: "--preload",
            value: name.to_owned(),
            seen: format!("whether the server starts with it cannot be told: {why}"),
            advice: "name modules that can be read".to_owned(),
        }),
    }
}

fn refused(name: &str, what: &str) -> Error {
    Error::Value {
        option: "--preload",
        value: name.to_owned(),
        seen: format!("the server would not start: {what}"),
        advice: "name modules that load, in the order of shared_preload_libraries".to_owned(),
    }
}
