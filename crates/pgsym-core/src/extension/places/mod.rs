//! Where control files, scripts and modules are looked for: the settings where they are given, and otherwise the
//! layouts that are recognised below the roots — an installation, a package's staging tree beside the installed server,
//! image volumes (one directory per extension with `share/extension` and `lib`), and one directory per
//! extension with its control file, `sql` and `lib`. What the server itself sees is what its settings say, and without any
//! that is its own two directories, whatever else lies below the roots.

mod near;

use std::path::{Path, PathBuf};

use self::near::{installation_of, is_same, layout_of, libraries_near, stage_of};
use super::inventory::Surroundings;
use super::library_path::control_directories;
use super::tree::{ControlDirectory, ScriptLayout};
use crate::discover::{Installation, has_library_name};
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
    /// What their extensions see, by [`ControlDirectory::site`]; the first is the server's own.
    pub sites: Vec<Site>,
}

/// What the extensions of one installation see: of two with one name at one site the earlier hides the later. A
/// staging tree is a site of its own, whose files stand in front of the server's, as the finished installation will hold
/// both; so is an image volume, whose files the server finds by settings that nobody told, and each installation below the
/// roots that is not the server's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Site {
    /// What `$libdir` stands for, in search order; empty when no installation says it and none can be guessed.
    pub libdirs: Vec<PathBuf>,
    /// `dynamic_library_path`.
    pub dynamic_library_path: Vec<u8>,
    /// Whether that is the path which its layout asks for, in an order that no setting said: nothing hides anything.
    pub is_path_assumed: bool,
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
        is_path_assumed: false,
        sharedir: None,
        is_installation: false,
        has_all_extensions: false,
        has_all_modules: false,
    };
}

/// Finds the places, given the directories below the roots that hold control files.
pub(super) fn find_places(around: &Surroundings<'_>, settings: &SearchSettings, major: u32) -> Places {
    let server = ServerDirectories::new(around.installation, settings);
    let own = below_roots(around, &server, major);
    let is_path_given = settings.extension_control_path.is_some() && major >= 18;
    // What the setting names is one installation, with what is staged for it.
    let with_sites = own.iter().enumerate().filter(|_| !is_path_given);
    let mut control: Vec<ControlDirectory> = with_sites
        .map(|(index, own)| ControlDirectory {
            path: own.directory.to_owned(),
            layout: layout_of(around.fs, own.directory),
            is_setting: false,
            site: index + 1,
        })
        .collect();
    let path = settings.extension_control_path.as_deref().unwrap_or_default();
    let given = control_directories(server.sharedir.as_deref(), path.as_bytes(), major);
    let is_given =
        |own: &&Own<'_>| is_path_given && given.iter().any(|path| is_same(around.fs, path, own.directory));
    // Whoever names the control files of a volume, and not its modules, is taken to have named both.
    let named = own.iter().filter(|own| own.kind == Kind::Volume).filter(is_given);
    let mut volumes: Vec<PathBuf> = named.filter_map(|own| own.libdir.clone()).collect();
    volumes.sort();
    volumes.dedup();
    control.extend(given.into_iter().map(|path| ControlDirectory {
        path,
        layout: ScriptLayout::Beside,
        is_setting: true,
        site: 0,
    }));
    let view = ServerView::new(around.fs, settings, server);
    Places { control, sites: sites(&own, &volumes, &view, is_path_given, major) }
}

/// The server's own directories, as the settings give them or else the installation.
struct ServerDirectories {
    sharedir: Option<PathBuf>,
    pkglibdir: Option<PathBuf>,
}

impl ServerDirectories {
    fn new(installation: Option<&Installation>, settings: &SearchSettings) -> Self {
        let sharedir = installation.and_then(|found| found.sharedir.clone());
        let pkglibdir = installation.map(|found| found.pkglibdir.clone());
        Self {
            sharedir: settings.sharedir.clone().or(sharedir),
            pkglibdir: settings.pkglibdir.clone().or(pkglibdir),
        }
    }
}

