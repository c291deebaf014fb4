//! The finfo records: `pg_finfo_<function>` takes no argument and returns `const Pg_finfo_record *`, a struct of
//! one int, `api_version` (src/include/fmgr.h). The server calls it (`fetch_finfo_record`, fmgr.c) and refuses any
//! version but 1; here the constant is read where the code says that it lies.

use super::image::Image;
use super::{FINFO_PREFIX, FinfoRecord};
use crate::error::{FileError, FileErrorKind};
use crate::limits;
use crate::model::Symbol;
use crate::name::Name;

/// Reads every finfo record among the exports.
///
/// An error says that the module has more of them, or longer names, than the limits allow.
pub(super) fn read(image: &Image<'_>) -> Result<Vec<FinfoRecord>, FileError> {
    let mut left = limits::OWNED_NAME_BYTES;
    let mut records = Vec::new();
    for symbol in image.symbols.exports() {
        let Some(function) = symbol.name().strip_prefix(FINFO_PREFIX).filter(|name| !name.is_empty()) else {
            continue;
        };
        left = left.checked_sub(function.len() as u64 + PER_RECORD).ok_or_else(|| {
            FileError::limit(format!("the finfo records need more than {} bytes", limits::OWNED_NAME_BYTES))
        })?;
        let api_version = api_version(image, symbol);
        let is_null = api_version.is_err() && image.returns_null(symbol);
        records.push(FinfoRecord {
            function: Name::from(function),
            symbol: symbol.index,
            api_version,
            is_null,
            is_data: image.is_data(symbol),
        });
    }
    Ok(records)
}

/// What a record costs beside its name.
const PER_RECORD: u64 = 128;

fn api_version(image: &Image<'_>, symbol: Symbol<'_>) -> Result<u32, FileError> {
    let unknown = || FileError::new(FileErrorKind::Unsupported, "its code is of no known shape");
    let mut found = None;
    for returned in image.references(symbol)?.iter().filter(|reference| reference.is_returned) {
        let address = image.address(returned.place)?.ok_or_else(unknown)?;
        let bytes = image.memory.read(address, 4, "Pg_finfo_record")?;
        let version = image.encoding().u32(&bytes, 0).ok_or_else(unknown)?;
        // Which of two records is returned, the code decides when it runs.
        if found.is_some_and(|other| other != version) {
            return Err(unknown());
        }
        found = Some(version);
    }
    found.ok_or_else(unknown)
}
