//! Modules with one fault each, compiled and linked for the installed server, so that every message of the loader
//! and of dfmgr.c is met at least once.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::support::command::{clean, run_well};

const COMPILE: Duration = Duration::from_mins(1);

/// A block of PostgreSQL 15 whose fields the compiler's command line changes.
const MAGIC: &str = r#"
#ifndef VERSION
#define VERSION 1500
#endif
#ifndef ARGS
#define ARGS 100
#endif
#ifndef KEYS
#define KEYS 32
#endif
#ifndef NAMELEN
#define NAMELEN 64
#endif
#ifndef BYVAL
#define BYVAL 1
#endif
#ifndef ABI
#define ABI "PostgreSQL"
#endif
#ifndef EXTRA
#define EXTRA 0
#endif
struct magic { int len, version, args, keys, namelen, byval; char abi[32]; };
static const struct magic block = { sizeof(struct magic) + EXTRA, VERSION, ARGS, KEYS, NAMELEN, BYVAL, ABI };
const void *Pg_magic_func(void) { return &block; }
"#;

/// Builds all of them below `directory`; the paths, of which some lead nowhere.
pub(super) fn build(directory: &Path) -> Result<Vec<PathBuf>> {
    let directory = directory.join("made-up");
    fs::create_dir(&directory)?;
    let mut build = Build { directory, paths: Vec::new() };
    build.magic()?;
    build.symbols_and_versions()?;
    build.packed_relocations()?;
    build.libraries()?;
    build.files()?;
    // The server's user has to reach them.
    run_well(clean("chmod").args(["-R", "a+rX"]).arg(&build.directory), COMPILE)?;
    Ok(build.paths)
}

struct Build {
    directory: PathBuf,
    paths: Vec<PathBuf>,
}

impl Build {
    /// Links a module from C text; it is one of those to be loaded.
    fn module(&mut self, name: &str, text: &str, arguments: &[&str]) -> Result<()> {
        let path = self.library(name, text, arguments)?;
        self.paths.push(path);
        Ok(())
    }

    /// Links a shared object from C text.
    fn library(&self, name: &str, text: &str, arguments: &[&str]) -> Result<PathBuf> {
        let source = self.directory.join(format!("{name}.c"));
        let path = self.directory.join(name);
        fs::write(&source, text)?;
        let mut compile = clean("gcc");
        compile.args(["-shared", "-fPIC", "-O1", "-w", "-o"]).arg(&path).arg(&source).args(arguments);
        run_well(compile.current_dir(&self.directory), COMPILE)?;
        Ok(path)
    }

    fn magic(&mut self) -> Result<()> {
        self.module("good.so", MAGIC, &[])?;
        self.module("no_magic.so", "int f(void) { return 1; }", &[])?;
        let hidden =
            MAGIC.replace("const void *Pg", "__attribute__((visibility(\"hidden\"))) const void *Pg");
        self.module("hidden_magic.so", &hidden, &[])?;
        let changes = [
            ("major_13.so", "-DVERSION=1300"),
            ("major_18.so", "-DVERSION=1800"),
            ("major_9_6.so", "-DVERSION=906"),
            ("abi.so", "-DABI=\"EDB Advanced Server\""),
            ("abi_empty.so", "-DABI=\"\""),
            ("abi_tail.so", "-DABI=\"PostgreSQL\\0x\""),
            ("args.so", "-DARGS=200"),
            ("keys.so", "-DKEYS=16"),
            ("namelen.so", "-DNAMELEN=128"),
            ("byval.so", "-DBYVAL=0"),
        ];
        for (name, change) in changes {
            self.module(name, MAGIC, &[change])?;
        }
        self.module("several.so", MAGIC, &["-DARGS=200", "-DKEYS=16", "-DNAMELEN=128", "-DBYVAL=0"])?;
        // 72 is the length of 18: with the version of 15 nothing but the length differs.
        self.module("length.so", MAGIC, &["-DEXTRA=16"])?;
        // dlsym looks into the libraries of the handle as well.
        self.library("libwith_magic.so", MAGIC, &["-Wl,-soname,libwith_magic.so"])?;
        let through = ["-Wl,--no-as-needed", "-L.", "-lwith_magic", "-Wl,-rpath,$ORIGIN"];
        self.module("magic_through_library.so", "int g(void) { return 2; }", &through)
    }

