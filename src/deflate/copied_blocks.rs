//! Decides which parts of a new stream are blocks of the old one, and which must be compressed.

use std::ops::Range;

use crc32fast::Hasher;

use super::index::{Block, BlockIndex};

/// A stretch of the old uncompressed stream that the new stream has too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its offsets in the old stream.
    pub old: Range<u64>,
    /// Its start in the new stream.
    pub new_start: u64,
}

/// The content that a stretch of a stream must decode to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The length in bytes.
    pub length: u64,
    /// XXH3 of the bytes.
    pub fingerprint: u64,
}

/// A part of the new stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Run {
    /// Blocks to copy from the old stream.
    Copy(CopiedBlocks),
    /// This many bytes to compress.
    Compress(u64),
}

/// Adjacent deflate blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CopiedBlocks {
    /// The bits of the blocks in the old stream.
    pub(super) bits: Range<u64>,
    /// Bytes that the blocks decode to.
    pub(super) length: u64,
    /// CRC-32 of those bytes.
    pub(super) crc: u32,
    /// The bit among them that marks a stream's last block, if they have one.
    pub(super) last_mark: Option<u64>,
    /// What each block decodes to.
    pub(super) stretches: Vec<Stretch>,
    /// The first byte of the old stream that a later run of the new stream copies, or the highest number.
    pub(super) needed_later: u64,
}

/// Divides a new stream of `length` bytes. `kept` has the order of the new stream.
///
/// A block is copied if one kept stretch contains all of its bytes and all bytes that it refers back to.
pub(super) fn divide(index: &BlockIndex, kept: &[Kept], length: u64) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut position = 0;
    for stretch in kept {
        for block in blocks_within(index, &stretch.old) {
            let start = stretch.new_start + (block.data.start - stretch.old.start);
            if start > position {
                runs.push(Run::Compress(start - position));
            }
            match runs.last_mut() {
                Some(Run::Copy(run)) if run.bits.end == block.bits.start => run.extend(block),
                _ => runs.push(Run::Copy(CopiedBlocks::of(block))),
            }
            position = start + block.length();
        }
    }
    if position < length {
        runs.push(Run::Compress(length - position));
    }
    let mut needed_later = u64::MAX;
    for run in runs.iter_mut().rev() {
        if let Run::Copy(blocks) = run {
            blocks.needed_later = needed_later;
            needed_later = needed_later.min(blocks.bits.start / 8);
        }
    }
    runs
}

/// The blocks that can be decoded from the stretch alone.
fn blocks_within<'a>(
    index: &'a BlockIndex,
    stretch: &Range<u64>,
) -> impl Iterator<Item = &'a Block> + use<'a> {
    let Range { start, end } = *stretch;
    let first = index
        .blocks()
        .partition_point(|block| block.data.start < start);
    index.blocks()[first..]
        .iter()
        .take_while(move |block| block.data.end <= end)
        .filter(move |block| !block.data.is_empty())
        .filter(move |block| block.data.start - u64::from(block.reach) >= start)
}

impl CopiedBlocks {
    fn of(block: &Block) -> Self {
        Self {
            bits: block.bits.clone(),
            length: block.length(),
            crc: block.crc,
            last_mark: block.last_mark,
            stretches: vec![Stretch::of(block)],
            needed_later: 0,
        }
    }

    fn extend(&mut self, block: &Block) {
        let mut crc = Hasher::new_with_initial_len(self.crc, self.length);
        crc.combine(&Hasher::new_with_initial_len(block.crc, block.length()));
        self.crc = crc.finalize();
        self.length += block.length();
        self.bits.end = block.bits.end;
        self.last_mark = block.last_mark;
        self.stretches.push(Stretch::of(block));
    }
}

impl Stretch {
    fn of(block: &Block) -> Self {
        Self {
            length: block.length(),
            fingerprint: block.fingerprint,
        }
    }
}
