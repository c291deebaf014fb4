//! Finds the magic block of a module without running it, in two ways that check each other: the code of
//! `Pg_magic_func` tells where it lies, and a scan of the data for its signature finds it again.
//!
//! `Pg_magic_struct` (src/include/fmgr.h); ints of 4 bytes in the file's byte order:
//!
//! ```text
//! offset  0 len  4 version  8 funcmaxargs  12 indexmaxkeys  16 namedatalen  20 float4byval  24 float8byval
//!                                                                                      up to 12: len 28
//! offset  0 len  4 version  8 funcmaxargs  12 indexmaxkeys  16 namedatalen  20 float8byval     13, 14: len 24
//!        24 abi_extra[32]                                                                      15–17:  len 56
//!        56 name (pointer), then version (pointer)                      18, 19: len 72, on 32-bit 64
//! ```
//!
//! The pointers are NULL with PG_MODULE_MAGIC and set by PG_MODULE_MAGIC_EXT; what they point at is told by
//! relocations, since lld leaves zeros in their place.

use bstr::ByteSlice as _;

use super::image::Image;
use super::{MAGIC_FUNCTION, Magic, MagicBlock, MagicEvidence};
use crate::error::{FileError, FileErrorKind};
use crate::limits;
use crate::model::{Endian, Segment};
use crate::name::Name;
use crate::parse::Facets;
use crate::parse::elf::encoding::Encoding;
use crate::source::read_range;

/// Bytes of the part that every server since 15 has, and of that before it.
const WITH_ABI: usize = 56;
const WITHOUT_ABI: usize = 24;

/// Bytes read at a time by the scan.
const WINDOW: u64 = 1 << 20;

/// Reads the magic block, if `Pg_magic_func` is exported.
pub(super) fn read(image: &Image<'_>, facets: Facets) -> Magic {
    let Some(function) = image.dlsym(MAGIC_FUNCTION) else { return Magic::Absent };
    if image.is_data(function) {
        return Magic::Unknown(FileError::malformed(MAGIC_IS_DATA));
    }
    let by_code = image.references(function).map(|references| {
        let mut blocks: ByCode = Vec::new();
        for reference in references {
            // A candidate that leads nowhere is no candidate.
            let Ok(Some(address)) = image.address(reference.place) else { continue };
            let Some(fields) = at(image, address) else { continue };
            match blocks.iter_mut().find(|(known, ..)| *known == address) {
                Some((_, is_returned, _)) => *is_returned |= reference.is_returned,
                None => blocks.push((address, reference.is_returned, fields)),
            }
        }
        blocks
    });
    decide(image, by_code, facets)
}

/// What is said of a `Pg_magic_func` that no processor can run: a variable in memory that is not executable.
pub(crate) const MAGIC_IS_DATA: &str = "Pg_magic_func is data";

/// Reads the block that a server compares modules with (`magic_data` of src/backend/utils/fmgr/dfmgr.c): a
/// static that no symbol leads to, so only the scan finds it. Nothing where it finds none or several.
pub(super) fn server_block(image: &Image<'_>) -> Option<MagicBlock> {
    let found = scan(image).ok()?;
    let &[address] = found.as_slice() else { return None };
    at(image, address)?.into_block(image, address, MagicEvidence::Data).ok()
}

/// Address of a block, whether its address is what the function returns, and what it holds.
type ByCode = Vec<(u64, bool, Fields)>;

