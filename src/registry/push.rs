//! Writes an image: blobs in parallel, then manifests, in the order in which they must exist.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use super::early::Early;
use super::error::{HttpError, RegistryError};
use super::following::Following;
use super::repository::Repository;
use super::target::{PushedBlob, Target};
use crate::oci::Digest;
use crate::parallel::try_map;
use crate::progress::{Observer, Phase};

/// The upload of one image.
pub(crate) struct Push {
    target: Target,
    jobs: usize,
    /// Uploads that began before the image was complete.
    early: Early,
    is_new_repository: OnceLock<bool>,
    /// Whether the repository has the image's old blobs.
    has_old_blobs: bool,
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
            has_old_blobs: beside.is_some() && other.is_none(),
            early: Early::new(target.clone(), jobs),
            target,
            jobs,
            is_new_repository: OnceLock::new(),
        }
    }

    /// Whether the registry has no encryption.
    pub(crate) fn is_plain(&self) -> bool {
        self.target.repository.session.is_plain()
    }

    /// The file with credentials that the user chose, if the user chose one.
    pub(crate) fn auth_file(&self) -> Option<&Path> {
        self.target.repository.session.auth_file()
    }

    /// Uploads a blob on another thread, now or once one is free.
    pub(crate) fn begin(&self, blob: PushedBlob) {
        if self.has_old_blobs && !blob.is_new {
            // It need not move. Without that, its space would be free only some time after the next layer needs it.
            blob.bytes.discard(u64::MAX);
        }
        self.early.begin(blob);
    }

    /// Uploads a blob while it is written. Only if the repository is new: otherwise it may have the blob already, and
    /// pycull asks once it knows the digest.
    pub(crate) fn follow(&self, bytes: Box<dyn Read + Send>) -> Option<Following> {
        self.is_new_repository
            .get_or_init(|| self.target.repository.is_new())
            .then(|| self.early.follow(bytes))?
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
        let result = self.all(blobs, Some(&self.early.wait()), observer);
        observer.end();
        result
    }

    /// Uploads blobs again although the registry says that it has them. Some registries say so of what another
    /// repository holds.
    ///
    /// # Errors
    /// As [`Self::blobs`].
    pub(crate) fn blobs_again(&self, blobs: &[PushedBlob]) -> Result<(), RegistryError> {
        self.all(blobs, None, &crate::progress::Unobserved)
    }

    /// Uploads all but those that are done. `None` means to distrust the registry.
    fn all(
        &self,
        blobs: &[PushedBlob],
        done: Option<&HashSet<Digest>>,
        observer: &dyn Observer,
    ) -> Result<(), RegistryError> {
        try_map(self.jobs, blobs, |_, blob| {
            let sent = |bytes| observer.advance(bytes);
            let result = match done {
                Some(done) if done.contains(&blob.digest) => {
                    sent(blob.bytes.size());
                    Ok(())
                }
                _ => self.target.upload(blob, done.is_none(), &sent),
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
        let repository = &self.target.repository;
        let found = repository.tagged(tag, &repository.push());
        found.map_err(|cause| repository.error("write to", cause))
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
        let repository = &self.target.repository;
        let result = repository.put_document(reference, media_type, bytes);
        result.map_err(|cause| repository.error("write the manifest of", cause))
    }
}
