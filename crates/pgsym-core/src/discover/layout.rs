//! Which installation of PostgreSQL a path belongs to. The known layouts are recognised, none is configured, and
//! nothing is executed: `pg_config` would tell, but it may be for another machine and is not trusted to run.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::fs::{FileKind, Fs};

/// The directories of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The `postgres` binary.
    pub server: PathBuf,
    /// `pg_config --pkglibdir`: where `$libdir` leads.
    pub pkglibdir: PathBuf,
    /// `pg_config --sharedir`, where it exists.
    pub sharedir: Option<PathBuf>,
}

/// How far above a path a prefix is looked for: `PREFIX/lib/postgresql/plugins/x.so` is four levels below.
const LEVELS: usize = 6;

/// The installation that a path lies in: the nearest directory above it (itself included) with a
/// `bin/postgres`.
pub fn find_installation(fs: &dyn Fs, path: &Path) -> Option<Installation> {
    path.ancestors().take(LEVELS).find_map(|prefix| at_prefix(fs, prefix))
}

/// What `--server` names: the binary, a prefix, or a `pg_config` beside the binary.
pub fn server_at(fs: &dyn Fs, path: &Path) -> Result<Installation, Error> {
    let refuse = |seen: &str| Error::Path {
        what: "no PostgreSQL server at",
        path: path.to_owned(),
        seen: seen.to_owned(),
        advice: "name the postgres binary, its installation prefix, or the pg_config beside it",
    };
    let metadata = fs.metadata(path).map_err(|error| refuse(&crate::error::os_text(&error)))?;
    if metadata.kind == FileKind::Directory {
        return at_prefix(fs, path)
            .or_else(|| at_prefix(fs, path.parent()?).filter(|_| path.ends_with("bin")))
            .ok_or_else(|| refuse("it has no bin/postgres"));
    }
    // A symbolic link such as /usr/bin/postgres leads to the installation.
    let resolved = fs.canonicalize(path).map_err(|error| refuse(&crate::error::os_text(&error)))?;
    let binary = if resolved.file_name().is_some_and(|name| name == "pg_config") {
        let sibling = resolved.with_file_name("postgres");
        if !is_file(fs, &sibling) {
            return Err(refuse("there is no postgres beside this pg_config, which is not executed"));
        }
        sibling
    } else {
        resolved
    };
    if binary.parent().is_some_and(|directory| directory.ends_with("bin"))
        && let Some(prefix) = binary.parent().and_then(Path::parent)
    {
        return Ok(with_directories(fs, prefix, binary.clone()));
    }
    let directory = binary.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(Installation { server: binary, pkglibdir: directory, sharedir: None })
}

fn at_prefix(fs: &dyn Fs, prefix: &Path) -> Option<Installation> {
    let server = prefix.join("bin/postgres");
    is_file(fs, &server).then(|| with_directories(fs, prefix, server))
}

/// pkglibdir is `lib/postgresql` below a prefix whose name does not say "postgres" or "pgsql" already
/// (src/Makefile.global.in), which Debian and PGDG shorten to `lib`.
fn with_directories(fs: &dyn Fs, prefix: &Path, server: PathBuf) -> Installation {
    let first = |candidates: Vec<PathBuf>, marker: &str| {
        candidates.iter().find(|candidate| is_there(fs, &candidate.join(marker))).cloned()
    };
    // Homebrew's formulas of one major: lib/postgresql@15 and share/postgresql@15.
    let versioned = |below: &str| -> Vec<PathBuf> {
        let entries = fs.read_dir(&prefix.join(below)).unwrap_or_default();
        let names = entries.into_iter().map(|entry| entry.name);
        let names = names.filter(|name| name.as_encoded_bytes().starts_with(b"postgresql@"));
        names.map(|name| prefix.join(below).join(name)).collect()
    };
    let libs = || {
        // Fedora's are called pgsql.
        let plain = ["lib/postgresql", "lib64/postgresql", "lib64/pgsql", "lib/pgsql", "lib", "lib64"];
        let plain = plain.map(|below| prefix.join(below));
        plain.into_iter().chain(versioned("lib")).collect::<Vec<_>>()
    };
    // Every server ships plpgsql; without it, the first directory that is there.
    let pkglibdir = first(libs(), "plpgsql.so")
        .or_else(|| first(libs(), "plpgsql.dylib"))
        .or_else(|| first(libs(), ""))
        .unwrap_or_else(|| prefix.join("lib"));
    let mut shares = ["share/postgresql", "share/pgsql", "share"].map(|below| prefix.join(below)).to_vec();
    shares.extend(versioned("share"));
    // Debian: /usr/lib/postgresql/15 keeps its shared files in /usr/share/postgresql/15.
    // A relative prefix, the empty one too, says nothing of the directories above it.
    let here = if prefix.as_os_str().is_empty() { Path::new(".") } else { prefix };
    let whole = fs.canonicalize(here).unwrap_or_else(|_| prefix.to_owned());
    if let (Some(version), Some(lib)) = (whole.file_name(), whole.ancestors().nth(2))
        && let Some(usr) = lib.parent().filter(|_| lib.ends_with("lib"))
    {
        shares.push(usr.join("share/postgresql").join(version));
    }
    let sharedir = first(shares.clone(), "postgres.bki").or_else(|| first(shares, "extension"));
    Installation { server, pkglibdir, sharedir }
}

