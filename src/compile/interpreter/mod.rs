//! The interpreter that compiles. It is the image's own CPython, or one of this machine that the user names. The
//! image's own is found in the merged file system, and unpacked to a private directory with the few files that it needs
//! to start.
//!
//! 1. [`StandardLibrary::at`] and [`candidates`] list the files that may be the interpreter, by name only.
//! 2. [`Closure::of`] finds what a candidate needs to start. It reads files through [`ImageFiles`] in few rounds,
//!    because each round may decompress layers again.
//! 3. [`Closure::unpack`] writes these files and returns a [`Launch`].
//! 4. [`Launch::command`] makes the command that runs it in the sandbox.
//!
//! Only the candidate itself knows its version. The caller asks it, and tries the next one if the version is wrong.

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
