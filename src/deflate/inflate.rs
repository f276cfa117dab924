//! Decodes one deflate stream (RFC 1951), block by block.

use std::io::{self, Read};

use super::DeflateError;
use super::bit_reader::BitReader;
use super::huffman::{
    self, DISTANCE_BITS, DISTANCE_MEANING, DISTANCE_TABLE, Entry, LITERAL_BITS, LITERAL_MEANING,
    LITERAL_TABLE, PRECODE_BITS, PRECODE_MEANING, PRECODE_TABLE,
};

/// How far back a block may refer, in bytes.
pub(super) const WINDOW: usize = 32 << 10;

/// Bytes to decode before the caller must take them.
pub(super) const CHUNK: usize = 192 << 10;

/// Room after the chunk for the longest match, and for the excess of copying whole words.
const SLACK: usize = 258 + 40;

const OUTPUT: usize = WINDOW + CHUNK + SLACK;
pub(super) type Output = [u8; OUTPUT];

/// Why decoding stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The buffer is full. The caller must take its bytes.
    Full,
    /// A block ended. The next bit begins the next block, or follows the stream.
    BlockEnd {
        /// Whether this was the last block of the stream.
        last: bool,
    },
}

enum State {
    BetweenBlocks,
    /// Inside a stored block, with this many bytes left.
    Stored(usize),
    Compressed,
}

/// A decoder and the bytes that it decoded last.
pub(super) struct Inflate<R> {
    pub(super) input: BitReader<R>,
    state: State,
    in_last_block: bool,
    /// Whether the tables are those of the fixed codes. Many small blocks in a row may use them.
    has_fixed_tables: bool,
    /// Bytes before `taken` are history. Bytes from there to `position` are new.
    pub(super) output: Box<Output>,
    taken: usize,
    pub(super) position: usize,
    /// The start of the history in `output`.
    pub(super) history: usize,
    /// The earliest place in `output` that a match referred to since [`Self::take_furthest_back`].
    pub(super) earliest: usize,
    pub(super) literals: Box<[Entry; LITERAL_TABLE]>,
    pub(super) distances: Box<[Entry; DISTANCE_TABLE]>,
}

impl<R: Read> Inflate<R> {
    pub(super) fn new(input: BitReader<R>) -> Self {
        Self {
            input,
            state: State::BetweenBlocks,
            in_last_block: false,
            has_fixed_tables: false,
            output: Box::new([0; OUTPUT]),
            taken: 0,
            position: 0,
            history: 0,
            earliest: 0,
            literals: Box::new([Entry::INVALID; LITERAL_TABLE]),
            distances: Box::new([Entry::INVALID; DISTANCE_TABLE]),
        }
    }

    /// Continues in the middle of a stream, between two blocks.
    pub(super) fn resume(input: BitReader<R>, history: &[u8]) -> Self {
        let mut inflate = Self::new(input);
        let bytes = history.len().min(WINDOW);
        inflate.output[..bytes].copy_from_slice(&history[history.len() - bytes..]);
        (inflate.position, inflate.taken, inflate.earliest) = (bytes, bytes, bytes);
        inflate
    }

    /// The bytes that the next block can refer to.
    pub(super) fn history(&self) -> &[u8] {
        &self.output[self.history.max(self.position.saturating_sub(WINDOW))..self.position]
    }

    /// Begins a new stream, without history, after the last one.
    pub(super) fn start_stream(&mut self) {
        self.history = self.position;
        self.earliest = self.position;
    }

    /// Decoded bytes that were not yet taken.
    pub(super) fn decoded(&self) -> &[u8] {
        &self.output[self.taken..self.position]
    }

    /// Takes bytes of [`Self::decoded`].
    pub(super) fn take(&mut self, count: usize) {
        self.taken += count;
    }

    /// How far before the next byte the matches since the last call reached, in bytes.
    pub(super) fn take_furthest_back(&mut self) -> usize {
        let back = self.position - self.earliest;
        self.earliest = self.position;
        back
    }

    /// Decodes until the buffer is full or a block ends.
    ///
    /// # Errors
    /// I/O errors of the input. [`DeflateError`] as an I/O error if the data is not a deflate stream.
    pub(super) fn run(&mut self) -> io::Result<Stop> {
        self.make_room();
        loop {
            match self.state {
                State::BetweenBlocks => self.block_header()?,
                State::Stored(0) => return Ok(self.end_of_block()),
                State::Stored(left) => {
                    let room = (WINDOW + CHUNK - self.position).min(left);
                    if room == 0 {
                        return Ok(Stop::Full);
                    }
                    let target = &mut self.output[self.position..self.position + room];
                    let count = self.input.read_bytes(target)?;
                    self.position += count;
                    self.state = State::Stored(left - count);
                }
                State::Compressed => {
                    return Ok(match self.compressed()? {
                        true => self.end_of_block(),
                        false => Stop::Full,
                    });
                }
            }
        }
    }

