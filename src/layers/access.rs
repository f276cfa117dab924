//! The common arguments of functions that read layers.

use crate::oci::BlobStore;
use crate::progress::Observer;

/// The layers' blobs, the number of parallel jobs, and the observer of progress.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// The store of the layers' blobs.
    pub store: &'a dyn BlobStore,
    /// Number of parallel jobs.
    pub jobs: usize,
    /// Receives the progress of the work.
    pub observer: &'a dyn Observer,
}