fn is_file(fs: &dyn Fs, path: &Path) -> bool {
    fs.metadata(path).is_ok_and(|metadata| metadata.kind == FileKind::File)
}

fn is_there(fs: &dyn Fs, path: &Path) -> bool {
    fs.metadata(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::MemoryFs;

    fn installation(fs: &MemoryFs, path: &str) -> Installation {
        find_installation(fs, Path::new(path)).unwrap()
    }

    #[test]
    fn debian() {
        let fs = MemoryFs::new()
            .file("/usr/lib/postgresql/15/bin/postgres", "")
            .file("/usr/lib/postgresql/15/lib/plpgsql.so", "")
            .file("/usr/share/postgresql/15/postgres.bki", "");
        let found = installation(&fs, "/usr/lib/postgresql/15/lib");
        assert_eq!(found.server, Path::new("/usr/lib/postgresql/15/bin/postgres"));
        assert_eq!(found.pkglibdir, Path::new("/usr/lib/postgresql/15/lib"));
        assert_eq!(found.sharedir.as_deref(), Some(Path::new("/usr/share/postgresql/15")));
    }

    #[test]
    fn fedora() {
        let fs = MemoryFs::new()
            .file("/usr/bin/postgres", "")
            .file("/usr/lib/libz.so.1", "")
            .file("/usr/lib64/pgsql/plpgsql.so", "")
            .file("/usr/share/pgsql/postgres.bki", "");
        let found = installation(&fs, "/usr/lib64/pgsql");
        assert_eq!(found.pkglibdir, Path::new("/usr/lib64/pgsql"));
        assert_eq!(found.sharedir.as_deref(), Some(Path::new("/usr/share/pgsql")));
    }

    #[test]
    fn homebrew_of_one_major() {
        let fs = MemoryFs::new()
            .file("/opt/homebrew/Cellar/postgresql@15/15.20/bin/postgres", "")
            .file("/opt/homebrew/Cellar/postgresql@15/15.20/lib/postgresql@15/plpgsql.so", "")
            .file("/opt/homebrew/Cellar/postgresql@15/15.20/share/postgresql@15/postgres.bki", "");
        let found = installation(&fs, "/opt/homebrew/Cellar/postgresql@15/15.20");
        assert!(found.pkglibdir.ends_with("15.20/lib/postgresql@15"), "{found:?}");
        assert!(found.sharedir.is_some_and(|share| share.ends_with("15.20/share/postgresql@15")));
    }

    #[test]
    fn source_prefix_and_relocatable_bundle() {
        let fs = MemoryFs::new()
            .file("/opt/pg/bin/postgres", "")
            .file("/opt/pg/lib/postgresql/plpgsql.so", "")
            .file("/opt/pg/share/postgresql/postgres.bki", "");
        let found = installation(&fs, "/opt/pg/lib/postgresql/plpgsql.so");
        assert_eq!(found.pkglibdir, Path::new("/opt/pg/lib/postgresql"));
        assert_eq!(found.sharedir.as_deref(), Some(Path::new("/opt/pg/share/postgresql")));
    }

    #[test]
    fn a_pg_config_leads_to_the_binary_beside_it() {
        let fs =
            MemoryFs::new().file("/usr/pgsql-17/bin/postgres", "").file("/usr/pgsql-17/bin/pg_config", "");
        let found = server_at(&fs, Path::new("/usr/pgsql-17/bin/pg_config")).unwrap();
        assert_eq!(found.server, Path::new("/usr/pgsql-17/bin/postgres"));
    }

    #[test]
    fn a_pg_config_alone_is_refused() {
        let fs = MemoryFs::new().file("/usr/bin/pg_config", "");
        let error = server_at(&fs, Path::new("/usr/bin/pg_config")).unwrap_err().to_string();
        assert!(error.contains("there is no postgres beside this pg_config"), "{error}");
    }
}
