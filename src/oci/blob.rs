//! Blobs: bytes in any storage, and readers that check a digest and a size to the last byte.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Descriptor;
use super::blob_file::BlobFile;
use super::digest::{Digest, DigestHasher};
use crate::read_at::{ReadAt, ReadFrom};

/// What is wrong with a blob.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The image has no blob with this digest.
    #[error("blob {digest} is missing")]
    Missing {
        /// The digest that a descriptor names.
        digest: Digest,
    },
    /// The blob is shorter or longer than its descriptor says.
    #[error(
        "blob {digest} has the wrong size: its descriptor says {expected} bytes, but it has {found}"
    )]
    Size {
        /// The blob's digest.
        digest: Digest,
        /// The size in the descriptor, in bytes.
        expected: u64,
        /// Bytes found. If reading stopped early, the bytes up to there.
        found: u64,
    },
    /// The digest of the bytes differs from the descriptor's.
    #[error("blob {expected} is damaged: its bytes hash to {found}")]
    Digest {
        /// The digest in the descriptor.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// pycull cannot compute the digest's algorithm.
    #[error("digest {digest} uses an algorithm that pycull cannot check")]
    Algorithm {
        /// The digest.
        digest: Digest,
    },
    /// A document is larger than any honest one.
    #[error("{what} {digest} has {size} bytes; the limit is {limit} bytes")]
    TooLarge {
        /// "manifest", "config" or "index".
        what: &'static str,
        /// The document's digest.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// The largest size that pycull accepts, in bytes.
        limit: u64,
    },
    /// Reading failed.
    #[error("cannot read blob {digest}")]
    Io {
        /// The blob's digest.
        digest: Digest,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Bytes in any storage, which several readers can read at any offset at the same time.
#[derive(Clone)]
pub struct Blob {
    bytes: Bytes,
    /// The offset of the blob's first byte in `bytes`.
    offset: u64,
    size: u64,
}

#[derive(Clone)]
enum Bytes {
    /// A file on this machine, with its path if it has one.
    File(BlobFile, Option<PathBuf>),
    Other(Arc<dyn ReadAt>),
}

impl Blob {
    /// A blob that is a whole file of `size` bytes.
    pub fn of_file(file: BlobFile, path: Option<PathBuf>, size: u64) -> Self {
        Self {
            bytes: Bytes::File(file, path),
            offset: 0,
            size,
        }
    }

    /// A blob of `size` bytes that are not in a file.
    pub fn new(bytes: Arc<dyn ReadAt>, size: u64) -> Self {
        Self {
            bytes: Bytes::Other(bytes),
            offset: 0,
            size,
        }
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The part of `size` bytes at `offset`.
    pub fn part(&self, offset: u64, size: u64) -> Self {
        let bytes = match &self.bytes {
            // The path belongs to the whole file.
            Bytes::File(file, _) if (offset, size) != (0, self.size) => {
                Bytes::File(file.clone(), None)
            }
            bytes => bytes.clone(),
        };
        Self {
            bytes,
            offset: self.offset + offset,
            size,
        }
    }

    /// The file whose first byte is the blob's first byte, if any. If both have the same size, the file can be
    /// reflinked.
    pub fn file(&self) -> Option<&BlobFile> {
        match &self.bytes {
            Bytes::File(file, _) if self.offset == 0 => Some(file),
            _ => None,
        }
    }

    /// The path of the file that is exactly this blob, if it has one.
    pub fn path(&self) -> Option<&Path> {
        match &self.bytes {
            Bytes::File(_, path) if self.offset == 0 => path.as_deref(),
            _ => None,
        }
    }

    /// A reader from the start of the blob, independent of other readers.
    pub fn reader(&self) -> BlobReader {
        ReadFrom::new(self.clone(), 0)
    }

    /// Releases the bytes before `end` for all readers. One reader cannot, because a blob may have others.
    pub(crate) fn discard(&self, end: u64) {
        // The bytes around a part are not the blob's.
        if let Bytes::Other(bytes) = &self.bytes
            && self.offset == 0
        {
            bytes.release(end.min(self.size));
        }
    }

    /// Whether `other` is the same range of the same bytes. True only for files that stay open and for other shared
    /// bytes.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_one = match (&self.bytes, &other.bytes) {
            (Bytes::File(one, _), Bytes::File(other, _)) => one.is_same(other),
            (Bytes::Other(one), Bytes::Other(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        is_one && (self.offset, self.size) == (other.offset, other.size)
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.size)
    }
}

impl ReadAt for Blob {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let (buffer, offset) = (&mut buffer[..wanted], self.offset + offset);
        match &self.bytes {
            Bytes::File(file, _) => FileExt::read_at(&**file.get()?, buffer, offset),
            Bytes::Other(bytes) => bytes.read_at(buffer, offset),
        }
    }
}

/// Reads a blob from its first byte.
pub type BlobReader = ReadFrom<Blob>;

/// The blobs of an image by digest. Each can be opened any number of times.
pub trait BlobStore: Send + Sync {
    /// Opens the blob with this digest. Does not check its bytes.
    ///
    /// # Errors
    /// [`BlobError::Missing`] or [`BlobError::Io`].
    fn open(&self, digest: &Digest) -> Result<Blob, BlobError>;
}

/// Opens a blob with a reader that checks its size and digest. The reader fails at the end of the blob at the latest,
/// so read it to its end.
///
/// # Errors
/// [`BlobError`] if the blob is missing, has another size, or has a digest that pycull cannot compute.
pub fn open_verified(
    store: &dyn BlobStore,
    descriptor: &Descriptor,
) -> Result<VerifyingReader<BlobReader>, BlobError> {
    let blob = store.open(descriptor.digest())?;
    if blob.size() != descriptor.size() {
        return Err(BlobError::Size {
            digest: descriptor.digest().clone(),
            expected: descriptor.size(),
            found: blob.size(),
        });
    }
    VerifyingReader::new(
        blob.reader(),
        descriptor.digest().clone(),
        descriptor.size(),
    )
}

/// Passes bytes through and checks them against a digest and a size.
pub struct VerifyingReader<R> {
    inner: R,
    hasher: Option<DigestHasher>,
    /// The digest of all bytes, after the last one was read.
    found: Option<Digest>,
    digest: Digest,
    size: u64,
    seen: u64,
}

impl<R: Read> VerifyingReader<R> {
    /// Checks the bytes of `inner` against `digest` and `size`.
    ///
    /// # Errors
    /// [`BlobError::Algorithm`] if pycull cannot compute the digest.
    pub fn new(inner: R, digest: Digest, size: u64) -> Result<Self, BlobError> {
        let hasher = DigestHasher::for_digest(&digest).ok_or_else(|| BlobError::Algorithm {
            digest: digest.clone(),
        })?;
        Ok(Self {
            inner,
            hasher: Some(hasher),
            found: None,
            digest,
            size,
            seen: 0,
        })
    }

    fn check_end(&mut self) -> Result<(), BlobError> {
        if self.seen != self.size {
            return Err(BlobError::Size {
                digest: self.digest.clone(),
                expected: self.size,
                found: self.seen,
            });
        }
        // Keep the result: reading again after the end gives the same error.
        if let Some(hasher) = self.hasher.take() {
            self.found = Some(hasher.finish());
        }
        if let Some(found) = self.found.clone().filter(|found| *found != self.digest) {
            return Err(BlobError::Digest {
                expected: self.digest.clone(),
                found,
            });
        }
        Ok(())
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        if count == 0 {
            self.check_end().map_err(io::Error::other)?;
            return Ok(0);
        }
        self.seen += count as u64;
        if self.seen > self.size {
            let error = BlobError::Size {
                digest: self.digest.clone(),
                expected: self.size,
                found: self.seen,
            };
            return Err(io::Error::other(error));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        Ok(count)
    }
}

/// Maximum number of bytes in a manifest, index or config. Registries accept manifests of 4 MiB, and no real config
/// comes near this.
pub const DOCUMENT_LIMIT: u64 = 8 << 20;

/// Reads a whole manifest, index or config, and checks it.
///
/// # Errors
/// [`BlobError`]; [`BlobError::TooLarge`] if the document exceeds [`DOCUMENT_LIMIT`].
pub fn read_document(
    store: &dyn BlobStore,
    descriptor: &Descriptor,
    what: &'static str,
) -> Result<Vec<u8>, BlobError> {
    if descriptor.size() > DOCUMENT_LIMIT {
        return Err(BlobError::TooLarge {
            what,
            digest: descriptor.digest().clone(),
            size: descriptor.size(),
            limit: DOCUMENT_LIMIT,
        });
    }
    let mut bytes = Vec::new();
    open_verified(store, descriptor)?
        .read_to_end(&mut bytes)
        .map_err(|error| into_blob_error(error, descriptor.digest()))?;
    Ok(bytes)
}

/// Returns the blob error inside an I/O error of a [`VerifyingReader`], or wraps another I/O error.
pub fn into_blob_error(error: io::Error, digest: &Digest) -> BlobError {
    error
        .downcast::<BlobError>()
        .unwrap_or_else(|source| BlobError::Io {
            digest: digest.clone(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::digest::sha256_digest;

    fn read(bytes: &[u8], digest: Digest, size: u64) -> Result<Vec<u8>, BlobError> {
        let mut out = Vec::new();
        VerifyingReader::new(bytes, digest.clone(), size)?
            .read_to_end(&mut out)
            .map_err(|error| into_blob_error(error, &digest))?;
        Ok(out)
    }

    #[test]
    fn a_blob_that_matches_reads_through() {
        assert_eq!(
            read(b"hello", sha256_digest(b"hello"), 5).unwrap(),
            b"hello"
        );
    }

    #[test]
    fn a_short_a_long_and_a_damaged_blob_are_told_apart() {
        let digest = sha256_digest(b"hello");
        assert!(matches!(
            read(b"hell", digest.clone(), 5),
            Err(BlobError::Size { found: 4, .. })
        ));
        assert!(matches!(
            read(b"hello!", digest.clone(), 5),
            Err(BlobError::Size { found: 6, .. })
        ));
        assert!(matches!(
            read(b"hellO", digest, 5),
            Err(BlobError::Digest { .. })
        ));
    }
}
