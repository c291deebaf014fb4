//! The first bytes of a file, read once: the headers of every file and all tables of a small one lie there, so
//! that one system call serves most of what resolution asks.

use std::io;

use crate::error::FileError;
use crate::source::{Source, read_range};

/// One page. The headers, PT_INTERP, the notes and the hash table of a typical module fit.
const LENGTH: u64 = 4096;

/// A source whose first page is in memory.
pub(crate) struct Head<'a> {
    source: &'a dyn Source,
    bytes: Vec<u8>,
}

impl<'a> Head<'a> {
    pub(crate) fn read(source: &'a dyn Source) -> Result<Self, FileError> {
        let bytes = read_range(source, 0, LENGTH.min(source.len()), "the ELF header")?;
        Ok(Self { source, bytes })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Source for Head<'_> {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let known = usize::try_from(offset)
            .ok()
            .and_then(|start| self.bytes.get(start..start.checked_add(buffer.len())?));
        match known {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(())
            }
            None => self.source.read_exact_at(offset, buffer),
        }
    }
}
