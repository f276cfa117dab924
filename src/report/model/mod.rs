//! What each command has to say, as data. The JSON of a report is this, field by field: sizes are
//! bytes, layers count from 1, paths have no leading slash (docs/schema has the contract).

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

/// Files and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Files, every name counted.
    pub files: u64,
    /// Bytes, one inode counted once.
    pub bytes: u64,
}

/// Counts by level: the keys are `"0"`, `"1"` and `"2"`, all always there.
pub type Levels = BTreeMap<String, Count>;

/// Bytes of a level's caches.
pub(super) fn level_bytes(levels: &Levels, level: &str) -> u64 {
    levels.get(level).map_or(0, |count| count.bytes)
}
