//! Where control files, scripts and modules are looked for: the settings where they are given, and otherwise the
//! layouts that are recognised below the roots — an installation, a package's staging tree beside the installed server,
//! image volumes (one directory per extension with `share/extension` and `lib`), and one directory per
//! extension with its control file, `sql` and `lib`.

use std::path::{Path, PathBuf};

use super::inventory::Surroundings;
use super::library_path::control_directories;
use super::name::{ControlName, control_name, script_name};
use super::tree::{ControlDirectory, ScriptLayout};
use crate::discover::{Installation, find_installation};
use crate::fs::{DirEntry, FileKind, Fs};
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
    /// What their extensions see, by [`ControlDirectory::site`]; the first is the server's own.
    pub sites: Vec<Site>,
}

/// What the extensions of one installation see: of two with one name at one site the earlier hides the later. A
/// staging tree is a site of its own, whose files stand in front of the server's, as the finished installation will hold
/// both; so is each installation below the roots that is not the server's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Site {
    /// What `$libdir` stands for, in search order; empty when no installation says it and none can be guessed.
    pub libdirs: Vec<PathBuf>,
    /// `dynamic_library_path`.
    pub dynamic_library_path: Vec<u8>,
    /// `pg_config --sharedir` of its server, where that is known.
    pub sharedir: Option<PathBuf>,
    /// Whether it is an installation with a server of its own, which sees nothing of the other sites.
    pub is_installation: bool,
    /// Whether all control files that its server has are known, and not only those of a package.
    pub has_all_extensions: bool,
    /// Whether all modules that its server has are known.
    pub has_all_modules: bool,
}

impl Site {
    /// A site where nothing is.
    pub(super) const NOTHING: Self = Self {
        libdirs: Vec::new(),
        dynamic_library_path: Vec::new(),
        sharedir: None,
        is_installation: false,
        has_all_extensions: false,
        has_all_modules: false,
    };
}

/// A control directory below the roots with a site of its own.
struct Own<'a> {
    directory: &'a Path,
    libdir: Option<PathBuf>,
    /// Of an installation with a server.
    sharedir: Option<PathBuf>,
}

/// Where the scripts of the extensions of a directory are: beside the control files, or in `sql`. The source tree of an
/// extension that is built with PGXS usually has them beside and keeps its regression tests in `sql`.
fn layout_of(fs: &dyn Fs, directory: &Path) -> ScriptLayout {
    let sql = fs.read_dir(&directory.join("sql")).unwrap_or_default();
    if sql.is_empty() || directory.ends_with("extension") {
        return ScriptLayout::Beside;
    }
    let beside = fs.read_dir(directory).unwrap_or_default();
    let name = |entry: &DirEntry| path_bytes(Path::new(&entry.name)).to_vec();
    let beside: Vec<Vec<u8>> = beside.iter().map(name).collect();
    let extensions: Vec<&[u8]> = beside
        .iter()
        .filter_map(|file| match control_name(file)? {
            ControlName::Primary(extension) => Some(extension),
            ControlName::Secondary(..) => None,
        })
        .collect();
    let is_script =
        |file: &Vec<u8>| extensions.iter().any(|extension| script_name(extension, file).is_some());
    if beside.iter().any(is_script) && !sql.iter().map(name).any(|file| is_script(&file)) {
        ScriptLayout::Beside
    } else {
        ScriptLayout::SqlSubdirectory
    }
}

