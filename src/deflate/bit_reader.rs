//! Reads bits from a stream of bytes, the least significant bit of each byte first (RFC 1951, 3.1.1).

use std::io::{self, Read};

/// Bytes to read from the input at a time.
const BUFFER: usize = 128 << 10;

/// A stream of bits with its position.
pub(super) struct BitReader<R> {
    inner: R,
    buffer: Box<[u8]>,
    /// The first byte of `buffer` that is not in `bits`, and the end of the valid bytes.
    position: usize,
    end: usize,
    /// The offset of `buffer` in the stream, in bytes.
    offset: u64,
    at_end: bool,
    /// Bits taken from the buffer, the next one lowest, and the number that counts. Bits above those come from the
    /// buffer again later.
    bits: u64,
    count: u32,
}

impl<R: Read> BitReader<R> {
    /// Reads `inner`, whose first byte is at offset `offset` of the stream.
    pub(super) fn new(inner: R, offset: u64) -> Self {
        Self {
            offset,
            inner,
            buffer: vec![0; BUFFER].into(),
            position: 0,
            end: 0,
            at_end: false,
            bits: 0,
            count: 0,
        }
    }

    /// The position of the next bit in the stream.
    pub(super) fn bit_offset(&self) -> u64 {
        (self.offset + self.position as u64) * 8 - u64::from(self.count)
    }

    /// Makes at least 56 bits available, or all that remain.
    #[inline(always)]
    pub(super) fn refill(&mut self) -> io::Result<()> {
        let mut in_memory = self.in_memory();
        if in_memory.refill() {
            let state = in_memory.state();
            self.resume(state);
            Ok(())
        } else {
            self.refill_at_the_edge()
        }
    }

    #[cold]
    fn refill_at_the_edge(&mut self) -> io::Result<()> {
        self.bits &= (1u64 << self.count) - 1;
        while self.count < 56 {
            if self.position == self.end && !self.fill_buffer()? {
                break;
            }
            self.bits |= u64::from(self.buffer[self.position]) << self.count;
            self.position += 1;
            self.count += 8;
        }
        Ok(())
    }

    /// Reads more input once the whole buffer is used. Returns false at the end of the stream.
    fn fill_buffer(&mut self) -> io::Result<bool> {
        self.offset += self.end as u64;
        (self.position, self.end) = (0, 0);
        while !self.at_end && self.end == 0 {
            match self.inner.read(&mut self.buffer) {
                Ok(0) => self.at_end = true,
                Ok(count) => self.end = count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.end > 0)
    }

    /// The next bits, with zeros after the end of the stream. Call [`Self::refill`] first.
    #[inline(always)]
    pub(super) fn peek(&self) -> u64 {
        self.bits
    }

    /// Whether `bits` bits are available after a refill. False only at the end of the stream.
    #[inline(always)]
    pub(super) fn has(&self, bits: u32) -> bool {
        self.count >= bits
    }

    /// Removes bits that are available.
    #[inline(always)]
    pub(super) fn consume(&mut self, bits: u32) {
        self.bits >>= bits;
        self.count -= bits;
    }

    /// The bits in memory, for a loop that keeps its state in registers. [`Self::resume`] takes the state back.
    #[inline(always)]
    pub(super) fn in_memory(&self) -> BitsInMemory<'_> {
        BitsInMemory {
            input: &self.buffer[..self.end],
            position: self.position,
            bits: self.bits,
            count: self.count,
        }
    }

    /// Continues from the state of a [`BitsInMemory`].
    #[inline(always)]
    pub(super) fn resume(&mut self, (position, bits, count): (usize, u64, u32)) {
        (self.position, self.bits, self.count) = (position, bits, count);
    }

    /// Removes and returns at most 32 bits as a number.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if fewer bits remain. I/O errors of the input.
    pub(super) fn take(&mut self, bits: u32) -> io::Result<u32> {
        self.refill()?;
        if !self.has(bits) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let value = self.bits & ((1u64 << bits) - 1);
        self.consume(bits);
        Ok(value as u32)
    }

    /// Removes the bits before the next byte boundary.
    pub(super) fn align(&mut self) {
        self.consume(self.count % 8);
    }

    /// Whether the stream ends here. The position must be at a byte boundary.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        self.refill()?;
        Ok(self.count == 0)
    }

    /// Reads the available bytes into the start of `target` and returns their number. The position must be at a byte
    /// boundary.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] at the end of the stream. I/O errors of the input.
    pub(super) fn read_bytes(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < target.len() && self.count >= 8 {
            target[taken] = self.bits as u8;
            self.consume(8);
            taken += 1;
        }
        if taken > 0 {
            return Ok(taken);
        }
        // The buffer yields the remaining bits again.
        self.bits = 0;
        if self.position == self.end && !self.fill_buffer()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let count = target.len().min(self.end - self.position);
        target[..count].copy_from_slice(&self.buffer[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

/// The bits of a [`BitReader`] that are available without reading.
pub(super) struct BitsInMemory<'a> {
    input: &'a [u8],
    position: usize,
    bits: u64,
    count: u32,
}

impl BitsInMemory<'_> {
    /// Makes at least 56 bits available, and ensures that [`Self::refill`] works once more. Returns false near the
    /// end of the buffer.
    #[inline(always)]
    pub(super) fn refill_with_one_to_spare(&mut self) -> bool {
        let ahead = self
            .input
            .get(self.position..)
            .and_then(<[u8]>::first_chunk::<16>);
        ahead.is_some() && self.refill()
    }

    /// Makes at least 56 bits available. Returns false near the end of the buffer.
    #[inline(always)]
    pub(super) fn refill(&mut self) -> bool {
        let Some(word) = self
            .input
            .get(self.position..)
            .and_then(<[u8]>::first_chunk::<8>)
        else {
            return false;
        };
        self.bits |= u64::from_le_bytes(*word) << self.count;
        self.position += (63 - self.count as usize) >> 3;
        self.count |= 56;
        true
    }

    #[inline(always)]
    pub(super) fn peek(&self) -> u64 {
        self.bits
    }

    #[inline(always)]
    pub(super) fn consume(&mut self, bits: u32) {
        self.bits >>= bits;
        self.count -= bits;
    }

    /// The state for [`BitReader::resume`].
    #[inline(always)]
    pub(super) fn state(&self) -> (usize, u64, u32) {
        (self.position, self.bits, self.count)
    }
}
