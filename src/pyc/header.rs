//! A cache's header: how it is tied to its source.
//!
//! | made by | bytes | after the magic number |
//! |---|---|---|
//! | up to 3.2, and Python 2 | 8 | mtime |
//! | 3.3 to 3.6 | 12 | mtime, source size |
//! | from 3.7 (PEP 552) | 16 | flags, then mtime and source size, or the source's hash |
//!
//! Numbers are 32 bits, little-endian. Python reads them in `_classify_pyc` and `_validate_timestamp_pyc` of
//! Lib/importlib/_bootstrap_external.py.

use thiserror::Error;

use super::{Magic, python_mtime};

/// The first magic number with the source size (3.3a1, bpo-13645).
const FIRST_WITH_SIZE: u16 = 3210;
/// The first magic number with PEP 552 (3.7a4).
const FIRST_WITH_FLAGS: u16 = 3392;

/// How Python decides whether a cache matches its source: the invalidation mode and its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invalidation {
    /// By the source's modification time and size, both modulo 2³².
    Timestamp {
        /// Seconds since 1970, as [`python_mtime`] computes them.
        mtime: u32,
        /// The source's size in bytes; none up to Python 3.2.
        size: Option<u32>,
    },
    /// By the source's hash, computed at every import.
    CheckedHash([u8; 8]),
    /// Without a check: Python uses the cache for any source.
    UncheckedHash([u8; 8]),
}

/// A cache's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The magic number of the interpreter that made the cache.
    pub magic: Magic,
    /// How the cache is tied to its source.
    pub invalidation: Invalidation,
    /// Bytes of the header: 8, 12 or 16. The body follows them.
    pub length: usize,
}

/// Why bytes are not a cache's header. Python ignores such a cache and compiles the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum HeaderError {
    /// The file ends inside the header.
    #[error("header cut short: {length} bytes of {needed}")]
    TooShort {
        /// Bytes in the file.
        length: usize,
        /// Bytes of the whole header, if its start tells; else of the magic number.
        needed: usize,
    },
    /// The four bytes do not end in `\r\n`.
    #[error("not a magic number: {0:02x?}")]
    NotMagic([u8; 4]),
    /// No known version of CPython has this magic number, so the layout is unknown.
    #[error("no known CPython has the magic number {0}")]
    UnknownMagic(Magic),
    /// Flag bits are set that PEP 552 does not define.
    #[error("undefined header flags {0:#x}")]
    Flags(u32),
}

impl Header {
    /// Parses the header at the start of a cache. The magic number determines the layout.
    ///
    /// Sixteen bytes are enough; bytes after the header do not matter.
    ///
    /// # Errors
    /// [`HeaderError`] for every cache that no interpreter known here would use.
    pub fn parse(bytes: &[u8]) -> Result<Header, HeaderError> {
        let raw = field(bytes, 0, 4)?;
        let magic = Magic::parse(&raw).ok_or(HeaderError::NotMagic(raw))?;
        if magic.version().is_none() && !magic.is_python2() {
            return Err(HeaderError::UnknownMagic(magic));
        }
        let length = header_length(magic);
        let number = |at| field(bytes, at, length).map(u32::from_le_bytes);
        let invalidation = match length {
            8 => Invalidation::Timestamp {
                mtime: number(4)?,
                size: None,
            },
            12 => Invalidation::Timestamp {
                mtime: number(4)?,
                size: Some(number(8)?),
            },
            _ => {
                // Read the last field first: a header that is cut short says nothing about flags.
                let last = number(12)?;
                with_flags(number(4)?, number(8)?, last)?
            }
        };
        Ok(Header {
            magic,
            invalidation,
            length,
        })
    }

    /// The header of a timestamp cache. The source's time is in seconds and nanoseconds, its size in bytes.
    pub fn by_time(magic: Magic, (seconds, nanoseconds): (i64, u32), size: u64) -> Header {
        let length = header_length(magic);
        Header {
            magic,
            invalidation: Invalidation::Timestamp {
                mtime: python_mtime(seconds, nanoseconds),
                size: (length > 8).then_some(size as u32),
            },
            length,
        }
    }

    /// The header of a cache with another invalidation mode. `None` if interpreters with this magic number only know
    /// timestamps (PEP 552).
    pub fn by_hash(magic: Magic, invalidation: Invalidation) -> Option<Header> {
        let length = header_length(magic);
        (length == 16).then_some(Header {
            magic,
            invalidation,
            length,
        })
    }

    /// Whether [`freshness`](super::freshness()) needs the source's hash for this cache.
    pub fn needs_source_hash(&self) -> bool {
        matches!(self.invalidation, Invalidation::CheckedHash(_))
    }

    /// The bytes of the header, which [`Header::parse`] reads back.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.magic.raw().to_vec();
        let with_flags = self.length == 16;
        match self.invalidation {
            Invalidation::Timestamp { mtime, size } => {
                if with_flags {
                    bytes.extend([0; 4]);
                }
                bytes.extend(mtime.to_le_bytes());
                bytes.extend(size.into_iter().flat_map(u32::to_le_bytes));
            }
            Invalidation::CheckedHash(hash) => bytes.extend([3, 0, 0, 0].into_iter().chain(hash)),
            Invalidation::UncheckedHash(hash) => bytes.extend([1, 0, 0, 0].into_iter().chain(hash)),
        }
        bytes
    }
}

