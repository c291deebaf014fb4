//! Draws a tree. What is drawn is a pure function of the seed and the directory that the tree is meant for.

use super::describe::{
    Bad, Content, Entry, Family, HOST_LINK, Host, Library, Maker, Needed, SYMBOLS, Search, Start, Strength,
    Tree, Use,
};
use super::random::Random;

/// Directories of libraries. The last three are named like search path elements that glibc leaves alone.
const DIRECTORIES: [&str; 10] =
    ["a", "b", "c", "app", "app/lib", "lib/x86_64-linux-gnu", "x86_64", "$FOO", "$ORIGINx", "${ORIGIN"];

/// Below any directory glibc looks here first, if the processor fits (2.36: also into the last five).
const SUBDIRECTORIES: [&str; 9] = [
    "glibc-hwcaps/x86-64-v2",
    "glibc-hwcaps/x86-64-v3",
    "glibc-hwcaps/x86-64-v4",
    "glibc-hwcaps/x86-64-v9",
    "tls",
    "haswell",
    "x86_64",
    "haswell/x86_64",
    "tls/haswell/avx512_1/x86_64",
];

const DIRECTORY_LINKS: [(&str, &str); 3] = [("to-a", "a"), ("c/to-b", "../b"), ("to-mods", "mods")];

const NAMES: [&str; 6] = ["liba.so", "libb.so", "libc1.so", "libd.so.1", "libe.so.2", "libz.so.1"];
const MODULES: [&str; 4] = ["m1.so", "m2.so", "m3.so", "m4.so"];
const WORKING_DIRECTORIES: [&str; 3] = ["", "a", "run"];

const VERSIONS: [&str; 2] = ["V1", "V2"];

/// What a tree's libraries say about functions. A tree with a host that needs libraries has none: what is wrong with them is
/// not looked at before a call. Versions are on every library or on none, because glibc 2.36 aborts when a versioned reference
/// meets a library without any (elf/dl-lookup.c, `check_match`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Symbols {
    None,
    Plain,
    Versioned,
}

const BAD: [Bad; 23] = [
    Bad::Empty,
    Bad::Short,
    Bad::ShortText,
    Bad::LinkerScript,
    Bad::OtherClass,
    Bad::OtherMachine,
    Bad::WrongEndian,
    Bad::WrongVersion,
    Bad::WrongOsAbi,
    Bad::WrongAbiVersion,
    Bad::GnuOsAbi,
    Bad::WrongPhEntSize,
    Bad::Directory,
    Bad::DanglingLink,
    Bad::LinkLoop,
    Bad::LinkThroughFile,
    Bad::Unreadable,
    Bad::Relocatable,
    Bad::Executable,
    Bad::PieExecutable,
    Bad::NoOpen,
    Bad::HeaderOnly,
    Bad::NoDynamic,
];

/// Candidates over which the search goes on; they are drawn more often, because trees full of fatal files end early.
const SKIPPED: [Bad; 4] = [Bad::OtherClass, Bad::OtherMachine, Bad::DanglingLink, Bad::Unreadable];

struct Generator<'a> {
    random: Random,
    root: &'a str,
    family: Family,
    makers: &'a [Maker],
    entries: Vec<Entry>,
    host_needs: bool,
    symbols: Symbols,
}

/// The tree of a seed, for `root`, an absolute path without a symbolic link.
pub(super) fn generate(seed: u64, family: Family, root: &str, makers: &[Maker]) -> Tree {
    let mut random = Random::new(seed);
    let host_needs = random.percent(25);
    let symbols = match random.below(3) {
        _ if host_needs => Symbols::None,
        0 => Symbols::None,
        1 => Symbols::Plain,
        _ => Symbols::Versioned,
    };
    let mut generator = Generator { random, root, family, makers, entries: Vec::new(), host_needs, symbols };
    generator.directories();
    generator.libraries();
    let opens = generator.modules();
    let host = generator.host();
    let working_directory = generator.random.pick(&WORKING_DIRECTORIES);
    let library_path = generator.random.percent(30).then(|| generator.library_path());
    Tree { seed, family, entries: generator.entries, host, working_directory, library_path, opens }
}

