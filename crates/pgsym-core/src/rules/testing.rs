//! The stage on which rules are tested: a PostgreSQL 15 server, its loader and its C library in memory, and
//! whatever files the case adds to them. [`CASES`] holds the firing case of every rule, for the matrix in `mod.rs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgsym_testkit::{Kind, MachCpu, MachImage, Magic, SharedObject};

use crate::check::{Evidence, Finding, Rule, Selection, check};
use crate::fs::MemoryFs;
use crate::tree::{Settings, Tree};

/// What the test loader says of itself: version and default directories.
fn loader(version: &str) -> Vec<u8> {
    let mut bytes = SharedObject::new().soname("ld-linux-x86-64.so.2").build();
    bytes.extend_from_slice(b"\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0");
    bytes.extend_from_slice(format!("\0ld.so (GNU libc) stable release version {version}.\0").as_bytes());
    bytes
}

/// A tree below `/pg/lib` under a server.
#[derive(Clone)]
pub(crate) struct Case {
    fs: MemoryFs,
    pub(crate) settings: Settings,
    roots: Vec<PathBuf>,
}

impl Case {
    /// A server of PostgreSQL 15 on glibc 2.36 in `/pg`, an empty `/pg/lib`.
    pub(crate) fn new() -> Self {
        Self::with_glibc("2.36")
    }

    /// The same on another glibc.
    pub(crate) fn with_glibc(version: &str) -> Self {
        let server = SharedObject::new()
            .kind(Kind::PieExecutable)
            .interp("/lib64/ld-linux-x86-64.so.2")
            .needed("libc.so.6")
            // PG_BACKEND_VERSIONSTR: any mapped bytes will do.
            .dynamic_string(0x6fff_f000, "postgres (PostgreSQL) 15.8")
            .magic(Magic::pg(15))
            .build();
        let fs = MemoryFs::new()
            .file("/pg/bin/postgres", server)
            .file("/pg/lib/plpgsql.so", module().build())
            .file("/lib64/ld-linux-x86-64.so.2", loader(version))
            .file("/lib/x86_64-linux-gnu/libc.so.6", SharedObject::new().soname("libc.so.6").build());
        Self { fs, settings: Settings::default(), roots: vec![PathBuf::from("/pg/lib")] }
    }

    /// A server of PostgreSQL 15 for macOS 13 on x86_64, in the same places.
    pub(crate) fn mac() -> Self {
        let server = MachImage::executable(CPU)
            .library("/usr/lib/libSystem.B.dylib")
            .export("palloc")
            .export("hash_create")
            .constant(b"postgres (PostgreSQL) 15.8")
            .magic(15);
        let fs = MemoryFs::new()
            .file("/pg/bin/postgres", server.build())
            .file("/pg/lib/plpgsql.so", bundle().build());
        Self { fs, settings: Settings::default(), roots: vec![PathBuf::from("/pg/lib")] }
    }

    /// Adds a Mach-O image; relative paths are below `/pg/lib`.
    pub(crate) fn image(self, path: &str, image: &MachImage) -> Self {
        self.file(path, image.build())
    }

    /// Adds a file; relative paths are below `/pg/lib`.
    pub(crate) fn file(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let fs = self.fs.file(Path::new("/pg/lib").join(path), bytes);
        Self { fs, ..self }
    }

    /// A symbolic link in the tree.
    pub(crate) fn symlink(mut self, path: &str, target: &str) -> Self {
        self.fs = self.fs.symlink(path, target);
        self
    }

    /// Adds an object; relative paths are below `/pg/lib`.
    pub(crate) fn object(self, path: &str, object: &SharedObject) -> Self {
        self.file(path, object.build())
    }

    /// Changes the files in a way of its own.
    pub(crate) fn fs(self, change: impl FnOnce(MemoryFs) -> MemoryFs) -> Self {
        Self { fs: change(self.fs), ..self }
    }

    /// Asks about other paths than `/pg/lib`.
    pub(crate) fn roots(self, roots: &[&str]) -> Self {
        Self { roots: roots.iter().map(PathBuf::from).collect(), ..self }
    }

    /// Changes the question.
    pub(crate) fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// The tree.
    pub(crate) fn tree(&self) -> Tree {
        Tree::load(Arc::new(self.fs.clone()), &self.roots, self.settings.clone())
            .expect("the case can be loaded")
    }

    /// What one rule finds.
    pub(crate) fn run(&self, rule: &'static Rule) -> Vec<Finding> {
        let only = vec![rule.code.parse().expect("the rule is listed")];
        check(&self.tree(), &Selection { only, ..Selection::default() })
    }

    /// What all rules find.
    pub(crate) fn run_all(&self) -> Vec<Finding> {
        check(&self.tree(), &Selection::default())
    }

    /// The one finding of a rule.
    pub(crate) fn one(&self, rule: &'static Rule) -> Finding {
        let mut findings = self.run(rule);
        assert_eq!(findings.len(), 1, "{findings:#?}");
        findings.remove(0)
    }
}

/// The processor of the macOS cases.
pub(crate) const CPU: MachCpu = MachCpu::X86_64;

/// A module as PGXS builds one on macOS: nothing in it to complain about.
pub(crate) fn bundle() -> MachImage {
    MachImage::bundle(CPU).library("/usr/lib/libSystem.B.dylib").magic(15)
}

/// A module as PGXS builds one: nothing in it to complain about.
pub(crate) fn module() -> SharedObject {
    SharedObject::new().needed("libc.so.6").magic(Magic::pg(15))
}

/// A library as autotools build one, with one function.
pub(crate) fn library(soname: &str) -> SharedObject {
    SharedObject::new().soname(soname).needed("libc.so.6").export(function_of(soname))
}

fn function_of(soname: &str) -> String {
    format!("function_of_{}", soname.replace(['.', '-'], "_"))
}

/// What [`library`] makes, and how others use it.
pub(crate) trait Uses {
    /// Needs a library and calls its function.
    fn uses(self, soname: &str) -> Self;
}

impl Uses for SharedObject {
    fn uses(self, soname: &str) -> Self {
        self.needed(soname).import(function_of(soname))
    }
}

impl Finding {
    /// The texts under one label.
    pub(crate) fn texts(&self, label: &str) -> Vec<&str> {
        self.evidence.iter().filter(|seen| seen.label == label).map(|Evidence { text, .. }| &**text).collect()
    }
}
