//! Which installation of PostgreSQL a path belongs to. The known layouts are recognised, none is configured, and
//! nothing is executed: `pg_config` would tell, but it may be for another machine and is not trusted to run.

mod names;
mod stage;

use std::collections::HashMap;
use std::iter;
use std::path::{Path, PathBuf};

pub(super) use self::names::is_layout_directory;
pub(crate) use self::names::named_pkglibdir;
use self::names::{is_number, is_product};
pub(crate) use self::stage::staged_root;
use crate::error::{Error, os_text};
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
    Installations::new(fs).above(path)
}

/// Looks for the installations of many paths, and into each directory once.
pub struct Installations<'a> {
    fs: &'a dyn Fs,
    by_prefix: HashMap<PathBuf, Option<Installation>>,
}

impl<'a> Installations<'a> {
    /// Nothing was looked into so far.
    pub fn new(fs: &'a dyn Fs) -> Self {
        Self { fs, by_prefix: HashMap::new() }
    }

    /// [`find_installation`].
    pub fn above(&mut self, path: &Path) -> Option<Installation> {
        path.ancestors().take(LEVELS).find_map(|prefix| {
            if let Some(known) = self.by_prefix.get(prefix) {
                return known.clone();
            }
            let found = at_prefix(self.fs, prefix);
            self.by_prefix.insert(prefix.to_owned(), found.clone());
            found
        })
    }
}

/// What `--server` names: the binary, a prefix, or a `pg_config` beside the binary. An error says what is at the path
/// instead; whether the file is a server is not looked at here.
pub fn server_at(fs: &dyn Fs, path: &Path) -> Result<Installation, Error> {
    let refuse = |seen: &str| Error::Path {
        what: "no PostgreSQL server at",
        path: path.to_owned(),
        seen: seen.to_owned(),
        advice: "name the postgres binary, its installation prefix, or the pg_config beside it",
    };
    let metadata = fs.metadata(path).map_err(|error| refuse(&os_text(&error)))?;
    if metadata.kind == FileKind::Directory {
        return at_prefix(fs, path)
            .or_else(|| at_prefix(fs, path.parent()?).filter(|_| path.ends_with("bin")))
            .ok_or_else(|| refuse("it has no bin/postgres"));
    }
    // A symbolic link such as /usr/bin/postgres leads to the installation.
    let resolved = fs.canonicalize(path).map_err(|error| refuse(&os_text(&error)))?;
    let binary = if resolved.file_name().is_some_and(|name| name == "pg_config") {
        let sibling = resolved.with_file_name("postgres");
        if !is_file(fs, &sibling) {
            return Err(refuse("there is no postgres beside this pg_config, which is not executed"));
        }
        sibling
    } else {
        resolved
    };
    if let Some(found) = in_libexec(fs, &binary) {
        return Ok(found);
    }
    if binary.parent().is_some_and(|directory| directory.ends_with("bin"))
        && let Some(prefix) = binary.parent().and_then(Path::parent)
    {
        let wrapped = Some(binary.with_file_name(WRAPPED)).filter(|wrapped| is_file(fs, wrapped));
        return Ok(with_directories(fs, prefix, wrapped.unwrap_or_else(|| binary.clone())));
    }
    let directory = binary.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(Installation { server: binary, pkglibdir: directory, sharedir: None })
}

/// Where nixpkgs moves the binary (`wrapProgram`); what stands in its place says by NIX_PGLIBDIR that the prefix around it
/// counts.
const WRAPPED: &str = ".postgres-wrapped";

fn at_prefix(fs: &dyn Fs, prefix: &Path) -> Option<Installation> {
    let server = [WRAPPED, "postgres"].map(|name| prefix.join("bin").join(name));
    match server.into_iter().find(|server| is_file(fs, server)) {
        Some(server) => {
            let behind = fs.canonicalize(&server).ok().and_then(|binary| in_libexec(fs, &binary));
            Some(behind.unwrap_or_else(|| with_directories(fs, prefix, server)))
        }
        None => of_part(fs, prefix),
    }
}

