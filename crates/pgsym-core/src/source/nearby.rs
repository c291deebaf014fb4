//! A source that keeps the blocks that small reads came from. The entry points of a module are hundreds of small functions
//! and constants that lie side by side: read one by one they cost two system calls each.

use std::io;
use std::sync::{Mutex, PoisonError};

use super::Source;

/// Bytes of one block, and of the longest read that goes through them.
const BLOCK: u64 = 16 << 10;

/// Blocks kept: with more than that in use nothing is near anything, and all are let go.
const BLOCKS: usize = 64;

/// A source whose small reads are served from blocks of 16 KiB.
pub(crate) struct Nearby<'a> {
    source: &'a dyn Source,
    /// Each with the offset of its first byte; so few that hashing takes longer than looking through them. A lock because a
    /// source may be shared; here nobody else waits for it.
    blocks: Mutex<Vec<(u64, Box<[u8]>)>>,
}

impl<'a> Nearby<'a> {
    pub(crate) fn new(source: &'a dyn Source) -> Self {
        Self { source, blocks: Mutex::default() }
    }

    /// Copies what one block has of a range that lies in it.
    fn copy_from_block(&self, block: u64, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = blocks.iter().rfind(|(known, _)| *known == block) {
            return super::copy_from(bytes, offset - block, buffer);
        }
        let length = BLOCK.min(self.source.len().saturating_sub(block)) as usize;
        let bytes = self.source.read_table_at(block, length)?;
        if blocks.len() == BLOCKS {
            blocks.clear();
        }
        let copied = super::copy_from(&bytes, offset - block, buffer);
        blocks.push((block, bytes.into()));
        copied
    }
}

impl Source for Nearby<'_> {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let block = offset - offset % BLOCK;
        let is_inside = buffer.len() as u64 <= BLOCK - offset % BLOCK;
        if !is_inside || self.copy_from_block(block, offset, buffer).is_err() {
            // A file that has shrunk may still hold what was asked for.
            return self.source.read_exact_at(offset, buffer);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Bytes that tell how often somebody came for them.
    struct Counted(Vec<u8>, AtomicUsize);

    impl Source for Counted {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.read_exact_at(offset, buffer)
        }
    }

    #[test]
    fn small_reads_side_by_side_cost_one() {
        let bytes: Vec<u8> = (0..3 * BLOCK).map(|at| (at % 251) as u8).collect();
        let source = Counted(bytes.clone(), AtomicUsize::new(0));
        let nearby = Nearby::new(&source);
        let read = |offset: u64, length: usize| {
            let mut buffer = vec![0; length];
            nearby.read_exact_at(offset, &mut buffer).map(|()| buffer)
        };
        for offset in (BLOCK..2 * BLOCK - 128).step_by(64) {
            assert_eq!(read(offset, 128).unwrap(), bytes[offset as usize..][..128]);
        }
        assert_eq!(source.1.load(Ordering::Relaxed), 1);
        // Across the end of a block, and past the end of the file.
        assert_eq!(read(2 * BLOCK - 4, 8).unwrap(), bytes[2 * BLOCK as usize - 4..][..8]);
        assert_eq!(read(3 * BLOCK - 4, 8).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
