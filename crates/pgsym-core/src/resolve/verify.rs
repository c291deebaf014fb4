//! Whether the loader takes a file for a library, before it looks inside: glibc's `open_verify` and the first
//! lines of `_dl_map_object_from_fd` (elf/dl-load.c), check by check and in their order.

use object::elf;

use super::environment::LoaderEnv;
use super::trace::{Outcome, Refusal};
use crate::error::FileErrorKind;
use crate::fs::Metadata;
use crate::model::{Class, Endian, Target};
use crate::source::{Source, read_range};

/// What the first bytes of a file decide, whatever process wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FirstBytes {
    ident: [u8; 16],
    kind: elf::FileType,
    machine: elf::Machine,
    version: u32,
    header_entry_size: u16,
    class: Option<Class>,
    /// Whether the file is long enough for the program headers that it announces.
    has_program_headers: bool,
}

/// EI_PAD.
const PADDING: usize = 9;

impl FirstBytes {
    /// Reads the ELF header; a file shorter than it is `file too short`.
    pub(crate) fn read(source: &dyn Source, metadata: Metadata) -> Result<Self, Refusal> {
        let length = metadata.len.min(64);
        let bytes = read_range(source, 0, length, "the ELF header").map_err(|error| match error.kind {
            FileErrorKind::Io(_) => {
                Refusal { message: "cannot read file data".to_owned(), os: Some(error.message.into_owned()) }
            }
            _ => Refusal::new("file too short"),
        })?;
        let too_short = || Refusal::new("file too short");
        let ident: [u8; 16] =
            bytes.get(..16).and_then(|ident| ident.try_into().ok()).ok_or_else(too_short)?;
        let class = match elf::FileClass(ident[4]) {
            elf::ELFCLASS32 => Some(Class::Bits32),
            elf::ELFCLASS64 => Some(Class::Bits64),
            _ => None,
        };
        let big = elf::DataEncoding(ident[5]) == elf::ELFDATA2MSB;
        let half = |at: usize| {
            let word: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
            Some(if big { u16::from_be_bytes(word) } else { u16::from_le_bytes(word) })
        };
        let number = |at: usize, size: usize| {
            let digits = bytes.get(at..at + size)?.iter();
            let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
            Some(if big { digits.fold(0, add) } else { digits.rev().fold(0, add) })
        };
        let (kind, machine) = (half(16).ok_or_else(too_short)?, half(18).ok_or_else(too_short)?);
        let version = number(20, 4).ok_or_else(too_short)? as u32;
        // The loader demands its own header's size: 64 bytes, or 52 in a 32-bit process.
        let (needed, entry_size_at) = if class == Some(Class::Bits32) { (52, 42) } else { (64, 54) };
        if bytes.len() < needed {
            return Err(too_short());
        }
        let header_entry_size = half(entry_size_at).ok_or_else(too_short)?;
        let entries = u64::from(half(entry_size_at + 2).ok_or_else(too_short)?);
        // e_phoff: a word behind e_version and e_entry, which is a word too.
        let offset = if class == Some(Class::Bits32) { number(28, 4) } else { number(32, 8) };
        let has_program_headers = offset
            .and_then(|offset| offset.checked_add(entries * u64::from(header_entry_size)))
            .is_some_and(|end| end <= metadata.len);
        Ok(Self {
            ident,
            kind: elf::FileType(kind),
            machine: elf::Machine(machine),
            version,
            header_entry_size,
            class,
            has_program_headers,
        })
    }

