//! What every function that reads layers needs.

use crate::oci::BlobStore;
use crate::progress::Observer;

/// Where layers are, how many are read at a time, and who is told how far that is.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// Their blobs.
    pub store: &'a dyn BlobStore,
    /// Layers that are worked on at a time.
    pub jobs: usize,
    /// Is told how far the work is.
    pub observer: &'a dyn Observer,
}