/// Finds the places, given the directories below the roots that hold control files.
pub(super) fn find_places(around: &Surroundings<'_>, settings: &SearchSettings, major: u32) -> Places {
    let (fs, installation) = (around.fs, around.installation);
    let sharedir =
        settings.sharedir.clone().or_else(|| installation.and_then(|found| found.sharedir.clone()));
    let pkglibdir = settings.pkglibdir.clone().or_else(|| installation.map(|found| found.pkglibdir.clone()));
    let system = sharedir.as_ref().map(|sharedir| sharedir.join("extension"));
    let is_directory = |path: &Path| fs.metadata(path).is_ok_and(|found| found.kind == FileKind::Directory);
    let is_path_given = settings.extension_control_path.is_some() && major >= 18;

    let mut found = Places::default();
    let mut volumes: Vec<PathBuf> = Vec::new();
    let mut own: Vec<Own<'_>> = Vec::new();
    for directory in around.control_directories {
        if system.as_ref().is_some_and(|system| is_same(fs, directory, system)) {
            continue; // it comes last, below
        }
        let layout = layout_of(fs, directory);
        let near = || libraries_near(directory).into_iter().find(|path| is_directory(path));
        let stage = stage_of(directory, sharedir.as_deref(), pkglibdir.as_deref());
        // Before 18 a server finds a control file nowhere but in its own directory: what is elsewhere is on its
        // way there.
        let site = if let Some(other) = installation_of(fs, directory) {
            own.push(Own { directory, libdir: Some(other.pkglibdir), sharedir: other.sharedir });
            own.len()
        } else if stage.is_some() || system.is_none() || major < 18 {
            let libdir = stage.filter(|path| is_directory(path)).or_else(near);
            own.push(Own { directory, libdir, sharedir: None });
            own.len()
        } else {
            volumes.extend(near());
            0
        };
        found.control.push(ControlDirectory { path: directory.clone(), layout, is_setting: false, site });
    }
    if is_path_given {
        // What the setting names is one installation, with what is staged for it.
        found.control.clear();
    }
    let path = settings.extension_control_path.as_deref().unwrap_or_default();
    let given = control_directories(sharedir.as_deref(), path.as_bytes(), major);
    found.control.extend(given.into_iter().map(|path| ControlDirectory {
        path,
        layout: ScriptLayout::Beside,
        is_setting: true,
        site: 0,
    }));

    // The directories of a profile, or of a server of which a package's tree is the root, hold what the package
    // brings; what every server ships tells the whole installation.
    let is_there = |directory: &Option<PathBuf>, names: &[&str]| {
        let directory = directory.as_ref();
        directory.is_some_and(|path| names.iter().any(|name| fs.metadata(&path.join(name)).is_ok()))
    };
    let has_all_modules =
        settings.pkglibdir.is_some() || is_there(&pkglibdir, &["plpgsql.so", "plpgsql.dylib"]);
    let has_all_extensions =
        settings.sharedir.is_some() || is_there(&sharedir, &["postgres.bki", "extension/plpgsql.control"]);
    let searched = |directories: &[PathBuf]| match &settings.dynamic_library_path {
        Some(path) => path.clone().into_bytes(),
        None => {
            let directories = directories.iter().map(|directory| path_bytes(directory));
            directories.chain([&b"$libdir"[..]]).collect::<Vec<_>>().join(&b':')
        }
    };
    let site_of = |own_first: Vec<PathBuf>, directories: &[PathBuf]| Site {
        libdirs: distinct(own_first.into_iter().chain(pkglibdir.clone())),
        dynamic_library_path: searched(directories),
        sharedir: sharedir.clone(),
        is_installation: false,
        has_all_extensions,
        has_all_modules,
    };
    volumes.sort();
    volumes.dedup();
    let staged = |all: bool| own.iter().filter(move |own| all && own.sharedir.is_none());
    // Without control files of the tree's own, nothing tells what else `$libdir` could be.
    let for_server = staged(is_path_given || system.is_none()).filter_map(|own| own.libdir.clone()).collect();
    found.sites.push(site_of(for_server, &volumes));
    if !is_path_given {
        let named = settings.dynamic_library_path.as_deref().unwrap_or_default();
        let is_named =
            |path: &Path| named.as_bytes().split(|&b| b == b':').any(|piece| piece == path_bytes(path));
        // `--pkglibdir` alone says what `$libdir` is.
        let is_libdir_given = sharedir.is_none() && settings.pkglibdir.is_some();
        for site in &own {
            let near = site.libdir.iter().cloned();
            if site.sharedir.is_some() {
                found.sites.push(Site {
                    libdirs: near.collect(),
                    dynamic_library_path: searched(&[]),
                    sharedir: site.sharedir.clone(),
                    is_installation: true,
                    has_all_extensions: true,
                    has_all_modules: true,
                });
                continue;
            }
            // A package may leave its modules to another one beside it, which goes to the same directory.
            let others = staged(true).filter(|other| is_for_same_directory(site, other));
            let libdirs = near.chain(others.filter_map(|other| other.libdir.clone()));
            let libdirs = libdirs.filter(|path| !is_libdir_given && !is_named(path)).collect();
            let is_searched = system.is_none() && major >= 18;
            let along = site.libdir.iter().filter(|_| is_searched || is_libdir_given).cloned();
            found.sites.push(site_of(libdirs, &along.collect::<Vec<_>>()));
        }
    }
    found
}

fn is_same(fs: &dyn Fs, a: &Path, b: &Path) -> bool {
    a == b || matches!((fs.metadata(a), fs.metadata(b)), (Ok(a), Ok(b)) if a.id == b.id)
}

fn distinct(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// The installation of which a directory is the one with the control files.
fn installation_of(fs: &dyn Fs, directory: &Path) -> Option<Installation> {
    let found = find_installation(fs, directory)?;
    let system = found.sharedir.as_ref()?.join("extension");
    is_same(fs, &system, directory).then_some(found)
}

/// Whether the modules of two control directories lie in the same direction: `../../../lib/postgresql/17/lib` from
/// both.
fn is_for_same_directory(one: &Own<'_>, other: &Own<'_>) -> bool {
    let way = |own: &Own<'_>| {
        let libdir = own.libdir.as_ref()?;
        let above = own.directory.ancestors().find(|above| libdir.starts_with(above))?;
        libdir.strip_prefix(above).ok().map(Path::to_owned)
    };
    one.libdir.is_none() || way(one) == way(other)
}

