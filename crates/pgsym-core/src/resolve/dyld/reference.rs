//! dyld's search written a second time, as slow and literal as its C++: over descriptions instead of files, by
//! recursion instead of a work list, with strings instead of ids. Ten thousand random trees must come to the same
//! images in the same order, or to the same message.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use pgsym_testkit::{LibraryKind, MachCpu, MachImage};

use super::{DyldEnv, DyldProcess};
use crate::fs::MemoryFs;
use crate::model::MachArch;
use crate::name::shown_path;
use crate::parse::Facets;
use crate::resolve::FileStore;

/// One file of a tree.
#[derive(Clone, Debug)]
struct Spec {
    is_module: bool,
    is_arm: bool,
    is_old: bool,
    install_name: Option<String>,
    libraries: Vec<(LibraryKind, String)>,
    rpaths: Vec<String>,
}

/// A tree: files by real path, symbolic links by path.
#[derive(Clone, Debug, Default)]
struct World {
    files: BTreeMap<String, Spec>,
    links: BTreeMap<String, String>,
}

/// xorshift64*: the same trees on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const DIRECTORIES: &[&str] = &["/pg/bin", "/pg/lib", "/pg/lib/mods", "/opt/x", "/usr/local/lib"];
const LEAVES: &[&str] = &["a.dylib", "b.dylib", "c.dylib", "d.dylib"];
const RPATHS: &[&str] = &[
    "@loader_path",
    "@loader_path/",
    "@loader_path/..",
    "@loader_path/mods",
    "@executable_path/../lib",
    "@executable_path/../..",
    "/pg/lib",
    "/pg/lib/mods",
    "/opt/x/",
    "/nowhere",
    "relative",
];
const SERVER: &str = "/pg/bin/postgres";
const MODULE: &str = "/pg/lib/mods/module.so";

fn random_name(random: &mut Random) -> String {
    let leaf = *random.pick(LEAVES);
    match random.below(8) {
        0..=2 => format!("@rpath/{leaf}"),
        3 => format!("@loader_path/{leaf}"),
        4 => format!("@loader_path/../{leaf}"),
        5 => format!("@executable_path/../lib/{leaf}"),
        6 => format!("{}/{leaf}", random.pick(DIRECTORIES)),
        _ => (*random.pick(&[
            "/usr/lib/libSystem.B.dylib",
            "/usr/lib/libz.1.dylib",
            "plain.dylib",
            "@rpath/gone",
        ]))
        .to_owned(),
    }
}

fn random_spec(random: &mut Random, path: &str) -> Spec {
    let is_module = path == MODULE || (path != SERVER && random.one_in(12));
    let own = match random.below(4) {
        0 => path.to_owned(),
        1 => format!("@rpath/{}", path.rsplit('/').next().unwrap()),
        _ => random_name(random),
    };
    let kinds = [LibraryKind::Load, LibraryKind::Load, LibraryKind::Weak, LibraryKind::Reexport];
    let libraries = (0..random.below(4)).map(|_| (*random.pick(&kinds), random_name(random))).collect();
    let rpaths = (0..random.below(3)).map(|_| (*random.pick(RPATHS)).to_owned()).collect();
    Spec {
        is_module,
        is_arm: path != SERVER && path != MODULE && random.one_in(15),
        is_old: random.one_in(4),
        install_name: (path != SERVER && !is_module).then_some(own),
        libraries,
        rpaths,
    }
}

fn random_world(seed: u64) -> World {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut world = World::default();
    for path in [SERVER, MODULE] {
        world.files.insert(path.to_owned(), random_spec(&mut random, path));
    }
    for _ in 0..3 + random.below(7) {
        let path = format!("{}/{}", random.pick(DIRECTORIES), random.pick(LEAVES));
        let spec = random_spec(&mut random, &path);
        world.files.insert(path, spec);
    }
    for _ in 0..random.below(3) {
        let from = format!("{}/{}", random.pick(DIRECTORIES), random.pick(LEAVES));
        let to = format!("{}/{}", random.pick(DIRECTORIES), random.pick(LEAVES));
        if !world.files.contains_key(&from) && world.files.contains_key(&to) {
            world.links.insert(from, to);
        }
    }
    world
}

/// The path as `stat` walks it; the trees link files and never directories.
fn real(world: &World, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
        // A directory that is not there ends the walk, `..` behind it or not.
        let so_far = format!("/{}", parts.join("/"));
        let below = format!("{}/", so_far.trim_end_matches('/'));
        let exists = |path: &String| path.starts_with(&below) || *path == so_far;
        if !world.files.keys().any(exists) && !world.links.keys().any(exists) {
            return None;
        }
    }
    let path = format!("/{}", parts.join("/"));
    let path = world.links.get(&path).cloned().unwrap_or(path);
    world.files.contains_key(&path).then_some(path)
}

/// The reference's process: real path and description, none for the cache's libraries.
#[derive(Default)]
struct Reference<'w> {
    loaded: Vec<(String, Option<&'w Spec>)>,
    visited: Vec<bool>,
    error: Option<String>,
}

