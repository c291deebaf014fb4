//! Where control files, scripts and modules are looked for: the settings where they are given, and otherwise the
//! layouts that are recognised below the roots — an installation, a package's staging tree beside the installed server,
//! image volumes (one directory per extension with `share/extension` and `lib`), and one directory per
//! extension with its control file, `sql` and `lib`.

use std::path::{Path, PathBuf};

use super::inventory::Surroundings;
use super::library_path::control_directories;
use super::tree::{ControlDirectory, ScriptLayout};

use crate::fs::{FileKind, Fs};
use crate::name::path_bytes;

/// The settings that say where a server looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchSettings {
    /// `dynamic_library_path`.
    pub dynamic_library_path: Option<String>,
    /// `extension_control_path`, which 18 and later have.
    pub extension_control_path: Option<String>,
    /// In the place of the installation's `pg_config --sharedir`.
    pub sharedir: Option<PathBuf>,
    /// In the place of the installation's `pg_config --pkglibdir`.
    pub pkglibdir: Option<PathBuf>,
}

/// Where everything is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Directories with control files, in search order.
    pub control: Vec<ControlDirectory>,
    /// What `$libdir` stands for, in search order; empty when no installation says it and none can be guessed.
    pub libdirs: Vec<PathBuf>,
    /// `dynamic_library_path`.
    pub dynamic_library_path: Vec<u8>,
}

/// Finds the places, given the directories below the roots that hold control files.
pub(super) fn find_places(around: &Surroundings<'_>, settings: &SearchSettings, major: u32) -> Places {
    let (fs, installation) = (around.fs, around.installation);
    let sharedir =
        settings.sharedir.clone().or_else(|| installation.and_then(|found| found.sharedir.clone()));
    let pkglibdir = settings.pkglibdir.clone().or_else(|| installation.map(|found| found.pkglibdir.clone()));
    let system = sharedir.as_ref().map(|sharedir| sharedir.join("extension"));
    let is_directory = |path: &Path| fs.metadata(path).is_ok_and(|found| found.kind == FileKind::Directory);

    let mut found = Places::default();
    let mut library_directories: Vec<PathBuf> = Vec::new();
    for directory in around.control_directories {
        if system.as_ref().is_some_and(|system| is_same(fs, directory, system)) {
            continue; // it comes last, below
        }
        let layout = if is_directory(&directory.join("sql")) && !directory.ends_with("extension") {
            ScriptLayout::SqlSubdirectory
        } else {
            ScriptLayout::Beside
        };
        if let Some(stage) = stage_of(directory, system.as_deref()) {
            let staged = pkglibdir.as_ref().and_then(|libdir| libdir.strip_prefix("/").ok());
            found.libdirs.extend(staged.map(|libdir| stage.join(libdir)).filter(|path| is_directory(path)));
        } else {
            let near = libraries_near(directory);
            library_directories.extend(near.into_iter().find(|path| is_directory(path)));
        }
        found.control.push(ControlDirectory { path: directory.clone(), layout, is_setting: false });
    }
    library_directories.sort();
    library_directories.dedup();

    let path = settings.extension_control_path.as_deref().unwrap_or_default();
    if settings.extension_control_path.is_some() && major >= 18 {
        found.control.clear();
    }
    let given = control_directories(sharedir.as_deref(), path.as_bytes(), major);
    found.control.extend(given.into_iter().map(|path| ControlDirectory {
        path,
        layout: ScriptLayout::Beside,
        is_setting: true,
    }));
    found.libdirs.extend(pkglibdir);
    found.libdirs.dedup();
    found.dynamic_library_path = settings.dynamic_library_path.clone().map_or_else(
        || {
            let own = library_directories.iter().map(|directory| path_bytes(directory));
            own.chain([&b"$libdir"[..]]).collect::<Vec<_>>().join(&b':')
        },
        String::into_bytes,
    );
    // Where no installation is known the modules near the control files are what `$libdir` means: a staged package
    // that is asked about without its server, whose built-in profile knows no directories.
    if sharedir.is_none() && settings.pkglibdir.is_none() {
        found.libdirs.splice(0..0, library_directories);
    }
    found
}

fn is_same(fs: &dyn Fs, a: &Path, b: &Path) -> bool {
    a == b || matches!((fs.metadata(a), fs.metadata(b)), (Ok(a), Ok(b)) if a.id == b.id)
}