    /// glibc's verdict in a process of `env`.
    pub(crate) fn glibc_verdict(&self, env: &LoaderEnv) -> Outcome {
        let target = env.target;
        let refuse = |message: &str| Outcome::Refused(Refusal::new(message));
        let wanted_data = match target.endian {
            Endian::Little => elf::ELFDATA2LSB,
            Endian::Big => elf::ELFDATA2MSB,
        };
        if self.ident[..4] != elf::ELFMAG {
            return refuse("invalid ELF header");
        }
        if self.class != Some(target.class) {
            // A class of neither kind is "not a fatal error" as well.
            let other = match target.class {
                Class::Bits32 => Class::Bits64,
                Class::Bits64 => Class::Bits32,
            };
            return Outcome::OtherClass(self.class.unwrap_or(other));
        }
        if env.skips_foreign_machines_first
            && self.as_read_by(target.endian, self.machine.0) != target.machine.0
        {
            return Outcome::OtherMachine(self.arch(target));
        }
        if elf::DataEncoding(self.ident[5]) != wanted_data {
            return refuse(match target.endian {
                Endian::Little => "ELF file data encoding not little-endian",
                Endian::Big => "ELF file data encoding not big-endian",
            });
        }
        if self.ident[6] != 1 {
            return refuse("ELF file version ident does not match current one");
        }
        let os_abi = elf::OsAbi(self.ident[7]);
        if os_abi != elf::ELFOSABI_SYSV && os_abi != elf::ELFOSABI_GNU {
            return refuse("ELF file OS ABI invalid");
        }
        // LIBC_ABI_MAX: GNU objects may carry an ABI version below it.
        if self.ident[8] != 0 && !(os_abi == elf::ELFOSABI_GNU && self.ident[8] < LIBC_ABI_MAX) {
            return refuse("ELF file ABI version invalid");
        }
        if self.ident[PADDING..].iter().any(|&byte| byte != 0) {
            return refuse("nonzero padding in e_ident");
        }
        if self.version != 1 {
            return refuse("ELF file version does not match current one");
        }
        if self.machine != target.machine {
            return Outcome::OtherMachine(self.arch(target));
        }
        if self.kind != elf::ET_DYN && self.kind != elf::ET_EXEC {
            return refuse("only ET_DYN and ET_EXEC can be loaded");
        }
        if self.header_entry_size != program_header_size(target.class) {
            return refuse("ELF file's phentsize not the expected size");
        }
        if !self.has_program_headers {
            return refuse("cannot read file data");
        }
        Outcome::Found
    }

    /// musl's verdict: any file that opens is the library; `map_library` (ldso/dynlink.c) then takes it or gives
    /// ENOEXEC. It looks at the type and the program headers only. That it would also map a file of another machine
    /// and fail later, in ways that depend on its bytes, is not followed: such a file is refused here.
    pub(crate) fn musl_verdict(&self, target: Target) -> Outcome {
        let kind = elf::FileType(self.as_read_by(target.endian, self.kind.0));
        let usable = self.ident[..4] == elf::ELFMAG
            && self.class == Some(target.class)
            && self.machine == target.machine
            && (kind == elf::ET_DYN || kind == elf::ET_EXEC)
            && self.header_entry_size == program_header_size(target.class)
            && self.has_program_headers;
        if usable { Outcome::Found } else { Outcome::Refused(Refusal::new("Exec format error")) }
    }

    /// A halfword of the header in the byte order of a process, which need not be the file's.
    fn as_read_by(&self, endian: Endian, value: u16) -> u16 {
        let is_big = elf::DataEncoding(self.ident[5]) == elf::ELFDATA2MSB;
        if is_big == (endian == Endian::Big) { value } else { value.swap_bytes() }
    }

    fn arch(&self, target: Target) -> String {
        Target { machine: self.machine, class: self.class.unwrap_or(target.class), ..target }.arch()
    }
}

/// `sizeof (ElfW(Phdr))`.
fn program_header_size(class: Class) -> u16 {
    match class {
        Class::Bits32 => 32,
        Class::Bits64 => 56,
    }
}

/// LIBC_ABI_MAX of glibc 2.36 (libc-abis): UNIQUE and ABSOLUTE are the last on x86-64.
const LIBC_ABI_MAX: u8 = 4;