/// Alpine: `libexec/postgresql15/postgres`, to which `bin/postgres` is a link for one of several majors, has its modules in
/// `lib/postgresql15` and its shared files in `share/postgresql15`.
fn in_libexec(fs: &dyn Fs, binary: &Path) -> Option<Installation> {
    let directory = binary.parent()?;
    let (name, libexec) = (directory.file_name()?, directory.parent()?);
    if !libexec.ends_with("libexec") || !is_file(fs, binary) {
        return None;
    }
    let part = |below: &str| Some(libexec.parent()?.join(below).join(name)).filter(|part| is_there(fs, part));
    let pkglibdir = part("lib").or_else(|| part("lib64"))?;
    Some(Installation { server: binary.to_owned(), pkglibdir, sharedir: part("share") })
}

/// The installation of a directory with modules or shared files that is not below the prefix of its server: Alpine's; and the
/// shared files of Debian (`share/postgresql/15` of `lib/postgresql/15`), openSUSE and Gentoo (`share/postgresql15` of
/// `lib/postgresql15`).
fn of_part(fs: &dyn Fs, part: &Path) -> Option<Installation> {
    let (name, kind) = (part.file_name()?, part.parent()?);
    let usr = kind.parent()?;
    let found = if kind.ends_with("libexec") {
        in_libexec(fs, &part.join("postgres"))
    } else if is_number(name.as_encoded_bytes()) && kind.ends_with("share/postgresql") {
        let prefix = usr.parent()?.join("lib/postgresql").join(name);
        is_file(fs, &prefix.join("bin/postgres")).then(|| at_prefix(fs, &prefix)).flatten()
    } else if is_product(name.as_encoded_bytes())
        && ["lib", "lib64", "share"].iter().any(|it| kind.ends_with(it))
    {
        let prefixes = ["lib", "lib64"].map(|below| usr.join(below).join(name));
        let has_server = |prefix: &&PathBuf| is_file(fs, &prefix.join("bin/postgres"));
        in_libexec(fs, &usr.join("libexec").join(name).join("postgres"))
            .or_else(|| prefixes.iter().find(has_server).and_then(|prefix| at_prefix(fs, prefix)))
    } else {
        None
    };
    let is_part = |found: &Installation| {
        let parts = [Some(&found.server), Some(&found.pkglibdir), found.sharedir.as_ref()];
        parts.into_iter().flatten().any(|found| found.starts_with(part))
    };
    found.filter(is_part)
}

/// An installation whose directories are the first ones that are there.
fn with_directories(fs: &dyn Fs, prefix: &Path, server: PathBuf) -> Installation {
    let is_marked = |candidate: &PathBuf, marker: &str| is_there(fs, &candidate.join(marker));
    // Every server ships plpgsql; without it, the first directory that is there.
    let pkglibdir = ["plpgsql.so", "plpgsql.dylib", ""]
        .into_iter()
        .find_map(|marker| pkglibdirs(fs, prefix).find(|candidate| is_marked(candidate, marker)))
        .unwrap_or_else(|| prefix.join("lib"));
    let shares = sharedirs(fs, prefix);
    let sharedir = ["postgres.bki", "extension"]
        .into_iter()
        .find_map(|marker| shares.iter().find(|candidate| is_marked(candidate, marker)).cloned());
    Installation { server, pkglibdir, sharedir }
}

/// Where a prefix may have its modules: in `lib/postgresql`, unless its name says "postgres" or "pgsql" already
/// (src/Makefile.global.in), which Debian and PGDG shorten to `lib`.
fn pkglibdirs<'a>(fs: &'a dyn Fs, prefix: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
    // Fedora's are called pgsql.
    let plain = ["lib/postgresql", "lib64/postgresql", "lib64/pgsql", "lib/pgsql", "lib", "lib64"];
    let plain = plain.map(|below| prefix.join(below));
    plain.into_iter().chain(iter::once_with(move || versioned(fs, &prefix.join("lib"))).flatten())
}

/// Homebrew's formulas of one major: lib/postgresql@15 and share/postgresql@15. Directories are listed only where the plain
/// names lead to nothing.
fn versioned(fs: &dyn Fs, directory: &Path) -> Vec<PathBuf> {
    let entries = fs.read_dir(directory).unwrap_or_default();
    let names = entries.into_iter().map(|entry| entry.name);
    let names = names.filter(|name| name.as_encoded_bytes().starts_with(b"postgresql@"));
    names.map(|name| directory.join(name)).collect()
}

