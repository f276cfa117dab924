//! The compile cache on disk. It keeps what interpreters compiled for one image, for use with the next image.
//!
//! Each source has one file with the known answers of all levels, so looking up a source takes one file:
//!
//! ```text
//! DIRECTORY/3f/90…c1                       62 more digits of the key
//! DIRECTORY/3f/temporary-<random>-<count>  an entry that is being written
//! ```
//!
//! A cache never makes a compilation fail. An entry that cannot be read is a miss, and one that cannot be written is
//! not kept. [`CompileCache::finish`] returns the first error.
//!
//! Any number of threads and processes may use a directory. An entry appears whole, because it is renamed into place.
//! An entry that disappears is a miss. Nothing is flushed to disk: an entry that a power failure damages fails its
//! checksum. An entry counts only if its user wrote it; see [`CacheError::WritableByOthers`].
//!
//! The modification time of a file is the time of its last use. A hit updates it only if it is more than a day off, so
//! most hits write nothing.

mod answers;
mod directory;
mod key;
mod trim;

use std::fs::{File, Metadata};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

use answers::LARGEST_ENTRY;
pub use answers::{Answer, Answers};
pub use key::Key;

const TEMPORARY_PREFIX: &str = "temporary-";
/// Precision of the recorded time of an entry's last use.
const USE_PRECISION: Duration = Duration::from_secs(24 * 3600);

