//! LC_CODE_SIGNATURE: who signed, and whether each page still has the hash that was signed. An edited load command
//! leaves its page with another one, and the kernel of an arm64 Mac kills whatever maps such a page.

use object::read::macho::{CodeDirectory as Directory, CodeSignature as Blobs};
use object::{BigEndian, macho};
use sha2::Digest as _;

use super::commands::Linkedit;
use super::object_error;
use crate::error::FileError;
use crate::limits;
use crate::model::{CodeDirectory, CodeSignature, HashKind, StalePages};
use crate::name::Name;
use crate::source::{Source, read_range};

/// Reads and checks the signature; none where the image is not signed.
pub(super) fn read(source: &dyn Source, linkedit: &Linkedit) -> Result<Option<CodeSignature>, FileError> {
    let Some(range) = linkedit.code_signature else { return Ok(None) };
    let bytes = range.read(source, "LC_CODE_SIGNATURE")?;
    let at = |error| object_error(error).at(range.offset);
    let blobs = Blobs::parse(&bytes).map_err(at)?;
    let mut signature = None;
    for (number, blob) in blobs.blobs().enumerate() {
        if number >= limits::SIGNATURE_BLOBS {
            return Err(FileError::limit("the blobs of the code signature").at(range.offset));
        }
        let Some(directory) = blob.map_err(at)?.code_directory().map_err(at)? else { continue };
        let checked = check(source, range.offset, &directory)?;
        let flags = directory.header().flags.get(BigEndian).0;
        signature
            .get_or_insert_with(|| CodeSignature {
                identifier: Name::from(directory.ident().unwrap_or_default()),
                team: directory.team_id().ok().flatten().map(Name::from),
                is_ad_hoc: flags & macho::CS_ADHOC.0 != 0,
                is_linker_signed: flags & macho::CS_LINKER_SIGNED.0 != 0,
                is_hardened: flags & macho::CS_RUNTIME.0 != 0,
                directories: Vec::new(),
            })
            .directories
            .push(checked);
    }
    signature
        .map(Some)
        .ok_or_else(|| FileError::malformed("the code signature has no code directory").at(range.offset))
}

/// Compares the pages before `code_limit` with their hashes.
fn check(source: &dyn Source, signature: u64, directory: &Directory<'_>) -> Result<CodeDirectory, FileError> {
    let wrong = |what: &'static str| FileError::malformed(what).at(signature);
    let header = directory.header();
    let hash = match header.hash_type {
        macho::CS_HASHTYPE_SHA1 => HashKind::Sha1,
        macho::CS_HASHTYPE_SHA256 | macho::CS_HASHTYPE_SHA256_TRUNCATED => HashKind::Sha256,
        other => HashKind::Other(other.0),
    };
    let limit = directory.code_limit();
    if limit > source.len() || limit > signature {
        return Err(wrong("the code directory covers more than lies before the signature"));
    }
    let shift = u32::from(header.page_size);
    // 0 is one page of any length; real ones are 4 KiB and 16 KiB.
    let page = if shift == 0 { limit } else { 1_u64.checked_shl(shift).unwrap_or(u64::MAX) }.max(1);
    let pages = header.n_code_slots.get(BigEndian);
    if shift != 0 && shift < 10 || u64::from(pages) != limit.div_ceil(page) {
        return Err(wrong("the code directory has another number of hashes than the code has pages"));
    }
    let mut stale: Option<StalePages> = None;
    for number in 0..pages {
        let start = u64::from(number) * page;
        let length = page.min(limit - start);
        let expected = directory.code_hash(number).map_err(|error| object_error(error).at(signature))?;
        if length > limits::LINKEDIT_BYTES {
            return Err(FileError::limit("a page of the code signature").at(signature));
        }
        let content = read_range(source, start, length, "a signed page")?;
        let is_same = match hash {
            HashKind::Sha1 => sha1::Sha1::digest(&content).as_slice() == expected,
            // The truncated kind keeps the first 20 bytes.
            HashKind::Sha256 => !expected.is_empty() && sha2::Sha256::digest(&content).starts_with(expected),
            HashKind::Other(_) => true,
        };
        if !is_same {
            stale = Some(match stale {
                None => StalePages { first: number, count: 1 },
                Some(pages) => StalePages { count: pages.count + 1, ..pages },
            });
        }
    }
    Ok(CodeDirectory { hash, code_limit: limit, pages, stale })
}
