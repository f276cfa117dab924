//! Compiling sources to bytecode with an image's own interpreter, which is not to be trusted.

pub mod sandbox;
