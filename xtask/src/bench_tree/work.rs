//! The workers that read every dynamic symbol of a set of files, each a process of its own so that its time and memory
//! can be measured like a peer's: pgsym's reader, which keeps every module, and a bare loop over the same tables, which
//! keeps nothing and checks nothing. Both print how many files and symbols they saw.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use pgsym_core::discover::{Roots, discover};
use pgsym_core::fs::{Fs, RealFs};
use pgsym_core::model::SymbolTable;
use pgsym_core::parse::{Facets, parse};
use rayon::prelude::*;
use walkdir::WalkDir;

use crate::support::Outcome;

/// Which worker, over what.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    work: Work,
}

#[derive(Debug, Subcommand)]
enum Work {
    /// pgsym's reader with its symbol tables, all modules kept
    Read {
        /// Threads
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// A directory to search for binaries, or a file that lists them
        place: PathBuf,
    },
    /// The bare loop
    Bare {
        /// A file that lists binaries
        list: PathBuf,
    },
    /// Every file of a directory opened, for its first bytes
    Open {
        /// The directory
        directory: PathBuf,
    },
}

/// Runs a worker.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let (files, symbols) = match &options.work {
        Work::Read { threads, place } => read(*threads, place)?,
        Work::Bare { list } => bare(&listed(list)?),
        Work::Open { directory } => (open_all(directory)?, 0),
    };
    println!("{files} files, {symbols} symbols");
    Ok(Outcome::Good)
}

fn read(threads: usize, place: &Path) -> Result<(usize, usize)> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let pool = if threads == 1 { pool.use_current_thread() } else { pool };
    pool.build_global().context("cannot start threads")?;
    let fs = RealFs::new();
    let files = if place.is_dir() {
        let roots = Roots::new(&fs, &[place.to_owned()], None);
        discover(&fs, &roots)?.candidates.into_iter().map(|candidate| candidate.path).collect()
    } else {
        listed(place)?
    };
    let modules: Vec<_> = files
        .par_iter()
        .filter_map(|path| {
            let (source, metadata) = fs.open(path).ok()?;
            parse(path, metadata, &*source, Facets::SYMBOLS).ok()
        })
        .collect();
    let symbols = modules.iter().filter_map(|module| module.symbols.get()).map(SymbolTable::len).sum();
    Ok((modules.len(), symbols))
}

/// How many files there are that can be read.
fn open_all(directory: &Path) -> Result<usize> {
    let mut read = 0;
    for entry in WalkDir::new(directory) {
        let entry = entry.with_context(|| format!("cannot walk {}", directory.display()))?;
        if entry.file_type().is_file() {
            let file = File::open(entry.path());
            read += usize::from(file.and_then(|file| file.read_at(&mut [0; 4], 0)).is_ok());
        }
    }
    Ok(read)
}

/// The paths of a list, one a line.
fn listed(list: &Path) -> Result<Vec<PathBuf>> {
    let text = std::fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    Ok(text.lines().map(PathBuf::from).collect())
}

fn bare(files: &[PathBuf]) -> (usize, usize) {
    let mut total = 0;
    let mut seen = 0;
    let mut sum = 0_u64;
    for path in files {
        let Some((symbols, part)) = File::open(path).ok().and_then(|file| bare_file(&file)) else { continue };
        seen += 1;
        total += symbols;
        sum = sum.wrapping_add(part);
    }
    // The sum is printed so that the loop cannot be left out.
    eprintln!("sum {sum:x}");
    (seen, total)
}

const SHT_DYNSYM: u32 = 11;
const SHT_GNU_VERSYM: u32 = 0x6fff_ffff;
const SHT_GNU_VERDEF: u32 = 0x6fff_fffd;
const SHT_GNU_VERNEED: u32 = 0x6fff_fffe;

/// How many dynamic symbols a little-endian 64-bit file has, and a sum over names and versions.
fn bare_file(file: &File) -> Option<(usize, u64)> {
    let range = |offset: u64, length: u64| {
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    };
    let header = range(0, 64)?;
    if header.get(4..6)? != [2, 1] {
        return None;
    }
    let sections = range(u64_at(&header, 40)?, 64 * u64::from(u16_at(&header, 60)?))?;
    let section = |index: usize| sections.get(index * 64..index * 64 + 64);
    let kind = |section: &[u8]| u32_at(section, 4);
    let find = |wanted: u32| sections.chunks_exact(64).find(|section| kind(section) == Some(wanted));
    let contents = |section: &[u8]| range(u64_at(section, 24)?, u64_at(section, 32)?);
    let Some(dynsym) = find(SHT_DYNSYM) else { return Some((0, 0)) };
    let names = contents(section(u32_at(dynsym, 40)? as usize)?)?;
    let symbols = contents(dynsym)?;
    let versions = find(SHT_GNU_VERSYM).and_then(contents).unwrap_or_default();
    let mut sum = 0_u64;
    for wanted in [SHT_GNU_VERDEF, SHT_GNU_VERNEED] {
        sum = sum.wrapping_add(find(wanted).and_then(contents).map_or(0, |bytes| bytes.len() as u64));
    }
    for (index, symbol) in symbols.chunks_exact(24).enumerate() {
        let name = names.get(u32_at(symbol, 0)? as usize..)?;
        let length = name.iter().position(|&byte| byte == 0)?;
        let version = u16_at(&versions, index * 2).unwrap_or(0);
        sum = sum.wrapping_mul(31).wrapping_add(length as u64 ^ u64::from(version) ^ u64_at(symbol, 8)?);
    }
    Some((symbols.len() / 24, sum))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