const UUID: &str = "01020304-0506-0708-090A-0B0C0D0E0F10";
const CRYPTEX: &str = "/System/Volumes/Preboot/Cryptexes/OS";

impl<'w> Reference<'w> {
    fn matches(&self, path: &str) -> Option<usize> {
        self.loaded.iter().position(|(own, spec)| {
            own == path || spec.is_some_and(|spec| spec.install_name.as_deref() == Some(path))
        })
    }

    /// `expandAtLoaderPath` and `expandAtExecutablePath`.
    fn expand(&self, path: &str, image: usize) -> Option<String> {
        if let Some(rest) = path.strip_prefix("@loader_path")
            && (rest.is_empty() || rest.starts_with('/'))
        {
            let own = &self.loaded[image].0;
            return Some(format!("{}{rest}", &own[..own.rfind('/')?]));
        }
        if let Some(rest) = path.strip_prefix("@executable_path")
            && (rest.is_empty() || rest.starts_with('/'))
        {
            let mut directory = "/pg/bin".to_owned();
            if rest.is_empty() {
                return Some(directory + "/");
            }
            let mut rest = rest;
            while rest.starts_with("/..") && directory.matches('/').count() > 1 {
                directory.truncate(directory.rfind('/')?);
                rest = &rest[3..];
            }
            return Some(directory + rest);
        }
        None
    }

    fn concatenate(directory: &str, tail: &str) -> String {
        format!("{}{tail}", directory.strip_suffix('/').unwrap_or(directory))
    }

    /// `forEachPath`: paths with whether the shared cache counts.
    fn paths(&self, name: &str, chain: &[usize], is_static: bool) -> Vec<(String, bool)> {
        let mut paths = Vec::new();
        if !name.starts_with('@') {
            paths.push((name.to_owned(), false));
            paths.push((format!("{CRYPTEX}{name}"), true));
            paths.push((name.to_owned(), true));
        } else if let Some(path) = self.expand(name, chain[0]) {
            paths.push((path, true));
        } else if let Some(tail) = name.strip_prefix("@rpath") {
            for &link in chain {
                for rpath in self.loaded[link].1.map_or(&[][..], |spec| &spec.rpaths) {
                    if let Some(directory) = self.expand(rpath, link) {
                        paths.push((Self::concatenate(&directory, tail), true));
                    } else {
                        paths.push((Self::concatenate(rpath, tail), true));
                        if rpath.starts_with('/') {
                            paths.push((format!("{CRYPTEX}{}", Self::concatenate(rpath, tail)), true));
                        }
                    }
                }
            }
        }
        if is_static && self.loaded[chain[0]].1.is_some_and(|spec| spec.is_old) {
            let leaf = name.rsplit('/').next().unwrap();
            for directory in ["/usr/local/lib", "/usr/lib"] {
                let path = format!("{directory}/{leaf}");
                if path != name {
                    paths.push((path, true));
                }
            }
        }
        paths
    }

    /// `getLoader`.
    fn get(
        &mut self,
        world: &'w World,
        name: &str,
        chain: &[usize],
        is_static: bool,
    ) -> Result<usize, String> {
        if name.starts_with("@rpath/")
            && let Some(found) = self.matches(name)
        {
            return Ok(found);
        }
        let mut tried: Vec<String> = Vec::new();
        let found = self.search(world, name, chain, is_static, &mut tried).or_else(|| {
            let real = if name.starts_with('/') { real(world, name) } else { None }?;
            if name.starts_with(&real) {
                None
            } else {
                self.search(world, &real, chain, is_static, &mut tried)
            }
        });
        found.ok_or_else(|| {
            if !tried.is_empty() {
                return format!("tried: {}", tried.join(", "));
            }
            "no LC_RPATH's found".to_owned()
        })
    }

    fn search(
        &mut self,
        world: &'w World,
        name: &str,
        chain: &[usize],
        is_static: bool,
        tried: &mut Vec<String>,
    ) -> Option<usize> {
        for (path, cache_counts) in self.paths(name, chain, is_static) {
            if let Some(found) = self.matches(&path) {
                return Some(found);
            }
            // A path that only a search put together is not taken for the system's.
            let in_cache = path.starts_with("/usr/lib/") && path == name;
            let real = if path.starts_with('/') { real(world, &path) } else { None };
            let Some(real) = real else {
                if in_cache && cache_counts {
                    self.loaded.push((path, None));
                    self.visited.push(false);
                    return Some(self.loaded.len() - 1);
                }
                let cached = cache_counts && path.starts_with("/usr/lib/");
                let note = if cached { ", not in dyld cache" } else { "" };
                tried.push(format!("'{path}' (no such file{note})"));
                continue;
            };
            if let Some(found) = self.loaded.iter().position(|(own, spec)| spec.is_some() && *own == real) {
                return Some(found);
            }
            let spec = &world.files[&real];
            if spec.is_arm {
                tried.push(format!(
                    "'{path}' (mach-o file, but is an incompatible architecture (have 'arm64', need 'x86_64'))"
                ));
            } else if spec.is_module && is_static {
                tried.push(format!("'{path}' (cannot link against bundle '{path}')"));
            } else if real == SERVER && is_static {
                tried.push(format!("'{path}' (cannot link against a main executable '{path}')"));
            } else {
                self.loaded.push((real, Some(spec)));
                self.visited.push(false);
                return Some(self.loaded.len() - 1);
            }
        }
        None
    }

