//! `mach_header_64` and the load commands.

use super::bytes::Out;
use super::image::{ExportHome, Fixups, LibraryKind, MachImage, MachKind};

/// Where everything lies: offset and length in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places {
    pub(super) base: u64,
    pub(super) code: u64,
    pub(super) code_size: u64,
    pub(super) text_size: u64,
    pub(super) data_size: u64,
    pub(super) linkedit_size: u64,
    pub(super) trie: (u64, u64),
    pub(super) info_exports: (u64, u64),
    pub(super) bind: (u64, u64),
    pub(super) weak_bind: (u64, u64),
    pub(super) lazy_bind: (u64, u64),
    pub(super) chained: (u64, u64),
    pub(super) symbols: (u64, u64),
    pub(super) symbol_count: u64,
    pub(super) strings: (u64, u64),
    pub(super) signature: (u64, u64),
}

/// The header of 32 bytes.
pub(super) fn header(image: &MachImage, commands_size: u64) -> Out {
    let (cpu_type, cpu_subtype) = image.cpu.types();
    // MH_NOUNDEFS, MH_DYLDLINK
    let mut flags = 0x1 | 0x4;
    if image.is_two_level {
        flags |= 0x80;
    }
    if image.has_weak_definitions {
        flags |= 0x8000;
    }
    let kind = match image.kind {
        MachKind::Executable => {
            flags |= 0x20_0000; // MH_PIE
            2
        }
        MachKind::Dylib => 6,
        MachKind::Bundle => 8,
    };
    let mut out = Out::default();
    for word in [0xfeed_facf, cpu_type, cpu_subtype, kind, count(image), commands_size as u32, flags, 0] {
        out.word(word);
    }
    out
}

/// The number of commands that [`write`] writes.
fn count(image: &MachImage) -> u32 {
    let written = write(image, &Places::default()).0;
    let (mut at, mut count) = (0, 0);
    while let Some(size) = written.get(at + 4..at + 8) {
        at += u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize;
        count += 1;
    }
    count
}

/// The load commands.
pub(super) fn write(image: &MachImage, places: &Places) -> Out {
    let mut out = Out::default();
    segments(&mut out, places, image);
    if let Some(name) = &image.install_name {
        dylib(&mut out, 0xd, name);
    }
    let has_info = image.fixups == Fixups::Opcodes || image.export_home == ExportHome::DyldInfo;
    if has_info {
        let tables = [(0, 0), places.bind, places.weak_bind, places.lazy_bind, places.info_exports];
        command(&mut out, 0x8000_0022, |out| {
            for (offset, size) in tables {
                out.word(offset as u32);
                out.word(size as u32);
            }
        });
    }
    if matches!(image.fixups, Fixups::Chained(_)) {
        linkedit(&mut out, 0x8000_0034, places.chained);
    }
    if image.export_home == ExportHome::Trie {
        linkedit(&mut out, 0x8000_0033, places.trie);
    }
    command(&mut out, 0x2, |out| {
        out.word(places.symbols.0 as u32);
        out.word(places.symbol_count as u32);
        out.word(places.strings.0 as u32);
        out.word(places.strings.1 as u32);
    });
    command(&mut out, 0x1b, |out| out.0.extend((1..=16).collect::<Vec<u8>>()));
    command(&mut out, 0x32, |out| {
        for word in [image.platform, image.minimum, image.sdk, 0] {
            out.word(word);
        }
    });
    for (kind, name) in &image.libraries {
        let number = match kind {
            LibraryKind::Load => 0xc,
            LibraryKind::Weak => 0x8000_0018,
            LibraryKind::Reexport => 0x8000_001f,
            LibraryKind::Upward => 0x8000_0023,
        };
        dylib(&mut out, number, name);
    }
    for path in &image.rpaths {
        command(&mut out, 0x8000_001c, |out| {
            out.word(12);
            out.string(path);
        });
    }
    if image.signature.is_some() {
        linkedit(&mut out, 0x1d, places.signature);
    }
    out
}

/// One command, its length filled in.
fn command(out: &mut Out, number: u32, body: impl FnOnce(&mut Out)) {
    let start = out.0.len();
    out.word(number);
    out.word(0);
    body(out);
    out.pad(8);
    let size = (out.0.len() - start) as u32;
    out.0[start + 4..start + 8].copy_from_slice(&size.to_le_bytes());
}

fn linkedit(out: &mut Out, number: u32, (offset, size): (u64, u64)) {
    command(out, number, |out| {
        out.word(offset as u32);
        out.word(size as u32);
    });
}

/// Version 1.2.3, compatible with 1.0.0.
fn dylib(out: &mut Out, number: u32, name: &str) {
    command(out, number, |out| {
        out.word(24);
        out.word(2);
        out.word(0x0001_0203);
        out.word(0x0001_0000);
        out.string(name);
    });
}

fn segments(out: &mut Out, places: &Places, image: &MachImage) {
    let (base, text, data) = (places.base, places.text_size, places.data_size);
    if image.kind == MachKind::Executable {
        segment(out, "__PAGEZERO", [0, base, 0, 0], 0, None);
    }
    // S_ATTR_PURE_INSTRUCTIONS | S_ATTR_SOME_INSTRUCTIONS
    let code = ("__text", base + places.code, places.code_size, places.code, 0x8000_0400);
    segment(out, "__TEXT", [base, text, 0, text], 5, Some(code));
    let pointers = ("__data", base + text, data, text, 0);
    segment(out, "__DATA", [base + text, data, text, data], 3, Some(pointers));
    let memory = places.linkedit_size.next_multiple_of(image.cpu.page());
    let place = [base + text + data, memory, text + data, places.linkedit_size];
    segment(out, "__LINKEDIT", place, 1, None);
}

/// `LC_SEGMENT_64`: address, memory, offset, size; protection; one section as name, address, size, offset, flags.
fn segment(
    out: &mut Out,
    name: &str,
    [address, memory, offset, size]: [u64; 4],
    protection: u32,
    section: Option<(&str, u64, u64, u64, u32)>,
) {
    command(out, 0x19, |out| {
        out.name(name, 16);
        for number in [address, memory, offset, size] {
            out.long(number);
        }
        for word in [protection, protection, u32::from(section.is_some()), 0] {
            out.word(word);
        }
        if let Some((section, address, size, offset, flags)) = section {
            out.name(section, 16);
            out.name(name, 16);
            out.long(address);
            out.long(size);
            for word in [offset as u32, 4, 0, 0, flags, 0, 0, 0] {
                out.word(word);
            }
        }
    });
}
