//! The question that a tree answers: which server, which loader, how much of each file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::discover::standing;
use crate::error::Error;
use crate::extension::ExtensionSettings;
use crate::fs::{FileKind, Fs};
use crate::model::MachArch;
use crate::parse::Facets;
use crate::resolve::LoaderOptions;

/// The question: which files, under which process.
#[derive(Clone, Default)]
pub struct Settings {
    /// The server.
    pub server: ServerChoice,
    /// How much of each file is read.
    pub reading: Reading,
    /// What the process's environment says, and which C library it has.
    pub loader: LoaderOptions,
    /// The names of `shared_preload_libraries`, in order, as [`preload_names`](crate::extension::preload_names) reads
    /// the setting.
    pub preload: Vec<String>,
    /// The major version that modules should be for, where no server says it.
    pub pg_major: Option<u32>,
    /// The newest glibc that modules may ask for.
    pub max_glibc: Option<(u32, u32)>,
    /// How much of control files and scripts is read, and where the server looks for them.
    pub extensions: ExtensionSettings,
    /// Where the relative ones of the given paths stand, those of these settings included: an absolute directory, such as
    /// [`std::env::current_dir`]. A server opens modules by absolute path, so without this a relative path is refused.
    pub working_directory: Option<PathBuf>,
    /// The architecture that universal files are loaded for; every one of the server's where none is named.
    pub arch: Option<MachArch>,
    /// A macOS SDK, whose stubs tell which libraries the system has.
    pub sdk: Option<PathBuf>,
    /// Told of each finished file: how many are done, how many there are.
    pub progress: Option<Arc<dyn Fn(usize, usize) + Send + Sync>>,
}

impl Settings {
    /// Where a path of the question stands.
    pub(super) fn standing(&self, fs: &dyn Fs, path: &Path) -> PathBuf {
        standing(fs, path, self.working_directory.as_deref())
    }

    /// Fails where a path of the question is relative and nothing says where it stands: what is above a module, and
    /// what its `$ORIGIN` is, could not be told, and half of an answer looks like a whole one.
    pub(super) fn refuse_relative(&self, roots: &[PathBuf]) -> Result<(), Error> {
        let server = match &self.server {
            ServerChoice::At(path) | ServerChoice::DetectOr(path) => Some(path),
            ServerChoice::Detect | ServerChoice::Version(_) | ServerChoice::None => None,
        };
        let search = &self.extensions.search;
        let directories = [&search.sharedir, &search.pkglibdir, &self.sdk].into_iter().flatten();
        let stands = self.working_directory.as_ref().is_some_and(|directory| directory.is_absolute());
        let relative = |path: &&PathBuf| !stands && path.is_relative();
        match roots.iter().chain(server).chain(directories).find(relative) {
            None => Ok(()),
            Some(path) => Err(Error::Path {
                what: "cannot place",
                path: path.clone(),
                seen: "it is relative, and Settings::working_directory is not the absolute directory in which it stands"
                    .to_owned(),
                advice: "name an absolute path, or set that",
            }),
        }
    }

    /// Makes every directory of these settings absolute. Fails where one is none.
    pub(super) fn stand(&mut self, fs: &dyn Fs) -> Result<(), Error> {
        let search = &mut self.extensions.search;
        let directories = [
            ("cannot use --sharedir", "name what pg_config --sharedir prints", &mut search.sharedir),
            ("cannot use --pkglibdir", "name what pg_config --pkglibdir prints", &mut search.pkglibdir),
            ("cannot use --sdk", "name what xcrun --show-sdk-path prints", &mut self.sdk),
        ];
        for (what, advice, directory) in directories {
            let Some(path) = directory else { continue };
            let standing = standing(fs, path, self.working_directory.as_deref());
            let seen = match fs.metadata(&standing) {
                Ok(metadata) if metadata.kind == FileKind::Directory => None,
                Ok(_) => Some("it is not a directory".to_owned()),
                Err(error) => Some(crate::error::os_text(&error)),
            };
            if let Some(seen) = seen {
                return Err(Error::Path { what, path: path.clone(), seen, advice });
            }
            *path = standing;
        }
        if let Some(sdk) = &self.sdk {
            let marks = ["SDKSettings.json", "SDKSettings.plist", "usr/lib", "System/Library"];
            if !marks.iter().any(|mark| fs.metadata(&sdk.join(mark)).is_ok()) {
                return Err(Error::Path {
                    what: "cannot use --sdk",
                    path: sdk.clone(),
                    seen: "it has neither SDKSettings.json nor usr/lib".to_owned(),
                    advice: "name what xcrun --show-sdk-path prints",
                });
            }
        }
        Ok(())
    }

