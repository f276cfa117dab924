//! A file that one thread writes and another reads at the same time.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::digest::{Digest, DigestHasher};
use crate::parallel::lock;

/// A writer for `file`, which must be empty, and a file for readers. With `hashes`, the writer computes the digest of its
/// bytes.
pub(super) fn growing(file: File, hashes: bool) -> (GrowingWriter, GrowingFile) {
    let shared = Arc::new(Shared {
        file,
        progress: Mutex::default(),
        changed: Condvar::new(),
    });
    let writer = GrowingWriter {
        shared: Arc::clone(&shared),
        hasher: hashes.then(DigestHasher::sha256),
    };
    (writer, GrowingFile(shared))
}

/// A file that grows.
pub(super) struct GrowingFile(Arc<Shared>);

impl GrowingFile {
    /// A reader from the start of the file.
    pub(super) fn reader(&self) -> GrowingReader {
        let shared = Arc::clone(&self.0);
        GrowingReader {
            shared,
            position: 0,
        }
    }
}

struct Shared {
    file: File,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Default)]
struct Progress {
    written: u64,
    is_over: bool,
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }
}

/// Writes the file. Dropping the writer ends the file.
pub(super) struct GrowingWriter {
    shared: Arc<Shared>,
    hasher: Option<DigestHasher>,
}

/// A file that was written.
pub(super) struct WrittenFile {
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// The SHA-256 digest of the bytes, if the writer was to compute it.
    pub(super) digest: Option<Digest>,
}

impl GrowingWriter {
    /// Ends the file, and syncs it to disk.
    pub(super) fn finish(mut self) -> io::Result<WrittenFile> {
        let shared = Arc::clone(&self.shared);
        let hasher = self.hasher.take();
        drop(self);
        shared.file.sync_data()?;
        Ok(WrittenFile {
            bytes: shared.progress().written,
            digest: hasher.map(DigestHasher::finish),
        })
    }
}

impl Write for GrowingWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = (&self.shared.file).write(buffer)?;
        self.shared.progress().written += count as u64;
        self.shared.changed.notify_all();
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.shared.file).flush()
    }
}

impl Drop for GrowingWriter {
    fn drop(&mut self) {
        self.shared.progress().is_over = true;
        self.shared.changed.notify_all();
    }
}

/// Reads the file from its start. At the current end it waits for more bytes.
pub(super) struct GrowingReader {
    shared: Arc<Shared>,
    position: u64,
}

impl GrowingReader {
    /// The number of bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }
}

impl Read for GrowingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut progress = self.shared.progress();
        while progress.written <= self.position && !progress.is_over {
            progress = self
                .shared
                .changed
                .wait(progress)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let available = match progress.is_over {
            // Read to the end of the file itself, to notice bytes that somebody else appended.
            true => usize::MAX,
            false => usize::try_from(progress.written - self.position).unwrap_or(usize::MAX),
        };
        drop(progress);
        let wanted = buffer.len().min(available);
        let count = self
            .shared
            .file
            .read_at(&mut buffer[..wanted], self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