fn header_length(magic: Magic) -> usize {
    if magic.is_python2() || magic.0 < FIRST_WITH_SIZE {
        8
    } else if magic.0 < FIRST_WITH_FLAGS {
        12
    } else {
        16
    }
}

/// The meaning of a header with flags; `second` and `third` are the words after them.
fn with_flags(flags: u32, second: u32, third: u32) -> Result<Invalidation, HeaderError> {
    if flags & !0b11 != 0 {
        return Err(HeaderError::Flags(flags));
    }
    if flags & 0b01 == 0 {
        // Without the hash bit, Python ignores the check-source bit.
        return Ok(Invalidation::Timestamp {
            mtime: second,
            size: Some(third),
        });
    }
    let mut hash = [0; 8];
    hash[..4].copy_from_slice(&second.to_le_bytes());
    hash[4..].copy_from_slice(&third.to_le_bytes());
    Ok(match flags & 0b10 {
        0 => Invalidation::UncheckedHash(hash),
        _ => Invalidation::CheckedHash(hash),
    })
}

fn field(bytes: &[u8], at: usize, needed: usize) -> Result<[u8; 4], HeaderError> {
    let short = HeaderError::TooShort {
        length: bytes.len(),
        needed,
    };
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
    found.copied().ok_or(short)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(magic: u16, rest: &[u8]) -> Vec<u8> {
        [&Magic(magic).raw()[..], rest].concat()
    }

    #[test]
    fn the_magic_number_decides_the_layout() {
        let rest = [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        for (magic, length) in [
            (62211, 8),
            (3180, 8),
            (3200, 8),
            (3210, 12),
            (3230, 12),
            (3351, 12),
            (3379, 12),
            (3391, 12),
            (3392, 16),
            (3394, 16),
            (3425, 16),
            (3495, 16),
            (3627, 16),
            (3666, 16),
        ] {
            let bytes = header(magic, &rest);
            let parsed = Header::parse(&bytes).unwrap();
            assert_eq!(parsed.length, length, "{magic}");
            let expected = match length {
                8 => Invalidation::Timestamp {
                    mtime: 0,
                    size: None,
                },
                12 => Invalidation::Timestamp {
                    mtime: 0,
                    size: Some(0x0403_0201),
                },
                _ => Invalidation::Timestamp {
                    mtime: 0x0403_0201,
                    size: Some(0x0807_0605),
                },
            };
            assert_eq!(parsed.invalidation, expected, "{magic}");
            for cut in 0..length {
                let needed = if cut < 4 { 4 } else { length };
                let error = HeaderError::TooShort {
                    length: cut,
                    needed,
                };
                assert_eq!(Header::parse(&bytes[..cut]), Err(error), "{magic} {cut}");
            }
        }
    }

    #[test]
    fn the_flags_decide_the_invalidation_mode() {
        let hash = *b"12345678";
        let timestamp = Invalidation::Timestamp {
            mtime: 0x3433_3231,
            size: Some(0x3837_3635),
        };
        for (flags, expected) in [
            (0u32, Ok(timestamp)),
            (1, Ok(Invalidation::UncheckedHash(hash))),
            (2, Ok(timestamp)),
            (3, Ok(Invalidation::CheckedHash(hash))),
            (4, Err(HeaderError::Flags(4))),
            (0x8000_0001, Err(HeaderError::Flags(0x8000_0001))),
        ] {
            let bytes = header(3495, &[&flags.to_le_bytes()[..], &hash].concat());
            let parsed = Header::parse(&bytes);
            assert_eq!(
                parsed.map(|header| header.invalidation),
                expected,
                "{flags}"
            );
            assert_eq!(
                parsed.is_ok_and(|header| header.needs_source_hash()),
                flags == 3
            );
        }
    }

    #[test]
    fn what_is_no_header_is_named() {
        assert_eq!(
            Header::parse(b""),
            Err(HeaderError::TooShort {
                length: 0,
                needed: 4
            })
        );
        assert_eq!(Header::parse(b"#!/u"), Err(HeaderError::NotMagic(*b"#!/u")));
        for magic in [432, 62218, 3187, 3700] {
            let error = HeaderError::UnknownMagic(Magic(magic));
            assert_eq!(Header::parse(&header(magic, &[0; 12])), Err(error));
        }
        assert_eq!(
            HeaderError::UnknownMagic(Magic(432)).to_string(),
            "no known CPython has the magic number 432"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_as_a_header_without_a_panic(bytes: Vec<u8>) {
            let _ = Header::parse(&bytes);
        }

        #[test]
        fn a_header_survives_its_bytes(
            magic in prop::sample::select(vec![3180u16, 3379, 3394, 3495, 3627]),
            flags in prop::sample::select(vec![0u8, 1, 3]),
            rest: [u8; 8],
        ) {
            let bytes = header(magic, &[&[flags, 0, 0, 0][..], &rest].concat());
            let parsed = Header::parse(&bytes).unwrap();
            prop_assert_eq!(parsed.to_bytes(), &bytes[..parsed.length]);
        }
    }
}
