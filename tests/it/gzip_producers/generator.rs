//! Makes deflate streams that no compressor makes: one block, with matches as far away as possible.

use super::super::support::random::Random;

/// Distance from a match to what it repeats, in bytes: the maximum in deflate.
const FAR: usize = 32 << 10;

/// Length of every match: the maximum in deflate.
const LONG: usize = 258;

/// Noise, and repetitions of the bytes [`FAR`] before.
pub fn far_repeats(length: usize) -> Vec<u8> {
    let mut random = Random::new("far");
    let mut data = random.bytes(FAR);
    while data.len() < length {
        if random.below(3) == 0 {
            data.extend(random.bytes(100));
        } else {
            let from = data.len() - FAR;
            data.extend_from_within(from..from + LONG);
        }
    }
    data.truncate(length);
    data
}

/// A gzip member of a single block with the fixed code (RFC 1951, 3.2.6).
pub fn one_block(data: &[u8]) -> Vec<u8> {
    let mut bits = Bits::default();
    // Last block, fixed codes.
    bits.put(0b011, 3);
    let mut at = 0;
    while at < data.len() {
        let is_repeated = at >= FAR
            && at + LONG <= data.len()
            && data[at..at + LONG] == data[at - FAR..at - FAR + LONG];
        if is_repeated {
            // Length symbol 285, then distance symbol 29 with 13 extra bits.
            bits.put_word(0b1100_0000 + 285 - 280, 8);
            bits.put_word(29, 5);
            bits.put(FAR as u64 - 24577, 13);
            at += LONG;
        } else {
            match u64::from(data[at]) {
                byte @ 0..144 => bits.put_word(0b0011_0000 + byte, 8),
                byte => bits.put_word(0b1_1001_0000 + byte - 144, 9),
            }
            at += 1;
        }
    }
    bits.put_word(0, 7);
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let crc = crc32fast::hash(data).to_le_bytes();
    let length = (data.len() as u32).to_le_bytes();
    [&header[..], &bits.finish(), &crc, &length].concat()
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    bits: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, bits: u64, count: u32) {
        self.bits |= bits << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.bits as u8);
            self.bits >>= 8;
            self.count -= 8;
        }
    }

    /// Writes a code word, highest bit first.
    fn put_word(&mut self, word: u64, count: u32) {
        self.put(word.reverse_bits() >> (64 - count), count);
    }

    fn finish(mut self) -> Vec<u8> {
        self.put(0, (8 - self.count) % 8);
        self.bytes
    }
}
