//! Temporary directories that disappear with the process, even if a signal ends it. If the process is killed, the
//! next process that creates one in the same place removes them.

mod unusable;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;
use tempfile::{Builder, TempDir};

use crate::parallel::lock;

pub use unusable::TemporaryError;
pub(crate) use unusable::{advice, failed, failed_copy, file, hint};

/// Paths of this process's scratch directories.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Locked by a step that must not end half-way, and forever once the process is about to end.
static ENDING: Mutex<()> = Mutex::new(());

/// Name prefix of the directories in the system's temporary directory.
pub const PREFIX: &str = "pycull-scratch-";

/// A private temporary directory. Dropping this removes the directory; so does [`remove_all`].
#[derive(Debug)]
pub struct Scratch {
    // Rust drops fields in this order: the directory is gone before its path leaves `HELD`.
    directory: TempDir,
    _held: Held,
    /// Tells other processes that this process still uses the directory.
    _lock: File,
}

/// A directory's entry in [`HELD`].
#[derive(Debug)]
struct Held(PathBuf);

impl Drop for Held {
    fn drop(&mut self) {
        lock(&HELD).remove(&self.0);
    }
}

impl Scratch {
    /// Creates a directory in the system's temporary directory. Removes what killed processes left there first.
    ///
    /// # Errors
    /// [`TemporaryError`] if the system's temporary directory cannot be used.
    pub fn new() -> Result<Self, TemporaryError> {
        Self::at(&std::env::temp_dir()).map_err(TemporaryError::new)
    }

    /// Creates a directory in `place`. Removes what killed processes left there first.
    ///
    /// # Errors
    /// I/O errors that prevent a new directory.
    pub fn at(place: &Path) -> io::Result<Self> {
        sweep(PREFIX, place, |_| {});
        Self::within(PREFIX, place)
    }

    /// Creates a directory in `place` whose name begins with `prefix`.
    ///
    /// # Errors
    /// I/O errors that prevent a new directory.
    pub fn within(prefix: &str, place: &Path) -> io::Result<Self> {
        // Stay locked until the entry is there, so that `remove_all` finds every directory.
        let mut held = lock(&HELD);
        loop {
            let directory = Builder::new().prefix(prefix).tempdir_in(place)?;
            let path = directory.path().to_owned();
            // Until it is locked, another process may take the directory for an abandoned one.
            let Some(lock) = taken(&path)? else {
                continue;
            };
            held.insert(path.clone());
            return Ok(Self {
                directory,
                _held: Held(path),
                _lock: lock,
            });
        }
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// What the user can do about an I/O error on a path, if the path is in a directory that [`Scratch::new`] made, or if the
/// error is about the temporary directory.
pub(crate) fn hint_at(path: &Path, error: &io::Error) -> Option<String> {
    let is_scratch = |part: &OsStr| part.as_bytes().starts_with(PREFIX.as_bytes());
    let is_there = path.iter().any(is_scratch);
    hint(error).or_else(|| is_there.then(|| advice(error.kind())))
}

/// Locks an existing directory. `None` if another process holds the lock or the directory is gone.
fn taken(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(directory) => File::from(directory),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match directory.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        // The file system has no locks. `sweep` leaves the directories on it alone.
        Err(fs::TryLockError::Error(_)) => return Ok(Some(directory)),
    }
    let is_there =
        |found: fs::Metadata| Ok::<_, io::Error>(found.ino() == directory.metadata()?.ino());
    match path.symlink_metadata() {
        Ok(found) => Ok(is_there(found)?.then_some(directory)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes the directories in `place` whose names begin with `prefix` and whose processes are gone. Calls `before`
/// with each first. Leaves what it cannot remove.
pub fn sweep(prefix: &str, place: &Path, before: impl Fn(&Path)) {
    let is_left = |path: &Path| {
        let is_own = |found: fs::Metadata| found.is_dir() && found.uid() == geteuid().as_raw();
        path.symlink_metadata().is_ok_and(is_own)
    };
    for entry in place.read_dir().into_iter().flatten().flatten() {
        let is_named = entry.file_name().as_bytes().starts_with(prefix.as_bytes());
        let path = entry.path();
        if !is_named || !is_left(&path) {
            continue;
        }
        // On a file system without locks, pycull cannot know whether the process is gone.
        if let Ok(Some(lock)) = taken(&path)
            && lock.try_lock().is_ok()
        {
            before(&path);
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Runs a step that [`remove_all`] waits for. After `remove_all` this blocks forever instead.
pub fn unbroken<T>(step: impl FnOnce() -> T) -> T {
    let _going_on = lock(&ENDING);
    step()
}

/// Attempts to remove a directory: other threads may still write to it.
const TRIES: usize = 20;

/// Removes all directories of a process that is about to end without dropping anything.
pub fn remove_all() {
    let ended = lock(&ENDING);
    // Never unlocked again: nothing can create another directory.
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
    std::mem::forget(ended);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(place: &Path) -> Vec<String> {
        let names = place.read_dir().unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_directory_is_held_as_long_as_it_is_there() {
        let place = tempfile::tempdir().unwrap();
        let scratch = Scratch::within("x-", place.path()).unwrap();
        let path = scratch.path().to_owned();
        assert!(path.is_dir() && lock(&HELD).contains(&path));
        drop(scratch);
        assert!(!path.exists() && !lock(&HELD).contains(&path));
        assert!(Scratch::within("x-", &path).is_err());
    }

    #[test]
    fn only_a_path_in_a_scratch_directory_is_hinted_at() {
        let full = io::ErrorKind::StorageFull.into();
        let scratch = Scratch::new().unwrap();
        assert!(hint_at(scratch.path(), &full).unwrap().contains("TMPDIR="));
        assert!(hint_at(&scratch.path().join("a/b"), &full).is_some());
        assert_eq!(hint_at(&std::env::temp_dir(), &full), None);
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path();
        let living = Scratch::within("x-", place).unwrap();
        fs::create_dir_all(place.join("x-left/below")).unwrap();
        fs::create_dir(place.join("other")).unwrap();
        fs::write(place.join("x-file"), "").unwrap();
        std::os::unix::fs::symlink("other", place.join("x-link")).unwrap();
        sweep("x-", place, |left| {
            assert_eq!(left, place.join("x-left"));
        });
        let mut left = names(place);
        left.sort();
        let name = living.path().file_name().unwrap().to_str().unwrap();
        let mut expected = ["other", name, "x-file", "x-link"];
        expected.sort_unstable();
        assert_eq!(left, expected);
    }
}
