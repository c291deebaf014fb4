//! The global symbols of relocatable objects: single `.o` files, static archives and rlibs, ELF or Mach-O.
//!
//! Reading what the compiler wrote instead of the C text means that macros and `#ifdef`s cannot lie. The input is
//! untrusted bytes; every list is walked through `object`'s iterators, which end with the file.

use object::read::archive::ArchiveFile;
use object::{Architecture, BinaryFormat, Object as _, ObjectKind, ObjectSection as _, ObjectSymbol as _};

use crate::error::{FileError, FileErrorKind};

/// One object file, or one member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFile {
    /// The path as given; `libshim.a(shim.o)` for a member.
    pub label: String,
    /// What it was compiled for.
    pub platform: Platform,
    /// The defined global symbols whose names are UTF-8, sorted by name. A leading `_` of Mach-O is gone.
    pub symbols: Vec<ObjectSymbol>,
}

/// What an object was compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    /// Mach-O; otherwise ELF.
    pub is_macho: bool,
    /// In Rust's words (`CARGO_CFG_TARGET_ARCH`); "unknown" where pgsym has no name for the machine.
    pub arch: &'static str,
    /// Width of a pointer in bits: 32 or 64.
    pub pointer_width: u8,
    /// Least significant byte first.
    pub is_little_endian: bool,
}

/// A defined global symbol of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectSymbol {
    /// The C name.
    pub name: String,
    /// Whether a linker can still export it.
    pub linkage: Linkage,
    /// Weak: another definition may replace it without an error.
    pub is_weak: bool,
}

/// Whether a global symbol of an object can reach a dynamic symbol table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Linkage {
    /// STV_DEFAULT or STV_PROTECTED; no N_PEXT.
    Exportable,
    /// STV_HIDDEN, STV_INTERNAL or N_PEXT: no list of a linker exports it any more.
    Hidden,
}

impl ObjectFile {
    /// The symbol of a name.
    pub fn symbol(&self, name: &str) -> Option<&ObjectSymbol> {
        let index = self.symbols.binary_search_by(|symbol| symbol.name.as_str().cmp(name)).ok()?;
        self.symbols.get(index)
    }
}

/// Reads an object, or each member of an archive, and appends what was found to `found`.
///
/// # Errors
///
/// Bytes that are neither, a member that is not an object, and objects whose symbols are not there yet because
/// the compiler left them to link-time optimisation.
pub fn read(label: &str, bytes: &[u8], found: &mut Vec<ObjectFile>) -> Result<(), FileError> {
    if !bytes.starts_with(b"!<arch>\n") && !bytes.starts_with(b"!<thin>\n") {
        found.push(read_object(label, bytes)?);
        return Ok(());
    }
    let archive = ArchiveFile::parse(bytes).map_err(|error| FileError::malformed(error.to_string()))?;
    if archive.is_thin() {
        return Err(FileError::new(
            FileErrorKind::Unsupported,
            "thin archive: its members are other files, name those instead",
        ));
    }
    for member in archive.members() {
        let member = member.map_err(|error| FileError::malformed(error.to_string()))?;
        let name = String::from_utf8_lossy(member.name()).into_owned();
        // The metadata that rustc puts into an rlib; its objects follow.
        if name == "lib.rmeta" {
            continue;
        }
        let data = member.data(bytes).map_err(|error| FileError::malformed(error.to_string()))?;
        let label = format!("{label}({name})");
        let object = read_object(&label, data).map_err(|error| FileError {
            message: format!("member {name}: {}", error.message).into(),
            ..error
        })?;
        found.push(object);
    }
    Ok(())
}

/// LLVM bitcode: the raw magic, and the wrapper that Apple's tools put around it.
const BITCODE: [&[u8]; 2] = [b"BC\xc0\xde", &[0xde, 0xc0, 0x17, 0x0b]];

