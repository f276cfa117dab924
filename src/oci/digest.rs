//! Digests of blobs (OCI image-spec, descriptor.md, "Digests").

use std::io::{self, Read};
use std::str::FromStr;

use oci_spec::image::DigestAlgorithm;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

pub use oci_spec::image::Digest;

/// A running hash for one digest algorithm.
pub enum DigestHasher {
    /// SHA-256, the usual algorithm.
    Sha256(Sha256),
    /// SHA-384, which the image-spec's go-digest registers.
    Sha384(Sha384),
    /// SHA-512, the other algorithm that the image-spec registers.
    Sha512(Sha512),
}

impl DigestHasher {
    /// A hasher for the algorithm of `digest`; `None` if pycull cannot compute it.
    pub fn for_digest(digest: &Digest) -> Option<Self> {
        match digest.algorithm() {
            DigestAlgorithm::Sha256 => Some(Self::Sha256(Sha256::new())),
            DigestAlgorithm::Sha384 => Some(Self::Sha384(Sha384::new())),
            DigestAlgorithm::Sha512 => Some(Self::Sha512(Sha512::new())),
            _ => None,
        }
    }

    /// A SHA-256 hasher. pycull writes only SHA-256 digests.
    pub fn sha256() -> Self {
        Self::Sha256(Sha256::new())
    }

    /// Adds bytes to the hash.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha384(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// The digest of all bytes added.
    pub fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => digest_of("sha256", &hasher.finalize()),
            Self::Sha384(hasher) => digest_of("sha384", &hasher.finalize()),
            Self::Sha512(hasher) => digest_of("sha512", &hasher.finalize()),
        }
    }
}

/// Hashes the bytes that are read through it.
pub(crate) struct HashingReader<R> {
    pub(crate) inner: R,
    pub(crate) hasher: DigestHasher,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// The SHA-256 digest of `bytes`.
pub fn sha256_digest(bytes: &[u8]) -> Digest {
    digest_of("sha256", &Sha256::digest(bytes))
}

/// The bytes in lower-case hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[allow(clippy::expect_used)] // the text is built here, in the only form that `Digest` takes
fn digest_of(algorithm: &str, hash: &[u8]) -> Digest {
    Digest::from_str(&format!("{algorithm}:{}", to_hex(hash))).expect("a hash is a valid digest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_hashes_to_its_published_vector() {
        // The one-block message of FIPS 180-2.
        for (prefix, algorithm) in [
            ("sha256:ba7816bf", "sha256"),
            ("sha384:cb00753f", "sha384"),
            ("sha512:ddaf35a1", "sha512"),
        ] {
            let length = match algorithm {
                "sha256" => 64,
                "sha384" => 96,
                _ => 128,
            };
            let any = Digest::from_str(&format!("{algorithm}:{}", "0".repeat(length))).unwrap();
            let mut hasher = DigestHasher::for_digest(&any).unwrap();
            hasher.update(b"a");
            hasher.update(b"bc");
            assert!(hasher.finish().as_ref().starts_with(prefix));
        }
    }

    #[test]
    fn an_algorithm_that_cannot_be_computed_is_none() {
        let digest = Digest::from_str("md5:d41d8cd98f00b204e9800998ecf8427e").unwrap();
        assert!(DigestHasher::for_digest(&digest).is_none());
    }
}
