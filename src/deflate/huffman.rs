//! Decoding tables for deflate's prefix codes (RFC 1951, 3.2).

use super::DeflateError;

/// Longest code word of the literal/length and distance alphabets, in bits.
pub(super) const LONGEST_CODE: usize = 15;

/// Index bits of each alphabet's first table. Longer codes use a second table.
pub(super) const LITERAL_BITS: u32 = 11;
pub(super) const DISTANCE_BITS: u32 = 8;
pub(super) const PRECODE_BITS: u32 = 7;

/// Entries for the first table and all second tables. This is the most that a complete code of the alphabet's size
/// can need, as zlib's program `enough` counts it. Literals have 288 symbols of at most 15 bits and 11 index bits.
/// Distances have 32 of at most 15 bits and 8 index bits, and the precode has 19 of at most 7 bits.
pub(super) const LITERAL_TABLE: usize = 2342;
pub(super) const DISTANCE_TABLE: usize = 402;
pub(super) const PRECODE_TABLE: usize = 128;

/// The meaning and the length of a code word, packed into 32 bits.
///
/// * Bits 0 to 4: the length of the word, including extra bits.
/// * Bits 8 to 11: the length without extra bits, or the index bits of a second table.
/// * Bits 16 to 30: a literal, a base value or a table's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(u32);

impl Entry {
    const SPECIAL: u32 = 1 << 31;
    const LITERAL: u32 = 1 << 7;
    const SECOND_TABLE: u32 = 1 << 6;
    const END_OF_BLOCK: u32 = 1 << 5;

    /// No code word begins with these bits.
    pub(super) const INVALID: Self = Self(Self::SPECIAL);

    pub(super) const fn literal(value: u32) -> Self {
        Self(value << 16 | Self::LITERAL)
    }

    pub(super) const fn base(value: u32, extra_bits: u32) -> Self {
        Self(value << 16 | extra_bits)
    }

    pub(super) const END: Self = Self(Self::SPECIAL | Self::END_OF_BLOCK);

    fn second_table(place: usize, bits: u32, index_bits: u32) -> Self {
        Self(Self::SPECIAL | Self::SECOND_TABLE | (place as u32) << 16 | index_bits << 8 | bits)
    }

    /// The entry for a word of `bits` bits.
    fn of_word(self, bits: usize) -> Self {
        Self(self.0 + (bits as u32) * (1 + (1 << 8)))
    }

    /// The bits of the word and its extra bits.
    #[inline(always)]
    pub(super) fn bits(self) -> u32 {
        self.0 & 0x1f
    }

    /// The base value plus the extra bits. `bits` begins with the word.
    #[inline(always)]
    pub(super) fn value_with_extra(self, bits: u64) -> usize {
        let extra = (bits as u32 & ((1 << self.bits()) - 1)) >> (self.0 >> 8 & 0xf);
        (self.value() + extra) as usize
    }

    /// The entry's place in the second table. `bits` begins after the first table's bits.
    #[inline(always)]
    pub(super) fn second_place(self, bits: u64) -> usize {
        (self.value() + (bits as u32 & ((1 << (self.0 >> 8 & 0xf)) - 1))) as usize
    }

    #[inline(always)]
    pub(super) fn value(self) -> u32 {
        self.0 >> 16 & 0x7fff
    }

    #[inline(always)]
    pub(super) fn is_literal(self) -> bool {
        self.0 & Self::LITERAL != 0
    }

    /// Whether this is a second table, the end of the block, or invalid: neither a literal nor a base value.
    #[inline(always)]
    pub(super) fn is_special(self) -> bool {
        self.0 & Self::SPECIAL != 0
    }

    pub(super) fn is_second_table(self) -> bool {
        self.0 & Self::SECOND_TABLE != 0
    }

    pub(super) fn is_end(self) -> bool {
        self.0 & Self::END_OF_BLOCK != 0
    }
}

