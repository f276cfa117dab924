//! Errors of layers.

use std::io;
use std::path::Path;

use crate::limits::LimitError;
use crate::oci::image::Layer;
use crate::oci::{BlobError, Digest};
use crate::scratch;
use crate::tar::TarError;

/// An error of one layer, with its cause.
#[derive(Debug, thiserror::Error)]
#[error("cannot process layer {number} ({digest})")]
pub struct LayerError {
    /// The layer, counted from 1.
    pub number: usize,
    /// The digest of the layer's blob.
    pub digest: Digest,
    /// The cause.
    #[source]
    pub cause: Box<LayerErrorCause>,
}

impl LayerError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match &*self.cause {
            LayerErrorCause::Limit(error) => error.hint(),
            LayerErrorCause::Write { directory, source } => {
                scratch::hint_at(Path::new(directory), source)
            }
            _ => None,
        }
    }
}

/// What is wrong with a layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerErrorCause {
    /// The blob is missing or damaged.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The layer cannot be decompressed or read.
    #[error("the layer cannot be decompressed")]
    Decode(#[source] io::Error),
    /// The layer is not a tar archive.
    #[error(transparent)]
    Tar(TarError),
    /// The layer exceeds the image's allowance of members or names.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The layer's diff_id is not the config's.
    #[error("the content has the digest {found}, but the config's diff_id is {expected}")]
    DiffId {
        /// The diff_id in the config.
        expected: Digest,
        /// The digest of the uncompressed bytes.
        found: Digest,
    },
    /// A layer could not be written.
    #[error("the layer cannot be written to `{directory}`")]
    Write {
        /// The directory for the layer.
        directory: String,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
}

/// Adds the layer to a cause. `index` counts from 0.
pub(crate) fn layer_error(index: usize, layer: &Layer, cause: LayerErrorCause) -> LayerError {
    LayerError {
        number: index + 1,
        digest: layer.descriptor.digest().clone(),
        cause: Box::new(cause),
    }
}

impl From<TarError> for LayerErrorCause {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Io(error) => error.into(),
            error => Self::Tar(error),
        }
    }
}

/// Converts an error of reading an archive, or of the stream below it.
impl From<io::Error> for LayerErrorCause {
    fn from(error: io::Error) -> Self {
        error
            .downcast::<TarError>()
            .map_or_else(Self::Decode, Self::Tar)
    }
}