/// Weighs what the two ways find. Of a module whose code tells where the block lies, the data is read for the sake of the
/// evidence alone: megabytes of constants of the modules that have many.
fn decide(image: &Image<'_>, by_code: Result<ByCode, FileError>, facets: Facets) -> Magic {
    let (by_code, code_error) = match by_code {
        Ok(blocks) => (blocks, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    // Which of two different blocks is returned, the code decides when it runs.
    if let Some((_, _, fields)) = by_code.first()
        && by_code.iter().any(|(_, _, other)| other != fields)
    {
        return Magic::Unknown(FileError::new(
            FileErrorKind::Unsupported,
            format!("the code of Pg_magic_func leads to {} different blocks", by_code.len()),
        ));
    }
    let chosen = match by_code.as_slice() {
        [only] => Some(only),
        several => several.iter().find(|(_, is_returned, _)| *is_returned),
    };
    let found = match chosen {
        Some(&(address, _, fields)) => {
            let is_confirmed =
                facets.has(Facets::MAGIC_EVIDENCE) && scan(image).is_ok_and(|found| found == [address]);
            let evidence = if is_confirmed { MagicEvidence::CodeAndData } else { MagicEvidence::Code };
            Ok((address, fields, evidence))
        }
        None => match scan(image).as_deref() {
            Ok(&[address]) => {
                let fields = at(image, address);
                fields.map(|fields| (address, fields, MagicEvidence::Data)).ok_or_else(nothing)
            }
            Ok([]) => Err(code_error.unwrap_or_else(nothing)),
            Ok(several) => Err(FileError::new(
                FileErrorKind::Unsupported,
                format!(
                    "the code of Pg_magic_func is of no known shape, and {} blocks look like one",
                    several.len()
                ),
            )),
            Err(error) => Err(error.clone()),
        },
    };
    let block = found.and_then(|(address, fields, evidence)| fields.into_block(image, address, evidence));
    match block {
        Ok(block) => Magic::Found(Box::new(block)),
        Err(error) => Magic::Unknown(error),
    }
}

fn nothing() -> FileError {
    FileError::new(FileErrorKind::Unsupported, "no magic block was found behind Pg_magic_func")
}

/// The ints of a block and its ABI text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fields {
    ints: [u32; 6],
    abi_extra: Option<[u8; 32]>,
}

impl Fields {
    /// Takes bytes for a block if they have its signature: values that a server can have been built with.
    fn parse(encoding: Encoding, bytes: &[u8]) -> Option<Self> {
        let mut ints = [0; 6];
        for (index, int) in ints.iter_mut().enumerate() {
            *int = encoding.u32(bytes, index * 4)?;
        }
        let [len, version, func_max_args, index_max_keys, name_data_len, mut float8_by_value] = ints;
        let is_old = len == 28 && version < 1300;
        if is_old {
            let float4_by_value = float8_by_value;
            float8_by_value = encoding.u32(bytes, 24).filter(|_| float4_by_value <= 1)?;
            ints[5] = float8_by_value;
        }
        let is_block = (is_old || matches!(len, 24 | 56 | 64 | 72))
            && (900..=9900).contains(&version)
            && (1..=1000).contains(&func_max_args)
            && (1..=1024).contains(&index_max_keys)
            && (16..=1024).contains(&name_data_len)
            && float8_by_value <= 1;
        if !is_block {
            return None;
        }
        let abi_extra = if matches!(len, 24 | 28) {
            None
        } else {
            let extra: [u8; 32] = bytes.get(WITHOUT_ABI..WITH_ABI)?.try_into().ok()?;
            let end = extra.find_byte(0)?;
            extra[..end].iter().all(|byte| (0x20..0x7f).contains(byte)).then_some(())?;
            Some(extra)
        };
        Some(Self { ints, abi_extra })
    }

    fn into_block(
        self,
        image: &Image<'_>,
        address: u64,
        evidence: MagicEvidence,
    ) -> Result<MagicBlock, FileError> {
        let [len, version, func_max_args, index_max_keys, name_data_len, float8_by_value] = self.ints;
        let word = image.encoding().word_size() as u64;
        // Of a block that only claims the length of 18, the server compares the claim and reads nothing there.
        let has_names = version >= 1800 && u64::from(len) == WITH_ABI as u64 + 2 * word;
        let text = |offset: u64, what: &'static str| -> Result<Option<Name>, FileError> {
            if !has_names {
                return Ok(None);
            }
            let Some(text) = image.pointer(address.wrapping_add(offset))? else { return Ok(None) };
            image.memory.read_string(text, what).map(|text| Some(Name::from(text)))
        };
        Ok(MagicBlock {
            address,
            evidence,
            len,
            version,
            func_max_args,
            index_max_keys,
            name_data_len,
            float8_by_value,
            abi_extra: self.abi_extra,
            module_name: text(WITH_ABI as u64, "the module's name")?,
            module_version: text(WITH_ABI as u64 + word, "the module's version")?,
        })
    }
}

/// The block at an address, if there is one.
fn at(image: &Image<'_>, address: u64) -> Option<Fields> {
    let bytes = image.memory.read_up_to(address, WITH_ABI as u64, "the magic block").ok()?;
    Fields::parse(image.encoding(), &bytes)
}

