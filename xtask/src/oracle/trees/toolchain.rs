//! Compiles and links what a description asks for. One object file serves every library: what matters to the search is what the linker
//! writes into `.dynamic`, so a library is one run of a linker, and equal libraries are linked once for the
//! whole run. A DT_NEEDED entry comes from a stub library that has the wanted name as its SONAME.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use pgsym_testkit::{Export, Import, Machine, SharedObject, VersionDefault};

use super::describe::{Family, Host, Library, Maker, Needed, SYMBOLS, Search, Strength};

const HOST_SOURCE: &str = include_str!("host.c");
const LIBRARY_SOURCE: &str = "int anchor(void) { return 1; }\n";

pub(super) struct Toolchain {
    directory: PathBuf,
    family: Family,
    libraries: BTreeMap<Library, PathBuf>,
    hosts: BTreeMap<(Vec<String>, Search, bool), PathBuf>,
    stubs: BTreeMap<Needed, PathBuf>,
    /// Runs of a linker so far.
    pub(super) links: usize,
}

impl Toolchain {
    /// Compiles the two object files into `directory`.
    pub(super) fn new(directory: &Path, family: Family) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
        let toolchain = Self {
            directory: directory.to_owned(),
            family,
            libraries: BTreeMap::new(),
            hosts: BTreeMap::new(),
            stubs: BTreeMap::new(),
            links: 0,
        };
        toolchain.compile("host.c", HOST_SOURCE)?;
        toolchain.compile("library.c", LIBRARY_SOURCE)?;
        for symbol in SYMBOLS {
            toolchain
                .compile(&format!("define-{symbol}.c"), &format!("int {symbol}(void) {{ return 1; }}\n"))?;
            let call = format!("int {symbol}(void);\nint call_{symbol}(void) {{ return {symbol}(); }}\n");
            toolchain.compile(&format!("call-{symbol}.c"), &call)?;
            let try_it = format!(
                "__attribute__((weak)) int {symbol}(void);\n\
                 int try_{symbol}(void) {{ return {symbol} ? {symbol}() : 0; }}\n"
            );
            toolchain.compile(&format!("try-{symbol}.c"), &try_it)?;
        }
        Ok(toolchain)
    }

    fn compiler(&self) -> &'static str {
        match self.family {
            Family::Glibc => "cc",
            Family::Musl => "musl-gcc",
        }
    }

    fn compile(&self, name: &str, source: &str) -> Result<()> {
        let path = self.directory.join(name);
        fs::write(&path, source).with_context(|| format!("write {}", path.display()))?;
        let mut command = Command::new(self.compiler());
        command.args(["-c", "-O1", "-fPIC", "-o"]).arg(path.with_extension("o")).arg(&path);
        run(&mut command)
    }

    /// Path of a file with this library's bytes, to be copied.
    pub(super) fn library(&mut self, library: &Library) -> Result<PathBuf> {
        if let Some(path) = self.libraries.get(library) {
            return Ok(path.clone());
        }
        let path = self.directory.join(format!("library-{}.so", self.libraries.len()));
        let linker = match library.maker {
            Maker::Builder => {
                fs::write(&path, describe(library).build())?;
                None
            }
            Maker::Bfd => Some("ld.bfd"),
            Maker::Gold => Some("ld.gold"),
            Maker::Lld => Some("ld.lld"),
            Maker::Mold => Some("mold"),
        };
        if let Some(linker) = linker {
            self.link_library(linker, library, &path)?;
        }
        self.libraries.insert(library.clone(), path.clone());
        Ok(path)
    }

    fn link_library(&mut self, linker: &str, library: &Library, output: &Path) -> Result<()> {
        ensure!(
            library.search.rpath.is_none() || library.search.runpath.is_none(),
            "no linker writes both DT_RPATH and DT_RUNPATH"
        );
        let mut command = Command::new(linker);
        command.args(["-shared", "--no-as-needed", "-o"]).arg(output).arg(self.directory.join("library.o"));
        if let Some(soname) = &library.soname {
            command.args(["-soname", soname]);
        }
        command.args(search_options(&library.search));
        if library.no_default_libraries {
            command.args(["-z", "nodefaultlib"]);
        }
        for symbol in &library.defines {
            command.arg(self.directory.join(format!("define-{symbol}.o")));
        }
        for used in &library.uses {
            let what = match used.strength {
                Strength::Strong => "call",
                Strength::Weak => "try",
            };
            command.arg(self.directory.join(format!("{what}-{}.o", used.symbol)));
        }
        if let Some(version) = library.version {
            let script = self.directory.join(format!("{version}.map"));
            fs::write(&script, format!("{version} {{ global: *; }};\n"))?;
            command.arg("--version-script").arg(script);
        }
        for needed in &library.needed {
            command.arg(self.stub(needed)?);
        }
        self.links += 1;
        run(&mut command)
    }

    /// Path of a linked host, to be copied.
    pub(super) fn host(&mut self, host: &Host) -> Result<PathBuf> {
        let key = (host.needed.clone(), host.search.clone(), host.no_default_libraries);
        if let Some(path) = self.hosts.get(&key) {
            return Ok(path.clone());
        }
        let path = self.directory.join(format!("host-{}", self.hosts.len()));
        let mut command = Command::new(self.compiler());
        command.arg("-Wl,--no-as-needed,--allow-shlib-undefined").arg("-o").arg(&path);
        command.arg(self.directory.join("host.o"));
        for option in search_options(&host.search) {
            command.args(["-Xlinker", &option]);
        }
        if host.no_default_libraries {
            command.args(["-z", "nodefaultlib"]);
        }
        for name in &host.needed {
            command.arg(self.stub(&Needed { name: name.clone(), version: None })?);
        }
        self.links += 1;
        run(&mut command)?;
        self.hosts.insert(key, path.clone());
        Ok(path)
    }

    fn stub(&mut self, needed: &Needed) -> Result<PathBuf> {
        if let Some(path) = self.stubs.get(needed) {
            return Ok(path.clone());
        }
        let path = self.directory.join(format!("stub-{}.so", self.stubs.len()));
        let mut stub = SharedObject::new().soname(needed.name.as_str()).export("stub");
        if let Some(version) = needed.version {
            for symbol in SYMBOLS {
                stub = stub.export_versioned(symbol, version, VersionDefault::Default);
            }
        }
        fs::write(&path, stub.build())?;
        self.stubs.insert(needed.clone(), path.clone());
        Ok(path)
    }
}

