//! Temporary directories that go with the process, also where it is told to end.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::{Builder, TempDir};

use crate::parallel::lock;

/// All that there are.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A private temporary directory. It is removed once this is dropped, or by [`remove_all`].
#[derive(Debug)]
pub struct Scratch {
    // Removed before it is no longer held: fields are dropped in this order.
    directory: TempDir,
    _held: Held,
}

/// The entry of a directory in [`HELD`].
#[derive(Debug)]
struct Held(PathBuf);

impl Drop for Held {
    fn drop(&mut self) {
        lock(&HELD).remove(&self.0);
    }
}

impl Scratch {
    /// Makes one whose name begins so: in a directory, or in the system's for temporary files.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(prefix: &str, directory: Option<&Path>) -> io::Result<Self> {
        let mut builder = Builder::new();
        builder.prefix(prefix);
        // Kept locked, for there to be none that `remove_all` does not find.
        let mut held = lock(&HELD);
        let directory = match directory {
            Some(directory) => builder.tempdir_in(directory),
            None => builder.tempdir(),
        }?;
        let path = directory.path().to_owned();
        held.insert(path.clone());
        Ok(Self {
            directory,
            _held: Held(path),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Times that a directory is tried to be removed: other threads may still write to it.
const TRIES: usize = 20;

/// Removes all directories, for a process that is about to end without dropping anything.
pub fn remove_all() {
    // Kept locked: none is made any more.
    let held = lock(&HELD);
    for directory in held.iter() {
        for _ in 0..TRIES {
            match fs::remove_dir_all(directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {}
                _ => break,
            }
        }
    }
    std::mem::forget(held);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_held_as_long_as_it_is_there() {
        let place = tempfile::tempdir().unwrap();
        let scratch = Scratch::new("pycull-", Some(place.path())).unwrap();
        let path = scratch.path().to_owned();
        assert!(path.is_dir() && lock(&HELD).contains(&path));
        drop(scratch);
        assert!(!path.exists() && !lock(&HELD).contains(&path));
        assert!(Scratch::new("pycull-", Some(&path)).is_err());
    }
}
