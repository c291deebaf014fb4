//! Directories to put on `--library-path`: good candidates under several names, and each kind of bad one, so
//! that a whole system's libraries meet every way in which a search goes on or stops.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::listing::Variant;

/// The directories, removed when dropped.
pub(crate) struct Candidates {
    directory: TempDir,
}

/// The libraries that the directories offer others of; most files of a system need one of them.
const WANTED: [&str; 8] = [
    "libz.so.1",
    "liblzma.so.5",
    "libzstd.so.1",
    "libxml2.so.2",
    "libcrypto.so.3",
    "libstdc++.so.6",
    "libgcc_s.so.1",
    "libm.so.6",
];

impl Candidates {
    /// Lays them out; `system` is the directory with the real libraries.
    pub(crate) fn new(system: &Path) -> Result<Self> {
        let candidates = Self { directory: TempDir::with_prefix("loader-oracle-")? };
        let real =
            |name: &str| fs::canonicalize(system.join(name)).with_context(|| format!("no {name} here"));
        // One good candidate of each kind: a copy, a symbolic link, a hard link to a copy, the best of
        // three levels, a library of another name behind the wanted one.
        let good = candidates.make("good")?;
        fs::copy(real("libz.so.1")?, good.join("libz.so.1"))?;
        std::os::unix::fs::symlink(real("liblzma.so.5")?, good.join("liblzma.so.5"))?;
        fs::copy(real("libm.so.6")?, good.join("copy"))?;
        fs::hard_link(good.join("copy"), good.join("libm.so.6"))?;
        for level in ["x86-64-v2", "x86-64-v3", "x86-64-v4"] {
            let below = candidates.make(&format!("good/glibc-hwcaps/{level}"))?;
            fs::copy(real("libzstd.so.1")?, below.join("libzstd.so.1"))?;
        }
        let legacy = candidates.make("good/tls")?;
        fs::copy(real("libxml2.so.2")?, legacy.join("libxml2.so.2"))?;
        fs::copy(real("libz.so.1")?, good.join("libgcc_s.so.1"))?;
        // Bad ones that the search passes over.
        let passed = candidates.make("passed")?;
        let header = fs::read(real("libz.so.1")?)?;
        let damaged = |at: usize, byte: u8| {
            let mut bytes = header.clone();
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
            bytes
        };
        fs::write(passed.join("libz.so.1"), damaged(EI_CLASS, 1))?;
        fs::write(passed.join("liblzma.so.5"), damaged(E_MACHINE, 3))?;
        std::os::unix::fs::symlink("nowhere", passed.join("libzstd.so.1"))?;
        std::os::unix::fs::symlink("libxml2.so.2", passed.join("libxml2.so.2"))?;
        // Bad ones that stop it, each in a directory of its own: the first would hide the others.
        let stop = |directory: &str, bytes: &[u8]| -> Result<()> {
            let directory = candidates.make(directory)?;
            for name in WANTED {
                fs::write(directory.join(name), bytes)?;
            }
            Ok(())
        };
        stop("empty", b"")?;
        stop("short", &header[..20.min(header.len())])?;
        stop(
            "text",
            "INPUT ( libreal.so ) # a linker script, long enough to hold an ELF header\n".as_bytes(),
        )?;
        stop("byte-order", &damaged(EI_DATA, 2))?;
        stop("abi", &damaged(EI_OSABI, 9))?;
        stop("type", &damaged(E_TYPE, 1))?;
        for name in WANTED {
            candidates.make(&format!("directory/{name}"))?;
        }
        Ok(candidates)
    }

    fn make(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.path().join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// Each way to call the loader that the directories serve.
    pub(crate) fn variants(&self) -> Vec<Variant> {
        let place = |name: &str| self.directory.path().join(name).display().to_string();
        let good = place("good");
        let mut paths = vec![
            good.clone(),
            // Empty elements and `.` are the current directory, `;` separates too, slashes are trimmed.
            format!(":{};;{good}///:.", place("passed")),
            format!("{}:/nowhere:usr/lib/postgresql/15/lib:$ORIGIN/../lib:{good}", place("passed")),
            "${ORIGIN}:$LIB:/usr/$LIB:/$PLATFORM:$ORIGINAL:${LIB".to_owned(),
        ];
        paths.extend(["empty", "short", "text", "byte-order", "abi", "type", "directory"].map(place));
        let mut variants: Vec<Variant> = paths
            .into_iter()
            .map(|path| Variant { library_path: Some(path), inhibits_cache: false })
            .collect();
        variants.push(Variant { library_path: None, inhibits_cache: true });
        variants.push(Variant { library_path: Some(good), inhibits_cache: true });
        variants
    }
}

// Offsets in the ELF header, the same in both classes.
const EI_CLASS: usize = 4;
const EI_DATA: usize = 5;
const EI_OSABI: usize = 7;
const E_TYPE: usize = 16;
const E_MACHINE: usize = 18;