    fn end_of_block(&mut self) -> Stop {
        self.state = State::BetweenBlocks;
        Stop::BlockEnd {
            last: self.in_last_block,
        }
    }

    /// Moves the window to the front, once everything was taken. The window never grows before that.
    fn make_room(&mut self) {
        if self.taken < self.position || self.position < WINDOW + CHUNK {
            return;
        }
        let shift = self.position - WINDOW;
        self.output.copy_within(shift..self.position, 0);
        self.position = WINDOW;
        self.taken = WINDOW;
        self.history = self.history.saturating_sub(shift);
        self.earliest = self.earliest.saturating_sub(shift);
    }

    fn block_header(&mut self) -> io::Result<()> {
        self.in_last_block = self.input.take(1)? == 1;
        match self.input.take(2)? {
            0 => {
                self.input.align();
                let length = self.input.take(16)?;
                if self.input.take(16)? != length ^ 0xffff {
                    return Err(DeflateError::StoredLength.into());
                }
                self.state = State::Stored(length as usize);
            }
            1 if self.has_fixed_tables => self.state = State::Compressed,
            1 => {
                let mut lengths = [8; 288 + 32];
                lengths[144..256].fill(9);
                lengths[256..280].fill(7);
                lengths[288..].fill(5);
                self.tables(&lengths, 288)?;
                self.has_fixed_tables = true;
            }
            2 => self.dynamic_tables()?,
            _ => return Err(DeflateError::BlockType.into()),
        }
        Ok(())
    }

    /// Reads a block's dynamic codes (RFC 1951, 3.2.7).
    fn dynamic_tables(&mut self) -> io::Result<()> {
        let literal_count = self.input.take(5)? as usize + 257;
        let distance_count = self.input.take(5)? as usize + 1;
        let precode_count = self.input.take(4)? as usize + 4;
        if literal_count > 286 || distance_count > 30 {
            return Err(DeflateError::Code.into());
        }
        let precode = self.precode(precode_count)?;
        let mut lengths = [0u8; 286 + 30];
        let lengths = &mut lengths[..literal_count + distance_count];
        self.code_lengths(&precode, lengths)?;
        if lengths[256] == 0 {
            return Err(DeflateError::Code.into());
        }
        self.tables(lengths, literal_count)
    }

    /// Reads the code in which the code lengths are written.
    fn precode(&mut self, count: usize) -> io::Result<[Entry; PRECODE_TABLE]> {
        const ORDER: [usize; 19] = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        let mut precode_lengths = [0; 19];
        for symbol in &ORDER[..count] {
            precode_lengths[*symbol] = self.input.take(3)? as u8;
        }
        let mut precode = [Entry::INVALID; PRECODE_TABLE];
        huffman::build(
            &mut precode,
            PRECODE_BITS,
            &precode_lengths,
            &PRECODE_MEANING,
            false,
        )?;
        Ok(precode)
    }

    /// Reads the code lengths of literals and distances, which form one sequence.
    fn code_lengths(
        &mut self,
        precode: &[Entry; PRECODE_TABLE],
        lengths: &mut [u8],
    ) -> io::Result<()> {
        let mut filled = 0;
        while filled < lengths.len() {
            self.input.refill()?;
            let entry = precode[self.input.peek() as usize & (PRECODE_TABLE - 1)];
            self.consume(entry.bits())?;
            let (value, repeat) = match entry.value() {
                16 if filled == 0 => return Err(DeflateError::Code.into()),
                16 => (lengths[filled - 1], 3 + self.input.take(2)?),
                17 => (0, 3 + self.input.take(3)?),
                18 => (0, 11 + self.input.take(7)?),
                length => (length as u8, 1),
            };
            let end = filled + repeat as usize;
            lengths
                .get_mut(filled..end)
                .ok_or(DeflateError::Code)?
                .fill(value);
            filled = end;
        }
        Ok(())
    }

    /// Builds the tables from the code lengths of literals, followed by those of distances.
    fn tables(&mut self, lengths: &[u8], literal_count: usize) -> io::Result<()> {
        self.has_fixed_tables = false;
        let (literals, distances) = lengths.split_at(literal_count);
        let table = &mut self.literals[..];
        huffman::build(table, LITERAL_BITS, literals, &LITERAL_MEANING, true)?;
        let table = &mut self.distances[..];
        huffman::build(table, DISTANCE_BITS, distances, &DISTANCE_MEANING, true)?;
        self.state = State::Compressed;
        Ok(())
    }

    pub(super) fn consume(&mut self, bits: u32) -> io::Result<()> {
        if !self.input.has(bits) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.input.consume(bits);
        Ok(())
    }
}