/// Where a prefix may have its shared files.
fn sharedirs(fs: &dyn Fs, prefix: &Path) -> Vec<PathBuf> {
    let mut shares = ["share/postgresql", "share/pgsql", "share"].map(|below| prefix.join(below)).to_vec();
    shares.extend(versioned(fs, &prefix.join("share")));
    // A relative prefix, the empty one too, says nothing of the directories above it.
    let here = if prefix.as_os_str().is_empty() { Path::new(".") } else { prefix };
    let whole = fs.canonicalize(here).unwrap_or_else(|_| prefix.to_owned());
    // The name with its links first: a binary that moved behind one has its directories compiled in
    // (src/port/path.c, make_relative_path).
    for prefix in [here, &whole] {
        // openSUSE and Gentoo: /usr/lib/postgresql15 and /usr/share/postgresql15.
        if let (Some(name), Some(lib)) = (prefix.file_name(), prefix.parent())
            && let Some(usr) = lib.parent().filter(|_| lib.ends_with("lib") || lib.ends_with("lib64"))
        {
            shares.push(usr.join("share").join(name));
        }
        // Debian: /usr/lib/postgresql/15 keeps its shared files in /usr/share/postgresql/15.
        if let (Some(version), Some(lib)) = (prefix.file_name(), prefix.ancestors().nth(2))
            && let Some(usr) = lib.parent().filter(|_| lib.ends_with("lib"))
        {
            shares.push(usr.join("share/postgresql").join(version));
        }
    }
    shares
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

    fn parts(server: &str, pkglibdir: &str, sharedir: &str) -> Installation {
        Installation { server: server.into(), pkglibdir: pkglibdir.into(), sharedir: Some(sharedir.into()) }
    }

    #[test]
    fn debian() {
        let fs = MemoryFs::new()
            .file("/usr/lib/postgresql/15/bin/postgres", "")
            .file("/usr/lib/postgresql/15/lib/plpgsql.so", "")
            .file("/usr/share/postgresql/15/postgres.bki", "");
        assert_eq!(
            installation(&fs, "/usr/lib/postgresql/15/lib"),
            parts(
                "/usr/lib/postgresql/15/bin/postgres",
                "/usr/lib/postgresql/15/lib",
                "/usr/share/postgresql/15"
            )
        );
    }

    #[test]
    fn debian_behind_a_link_keeps_the_shared_files_that_it_was_built_for() {
        let fs = MemoryFs::new()
            .file("/opt/pg/15/bin/postgres", "")
            .file("/opt/pg/15/lib/plpgsql.so", "")
            .symlink("/usr/lib/postgresql", "/opt/pg")
            .file("/usr/share/postgresql/15/postgres.bki", "");
        assert_eq!(
            installation(&fs, "/usr/lib/postgresql/15"),
            parts(
                "/usr/lib/postgresql/15/bin/postgres",
                "/usr/lib/postgresql/15/lib",
                "/usr/share/postgresql/15"
            )
        );
    }

    #[test]
    fn alpine() {
        let major = |fs: MemoryFs, major: u32| {
            fs.file(format!("/usr/libexec/postgresql{major}/postgres"), "")
                .file(format!("/usr/lib/postgresql{major}/plpgsql.so"), "")
                .file(format!("/usr/share/postgresql{major}/extension/plpgsql.control"), "")
        };
        let fs = major(major(MemoryFs::new(), 15), 16)
            .symlink("/usr/bin/postgres", "../libexec/postgresql16/postgres")
            .file("/usr/lib/libz.so.1", "");
        let of = |major: u32| {
            parts(
                &format!("/usr/libexec/postgresql{major}/postgres"),
                &format!("/usr/lib/postgresql{major}"),
                &format!("/usr/share/postgresql{major}"),
            )
        };
        assert_eq!(installation(&fs, "/usr/lib/postgresql15/x.so"), of(15));
        assert_eq!(installation(&fs, "/usr/share/postgresql15/extension"), of(15));
        assert_eq!(installation(&fs, "/usr/libexec/postgresql15/postgres"), of(15));
        assert_eq!(installation(&fs, "/usr"), of(16));
        assert_eq!(server_at(&fs, Path::new("/usr/bin/postgres")).unwrap(), of(16));
    }

    #[test]
    fn shared_files_lead_to_the_server_beside_them() {
        let fs = MemoryFs::new()
            .file("/usr/lib/postgresql/15/bin/postgres", "")
            .file("/usr/lib/postgresql/15/lib/plpgsql.so", "")
            .file("/usr/share/postgresql/15/extension/x.control", "")
            .file("/usr/share/postgresql/16/extension/x.control", "")
            // openSUSE and Gentoo.
            .file("/suse/usr/lib/postgresql15/bin/postgres", "")
            .file("/suse/usr/lib/postgresql15/lib/plpgsql.so", "")
            .file("/suse/usr/share/postgresql15/extension/x.control", "")
            .file("/gentoo/usr/lib64/postgresql-15/bin/postgres", "")
            .file("/gentoo/usr/lib64/postgresql-15/lib64/plpgsql.so", "")
            .file("/gentoo/usr/share/postgresql-15/extension/x.control", "");
        for (share, lib) in [
            ("/usr/share/postgresql/15", "/usr/lib/postgresql/15/lib"),
            ("/suse/usr/share/postgresql15", "/suse/usr/lib/postgresql15/lib"),
            ("/gentoo/usr/share/postgresql-15", "/gentoo/usr/lib64/postgresql-15/lib64"),
        ] {
            let found = installation(&fs, &format!("{share}/extension/x.control"));
            assert_eq!(found.sharedir.as_deref(), Some(Path::new(share)));
            assert_eq!(found.pkglibdir, Path::new(lib));
            assert_eq!(installation(&fs, lib), found);
        }
        assert_eq!(find_installation(&fs, Path::new("/usr/share/postgresql/16/extension")), None);
    }

    #[test]
    fn nixpkgs_wraps_the_binary() {
        let fs = MemoryFs::new()
            .file("/nix/store/1-pg/bin/postgres", "#!/bin/sh")
            .file("/nix/store/1-pg/bin/.postgres-wrapped", "")
            .file("/nix/store/1-pg/lib/plpgsql.so", "");
        let found = installation(&fs, "/nix/store/1-pg/lib");
        assert_eq!(found.server, Path::new("/nix/store/1-pg/bin/.postgres-wrapped"));
        assert_eq!(server_at(&fs, Path::new("/nix/store/1-pg/bin/postgres")).unwrap(), found);
    }

    #[test]
    fn fedora() {
        let fs = MemoryFs::new()
            .file("/usr/bin/postgres", "")
            .file("/usr/lib/libz.so.1", "")
            .file("/usr/lib64/pgsql/plpgsql.so", "")
            .file("/usr/share/pgsql/postgres.bki", "");
        assert_eq!(
            installation(&fs, "/usr/lib64/pgsql"),
            parts("/usr/bin/postgres", "/usr/lib64/pgsql", "/usr/share/pgsql")
        );
    }

    #[test]
    fn homebrew_of_one_major() {
        let keg = |below: &str| format!("/opt/homebrew/Cellar/postgresql@15/15.20/{below}");
        let [server, lib, share] = ["bin/postgres", "lib/postgresql@15", "share/postgresql@15"].map(keg);
        let fs = MemoryFs::new()
            .file(&server, "")
            .file(format!("{lib}/plpgsql.so"), "")
            .file(format!("{share}/postgres.bki"), "");
        assert_eq!(installation(&fs, &keg("")), parts(&server, &lib, &share));
    }

    #[test]
    fn source_prefix_and_relocatable_bundle() {
        let fs = MemoryFs::new()
            .file("/opt/pg/bin/postgres", "")
            .file("/opt/pg/lib/postgresql/plpgsql.so", "")
            .file("/opt/pg/share/postgresql/postgres.bki", "");
        assert_eq!(
            installation(&fs, "/opt/pg/lib/postgresql/plpgsql.so"),
            parts("/opt/pg/bin/postgres", "/opt/pg/lib/postgresql", "/opt/pg/share/postgresql")
        );
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