    fn symbols_and_versions(&mut self) -> Result<()> {
        let with = |text: &str| format!("{MAGIC}\n{text}");
        self.module(
            "undefined.so",
            &with("extern int nobody_has_this(void); int f(void) { return nobody_has_this(); }"),
            &[],
        )?;
        self.module(
            "undefined_data.so",
            &with("extern int nobody_has_that; int f(void) { return nobody_has_that; }"),
            &[],
        )?;
        self.module(
            "undefined_weak.so",
            &with("extern int nobody(void) __attribute__((weak)); int f(void) { return nobody ? nobody() : 0; }"),
            &[],
        )?;
        let several = "extern int zzz(void), aaa(void), mmm; int f(void) { return zzz() + aaa() + mmm; }";
        self.module("undefined_several.so", &with(several), &[])?;
        fs::write(self.directory.join("two.map"), "V1 { global: old; }; V2 { global: new; } V1;")?;
        fs::write(self.directory.join("one.map"), "V1 { global: old; };")?;
        // Linked against the release with V2, run with the one that has only V1.
        let versioned = "int old(void) { return 1; } int new(void) { return 2; }";
        let soname = "-Wl,-soname,libversioned.so.1";
        self.library("libversioned.so", versioned, &[soname, "-Wl,--version-script=two.map"])?;
        let link = ["-L.", "-lversioned", "-Wl,-rpath,$ORIGIN", "-Wl,-rpath-link,."];
        self.module(
            "version_missing.so",
            &with("extern int new(void); int f(void) { return new(); }"),
            &link,
        )?;
        self.module("version_there.so", &with("extern int old(void); int f(void) { return old(); }"), &link)?;
        self.library(
            "libversioned.so.1",
            "int old(void) { return 1; }",
            &[soname, "-Wl,--version-script=one.map"],
        )?;
        // The node is there, the symbol in it is not.
        fs::write(self.directory.join("moved.map"), "V1 { global: kept; gone; };")?;
        let moved = "-Wl,-soname,libmoved.so.1";
        self.library(
            "libmoved.so",
            "int kept(void) { return 1; } int gone(void) { return 2; }",
            &[moved, "-Wl,--version-script=moved.map"],
        )?;
        let link = ["-L.", "-lmoved", "-Wl,-rpath,$ORIGIN"];
        self.module(
            "versioned_symbol_missing.so",
            &with("extern int gone(void); int f(void) { return gone(); }"),
            &link,
        )?;
        self.library(
            "libmoved.so.1",
            "int kept(void) { return 1; }",
            &[moved, "-Wl,--version-script=moved.map", "-Wl,--undefined-version"],
        )?;
        Ok(())
    }

    /// What the loader refuses or passes over beside the symbols: DT_RELR without its version, Android's tables, versions of
    /// a library that is no dependency any more.
    fn packed_relocations(&mut self) -> Result<()> {
        let text = format!(
            "{MAGIC}\nint here; int *pointer = &here; extern int puts(const char *); \
                            int f(void) {{ return puts(\"\"); }}"
        );
        let relr = ["-fuse-ld=lld", "-Wl,--pack-dyn-relocs=relr"];
        self.module("relr_unannounced.so", &text, &relr)?;
        self.module("relr_without_libc.so", &text, &[relr[0], relr[1], "-nostdlib"])?;
        self.module("relr_announced.so", &text, &["-Wl,-z,pack-relative-relocs"])?;
        self.module("android_relocations.so", &text, &[relr[0], "-Wl,--pack-dyn-relocs=android"])?;
        fs::write(self.directory.join("gone.map"), "V1 { global: gone; };")?;
        let soname = "-Wl,-soname,libgone.so";
        self.library(
            "libgone.so",
            "int gone(void) { return 1; }",
            &[soname, "-Wl,--version-script=gone.map"],
        )?;
        let user = format!("{MAGIC}\nextern int gone(void); int f(void) {{ return gone(); }}");
        self.module("needed_removed.so", &user, &["-L.", "-lgone", "-Wl,-rpath,$ORIGIN"])?;
        let module = self.directory.join("needed_removed.so");
        run_well(clean("patchelf").args(["--remove-needed", "libgone.so"]).arg(module), COMPILE)?;
        Ok(())
    }