/// A control directory below the roots that is not the server's; each has a site of its own, the first of them number 1.
struct Own<'a> {
    directory: &'a Path,
    libdir: Option<PathBuf>,
    kind: Kind,
}

/// What such a directory is.
#[derive(PartialEq, Eq)]
enum Kind {
    /// That of an installation with a server of its own, and this sharedir.
    Installation(Option<PathBuf>),
    /// What is on its way into the server's directories.
    Stage,
    /// `VOLUME/share/extension`, which a server since 18 reads from where it is, given the settings.
    Volume,
    /// Some other place, which no setting of a server that has its own leads to: a source tree.
    Source,
}

fn below_roots<'a>(around: &Surroundings<'a>, server: &ServerDirectories, major: u32) -> Vec<Own<'a>> {
    let fs = around.fs;
    let system = server.sharedir.as_ref().map(|sharedir| sharedir.join("extension"));
    let is_directory = |path: &Path| fs.metadata(path).is_ok_and(|found| found.kind == FileKind::Directory);
    let mut own: Vec<Own<'_>> = Vec::new();
    for directory in around.control_directories {
        if system.as_ref().is_some_and(|system| is_same(fs, directory, system)) {
            continue; // it is the last of those that the settings give
        }
        let near = || libraries_near(directory).into_iter().find(|path| is_directory(path));
        let stage = stage_of(directory, server.sharedir.as_deref(), server.pkglibdir.as_deref());
        let is_stage = stage.is_some();
        let (libdir, kind) = match installation_of(fs, directory) {
            Some(other) => (Some(other.pkglibdir), Kind::Installation(other.sharedir)),
            None => {
                // A server finds a control file nowhere but in its own directory, and since 18 in `DIR/extension` of each
                // directory that a setting names: what is elsewhere is on its way there.
                let kind = match () {
                    () if is_stage || system.is_none() || major < 18 => Kind::Stage,
                    () if directory.ends_with("extension") => Kind::Volume,
                    () => Kind::Source,
                };
                (stage.filter(|path| is_directory(path)).or_else(near), kind)
            }
        };
        own.push(Own { directory, libdir, kind });
    }
    let servers: Vec<PathBuf> = own
        .iter()
        .filter(|own| matches!(own.kind, Kind::Installation(_)))
        .map(|own| own.directory.to_owned())
        .chain(system)
        .collect();
    own.retain(|own| !is_out_of_reach(around, own.directory, &servers));
    own
}

/// Whether no server of a tree comes to the control files of a directory: it is none that a server could search, and nothing
/// was built there. Such are the test fixtures of a package and sources that were left behind, found on a walk over a whole
/// image. Where no server belongs to the walk, they are what was asked about.
fn is_out_of_reach(around: &Surroundings<'_>, directory: &Path, servers: &[PathBuf]) -> bool {
    if directory.ends_with("extension") {
        return false;
    }
    let fs = around.fs;
    let canonical = |path: &Path| fs.canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let is_walked_with_server = around.roots.iter().filter(|root| directory.starts_with(root)).any(|root| {
        let root = canonical(root);
        servers.iter().any(|server| canonical(server).starts_with(&root))
    });
    let has_modules = || {
        let files =
            libraries_near(directory).into_iter().filter_map(|path| fs.read_dir(&path).ok()).flatten();
        files.into_iter().any(|file| has_library_name(Path::new(&file.name)))
    };
    is_walked_with_server && !has_modules()
}

/// What the extensions of every site see of the server.
struct ServerView<'a> {
    settings: &'a SearchSettings,
    directories: ServerDirectories,
    has_all_extensions: bool,
    has_all_modules: bool,
}

