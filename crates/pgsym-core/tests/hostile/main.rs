//! Hostile files: cut off at every byte, changed at random. Nothing may panic, take long or allocate out of
//! proportion to the file; the allocator of this test counts.

mod counting;
mod extensions;
#[expect(unreachable_pub, reason = "it is the fuzz crate's public function")]
#[path = "../../../../fuzz/src/elf.rs"]
mod fuzz_body;
mod macho;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use pgsym_testkit::{
    Class, Endian, HashStyle, Import, Machine, Magic, Note, RelativeStyle, SharedObject, SymbolTable,
    VersionDefault,
};

/// Where the real modules are that get changed.
const MODULES: &str = "/usr/lib/postgresql/15/lib";

/// Changed copies of real modules.
const MUTATIONS: usize = 10_000;

/// Bytes that reading one file may hold at a time: the file's own tables a few times over, the names that the
/// limits allow to be copied from it (`OWNED_NAME_BYTES`), and some buffers.
fn allowance(file: usize) -> usize {
    8 * file + (16 << 20) + (2 << 20)
}

/// No file of these tests has more than some hundred kilobytes; sound ones are read in a millisecond or two in a
/// debug build.
const LONGEST: Duration = Duration::from_secs(5);

/// Reads one file and checks what it cost.
fn read_within_limits(bytes: &[u8], what: &dyn Fn() -> String) {
    within_limits(bytes.len(), &|| fuzz_body::read_everything(bytes), what);
}

/// Runs something over a file of some length and checks what it cost.
fn within_limits(len: usize, read: &dyn Fn(), what: &dyn Fn() -> String) {
    let started = Instant::now();
    let peak = counting::peak_of(read);
    let allowed = allowance(len);
    assert!(peak <= allowed, "{}: {peak} bytes held, {allowed} allowed", what());
    let took = started.elapsed();
    assert!(took <= LONGEST, "{} took {took:?}", what());
}

fn small_files() -> [SharedObject; 3] {
    let full = |machine| {
        SharedObject::for_machine(machine)
            .soname("small.so")
            .needed("libc.so.6")
            .runpath("$ORIGIN")
            .import_versioned("memcpy", "libc.so.6", "GLIBC_2.14")
            .add_import(Import::object("CurrentMemoryContext"))
            .export_versioned("api", "SMALL_1", VersionDefault::Default)
            .local_function("_PG_init")
            .symbol_table(SymbolTable::Always)
            .note(Note::BuildId(vec![7; 20]))
            .note(Note::Dlopen(r#"[{"soname":["libx.so.1"]}]"#.to_owned()))
            .relative_words(5)
            .pg_function("add_one")
    };
    [
        full(Machine::X86_64)
            .magic(Magic::pg(18).name("small").module_version("1"))
            .relative_style(RelativeStyle::Packed),
        full(Machine::I386).magic(Magic::pg(15)).hash_style(HashStyle::SysV),
        full(Machine::Aarch64)
            .class(Class::Elf64)
            .endian(Endian::Big)
            .magic(Magic::pg(13))
            .hash_style(HashStyle::Both),
    ]
}

#[test]
fn a_file_cut_off_at_any_byte_is_read_or_refused() {
    for (index, object) in small_files().iter().enumerate() {
        let bytes = object.build();
        for length in 0..=bytes.len() {
            read_within_limits(&bytes[..length], &|| format!("file {index} cut off at {length}"));
        }
    }
}

#[test]
fn any_single_byte_of_a_small_file_may_be_wrong() {
    for (index, object) in small_files().iter().enumerate() {
        let bytes = object.build();
        for at in 0..bytes.len() {
            for value in [0, 0xff, bytes[at] ^ 0x80, bytes[at].wrapping_add(1)] {
                let mut changed = bytes.clone();
                changed[at] = value;
                read_within_limits(&changed, &|| format!("file {index} with {value:#x} at {at:#x}"));
            }
        }
    }
}

#[test]
fn real_modules_changed_at_random_are_read_or_refused() {
    let modules = real_modules();
    if modules.is_empty() {
        #[expect(clippy::print_stderr, reason = "a test that did not run must say so")]
        {
            eprintln!("NOT RUN: there are no modules in {MODULES} (Debian package postgresql-15)");
        }
        return;
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..MUTATIONS {
        let (path, bytes) = &modules[round % modules.len()];
        let changed = mutate(bytes, &mut random);
        read_within_limits(&changed, &|| format!("{path}, round {round}"));
    }
}

/// Modules small enough that ten thousand readings take seconds.
fn real_modules() -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(Path::new(MODULES)) else { return Vec::new() };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "so"))
        .filter_map(|path| Some((path.display().to_string(), fs::read(path).ok()?)))
        .filter(|(_, bytes)| bytes.len() <= 256 << 10)
        .collect()
}

/// A copy with one to sixteen changes, most of them where the tables are: in the first and the last pages.
fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for _ in 0..=random.below(16) {
        let at = match random.below(4) {
            0 => random.below(changed.len()),
            1 => random.below(changed.len().min(0x400)),
            2 => random.below(changed.len().min(0x4000)),
            _ => changed.len() - 1 - random.below(changed.len().min(0x4000)),
        };
        let interesting: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, u64::MAX, bytes.len() as u64];
        let value = match random.below(3) {
            0 => random.next(),
            1 => u64::from(changed[at]) ^ 1 << random.below(8),
            _ => interesting[random.below(interesting.len())],
        };
        let width = [1, 2, 4, 8][random.below(4)];
        for (byte, new) in changed[at..].iter_mut().zip(value.to_le_bytes()).take(width) {
            *byte = new;
        }
    }
    if random.below(8) == 0 {
        changed.truncate(random.below(changed.len()));
    }
    changed
}

/// xorshift64*: the same files in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}