/// The makers this machine has; GNU ld at least.
pub(super) fn makers() -> Result<Vec<Maker>> {
    let found = |linker: &str| {
        Command::new(linker).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    ensure!(found("ld.bfd"), "linking a random tree needs ld.bfd, which is not there: install binutils");
    let mut makers = vec![Maker::Bfd];
    for (linker, maker) in [("ld.gold", Maker::Gold), ("ld.lld", Maker::Lld), ("mold", Maker::Mold)] {
        if found(linker) {
            makers.push(maker);
        }
    }
    Ok(makers)
}

/// The testkit's description of a library.
fn describe(library: &Library) -> SharedObject {
    let mut object = SharedObject::for_machine(Machine::X86_64);
    for symbol in std::iter::once("anchor").chain(library.defines.iter().copied()) {
        let export = Export::function(symbol);
        object = object.add_export(match library.version {
            Some(version) => export.version(version, VersionDefault::Default),
            None => export,
        });
    }
    // As a linker does: the first library that shows the function decides about the version.
    let shown = library.needed.iter().find_map(|needed| Some((needed.name.as_str(), needed.version?)));
    for used in library.uses.iter().filter(|used| !library.defines.contains(&used.symbol)) {
        let mut import = match used.strength {
            Strength::Strong => Import::function(used.symbol),
            Strength::Weak => Import::object(used.symbol).weak(),
        };
        if let Some((file, version)) = shown {
            import = import.version(file, version);
        }
        object = object.add_import(import);
    }
    for needed in &library.needed {
        object = object.needed(needed.name.as_str());
    }
    if let Some(soname) = &library.soname {
        object = object.soname(soname.as_str());
    }
    if let Some(list) = &library.search.rpath {
        object = object.rpath(list.as_str());
    }
    if let Some(list) = &library.search.runpath {
        object = object.runpath(list.as_str());
    }
    if library.no_default_libraries {
        object = object.no_default_libraries();
    }
    object
}

fn search_options(search: &Search) -> Vec<String> {
    let (list, tag) = match (&search.rpath, &search.runpath) {
        (Some(list), _) => (list, "--disable-new-dtags"),
        (None, Some(list)) => (list, "--enable-new-dtags"),
        (None, None) => return Vec::new(),
    };
    vec!["-rpath".to_owned(), list.clone(), tag.to_owned()]
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("run {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
