//! Temporary directories that go with the process, also where it is told to end; where it is killed, with the next
//! process that makes one in the same place.

use std::collections::BTreeSet;
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

/// All that there are.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Held by a step that must not end half-way, and for ever once the process is told to end.
static ENDING: Mutex<()> = Mutex::new(());

/// How the directories' names begin in the system's directory for temporary files.
pub const PREFIX: &str = "pycull-scratch-";

/// A private temporary directory. It is removed once this is dropped, or by [`remove_all`].
#[derive(Debug)]
pub struct Scratch {
    // Removed before it is no longer held: fields are dropped in this order.
    directory: TempDir,
    _held: Held,
    /// Says to other processes that this one is there.
    _lock: File,
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
    /// Makes one in the system's directory for temporary files, and removes what killed processes left there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> io::Result<Self> {
        let place = std::env::temp_dir();
        sweep(PREFIX, &place, |_| {});
        Self::within(PREFIX, &place)
    }

    /// Makes one in a directory, with a name that begins so.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn within(prefix: &str, place: &Path) -> io::Result<Self> {
        // Kept locked, for there to be none that `remove_all` does not find.
        let mut held = lock(&HELD);
        loop {
            let directory = Builder::new().prefix(prefix).tempdir_in(place)?;
            let path = directory.path().to_owned();
            // Another process may take it for one that was left, until it is locked.
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

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// The lock of a directory that is still there; `None` where another process has it.
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
        // A file system without locks. `sweep` leaves what lies there.
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

/// Removes directories whose names begin so and whose processes are gone, each after `before`. What cannot be removed
/// is left.
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
        // On a file system without locks nobody can tell whether its process is gone.
        if let Ok(Some(lock)) = taken(&path)
            && lock.try_lock().is_ok()
        {
            before(&path);
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Does a step that [`remove_all`] waits for, or that does not begin any more.
pub fn unbroken<T>(step: impl FnOnce() -> T) -> T {
    let _going_on = lock(&ENDING);
    step()
}

/// Times that a directory is tried to be removed: other threads may still write to it.
const TRIES: usize = 20;

/// Removes all directories, for a process that is about to end without dropping anything.
pub fn remove_all() {
    let ended = lock(&ENDING);
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
