//! Reports as data. The JSON of a report has the same fields.
//!
//! Sizes are in bytes, layers count from 1, and paths have no leading slash. `docs/schema` is the contract.

mod advice;
mod area;
mod bench;
mod compare;
mod inspect;
mod minimize;
mod verify;

use std::collections::BTreeMap;

use serde::Serialize;

pub use advice::*;
pub use area::*;
pub use bench::*;
pub use compare::*;
pub use inspect::*;
pub use minimize::*;
pub use verify::*;

/// A number of files and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Number of files. Every name counts.
    pub files: u64,
    /// Number of bytes. An inode counts once.
    pub bytes: u64,
}

/// Counts by level. The keys `"0"`, `"1"` and `"2"` are always present.
pub type Levels = BTreeMap<String, Count>;

/// Bytes of all caches of a level.
pub(super) fn level_bytes(levels: &Levels, level: &str) -> u64 {
    levels.get(level).map_or(0, |count| count.bytes)
}
