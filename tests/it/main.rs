//! pycull as its users meet it: the binary, on images made by hand and on real ones, its results
//! judged by other tools.

// A test binary has no outside: `pub` is for the modules beside it.
#![allow(unreachable_pub)]

mod architecture;
mod command_line;
mod support;
mod traps;
