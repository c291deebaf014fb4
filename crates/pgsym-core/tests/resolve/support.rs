//! A server in a tree in memory, whose modules tests open.

use std::path::Path;
use std::sync::Arc;

use pgsym_core::fs::MemoryFs;
use pgsym_core::model::{Class, Endian, Target};
use pgsym_core::name::Name;
use pgsym_core::parse::Facets;
use pgsym_core::resolve::{
    CpuLevel, FileStore, LD_SO_CACHE, Libc, LoaderEnv, LoaderOptions, MainObject, Process,
};
use pgsym_testkit::{Kind, SharedObject};

/// Where the server stands.
pub(crate) const SERVER: &str = "/pg/bin/postgres";

/// What Debian's loader says of itself, in its own file.
const LOADER: &[u8] = b"\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0\
    ld.so (Debian GLIBC 2.36-9) stable release version 2.36.\n\0";

/// The machine that everything here is for.
pub(crate) const X86_64: Target = Target {
    machine: object::elf::EM_X86_64,
    class: Class::Bits64,
    endian: Endian::Little,
    os_abi: 0,
    abi_version: 0,
    flags: 0,
};

/// A server, the tree around it, and how it is started.
#[derive(Clone)]
pub(crate) struct Server {
    files: MemoryFs,
    program: SharedObject,
    options: LoaderOptions,
}

/// The server of a Debian 12 machine that has nothing else; `/run` is its current directory.
pub(crate) fn server() -> Server {
    let program = SharedObject::new().kind(Kind::PieExecutable).interp("/lib64/ld-linux-x86-64.so.2");
    let options = LoaderOptions { current_directory: Some("/run".into()), ..LoaderOptions::default() };
    let files = MemoryFs::new().file("/lib64/ld-linux-x86-64.so.2", LOADER).directory("/run");
    Server { files, program, options }
}

/// A library without anything.
pub(crate) fn library() -> SharedObject {
    SharedObject::new()
}

/// A library that needs another.
pub(crate) fn needs(name: &str) -> SharedObject {
    library().needed(name)
}

impl Server {
    /// Adds an object.
    #[expect(clippy::needless_pass_by_value, reason = "what a chain of setters returns is a value")]
    pub(crate) fn object(self, path: &str, object: SharedObject) -> Self {
        self.file(path, &object.build())
    }

    /// Adds a file.
    pub(crate) fn file(self, path: &str, bytes: &[u8]) -> Self {
        self.tree(|files| files.file(path, bytes))
    }

    /// Changes the tree.
    pub(crate) fn tree(mut self, change: impl FnOnce(MemoryFs) -> MemoryFs) -> Self {
        self.files = change(self.files);
        self
    }

    /// Changes the server's own file.
    pub(crate) fn program(mut self, change: impl FnOnce(SharedObject) -> SharedObject) -> Self {
        self.program = change(self.program);
        self
    }

    /// Sets LD_LIBRARY_PATH.
    pub(crate) fn library_path(mut self, list: &str) -> Self {
        self.options.library_path = Some(Name::from(list));
        self
    }

    /// Takes another C library.
    pub(crate) fn libc(mut self, libc: Libc) -> Self {
        self.options.libc = Some(libc);
        self
    }

    /// Takes another processor.
    pub(crate) fn cpu(mut self, cpu: CpuLevel) -> Self {
        self.options.cpu = Some(cpu);
        self
    }

    /// Writes a cache with these sonames and paths, in ldconfig's new format.
    pub(crate) fn cache(self, entries: &[(&str, &str)]) -> Self {
        let strings_at = 48 + 24 * entries.len();
        let mut table = Vec::new();
        let mut strings = Vec::new();
        let mut intern = |text: &str| {
            let at = u32::try_from(strings_at + strings.len()).unwrap();
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at
        };
        for (soname, path) in entries {
            // Flags of x86-64 libraries, key, value, osversion; no hwcap.
            for word in [0x0303, intern(soname), intern(path), 0] {
                table.extend_from_slice(&word.to_le_bytes());
            }
            table.extend_from_slice(&[0; 8]);
        }
        let mut bytes = b"glibc-ld.so.cache1.1".to_vec();
        let count = u32::try_from(entries.len()).unwrap();
        for word in [count, u32::try_from(strings.len()).unwrap(), 2, 0, 0, 0, 0] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&table);
        bytes.extend_from_slice(&strings);
        self.file(LD_SO_CACHE, &bytes)
    }

    /// Starts it; what it needs itself must be there.
    pub(crate) fn start(&self) -> Process {
        let process = self.start_anyhow();
        assert!(process.failure().is_none(), "{:?}", process.failure());
        process
    }

    /// Starts it, whatever it misses.
    pub(crate) fn start_anyhow(&self) -> Process {
        let fs = Arc::new(self.files.clone().file(SERVER, self.program.build()));
        let env = Arc::new(LoaderEnv::read(&*fs, X86_64, None, &self.options));
        let store = Arc::new(FileStore::new(fs, Facets::LINK));
        Process::start(store, env, Path::new(SERVER), MainObject::Program).unwrap()
    }

    /// The paths that opening one module in a new server adds.
    pub(crate) fn open(&self, module: &str) -> Vec<String> {
        open(&mut self.start(), module)
    }

    /// The loader's sentence about a module that it refuses.
    pub(crate) fn refuse(&self, module: &str) -> String {
        let attempt = self.start().dlopen(Path::new(module));
        attempt.failure.unwrap_or_else(|| panic!("{module} loads")).message
    }
}

/// Opens a module, which must load, and returns the paths that it adds, in load order.
pub(crate) fn open(process: &mut Process, module: &str) -> Vec<String> {
    let attempt = process.dlopen(Path::new(module));
    assert!(attempt.failure.is_none(), "{module}: {:?}", attempt.failure);
    let added = attempt.process.added_since(process);
    let paths = added.map(|(_, object)| object.path().display().to_string()).collect();
    *process = attempt.process;
    paths
}

/// The sentence for a library that is nowhere.
pub(crate) fn not_found(name: &str) -> String {
    format!("{name}: cannot open shared object file: No such file or directory")
}