fn read_object(label: &str, bytes: &[u8]) -> Result<ObjectFile, FileError> {
    if BITCODE.iter().any(|magic| bytes.starts_with(magic)) {
        return Err(left_to_lto("LLVM bitcode"));
    }
    let file = object::File::parse(bytes).map_err(|error| {
        let message = format!("not an ELF or Mach-O object: {error}");
        FileError::new(FileErrorKind::NotAnObject, message)
    })?;
    if !matches!(file.format(), BinaryFormat::Elf | BinaryFormat::MachO) {
        let message = format!("a {:?} object; only ELF and Mach-O have a PostgreSQL loader", file.format());
        return Err(FileError::new(FileErrorKind::Unsupported, message));
    }
    if file.kind() != ObjectKind::Relocatable {
        return Err(FileError::new(
            FileErrorKind::Unsupported,
            "already linked: an object file is needed here",
        ));
    }
    let is_macho = file.format() == BinaryFormat::MachO;
    let mut symbols: Vec<ObjectSymbol> = file
        .symbols()
        .filter(|symbol| symbol.is_global() && !symbol.is_undefined())
        .filter_map(|symbol| {
            let name = symbol.name().ok()?;
            let name = if is_macho { name.strip_prefix('_')? } else { name };
            let linkage = match symbol.scope() {
                object::SymbolScope::Dynamic | object::SymbolScope::Unknown => Linkage::Exportable,
                object::SymbolScope::Linkage | object::SymbolScope::Compilation => Linkage::Hidden,
            };
            Some(ObjectSymbol { name: name.to_owned(), linkage, is_weak: symbol.is_weak() })
        })
        .collect();
    // GCC's slim LTO objects hold this marker and no code.
    if symbols.iter().any(|symbol| symbol.name == "__gnu_lto_slim")
        || (symbols.is_empty() && has_gnu_lto_sections(&file))
    {
        return Err(left_to_lto("GCC's intermediate code"));
    }
    symbols.sort();
    symbols.dedup_by(|a, b| a.name == b.name);
    let platform = Platform {
        is_macho,
        arch: rust_arch(file.architecture()),
        pointer_width: if file.is_64() { 64 } else { 32 },
        is_little_endian: file.is_little_endian(),
    };
    Ok(ObjectFile { label: label.to_owned(), platform, symbols })
}

fn has_gnu_lto_sections(file: &object::File<'_>) -> bool {
    file.sections().any(|section| section.name_bytes().is_ok_and(|name| name.starts_with(b".gnu.lto_")))
}

fn left_to_lto(what: &str) -> FileError {
    FileError::new(
        FileErrorKind::Unsupported,
        format!("{what} instead of machine code (-flto): symbols are not there yet, compile without -flto"),
    )
}

/// The name that rustc has for an architecture.
fn rust_arch(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 | Architecture::X86_64_X32 => "x86_64",
        Architecture::I386 => "x86",
        Architecture::Aarch64 | Architecture::Aarch64_Ilp32 => "aarch64",
        Architecture::Arm => "arm",
        Architecture::PowerPc64 => "powerpc64",
        Architecture::PowerPc => "powerpc",
        Architecture::S390x => "s390x",
        Architecture::Riscv64 => "riscv64",
        Architecture::Riscv32 => "riscv32",
        Architecture::LoongArch64 => "loongarch64",
        Architecture::Mips64 => "mips64",
        Architecture::Mips => "mips",
        Architecture::Sparc64 => "sparc64",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_another_kind_are_refused_with_what_they_are() {
        let cases: [(&[u8], &str); 4] = [
            (b"int main(void)", "not an ELF or Mach-O object"),
            (b"BC\xc0\xde\0\0\0\0", "LLVM bitcode"),
            (b"!<thin>\n", "thin archive"),
            (b"!<arch>\nshort", "archive"),
        ];
        for (bytes, words) in cases {
            let error = read("x", bytes, &mut Vec::new()).unwrap_err();
            assert!(error.message.contains(words), "{words:?} is not in {error}");
        }
    }

    #[test]
    fn an_empty_archive_has_no_objects() {
        let mut found = Vec::new();
        read("libx.a", b"!<arch>\n", &mut found).unwrap();
        assert_eq!(found, []);
    }

    #[test]
    fn a_member_that_is_no_object_is_named() {
        let mut archive = b"!<arch>\n".to_vec();
        archive.extend_from_slice(b"readme.txt/     0           0     0     644     4         `\ntext");
        let error = read("libx.a", &archive, &mut Vec::new()).unwrap_err();
        assert!(error.message.starts_with("member readme.txt: not an ELF"), "{error}");
    }
}
