//! Blobs: where their bytes are, and reading them with digest and size checked to the last byte.

use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

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

/// Where a blob's bytes lie: a stretch of a file.
#[derive(Debug, Clone)]
pub struct BlobLocation {
    /// The file that holds them.
    pub file: BlobFile,
    /// The file's path, where the blob is the whole of a file that has one: it can then be
    /// reflinked or hardlinked.
    pub path: Option<PathBuf>,
    /// First byte of the blob in the file.
    pub offset: u64,
    /// Bytes of the blob.
    pub size: u64,
}

impl BlobLocation {
    /// A reader over the blob, independent of all others.
    pub fn reader(&self) -> BlobReader {
        ReadFrom::new(self.clone(), 0)
    }

    /// Whether `other` is the same stretch of the same file, which stays open.
    pub fn is_same(&self, other: &Self) -> bool {
        self.file.is_same(&other.file) && (self.offset, self.size) == (other.offset, other.size)
    }
}

impl ReadAt for BlobLocation {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        self.file
            .get()?
            .read_at(&mut buffer[..wanted], self.offset + offset)
    }
}

/// Reads one blob's stretch of a file, without moving the file's own position.
pub type BlobReader = ReadFrom<BlobLocation>;

/// An image's blobs, by digest. Content can be opened any number of times.
pub trait BlobStore: Send + Sync {
    /// Where the blob lies.
    ///
    /// # Errors
    /// [`BlobError::Missing`] or [`BlobError::Io`].
    fn locate(&self, digest: &Digest) -> Result<BlobLocation, BlobError>;
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
    let location = store.locate(descriptor.digest())?;
    if location.size != descriptor.size() {
        return Err(BlobError::Size {
            digest: descriptor.digest().clone(),
            expected: descriptor.size(),
            found: location.size,
        });
    }
    VerifyingReader::new(
        location.reader(),
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
