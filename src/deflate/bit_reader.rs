//! Bits from a stream of bytes, least significant first (RFC 1951, 3.1.1).

use std::io::{self, Read};

/// Bytes read from the input at a time.
const BUFFER: usize = 128 << 10;

/// A stream as bits, with their position.
pub(super) struct BitReader<R> {
    inner: R,
    buffer: Box<[u8]>,
    /// The first byte of `buffer` that is not in `bits`, and the end of what was read.
    position: usize,
    end: usize,
    /// Where in the stream `buffer` begins, in bytes.
    offset: u64,
    at_end: bool,
    /// Bits taken from the buffer, the next one lowest, and how many of them count. Above those it
    /// may hold bits that the buffer will yield again.
    bits: u64,
    count: u32,
}

impl<R: Read> BitReader<R> {
    /// Reads `inner`, which begins `offset` bytes into the stream.
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

    /// Bits of the stream before the next one.
    pub(super) fn bit_offset(&self) -> u64 {
        (self.offset + self.position as u64) * 8 - u64::from(self.count)
    }

    /// Makes at least 56 bits available, or all that are left.
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

    /// Reads on where all of the buffer was used. False at the end of the stream.
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

    /// Whether so many bits are there after a refill. False only at the end of the stream.
    #[inline(always)]
    pub(super) fn has(&self, bits: u32) -> bool {
        self.count >= bits
    }

    /// Takes bits that are there.
    #[inline(always)]
    pub(super) fn consume(&mut self, bits: u32) {
        self.bits >>= bits;
        self.count -= bits;
    }

    /// The bits that are in memory, for a loop that keeps its state in registers. What it took is
    /// told by [`Self::resume`].
    #[inline(always)]
    pub(super) fn in_memory(&self) -> BitsInMemory<'_> {
        BitsInMemory {
            input: &self.buffer[..self.end],
            position: self.position,
            bits: self.bits,
            count: self.count,
        }
    }

    /// Goes on where a [`BitsInMemory`] stopped.
    #[inline(always)]
    pub(super) fn resume(&mut self, (position, bits, count): (usize, u64, u32)) {
        (self.position, self.bits, self.count) = (position, bits, count);
    }

    /// At most 32 bits as a number.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where the stream ends before.
    pub(super) fn take(&mut self, bits: u32) -> io::Result<u32> {
        self.refill()?;
        if !self.has(bits) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let value = self.bits & ((1u64 << bits) - 1);
        self.consume(bits);
        Ok(value as u32)
    }

    /// Takes the bits up to the next byte.
    pub(super) fn align(&mut self) {
        self.consume(self.count % 8);
    }

    /// Whether the stream ends here. Only where aligned.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        self.refill()?;
        Ok(self.count == 0)
    }

    /// Reads bytes into the start of `target`, as many as are at hand. Only where aligned.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] at the end of the stream.
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
        // Whatever is left there will come again from the buffer.
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

/// The bits of a [`BitReader`] that need no reading.
pub(super) struct BitsInMemory<'a> {
    input: &'a [u8],
    position: usize,
    bits: u64,
    count: u32,
}

impl BitsInMemory<'_> {
    /// Makes at least 56 bits available, and sees that [`Self::refill`] can do so once more. False near
    /// the end of what is in memory.
    #[inline(always)]
    pub(super) fn refill_with_one_to_spare(&mut self) -> bool {
        let ahead = self
            .input
            .get(self.position..)
            .and_then(<[u8]>::first_chunk::<16>);
        ahead.is_some() && self.refill()
    }

    /// Makes at least 56 bits available. False near the end of what is in memory.
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