/// Fills `table` for a code with these word lengths. Length zero marks a symbol that does not occur. `meaning` has
/// each symbol's entry.
///
/// Like zlib, this accepts an incomplete code only if `may_be_incomplete` is set and no word is longer than one bit.
pub(super) fn build(
    table: &mut [Entry],
    first_bits: u32,
    lengths: &[u8],
    meaning: &[Entry],
    may_be_incomplete: bool,
) -> Result<(), DeflateError> {
    let counts = count(lengths);
    let is_complete = check(&counts, may_be_incomplete)?;

    let mut next_code = [0u16; LONGEST_CODE + 2];
    for bits in 1..=LONGEST_CODE {
        next_code[bits + 1] = (next_code[bits] + counts[bits]) << 1;
    }
    let first_size = 1usize << first_bits;
    if !is_complete {
        table[..first_size].fill(Entry::INVALID);
    }
    let mut long = [LongWord::default(); 288];
    let mut long_count = 0;
    for (symbol, length) in lengths.iter().enumerate() {
        let bits = usize::from(*length);
        if bits == 0 {
            continue;
        }
        let code = next_code[bits];
        next_code[bits] += 1;
        let word = code.reverse_bits() >> (16 - bits);
        if bits as u32 <= first_bits {
            let entry = meaning[symbol].of_word(bits);
            for slot in table[usize::from(word)..first_size]
                .iter_mut()
                .step_by(1 << bits)
            {
                *slot = entry;
            }
        } else {
            long[long_count] = LongWord { word, bits, symbol };
            long_count += 1;
        }
    }
    second_tables(table, first_bits, &mut long[..long_count], meaning);
    Ok(())
}

/// The number of words of each length.
fn count(lengths: &[u8]) -> [u16; LONGEST_CODE + 1] {
    let mut counts = [0; LONGEST_CODE + 1];
    for length in lengths {
        counts[usize::from(*length)] += 1;
    }
    counts[0] = 0;
    counts
}

/// Whether the code is complete: every sequence of bits begins with a word.
fn check(counts: &[u16; LONGEST_CODE + 1], may_be_incomplete: bool) -> Result<bool, DeflateError> {
    let mut left = 1i32;
    for count in &counts[1..] {
        left = (left << 1) - i32::from(*count);
        if left < 0 {
            return Err(DeflateError::Code);
        }
    }
    let has_long_words = counts[2..].iter().any(|count| *count > 0);
    match left {
        0 => Ok(true),
        _ if may_be_incomplete && !has_long_words => Ok(false),
        _ => Err(DeflateError::Code),
    }
}

/// A code word that is longer than the first table's index. Its first bit is the lowest.
#[derive(Clone, Copy, Default)]
struct LongWord {
    word: u16,
    bits: usize,
    symbol: usize,
}

/// Places the words longer than `first_bits`. Words with the same first bits share a table.
fn second_tables(table: &mut [Entry], first_bits: u32, long: &mut [LongWord], meaning: &[Entry]) {
    let prefix = |word: u16| usize::from(word) & ((1 << first_bits) - 1);
    long.sort_unstable_by_key(|long| prefix(long.word));
    let mut place = 1usize << first_bits;
    for group in long.chunk_by(|one, other| prefix(one.word) == prefix(other.word)) {
        let longest = group.iter().map(|long| long.bits).max().unwrap_or(0);
        let index_bits = longest as u32 - first_bits;
        let size = 1usize << index_bits;
        table[prefix(group[0].word)] = Entry::second_table(place, first_bits, index_bits);
        for long in group {
            let bits = long.bits - first_bits as usize;
            let entry = meaning[long.symbol].of_word(bits);
            let start = place + usize::from(long.word >> first_bits);
            for slot in table[start..place + size].iter_mut().step_by(1 << bits) {
                *slot = entry;
            }
        }
        place += size;
    }
}

