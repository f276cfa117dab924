//! The reasons for the steps of a plan.

use std::fmt;

use crate::profile::InvalidationMode;
use crate::pyc::{Level, StaleReason};

/// Why a plan has a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The profile does not list the level.
    Level(Level),
    /// The size or modification time of the source changed.
    Stale(StaleReason),
    /// The hash of the source differs from the one in the cache.
    HashMismatch,
    /// The source does not exist.
    Orphan,
    /// No interpreter of the image reads the file, for this reason.
    Foreign(String),
    /// The file is not valid bytecode, for this reason.
    Malformed(String),
    /// A later member overwrites or deletes the file.
    Hidden {
        /// The layer of that member, counted from 1.
        layer: usize,
    },
    /// A source lies beside the file, and Python imports that.
    Shadowed,
    /// The cache that hides the file goes, so the file would come back.
    Uncovered,
    /// All caches in the directory go.
    EmptiedDirectory,
    /// Everything that the whiteout deletes from the layers below goes.
    UselessWhiteout,
    /// The target of the hardlink goes.
    TargetDropped,
    /// The file is identical to another level of its module, which has this path.
    Identical(Vec<u8>),
    /// The profile requires this invalidation mode.
    Invalidation(InvalidationMode),
}

impl Reason {
    /// The kind of the reason in a word or two. Reports count steps by it.
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
            Self::Shadowed => f.write_str("Python imports the source beside it instead"),
            Self::Uncovered => f.write_str("the cache that hides it is removed"),
            Self::EmptiedDirectory => f.write_str("all caches in it are removed"),
            Self::UselessWhiteout => {
                f.write_str("everything that it deletes from the layers below is removed")
            }
            Self::TargetDropped => f.write_str("the file that it links to is removed"),
            Self::Identical(path) => write!(f, "identical to {}", String::from_utf8_lossy(path)),
            Self::Invalidation(mode) => write!(f, "the profile sets the invalidation mode {mode}"),
        }
    }
}
