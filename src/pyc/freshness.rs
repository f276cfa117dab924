//! Whether Python would use a cache, given its source.
//!
//! Python compares for equality, never for older or newer. A source restored to an earlier time is as stale as an
//! edited one. See `SourceLoader.get_code` in Lib/importlib/_bootstrap_external.py.

use std::fmt;

use super::{Header, Invalidation};

/// The modification time that Python records for a source and compares: `int(st_mtime)` modulo 2³².
///
/// `st_mtime` is a double, so nanoseconds from 999 999 881 on can round to the next second. `int` truncates toward
/// zero, so half a second before 1970 is 0.
pub fn python_mtime(seconds: i64, nanoseconds: u32) -> u32 {
    let mtime = seconds as f64 + 1e-9 * f64::from(nanoseconds);
    // The cast to i64 truncates toward zero, the cast to u32 takes the low 32 bits.
    mtime as i64 as u32
}

/// What Python would do with a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// Python uses the cache: the source is the compiled one.
    Fresh,
    /// Python ignores the cache and compiles the source, at every start if it cannot write.
    Stale(StaleReason),
    /// Python ignores the cache, because the source's hash is not the one in the cache.
    HashMismatch,
    /// Python uses the cache without checking the source (unchecked-hash).
    Unchecked,
    /// Unknown: [`Header::needs_source_hash`] is true and the caller gave no hash.
    HashNeeded,
}

/// The first difference between a source and the record in its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StaleReason {
    /// The modification times differ; both are seconds modulo 2³².
    Mtime {
        /// The source's time, from [`python_mtime`].
        source: u32,
        /// The time in the cache.
        cache: u32,
    },
    /// The sizes differ; both are bytes modulo 2³².
    Size {
        /// The source's size.
        source: u32,
        /// The size in the cache.
        cache: u32,
    },
}

impl fmt::Display for StaleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, source, cache) = match self {
            StaleReason::Mtime { source, cache } => ("mtime", source, cache),
            StaleReason::Size { source, cache } => ("size", source, cache),
        };
        write!(f, "source {what} {source}, cache says {cache}")
    }
}

/// Judges a cache by its header and its source.
///
/// `source_mtime` is seconds since 1970 and nanoseconds after them; `source_size` is bytes. `source_hash` is
/// [`source_hash`](super::source_hash()) with the header's magic number. Only checked-hash caches need it
/// ([`Header::needs_source_hash`]), so only their sources must be read.
///
/// This does not check that the header belongs to the interpreter in question.
pub fn freshness(
    header: &Header,
    source_mtime: (i64, u32),
    source_size: u64,
    source_hash: Option<[u8; 8]>,
) -> Freshness {
    match header.invalidation {
        Invalidation::Timestamp { mtime, size } => {
            let source = python_mtime(source_mtime.0, source_mtime.1);
            if source != mtime {
                return Freshness::Stale(StaleReason::Mtime {
                    source,
                    cache: mtime,
                });
            }
            let source = source_size as u32;
            match size {
                Some(cache) if cache != source => {
                    Freshness::Stale(StaleReason::Size { source, cache })
                }
                _ => Freshness::Fresh,
            }
        }
        Invalidation::CheckedHash(cache) => match source_hash {
            None => Freshness::HashNeeded,
            Some(source) if source == cache => Freshness::Fresh,
            Some(_) => Freshness::HashMismatch,
        },
        Invalidation::UncheckedHash(_) => Freshness::Unchecked,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pyc::Magic;

    fn header(invalidation: Invalidation) -> Header {
        Header {
            magic: Magic(3495),
            invalidation,
            length: 16,
        }
    }

    #[test]
    fn times_round_as_pythons_double_does() {
        let table = [
            ((1_600_000_000, 0), 1_600_000_000),
            ((1_600_000_000, 999_999_880), 1_600_000_000),
            ((1_600_000_000, 999_999_881), 1_600_000_001),
            ((1_600_000_000, 999_999_999), 1_600_000_001),
            ((0, 999_999_999), 0),
            // Half a second before 1970: int(-0.5) is 0.
            ((-1, 500_000_000), 0),
            ((-1, 0), u32::MAX),
            ((-2, 500_000_000), u32::MAX),
            ((1 << 32, 0), 0),
            (((1 << 32) + 5, 0), 5),
        ];
        for ((seconds, nanoseconds), expected) in table {
            assert_eq!(
                python_mtime(seconds, nanoseconds),
                expected,
                "{seconds} {nanoseconds}"
            );
        }
    }

    #[test]
    fn a_timestamp_cache_is_fresh_only_if_time_and_size_are_equal() {
        let header = header(Invalidation::Timestamp {
            mtime: 1_599_999_999,
            size: Some(12),
        });
        let judge = |seconds, size| freshness(&header, (seconds, 0), size, None);
        assert_eq!(judge(1_599_999_999, 12), Freshness::Fresh);
        assert_eq!(judge(1_599_999_999, (1 << 32) + 12), Freshness::Fresh);
        let reason = StaleReason::Mtime {
            source: 1_600_000_000,
            cache: 1_599_999_999,
        };
        assert_eq!(judge(1_600_000_000, 12), Freshness::Stale(reason));
        assert_eq!(
            reason.to_string(),
            "source mtime 1600000000, cache says 1599999999"
        );
        let reason = StaleReason::Size {
            source: 13,
            cache: 12,
        };
        assert_eq!(judge(1_599_999_999, 13), Freshness::Stale(reason));
        assert_eq!(reason.to_string(), "source size 13, cache says 12");
        assert!(matches!(
            judge(1, 12),
            Freshness::Stale(StaleReason::Mtime { source: 1, .. })
        ));
    }

    #[test]
    fn an_old_header_without_a_size_is_judged_by_its_time() {
        let header = header(Invalidation::Timestamp {
            mtime: 7,
            size: None,
        });
        assert_eq!(freshness(&header, (7, 0), 1 << 40, None), Freshness::Fresh);
    }

    #[test]
    fn a_checked_hash_asks_for_the_source_hash() {
        let header = header(Invalidation::CheckedHash([1; 8]));
        assert!(header.needs_source_hash());
        let judge = |hash| freshness(&header, (0, 0), 0, hash);
        assert_eq!(judge(None), Freshness::HashNeeded);
        assert_eq!(judge(Some([1; 8])), Freshness::Fresh);
        assert_eq!(judge(Some([2; 8])), Freshness::HashMismatch);
    }

    #[test]
    fn an_unchecked_hash_is_used_whatever_the_source_is() {
        let header = header(Invalidation::UncheckedHash([1; 8]));
        assert!(!header.needs_source_hash());
        assert_eq!(
            freshness(&header, (0, 0), 0, Some([2; 8])),
            Freshness::Unchecked
        );
    }

    proptest! {
        #[test]
        fn any_time_is_reduced_without_a_panic(seconds: i64, nanoseconds: u32) {
            python_mtime(seconds, nanoseconds);
        }
    }
}
