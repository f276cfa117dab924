//! What was found, done and measured, as the data of reports. Nothing else knows both.

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

pub use bench::bench;
pub use compare::{compare, no_gate, refusals};
pub use inspect::{Inspected, inspect};
pub use minimize::{Minimized, Written};
pub use verify::verify;
