//! Measures how fast an image's interpreter imports modules, with caches and without. It runs in the sandbox, on two
//! copies of the modules in a private directory. Only one copy gets caches.
//!
//! 1. [`Trees::of`] chooses the files to copy and their places. It reads no file content.
//! 2. [`Workspace::unpack`] writes the files, twice.
//! 3. [`Workspace::add_caches`] compiles what the task imports, at every level.
//! 4. [`Workspace::measure`] starts the interpreter once and measures the time.
//!
//! The image's own caches are not used: the result must not depend on which caches the image has.

mod caches;
mod libraries;
mod measure;
mod trees;
mod workspace;

use std::io;
use std::path::PathBuf;

pub use libraries::{BenchOptions, CannotMeasure, Libraries, Measured, Measurements, Timing};
pub use measure::{Sample, Task};
pub use trees::Trees;
pub use workspace::Workspace;

use crate::compile::ProcessFailure;
use crate::compile::interpreter::InterpreterError;
use crate::layers::LayerError;
use crate::limits::LimitError;

/// Why imports cannot be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// A layer cannot be read.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The interpreter cannot be unpacked.
    #[error(transparent)]
    Interpreter(#[from] InterpreterError),
    /// A file cannot be unpacked, or a cache cannot be written.
    #[error("cannot read or write `{path}`: {source}")]
    File {
        /// Path of the file on this machine.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// The image's modules exceed the limit.
    #[error("the image's modules exceed the limit of {limit}")]
    TooMuch {
        /// The limit, with its unit.
        limit: String,
    },
    /// The interpreter ran for too long.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The interpreter failed at its task.
    #[error("cannot {task}: {failure}")]
    Run {
        /// The task, as in "cannot …".
        task: String,
        /// How the interpreter failed.
        failure: ProcessFailure,
    },
    /// The module has no source, so caches make no difference.
    #[error("module `{module}` has no source file, so a cache makes no difference")]
    NoSource {
        /// The name of the module.
        module: String,
    },
    /// An imported source does not compile.
    #[error("cannot compile `{path}`: {reason}")]
    Compile {
        /// Path of the source.
        path: String,
        /// Why it does not compile.
        reason: String,
    },
}
