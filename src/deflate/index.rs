//! The places of the deflate blocks in a gzip stream.

use std::ops::Range;

/// One deflate block, or a few small ones in a row, of one gzip member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The bits in the compressed stream, from the first block's header to the last block's end.
    pub bits: Range<u64>,
    /// The decoded bytes, as offsets in the whole uncompressed stream.
    pub data: Range<u64>,
    /// CRC-32 of those bytes.
    pub crc: u32,
    /// XXH3 of those bytes, to check a second decoding.
    pub fingerprint: u64,
    /// How far the block refers back before its own bytes, at most 32 KiB.
    pub reach: u32,
    /// The bit that marks a member's last block, if the last of these blocks is one.
    pub last_mark: Option<u64>,
}

impl Block {
    /// Decoded bytes.
    pub(super) fn length(&self) -> u64 {
        self.data.end - self.data.start
    }
}

/// A block with this many bits or this much data has an entry of its own; smaller blocks share one. So a stream has
/// at most one entry per compressed KiB and one per member. Blocks of ordinary data are ten times as large.
const ENOUGH_BITS: u64 = 8 << 10;
const ENOUGH_DATA: u64 = 64 << 10;

/// Maximum number of blocks in an index, which take 32 MiB. zlib's blocks of incompressible data have 16 KiB, so this
/// allows 8 GiB of it. It also allows hundreds of thousands of members smaller than [`ENOUGH_BITS`].
const MOST_BLOCKS: usize = 512 << 10;

/// Bytes of data between two resume points at first. The spacing doubles whenever there are [`MOST_POINTS`].
const FIRST_SPACING: u64 = 2 << 20;

/// Maximum number of resume points. Each has a window, so they take 2 MiB.
const MOST_POINTS: usize = 64;

/// A block at which decoding can start.
#[derive(Debug)]
pub(super) struct Point {
    /// The block's position in the index.
    pub(super) block: usize,
    /// The bytes before the block: a window, or everything since its member began.
    pub(super) window: Box<[u8]>,
}

/// The blocks of a gzip stream, in order.
///
/// The index is empty if the stream has too many blocks to keep. Nothing can be copied from such a stream.
#[derive(Debug)]
pub struct BlockIndex {
    blocks: Vec<Block>,
    is_closed: bool,
    points: Vec<Point>,
    spacing: u64,
}

impl Default for BlockIndex {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            is_closed: false,
            points: Vec::new(),
            spacing: FIRST_SPACING,
        }
    }
}

impl BlockIndex {
    /// Whether nothing can be copied.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The blocks.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// An empty index that takes no resume points.
    pub(super) fn without_points() -> Self {
        Self {
            spacing: u64::MAX,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, block: Block) {
        if self.blocks.len() == MOST_BLOCKS {
            self.blocks = Vec::new();
            self.points = Vec::new();
            self.is_closed = true;
        }
        if !self.is_closed {
            self.blocks.push(block);
        }
    }

    /// Offers a resume point at the next block, which begins at offset `data`. `window` returns the bytes before it.
    pub(super) fn offer_point<'a>(&mut self, data: u64, window: impl FnOnce() -> &'a [u8]) {
        if self.blocks.is_empty() {
            return;
        }
        let newest = self.points.last();
        let newest = newest.map_or(0, |point| self.blocks[point.block - 1].data.end);
        if data < newest.saturating_add(self.spacing) {
            return;
        }
        if self.points.len() == MOST_POINTS {
            let mut keep = false;
            self.points.retain(|_| {
                keep = !keep;
                keep
            });
            self.spacing *= 2;
        }
        self.points.push(Point {
            block: self.blocks.len(),
            window: window().into(),
        });
    }

    /// The last resume point at or before offset `data`.
    pub(super) fn point_before(&self, data: u64) -> Option<&Point> {
        let start = |point: &Point| self.blocks[point.block - 1].data.end;
        let after = self.points.partition_point(|point| start(point) <= data);
        self.points[..after].last()
    }

    /// Whether a block with this many bits and bytes gets an entry of its own.
    pub(super) fn is_enough(bits: u64, data: u64) -> bool {
        bits >= ENOUGH_BITS || data >= ENOUGH_DATA
    }
}
