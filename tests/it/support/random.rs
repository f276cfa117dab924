//! Pseudorandom numbers, the same in every run.

use std::collections::VecDeque;

pub struct Random {
    state: u64,
    /// Numbers to return first, one for each byte.
    given: VecDeque<u8>,
}

impl Random {
    pub fn new(seed: impl AsRef<[u8]>) -> Self {
        Self {
            state: u64::from(crc32fast::hash(seed.as_ref())) << 1 | 1,
            given: VecDeque::new(),
        }
    }

    /// Numbers made from these bytes, then a fixed sequence. If one byte changes, few numbers change.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self {
            given: bytes.iter().copied().collect(),
            ..Self::new("")
        }
    }

    fn next(&mut self) -> u64 {
        if let Some(byte) = self.given.pop_front() {
            return u64::from(byte) << 8 | u64::from(byte);
        }
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 8) as usize % end
    }

    /// True in one of `cases` cases on average.
    pub fn one_in(&mut self, cases: usize) -> bool {
        self.below(cases) == 0
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}
