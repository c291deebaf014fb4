//! The C functions that an extension's SQL scripts declare for its own module.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pgsym_core::exports::DeclaredFunction;
use pgsym_core::extension::control::parse_control;
use pgsym_core::extension::declared_c_functions;

use crate::error::{Error, ErrorKind};

/// The newest major: control files are read with all the settings there are.
const NEWEST_MAJOR: u32 = 19;

/// What a directory of scripts declares, and the files it was read from.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    /// The functions, by script and line.
    pub(crate) declared: Vec<DeclaredFunction>,
    /// Directory, control files and scripts.
    pub(crate) inputs: Vec<PathBuf>,
}

/// Reads every `*.sql` of a directory, relative to the package, not of those below it.
///
/// A function counts when its file is `MODULE_PATHNAME`, the `module_pathname` of a control file in the directory, or
/// `$libdir/<library>`; others belong to other modules.
pub(crate) fn read(package: &Path, directory: &Path, library: &str) -> Result<Scripts, Error> {
    let mut scripts = Scripts::default();
    let place = package.join(directory);
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Sql, format!("cannot read the SQL scripts in {}: {error}", path.display()))
    };
    let entries = fs::read_dir(&place).map_err(|error| unreadable(&place, &error))?;
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(&place, &error))?;
        names.insert(PathBuf::from(entry.file_name()));
    }
    let with_extension = |extension: &'static str| {
        names.iter().filter(move |name| name.extension().is_some_and(|found| found == extension))
    };
    let mut own: BTreeSet<Vec<u8>> =
        [b"MODULE_PATHNAME".to_vec(), format!("$libdir/{library}").into_bytes()].into();
    scripts.inputs.push(place.clone());
    for name in with_extension("control") {
        let path = place.join(name);
        let bytes = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
        let control = parse_control(&bytes, &directory.join(name), NEWEST_MAJOR)
            .map_err(|error| Error::new(ErrorKind::Sql, error.message))?;
        own.extend(control.module_pathname);
        scripts.inputs.push(path);
    }
    let mut has_script = false;
    for name in with_extension("sql") {
        let path = place.join(name);
        let bytes = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
        let functions = declared_c_functions(&bytes, None).map_err(|error| unreadable(&path, &error))?;
        let functions = functions.into_iter().filter(|function| own.contains(&function.probin));
        scripts.declared.extend(functions.map(|function| DeclaredFunction {
            symbol: String::from_utf8_lossy(&function.prosrc).into_owned(),
            script: directory.join(name).display().to_string(),
            line: function.position.line,
        }));
        scripts.inputs.push(path);
        has_script = true;
    }
    if has_script { Ok(scripts) } else { Err(unreadable(&place, &"there is no *.sql file")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn with(test: &str, files: &[(&str, &str)]) -> Self {
            let path = std::env::temp_dir().join(format!("pgsym-sql-{test}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            for (name, text) in files {
                fs::write(path.join(name), text).unwrap();
            }
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn functions_of_this_module_are_found_with_script_and_line() {
        let directory = Directory::with(
            "own",
            &[
                ("x.control", "module_pathname = '$libdir/x-2'\n"),
                (
                    "x--1.sql",
                    "CREATE FUNCTION Plain(int) RETURNS int AS 'MODULE_PATHNAME' LANGUAGE C;\n\
                     CREATE FUNCTION f() RETURNS int AS '$libdir/x-2', 'named' LANGUAGE C;\n\
                     CREATE FUNCTION g() RETURNS int AS '$libdir/plpgsql', 'theirs' LANGUAGE C;\n",
                ),
                ("x--1--2.sql", "\n\nCREATE FUNCTION h() RETURNS int AS '$libdir/lib_x', 'h' LANGUAGE C;\n"),
            ],
        );
        let scripts = read(&directory.0, Path::new(""), "lib_x").unwrap();
        let found: Vec<_> = scripts
            .declared
            .iter()
            .map(|declared| (declared.symbol.as_str(), declared.script.as_str(), declared.line))
            .collect();
        assert_eq!(found, [("h", "x--1--2.sql", 3), ("plain", "x--1.sql", 1), ("named", "x--1.sql", 2)]);
        assert_eq!(scripts.inputs.len(), 4);
    }

    #[test]
    fn a_directory_without_scripts_is_an_error() {
        let directory = Directory::with("empty", &[("readme.txt", "")]);
        let error = read(&directory.0, Path::new(""), "x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Sql);
        assert!(error.to_string().ends_with("there is no *.sql file"), "{error}");
        assert!(read(&directory.0, Path::new("no-such-directory"), "x").is_err());
    }
}
