//! ELF, loader-true: from the program headers through PT_LOAD to PT_DYNAMIC and what it points at. The section
//! headers are only a second view, compared with the first.

pub(crate) mod memory;

use std::path::Path;

use super::Facets;
use crate::error::{FileError, FileErrorKind};
use crate::fs::Metadata;
use crate::model::Module;
use crate::source::Source;

/// Reads an ELF file.
pub fn parse(
    _path: &Path,
    _metadata: Metadata,
    _source: &dyn Source,
    _facets: Facets,
) -> Result<Module, FileError> {
    Err(FileError::new(FileErrorKind::Unsupported, "ELF is not read yet"))
}