impl<'a> ServerView<'a> {
    fn new(fs: &dyn Fs, settings: &'a SearchSettings, directories: ServerDirectories) -> Self {
        // The directories of a profile, or of a server of which a package's tree is the root, hold what the package
        // brings; what every server ships tells the whole installation.
        let has = |directory: &Option<PathBuf>, names: &[&str]| {
            let directory = directory.as_ref();
            directory.is_some_and(|path| names.iter().any(|name| fs.metadata(&path.join(name)).is_ok()))
        };
        let ServerDirectories { sharedir, pkglibdir } = &directories;
        Self {
            has_all_extensions: settings.sharedir.is_some()
                || has(sharedir, &["postgres.bki", "extension/plpgsql.control"]),
            has_all_modules: settings.pkglibdir.is_some() || has(pkglibdir, &["plpgsql.so", "plpgsql.dylib"]),
            settings,
            directories,
        }
    }

    /// A site whose modules are in `libdirs` before the server's; `volumes` are searched where no setting says what is.
    fn site(&self, libdirs: Vec<PathBuf>, volumes: &[PathBuf]) -> Site {
        Site {
            libdirs: distinct(libdirs.into_iter().chain(self.directories.pkglibdir.clone())),
            dynamic_library_path: self.searched(volumes),
            is_path_assumed: self.settings.dynamic_library_path.is_none(),
            sharedir: self.directories.sharedir.clone(),
            is_installation: false,
            has_all_extensions: self.has_all_extensions,
            has_all_modules: self.has_all_modules,
        }
    }

    fn searched(&self, volumes: &[PathBuf]) -> Vec<u8> {
        match &self.settings.dynamic_library_path {
            Some(path) => path.clone().into_bytes(),
            None => {
                let volumes = volumes.iter().map(|directory| path_bytes(directory));
                volumes.chain([&b"$libdir"[..]]).collect::<Vec<_>>().join(&b':')
            }
        }
    }
}

