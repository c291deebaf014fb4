//! Made-up extensions in the real server: some whose update scripts drop, rename, move and replace what earlier ones made
//! (`testdata/sql/chains`), and some that cannot be created (`testdata/sql/broken`). It finds control files beside its own program only, so a
//! copy of the program gets a tree of its own; everything else in it is linked.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use pgsym_core::extension::SearchSettings;

use super::Installed;
use crate::support::postgres::DEBIAN_PREFIX;
use crate::support::workspace;

/// The directories of Debian's PostgreSQL that its program finds from its own place.
const SHARE: &str = "/usr/share/postgresql/15";

/// Extensions of Debian that the made-up ones, or initdb, need.
const BORROWED: [&str; 2] = ["citext", "plpgsql"];

/// A server with the made-up extensions; removed when the value goes.
pub(super) struct Chains {
    directory: tempfile::TempDir,
}

impl Chains {
    /// Lays the tree out.
    pub(super) fn lay() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("pgsym-chains-").tempdir()?;
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
        let chains = Self { directory };
        let (prefix, share) = (chains.below(DEBIAN_PREFIX), chains.below(SHARE));
        for made in [prefix.join("bin"), share.join("extension")] {
            std::fs::create_dir_all(&made)?;
        }
        for program in ["postgres", "initdb", "pg_ctl", "psql"] {
            let from = Path::new(DEBIAN_PREFIX).join("bin").join(program);
            std::fs::copy(&from, prefix.join("bin").join(program))
                .with_context(|| format!("copy {}", from.display()))?;
        }
        link(&Path::new(DEBIAN_PREFIX).join("lib"), &prefix.join("lib"))?;
        for entry in std::fs::read_dir(SHARE)? {
            let entry = entry?;
            if entry.file_name() != "extension" {
                link(&entry.path(), &share.join(entry.file_name()))?;
            }
        }
        let is_borrowed = |name: &str| {
            BORROWED
                .iter()
                .any(|borrowed| name.strip_prefix(borrowed).is_some_and(|rest| rest.starts_with(['.', '-'])))
        };
        for entry in std::fs::read_dir(Path::new(SHARE).join("extension"))? {
            let entry = entry?;
            if is_borrowed(&entry.file_name().to_string_lossy()) {
                std::fs::copy(entry.path(), share.join("extension").join(entry.file_name()))?;
            }
        }
        for made_up in ["testdata/sql/chains", "testdata/sql/broken"] {
            for entry in std::fs::read_dir(workspace().join(made_up))? {
                let entry = entry?;
                let target = share.join("extension").join(entry.file_name());
                std::fs::copy(entry.path(), &target)?;
                std::fs::set_permissions(target, std::fs::Permissions::from_mode(0o644))?;
            }
        }
        Ok(chains)
    }

    fn below(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    /// The tree, and how it is asked about.
    pub(super) fn installed(&self) -> Installed {
        Installed {
            prefix: self.below(DEBIAN_PREFIX),
            roots: vec![self.below(SHARE)],
            search: SearchSettings::default(),
            settings: Vec::new(),
            can_preload: false,
        }
    }
}

fn link(from: &Path, to: &Path) -> Result<()> {
    symlink(from, to).with_context(|| format!("link {}", to.display()))
}
