//! The hash of a source in hash-based caches (PEP 552).
//!
//! The hash is `_imp.source_hash`, which calls `_Py_KeyedHash` in Python/pyhash.c. That is SipHash of the source's
//! bytes with the raw magic number as the key, for any hash algorithm of the interpreter's build. The algorithm is
//! SipHash-2-4, and SipHash-1-3 from 3.11 on.

use std::hash::Hasher as _;

use siphasher::sip::{SipHasher13, SipHasher24};

use super::Magic;

/// The first magic number of 3.11.
const FIRST_WITH_SIPHASH_1_3: u16 = 3450;

/// Hashes a source in pieces.
#[derive(Clone, Copy, Debug)]
pub struct SourceHasher(Algorithm);

#[derive(Clone, Copy, Debug)]
enum Algorithm {
    OneThree(SipHasher13),
    TwoFour(SipHasher24),
}

impl SourceHasher {
    /// A hasher for caches with this magic number. Numbers of other interpreters get SipHash-2-4, which PyPy uses.
    pub fn new(magic: Magic) -> SourceHasher {
        let key = u64::from(u32::from_le_bytes(magic.raw()));
        let is_newer = magic.0 >= FIRST_WITH_SIPHASH_1_3 && magic.version().is_some();
        SourceHasher(if is_newer {
            Algorithm::OneThree(SipHasher13::new_with_keys(key, 0))
        } else {
            Algorithm::TwoFour(SipHasher24::new_with_keys(key, 0))
        })
    }

    /// Adds the next piece of the source.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Algorithm::OneThree(hasher) => hasher.write(bytes),
            Algorithm::TwoFour(hasher) => hasher.write(bytes),
        }
    }

    /// The hash of all pieces, in the byte order of a header.
    pub fn finish(&self) -> [u8; 8] {
        match &self.0 {
            Algorithm::OneThree(hasher) => hasher.finish(),
            Algorithm::TwoFour(hasher) => hasher.finish(),
        }
        .to_le_bytes()
    }
}

/// The hash of a whole source.
pub fn source_hash(magic: Magic, source: &[u8]) -> [u8; 8] {
    let mut hasher = SourceHasher::new(magic);
    hasher.update(source);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_hash_is_that_of_the_interpreter() {
        // From importlib.util.source_hash of CPython 3.9, 3.11, 3.13 and 3.14.
        let magics = [3425, 3495, 3571, 3627];
        let every_byte: Vec<u8> = (0..=255).collect();
        let vectors: [(&[u8], [&str; 4]); 5] = [
            (
                b"",
                [
                    "ac0bb7c83e5b1c5f",
                    "738d9cd5d5e87f73",
                    "27ec6d312f93b814",
                    "61f5b7cb653a6aa4",
                ],
            ),
            (
                b"a",
                [
                    "2fe27d18d3549d18",
                    "fa30db0730dcbf07",
                    "4edf51a8923be584",
                    "9713ded0c3324373",
                ],
            ),
            (
                b"print('hi')\n",
                [
                    "49c39bf2a3729d0a",
                    "83863554a5a23697",
                    "883fa7af21d02997",
                    "232e43497bc549cc",
                ],
            ),
            (
                b"x = 1\nx = 1\nx = 1\n",
                [
                    "4e9a6d90c888a104",
                    "3d80b907c316b5db",
                    "3c0adf0344250575",
                    "2060ce49b61e4d9c",
                ],
            ),
            (
                &every_byte,
                [
                    "86a60ab6db5f0c34",
                    "1daf10aba04017be",
                    "58e329a361564cd3",
                    "5efd8676432ef57b",
                ],
            ),
        ];
        for (source, hashes) in vectors {
            for (magic, expected) in magics.into_iter().zip(hashes) {
                let hash = source_hash(Magic(magic), source);
                let text: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(text, expected, "{magic} {source:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_hash_as_their_whole(pieces: Vec<Vec<u8>>, newer: bool) {
            let magic = Magic(if newer { 3627 } else { 3425 });
            let mut hasher = SourceHasher::new(magic);
            pieces.iter().for_each(|piece| hasher.update(piece));
            prop_assert_eq!(hasher.finish(), source_hash(magic, &pieces.concat()));
        }
    }
}
