//! The interpreter that compiles: an image's own CPython, found in the merged view and unpacked to a
//! private directory with the few files that it needs to start, or one of this machine that the user names.
//!
//! 1. [`StandardLibrary::at`] and [`candidates`]: which files may be the interpreter? Names alone.
//! 2. [`Closure::of`]: what does a candidate need to start? Reads files through [`ImageFiles`], in few
//!    rounds, for each may decompress layers again.
//! 3. [`Closure::unpack`]: writes that, and gives a [`Launch`].
//! 4. [`Launch::command`]: the command that runs it in the sandbox.
//!
//! That a candidate is of the right version, only it can tell: the caller asks it, and tries the next.

mod closure;
mod command;
mod elf;
mod emulator;
mod error;
mod find;
mod host;
mod image_files;
mod libraries;
#[cfg(test)]
mod samples;
mod search;
mod start_files;
mod unpack;

pub use closure::Closure;
pub use command::Launch;
pub use elf::Architecture;
pub use emulator::Emulator;
pub use error::InterpreterError;
pub use find::{Candidate, StandardLibrary, candidates};
pub use host::host;
pub use image_files::{ImageFiles, ReadMembers};
pub use libraries::Extension;
