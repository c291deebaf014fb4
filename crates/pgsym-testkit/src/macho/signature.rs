//! An ad-hoc LC_CODE_SIGNATURE: one code directory with the hash of each page of 4 KiB before it.

use sha2::Digest as _;

use super::image::SignatureHash;

const PAGE: usize = 4096;
const HEADER: usize = 44;
const IDENTIFIER: &[u8] = b"pgsym-testkit\0";

fn hash_size(hash: SignatureHash) -> usize {
    match hash {
        SignatureHash::Sha1 => 20,
        SignatureHash::Sha256 => 32,
    }
}

/// Bytes of the signature of `code` bytes.
pub(super) fn size(code: u64, hash: SignatureHash) -> u64 {
    let pages = code.div_ceil(PAGE as u64);
    (20 + HEADER + IDENTIFIER.len()) as u64 + pages * hash_size(hash) as u64
}

/// The signature of everything in the file so far.
pub(super) fn write(code: &[u8], hash: SignatureHash) -> Vec<u8> {
    let pages = code.len().div_ceil(PAGE);
    let hashes = HEADER + IDENTIFIER.len();
    let length = hashes + pages * hash_size(hash);
    let mut out = Vec::new();
    let mut words = |words: &[u32]| {
        for word in words {
            out.extend(word.to_be_bytes());
        }
    };
    // CSMAGIC_EMBEDDED_SIGNATURE with one blob, the code directory (slot 0) behind it.
    words(&[0xfade_0cc0, 20 + length as u32, 1, 0, 20]);
    // CSMAGIC_CODEDIRECTORY of version 0x20001, CS_ADHOC.
    words(&[0xfade_0c02, length as u32, 0x20001, 2, hashes as u32, HEADER as u32, 0, pages as u32]);
    words(&[code.len() as u32]);
    let kind = match hash {
        SignatureHash::Sha1 => 1,
        SignatureHash::Sha256 => 2,
    };
    out.extend([hash_size(hash) as u8, kind, 0, 12]);
    out.extend([0; 4]);
    out.extend(IDENTIFIER);
    for page in code.chunks(PAGE) {
        match hash {
            SignatureHash::Sha1 => out.extend(sha1::Sha1::digest(page)),
            SignatureHash::Sha256 => out.extend(sha2::Sha256::digest(page)),
        }
    }
    out
}
