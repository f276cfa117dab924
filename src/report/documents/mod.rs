//! In what order each command says what it has to say: a [`document`] of lines, tables and notes for each report.

pub mod bench;
pub mod compare;
pub mod document;
pub mod inspect;
pub mod minimize;
pub mod verify;
