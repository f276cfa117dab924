//! Reads parts of a gzip stream for a second time.

use std::io::{self, Read};
use std::sync::Arc;

use super::discard;
use super::gzip_reader::GzipReader;
use super::index::{Block, BlockIndex};
use crate::read_at::{ReadAt, ReadFrom};

/// Decodes a gzip stream again, starting at the resume points of its index where possible.
///
/// The reader compares each block with the index once it passes the block's end, and releases the compressed bytes before
/// it. [`Self::skip`] decodes the current block to its end before it jumps. A last block that is not read to its end
/// stays unchecked.
pub struct SparseReader<'a> {
    bytes: Arc<dyn ReadAt>,
    index: &'a BlockIndex,
    reader: GzipReader<ReadFrom<Arc<dyn ReadAt>>>,
    position: u64,
    /// The first block that was neither checked nor skipped.
    next_block: usize,
}

impl<'a> SparseReader<'a> {
    /// Reads the stream that `index` describes.
    pub fn new(bytes: Arc<dyn ReadAt>, index: &'a BlockIndex) -> Self {
        let reader = GzipReader::again(ReadFrom::new(Arc::clone(&bytes), 0));
        Self {
            bytes,
            index,
            reader,
            position: 0,
            next_block: 0,
        }
    }

    /// Skips `bytes` bytes.
    ///
    /// # Errors
    /// The same errors as reading.
    pub fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let target = self.position + bytes;
        let blocks = self.index.blocks();
        if let Some(point) = self.index.point_before(target)
            && let Some(block) = blocks.get(point.block)
        {
            let rest = &blocks[self.next_block..];
            let open = rest.get(rest.partition_point(|block| block.data.end < self.position));
            let open_end = open.map_or(self.position, |block| block.data.end);
            if block.data.start > open_end {
                discard(self, open_end - self.position)?;
                // The whole block may be decoded already, except for its end.
                self.reader.decode()?;
                self.check()?;
                self.jump(point.block, &point.window)?;
            }
        }
        discard(self, target - self.position)
    }

    fn jump(&mut self, block: usize, window: &[u8]) -> io::Result<()> {
        let Block { bits, data, .. } = &self.index.blocks()[block];
        let rest = ReadFrom::new(Arc::clone(&self.bytes), bits.start / 8);
        self.reader = GzipReader::resume(rest, bits.start, data.start, window)?;
        self.position = data.start;
        self.next_block = block;
        Ok(())
    }

    /// Checks the last blocks. Call this after reading everything.
    ///
    /// # Errors
    /// The same errors as reading, and [`io::ErrorKind::InvalidData`] if there is more to read.
    pub fn finish(mut self) -> io::Result<()> {
        match self.read(&mut [0])? {
            0 => {
                self.bytes.release(u64::MAX);
                Ok(())
            }
            _ => Err(changed()),
        }
    }

    /// Compares the blocks that ended with those in the index.
    fn check(&mut self) -> io::Result<()> {
        let found = self.reader.take_blocks();
        let expected = &self.index.blocks()[self.next_block..];
        if !expected.starts_with(found.blocks()) {
            return Err(changed());
        }
        self.next_block += found.blocks().len();
        if let Some(next) = self.index.blocks().get(self.next_block) {
            self.bytes.release(next.bits.start / 8);
        }
        Ok(())
    }
}

impl Read for SparseReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.position += count as u64;
        self.check()?;
        Ok(count)
    }
}

fn changed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "it changed after pycull first read it",
    )
}
