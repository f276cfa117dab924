//! What can be wrong with a layer.

use std::io;

use crate::limits::LimitError;
use crate::oci::image::Layer;
use crate::oci::{BlobError, Digest};
use crate::tar::TarError;

/// What can be wrong with a layer.
#[derive(Debug, thiserror::Error)]
#[error("layer {number} ({digest})")]
pub struct LayerError {
    /// The layer, counted from 1.
    pub number: usize,
    /// Its blob's digest.
    pub digest: Digest,
    /// What is wrong.
    #[source]
    pub cause: Box<LayerErrorCause>,
}

impl LayerError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match &*self.cause {
            LayerErrorCause::Limit(error) => error.hint(),
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
    /// It does not decompress, or reading failed.
    #[error("it cannot be decompressed")]
    Decode(#[source] io::Error),
    /// It is no tar archive.
    #[error(transparent)]
    Tar(TarError),
    /// It has more members, or names, than the image may have.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// It is another layer than the config says.
    #[error("its content hashes to {found}, but the config's diff_id is {expected}")]
    DiffId {
        /// The diff_id in the config.
        expected: Digest,
        /// The digest of the uncompressed bytes.
        found: Digest,
    },
    /// A layer could not be written.
    #[error("it cannot be written to {directory}")]
    Write {
        /// Where it was to be.
        directory: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// A cause with the layer that it is about.
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

/// An error of what is read from an archive or of the stream below it.
impl From<io::Error> for LayerErrorCause {
    fn from(error: io::Error) -> Self {
        error
            .downcast::<TarError>()
            .map_or_else(Self::Decode, Self::Tar)
    }
}
