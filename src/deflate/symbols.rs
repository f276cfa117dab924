//! Decodes the symbols of a compressed block: literals, and matches of earlier bytes (RFC 1951, 3.2.3).

use std::io::{self, Read};

use super::DeflateError;
use super::bit_reader::BitsInMemory;
use super::huffman::{DISTANCE_BITS, DISTANCE_TABLE, Entry, LITERAL_BITS, LITERAL_TABLE};
use super::inflate::{CHUNK, Inflate, Output, WINDOW};

impl<R: Read> Inflate<R> {
    /// Decodes symbols. Returns true at the end of the block, false once the buffer is full.
    pub(super) fn compressed(&mut self) -> io::Result<bool> {
        while self.position < WINDOW + CHUNK {
            if self.compressed_in_memory()? {
                return Ok(true);
            }
            if self.position < WINDOW + CHUNK && self.symbol()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The fast path of [`Self::compressed`], while enough input and room are in memory. Returns true at the end of
    /// the block.
    #[inline(never)]
    fn compressed_in_memory(&mut self) -> Result<bool, DeflateError> {
        let mut state = InRegisters {
            input: self.input.in_memory(),
            literals: &self.literals,
            distances: &self.distances,
            output: &mut self.output,
            position: self.position,
            history: self.history,
            earliest: self.earliest,
            next: Entry::INVALID,
        };
        let result = state.run();
        let (position, earliest) = (state.position, state.earliest);
        let input = state.input.state();
        self.input.resume(input);
        (self.position, self.earliest) = (position, earliest);
        result
    }

    /// Decodes one symbol at the edge of the input in memory. Returns true at the end of the block.
    #[cold]
    fn symbol(&mut self) -> io::Result<bool> {
        let (entry, word) = self.entry(&|tables| &tables.literals[..], LITERAL_BITS)?;
        if entry.is_special() {
            return match entry.is_end() {
                true => Ok(true),
                false => Err(DeflateError::Symbol.into()),
            };
        }
        if entry.is_literal() {
            self.output[self.position] = entry.value() as u8;
            self.position += 1;
            return Ok(false);
        }
        let length = entry.value_with_extra(word);
        let (entry, word) = self.entry(&|tables| &tables.distances[..], DISTANCE_BITS)?;
        if entry.is_special() {
            return Err(DeflateError::Symbol.into());
        }
        let distance = entry.value_with_extra(word);
        if distance > self.position - self.history {
            return Err(DeflateError::Distance.into());
        }
        self.earliest = self.earliest.min(self.position - distance);
        copy_match(&mut self.output, self.position, distance, length);
        self.position += length;
        Ok(false)
    }

    /// Takes one code word with its extra bits. Returns its meaning and the bits that begin with it.
    fn entry(
        &mut self,
        table: &dyn Fn(&Self) -> &[Entry],
        first_bits: u32,
    ) -> io::Result<(Entry, u64)> {
        self.input.refill()?;
        let mut entry = table(self)[(self.input.peek() & ((1 << first_bits) - 1)) as usize];
        if entry.is_second_table() {
            self.consume(first_bits)?;
            entry = second_entry(table(self), entry.second_place(self.input.peek()));
        }
        let word = self.input.peek();
        self.consume(entry.bits())?;
        Ok((entry, word))
    }
}

/// The state of a decoder while it runs over input in memory.
struct InRegisters<'a> {
    input: BitsInMemory<'a>,
    literals: &'a [Entry; LITERAL_TABLE],
    distances: &'a [Entry; DISTANCE_TABLE],
    output: &'a mut Output,
    position: usize,
    history: usize,
    earliest: usize,
    /// The meaning of the next bits as a literal or length. The lookup comes early because it takes time.
    next: Entry,
}

impl InRegisters<'_> {
    #[inline(always)]
    fn run(&mut self) -> Result<bool, DeflateError> {
        if !self.input.refill_with_one_to_spare() {
            return Ok(false);
        }
        self.look_up();
        // Each turn starts with 56 bits. Two literals take at most 22; a third literal or a length takes at most 20.
        while self.position < WINDOW + CHUNK && self.input.refill_with_one_to_spare() {
            let (mut entry, mut word) = self.take();
            if entry.is_literal() {
                self.literal(entry);
                (entry, word) = self.take();
                if entry.is_literal() {
                    self.literal(entry);
                    (entry, word) = self.take();
                }
            }
            if entry.is_second_table() {
                word = self.input.peek();
                entry = second_entry(self.literals, entry.second_place(word));
                self.input.consume(entry.bits());
            }
            if entry.is_literal() {
                self.literal(entry);
                continue;
            }
            if entry.is_special() {
                return match entry.is_end() {
                    true => Ok(true),
                    false => Err(DeflateError::Symbol),
                };
            }
            let length = entry.value_with_extra(word);
            let distance = self.distance()?;
            if distance > self.position - self.history {
                return Err(DeflateError::Distance);
            }
            self.look_up();
            self.repeat(distance, length);
        }
        Ok(false)
    }

