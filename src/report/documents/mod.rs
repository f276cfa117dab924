//! Turns the report of each command into a [`document`]: lines, tables and notes, in reading order.

pub mod bench;
pub mod compare;
pub mod document;
pub mod inspect;
pub mod minimize;
pub mod verify;
