//! Writes a gzip member from finished deflate blocks.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::copied_blocks::CopiedBlocks;
use crate::read_at::{ReadAt, ReadFrom};

/// Bytes to copy at a time.
const PIECE: u64 = 128 << 10;

/// The header of a gzip member (RFC 1952). It has no time and no system, so output never depends on clock or machine.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Writes one gzip member, block by block.
///
/// A copied block starts at the same bit of a byte as before. So copying moves whole bytes, and stored blocks, which
/// start at a byte boundary, stay valid. To reach that bit, the writer inserts blocks without data, a few bits each.
pub(super) struct BlockWriter<W> {
    output: W,
    is_abandoned: Arc<AtomicBool>,
    /// The bits of the last, incomplete byte, and their number.
    bits: u64,
    count: u32,
    buffer: Vec<u8>,
}

impl<W: Write> BlockWriter<W> {
    /// Writes the header. Copying stops once `is_abandoned` is set.
    pub(super) fn new(mut output: W, is_abandoned: Arc<AtomicBool>) -> io::Result<Self> {
        output.write_all(&HEADER)?;
        Ok(Self {
            output,
            is_abandoned,
            bits: 0,
            count: 0,
            buffer: Vec::new(),
        })
    }

    /// Writes blocks that begin and end at byte boundaries.
    pub(super) fn aligned(&mut self, blocks: &[u8]) -> io::Result<()> {
        self.advance_to(0)?;
        self.output.write_all(blocks)
    }

    /// Copies blocks of the old stream, and releases what no later run copies.
    pub(super) fn copy(&mut self, run: &CopiedBlocks, old: &dyn ReadAt) -> io::Result<()> {
        let (first, last) = (run.bits.start / 8, run.bits.end.div_ceil(8));
        let before = (run.bits.start % 8) as u32;
        self.advance_to(before)?;
        let mut input = ReadFrom::new(old, first);
        let mut at = first;
        while at < last {
            if self.is_abandoned.load(Ordering::Relaxed) {
                return Err(io::Error::other("the stream was given up"));
            }
            let mut piece = std::mem::take(&mut self.buffer);
            piece.resize((last - at).min(PIECE) as usize, 0);
            input.read_exact(&mut piece)?;
            old.release(at.min(run.needed_later));
            if let Some(mark) = run.last_mark
                && (at..at + piece.len() as u64).contains(&(mark / 8))
            {
                piece[(mark / 8 - at) as usize] &= !(1 << (mark % 8));
            }
            if at == first {
                piece[0] = piece[0] & (0xff << before) as u8 | self.bits as u8;
                (self.bits, self.count) = (0, 0);
            }
            at += piece.len() as u64;
            let after = (run.bits.end % 8) as u32;
            let whole = match at == last && after > 0 {
                true => {
                    self.bits = u64::from(piece[piece.len() - 1]) & ((1 << after) - 1);
                    self.count = after;
                    piece.len() - 1
                }
                false => piece.len(),
            };
            self.output.write_all(&piece[..whole])?;
            self.buffer = piece;
        }
        old.release(run.needed_later);
        Ok(())
    }

    /// Ends the deflate stream with an empty block, and the member with its CRC-32 and length.
    pub(super) fn finish(mut self, crc: u32, length: u64) -> io::Result<W> {
        // The final block, with fixed codes and only an end of block.
        self.put(0b011, 10)?;
        let padding = (8 - self.count) % 8;
        self.put(0, padding)?;
        self.output.write_all(&crc.to_le_bytes())?;
        self.output.write_all(&(length as u32).to_le_bytes())?;
        self.output.flush()?;
        Ok(self.output)
    }

    /// Writes blocks without data until the next bit is bit `place` of its byte.
    fn advance_to(&mut self, place: u32) -> io::Result<()> {
        let odd = (place + self.count) % 2 == 1;
        if odd && place == 0 {
            return self.empty_stored_block();
        }
        if odd {
            self.empty_dynamic_block()?;
        }
        while self.count != place {
            // Fixed codes and an end of block: ten bits, two more than a byte.
            self.put(0b010, 10)?;
        }
        Ok(())
    }

    /// Writes a stored block without data. It starts at any bit and ends at a byte boundary.
    fn empty_stored_block(&mut self) -> io::Result<()> {
        self.put(0, 3)?;
        let padding = (8 - self.count) % 8;
        self.put(0, padding)?;
        self.put(0xffff_0000, 32)
    }

    /// Writes a block of 99 bits without data. It is the shortest of odd length that has only complete codes.
    fn empty_dynamic_block(&mut self) -> io::Result<()> {
        // Dynamic codes: 257 literal, 2 distance and 18 code length code words.
        self.put(0b100, 3)?;
        self.put(0, 5)?;
        self.put(1, 5)?;
        self.put(14, 4)?;
        // Code length codes, 3 bits each in the order of RFC 1951, 3.2.7: 18 has one bit, 2 and 1 have two.
        self.put(1 << (3 * 2) | 2 << (3 * 15) | 2 << (3 * 17), 54)?;
        let (one, two, zeros) = ((0b01, 2), (0b11, 2), (0, 1));
        // Literals: 0 has one bit, 1 has two, 254 have none, the end of block has two.
        for (word, bits) in [one, two, zeros, (138 - 11, 7), zeros, (116 - 11, 7), two] {
            self.put(word, bits)?;
        }
        // Two distances of one bit, and the end of block.
        for (word, bits) in [one, one, (0b11, 2)] {
            self.put(word, bits)?;
        }
        Ok(())
    }

    /// Writes at most 56 bits, the lowest first.
    fn put(&mut self, bits: u64, count: u32) -> io::Result<()> {
        self.bits |= bits << self.count;
        self.count += count;
        let whole = (self.count / 8) as usize;
        self.output.write_all(&self.bits.to_le_bytes()[..whole])?;
        self.bits >>= 8 * whole;
        self.count %= 8;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of fixed codes with the data "x", which starts at bit `place` of its first byte.
    fn block_at(place: u32) -> (Vec<u8>, CopiedBlocks) {
        let block = 0b010 | u32::from((0x30 + b'x').reverse_bits()) << 3;
        let copy = CopiedBlocks {
            bits: u64::from(place)..u64::from(place) + 18,
            length: 1,
            crc: crc32fast::hash(b"x"),
            last_mark: None,
            stretches: Vec::new(),
            needed_later: 0,
        };
        ((block << place).to_le_bytes().to_vec(), copy)
    }

    #[test]
    fn every_place_in_a_byte_is_reached_from_every_other() {
        for (from, to) in (0..64).map(|pair| (pair / 8, pair % 8)) {
            let mut writer = BlockWriter::new(Vec::new(), Arc::default()).unwrap();
            writer.advance_to(from).unwrap();
            assert_eq!(writer.count, from);
            let (old, copy) = block_at(to);
            writer.copy(&copy, &old).unwrap();
            let stream = writer.finish(copy.crc, 1).unwrap();
            assert!(stream.len() < 64, "{} bytes", stream.len());
            let mut decoded = String::new();
            flate2::bufread::GzDecoder::new(&stream[..])
                .read_to_string(&mut decoded)
                .unwrap();
            assert_eq!(decoded, "x", "from {from} to {to}");
        }
    }
}
