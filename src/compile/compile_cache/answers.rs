//! The compiler's answers for one source, and the format of a file that stores them.
//!
//! ```text
//! 0   8  MAGIC
//! 8   16 XXH3-128 of everything that follows
//! 24  32 the key
//! 56  27 for each level: kind, 1 byte; offset of its bytes, counted from 83, and their number, 4 bytes each
//! 83     the bytes: code bodies and messages; levels with the same bytes share them
//! ```
//!
//! Numbers are little-endian. The checksum detects damage, not tampering. The code that opens the file checks that
//! nobody else could write to it.

use std::sync::Arc;

use twox_hash::XxHash3_128;

use super::Key;
use crate::pyc::Level;

const MAGIC: &[u8; 8] = b"pycullC1";
/// Offset of the data that the checksum covers.
const CHECKED: usize = 24;
const LEVELS: usize = 56;
const LEVEL_LENGTH: usize = 9;
const DATA: usize = LEVELS + LEVEL_LENGTH * Level::ALL.len();
/// Maximum size of an entry in bytes. It is larger than that of any module, and limits what a damaged file makes a
/// reader allocate.
pub(super) const LARGEST_ENTRY: u64 = 256 << 20;

const NOT_KNOWN: u8 = 0;
const BODY: u8 = 1;
const FAILURE: u8 = 2;

/// The compiler's answer for a source at one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A code object in canonical marshalled form: the bytes after a cache's header.
    Body(Arc<[u8]>),
    /// The source does not compile. This is the compiler's message.
    Failure(Arc<str>),
}

impl Answer {
    fn kind(&self) -> u8 {
        match self {
            Self::Body(_) => BODY,
            Self::Failure(_) => FAILURE,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Body(body) => body,
            Self::Failure(message) => message.as_bytes(),
        }
    }
}

/// The answers for one source, by level. Unknown answers are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers([Option<Answer>; 3]);

impl Answers {
    /// The answer at `level`, if it is known.
    pub fn get(&self, level: Level) -> Option<&Answer> {
        self.0[level.index()].as_ref()
    }

    /// Sets the answer at `level`.
    pub fn set(&mut self, level: Level, answer: Answer) {
        self.0[level.index()] = Some(answer);
    }

    /// Whether all answers are unknown.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// These answers, with missing ones taken from `others`.
    pub(super) fn or(&self, others: &Self) -> Self {
        let mut all = others.clone();
        for (level, answer) in all.0.iter_mut().zip(&self.0) {
            if answer.is_some() {
                level.clone_from(answer);
            }
        }
        all
    }

    /// Encodes an entry for `key`. Returns `None` if it would be larger than [`LARGEST_ENTRY`].
    pub(super) fn encode(&self, key: &Key) -> Option<Vec<u8>> {
        let mut entry = [&MAGIC[..], &[0; 16], key.bytes(), &[0; DATA - LEVELS]].concat();
        for (index, answer) in self.0.iter().enumerate() {
            let Some(answer) = answer else { continue };
            let bytes = answer.bytes();
            let earlier = self.0[..index].iter().position(|earlier| {
                earlier
                    .as_ref()
                    .is_some_and(|earlier| earlier.bytes() == bytes)
            });
            let at = LEVELS + LEVEL_LENGTH * index;
            entry[at] = answer.kind();
            if let Some(earlier) = earlier {
                let from = LEVELS + LEVEL_LENGTH * earlier;
                entry.copy_within(from + 1..from + LEVEL_LENGTH, at + 1);
            } else {
                let begin = u32::try_from(entry.len() - DATA).ok()?;
                let length = u32::try_from(bytes.len()).ok()?;
                entry[at + 1..at + 5].copy_from_slice(&begin.to_le_bytes());
                entry[at + 5..at + 9].copy_from_slice(&length.to_le_bytes());
                entry.extend_from_slice(bytes);
            }
        }
        let checksum = XxHash3_128::oneshot(&entry[CHECKED..]);
        entry[MAGIC.len()..CHECKED].copy_from_slice(&checksum.to_le_bytes());
        (entry.len() as u64 <= LARGEST_ENTRY).then_some(entry)
    }

    /// Decodes an entry for `key`. Returns `None` if it is damaged or belongs to another key.
    pub(super) fn decode(key: &Key, entry: &[u8]) -> Option<Self> {
        let rest = entry.strip_prefix(MAGIC)?;
        let (checksum, checked) = rest.split_first_chunk()?;
        if u128::from_le_bytes(*checksum) != XxHash3_128::oneshot(checked) {
            return None;
        }
        let levels = checked.strip_prefix(key.bytes())?;
        let (levels, data) = levels.split_at_checked(DATA - LEVELS)?;
        let mut answers = Self::default();
        for (index, level) in levels.chunks_exact(LEVEL_LENGTH).enumerate() {
            answers.0[index] = decode_level(level, data, &answers.0[..index])?;
        }
        Some(answers)
    }
}

