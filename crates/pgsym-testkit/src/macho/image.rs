//! The description of a Mach-O image and its layout: `__TEXT` with the load commands and one instruction for each
//! exported function, `__DATA` with one pointer for each import, `__LINKEDIT` with the tables.

use super::bytes::Out;
use super::commands::{self, Places};
use super::{chained, opcodes, signature, symtab, trie};

/// A Mach-O image to be built, for x86_64 or arm64.
#[derive(Clone, Debug)]
pub struct MachImage {
    pub(super) cpu: MachCpu,
    pub(super) kind: MachKind,
    pub(super) install_name: Option<String>,
    pub(super) libraries: Vec<(LibraryKind, String)>,
    pub(super) rpaths: Vec<String>,
    pub(super) exports: Vec<(String, ExportForm)>,
    pub(super) imports: Vec<MachImportSpec>,
    pub(super) fixups: Fixups,
    pub(super) export_home: ExportHome,
    pub(super) minimum: u32,
    pub(super) sdk: u32,
    pub(super) platform: u32,
    pub(super) is_two_level: bool,
    pub(super) signature: Option<SignatureHash>,
    pub(super) has_weak_definitions: bool,
    pub(super) padding: u64,
    magic: Option<u32>,
    text: Vec<u8>,
}

/// The processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachCpu {
    /// `CPU_TYPE_X86_64`
    X86_64,
    /// `CPU_TYPE_ARM64`
    Arm64,
    /// `CPU_TYPE_ARM64` with `CPU_SUBTYPE_ARM64E`
    Arm64e,
}

impl MachCpu {
    /// Every segment begins at a multiple of this.
    pub(super) fn page(self) -> u64 {
        if self == Self::X86_64 { 0x1000 } else { 0x4000 }
    }

    /// `cputype` and `cpusubtype`.
    pub(super) fn types(self) -> (u32, u32) {
        match self {
            Self::X86_64 => (0x0100_0007, 3),
            Self::Arm64 => (0x0100_000c, 0),
            Self::Arm64e => (0x0100_000c, 2),
        }
    }
}

/// `filetype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachKind {
    /// `MH_EXECUTE`
    Executable,
    /// `MH_DYLIB`
    Dylib,
    /// `MH_BUNDLE`
    Bundle,
}

/// The load command that names a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LibraryKind {
    /// `LC_LOAD_DYLIB`
    Load,
    /// `LC_LOAD_WEAK_DYLIB`
    Weak,
    /// `LC_REEXPORT_DYLIB`
    Reexport,
    /// `LC_LOAD_UPWARD_DYLIB`
    Upward,
}

/// What an export is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportForm {
    /// A function.
    Function,
    /// A function that is coalesced with others of its name.
    Weak,
    /// The name `.1` of library `.0`.
    Reexport(u32, String),
}

/// Which library an import is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The library of that number, from 1.
    Library(u32),
    /// The image itself.
    SelfImage,
    /// The program.
    Executable,
    /// Whoever has it.
    Flat,
    /// Whoever has a weak definition.
    Weak,
}

impl From {
    /// The number in the tables.
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Library(number) => number.cast_signed(),
            Self::SelfImage => 0,
            Self::Executable => -1,
            Self::Flat => -2,
            Self::Weak => -3,
        }
    }
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachImportSpec {
    pub(super) name: String,
    pub(super) from: From,
    pub(super) is_weak: bool,
    pub(super) is_lazy: bool,
}

/// How pointers are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixups {
    /// Opcodes in `LC_DYLD_INFO_ONLY`.
    Opcodes,
    /// `LC_DYLD_CHAINED_FIXUPS` with imports of format 1, 2 or 3.
    Chained(u32),
    /// Neither: only `LC_SYMTAB` tells of imports.
    SymbolTable,
}

/// Where the exports stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportHome {
    /// `LC_DYLD_EXPORTS_TRIE`
    Trie,
    /// `LC_DYLD_INFO_ONLY`
    DyldInfo,
    /// `LC_SYMTAB` alone.
    SymbolTable,
}