    #[inline(always)]
    fn look_up(&mut self) {
        self.next = self.literals[(self.input.peek() & ((1 << LITERAL_BITS) - 1)) as usize];
    }

    /// Takes the entry that was looked up. Returns it with the bits that begin with its word.
    #[inline(always)]
    fn take(&mut self) -> (Entry, u64) {
        let (entry, word) = (self.next, self.input.peek());
        self.input.consume(entry.bits());
        (entry, word)
    }

    #[inline(always)]
    fn literal(&mut self, entry: Entry) {
        self.look_up();
        self.output[self.position] = entry.value() as u8;
        self.position += 1;
    }

    #[inline(always)]
    fn distance(&mut self) -> Result<usize, DeflateError> {
        // A distance takes at most 28 bits. This turn began with a refill to spare.
        self.input.refill();
        let mut word = self.input.peek();
        let mut entry = self.distances[(word & ((1 << DISTANCE_BITS) - 1)) as usize];
        self.input.consume(entry.bits());
        if entry.is_second_table() {
            word = self.input.peek();
            entry = second_entry(self.distances, entry.second_place(word));
            self.input.consume(entry.bits());
        }
        match entry.is_special() {
            true => Err(DeflateError::Symbol),
            false => Ok(entry.value_with_extra(word)),
        }
    }

    #[inline(always)]
    fn repeat(&mut self, distance: usize, length: usize) {
        copy_match(self.output, self.position, distance, length);
        self.earliest = self.earliest.min(self.position - distance);
        self.position += length;
    }
}

/// An entry of a second table. The place is always inside a table that was built from a code.
#[inline(always)]
fn second_entry(table: &[Entry], place: usize) -> Entry {
    table.get(place).copied().unwrap_or(Entry::INVALID)
}

/// Repeats the bytes from `distance` bytes ago. Copies whole words, which may go beyond the end of the match: the
/// buffer has room there.
#[inline(always)]
fn copy_match(output: &mut Output, position: usize, distance: usize, length: usize) {
    let end = position + length;
    let mut to = position;
    let mut from = position - distance;
    if distance >= 16 {
        while to < end {
            copy_word::<16>(output, from, to);
            (from, to) = (from + 16, to + 16);
        }
    } else if distance >= 8 {
        while to < end {
            copy_word::<8>(output, from, to);
            (from, to) = (from + 8, to + 8);
        }
    } else if distance == 1 {
        let byte = output[from];
        output[to..end].fill(byte);
    } else {
        for to in position..end {
            output[to] = output[to - distance];
        }
    }
}

#[inline(always)]
fn copy_word<const N: usize>(output: &mut Output, from: usize, to: usize) {
    let Some(word) = output
        .get(from..)
        .and_then(<[u8]>::first_chunk::<N>)
        .copied()
    else {
        return;
    };
    if let Some(target) = output.get_mut(to..).and_then(<[u8]>::first_chunk_mut::<N>) {
        *target = word;
    }
}
