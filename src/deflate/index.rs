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
    /// XXH3 of those bytes, to tell whether they are decoded to the same again.
    pub fingerprint: u64,
    /// How many bytes before its own it refers back to, at most 32 KiB.
    pub reach: u32,
    /// Where the bit is that marks its last block as the last one of a member, if it is.
    pub last_mark: Option<u64>,
}

impl Block {
    /// The bytes that it decodes to.
    pub(super) fn length(&self) -> u64 {
        self.data.end - self.data.start
    }
}

/// A block is noted by itself once it has so many bits or so much data; smaller ones are taken together.
/// An index is small then, whatever the stream is made of: it has an entry for each KiB of the stream
/// at most. A block of ordinary data has ten times as much.
const ENOUGH_BITS: u64 = 8 << 10;
const ENOUGH_DATA: u64 = 64 << 10;

/// Most blocks in an index, 36 MiB of them. zlib's blocks of data that does not compress have 16 KiB,
/// so that is 8 GiB of it; or hundreds of thousands of members smaller than [`ENOUGH_BITS`].
const MOST_BLOCKS: usize = 512 << 10;

/// Bytes of data between two resume points at first. It doubles whenever there are [`MOST_POINTS`].
const FIRST_SPACING: u64 = 2 << 20;

/// Most resume points, of a window each: 2 MiB.
const MOST_POINTS: usize = 64;

/// A block that decoding can begin at.
#[derive(Debug)]
pub(super) struct Point {
    /// The block's place in the index.
    pub(super) block: usize,
    /// The bytes before it: a window, or all since its member began.
    pub(super) window: Box<[u8]>,
}

/// The blocks of a gzip stream, in order.
///
/// It is empty where the stream is in more parts than is worth keeping: nothing can be taken over
/// from such a stream.
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
    /// Whether nothing can be taken over.
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

    /// Offers the bytes before the block that comes next, which begins at `data`.
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

    /// The last point at or before `data`.
    pub(super) fn point_before(&self, data: u64) -> Option<&Point> {
        let start = |point: &Point| self.blocks[point.block - 1].data.end;
        let after = self.points.partition_point(|point| start(point) <= data);
        self.points[..after].last()
    }

    /// Whether a block that has so much ends there, or takes in the next one too.
    pub(super) fn is_enough(bits: u64, data: u64) -> bool {
        bits >= ENOUGH_BITS || data >= ENOUGH_DATA
    }
}
