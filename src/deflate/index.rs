//! Where a gzip stream's deflate blocks are.

use std::ops::Range;

/// One deflate block, or a few small ones in a row, of one gzip member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its bits in the compressed stream, from the first one's header to the last one's end.
    pub bits: Range<u64>,
    /// The bytes that it decodes to, by their offsets in the whole uncompressed stream.
    pub data: Range<u64>,
    /// CRC-32 of those bytes.
    pub crc: u32,
    /// How many bytes before its own it refers back to, at most 32 KiB.
    pub reach: u32,
    /// Where the bit is that marks its last block as the last one of a member, if it is.
    pub last_mark: Option<u64>,
}

/// A block is noted by itself once it has so many bits or so much data: an index is small then,
/// whatever the stream is made of.
const ENOUGH_BITS: u64 = 8 << 10;
const ENOUGH_DATA: u64 = 64 << 10;

/// Most blocks in an index, 28 MiB of them. Only a stream of crumbs, hundreds of thousands of members
/// smaller than [`ENOUGH_BITS`], has more.
const MOST_BLOCKS: usize = 512 << 10;

/// The blocks of a gzip stream, in order.
///
/// It is empty where the stream is in more parts than is worth keeping: nothing can be taken over
/// from such a stream.
#[derive(Debug, Default)]
pub struct BlockIndex {
    blocks: Vec<Block>,
    is_closed: bool,
}

impl BlockIndex {
    /// The blocks.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    pub(super) fn push(&mut self, block: Block) {
        if self.blocks.len() == MOST_BLOCKS {
            self.blocks = Vec::new();
            self.is_closed = true;
        }
        if !self.is_closed {
            self.blocks.push(block);
        }
    }

    /// Whether a block that has so much ends there, or takes in the next one too.
    pub(super) fn is_enough(bits: u64, data: u64) -> bool {
        bits >= ENOUGH_BITS || data >= ENOUGH_DATA
    }
}
