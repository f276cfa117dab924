//! What can be wrong with an image's documents, and what to do about it.

use super::blob::BlobError;
use super::digest::Digest;
use super::listing::listed;
use super::platform::Platform;
use crate::limits::LimitError;

/// What can be wrong with an image's documents.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A blob is missing, damaged or too large.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Its documents are larger than they may be.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A document is not JSON, or not of the form that its kind has.
    #[error("{what} {digest} is malformed: {reason}")]
    Malformed {
        /// "index", "manifest" or "config".
        what: &'static str,
        /// The document's digest, or its file's name.
        digest: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An index that names nothing.
    #[error("index {digest} has no manifests")]
    EmptyIndex {
        /// The index's digest.
        digest: String,
    },
    /// Indexes nested beyond reason.
    #[error("indexes are nested more than {limit} deep")]
    TooDeep {
        /// The bound.
        limit: usize,
    },
    /// More descriptors than any honest index leads to.
    #[error("the index leads to more than {limit} descriptors")]
    TooMany {
        /// The bound.
        limit: usize,
    },
    /// What a root leads to is something else.
    #[error("{digest} is not an image, but an artifact of type `{artifact_type}`")]
    NotAnImage {
        /// The digest of the artifact's manifest.
        digest: Digest,
        /// What it calls itself.
        artifact_type: String,
    },
    /// A layer that is not a tar archive, or one that nobody can read without a key.
    #[error(
        "layer {layer} {digest} {} (media type `{media_type}`)",
        if *encrypted { "is encrypted" } else { "is not a tar archive" }
    )]
    LayerType {
        /// Which layer, from 1.
        layer: usize,
        /// Its digest.
        digest: Digest,
        /// Its media type.
        media_type: String,
        /// Whether it is encrypted.
        encrypted: bool,
    },
    /// A layer that is not distributed with its image.
    #[error(
        "layer {layer} {digest} is not in the image; its manifest says where it is: {}",
        listed(urls)
    )]
    Foreign {
        /// Which layer, from 1.
        layer: usize,
        /// Its digest.
        digest: Digest,
        /// Where it can be had (image-spec descriptor.md, "urls").
        urls: Vec<String>,
    },
    /// `--platform` matches nothing.
    #[error("no image for platform {wanted}; there is: {available}")]
    NoPlatform {
        /// What was asked for.
        wanted: Platform,
        /// What there is, separated by commas.
        available: String,
    },
}

impl ImageError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoPlatform { .. } => Some("choose one of them with `--platform`".to_owned()),
            Self::Blob(BlobError::Missing { .. }) => Some(
                "if the image holds one platform of several, choose it with `--platform`"
                    .to_owned(),
            ),
            Self::Limit(error) => error.hint(),
            Self::NotAnImage { artifact_type, .. } => Some(artifact_hint(artifact_type)),
            Self::LayerType {
                encrypted: true, ..
            } => Some(
                "decrypt the image first: `skopeo copy --decryption-key KEY oci:ENCRYPTED:TAG oci:DIR:TAG`"
                    .to_owned(),
            ),
            Self::LayerType { .. } => Some(
                "pycull reads layers that are tar archives: plain, gzip or zstd".to_owned(),
            ),
            Self::Foreign { digest, urls, .. } => {
                // A stranger's text in a command to be pasted: nothing that a shell would read otherwise.
                let url = urls.iter().find(|url| is_plain_url(url))?;
                Some(format!(
                    "in the image layout, `curl -L -o blobs/{}/{} '{url}'` fetches it",
                    digest.algorithm(),
                    digest.digest(),
                ))
            }
            _ => None,
        }
    }
}

/// Whether a text is an address of the web in the characters that RFC 3986 has, the apostrophe aside.
fn is_plain_url(text: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&()*+,;=%".contains(&byte);
    (text.starts_with("https://") || text.starts_with("http://")) && text.bytes().all(is_plain)
}

fn artifact_hint(artifact_type: &str) -> String {
    let is_signature = ["simplesigning", "signature", "sigstore", "in-toto"]
        .iter()
        .any(|word| artifact_type.contains(word));
    let is_schema_1 = artifact_type.contains("docker.distribution.manifest.v1");
    if is_schema_1 {
        "`skopeo copy --format oci docker://NAME oci:DIR:TAG` converts an image of Docker's schema 1"
            .to_owned()
    } else if is_signature {
        "name the image that it is about".to_owned()
    } else {
        format!(
            "the config of a container image has the media type `{}`",
            super::media_type::OCI_CONFIG
        )
    }
}
