//! The repository to which an image is written.

use super::error::HttpError;
use super::repository::Repository;
use super::upload::Upload;
use crate::oci::{Blob, Digest};

/// A blob to upload.
#[derive(Clone)]
pub(crate) struct PushedBlob {
    pub(crate) digest: Digest,
    pub(crate) bytes: Blob,
    /// Whether pycull made it, so that no repository has it yet.
    pub(crate) is_new: bool,
}

/// Where blobs go.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) repository: Repository,
    /// A repository of the same registry that has the image's old blobs.
    pub(super) from: Option<String>,
}

impl Target {
    /// Uploads a blob, unless the repository has it. `distrusts` says not to believe the registry about that.
    pub(super) fn upload(
        &self,
        blob: &PushedBlob,
        distrusts: bool,
        sent: &(dyn Fn(u64) + Sync),
    ) -> Result<(), HttpError> {
        let upload = Upload {
            repository: &self.repository,
            digest: &blob.digest,
            blob: &blob.bytes,
            from: self.from.as_deref().filter(|_| !blob.is_new),
            distrusts,
            sent,
        };
        upload.run()
    }
}
