//! A blob of a registry that can be read at any position.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::{FallocateFlags, fallocate};

use super::download::Download;
use super::repository::Repository;
use crate::oci::Digest;
use crate::parallel::lock;
use crate::read_at::ReadAt;
use crate::scratch;

/// Most downloads of a blob that wait for their reader to go on.
const MOST_WAITING: usize = 4;

/// A blob that is downloaded as it is read.
///
/// If it spools, it keeps what came in an unnamed temporary file, from the first byte on, and downloads each byte once.
/// Otherwise every reader that goes forward has a download of its own. Bytes that were released are downloaded again.
pub(super) struct RemoteBlob {
    repository: Arc<Repository>,
    digest: Digest,
    size: u64,
    spool: Option<Mutex<Spool>>,
    /// Number of bytes that came into the spool, for those who must not wait for it.
    spooled: AtomicU64,
    /// Number of these bytes that were released.
    released: AtomicU64,
    waiting: Mutex<Vec<Download>>,
}

#[derive(Default)]
struct Spool {
    file: Option<File>,
    download: Option<Download>,
    length: u64,
    /// The end of the bytes that are not in the file any more.
    released: u64,
    buffer: Vec<u8>,
}

impl RemoteBlob {
    pub(super) fn new(
        repository: Arc<Repository>,
        digest: Digest,
        size: u64,
        spools: bool,
    ) -> Self {
        Self {
            repository,
            digest,
            size,
            spool: spools.then(Mutex::default),
            spooled: AtomicU64::new(0),
            released: AtomicU64::new(0),
            waiting: Mutex::default(),
        }
    }

    /// Number of bytes that came into the spool.
    pub(super) fn spooled(&self) -> u64 {
        self.spooled.load(Ordering::Relaxed)
    }

    /// Number of bytes in the spool.
    pub(super) fn held(&self) -> u64 {
        let released = self.released.load(Ordering::Relaxed);
        self.spooled().saturating_sub(released)
    }

    fn download(&self, position: u64) -> Download {
        let digest = self.digest.clone();
        Download::new(Arc::clone(&self.repository), digest, self.size, position)
    }

    /// Reads from the spool, after getting what is missing there.
    fn read_spooled(
        &self,
        spool: &Mutex<Spool>,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        let mut spool = lock(spool);
        if offset < spool.released {
            drop(spool);
            return self.read_directly(buffer, offset);
        }
        while spool.length <= offset {
            if spool.grow(|at| self.download(at))? == 0 {
                return Ok(0);
            }
            self.spooled.store(spool.length, Ordering::Relaxed);
            if spool.length == self.size {
                spool.rest();
            }
        }
        let there = usize::try_from(spool.length - offset).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(there);
        match &spool.file {
            Some(file) => file.read_at(&mut buffer[..wanted], offset),
            None => Ok(0),
        }
    }

    /// Reads from a download that is at this place, or from a new one.
    fn read_directly(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut waiting = lock(&self.waiting);
        let found = waiting.iter().position(|it| it.position() == offset);
        let found = found.map(|index| waiting.remove(index));
        drop(waiting);
        let mut download = found.unwrap_or_else(|| self.download(offset));
        let count = download.read(buffer)?;
        let mut waiting = lock(&self.waiting);
        if waiting.len() == MOST_WAITING {
            waiting.remove(0);
        }
        waiting.push(download);
        Ok(count)
    }
}

/// Bytes to add to a spool at a time.
const SPOOLED_AT_ONCE: usize = 256 << 10;

/// Bytes whose space is freed at a time.
const RELEASED_AT_ONCE: u64 = 1 << 20;

impl Spool {
    /// Adds the next bytes. Returns how many came.
    fn grow(&mut self, begin: impl FnOnce(u64) -> Download) -> io::Result<usize> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(scratch::file()?),
        };
        let length = self.length;
        let download = self.download.get_or_insert_with(|| begin(length));
        self.buffer.resize(SPOOLED_AT_ONCE, 0);
        let count = download.read(&mut self.buffer)?;
        if let Err(error) = file.write_all_at(&self.buffer[..count], length) {
            // The next attempt begins where the file ends.
            self.download = None;
            return Err(scratch::failed(error));
        }
        self.length += count as u64;
        Ok(count)
    }

    /// Frees the space of the bytes before `end`, as far as they are there and the file system can.
    fn release(&mut self, end: u64) {
        let (begin, end) = (self.released, end.min(self.length));
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if let Some(file) = &self.file
            && end > begin
            && fallocate(file, flags, begin, end - begin).is_ok()
        {
            self.released = end;
        }
    }

    /// Frees what only growing needs.
    fn rest(&mut self) {
        (self.download, self.buffer) = (None, Vec::new());
    }
}

impl ReadAt for RemoteBlob {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if buffer.is_empty() || offset >= self.size {
            return Ok(0);
        }
        match &self.spool {
            Some(spool) => self.read_spooled(spool, buffer, offset),
            None => self.read_directly(buffer, offset),
        }
    }

    fn release(&self, end: u64) {
        let end = match end < self.size {
            true => end - end % RELEASED_AT_ONCE,
            false => self.size,
        };
        if let Some(spool) = &self.spool {
            let mut spool = lock(spool);
            spool.release(end);
            self.released.store(spool.released, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::digest::sha256_digest;
    use crate::registry::testing::repository_of_one_blob;

    #[test]
    fn released_bytes_come_again_and_the_others_stay() {
        let bytes: Vec<u8> = (0..3 * RELEASED_AT_ONCE)
            .map(|at| (at / 251) as u8)
            .collect();
        let (repository, asked) = repository_of_one_blob(bytes.clone());
        let size = bytes.len() as u64;
        let blob = RemoteBlob::new(repository, sha256_digest(&bytes), size, true);
        let read = |at: u64| {
            let mut buffer = [0; 1000];
            let count = blob.read_at(&mut buffer, at).unwrap();
            assert!(count > 0 && buffer[..count] == bytes[at as usize..at as usize + count]);
        };
        let end = size - 1000;
        read(end);
        assert_eq!(*lock(&asked), [0]);
        blob.release(RELEASED_AT_ONCE + 1);
        read(RELEASED_AT_ONCE);
        read(end);
        assert_eq!(*lock(&asked), [0]);
        read(RELEASED_AT_ONCE - 10);
        assert_eq!(*lock(&asked), [0, RELEASED_AT_ONCE - 10]);
        // What is gone stays gone, whoever releases less of it.
        lock(blob.spool.as_ref().unwrap()).release(1);
        read(10);
        assert_eq!(lock(&asked).len(), 3);
        blob.release(u64::MAX);
        read(end);
        assert_eq!(lock(&asked).len(), 4);
    }
}