/// The sites: the server's, and where no setting says that there is no other, those of the control directories.
fn sites(
    own: &[Own<'_>],
    volumes: &[PathBuf],
    view: &ServerView<'_>,
    is_path_given: bool,
    major: u32,
) -> Vec<Site> {
    let settings = view.settings;
    let has_system = view.directories.sharedir.is_some();
    let staged = own.iter().filter(|own| own.kind == Kind::Stage);
    // Without control files of the tree's own, nothing tells what else `$libdir` could be.
    let is_staged_seen = is_path_given || !has_system;
    let for_server = staged.filter(|_| is_staged_seen).filter_map(|own| own.libdir.clone()).collect();
    let mut found = vec![view.site(for_server, volumes)];
    if is_path_given {
        return found;
    }
    let named = settings.dynamic_library_path.as_deref().unwrap_or_default();
    let is_named =
        |path: &Path| named.as_bytes().split(|&b| b == b':').any(|piece| piece == path_bytes(path));
    // `--pkglibdir` alone says what `$libdir` is.
    let is_libdir_given = !has_system && settings.pkglibdir.is_some();
    for site in own {
        let near = site.libdir.iter().cloned();
        if let Kind::Installation(sharedir) = &site.kind {
            found.push(Site {
                libdirs: near.collect(),
                dynamic_library_path: view.searched(&[]),
                is_path_assumed: settings.dynamic_library_path.is_none(),
                sharedir: sharedir.clone(),
                is_installation: true,
                has_all_extensions: true,
                has_all_modules: true,
            });
            continue;
        }
        // A package may leave its modules to another one beside it, which goes to the same directory.
        let others = own.iter().filter(|other| other.kind == site.kind);
        let others = others.filter(|other| is_for_same_directory(site, other));
        let libdirs = distinct(near.chain(others.filter_map(|other| other.libdir.clone())));
        if site.kind == Kind::Volume {
            found.push(view.site(Vec::new(), &libdirs));
            continue;
        }
        let libdirs = libdirs.into_iter();
        let libdirs = libdirs.filter(|path| !is_libdir_given && !is_named(path)).collect();
        let is_searched = !has_system && major >= 18;
        let along = site.libdir.iter().filter(|_| is_searched || is_libdir_given).cloned();
        found.push(view.site(libdirs, &along.collect::<Vec<_>>()));
    }
    found
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

fn distinct(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use bstr::ByteSlice as _;

    use super::*;
    use crate::discover::discover;
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
    fn image_volumes_see_each_other_and_the_server_sees_those_of_its_settings() {
        let (fs, installation) = debian();
        let fs = fs
            .file("/extensions/b/share/extension/b.control", "")
            .file("/extensions/b/lib/b.so", "")
            .file("/extensions/a/share/extension/a.control", "")
            .file("/extensions/a/lib/a.so", "");
        let find = |settings: &SearchSettings| {
            find_at(&fs, &["/extensions".into()], Some(&installation), settings, 18)
        };
        let places = find(&SearchSettings::default());
        assert_eq!(
            controls(&places),
            [
                "/extensions/a/share/extension",
                "/extensions/b/share/extension",
                "/usr/share/postgresql/17/extension"
            ]
        );
        assert_eq!(sites(&places), [1, 2, 0]);
        let paths: Vec<_> =
            places.sites.iter().map(|site| site.dynamic_library_path.to_str_lossy()).collect();
        assert_eq!(
            paths,
            [
                "$libdir",
                "/extensions/a/lib:/extensions/b/lib:$libdir",
                "/extensions/b/lib:/extensions/a/lib:$libdir"
            ]
        );
        assert!(places.sites.iter().all(|site| site.libdirs == [installation.pkglibdir.clone()]));
        let named = SearchSettings {
            extension_control_path: Some("$system:/extensions/b/share".into()),
            ..SearchSettings::default()
        };
        assert_eq!(find(&named).sites[0].dynamic_library_path, b"/extensions/b/lib:$libdir");
        let named =
            SearchSettings { dynamic_library_path: Some("$libdir:/extensions/a/lib".into()), ..named };
        assert_eq!(find(&named).sites[0].dynamic_library_path, b"$libdir:/extensions/a/lib");
    }

    #[test]
    fn a_source_tree_beside_the_server_is_out_of_its_reach() {
        let (fs, installation) = debian();
        let fs = fs.file("/usr/src/zz/zz.control", "").file("/usr/src/zz/zz.so", "");
        for major in [17, 18] {
            let settings = SearchSettings::default();
            let places = find_at(&fs, &["/usr".into()], Some(&installation), &settings, major);
            assert_eq!(sites(&places), [1, 0], "{major}");
            let both = [PathBuf::from("/usr/src/zz"), installation.pkglibdir.clone()];
            assert_eq!(
                (&*places.sites[0].libdirs, &*places.sites[1].libdirs),
                (&both[1..], &both[..]),
                "{major}"
            );
            assert!(places.sites.iter().all(|site| site.dynamic_library_path == b"$libdir"), "{major}");
        }
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

    #[test]
    fn fixtures_of_a_whole_image_are_no_extensions() {
        let (fs, installation) = debian();
        let fs = fs
            .file("/usr/share/postgresql-common/t/foo/foo.control", "")
            .file("/usr/share/postgresql-common/t/foo/foo--1.sql", "")
            .file("/opt/pair/pair.control", "")
            .file("/opt/pair/lib/pair.so", "");
        let find = |root: &str, installation: Option<&Installation>| {
            let settings = SearchSettings::default();
            let places = find_at(&fs, &[root.into()], installation, &settings, 17);
            controls(&places).iter().map(|path| (*path).to_owned()).collect::<Vec<_>>()
        };
        let (fixture, system) = ("/usr/share/postgresql-common/t/foo", "/usr/share/postgresql/17/extension");
        assert_eq!(find("/", Some(&installation)), ["/opt/pair", system]);
        // Where several servers are there, none is taken.
        assert_eq!(find("/", None), ["/opt/pair", system]);
        // Asked about by itself, it is what the question is about.
        assert_eq!(find(fixture, Some(&installation)), [fixture, system]);
        assert_eq!(find("/usr/share/postgresql-common", None), [fixture]);
    }
}
