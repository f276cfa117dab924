//! Why something is done.

use std::fmt;

use crate::profile::InvalidationMode;
use crate::pyc::{Level, StaleReason};

/// Why a step is in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The profile does not list the level.
    Level(Level),
    /// The source changed.
    Stale(StaleReason),
    /// The source's hash is another.
    HashMismatch,
    /// There is no source.
    Orphan,
    /// No interpreter of the image reads it.
    Foreign(String),
    /// It is no bytecode.
    Malformed(String),
    /// A later member overwrites or deletes it.
    Hidden {
        /// The layer of that member, counted from 1.
        layer: usize,
    },
    /// A source lies beside it, which Python takes instead.
    Shadowed,
    /// The cache that hides it goes, and it would come back.
    Uncovered,
    /// All caches in the directory went.
    EmptiedDirectory,
    /// All that the whiteout deleted from the layers below went.
    UselessWhiteout,
    /// The file that it links to went.
    TargetDropped,
    /// It is the same as another level of its module, at this path.
    Identical(Vec<u8>),
    /// It is to be tied to its source in this way.
    Invalidation(InvalidationMode),
}

impl Reason {
    /// A word for the kind of reason, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Level(Level::Zero) => "level 0",
            Self::Level(Level::One) => "level 1",
            Self::Level(Level::Two) => "level 2",
            Self::Stale(_) => "stale",
            Self::HashMismatch => "hash-mismatch",
            Self::Orphan => "orphan",
            Self::Foreign(_) => "foreign",
            Self::Malformed(_) => "malformed",
            Self::Hidden { .. } | Self::Uncovered => "hidden",
            Self::Shadowed => "shadowed",
            Self::EmptiedDirectory => "emptied directory",
            Self::UselessWhiteout => "useless whiteout",
            Self::TargetDropped => "link target dropped",
            Self::Identical(_) => "identical level",
            Self::Invalidation(_) => "invalidation",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(level) => write!(f, "the profile does not list level {level}"),
            Self::Stale(reason) => write!(f, "stale: {reason}"),
            Self::HashMismatch => f.write_str("its source has another hash"),
            Self::Orphan => f.write_str("it has no source"),
            Self::Foreign(reason) => write!(f, "foreign: {reason}"),
            Self::Malformed(reason) => write!(f, "malformed: {reason}"),
            Self::Hidden { layer } => write!(f, "overwritten or deleted in layer {layer}"),
            Self::Shadowed => f.write_str("the source beside it is imported instead"),
            Self::Uncovered => f.write_str("the cache that hides it goes"),
            Self::EmptiedDirectory => f.write_str("all caches in it went"),
            Self::UselessWhiteout => f.write_str("what it deletes from the layers below went"),
            Self::TargetDropped => f.write_str("the file that it links to went"),
            Self::Identical(path) => write!(f, "identical to {}", String::from_utf8_lossy(path)),
            Self::Invalidation(mode) => write!(f, "the profile ties caches to sources by {mode}"),
        }
    }
}