    /// `loadDependents`.
    fn load_dependents(&mut self, world: &'w World, image: usize, stack: &[usize]) {
        if std::mem::replace(&mut self.visited[image], true) {
            return;
        }
        let Some(spec) = self.loaded[image].1 else { return };
        let chain: Vec<usize> = std::iter::once(image).chain(stack.iter().copied()).collect();
        let mut found = Vec::new();
        for (kind, name) in &spec.libraries {
            let loaded = if name.starts_with('/') { self.matches(name) } else { None };
            if let Some(loaded) = loaded {
                found.push(loaded);
                continue;
            }
            match self.get(world, name, &chain, true) {
                Ok(loaded) => found.push(loaded),
                Err(_) if *kind == LibraryKind::Weak => {}
                Err(reason) => {
                    self.error = Some(format!(
                        "Library not loaded: {name}\n  Referenced from: <{UUID}> {}\n  Reason: {reason}",
                        self.loaded[image].0
                    ));
                    break;
                }
            }
        }
        if self.error.is_some() {
            return;
        }
        for dependent in found {
            self.load_dependents(world, dependent, &chain);
        }
    }
}

fn build(world: &World) -> MemoryFs {
    let mut fs = MemoryFs::new();
    for (path, spec) in &world.files {
        let cpu = if spec.is_arm { MachCpu::Arm64 } else { MachCpu::X86_64 };
        let mut image = match &spec.install_name {
            Some(name) => MachImage::dylib(cpu, name),
            None if spec.is_module => MachImage::bundle(cpu),
            None => MachImage::executable(cpu),
        };
        for (kind, name) in &spec.libraries {
            image = image.library_as(*kind, name);
        }
        for rpath in &spec.rpaths {
            image = image.rpath(rpath);
        }
        let image = image.macos((11, 0), if spec.is_old { (13, 3) } else { (14, 0) });
        fs = fs.file(path, image.build());
    }
    for (from, to) in &world.links {
        fs = fs.symlink(from, to);
    }
    fs
}

/// What both sides say: the images in order, or the message.
fn outcome(images: impl IntoIterator<Item = String>, error: Option<&str>) -> String {
    match error {
        Some(error) => error.to_owned(),
        None => images.into_iter().collect::<Vec<_>>().join("\n"),
    }
}

fn compare(seed: u64) -> (bool, bool) {
    let world = random_world(seed);
    let store = Arc::new(FileStore::new(Arc::new(build(&world)), Facets::LINK));
    let env = Arc::new(DyldEnv::new(MachArch::X86_64));
    let process = DyldProcess::start(store, env, Path::new(SERVER)).unwrap();
    let mut reference = Reference {
        loaded: vec![(SERVER.to_owned(), Some(&world.files[SERVER]))],
        visited: vec![false],
        error: None,
    };
    reference.load_dependents(&world, 0, &[0]);
    let images = |process: &DyldProcess| -> Vec<String> {
        process.images().map(|(_, image)| shown_path(image.path()).to_string()).collect()
    };
    let expected = outcome(reference.loaded.iter().map(|(path, _)| path.clone()), reference.error.as_deref());
    assert_eq!(outcome(images(&process), process.failure()), expected, "start, tree {seed}: {world:#?}");
    if reference.error.is_some() {
        return (true, false);
    }
    let attempt = process.dlopen(Path::new(MODULE));
    let opened = reference.get(&world, MODULE, &[0, 0], false).unwrap();
    reference.load_dependents(&world, opened, &[opened, 0, 0]);
    let expected = outcome(reference.loaded.iter().map(|(path, _)| path.clone()), reference.error.as_deref());
    let found = outcome(images(&attempt.process), attempt.failure.as_deref());
    assert_eq!(found, expected, "dlopen, tree {seed}: {world:#?}");
    (false, reference.error.is_some())
}

#[test]
fn ten_thousand_random_trees_load_as_the_reference_loads_them() {
    let (mut failed_starts, mut failed_opens) = (0, 0);
    for seed in 0..10_000 {
        let (start, open) = compare(seed);
        failed_starts += usize::from(start);
        failed_opens += usize::from(open);
    }
    // A generator whose trees all fail, or all load, would prove little.
    let loaded = 10_000 - failed_starts - failed_opens;
    assert!(
        loaded > 1_000 && failed_starts > 1_000 && failed_opens > 1_000,
        "{failed_starts} {failed_opens}"
    );
}
