//! How fast an image's interpreter imports, with caches and without: measured in the sandbox, on two copies of
//! its modules in a private directory, of which one gets caches.
//!
//! 1. [`Trees::of`]: which files are copied, and where to. Names alone.
//! 2. [`Workspace::unpack`]: writes them, twice.
//! 3. [`Workspace::add_caches`]: compiles what is imported, at every level.
//! 4. [`Workspace::measure`]: one start of the interpreter, and how long it took.
//!
//! The image's own caches are not used: which ones it has, the measurement is not to depend on.

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
    /// A layer cannot be read again.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The interpreter cannot be unpacked.
    #[error(transparent)]
    Interpreter(#[from] InterpreterError),
    /// A file cannot be unpacked, or a cache written.
    #[error("cannot write or read {path}: {source}")]
    File {
        /// The file on this machine.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is more to unpack than is reasonable.
    #[error("the image's modules are more than {limit}")]
    TooMuch {
        /// What is allowed.
        limit: String,
    },
    /// The interpreter was at work for too long.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The interpreter did not do what it was asked for.
    #[error("cannot {task}: {failure}")]
    Run {
        /// What it was to do.
        task: String,
        /// What it did.
        failure: ProcessFailure,
    },
    /// A module without a source: caches make no difference.
    #[error("the module {module} has no source in a file, so a cache makes no difference")]
    NoSource {
        /// The module.
        module: String,
    },
    /// A source that is imported does not compile.
    #[error("cannot compile {path}: {reason}")]
    Compile {
        /// The source.
        path: String,
        /// Why.
        reason: String,
    },
}