/// A compile cache could not be opened, or could not keep what it was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The directory could not be opened or created.
    #[error("cannot open the compile cache `{}`; set PYCULL_CACHE_DIR to a directory that pycull can create", path.display())]
    Open {
        /// Path of the directory.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// The directory belongs to another user, who could insert code into images.
    #[error(
        "the compile cache `{}` belongs to user {owner}, and pycull runs as user {user}; set PYCULL_CACHE_DIR to another directory",
        path.display()
    )]
    ForeignOwner {
        /// Path of the directory.
        path: PathBuf,
        /// ID of the user that it belongs to.
        owner: u32,
        /// ID of the user that runs this process.
        user: u32,
    },
    /// Other users can write to the directory, and could insert code into images.
    #[error(
        "other users can write to the compile cache `{}` (mode {mode:o}); run `chmod go-w` on it, or set PYCULL_CACHE_DIR to another directory",
        path.display()
    )]
    WritableByOthers {
        /// Path of the directory.
        path: PathBuf,
        /// The directory's permission bits.
        mode: u32,
    },
    /// An entry exists but could not be read.
    #[error("cannot read `{place}` in the compile cache `{}`", path.display())]
    Read {
        /// Path of the directory.
        path: PathBuf,
        /// Path of the entry, relative to the directory.
        place: String,
        /// The I/O error.
        source: io::Error,
    },
    /// An entry could not be written. The next run must compile the same sources again.
    #[error("cannot write to the compile cache `{}`; pycull stopped caching", path.display())]
    Write {
        /// Path of the directory.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// The cache could not be trimmed, and may be larger than its limit.
    #[error("cannot trim the compile cache `{}`", path.display())]
    Trim {
        /// Path of the directory.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
}

/// An open compile cache. Threads share it by reference.
#[derive(Debug)]
pub struct CompileCache {
    /// For messages only: all access goes through the open directory.
    path: PathBuf,
    directory: OwnedFd,
    largest_bytes: u64,
    user: u32,
    /// Part of the names of this handle's temporary files, to tell them from those of other handles.
    random: u64,
    temporary_files: AtomicU64,
    /// Whether an entry was written, or could not be written for lack of space.
    is_to_be_trimmed: AtomicBool,
    failure: OnceLock<CacheError>,
}

/// The result of looking for an entry.
enum Found {
    Nothing,
    /// A file that pycull did not write for this user, or did not write completely.
    Unusable,
    Entry(Vec<u8>),
}

impl CompileCache {
    /// Opens the cache in the directory at `path`, and creates the directory if it does not exist.
    /// [`CompileCache::finish`] trims its files to `largest_bytes`.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if the directory cannot be opened or created, belongs to another user than the process, or lets
    /// other users write to it.
    pub fn open(path: PathBuf, largest_bytes: u64) -> Result<Self, CacheError> {
        let user = rustix::process::geteuid().as_raw();
        Ok(Self {
            directory: directory::open(&path, user)?,
            path,
            largest_bytes,
            user,
            random: RandomState::new().hash_one(0),
            temporary_files: AtomicU64::new(0),
            is_to_be_trimmed: AtomicBool::new(false),
            failure: OnceLock::new(),
        })
    }

    /// Returns the known answers for `key`. There are none if the entry is missing or cannot be read. Removes an entry
    /// that is damaged, or that belongs to another key or user.
    pub fn get(&self, key: &Key) -> Answers {
        let place = key.place();
        match self.find(&place) {
            Ok(Found::Nothing) => return Answers::default(),
            Ok(Found::Entry(entry)) => {
                if let Some(answers) = Answers::decode(key, &entry) {
                    return answers;
                }
            }
            Ok(Found::Unusable) => {}
            Err(source) => {
                let path = self.path.clone();
                self.note(CacheError::Read {
                    path,
                    place,
                    source,
                });
                return Answers::default();
            }
        }
        // If it cannot be removed, it is a miss the next time too.
        let _ = unlinkat(&self.directory, &place, AtFlags::empty());
        Answers::default()
    }

    /// Stores `answers` for `key`, together with the known answers for other levels. New answers replace known ones.
    ///
    /// If two processes add different levels at the same time, one may be lost: a miss the next time. After the first
    /// failure nothing more is stored, so that a full disk is not tried for thousands of entries.
    /// [`CompileCache::finish`] returns that failure.
    pub fn put(&self, key: &Key, answers: &Answers) {
        if self.failure.get().is_some() {
            return;
        }
        let known = self.get(key);
        let all = answers.or(&known);
        if all == known {
            return;
        }
        let Some(entry) = all.encode(key) else {
            return;
        };
        self.is_to_be_trimmed.store(true, Ordering::Relaxed);
        if let Err(source) = self.write(&key.place(), &entry) {
            let path = self.path.clone();
            self.note(CacheError::Write { path, source });
        }
    }

    /// Closes the cache. If something was stored in it, removes the least recently used entries until the rest is
    /// within the limit. Also removes files that killed processes left.
    ///
    /// # Errors
    ///
    /// The first failure since the cache was opened. It deserves only a warning: every answer that the cache gave was
    /// right.
    pub fn finish(self) -> Result<(), CacheError> {
        if self.is_to_be_trimmed.load(Ordering::Relaxed)
            && let Err(source) = trim::trim(
                self.directory.as_fd(),
                self.largest_bytes,
                SystemTime::now(),
            )
        {
            let path = self.path.clone();
            self.note(CacheError::Trim { path, source });
        }
        self.failure.into_inner().map_or(Ok(()), Err)
    }

    fn note(&self, failure: CacheError) {
        // If there is a failure already, it stays.
        let _ = self.failure.set(failure);
    }

    fn find(&self, place: &str) -> io::Result<Found> {
        // Without NONBLOCK, opening a FIFO waits for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mut file: File = match openat(&self.directory, place, flags, Mode::empty()) {
            Ok(file) => file.into(),
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            Err(Errno::LOOP | Errno::NXIO) => return Ok(Found::Unusable),
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        // A directory that was once writable by others may still hold files that they wrote.
        let is_own = metadata.is_file() && metadata.uid() == self.user;
        let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        if !is_own || metadata.len() > LARGEST_ENTRY {
            return Ok(Found::Unusable);
        }
        let mut entry = vec![0; length];
        match file.read_exact(&mut entry) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(Found::Unusable);
            }
            Err(error) => return Err(error),
        }
        renew(&file, &metadata);
        Ok(Found::Entry(entry))
    }

    fn write(&self, place: &str, entry: &[u8]) -> io::Result<()> {
        let shard = place.get(..2).unwrap_or_default();
        let count = self.temporary_files.fetch_add(1, Ordering::Relaxed);
        let temporary = format!("{shard}/{TEMPORARY_PREFIX}{:016x}-{count}", self.random);
        let mut file = match self.create(&temporary) {
            Err(Errno::NOENT) => {
                match mkdirat(&self.directory, shard, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                self.create(&temporary)?
            }
            created => created?,
        };
        let written = file.write_all(entry).and_then(|()| {
            renameat(&self.directory, &temporary, &self.directory, place).map_err(io::Error::from)
        });
        if written.is_err() {
            let _ = unlinkat(&self.directory, &temporary, AtFlags::empty());
        }
        written
    }

    fn create(&self, place: &str) -> Result<File, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        openat(&self.directory, place, flags, Mode::RUSR | Mode::WUSR).map(File::from)
    }
}

/// Marks the entry as recently used. Ignores errors, for example of a read-only disk: they do no harm.
fn renew(file: &File, metadata: &Metadata) {
    let now = SystemTime::now();
    let Ok(used) = metadata.modified() else {
        return;
    };
    let off = now
        .duration_since(used)
        .unwrap_or_else(|future| future.duration());
    if off > USE_PRECISION {
        let _ = file.set_modified(now);
    }
}

#[cfg(test)]
mod tests;
