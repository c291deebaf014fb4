//! Another root directory: a small tree with its own libraries, absolute symbolic links and `ld.so.cache`, which the
//! real loader lists from inside, by `chroot`, and pgsym from outside, as for `--root`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use pgsym_core::fs::RealFs;
use pgsym_core::parse::Facets;
use pgsym_core::resolve::FileStore;
use tempfile::TempDir;

use super::listing::{Variant, listed_by_pgsym, normalise};
use super::{HOST_LOADER, tree_of};
use crate::support::command::{clean, exists, run, run_well};
use crate::support::debian;
use crate::support::report::Report;

/// Modules whose libraries the root gets: each with a different set.
const MODULES: [&str; 8] = [
    "plpgsql.so",
    "pgcrypto.so",
    "pllua.so",
    "sslinfo.so",
    "postgres_fdw.so",
    "uuid-ossp.so",
    "pgxml.so",
    "libpqwalreceiver.so",
];

const LIMIT: Duration = Duration::from_secs(30);

/// Lists the modules from inside and from outside.
pub(crate) fn compare() -> Result<Report> {
    let mut report = Report::default();
    if !debian::is_root()? || !exists("chroot") || !exists("ldconfig") {
        report.not_run("modules below another root: chroot and ldconfig need root privileges", MODULES.len());
        return Ok(report);
    }
    let root = TempDir::with_prefix("loader-root-")?;
    let listed = fill(root.path())?;
    let outside = RealFs::with_root(root.path())?;
    let store = Arc::new(FileStore::new(Arc::new(outside), Facets::LINK));
    for file in listed {
        let finished = run(clean("chroot").arg(root.path()).args([HOST_LOADER, "--list"]).arg(&file), LIMIT)?;
        let mut expected = normalise(&finished.stdout(), &finished.stderr(), &file);
        if expected.starts_with("error: ") {
            let finished = run(
                clean("chroot")
                    .arg(root.path())
                    .args(["/bin/env", "LD_TRACE_LOADED_OBJECTS=1", HOST_LOADER])
                    .arg(&file),
                LIMIT,
            )?;
            expected.push_str(&normalise(&finished.stdout(), &finished.stderr(), &file));
        }
        let found = listed_by_pgsym(&store, &file, &Variant::default());
        report.compared("lists below another root", 1);
        report.same(&format!("{} below another root", file.display()), &expected, &found);
    }
    Ok(report)
}

/// Fills the root, and says which files to list. A third of the libraries goes to a directory of `ld.so.conf`,
/// a third behind absolute links, one is left out, and the modules stand behind a linked directory.
fn fill(root: &Path) -> Result<Vec<PathBuf>> {
    let inside = |path: &str| root.join(path.trim_start_matches('/'));
    let make = |path: &str| -> Result<PathBuf> {
        let path = inside(path);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    };
    for directory in ["/etc", "/usr/lib64", "/usr/bin", "/opt/vendor/lib", "/opt/store", "/opt/pgsql/lib"] {
        make(directory)?;
    }
    for name in ["lib", "lib64", "bin"] {
        symlink(Path::new("/usr").join(name), inside(name))?;
    }
    let real_loader = fs::canonicalize(HOST_LOADER)?;
    let system = real_loader.parent().map(Path::to_owned).unwrap_or_default();
    let system = Path::new("/usr").join(system.strip_prefix("/usr").or_else(|_| system.strip_prefix("/"))?);
    let own = make(&system.display().to_string())?;
    let name = |path: &Path| path.file_name().unwrap_or_default().to_owned();
    fs::copy(&real_loader, own.join(name(&real_loader)))?;
    let loader_link = inside("/usr/lib64").join(name(Path::new(HOST_LOADER)));
    symlink(system.join(name(&real_loader)), loader_link)?;
    let mut libraries = BTreeSet::new();
    let modules = Path::new("/usr/lib/postgresql/15/lib");
    for module in MODULES {
        fs::copy(modules.join(module), inside("/opt/pgsql/lib").join(module))
            .with_context(|| format!("cannot copy {module}"))?;
        libraries.extend(tree_of(&modules.join(module))?);
    }
    // What lists the missing ones needs a program to set the environment with.
    fs::copy("/usr/bin/env", inside("/usr/bin/env"))?;
    libraries.extend(tree_of(Path::new("/usr/bin/env"))?);
    for (index, (soname, path)) in libraries.iter().enumerate() {
        let needs_own_place = soname.starts_with("libc.so") || soname.starts_with("ld-linux");
        match index % 3 {
            _ if soname.starts_with("libcrypto.so") => {}
            1 if !needs_own_place => {
                fs::copy(path, inside("/opt/vendor/lib").join(soname))?;
            }
            2 if !needs_own_place => {
                let stored = format!("/opt/store/{index}");
                fs::copy(path, inside(&stored))?;
                symlink(&stored, own.join(soname))?;
            }
            _ if own.join(soname).exists() => {}
            _ => {
                fs::copy(path, own.join(soname))?;
            }
        }
    }
    symlink("/opt/pgsql", inside("/usr/lib/pgsql"))?;
    fs::write(inside("/etc/ld.so.conf"), "/opt/vendor/lib\n")?;
    run_well(clean("ldconfig").arg("-r").arg(root), LIMIT)?;
    Ok(MODULES.iter().map(|module| Path::new("/usr/lib/pgsql/lib").join(module)).collect())
}
