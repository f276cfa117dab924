//! Writes an image: blobs in parallel, then manifests, in the order in which they must exist.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use super::error::{HttpError, RegistryError};
use super::repository::Repository;
use super::upload::Upload;
use crate::oci::{Blob, Digest};
use crate::parallel::{lock, try_map};
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
    repository: Arc<Repository>,
    /// A repository of the same registry that has the image's old blobs.
    from: Option<String>,
    jobs: usize,
    early: Mutex<Vec<Early>>,
}

/// An upload that began before the image was complete.
struct Early {
    digest: Digest,
    thread: JoinHandle<Result<(), HttpError>>,
}

impl Push {
    /// Prepares an upload. `source` is the repository that the image was read from.
    pub(crate) fn new(repository: Repository, source: Option<&Repository>, jobs: usize) -> Self {
        let beside = source.filter(|source| source.is_beside(&repository));
        let other = beside.filter(|source| source.name() != repository.name());
        Self {
            from: other.map(|source| source.name().to_owned()),
            repository: Arc::new(repository),
            jobs,
            early: Mutex::default(),
        }
    }

    /// Whether the registry has no encryption.
    pub(crate) fn is_plain(&self) -> bool {
        self.repository.session.is_plain()
    }

    /// Begins to upload a blob on another thread. If that is not possible, [`Self::blobs`] uploads it later.
    pub(crate) fn begin(&self, blob: PushedBlob) {
        let mut early = lock(&self.early);
        let is_known = early.iter().any(|it| it.digest == blob.digest);
        let running = early.iter().filter(|it| !it.thread.is_finished());
        if is_known || running.count() >= self.jobs {
            return;
        }
        let repository = Arc::clone(&self.repository);
        let digest = blob.digest.clone();
        let upload = move || upload(&repository, &blob, (None, false), &|_| ());
        if let Ok(thread) = Builder::new().spawn(upload) {
            early.push(Early { digest, thread });
        }
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
        let done = self.wait()?;
        let from = self.from.as_deref();
        try_map(self.jobs, blobs, |_, blob| {
            let sent = |bytes| observer.advance(bytes);
            let result = if !distrusts && done.contains(&blob.digest) {
                sent(blob.bytes.size());
                Ok(())
            } else {
                upload(&self.repository, blob, (from, distrusts), &sent)
            };
            observer.item_done();
            result.map_err(|cause| self.failed(&blob.digest, cause))
        })?;
        Ok(())
    }

    /// Waits for the uploads that began early, also if one fails. Returns their blobs.
    fn wait(&self) -> Result<HashSet<Digest>, RegistryError> {
        let (mut done, mut first) = (HashSet::new(), None);
        for early in std::mem::take(&mut *lock(&self.early)) {
            match early.thread.join() {
                Ok(Ok(())) => drop(done.insert(early.digest)),
                Ok(Err(cause)) => {
                    first.get_or_insert((early.digest, cause));
                }
                Err(_) => {}
            }
        }
        match first {
            Some((digest, cause)) => Err(self.failed(&digest, cause)),
            None => Ok(done),
        }
    }

    fn failed(&self, digest: &Digest, cause: HttpError) -> RegistryError {
        self.repository
            .error(format!("upload blob {digest} of"), cause)
    }

    /// The digest that a tag leads to; `None` if there is no such tag. Fails if the user may not write to the repository,
    /// as far as the registry says so at once.
    ///
    /// # Errors
    /// [`RegistryError`] if the registry refuses, or cannot be asked.
    pub(crate) fn tagged(&self, tag: &str) -> Result<Option<Digest>, RegistryError> {
        let found = self.repository.tagged(tag, &self.repository.push());
        found.map_err(|cause| self.repository.error("write to", cause))
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
        let result = self.repository.put_document(reference, media_type, bytes);
        result.map_err(|cause| self.repository.error("write the manifest of", cause))
    }
}

/// Uploads a blob. `from` is a repository that has it, and `distrusts` says not to believe that it is there already.
fn upload(
    repository: &Repository,
    blob: &PushedBlob,
    (from, distrusts): (Option<&str>, bool),
    sent: &(dyn Fn(u64) + Sync),
) -> Result<(), HttpError> {
    let upload = Upload {
        repository,
        digest: &blob.digest,
        blob: &blob.bytes,
        from: from.filter(|_| !blob.is_new),
        distrusts,
        sent,
    };
    upload.run()
}
