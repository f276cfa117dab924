//! Which parts of a new stream are blocks of the old one, and which must be compressed.

use std::ops::Range;

use crc32fast::Hasher;

use super::index::{Block, BlockIndex};

/// A stretch of the old uncompressed stream that is in the new one too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it is in the old stream.
    pub old: Range<u64>,
    /// Where it begins in the new one.
    pub new_start: u64,
}

/// What a stretch of a stream must decode to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Its bytes.
    pub length: u64,
    /// XXH3 of them.
    pub fingerprint: u64,
}

/// A part of the new stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Run {
    /// Blocks of the old stream, as they are.
    Copy(CopiedBlocks),
    /// So many bytes that must be compressed.
    Compress(u64),
}

/// Deflate blocks that follow each other without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CopiedBlocks {
    /// Their bits in the old stream.
    pub(super) bits: Range<u64>,
    /// Bytes that they decode to.
    pub(super) length: u64,
    /// CRC-32 of those bytes.
    pub(super) crc: u32,
    /// A bit among them that marks a stream's last block.
    pub(super) last_mark: Option<u64>,
    /// What each of them decodes to.
    pub(super) stretches: Vec<Stretch>,
}

/// Divides a new stream of `length` bytes. `kept` is in the order of the new stream.
///
/// A block is copied where all of its bytes are in one kept stretch, and all the bytes that it
/// refers back to as well.
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
    runs
}

/// The blocks that can be decoded with nothing but the stretch at hand.
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