    fn libraries(&mut self) -> Result<()> {
        let with = |text: &str| format!("{MAGIC}\n{text}");
        let uses = with("extern int here(void); int f(void) { return here(); }");
        let bad: [(&str, fn(&Path) -> Result<()>); 6] = [
            ("absent", |path| Ok(fs::remove_file(path)?)),
            ("short", |path| Ok(fs::write(path, b"\x7fELF")?)),
            ("empty", |path| Ok(fs::write(path, b"")?)),
            ("text", |path| {
                Ok(fs::write(
                    path,
                    "/* GNU ld script */ INPUT(libthere.so.1)                                  ",
                )?)
            }),
            ("directory", |path| {
                fs::remove_file(path)?;
                Ok(fs::create_dir(path)?)
            }),
            ("big_endian", |path| {
                let mut bytes = fs::read(path)?;
                bytes[5] = 2;
                Ok(fs::write(path, bytes)?)
            }),
        ];
        for (fault, damage) in bad {
            let library = self.library(&format!("lib{fault}.so"), "int here(void) { return 1; }", &[])?;
            let link = ["-L.", &format!("-l{fault}"), "-Wl,-rpath,$ORIGIN"];
            self.module(&format!("needs_{fault}.so"), &uses, &link)?;
            damage(&library)?;
        }
        Ok(())
    }

    /// Files that are no modules at all, given to LOAD by name.
    fn files(&mut self) -> Result<()> {
        let good = fs::read(self.directory.join("good.so"))?;
        let changed = |at: usize, bytes: &[u8]| {
            let mut copy = good.clone();
            copy[at..at + bytes.len()].copy_from_slice(bytes);
            copy
        };
        let files: [(&str, Vec<u8>); 10] = [
            ("file_empty.so", Vec::new()),
            ("file_short.so", good[..40].to_vec()),
            (
                "file_text.so",
                b"this is a text file of more than sixty-four bytes, which no loader takes for a library"
                    .to_vec(),
            ),
            ("file_class.so", changed(4, &[1])),
            ("file_order.so", changed(5, &[2])),
            ("file_ident_version.so", changed(6, &[9])),
            ("file_os_abi.so", changed(7, &[9])),
            ("file_abi_version.so", changed(8, &[9])),
            ("file_machine.so", changed(18, &[183, 0])),
            ("file_type.so", changed(16, &[1, 0])),
        ];
        for (name, bytes) in files {
            let path = self.directory.join(name);
            fs::write(&path, bytes)?;
            self.paths.push(path);
        }
        let directory = self.directory.join("file_directory.so");
        fs::create_dir(&directory)?;
        self.paths.push(directory);
        self.paths.push(self.directory.join("file_absent.so"));
        let program = self.directory.join("program");
        fs::write(self.directory.join("program.c"), "int main(void) { return 0; }")?;
        for (name, kind) in [("pie", "-pie"), ("no_pie", "-no-pie")] {
            let path = self.directory.join(format!("file_{name}.so"));
            let mut compile = clean("gcc");
            compile.args(["-fPIE", kind, "-o"]).arg(&path).arg(program.with_extension("c"));
            run_well(compile.current_dir(&self.directory), COMPILE)?;
            self.paths.push(path);
        }
        self.module("file_noopen.so", MAGIC, &["-Wl,-z,nodlopen"])?;
        self.module("file_execstack.so", MAGIC, &["-Wl,-z,execstack"])
    }
}
