//! Variables of the environment.

use std::env;
use std::path::PathBuf;

/// A text; `None` if the variable is empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// A path; `None` if the variable is empty.
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    let value = env::var_os(name).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}
