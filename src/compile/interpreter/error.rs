//! Why an interpreter is not available.

use std::io;
use std::path::PathBuf;

use super::elf::Architecture;
use crate::layers::LayerError;
use crate::pyc::Runtime;
use crate::scratch;

/// Why an interpreter is not available.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterpreterError {
    /// CPython does not look for a standard library at this path.
    #[error(
        "`{path}` is not a standard library of CPython {version}: its path must end in `lib/python{version}`"
    )]
    Place {
        /// Directory of the standard library.
        path: String,
        /// Its Python version.
        version: Runtime,
    },
    /// The standard library lacks a file that every interpreter needs.
    #[error(
        "the standard library `{path}` has no `{name}`, which every interpreter needs to start"
    )]
    Incomplete {
        /// Directory of the standard library.
        path: String,
        /// Name of the missing file.
        name: &'static str,
    },
    /// A candidate is not an ELF file, but for example a script.
    #[error("`{path}` is not an ELF program (it may be a script)")]
    NoProgram {
        /// Path of the file in the image.
        path: String,
    },
    /// A file begins like an ELF file but is malformed.
    #[error("`{path}` is a malformed ELF file: {reason}")]
    Elf {
        /// Path of the file in the image.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The interpreter is for another machine.
    #[error("`{path}` is a program for {architecture}, but this machine is {host}")]
    Foreign {
        /// Path of the file in the image.
        path: String,
        /// The architecture of the program.
        architecture: Architecture,
        /// The architecture of this machine.
        host: Architecture,
    },
    /// The image does not have the loader that the program asks for.
    #[error("`{path}` needs the loader `{loader}`, but the image does not have it")]
    Loader {
        /// Path of the program.
        path: String,
        /// Path of the loader.
        loader: String,
    },
    /// The image does not have a library, or not where the loader looks.
    #[error(
        "`{path}` needs the library `{library}`, but the image does not have it in a directory that the loader searches"
    )]
    Library {
        /// Path of the file that needs the library.
        path: String,
        /// Name of the library.
        library: String,
    },
    /// pycull refuses to read a file.
    #[error("cannot use `{path}`: {reason}")]
    File {
        /// Path of the file in the image.
        path: String,
        /// Why pycull does not use it.
        reason: String,
    },
    /// The image makes pycull read more than any interpreter needs.
    #[error("the interpreter's files exceed the limit of {limit}; pycull stopped at `{path}`")]
    TooMuch {
        /// Path of the first file beyond the limit.
        path: String,
        /// The limit, with its unit.
        limit: String,
    },
    /// A layer could not be read.
    #[error(transparent)]
    Read(#[from] LayerError),
    /// A file of the closure could not be written.
    #[error("cannot write `{path}`")]
    Write {
        /// Path of the file or directory.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// The name of the directory has characters that the loader cannot handle.
    #[error("`{path}` cannot be a library directory: its path contains `:`, `;` or `$`")]
    Directory {
        /// Path of the directory.
        path: PathBuf,
    },
    /// The value of `--emulator` is not a usable emulator.
    #[error("cannot use the emulator `{path}`: {reason}")]
    Emulator {
        /// Path of the program.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// The value of `--python` is not a usable interpreter.
    #[error("cannot use `{path}` as Python: {reason}")]
    Host {
        /// Path of the program.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
}

impl InterpreterError {
    /// How to solve the problem, if there is a way.
    pub fn hint(&self) -> Option<String> {
        let python = "use an interpreter of the same version on this machine";
        match self {
            Self::Foreign { architecture, .. } => Some(format!(
                "{python} (`--python PATH`), or an emulator (for example `--emulator qemu-{architecture}-static`)"
            )),
            Self::Directory { .. } => {
                Some("set TMPDIR to a directory without `:`, `;` or `$` in its path".to_owned())
            }
            Self::Write { path, source } => {
                scratch::hint_at(path, source).or_else(|| Some(scratch::advice(source.kind())))
            }
            Self::Host { .. } | Self::Emulator { .. } | Self::Read(_) => None,
            _ => Some(format!("{python}: `--python PATH`")),
        }
    }

    /// Whether another candidate may work although this one does not.
    pub fn is_about_candidate(&self) -> bool {
        matches!(
            self,
            Self::NoProgram { .. }
                | Self::Elf { .. }
                | Self::Foreign { .. }
                | Self::Loader { .. }
                | Self::Library { .. }
                | Self::File { .. }
        )
    }
}

/// A path as text, for messages.
pub(super) fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
