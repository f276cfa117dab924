//! pycull as its users meet it: the binary, on images made by hand and on real ones, its results
//! judged by other tools.

mod architecture;
mod support;
mod traps;
