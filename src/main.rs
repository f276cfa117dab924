//! The `pycull` command.

fn main() {}
