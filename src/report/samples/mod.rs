//! Sample reports for the tests of the renderers.

mod bench;
mod compare;
mod inspect;
mod minimize;
mod verify;

pub(super) use bench::bench;
pub(super) use compare::{compare, compare_several, compare_several_sizes, compare_sizes};
pub(super) use inspect::{finding, inspect, inspect_advised, inspect_without_python};
pub(super) use minimize::{minimize, minimize_dry_run, minimize_unchanged};
pub(super) use verify::{verify_different, verify_same};

use super::model::*;

fn count(files: u64, bytes: u64) -> Count {
    Count { files, bytes }
}

fn levels(counts: [Count; 3]) -> Levels {
    (0..3).map(|level| level.to_string()).zip(counts).collect()
}

fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}