/// The hash of a code directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureHash {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl MachImage {
    fn new(cpu: MachCpu, kind: MachKind) -> Self {
        Self {
            cpu,
            kind,
            install_name: None,
            libraries: Vec::new(),
            rpaths: Vec::new(),
            exports: Vec::new(),
            imports: Vec::new(),
            fixups: Fixups::Chained(1),
            export_home: ExportHome::Trie,
            minimum: 13 << 16,
            sdk: 14 << 16,
            platform: 1,
            is_two_level: true,
            signature: None,
            has_weak_definitions: false,
            padding: 0x400,
            magic: None,
            text: Vec::new(),
        }
    }

    /// A program.
    pub fn executable(cpu: MachCpu) -> Self {
        Self::new(cpu, MachKind::Executable)
    }

    /// A library with an install name.
    pub fn dylib(cpu: MachCpu, install_name: &str) -> Self {
        Self { install_name: Some(install_name.to_owned()), ..Self::new(cpu, MachKind::Dylib) }
    }

    /// A module, as PostgreSQL's build links it.
    pub fn bundle(cpu: MachCpu) -> Self {
        Self::new(cpu, MachKind::Bundle)
    }

    /// Links a library.
    #[must_use]
    pub fn library(self, name: &str) -> Self {
        self.library_as(LibraryKind::Load, name)
    }

    /// Links a library by another command than `LC_LOAD_DYLIB`.
    #[must_use]
    pub fn library_as(mut self, kind: LibraryKind, name: &str) -> Self {
        self.libraries.push((kind, name.to_owned()));
        self
    }

    /// Adds an `LC_RPATH`.
    #[must_use]
    pub fn rpath(mut self, path: &str) -> Self {
        self.rpaths.push(path.to_owned());
        self
    }

    /// Exports a function; the name is the one in C.
    #[must_use]
    pub fn export(self, name: &str) -> Self {
        self.export_as(name, ExportForm::Function)
    }

    /// Exports a name in another form.
    #[must_use]
    pub fn export_as(mut self, name: &str, form: ExportForm) -> Self {
        self.has_weak_definitions |= form == ExportForm::Weak;
        self.exports.push((format!("_{name}"), form));
        self
    }

    /// Imports a name of C.
    #[must_use]
    pub fn import(mut self, name: &str, from: From) -> Self {
        let name = format!("_{name}");
        self.imports.push(MachImportSpec { name, from, is_weak: false, is_lazy: false });
        self
    }

    /// Imports a name that may be missing.
    #[must_use]
    pub fn import_weakly(mut self, name: &str, from: From) -> Self {
        let name = format!("_{name}");
        self.imports.push(MachImportSpec { name, from, is_weak: true, is_lazy: false });
        self
    }

    /// Imports a name that is bound at its first call (only with [`Fixups::Opcodes`]).
    #[must_use]
    pub fn import_lazily(mut self, name: &str, from: From) -> Self {
        let name = format!("_{name}");
        self.imports.push(MachImportSpec { name, from, is_weak: false, is_lazy: true });
        self
    }

    /// Binds pointers in another way than chained fixups.
    #[must_use]
    pub fn fixups(mut self, fixups: Fixups) -> Self {
        self.fixups = fixups;
        self
    }

    /// Puts the exports elsewhere.
    #[must_use]
    pub fn export_home(mut self, home: ExportHome) -> Self {
        self.export_home = home;
        self
    }

    /// The oldest macOS and the SDK, each as major and minor.
    #[must_use]
    pub fn macos(mut self, minimum: (u16, u8), sdk: (u16, u8)) -> Self {
        let packed = |(major, minor): (u16, u8)| u32::from(major) << 16 | u32::from(minor) << 8;
        (self.minimum, self.sdk) = (packed(minimum), packed(sdk));
        self
    }

    /// Another platform than macOS (1).
    #[must_use]
    pub fn platform(mut self, platform: u32) -> Self {
        self.platform = platform;
        self
    }

    /// Without MH_TWOLEVEL.
    #[must_use]
    pub fn flat(mut self) -> Self {
        self.is_two_level = false;
        self
    }

    /// Signs ad hoc.
    #[must_use]
    pub fn signed(mut self, hash: SignatureHash) -> Self {
        self.signature = Some(hash);
        self
    }

    /// Bytes between the load commands and the code.
    #[must_use]
    pub fn header_padding(mut self, bytes: u64) -> Self {
        self.padding = bytes;
        self
    }

    /// Exports `Pg_magic_func` with the block of a major version from 15 to 17.
    #[must_use]
    pub fn magic(mut self, major: u32) -> Self {
        self.magic = Some(major);
        self.exports.insert(0, ("_Pg_magic_func".to_owned(), ExportForm::Function));
        self
    }

    /// Bytes among the constants, such as the server's version.
    #[must_use]
    pub fn constant(mut self, bytes: &[u8]) -> Self {
        self.text.extend(bytes);
        self.text.push(0);
        self
    }

    /// `Pg_magic_struct` (src/include/fmgr.h) up to `abi_extra`.
    fn magic_block(&self) -> Vec<u8> {
        let Some(major) = self.magic else { return Vec::new() };
        let ints = [56, major * 100, 100, 32, 64, 1];
        let mut block: Vec<u8> = ints.iter().flat_map(|int: &u32| int.to_le_bytes()).collect();
        block.extend(b"PostgreSQL");
        block.resize(56, 0);
        block
    }

    /// The function that returns the address of the block, `distance` bytes from its start, as clang writes it.
    fn magic_code(&self, distance: u64) -> [u8; 16] {
        let mut code = [0xcc; 16];
        let bytes: Vec<u8> = match self.cpu {
            // push rbp; mov rbp,rsp; lea rax,[rip+d]; pop rbp; ret
            MachCpu::X86_64 => {
                let from_next = (distance as u32 - 11).to_le_bytes();
                [&[0x55, 0x48, 0x89, 0xe5, 0x48, 0x8d, 0x05][..], &from_next, &[0x5d, 0xc3]].concat()
            }
            // adr x0,d; nop; ret
            MachCpu::Arm64 | MachCpu::Arm64e => {
                let low = (distance as u32 & 3) << 29;
                let adr = (0x1000_0000 | low | (distance as u32 >> 2) << 5).to_le_bytes();
                [&adr[..], &[0x1f, 0x20, 0x03, 0xd5], &[0xc0, 0x03, 0x5f, 0xd6]].concat()
            }
        };
        code[..bytes.len()].copy_from_slice(&bytes);
        code
    }

    /// The file.
    pub fn build(&self) -> Vec<u8> {
        // The commands' length does not depend on the places in them, so that a first pass measures it.
        let commands_size = commands::write(self, &Places::default()).0.len() as u64;
        let code = (32 + commands_size + self.padding).next_multiple_of(16);
        let code_size = 16 * self.exports.len().max(1) as u64;
        let constants = [self.magic_block(), self.text.clone()].concat();
        let text_size = (code + code_size + constants.len() as u64).next_multiple_of(self.cpu.page());
        let data_size = (8 * self.imports.len().max(1) as u64).next_multiple_of(self.cpu.page());
        let base = if self.kind == MachKind::Executable { 0x1_0000_0000 } else { 0 };
        let mut places = Places { base, code, code_size, text_size, data_size, ..Places::default() };
        let mut linkedit = Out::default();
        let start = text_size + data_size;
        let mut put = |bytes: Vec<u8>| {
            linkedit.pad(8);
            let place = (start + linkedit.0.len() as u64, bytes.len() as u64);
            linkedit.0.extend(bytes);
            if place.1 == 0 { (0, 0) } else { place }
        };
        let addresses: Vec<u64> = (0..self.exports.len() as u64).map(|number| code + 16 * number).collect();
        let trie = || trie::write(&self.exports, &addresses);
        match self.export_home {
            ExportHome::Trie => places.trie = put(trie()),
            ExportHome::DyldInfo => places.info_exports = put(trie()),
            ExportHome::SymbolTable => {}
        }
        match self.fixups {
            Fixups::Opcodes => {
                places.bind = put(opcodes::bind(&self.imports));
                places.weak_bind = put(opcodes::weak(&self.imports));
                places.lazy_bind = put(opcodes::lazy(&self.imports));
            }
            Fixups::Chained(format) => {
                places.chained = put(chained::table(&self.imports, format, text_size, self.cpu.page()));
            }
            Fixups::SymbolTable => {}
        }
        let (symbols, strings) = symtab::write(&self.exports, &self.imports, &addresses, base);
        places.symbol_count = symbols.len() as u64 / 16;
        places.symbols = put(symbols);
        places.strings = put(strings);
        linkedit.pad(16);
        if let Some(hash) = self.signature {
            let offset = start + linkedit.0.len() as u64;
            places.signature = (offset, signature::size(offset, hash));
        }
        places.linkedit_size = linkedit.0.len() as u64 + places.signature.1;

        let mut file = commands::header(self, commands_size);
        file.0.extend(commands::write(self, &places).0);
        file.0.resize(code as usize, 0);
        let mut functions = self.exports.len().max(1);
        if self.magic.is_some() {
            file.0.extend(self.magic_code(code_size));
            functions -= 1;
        }
        for _ in 0..functions {
            file.0.extend(match self.cpu {
                // ret, then filling.
                MachCpu::X86_64 => [0xc3, 0xcc, 0xcc, 0xcc].repeat(4),
                MachCpu::Arm64 | MachCpu::Arm64e => [0xc0, 0x03, 0x5f, 0xd6].repeat(4),
            });
        }
        file.0.extend(constants);
        file.0.resize(text_size as usize, 0);
        if matches!(self.fixups, Fixups::Chained(_)) {
            file.0.extend(chained::pointers(self.imports.len(), self.cpu.page()));
        }
        file.0.resize(start as usize, 0);
        file.0.extend(linkedit.0);
        if let Some(hash) = self.signature {
            let signature = signature::write(&file.0, hash);
            file.0.extend(signature);
        }
        file.0
    }
}