/// The module directory of a staging tree: `/stage/usr/lib/postgresql/17/lib` for
/// `/stage/usr/share/postgresql/17/extension`, where the server has the two below `usr` or any other prefix.
fn stage_of(directory: &Path, sharedir: Option<&Path>, pkglibdir: Option<&Path>) -> Option<PathBuf> {
    let (system, pkglibdir) = (sharedir?.join("extension"), pkglibdir?);
    let whole = system.strip_prefix("/").ok().zip(pkglibdir.strip_prefix("/").ok());
    let prefix = system.ancestors().find(|above| pkglibdir.starts_with(above))?;
    let below = |above: &Path| Some((system.strip_prefix(above).ok()?, pkglibdir.strip_prefix(above).ok()?));
    // `share/extension` and `lib` alone are those of an image volume too: the prefix has to have the same name.
    let tails = below(prefix).filter(|(share, _)| share.components().count() > 2);
    let tails = tails.or_else(|| below(prefix.parent()?).filter(|(share, _)| share.components().count() > 2));
    for (share, lib) in [whole, tails].into_iter().flatten() {
        if directory.ends_with(share) {
            let stage = directory.ancestors().nth(share.components().count())?;
            return Some(stage.join(lib));
        }
    }
    None
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
        };
        find_places(&around, settings, major)
    }

    fn controls(places: &Places) -> Vec<&str> {
        places.control.iter().map(|directory| directory.path.to_str().unwrap()).collect()
    }

    fn sites(places: &Places) -> Vec<usize> {
        places.control.iter().map(|directory| directory.site).collect()
    }

    #[test]
    fn an_installation_knows_its_own_places() {
        let (fs, installation) = debian();
        let roots = ["/usr/lib/postgresql/17/lib".into()];
        let places = find_at(&fs, &roots, Some(&installation), &SearchSettings::default(), 17);
        assert_eq!(controls(&places), ["/usr/share/postgresql/17/extension"]);
        assert_eq!(places.sites.len(), 1);
        assert_eq!(places.sites[0].libdirs, [installation.pkglibdir]);
        assert_eq!(places.sites[0].dynamic_library_path, b"$libdir");
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
        let both = ["/stage/usr/lib/postgresql/17/lib", "/usr/lib/postgresql/17/lib"].map(PathBuf::from);
        assert_eq!((sites(&places), &places.sites[1].libdirs[..]), (vec![1, 0], &both[..]));
        assert_eq!(places.sites[0].libdirs, ["/usr/lib/postgresql/17/lib"].map(PathBuf::from));
        // The same tree without a server.
        let places = find_at(&fs, &["/stage".into()], None, &SearchSettings::default(), 17);
        assert_eq!(places.sites[1].libdirs, [PathBuf::from("/stage/usr/lib/postgresql/17/lib")]);
        // And with a built-in profile, which has no directories but the root.
        let profile = Installation { pkglibdir: "/stage".into(), sharedir: None, ..installation };
        let places = find_at(&fs, &["/stage".into()], Some(&profile), &SearchSettings::default(), 17);
        assert_eq!(
            places.sites[1].libdirs,
            ["/stage/usr/lib/postgresql/17/lib", "/stage"].map(PathBuf::from)
        );
    }

    #[test]
    fn a_stage_is_known_by_its_layout_wherever_the_server_is() {
        // The server's sharedir and pkglibdir, the stage's, the major.
        for (server, stage, major) in [
            (("/chroot/usr/share/postgresql/17", "/chroot/usr/lib/postgresql/17/lib"), DEBIAN_STAGE, 18),
            (("/nix/pg/share/postgresql", "/nix/pg/lib"), ("/stage/o/share/postgresql", "/stage/o/lib"), 18),
            (("/c/pgsql/share", "/c/pgsql/lib"), ("/stage/pgsql/share", "/stage/pgsql/lib"), 18),
            // No server before 18 looks for control files elsewhere.
            (("/usr/share/postgresql/17", "/usr/lib/postgresql/17/lib"), ("/stage/share", "/stage/lib"), 17),
        ] {
            let fs = MemoryFs::new()
                .file(format!("{}/extension/x.control", stage.0), "")
                .file(format!("{}/x.so", stage.1), "")
                .file(format!("{}/plpgsql.so", server.1), "")
                .file(format!("{}/extension/x.control", server.0), "");
            let installation = Installation {
                server: "/bin/postgres".into(),
                pkglibdir: server.1.into(),
                sharedir: Some(server.0.into()),
            };
            let places =
                find_at(&fs, &["/stage".into()], Some(&installation), &SearchSettings::default(), major);
            assert_eq!(sites(&places), [1, 0], "{stage:?}");
            assert_eq!(places.sites[1].libdirs, [stage.1, server.1].map(PathBuf::from), "{stage:?}");
            assert_eq!(places.sites[1].dynamic_library_path, b"$libdir", "{stage:?}");
        }
    }

    const DEBIAN_STAGE: (&str, &str) = ("/stage/usr/share/postgresql/17", "/stage/usr/lib/postgresql/17/lib");

    #[test]
    fn a_library_directory_that_the_setting_names_is_no_libdir() {
        let (fs, installation) = debian();
        let fs = fs.file("/x/share/extension/x.control", "").file("/x/lib/x.so", "");
        let settings = SearchSettings {
            dynamic_library_path: Some("/x/lib:$libdir".into()),
            ..SearchSettings::default()
        };
        let places = find_at(&fs, &["/x".into()], Some(&installation), &settings, 17);
        assert_eq!(places.sites[1].libdirs, [installation.pkglibdir]);
    }

    #[test]
    fn packages_for_one_directory_see_each_other_and_installations_do_not() {
        let fs = MemoryFs::new()
            .file("/s/a/usr/share/postgresql/17/extension/a.control", "")
            .file("/s/a/usr/lib/postgresql/17/lib/a.so", "")
            .file("/s/b/usr/share/postgresql/17/extension/b.control", "")
            .file("/s/b/usr/lib/postgresql/17/lib/b.so", "")
            .file("/s/c/usr/share/postgresql/16/extension/a.control", "")
            .file("/s/c/usr/lib/postgresql/16/lib/a.so", "")
            .file("/s/pg/bin/postgres", "")
            .file("/s/pg/lib/plpgsql.so", "")
            .file("/s/pg/share/extension/plpgsql.control", "");
        let places = find_at(&fs, &["/s".into()], None, &SearchSettings::default(), 17);
        let libdirs: Vec<Vec<&str>> = places.sites[1..]
            .iter()
            .map(|site| site.libdirs.iter().map(|path| path.to_str().unwrap()).collect())
            .collect();
        let (a, b) = ("/s/a/usr/lib/postgresql/17/lib", "/s/b/usr/lib/postgresql/17/lib");
        assert_eq!(
            libdirs,
            [vec![a, b], vec![b, a], vec!["/s/c/usr/lib/postgresql/16/lib"], vec!["/s/pg/lib"]]
        );
        assert!(places.sites[4].is_installation && !places.sites[1].is_installation);
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
            assert_eq!(places.sites[1].libdirs, [PathBuf::from(lib)], "{share}");
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
        assert_eq!(sites(&places), [0, 0, 0]);
        assert_eq!(places.sites[0].dynamic_library_path, b"/extensions/a/lib:/extensions/b/lib:$libdir");
    }

    #[test]
    fn one_directory_per_extension_keeps_scripts_in_sql() {
        let fs = MemoryFs::new()
            .file("/opt/pair/pair.control", "")
            .file("/opt/pair/sql/pair--1.0.sql", "")
            .file("/opt/pair/lib/pair.so", "");
        let places = find_at(&fs, &["/opt".into()], None, &SearchSettings::default(), 18);
        assert_eq!(places.control[0].layout, ScriptLayout::SqlSubdirectory);
        assert_eq!(places.sites[1].dynamic_library_path, b"/opt/pair/lib:$libdir");
    }

    #[test]
    fn a_source_tree_keeps_its_tests_in_sql() {
        let tree = || MemoryFs::new().file("/src/x/x.control", "").file("/src/x/sql/x.sql", "SELECT f();");
        let layout = |fs: &MemoryFs| {
            find_at(fs, &["/src".into()], None, &SearchSettings::default(), 15).control[0].layout
        };
        assert_eq!(layout(&tree().file("/src/x/x--1.0.sql", "")), ScriptLayout::Beside);
        // pgvector has its scripts there, and others keep what they make them from.
        let kept_in_sql = tree().file("/src/x/sql/x--1.0.sql", "");
        assert_eq!(layout(&kept_in_sql), ScriptLayout::SqlSubdirectory);
        assert_eq!(layout(&kept_in_sql.file("/src/x/x--0.9--1.0.sql", "")), ScriptLayout::SqlSubdirectory);
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
        let site = &places.sites[0];
        assert_eq!((&site.libdirs[..], &site.dynamic_library_path[..]), (&["/lib".into()][..], &b"/x"[..]));
        // Without a server there is no `$system`; the rest is searched all the same.
        let settings = SearchSettings { sharedir: None, ..settings };
        assert_eq!(controls(&find_at(&fs, &["/usr".into()], None, &settings, 18)), ["/y/extension"]);
    }
}