    /// The tables of a tree's own files.
    pub(super) fn own(&self) -> Facets {
        match self.reading {
            Reading::Everything | Reading::Loading => Facets::RULES,
            Reading::Comparing => Facets::RULES | Facets::VALUES,
            Reading::Links => self.links(),
        }
    }

    /// The tables of everything else that a process loads: no notes, no section headers.
    pub(super) fn others(&self) -> Facets {
        match self.reading {
            Reading::Everything => Facets::RELOCATIONS,
            Reading::Loading | Reading::Comparing => Facets::SYMBOLS,
            Reading::Links => self.links(),
        }
    }

    /// Versions have no say in which file is found. They decide whether what is preloaded comes in, and they are half of
    /// what there is to read of a library whose symbols nobody asks for.
    fn links(&self) -> Facets {
        if self.preload.is_empty() { Facets::FILES } else { Facets::LINK }
    }

    /// Fails where a setting is given that a server of this major version does not have.
    pub(super) fn agree_with(&self, major: Option<u32>) -> Result<(), Error> {
        match (&self.extensions.search.extension_control_path, major) {
            (Some(path), Some(major)) if major < 18 => Err(Error::Value {
                option: "--extension-control-path",
                value: path.clone(),
                seen: format!("PostgreSQL {major} has no such setting, which came with 18"),
                advice: "leave it out, or name a server of 18 or later".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// How much of each file is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reading {
    /// Everything that rules look at.
    #[default]
    Everything,
    /// What loading needs: of libraries, which are many and large, no relocation. No rule is checked, and no collision
    /// looked for.
    Loading,
    /// What two builds are compared by: as [`Self::Loading`], with the sizes of what the tree's own files export.
    Comparing,
    /// What finds files: which a process loads, in which order, after which searches. No symbol is read, so
    /// nothing tells a module from a library ([`Role::Library`](super::Role::Library)), and no rule is checked.
    Links,
}

/// Which server loads the modules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ServerChoice {
    /// The one of the installation that the first path lies in, if it lies in one.
    #[default]
    Detect,
    /// The same, and where there is none, the one at this path.
    DetectOr(PathBuf),
    /// The one at this path: binary, prefix, `pg_config`, or a profile of it.
    At(PathBuf),
    /// The built-in profile of a major version.
    Version(u32),
    /// None: each file is its own process, as `ld.so --list` treats it.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::MemoryFs;
    use crate::tree::Tree;

    #[test]
    fn a_relative_path_that_stands_nowhere_is_refused() {
        let load = |root: &str, settings: &Settings| {
            let fs = MemoryFs::new().file("/srv/lib/x.so", "").file("lib/x.so", "");
            Tree::load(Arc::new(fs), &[root.into()], settings.clone()).map(|tree| tree.files().len())
        };
        let nowhere = Settings::default();
        let refused = load("lib", &nowhere).unwrap_err().to_string();
        assert!(refused.contains("lib") && refused.contains("Settings::working_directory"), "{refused}");
        assert!(load(".", &nowhere).is_err());
        assert_eq!(load("/srv/lib", &nowhere).unwrap(), 1);
        let of =
            |directory: &str| Settings { working_directory: Some(directory.into()), ..Settings::default() };
        assert_eq!(load("lib", &of("/srv")).unwrap(), 1);
        assert!(load("lib", &of("srv")).is_err());
        let server = Settings { server: ServerChoice::At("pg".into()), ..Settings::default() };
        assert!(load("/srv/lib", &server).unwrap_err().to_string().contains("pg"));
    }
}