/// Decodes the answer of one level. The outer `None` is for data that [`Answers::encode`] does not write. A body equal
/// to that of an earlier level is shared.
fn decode_level(level: &[u8], data: &[u8], earlier: &[Option<Answer>]) -> Option<Option<Answer>> {
    let (&kind, range) = level.split_first()?;
    let (begin, length) = range.split_first_chunk()?;
    let begin = usize::try_from(u32::from_le_bytes(*begin)).ok()?;
    let length = usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()?;
    let bytes = data.get(begin..begin.checked_add(length)?)?;
    let answer = match kind {
        NOT_KNOWN => return Some(None),
        BODY => {
            let shared = earlier.iter().flatten().find_map(|answer| match answer {
                Answer::Body(body) if **body == *bytes => Some(Arc::clone(body)),
                _ => None,
            });
            Answer::Body(shared.unwrap_or_else(|| bytes.into()))
        }
        FAILURE => Answer::Failure(std::str::from_utf8(bytes).ok()?.into()),
        _ => return None,
    };
    Some(Some(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new(&[1; 32], true, b"/a.py", b"x")
    }

    fn body(bytes: &[u8]) -> Answer {
        Answer::Body(bytes.into())
    }

    fn answers() -> Answers {
        let mut answers = Answers::default();
        answers.set(Level::Zero, body(b"first"));
        answers.set(Level::Two, Answer::Failure("line 1: déjà vu".into()));
        answers
    }

    #[test]
    fn every_mixture_of_answers_comes_back() {
        let choices = [
            None,
            Some(body(b"one")),
            Some(body(b"two")),
            Some(body(b"")),
            Some(Answer::Failure("one".into())),
        ];
        for zero in &choices {
            for one in &choices {
                for two in &choices {
                    let answers = Answers([zero.clone(), one.clone(), two.clone()]);
                    let entry = answers.encode(&key()).unwrap();
                    assert_eq!(Answers::decode(&key(), &entry), Some(answers));
                }
            }
        }
    }

    #[test]
    fn a_body_of_several_levels_is_stored_and_held_once() {
        let mut answers = Answers::default();
        for level in Level::ALL {
            answers.set(level, body(&[7; 1000]));
        }
        let entry = answers.encode(&key()).unwrap();
        assert_eq!(entry.len(), DATA + 1000);
        let read = Answers::decode(&key(), &entry).unwrap();
        let (Some(Answer::Body(zero)), Some(Answer::Body(two))) =
            (read.get(Level::Zero), read.get(Level::Two))
        else {
            panic!("{read:?}");
        };
        assert!(Arc::ptr_eq(zero, two));
    }

    #[test]
    fn no_changed_byte_goes_unseen() {
        let entry = answers().encode(&key()).unwrap();
        for index in 0..entry.len() {
            for bit in 0..8 {
                let mut damaged = entry.clone();
                damaged[index] ^= 1 << bit;
                assert_eq!(Answers::decode(&key(), &damaged), None, "byte {index}");
            }
        }
    }

    #[test]
    fn a_shorter_or_longer_entry_is_damaged() {
        let mut entry = answers().encode(&key()).unwrap();
        for length in 0..entry.len() {
            assert_eq!(Answers::decode(&key(), &entry[..length]), None, "{length}");
        }
        entry.push(0);
        assert_eq!(Answers::decode(&key(), &entry), None);
    }

    #[test]
    fn an_entry_answers_for_its_own_key_alone() {
        let other = Key::new(&[1; 32], true, b"/b.py", b"x");
        let entry = answers().encode(&other).unwrap();
        assert_eq!(Answers::decode(&key(), &entry), None);
    }

    #[test]
    fn what_is_not_an_answer_is_damage_even_if_the_checksum_is_right() {
        let entry = answers().encode(&key()).unwrap();
        let failure = LEVELS + 2 * LEVEL_LENGTH;
        // An unknown kind, an offset and a length beyond the end, and a message that is not UTF-8.
        for (at, byte) in [
            (LEVELS, 3),
            (LEVELS + 4, 0xff),
            (LEVELS + 8, 0xff),
            (failure + 1, 200),
            (DATA + 13 + 1, 0xff),
        ] {
            let mut entry = entry.clone();
            entry[at] = byte;
            let checksum = XxHash3_128::oneshot(&entry[CHECKED..]);
            entry[8..24].copy_from_slice(&checksum.to_le_bytes());
            assert_eq!(Answers::decode(&key(), &entry), None, "{at}");
        }
    }

    #[test]
    fn answers_add_to_older_ones_and_replace_them() {
        let mut newer = Answers::default();
        newer.set(Level::Zero, body(b"newer"));
        newer.set(Level::One, body(b"one"));
        let both = newer.or(&answers());
        assert_eq!(both.get(Level::Zero), Some(&body(b"newer")));
        assert_eq!(both.get(Level::One), Some(&body(b"one")));
        assert_eq!(both.get(Level::Two), answers().get(Level::Two));
    }
}
