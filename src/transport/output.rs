//! An image that is about to be written, and the check that it is complete.

use std::collections::HashMap;

use serde_json::Value;

use crate::oci::{Blob, BlobError, BlobStore, Descriptor, Digest, Node, Platform, load};

use super::error::TransportError;
use super::place::OutputBlob;

/// An image to write: a root and everything that it reaches.
#[derive(Debug, Clone)]
pub struct OutputImage {
    /// The descriptor of the image's manifest or index, with the annotations to write.
    pub root: Value,
    /// The digest of the root that the image was made from. If a layout has several entries with the image's name, the
    /// image replaces the one with this digest.
    pub origin: String,
    /// Every blob that the root reaches, including the root's own, each once. Layers and configs come before the
    /// manifests that name them, and manifests before indexes.
    pub blobs: Vec<OutputBlob>,
}

impl OutputImage {
    /// Checks that every document can be parsed and every layer exists. Returns the root's documents.
    pub(super) fn checked(&self) -> Result<Node, TransportError> {
        let blobs = self.blobs.iter();
        let store = OutputStore(blobs.map(|blob| (&blob.digest, &blob.bytes)).collect());
        check_complete(&store, &self.root)
    }
}

struct OutputStore<'a>(HashMap<&'a Digest, &'a Blob>);

impl BlobStore for OutputStore<'_> {
    fn open(&self, digest: &Digest) -> Result<Blob, BlobError> {
        self.0
            .get(digest)
            .map(|blob| (*blob).clone())
            .ok_or_else(|| BlobError::Missing {
                digest: digest.clone(),
            })
    }
}

/// Reads every document that the root reaches, and looks up every layer and every blob of an artifact. Skips blobs that
/// are fetched from elsewhere (image-spec descriptor.md, "urls"). A blob whose size differs from its descriptor is an
/// error.
pub(super) fn check_complete(store: &dyn BlobStore, root: &Value) -> Result<Node, TransportError> {
    check_complete_for(store, root, None)
}

/// As [`check_complete`], for the part of the root that belongs to `platform`.
pub(super) fn check_complete_for(
    store: &dyn BlobStore,
    root: &Value,
    platform: Option<&Platform>,
) -> Result<Node, TransportError> {
    let node = load(store, root, platform)?;
    for descriptor in node.descriptors() {
        if descriptor.urls().as_ref().is_none_or(Vec::is_empty) {
            check_size(store, descriptor)?;
        }
    }
    Ok(node)
}

fn check_size(store: &dyn BlobStore, descriptor: &Descriptor) -> Result<(), BlobError> {
    let found = store.open(descriptor.digest())?.size();
    match found == descriptor.size() {
        true => Ok(()),
        false => Err(BlobError::Size {
            digest: descriptor.digest().clone(),
            expected: descriptor.size(),
            found,
        }),
    }
}
