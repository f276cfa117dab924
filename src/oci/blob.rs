//! Blobs: bytes wherever they are, and reading them with digest and size checked to the last byte.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Descriptor;
use super::blob_file::BlobFile;
use super::digest::{Digest, DigestHasher};
use crate::read_at::{ReadAt, ReadFrom};

/// What can be wrong with a blob.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// No blob of that digest is in the image.
    #[error("blob {digest} is missing")]
    Missing {
        /// The digest that a descriptor names.
        digest: Digest,
    },
    /// The blob is shorter or longer than its descriptor says.
    #[error(
        "blob {digest} has the wrong size: its descriptor says {expected} bytes, it has {found}"
    )]
    Size {
        /// The blob's digest.
        digest: Digest,
        /// Bytes in the descriptor.
        expected: u64,
        /// Bytes found; where reading stopped early, the bytes up to there.
        found: u64,
    },
    /// The bytes hash to something else.
    #[error("blob {expected} is damaged: its bytes hash to {found}")]
    Digest {
        /// The digest in the descriptor.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// The digest's algorithm is one that pycull cannot compute.
    #[error("digest {digest} uses an algorithm that pycull cannot check")]
    Algorithm {
        /// The digest.
        digest: Digest,
    },
    /// A document is larger than any honest one.
    #[error("{what} {digest} is {size} bytes; at most {limit} are accepted")]
    TooLarge {
        /// "manifest", "config" or "index".
        what: &'static str,
        /// The document's digest.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// The bound in bytes.
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

/// Bytes that can be read from any of them on, by many readers at once, wherever they are.
#[derive(Clone)]
pub struct Blob {
    bytes: Bytes,
    /// The first of them in what holds them.
    offset: u64,
    size: u64,
}

#[derive(Clone)]
enum Bytes {
    /// A file of this machine, and its path if it has one.
    File(BlobFile, Option<PathBuf>),
    Other(Arc<dyn ReadAt>),
}

impl Blob {
    /// A file of so many bytes, from its first to its last.
    pub fn of_file(file: BlobFile, path: Option<PathBuf>, size: u64) -> Self {
        Self {
            bytes: Bytes::File(file, path),
            offset: 0,
            size,
        }
    }

    /// So many bytes that are in no file.
    pub fn new(bytes: Arc<dyn ReadAt>, size: u64) -> Self {
        Self {
            bytes: Bytes::Other(bytes),
            offset: 0,
            size,
        }
    }

    /// Bytes of it.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// So many of its bytes, from one of them on.
    pub fn part(&self, offset: u64, size: u64) -> Self {
        let bytes = match &self.bytes {
            // The path is that of all of it.
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

    /// The path of the file that the blob is the whole of, if it has one.
    pub fn path(&self) -> Option<&Path> {
        match &self.bytes {
            Bytes::File(_, path) if self.offset == 0 => path.as_deref(),
            _ => None,
        }
    }

    /// A reader over the blob, independent of all others.
    pub fn reader(&self) -> BlobReader {
        ReadFrom::new(self.clone(), 0)
    }

    /// Whether `other` is the same stretch of the same bytes: of a file that stays open, or of what is in no file.
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

/// Reads one blob, from its first byte on.
pub type BlobReader = ReadFrom<Blob>;

/// An image's blobs, by digest. Content can be opened any number of times.
pub trait BlobStore: Send + Sync {
    /// The blob of that digest. Its bytes are not checked.
    ///
    /// # Errors
    /// [`BlobError::Missing`] or [`BlobError::Io`].
    fn open(&self, digest: &Digest) -> Result<Blob, BlobError>;
}

/// A reader over a blob that fails, at its end at the latest, unless size and digest are those
/// of the descriptor. It must be read to its end for that to be known.
///
/// # Errors
/// [`BlobError`] where the blob is missing, has another size, or cannot be checked.
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

/// Passes bytes through while checking them against a digest and a size.
pub struct VerifyingReader<R> {
    inner: R,
    hasher: Option<DigestHasher>,
    /// The digest of all bytes, once they were read.
    found: Option<Digest>,
    digest: Digest,
    size: u64,
    seen: u64,
}

impl<R: Read> VerifyingReader<R> {
    /// Checks what `inner` yields against `digest` and `size`.
    ///
    /// # Errors
    /// [`BlobError::Algorithm`] where the digest cannot be computed.
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
        // Whoever reads on after the end is told the same again.
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

/// Bytes that a manifest, index or config may have. Registries accept manifests of 4 MiB;
/// no config of a real image comes near this.
pub const DOCUMENT_LIMIT: u64 = 8 << 20;

/// Reads a manifest, index or config whole, bounded and verified.
///
/// # Errors
/// [`BlobError`], among them [`BlobError::TooLarge`] beyond [`DOCUMENT_LIMIT`].
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

/// The blob error inside an I/O error of a [`VerifyingReader`], or the I/O error as one.
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
