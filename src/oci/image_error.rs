//! Errors in the documents of an image, with hints.

use super::blob::BlobError;
use super::digest::Digest;
use super::listing::listed;
use super::platform::Platform;
use crate::limits::LimitError;

/// What is wrong with the documents of an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A blob is missing, damaged or too large.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The documents exceed the limit of an image.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A document is not JSON, or does not have the form of its kind.
    #[error("{what} {digest} is malformed: {reason}")]
    Malformed {
        /// "index", "manifest" or "config".
        what: &'static str,
        /// The document's digest or file name.
        digest: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An index has no manifests.
    #[error("index {digest} has no manifests")]
    EmptyIndex {
        /// The index's digest.
        digest: String,
    },
    /// Indexes are nested too deep.
    #[error("indexes are nested more than {limit} deep")]
    TooDeep {
        /// The deepest level that pycull accepts.
        limit: usize,
    },
    /// An index leads to more descriptors than any honest index.
    #[error("the index and its nested indexes have more than {limit} descriptors")]
    TooMany {
        /// The most descriptors that pycull accepts.
        limit: usize,
    },
    /// The root names an artifact, not an image.
    #[error("{digest} is not an image, but an artifact of type `{artifact_type}`")]
    NotAnImage {
        /// The digest of the artifact's manifest.
        digest: Digest,
        /// The artifact type, or a media type that stands for it.
        artifact_type: String,
    },
    /// A layer is not a tar archive, or it is encrypted.
    #[error(
        "layer {layer} {digest} {} (media type `{media_type}`)",
        if *encrypted { "is encrypted" } else { "is not a tar archive" }
    )]
    LayerType {
        /// The number of the layer, from 1.
        layer: usize,
        /// The layer's digest.
        digest: Digest,
        /// The layer's media type.
        media_type: String,
        /// Whether the layer is encrypted.
        encrypted: bool,
    },
    /// A layer is not distributed with the image.
    #[error(
        "layer {layer} {digest} is not in the image; the manifest lists where to download it: {}",
        listed(urls)
    )]
    Foreign {
        /// The number of the layer, from 1.
        layer: usize,
        /// The layer's digest.
        digest: Digest,
        /// URLs of the layer (image-spec descriptor.md, "urls").
        urls: Vec<String>,
    },
    /// No image matches `--platform`.
    #[error("no image for platform {wanted}; available: {available}")]
    NoPlatform {
        /// The platform that the user asked for.
        wanted: Platform,
        /// The available platforms, separated by commas.
        available: String,
    },
}

impl ImageError {
    /// A hint for the user, if there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoPlatform { .. } => Some("choose one of them with `--platform`".to_owned()),
            Self::Blob(BlobError::Missing { .. }) => Some(
                "if only one platform of the image is here, choose it with `--platform`"
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
                // The user may paste this URL into a shell, so take only one without special characters.
                let url = urls.iter().find(|url| is_plain_url(url))?;
                Some(format!(
                    "download the layer in the directory of the image layout: `curl -L -o blobs/{}/{} '{url}'`",
                    digest.algorithm(),
                    digest.digest(),
                ))
            }
            _ => None,
        }
    }
}

/// Whether the text is an HTTP URL of RFC 3986 characters, without apostrophes.
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
        "convert the image from Docker's schema 1 first: `skopeo copy --format oci docker://NAME oci:DIR:TAG`"
            .to_owned()
    } else if is_signature {
        "this is a signature; name the image that it signs".to_owned()
    } else {
        format!(
            "the config of a container image has the media type `{}`",
            super::media_type::OCI_CONFIG
        )
    }
}
