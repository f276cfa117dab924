//! Errors of `registries.conf`.

use std::io;
use std::path::PathBuf;

use crate::oci::listing::listed;

/// `registries.conf` could not be read, or does not permit something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistriesConfError {
    /// A file or directory cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file is not TOML, or a value in it is wrong.
    #[error("`{}` is malformed{}: {reason}", path.display(), at_line(*line))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, if it is known.
        line: Option<usize>,
        /// What is wrong there.
        reason: String,
    },
    /// A file has version 1 of the format.
    #[error("`{}` uses version 1 of the format, but pycull reads only version 2", path.display())]
    VersionOne {
        /// The file.
        path: PathBuf,
    },
    /// The registry is blocked.
    #[error("`{}` blocks `{prefix}`, and therefore also `{name}`", path.display())]
    Blocked {
        /// The name without tag and digest.
        name: String,
        /// The prefix of the table that blocks it.
        prefix: String,
        /// The file with that table.
        path: PathBuf,
    },
    /// A short name may mean images in several registries.
    #[error(
        "`{short}` is a short name, and registries.conf lists several registries for it: {}",
        listed(names)
    )]
    SeveralRegistries {
        /// The short name without tag and digest.
        short: String,
        /// The full names that it may mean.
        names: Vec<String>,
    },
}

fn at_line(line: Option<usize>) -> String {
    line.map(|line| format!(" at line {line}"))
        .unwrap_or_default()
}

impl RegistriesConfError {
    /// What the user can do about the error, if there is something.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::VersionOne { .. } => Some(
                "write `[[registry]]` tables instead of `[registries]`: see `man 5 containers-registries.conf`"
                    .to_owned(),
            ),
            Self::Blocked { prefix, path, .. } => {
                let path = path.display();
                Some(format!("to permit it, set `blocked = false` for `{prefix}` in `{path}`"))
            }
            Self::SeveralRegistries { names, .. } => {
                Some(format!("write one of the full names, for example `{}`", names.first()?))
            }
            Self::Read { .. } | Self::Malformed { .. } => None,
        }
    }
}