/// The addresses of everything in the file's segments that looks like a block.
///
/// Code is looked at only where data holds none: a linker may put constants beside it, and most bytes of a module
/// are code.
fn scan(image: &Image<'_>) -> Result<Vec<u64>, FileError> {
    let executable = |segment: &Segment| segment.flags & object::elf::PF_X.0 != 0;
    // The ints of a stock server are searched as bytes, which is ten times faster than trying every word.
    for method in [Method::StockBytes, Method::EveryWord] {
        for wanted in [false, true] {
            let mut found = Vec::new();
            let mut left = limits::MAGIC_SCAN_BYTES;
            for segment in image.memory.loads().filter(|segment| executable(segment) == wanted) {
                left = left.checked_sub(segment.file_size).ok_or_else(|| {
                    FileError::limit(format!(
                        "the segments have more than {} bytes to search for a magic block",
                        limits::MAGIC_SCAN_BYTES
                    ))
                })?;
                scan_segment(image, segment, method, &mut found)?;
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
    Ok(Vec::new())
}

/// How the scan tells where a block may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    /// By FUNC_MAX_ARGS 100 and INDEX_MAX_KEYS 32, which hardly anybody changes.
    StockBytes,
    /// By trying.
    EveryWord,
}

fn scan_segment(
    image: &Image<'_>,
    segment: &Segment,
    method: Method,
    found: &mut Vec<u64>,
) -> Result<(), FileError> {
    let source = image.memory.source();
    let encoding = image.encoding();
    let end = segment.file_size.min(source.len().saturating_sub(segment.offset));
    let mut start = 0;
    // Windows overlap by one block, so that none is cut in two and none is seen twice.
    while start + WITHOUT_ABI as u64 <= end {
        let length = (WINDOW + WITH_ABI as u64).min(end - start);
        let bytes = read_range(source, segment.offset.saturating_add(start), length, "PT_LOAD")?;
        let mut see = |at: usize| {
            let address = segment.address.wrapping_add(start + at as u64);
            let is_block = (at as u64) < WINDOW
                && address.is_multiple_of(4)
                && Fields::parse(encoding, &bytes[at..]).is_some();
            if is_block && !found.contains(&address) {
                found.push(address);
            }
            found.len() < MOST_BLOCKS
        };
        let all_seen = match method {
            Method::StockBytes => {
                bytes.find_iter(&stock(encoding)).filter_map(|at| at.checked_sub(8)).all(&mut see)
            }
            Method::EveryWord => {
                let first = segment.address.wrapping_add(start).wrapping_neg() as usize & 3;
                (first..bytes.len()).step_by(4).all(&mut see)
            }
        };
        if !all_seen {
            return Ok(());
        }
        start += WINDOW;
    }
    Ok(())
}

/// More blocks than this tell no more than "several"; the list is searched for duplicates, so it stays short.
const MOST_BLOCKS: usize = 64;

/// FUNC_MAX_ARGS 100 and INDEX_MAX_KEYS 32 as they stand in the file.
fn stock(encoding: Encoding) -> [u8; 8] {
    match encoding.endian {
        Endian::Little => [100, 0, 0, 0, 32, 0, 0, 0],
        Endian::Big => [0, 0, 0, 100, 0, 0, 0, 32],
    }
}

#[cfg(test)]
mod tests {
    use object::elf;
    use pgsym_testkit::{CodeShape, Magic as Wanted, SharedObject};

    use super::*;
    use crate::fs::{Fs as _, MemoryFs};
    use crate::model::Class;
    use crate::model::NameHash;
    use crate::parse::parse;

    const LITTLE: Encoding = Encoding { class: Class::Bits64, endian: Endian::Little };

    fn block(ints: [u32; 6], abi: &[u8]) -> Vec<u8> {
        let mut bytes: Vec<u8> = ints.iter().flat_map(|int| int.to_le_bytes()).collect();
        bytes.extend_from_slice(abi);
        bytes.resize(WITH_ABI, 0);
        bytes
    }

    #[test]
    fn every_majors_block_has_the_signature() {
        for (len, version) in [(24, 1300), (24, 1400), (56, 1500), (56, 1700), (72, 1800), (64, 1900)] {
            let fields =
                Fields::parse(LITTLE, &block([len, version, 100, 32, 64, 1], b"PostgreSQL")).unwrap();
            assert_eq!(fields.ints[1], version);
            assert_eq!(fields.abi_extra.is_some(), len > 24);
        }
    }

    fn open(bytes: Vec<u8>) -> crate::model::Module {
        let path = std::path::Path::new("/x.so");
        let (source, metadata) = MemoryFs::new().file(path, bytes).open(path).unwrap();
        parse(path, metadata, &*source, Facets::ALL).unwrap()
    }

    /// What the block of a module is taken for whose function returns one of two: `cmp dword [rdi], 0; je 1f; lea rax,
    /// [rip+A]; ret; 1: lea rax, [rip+B]; ret`.
    fn of_two(a: [u32; 6], b: [u32; 6]) -> Magic {
        let with_code = |code: Vec<u8>| {
            SharedObject::new()
                .magic(Wanted::pg(15))
                .code_shape(CodeShape::Opaque(code))
                .export_object("space", 256)
                .build()
        };
        // Code of the same length tells the addresses.
        let module = open(with_code(vec![0xc3; 21]));
        let symbols = module.symbols.get().unwrap();
        let address =
            |name: &[u8]| symbols.lookup(name, NameHash::of(name)).next().unwrap().value().unwrap().value;
        let (code, data) = (address(MAGIC_FUNCTION), address(b"space"));
        let lea = |at: u64, to: u64| {
            let displacement = (to.wrapping_sub(at + 7) as u32).to_le_bytes();
            [&[0x48, 0x8d, 0x05], &displacement[..], &[0xc3]].concat()
        };
        let text =
            [vec![0x83, 0x3f, 0x00, 0x74, 0x08], lea(code + 5, data), lea(code + 13, data + 128)].concat();
        let mut bytes = with_code(text);
        let loads = module.elf().unwrap().segments.iter().filter(|segment| segment.kind == elf::PT_LOAD.0);
        let holds =
            |segment: &&Segment| (segment.address..segment.address + segment.file_size).contains(&data);
        let segment = loads.into_iter().find(holds).unwrap();
        let at = (data - segment.address + segment.offset) as usize;
        for (at, ints) in [(at, a), (at + 128, b)] {
            bytes[at..][..WITH_ABI].copy_from_slice(&block(ints, b"PostgreSQL"));
        }
        open(bytes).postgres.get().unwrap().magic.clone()
    }

    #[test]
    fn a_block_of_12_has_one_int_more() {
        let mut bytes = block([28, 1200, 100, 32, 64, 1], b"");
        assert_eq!(Fields::parse(LITTLE, &bytes).unwrap().ints[5], 0);
        bytes[24] = 1;
        let fields = Fields::parse(LITTLE, &bytes).unwrap();
        assert_eq!((fields.ints[1], fields.ints[5], fields.abi_extra), (1200, 1, None));
        bytes[20] = 2;
        assert_eq!(Fields::parse(LITTLE, &bytes), None);
    }

    #[test]
    fn which_of_two_different_blocks_is_returned_cannot_be_told() {
        let (old, new) = ([56, 1400, 100, 32, 64, 1], [56, 1500, 100, 32, 64, 1]);
        assert!(matches!(of_two(old, new), Magic::Unknown(_)));
        assert!(matches!(of_two(new, new), Magic::Found(block) if block.version == 1500));
    }

    #[test]
    fn a_variable_in_the_place_of_the_function_is_data_whatever_it_holds() {
        let module = open(SharedObject::new().export_object("Pg_magic_func", 64).build());
        let magic = module.postgres.get().map(|facts| facts.magic.clone());
        assert_eq!(magic, Some(Magic::Unknown(FileError::malformed(MAGIC_IS_DATA))));
    }

    #[test]
    fn what_no_server_can_be_built_with_is_no_block() {
        for ints in [
            [28, 1500, 100, 32, 64, 1],
            [56, 15, 100, 32, 64, 1],
            [56, 1500, 0, 32, 64, 1],
            [56, 1500, 100, 5000, 64, 1],
            [56, 1500, 100, 32, 4, 1],
            [56, 1500, 100, 32, 64, 2],
        ] {
            assert_eq!(Fields::parse(LITTLE, &block(ints, b"PostgreSQL")), None, "{ints:?}");
        }
        assert_eq!(Fields::parse(LITTLE, &block([56, 1500, 100, 32, 64, 1], &[0xff; 32])), None);
        assert_eq!(Fields::parse(LITTLE, &block([56, 1500, 100, 32, 64, 1], b"PostgreSQL")[..55]), None);
    }
}
