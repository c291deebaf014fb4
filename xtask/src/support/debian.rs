//! Debian packages that a comparison needs. They are installed where that is possible (as root, with apt); anywhere
//! else the command says exactly what is missing and ends with exit status 2.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::command::{clean, exists, run, run_well};

/// Long enough for a few hundred packages over a slow line.
const INSTALL: Duration = Duration::from_mins(30);

const QUERY: Duration = Duration::from_mins(1);

/// Makes sure that every package of `wanted` is installed.
pub(crate) fn need(wanted: &[&str]) -> Result<()> {
    let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    need_all(&wanted)
}

/// [`need`] for a list that was computed.
pub(crate) fn need_all(wanted: &[String]) -> Result<()> {
    if !exists("dpkg-query") {
        bail!("this command needs a Debian system with: {}", wanted.join(" "));
    }
    let installed = installed()?;
    let missing: Vec<&str> =
        wanted.iter().map(String::as_str).filter(|name| !installed.contains(*name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root()? {
        bail!(
            "{} Debian package(s) are missing, and only root can install them; run\n  apt-get install --no-install-recommends {}",
            missing.len(),
            missing.join(" ")
        );
    }
    refresh_lists()?;
    eprintln!("installing {} Debian package(s)", missing.len());
    run_well(
        clean("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .args(&missing),
        INSTALL,
    )
    .with_context(|| format!("cannot install {}", missing.join(" ")))?;
    Ok(())
}

/// Every package that the lists offer whose name starts with `prefix`, debug symbols apart, in order.
pub(crate) fn offered(prefix: &str) -> Result<Vec<String>> {
    if !exists("apt-cache") {
        bail!("this command needs a Debian system: apt-cache is missing");
    }
    let names = || -> Result<Vec<String>> {
        let listed = run_well(clean("apt-cache").args(["pkgnames", prefix]), QUERY)?.stdout();
        let mut names: Vec<String> =
            listed.lines().filter(|name| !name.ends_with("-dbgsym")).map(str::to_owned).collect();
        names.sort();
        Ok(names)
    };
    let found = names()?;
    // A fresh image has no lists at all.
    if found.is_empty() && is_root()? {
        refresh_lists()?;
        return names();
    }
    Ok(found)
}

/// Downloads the package lists where there are none.
fn refresh_lists() -> Result<()> {
    let has_lists = std::fs::read_dir("/var/lib/apt/lists").is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.path().to_string_lossy().contains("Packages"))
    });
    if !has_lists {
        run_well(clean("apt-get").args(["update", "--quiet"]), INSTALL)
            .context("cannot read package lists")?;
    }
    Ok(())
}

/// Whether this process may install packages and change its root directory.
pub(crate) fn is_root() -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    // /proc/self belongs to the effective user.
    let metadata = std::fs::metadata("/proc/self").context("cannot read /proc/self")?;
    Ok(metadata.uid() == 0)
}

/// The names of all installed packages.
fn installed() -> Result<BTreeSet<String>> {
    let listed =
        run_well(clean("dpkg-query").args(["-W", "-f", "${db:Status-Abbrev} ${Package}\n"]), QUERY)?.stdout();
    Ok(listed
        .lines()
        .filter_map(|line| line.strip_prefix("ii "))
        .map(|name| name.trim().to_owned())
        .collect())
}

/// The package and version that a file comes from, to be printed beside figures.
pub(crate) fn version_of(package: &str) -> String {
    if !Path::new("/var/lib/dpkg").is_dir() {
        return "unknown".to_owned();
    }
    run(clean("dpkg-query").args(["-W", "-f", "${Version}", package]), QUERY)
        .map_or_else(|_| "unknown".to_owned(), |finished| finished.stdout())
}
