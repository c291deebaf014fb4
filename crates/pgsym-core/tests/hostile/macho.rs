//! Mach-O files and stubs changed at random: each fixture of `testdata/macho` and built images, most changes where
//! headers and tables are.

use std::fs;
use std::path::{Path, PathBuf};

use pgsym_testkit::{ExportHome, FatWidth, Fixups, From, MachCpu, MachImage, SignatureHash, fat};

use super::{MUTATIONS, Random, within_limits};

#[expect(unreachable_pub, reason = "it is the fuzz crate's public function")]
#[path = "../../../../fuzz/src/macho.rs"]
mod fuzz_body;
#[expect(unreachable_pub, reason = "it is the fuzz crate's public function")]
#[path = "../../../../fuzz/src/tbd.rs"]
mod stub_body;

/// The linked fixtures, and images in each encoding that no fixture has.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut pending = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/macho")];
    while let Some(directory) = pending.pop() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_none_or(|extension| extension == "so" || extension == "dylib") {
                found.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    assert!(found.len() >= 10, "the fixtures are there: {}", found.len());
    let image = |cpu| {
        MachImage::bundle(cpu)
            .library("@rpath/liba.dylib")
            .rpath("@loader_path")
            .export("alpha")
            .export("pg_finfo_alpha")
            .import("palloc", From::Executable)
            .import("a", From::Library(1))
            .import("flat", From::Flat)
            .magic(15)
            .signed(SignatureHash::Sha256)
    };
    let built = [
        image(MachCpu::X86_64).fixups(Fixups::Chained(2)).build(),
        image(MachCpu::Arm64).fixups(Fixups::Chained(3)).build(),
        image(MachCpu::Arm64).fixups(Fixups::SymbolTable).export_home(ExportHome::SymbolTable).build(),
        image(MachCpu::X86_64).fixups(Fixups::Opcodes).export_home(ExportHome::DyldInfo).build(),
        fat(FatWidth::Bits64, &[MachCpu::X86_64, MachCpu::Arm64].map(|cpu| (cpu, image(cpu).build()))),
    ];
    found.extend(built.into_iter().enumerate().map(|(index, bytes)| (format!("built image {index}"), bytes)));
    found
}

/// Where headers and tables lie: behind each magic, and before the end of the file or of a slice.
fn places(bytes: &[u8]) -> Vec<(usize, usize)> {
    let heads: Vec<usize> = (0..bytes.len().saturating_sub(4))
        .step_by(8)
        .filter(|&at| bytes[at..].starts_with(&[0xcf, 0xfa, 0xed, 0xfe]))
        .collect();
    let ends = heads.iter().skip(1).copied().chain([bytes.len()]);
    let mut places = vec![(0, 0x60)];
    for (&head, end) in heads.iter().zip(ends) {
        places.push((head, 0x800));
        places.push((head, 0x800));
        // Content before the padding that follows a slice.
        let last = bytes[..end].iter().rposition(|&byte| byte != 0).unwrap_or(0);
        places.push((last.saturating_sub(0x400), 0x400));
    }
    places
}

fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let places = places(bytes);
    for _ in 0..=random.below(12) {
        let (start, length) = match random.below(8) {
            0 => (0, changed.len()),
            _ => places[random.below(places.len())],
        };
        let at = (start + random.below(length)).min(changed.len() - 1);
        let interesting: [u64; 9] =
            [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, u64::MAX, bytes.len() as u64];
        let value = match random.below(4) {
            0 => random.next(),
            1 => u64::from(changed[at]) ^ 1 << random.below(8),
            // A place in the file, so that tables overlap.
            2 => random.below(bytes.len()) as u64,
            _ => interesting[random.below(interesting.len())],
        };
        let width = [1, 2, 4, 8][random.below(4)];
        // Most fields of load commands are words.
        let at = if random.below(2) == 0 { at & !3 } else { at };
        for (byte, new) in changed[at..].iter_mut().zip(value.to_le_bytes()).take(width) {
            *byte = new;
        }
    }
    if random.below(10) == 0 {
        changed.truncate(random.below(changed.len()));
    }
    changed
}

#[test]
fn mach_o_files_changed_at_random_are_read_or_refused() {
    let files = files();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for round in 0..MUTATIONS {
        let (name, bytes) = &files[round % files.len()];
        let changed = mutate(bytes, &mut random);
        within_limits(changed.len(), &|| fuzz_body::read_everything(&changed), &|| {
            format!("{name}, round {round}")
        });
    }
}

#[test]
fn stubs_changed_at_random_are_read_or_refused() {
    let yaml = "--- !tapi-tbd\ntbd-version: 4\ntargets: [ x86_64-macos, arm64-macos ]\n\
        install-name: '/usr/lib/libz.1.dylib'\nreexported-libraries:\n  - targets: [ x86_64-macos ]\n    \
        libraries: [ '/usr/lib/liby.dylib' ]\nexports:\n  - targets: [ x86_64-macos, arm64-macos ]\n    \
        symbols: [ _a, _b,\n               '_c' ]\n    objc-classes: [ C ]\n...\n";
    let json = r#"{"tapi_tbd_version":5,"main_library":{"target_info":[{"target":"x86_64-macos"}],
        "install_names":[{"name":"/usr/lib/libz.1.dylib"}],"exported_symbols":[{"text":{"global":["_a"]}}]}}"#;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let alphabet = b"[]{},:'\"-& \n*!|>#_$a0\\\xff\0";
    for round in 0..MUTATIONS {
        let mut changed = [yaml, json][round % 2].as_bytes().to_vec();
        for _ in 0..=random.below(6) {
            let at = random.below(changed.len());
            match random.below(3) {
                0 => changed[at] = alphabet[random.below(alphabet.len())],
                1 => changed.insert(at, alphabet[random.below(alphabet.len())]),
                _ => changed.truncate(at.max(1)),
            }
        }
        within_limits(changed.len(), &|| stub_body::read_everything(&changed), &|| format!("round {round}"));
    }
}
