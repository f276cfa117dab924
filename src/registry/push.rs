//! Writes an image: blobs in parallel, then manifests, in the order in which they must exist.

use super::early::Early;
use super::error::{HttpError, RegistryError};
use super::repository::Repository;
use super::upload::Upload;
use crate::oci::{Blob, Digest};
use crate::parallel::try_map;
use crate::progress::{Observer, Phase};

/// A blob to upload.
#[derive(Clone)]
pub(crate) struct PushedBlob {
    pub(crate) digest: Digest,
    pub(crate) bytes: Blob,
    /// Whether pycull made it, so that no repository has it yet.
    pub(crate) is_new: bool,
}

/// The upload of one image.
pub(crate) struct Push {
    target: Target,
    jobs: usize,
    /// Uploads that began before the image was complete.
    early: Early,
}

/// Where blobs go.
#[derive(Clone)]
pub(super) struct Target {
    repository: Repository,
    /// A repository of the same registry that has the image's old blobs.
    from: Option<String>,
}

impl Push {
    /// Prepares an upload. `source` is the repository that the image was read from.
    pub(crate) fn new(repository: Repository, source: Option<&Repository>, jobs: usize) -> Self {
        let beside = source.filter(|source| source.is_beside(&repository));
        let other = beside.filter(|source| source.name() != repository.name());
        let target = Target {
            from: other.map(|source| source.name().to_owned()),
            repository,
        };
        Self {
            early: Early::new(target.clone(), jobs),
            target,
            jobs,
        }
    }

    /// Whether the registry has no encryption.
    pub(crate) fn is_plain(&self) -> bool {
        self.target.repository.session.is_plain()
    }

    /// Uploads a blob on another thread, now or once one is free.
    pub(crate) fn begin(&self, blob: PushedBlob) {
        self.early.begin(blob);
    }

    /// Uploads the blobs that the registry lacks.
    ///
    /// # Errors
    /// [`RegistryError`] of the first blob that fails.
    pub(crate) fn blobs(
        &self,
        blobs: &[PushedBlob],
        observer: &dyn Observer,
    ) -> Result<(), RegistryError> {
        let sizes = blobs.iter().map(|blob| blob.bytes.size());
        observer.begin(Phase::Uploading, blobs.len(), sizes.sum());
        let result = self.all(blobs, false, observer);
        observer.end();
        result
    }

    /// Uploads blobs again although the registry says that it has them. Some registries say so of what another
    /// repository holds.
    ///
    /// # Errors
    /// As [`Self::blobs`].
    pub(crate) fn blobs_again(&self, blobs: &[PushedBlob]) -> Result<(), RegistryError> {
        self.all(blobs, true, &crate::progress::Unobserved)
    }

    fn all(
        &self,
        blobs: &[PushedBlob],
        distrusts: bool,
        observer: &dyn Observer,
    ) -> Result<(), RegistryError> {
        let done = self.early.wait();
        let done = done.map_err(|it| self.failed(&it.digest, it.cause))?;
        try_map(self.jobs, blobs, |_, blob| {
            let sent = |bytes| observer.advance(bytes);
            let result = if !distrusts && done.contains(&blob.digest) {
                sent(blob.bytes.size());
                Ok(())
            } else {
                self.target.upload(blob, distrusts, &sent)
            };
            observer.item_done();
            result.map_err(|cause| self.failed(&blob.digest, cause))
        })?;
        Ok(())
    }

    fn failed(&self, digest: &Digest, cause: HttpError) -> RegistryError {
        let action = format!("upload blob {digest} of");
        self.target.repository.error(action, cause)
    }

    /// The digest that a tag leads to; `None` if there is no such tag. Fails if the user may not write to the repository,
    /// as far as the registry says so at once.
    ///
    /// # Errors
    /// [`RegistryError`] if the registry refuses, or cannot be asked.
    pub(crate) fn tagged(&self, tag: &str) -> Result<Option<Digest>, RegistryError> {
        let found = self
            .target
            .repository
            .tagged(tag, &self.target.repository.push());
        found.map_err(|cause| self.target.repository.error("write to", cause))
    }

    /// Writes a manifest or index under a tag or its digest.
    ///
    /// # Errors
    /// [`RegistryError`]; see [`RegistryError::lacks_blob`].
    pub(crate) fn document(
        &self,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        let result = self
            .target
            .repository
            .put_document(reference, media_type, bytes);
        result.map_err(|cause| self.target.repository.error("write the manifest of", cause))
    }
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
