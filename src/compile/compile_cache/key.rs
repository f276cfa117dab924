//! The key of an entry in the compile cache.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Part of every key. Change it with the format of entries or code bodies: old entries are then never found, and
/// trimming removes them in time.
const VERSION: &[u8] = b"pycull compile cache 1\n";

/// Identifies a source and everything that affects its compilation, except the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of a source in memory. See [`Key::of_digest`].
    pub fn new(interpreter: &[u8; 32], debug_ranges: bool, path: &[u8], source: &[u8]) -> Self {
        let digest = Sha256::digest(source).into();
        Self::of_digest(interpreter, debug_ranges, path, &digest)
    }

    /// The key of a source with a known SHA-256.
    ///
    /// The answers under a key come from one image's interpreter, and go to every image with the same key. So
    /// `interpreter` must be a digest of every byte that an image contributes to the compilation. If it were only a
    /// version, a hostile image could answer for others.
    ///
    /// `debug_ranges` says whether code has column numbers (`-X no_debug_ranges`). `path` is the absolute path of the
    /// source in the image, which code stores as `co_filename`.
    pub fn of_digest(
        interpreter: &[u8; 32],
        debug_ranges: bool,
        path: &[u8],
        source_sha256: &[u8; 32],
    ) -> Self {
        // All parts but the last have a fixed length, so different parts never give the same bytes.
        let mut hasher = Sha256::new();
        hasher.update(VERSION);
        hasher.update(interpreter);
        hasher.update([u8::from(debug_ranges)]);
        hasher.update(source_sha256);
        hasher.update(path);
        Self(hasher.finalize().into())
    }

    /// The key's bytes.
    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The path of the entry in the cache: a directory of two hexadecimal digits, and a file of the other 62.
    pub(super) fn place(&self) -> String {
        let mut place = String::with_capacity(65);
        for (index, byte) in self.0.iter().enumerate() {
            if index == 1 {
                place.push('/');
            }
            let _ = write!(place, "{byte:02x}");
        }
        place
    }

    /// The key of a file in the directory of keys that begin with `first`. `None` for a name that [`Key::place`] does
    /// not make.
    pub(super) fn from_place(first: u8, file_name: &[u8]) -> Option<Self> {
        if file_name.len() != 62 {
            return None;
        }
        let mut bytes = [0; 32];
        bytes[0] = first;
        for (byte, digits) in bytes[1..].iter_mut().zip(file_name.chunks_exact(2)) {
            *byte = digits
                .iter()
                .try_fold(0, |value, digit| Some(value << 4 | digit_value(*digit)?))?;
        }
        Some(Self(bytes))
    }
}

fn digit_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_in_each_ingredient() {
        let keys = [
            Key::new(&[1; 32], true, b"/a.py", b"x"),
            Key::new(&[2; 32], true, b"/a.py", b"x"),
            Key::new(&[1; 32], false, b"/a.py", b"x"),
            Key::new(&[1; 32], true, b"/b.py", b"x"),
            Key::new(&[1; 32], true, b"/a.py", b"y"),
            Key::new(&[1; 32], true, b"/a.pyx", b""),
            Key::new(&[1; 32], true, b"", b"/a.pyx"),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "{index}");
        }
    }

    #[test]
    fn a_key_of_a_digest_is_the_key_of_its_source() {
        let digest = Sha256::digest(b"x").into();
        assert_eq!(
            Key::of_digest(&[1; 32], true, b"/a.py", &digest),
            Key::new(&[1; 32], true, b"/a.py", b"x")
        );
    }

    #[test]
    fn a_key_stays_the_same_from_run_to_run() {
        // Computed with Python's hashlib. A change of keys would make all existing caches useless.
        let key = Key::new(&[b' '; 32], true, b"/a.py", b"x");
        assert_eq!(
            key.place(),
            "39/ca2c2c9f5293747125a3f6528df7ffacaaab848cebe14f73198517dc041ad4"
        );
    }

    #[test]
    fn a_place_tells_its_key() {
        let key = Key::new(&[1; 32], true, b"/a.py", b"x");
        let place = key.place();
        let (shard, name) = place.split_at(2);
        let first = u8::from_str_radix(shard, 16).unwrap();
        assert_eq!(Key::from_place(first, &name.as_bytes()[1..]), Some(key));
    }

    #[test]
    fn other_names_are_no_places() {
        let name = [b'a'; 62];
        assert!(Key::from_place(0, &name).is_some());
        assert!(Key::from_place(0, &name[1..]).is_none());
        for other in [b'A', b'g', b'.', b'/', 0, 0xff] {
            let mut name = name;
            name[5] = other;
            assert!(Key::from_place(0, &name).is_none(), "{other}");
        }
    }
}
