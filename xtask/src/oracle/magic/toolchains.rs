//! One module, compiled in every way that changes the code of `Pg_magic_func` or the place of its block: compilers,
//! optimisation, control-flow protection, linkers, packed relocations, majors. Modules for this machine are called; for
//! the rest the source tells what they would return.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use pgsym_core::postgres::MagicEvidence;
use rayon::prelude::*;

use super::native::Host;
use super::{Address, LIMIT, describe, evidence, read};
use crate::support::command::{clean, run};
use crate::support::report::Report;

/// One way to build the module.
#[derive(Debug, Clone)]
struct Build {
    compiler: &'static str,
    flags: Vec<&'static str>,
    major: u32,
    is_named: bool,
    /// Bytes of a pointer.
    pointer: u32,
    /// Whether this machine's loader takes it.
    is_native: bool,
}

/// Builds and compares all.
pub(super) fn compare(work: &Path, host: &Host) -> Result<Report> {
    let directory = work.join("toolchains");
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let source = directory.join("module.c");
    fs::write(&source, include_str!("module.c")).context("cannot write the module")?;
    let builds = builds();
    let parts: Vec<Report> = builds
        .par_iter()
        .enumerate()
        .map(|(index, build)| compare_one(&source, index, build, host))
        .collect();
    let mut report = Report::default();
    for part in parts {
        report.absorb(part);
    }
    Ok(report)
}

fn builds() -> Vec<Build> {
    let mut builds = Vec::new();
    let mut add = |compiler, flags: Vec<&'static str>, major, is_named, pointer, is_native| {
        builds.push(Build { compiler, flags, major, is_named, pointer, is_native });
    };
    let options: [&[&str]; 6] = [
        &["-O0"],
        &["-O1"],
        &["-O2"],
        &["-Os"],
        &["-O2", "-fcf-protection"],
        &["-O2", "-fstack-protector-strong", "-fno-omit-frame-pointer"],
    ];
    let linkers: [&[&str]; 6] = [
        &["-fuse-ld=bfd"],
        &["-fuse-ld=gold"],
        &["-fuse-ld=lld"],
        &["-fuse-ld=mold"],
        &["-fuse-ld=bfd", "-Wl,-z,pack-relative-relocs"],
        &["-fuse-ld=lld", "-Wl,--pack-dyn-relocs=relr"],
    ];
    for compiler in ["gcc", "clang"] {
        for option in options {
            for linker in linkers {
                // Debian 12's glibc refuses DT_RELR without a version reference that its lld does not write.
                let is_native = !linker.contains(&"-Wl,--pack-dyn-relocs=relr");
                for (major, is_named) in [(13, false), (17, false), (18, false), (19, true)] {
                    add(compiler, [option, linker].concat(), major, is_named, 8, is_native);
                }
            }
        }
    }
    for major in 13..=19 {
        add("gcc", vec!["-O2", "-s"], major, false, 8, true);
    }
    let targets: [(&[&str], u32); 7] = [
        (&["--target=aarch64-linux-gnu"], 8),
        (&["--target=aarch64-linux-gnu", "-mbranch-protection=standard"], 8),
        (&["--target=i386-linux-gnu"], 4),
        (&["--target=armv7-linux-gnueabihf", "-mthumb"], 4),
        (&["--target=armv7-linux-gnueabihf", "-marm"], 4),
        (&["--target=powerpc64le-linux-gnu"], 8),
        (&["--target=x86_64-linux-gnux32"], 4),
    ];
    for (target, pointer) in targets {
        for option in ["-O0", "-O2", "-Os"] {
            // lld has no relative relocation for the 4-byte pointers of x32.
            let has_pointers = !target.contains(&"--target=x86_64-linux-gnux32");
            for (major, is_named) in [(13, false), (17, false), (18, has_pointers)] {
                let flags = [target, &[option, "-fuse-ld=lld", "-nostdlib"]].concat();
                add("clang", flags, major, is_named, pointer, false);
            }
        }
    }
    builds
}

impl Build {
    fn name(&self) -> String {
        let named = if self.is_named { " named" } else { "" };
        format!("major {}{named}, {} {}", self.major, self.compiler, self.flags.join(" "))
    }

    /// What the functions return by their source.
    fn expected(&self) -> String {
        let length = match self.major {
            13 | 14 => 24,
            15..=17 => 56,
            _ => 56 + 2 * self.pointer,
        };
        let float8 = u32::from(self.major >= 19 || self.pointer == 8);
        let mut text = format!("ints {length} {} 100 32 64 {float8}\n", self.major * 100);
        if self.major >= 15 {
            text += &["abi ", "506f737467726553514c", &"00".repeat(22), "\n"].concat();
        }
        if self.is_named {
            text += "name a name\nversion 1.2.3\n";
        }
        text
    }
}

fn compare_one(source: &Path, index: usize, build: &Build, host: &Host) -> Report {
    let mut report = Report::default();
    let name = build.name();
    let library = source.with_file_name(format!("module-{index}.so"));
    match build_and_read(source, &library, build, host) {
        Ok(Compared { expected, found, evidence: by, is_decoded }) => {
            let place = if build.is_native { "called" } else { "that cannot be loaded here" };
            report.compared(&format!("compiled modules {place}, {by}"), 1);
            report.same(&name, &expected, &found);
            if !is_decoded {
                report.same(&format!("{name}: evidence"), "by code and by data", by);
            }
        }
        Err(error) => report.not_run(&format!("{name}: {error:#}"), 1),
    }
    report
}

struct Compared {
    expected: String,
    found: String,
    evidence: &'static str,
    is_decoded: bool,
}

fn build_and_read(source: &Path, library: &PathBuf, build: &Build, host: &Host) -> Result<Compared> {
    let mut command = clean(build.compiler);
    command.args(["-fPIC", "-shared", "-fvisibility=hidden", "-o"]).arg(library).arg(source);
    command.arg(format!("-DMAJOR={}", build.major)).args(&build.flags);
    if build.is_named {
        command.arg("-DNAMED");
    }
    let finished = run(&mut command, LIMIT)?;
    anyhow::ensure!(finished.status.success(), "does not build: {}", finished.stderr().trim());
    let (_, facts) = read(library)?;
    let is_decoded = facts.magic.block().is_some_and(|block| block.evidence == MagicEvidence::CodeAndData);
    let (expected, found) = if build.is_native {
        (host.ask(library, &facts)?, describe(&facts, Address::Shown))
    } else {
        let mut records: Vec<&str> = vec!["pg_finfo_one 1", "pg_finfo_two 2"];
        let found = describe(&facts, Address::Hidden);
        // In the order of the symbol table.
        records.sort_by_key(|record| found.find(record.split(' ').next().unwrap_or_default()));
        (format!("{}{}\n", build.expected(), records.join("\n")), found)
    };
    Ok(Compared { expected, found, evidence: evidence(&facts), is_decoded })
}