impl Generator<'_> {
    fn add(&mut self, path: impl Into<String>, content: Content) {
        let path = path.into();
        if self.entries.iter().all(|entry| entry.path != path) {
            self.entries.push(Entry { path, content });
        }
    }

    fn directories(&mut self) {
        for directory in DIRECTORIES.iter().chain(&["mods", "run", "start"]) {
            self.add(*directory, Content::Directory);
        }
        for (path, target) in DIRECTORY_LINKS {
            self.add(path, Content::Symlink(target.to_owned()));
        }
    }

    /// Each name in up to four directories, each time another file.
    fn libraries(&mut self) {
        for name in NAMES {
            if self.random.percent(8) {
                continue;
            }
            for _ in 0..self.random.between(1, 5) {
                let directory = self.directory_of_libraries();
                let content = self.library_or_other(name, &directory);
                self.add(format!("{directory}/{name}"), content);
            }
        }
    }

    fn directory_of_libraries(&mut self) -> String {
        let directory = self.a_directory();
        if self.random.percent(15) {
            format!("{directory}/{}", self.random.pick(&SUBDIRECTORIES))
        } else {
            directory.to_owned()
        }
    }

    /// The plain directories more often than the curious ones, so that searches meet libraries.
    fn a_directory(&mut self) -> &'static str {
        let reach = match self.random.below(100) {
            0..60 => 3,
            60..85 => 5,
            _ => DIRECTORIES.len(),
        };
        DIRECTORIES[self.random.below(reach)]
    }

    fn library_or_other(&mut self, name: &str, directory: &str) -> Content {
        let earlier: Vec<String> = self
            .entries
            .iter()
            .filter(|entry| matches!(entry.content, Content::Library(_)))
            .map(|entry| entry.path.clone())
            .collect();
        let kind = self.random.below(100);
        if kind < 20 && !earlier.is_empty() {
            let existing = self.random.pick(&earlier);
            return match kind % 4 {
                0 => Content::Symlink(format!("{}/{existing}", self.root)),
                1 => Content::Symlink(format!("{}{existing}", "../".repeat(directory.split('/').count()))),
                2 => Content::HardLink(existing),
                _ => Content::Copy(existing),
            };
        }
        if kind >= 86 {
            return Content::Bad(if kind < 94 { self.bad(&SKIPPED) } else { self.bad(&BAD) });
        }
        let soname = match self.random.below(100) {
            0..75 => Some(name.to_owned()),
            75..85 => Some(self.random.pick(&NAMES).to_owned()),
            _ => None,
        };
        Content::Library(self.library(soname, directory, 2))
    }

    fn bad(&mut self, choices: &[Bad]) -> Bad {
        match (self.family, self.random.pick(choices)) {
            // musl maps it and fails later, in ways that depend on its bytes; pgsym refuses it.
            (Family::Musl, Bad::OtherMachine) => Bad::OtherClass,
            (_, bad) => bad,
        }
    }

    fn library(&mut self, soname: Option<String>, directory: &str, most_needed: usize) -> Library {
        // Two of three libraries need at most one: a process ends at the first that is missing.
        let most_needed = if self.random.percent(66) { 1 } else { most_needed };
        let needed = (0..self.random.between(0, most_needed)).map(|_| self.linked(directory)).collect();
        let search = self.search(directory);
        let both = search.rpath.is_some() && search.runpath.is_some();
        let maker =
            if both || self.random.percent(8) { Maker::Builder } else { self.random.pick(self.makers) };
        let (defines, uses) = self.functions(directory == "mods");
        let version = (self.symbols == Symbols::Versioned).then(|| self.random.pick(&VERSIONS));
        let no_default_libraries = self.random.percent(6);
        Library { soname, needed, defines, uses, version, search, no_default_libraries, maker }
    }

    /// Modules call more, libraries define more.
    fn functions(&mut self, is_module: bool) -> (Vec<&'static str>, Vec<Use>) {
        if self.symbols == Symbols::None {
            return Default::default();
        }
        let (define_percent, use_percent) = if is_module { (10, 35) } else { (60, 15) };
        let defines = SYMBOLS.into_iter().filter(|_| self.random.percent(define_percent)).collect();
        let mut calls = Vec::new();
        for symbol in SYMBOLS {
            if self.random.percent(use_percent) {
                let strength = if self.random.percent(25) { Strength::Weak } else { Strength::Strong };
                calls.push(Use { symbol, strength });
            }
        }
        (defines, calls)
    }

    fn linked(&mut self, directory: &str) -> Needed {
        let name = self.needed(directory);
        // A name with a token never equals the loaded library's names, and glibc asserts that one does.
        let may_have = self.symbols == Symbols::Versioned && !name.contains('$');
        let version = (may_have && self.random.percent(60)).then(|| self.random.pick(&VERSIONS));
        Needed { name, version }
    }

    fn needed(&mut self, directory: &str) -> String {
        let name = self.random.pick(&NAMES);
        match self.random.below(100) {
            0..84 => name.to_owned(),
            // libz.so.1, NAMES' last, is also a library of the system.
            84..90 => self.system_library().to_owned(),
            90..92 => format!("$ORIGIN/{name}"),
            92..94 => format!("{}/{}/{name}", self.root, self.random.pick(&DIRECTORIES)),
            94..96 => format!("{}/{name}", self.random.pick(&DIRECTORIES)),
            96..98 => format!("./{name}"),
            _ => format!("${{ORIGIN}}/{}/{name}", self.up_and_down(directory)),
        }
    }

    fn system_library(&mut self) -> &'static str {
        match self.family {
            Family::Glibc => self.random.pick(&["libc.so.6", "libm.so.6"]),
            // Every name that begins with "libc." or "libm." is musl itself.
            Family::Musl => self.random.pick(&["libc.so", "libc.so.6", "libm.so"]),
        }
    }

    /// From `directory` to another one.
    fn up_and_down(&mut self, directory: &str) -> String {
        let depth = directory.split('/').count();
        format!("{}{}", "../".repeat(depth), self.random.pick(&DIRECTORIES[..6]))
    }

    fn search(&mut self, directory: &str) -> Search {
        match self.random.below(100) {
            0..25 => Search::default(),
            25..57 => Search { rpath: None, runpath: Some(self.search_list(directory)) },
            57..90 => Search { rpath: Some(self.search_list(directory)), runpath: None },
            _ => Search {
                rpath: Some(self.search_list(directory)),
                runpath: Some(self.search_list(directory)),
            },
        }
    }

    fn search_list(&mut self, directory: &str) -> String {
        let mut elements: Vec<String> = Vec::new();
        for _ in 0..self.random.between(1, 4) {
            let element = match elements.first() {
                Some(first) if self.random.percent(8) => first.clone(),
                _ => self.search_element(directory),
            };
            elements.push(element);
        }
        elements.join(":")
    }

    /// One element of a search path of an object in `directory`.
    fn search_element(&mut self, directory: &str) -> String {
        let root = self.root;
        let target = self.a_directory();
        let up = "../".repeat(directory.split('/').count());
        let origin = self.random.pick(&["$ORIGIN", "${ORIGIN}"]);
        let mut element = match self.random.below(100) {
            0..30 => format!("{root}/{target}"),
            30..52 => format!("{origin}/{up}{target}"),
            52..60 => origin.to_owned(),
            60..66 => target.to_owned(),
            66..69 => String::new(),
            69..71 => ".".to_owned(),
            71..75 => format!("{root}/{}", self.random.pick(&DIRECTORY_LINKS).0),
            75..77 => format!("{root}//{target}"),
            77..79 => format!("{root}/{target}/../{target}"),
            79..81 => format!("/{origin}"),
            81..83 => format!("{origin}/{up}{target}/{origin}"),
            83..86 => format!("{root}/$LIB"),
            86..88 => format!("{origin}/{up}${{LIB}}"),
            88..90 => format!("{root}/$PLATFORM"),
            90..92 => format!("{root}/$FOO"),
            92..94 => format!("{origin}x"),
            94..95 => "$ORIGINx".to_owned(),
            95..96 => format!("{root}/${{ORIGIN"),
            96..97 => format!("{root}/$ORIGINx"),
            97..98 => format!("{root}/{}", self.random.pick(&["missing", "app/host"])),
            98..99 => self.random.pick(&["app/host", "../app/host", "missing"]).to_owned(),
            _ => "$LIB/$PLATFORM".to_owned(),
        };
        if self.random.percent(8) {
            element.push('/');
        }
        if self.random.percent(2) {
            element.push_str("//");
        }
        element
    }

    /// Modules and how they are opened. One may be opened twice, by two names.
    fn modules(&mut self) -> Vec<String> {
        let root = self.root;
        let count = self.random.between(1, MODULES.len());
        let mut opens = Vec::new();
        for (position, name) in MODULES[..count].iter().enumerate() {
            let path = format!("mods/{name}");
            let kind = self.random.below(100);
            if position > 0 && kind < 8 {
                self.add(path.clone(), Content::Symlink(MODULES[0].to_owned()));
            } else if position > 0 && kind < 16 {
                self.add(path.clone(), Content::HardLink(format!("mods/{}", MODULES[0])));
            } else if kind >= 94 {
                let bad = self.bad(&BAD);
                self.add(path.clone(), Content::Bad(bad));
                if position == 0 {
                    // The first module is what others link to.
                    self.entries.last_mut().expect("just added").content = Content::Bad(Bad::Empty);
                }
            } else {
                let soname = match self.random.below(100) {
                    0..50 => Some((*name).to_owned()),
                    50..60 => Some(self.random.pick(&NAMES).to_owned()),
                    60..66 => Some(MODULES[0].to_owned()),
                    _ => None,
                };
                let library = self.library(soname, "mods", 3);
                self.add(path.clone(), Content::Library(library));
            }
            opens.push(match self.random.below(100) {
                0..78 => format!("{root}/{path}"),
                78..84 => format!("{root}/to-mods/{name}"),
                84..88 => path.clone(),
                88..90 => format!("{root}/mods/../mods/{name}"),
                90..92 => format!("$ORIGIN/../mods/{name}"),
                92..94 => (*name).to_owned(),
                94..97 => self.random.pick(&NAMES).to_owned(),
                _ => format!("{root}/{}/{}", self.random.pick(&DIRECTORIES[..5]), self.random.pick(&NAMES)),
            });
        }
        if self.random.percent(10) {
            let again = self.random.pick(&opens);
            opens.push(again);
        }
        opens
    }

    fn host(&mut self) -> Host {
        let mut needed: Vec<String> = if self.host_needs {
            (0..self.random.between(1, 2)).map(|_| self.needed("app")).collect()
        } else {
            Vec::new()
        };
        // The compiler adds the C library itself.
        needed.retain(|name| !name.starts_with("libc.so"));
        let mut search = self.search("app");
        if search.rpath.is_some() {
            // The host is linked by a real linker, which writes one of the two.
            search.runpath = None;
        }
        let start = if self.random.percent(15) { Start::ThroughLink } else { Start::Absolute };
        if start == Start::ThroughLink {
            self.add(HOST_LINK, Content::Symlink("../app/host".to_owned()));
        }
        Host { needed, search, no_default_libraries: self.random.percent(4), start }
    }

    fn library_path(&mut self) -> String {
        let mut list = String::new();
        for position in 0..self.random.between(1, 3) {
            if position > 0 {
                list.push(self.random.pick(&[':', ':', ';']));
            }
            list.push_str(&self.search_element("app"));
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_tree_again_and_another_seed_another() {
        let makers = [Maker::Bfd];
        let tree = |seed| serde_json::to_string(&generate(seed, Family::Glibc, "/r", &makers)).unwrap();
        assert_eq!(tree(7), tree(7));
        assert_ne!(tree(7), tree(8));
    }

    #[test]
    fn links_come_after_what_they_link_to() {
        for seed in 0..200 {
            let tree = generate(seed, Family::Glibc, "/r", &[Maker::Bfd]);
            for (position, entry) in tree.entries.iter().enumerate() {
                if let Content::HardLink(existing) | Content::Copy(existing) = &entry.content {
                    assert!(
                        tree.entries[..position].iter().any(|earlier| earlier.path == *existing),
                        "{seed}"
                    );
                }
            }
        }
    }
}
