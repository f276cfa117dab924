//! Why an interpreter cannot be had.

use std::io;
use std::path::PathBuf;

use super::elf::Architecture;
use crate::layers::LayerError;
use crate::pyc::CpythonVersion;

/// Why an interpreter cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterpreterError {
    /// A standard library where no CPython looks for it.
    #[error(
        "`{path}` is not where CPython {version} has its standard library: it ends in `lib/python{version}`"
    )]
    Place {
        /// The directory.
        path: String,
        /// The version.
        version: CpythonVersion,
    },
    /// The standard library lacks what an interpreter knows it by.
    #[error("the standard library `{path}` has no `{name}`, without which no interpreter starts")]
    Incomplete {
        /// The directory.
        path: String,
        /// What is missing.
        name: &'static str,
    },
    /// A candidate that is no ELF file: a script that runs another program.
    #[error("`{path}` is not a program, but a script or similar")]
    NoProgram {
        /// The file in the image.
        path: String,
    },
    /// A file that says it is ELF, and is not.
    #[error("`{path}` is a malformed ELF file: {reason}")]
    Elf {
        /// The file in the image.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The interpreter is for another machine.
    #[error("`{path}` is a program for {architecture}, and this machine is {host}")]
    Foreign {
        /// The file in the image.
        path: String,
        /// What it is for.
        architecture: Architecture,
        /// What pycull runs on.
        host: Architecture,
    },
    /// The loader that the program asks for is not in the image.
    #[error("`{path}` asks for the loader `{loader}`, which the image does not have")]
    Loader {
        /// The program.
        path: String,
        /// The loader.
        loader: String,
    },
    /// A library is not in the image, or not where the loader looks.
    #[error(
        "`{path}` needs the library `{library}`, which the image does not have where its loader looks"
    )]
    Library {
        /// The file that needs it.
        path: String,
        /// Its name.
        library: String,
    },
    /// A file that will not be read.
    #[error("`{path}` cannot be used: {reason}")]
    File {
        /// The file in the image.
        path: String,
        /// Why.
        reason: String,
    },
    /// The image would have more read than any interpreter needs.
    #[error("`{path}` is one too many: with it an interpreter needs more than {limit}")]
    TooMuch {
        /// The file in the image at which it was too much.
        path: String,
        /// What there is at most.
        limit: String,
    },
    /// A layer could not be read again.
    #[error(transparent)]
    Read(#[from] LayerError),
    /// The closure could not be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The loader cannot be told of a directory with such a name.
    #[error("`{path}` cannot be a directory of libraries: it has one of `:;$` in it")]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// What `--emulator` names is no emulator.
    #[error("the emulator `{path}` cannot be used: {reason}")]
    Emulator {
        /// The program.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What `--python` names is no interpreter that can be used.
    #[error("`{path}` cannot be used as Python: {reason}")]
    Host {
        /// The program.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl InterpreterError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let python = "use `--python PATH` with an interpreter of the same version on this machine";
        match self {
            Self::Foreign { architecture, .. } => Some(format!(
                "{python}, or `--emulator` (for example `--emulator qemu-{architecture}-static`)"
            )),
            Self::Directory { .. } => {
                Some("set TMPDIR to a directory with a plainer name".to_owned())
            }
            Self::Write { .. } => Some("set TMPDIR to a directory on a disk with room".to_owned()),
            Self::Host { .. } | Self::Emulator { .. } | Self::Read(_) => None,
            _ => Some(python.to_owned()),
        }
    }

    /// Whether another candidate may do where this one does not.
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

/// A path in a message.
pub(super) fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