/// The meaning of each symbol in the literal/length alphabet (RFC 1951, 3.2.5). Symbols 286 and 287 never occur in
/// data, but have words in the fixed code.
pub(super) const LITERAL_MEANING: [Entry; 288] = {
    let mut meaning = [Entry::INVALID; 288];
    let mut symbol = 0;
    while symbol < 256 {
        meaning[symbol] = Entry::literal(symbol as u32);
        symbol += 1;
    }
    meaning[256] = Entry::END;
    let mut base = 3;
    symbol = 257;
    while symbol < 285 {
        let extra_bits = if symbol < 265 {
            0
        } else {
            (symbol as u32 - 261) / 4
        };
        meaning[symbol] = Entry::base(base, extra_bits);
        base += 1 << extra_bits;
        symbol += 1;
    }
    meaning[285] = Entry::base(258, 0);
    meaning
};

/// The meaning of each symbol in the distance alphabet. 30 and 31 never occur in data.
pub(super) const DISTANCE_MEANING: [Entry; 32] = {
    let mut meaning = [Entry::INVALID; 32];
    let mut base = 1;
    let mut symbol = 0;
    while symbol < 30 {
        let extra_bits = if symbol < 4 {
            0
        } else {
            (symbol as u32 - 2) / 2
        };
        meaning[symbol] = Entry::base(base, extra_bits);
        base += 1 << extra_bits;
        symbol += 1;
    }
    meaning
};

/// The meaning of each symbol in the code length alphabet: its number.
pub(super) const PRECODE_MEANING: [Entry; 19] = {
    let mut meaning = [Entry::INVALID; 19];
    let mut symbol = 0;
    while symbol < 19 {
        meaning[symbol] = Entry::base(symbol as u32, 0);
        symbol += 1;
    }
    meaning
};

#[cfg(test)]
mod tests {
    use super::*;

    fn built(lengths: &[u8], may_be_incomplete: bool) -> Result<Vec<Entry>, DeflateError> {
        let mut table = vec![Entry::INVALID; LITERAL_TABLE];
        build(
            &mut table,
            LITERAL_BITS,
            lengths,
            &LITERAL_MEANING,
            may_be_incomplete,
        )?;
        Ok(table)
    }

    #[test]
    fn length_and_distance_bases_end_where_the_specification_says() {
        assert_eq!(LITERAL_MEANING[284].value(), 227);
        assert_eq!(LITERAL_MEANING[284].bits(), 5);
        assert_eq!(DISTANCE_MEANING[29].value(), 24577);
        assert_eq!(DISTANCE_MEANING[29].bits(), 13);
    }

    #[test]
    fn words_of_every_length_are_found_through_one_or_two_tables() {
        // 1, 2, 3, … 14, 15, 15: a complete code of the greatest possible depth.
        let mut lengths: Vec<u8> = (1..=15).collect();
        lengths.push(15);
        let table = built(&lengths, false).unwrap();
        let mut code = 0u16;
        for (symbol, length) in lengths.iter().enumerate() {
            let word = usize::from(code.reverse_bits() >> (16 - length));
            let mut entry = table[word & 2047];
            let mut bits = entry.bits();
            if entry.is_second_table() {
                entry = table[entry.second_place(word as u64 >> 11)];
                bits += entry.bits();
            }
            assert_eq!((entry.value() as usize, bits), (symbol, u32::from(*length)));
            code = (code + 1) << (lengths.get(symbol + 1).unwrap_or(&15) - length);
        }
    }

    #[test]
    fn codes_with_too_many_or_too_few_words_are_refused() {
        assert!(built(&[1, 1, 1], true).is_err());
        assert!(built(&[1, 2], true).is_err());
        assert!(built(&[1], false).is_err());
        assert!(built(&[2, 2, 2], true).is_err());
        assert!(built(&[1], true).is_ok());
        assert!(built(&[0, 0], true).is_ok());
    }
}
