//! The compile cache on disk: what interpreters made of sources, kept from one image for the next.
//!
//! There is one file for each source, with the answers of all levels that are known, so that an
//! image's sources take one file each to look up:
//!
//! ```text
//! DIRECTORY/3f/90…c1                       62 more digits of the key
//! DIRECTORY/3f/temporary-<random>-<count>  an entry that is being written
//! ```
//!
//! A cache never fails a compilation. What cannot be read is a miss, what cannot be written is not
//! kept, and [`CompileCache::finish`] tells the first thing that went wrong.
//!
//! Any number of threads and processes may use a directory: an entry appears whole, by being renamed,
//! and one that vanishes is a miss. Nothing is flushed to the medium: what a power failure tears fails
//! its checksum. An entry is only believed if its user wrote it; see [`CacheError::WritableByOthers`].
//!
//! The time of a file's modification is when it was last used. A hit renews it only where it is more
//! than a day off, so most hits write nothing.

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
/// How far off the time of an entry's last use may be.
const USE_PRECISION: Duration = Duration::from_secs(24 * 3600);

/// A compile cache could not be opened, or did not keep what it was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The directory is not there and could not be made, or could not be opened.
    #[error("cannot open the compile cache `{}`; name a directory that can be made", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory is another user's, who could put any code in images.
    #[error(
        "the compile cache `{}` belongs to user {owner}, not to {user} who runs this; name another directory",
        path.display()
    )]
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// The number of the user that it belongs to.
        owner: u32,
        /// The number of the user that runs this process.
        user: u32,
    },
    /// Others may write to the directory, and so could put any code in images.
    #[error(
        "others can write to the compile cache `{}` (mode {mode:o}); take that right from them, or name another directory",
        path.display()
    )]
    WritableByOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// An entry is there and could not be read.
    #[error("cannot read `{place}` in the compile cache `{}`", path.display())]
    Read {
        /// The directory.
        path: PathBuf,
        /// The entry, a path in it.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// An entry could not be written. The same compilations will be made again the next time.
    #[error("cannot write to the compile cache `{}`, which kept nothing more", path.display())]
    Write {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The cache could not be made smaller, and may be larger than it should be.
    #[error("cannot trim the compile cache `{}`", path.display())]
    Trim {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A compile cache, held open. Threads share it by reference.
#[derive(Debug)]
pub struct CompileCache {
    /// For messages alone: what is used is what is held open.
    path: PathBuf,
    directory: OwnedFd,
    largest_bytes: u64,
    user: u32,
    /// What the temporary files of this handle, and of no other, have in their names.
    random: u64,
    temporary_files: AtomicU64,
    /// Whether an entry was written, or not for want of space.
    is_to_be_trimmed: AtomicBool,
    failure: OnceLock<CacheError>,
}

/// What is at the place of an entry.
enum Found {
    Nothing,
    /// What this user's pycull has not written, or not whole.
    Unusable,
    Entry(Vec<u8>),
}

impl CompileCache {
    /// Opens the cache in the directory at `path`, which is made where there is none. Its files take
    /// `largest_bytes` at most once [`CompileCache::finish`] has trimmed it.
    ///
    /// # Errors
    ///
    /// Where the directory cannot be opened or made, belongs to another user than the process runs
    /// as, or lets others write to it.
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

    /// The answers that are known for `key`; none where its entry is missing or cannot be read. An
    /// entry that is damaged, another key's or another user's is removed.
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
        // Where it cannot be removed, it is a miss the next time too.
        let _ = unlinkat(&self.directory, &place, AtFlags::empty());
        Answers::default()
    }

    /// Keeps `answers` for `key`, with those that are known for other levels. Where answers differ
    /// from those known, the new ones count.
    ///
    /// Two that add different levels at once may lose one's: a miss the next time. After the first
    /// failure, which [`CompileCache::finish`] tells, nothing more is kept; a full disk is not tried
    /// for each of thousands of entries.
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

    /// Ends the work with the cache. Where something was put in it, the entries that were not used for
    /// longest are removed until the rest is within the bound, and so is what killed processes left.
    ///
    /// # Errors
    ///
    /// The first thing that went wrong since the cache was opened. It is worth a warning and no more:
    /// every answer that the cache gave was right.
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
        // Where there is one already, the first is kept.
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
        // A directory that was open to others, and is not any more, may hold what they wrote.
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

/// Tells trimming that the entry is in use. On a medium that is read-only this fails, and no harm done.
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
