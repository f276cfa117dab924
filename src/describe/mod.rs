//! Turns results into the data of reports. No other module knows both.

mod bench;
mod compare;
mod inspect;
mod levels;
mod minimize;
mod notes;
mod summary;
mod treemap;
mod verify;
mod warnings;

pub(crate) use bench::bench;
pub(crate) use compare::{compare, no_gate, refusals};
pub(crate) use inspect::{Inspected, inspect};
pub(crate) use minimize::Minimized;
pub(crate) use verify::verify;
pub(crate) use warnings::Written;