/// The root of a staging tree: `/stage` for `/stage/usr/share/postgresql/17/extension`, where the installed
/// directory is `/usr/share/postgresql/17/extension`.
fn stage_of(directory: &Path, system: Option<&Path>) -> Option<PathBuf> {
    let below = system?.strip_prefix("/").ok()?;
    if !directory.ends_with(below) {
        return None;
    }
    directory.ancestors().nth(below.components().count()).map(Path::to_owned)
}

/// Where the modules of a control directory can be, nearest first.
fn libraries_near(directory: &Path) -> Vec<PathBuf> {
    let mut near = Vec::new();
    if directory.ends_with("extension")
        && let Some(share) = directory.parent()
    {
        // VOLUME/share/extension and VOLUME/lib; PREFIX/share/postgresql/extension and PREFIX/lib/postgresql.
        for (above, below) in [(1, "lib/postgresql"), (1, "lib"), (2, "lib/postgresql"), (2, "lib")] {
            near.extend(share.ancestors().nth(above).map(|prefix| prefix.join(below)));
        }
        // Fedora: usr/share/pgsql/extension and usr/lib64/pgsql; openSUSE: usr/share/postgresql17/extension and
        // usr/lib/postgresql17/lib64; Alpine: the same and usr/lib/postgresql17.
        if let (Some(name), Some(prefix)) = (share.file_name(), share.ancestors().nth(2)) {
            let own = [("lib", "lib64"), ("lib", "lib"), ("lib64", ""), ("lib", "")];
            let own = own.map(|(lib, below)| prefix.join(lib).join(name).join(below));
            near.splice(0..0, own);
        }
        // STAGE/usr/share/postgresql/17/extension and STAGE/usr/lib/postgresql/17/lib.
        if let (Some(version), Some(usr)) = (share.file_name(), share.ancestors().nth(3)) {
            near.insert(0, usr.join("lib/postgresql").join(version).join("lib"));
        }
    } else {
        near.push(directory.join("lib"));
        near.push(directory.to_owned());
    }
    near
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::{Installation, discover};
    use crate::fs::MemoryFs;

    fn debian() -> (MemoryFs, Installation) {
        let fs = MemoryFs::new()
            .file("/usr/lib/postgresql/17/bin/postgres", "")
            .file("/usr/lib/postgresql/17/lib/plpgsql.so", "")
            .file("/usr/share/postgresql/17/extension/plpgsql.control", "");
        let installation = Installation {
            server: "/usr/lib/postgresql/17/bin/postgres".into(),
            pkglibdir: "/usr/lib/postgresql/17/lib".into(),
            sharedir: Some("/usr/share/postgresql/17".into()),
        };
        (fs, installation)
    }

    fn find_at(
        fs: &MemoryFs,
        roots: &[PathBuf],
        installation: Option<&Installation>,
        settings: &SearchSettings,
        major: u32,
    ) -> Places {
        let rooted = crate::discover::Roots::new(fs, roots, None);
        let around = Surroundings {
            fs,
            roots,
            control_directories: &discover(fs, &rooted).unwrap().control_directories,
            installation,
            major: Some(major),
            is_macos: false,
            open: &|_| Vec::new(),
        };
        find_places(&around, settings, major)
    }

    fn controls(places: &Places) -> Vec<&str> {
        places.control.iter().map(|directory| directory.path.to_str().unwrap()).collect()
    }

    #[test]
    fn an_installation_knows_its_own_places() {
        let (fs, installation) = debian();
        let roots = ["/usr/lib/postgresql/17/lib".into()];
        let places = find_at(&fs, &roots, Some(&installation), &SearchSettings::default(), 17);
        assert_eq!(controls(&places), ["/usr/share/postgresql/17/extension"]);
        assert_eq!(places.libdirs, [installation.pkglibdir]);
        assert_eq!(places.dynamic_library_path, b"$libdir");
    }

    #[test]
    fn a_staging_tree_goes_before_the_installed_server() {
        let (fs, installation) = debian();
        let fs = fs
            .file("/stage/usr/share/postgresql/17/extension/x.control", "")
            .file("/stage/usr/lib/postgresql/17/lib/x.so", "");
        let places = find_at(&fs, &["/stage".into()], Some(&installation), &SearchSettings::default(), 17);
        assert_eq!(
            controls(&places),
            ["/stage/usr/share/postgresql/17/extension", "/usr/share/postgresql/17/extension"]
        );
        assert_eq!(
            places.libdirs,
            ["/stage/usr/lib/postgresql/17/lib", "/usr/lib/postgresql/17/lib"].map(PathBuf::from)
        );
        // The same tree without a server.
        let places = find_at(&fs, &["/stage".into()], None, &SearchSettings::default(), 17);
        assert_eq!(places.libdirs, [PathBuf::from("/stage/usr/lib/postgresql/17/lib")]);
        // And with a built-in profile, which has no directories but the root.
        let profile = Installation { pkglibdir: "/stage".into(), sharedir: None, ..installation };
        let places = find_at(&fs, &["/stage".into()], Some(&profile), &SearchSettings::default(), 17);
        assert_eq!(places.libdirs, ["/stage/usr/lib/postgresql/17/lib", "/stage"].map(PathBuf::from));
    }

    #[test]
    fn distributions_have_directories_of_their_own() {
        for (share, lib) in [
            ("/stage/usr/share/pgsql", "/stage/usr/lib64/pgsql"),
            ("/stage/usr/share/postgresql17", "/stage/usr/lib/postgresql17/lib64"),
            ("/stage/usr/share/postgresql17", "/stage/usr/lib/postgresql17"),
            ("/stage/usr/share/postgresql", "/stage/usr/lib/postgresql"),
            ("/stage/usr/pgsql-17/share", "/stage/usr/pgsql-17/lib"),
            ("/stage/usr/local/pgsql/share", "/stage/usr/local/pgsql/lib"),
        ] {
            let fs = MemoryFs::new()
                .file(format!("{share}/extension/x.control"), "")
                .file(format!("{lib}/x.so"), "");
            let places = find_at(&fs, &["/stage".into()], None, &SearchSettings::default(), 17);
            assert_eq!(places.libdirs, [PathBuf::from(lib)], "{share}");
        }
    }

    #[test]
    fn image_volumes_are_searched_in_order() {
        let (fs, installation) = debian();
        let fs = fs
            .file("/extensions/b/share/extension/b.control", "")
            .file("/extensions/b/lib/b.so", "")
            .file("/extensions/a/share/extension/a.control", "")
            .file("/extensions/a/lib/a.so", "");
        let places =
            find_at(&fs, &["/extensions".into()], Some(&installation), &SearchSettings::default(), 18);
        assert_eq!(
            controls(&places),
            [
                "/extensions/a/share/extension",
                "/extensions/b/share/extension",
                "/usr/share/postgresql/17/extension"
            ]
        );
        assert_eq!(places.dynamic_library_path, b"/extensions/a/lib:/extensions/b/lib:$libdir");
    }

    #[test]
    fn one_directory_per_extension_keeps_scripts_in_sql() {
        let fs = MemoryFs::new()
            .file("/opt/pair/pair.control", "")
            .file("/opt/pair/sql/pair--1.0.sql", "")
            .file("/opt/pair/lib/pair.so", "");
        let places = find_at(&fs, &["/opt".into()], None, &SearchSettings::default(), 18);
        assert_eq!(places.control[0].layout, ScriptLayout::SqlSubdirectory);
        assert_eq!(places.dynamic_library_path, b"/opt/pair/lib:$libdir");
    }

    #[test]
    fn settings_are_taken_as_they_are() {
        let (fs, installation) = debian();
        let settings = SearchSettings {
            dynamic_library_path: Some("/x".into()),
            extension_control_path: Some("/y:$system".into()),
            sharedir: Some("/share".into()),
            pkglibdir: Some("/lib".into()),
        };
        let places = find_at(&fs, &["/usr".into()], Some(&installation), &settings, 18);
        assert_eq!(controls(&places), ["/y/extension", "/share/extension"]);
        assert_eq!((places.libdirs, places.dynamic_library_path), (vec!["/lib".into()], b"/x".to_vec()));
        // Without a server there is no `$system`; the rest is searched all the same.
        let settings = SearchSettings { sharedir: None, ..settings };
        assert_eq!(controls(&find_at(&fs, &["/usr".into()], None, &settings, 18)), ["/y/extension"]);
    }
}
