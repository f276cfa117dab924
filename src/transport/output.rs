//! An image that is about to be written, and the check that it is whole.

use std::collections::HashMap;

use serde_json::Value;

use crate::oci::{Blob, BlobError, BlobStore, Descriptor, Digest, Node, Platform, load};

use super::error::TransportError;
use super::place::OutputBlob;

/// An image to be written: a root and everything that it reaches.
#[derive(Debug, Clone)]
pub struct OutputImage {
    /// The descriptor of its manifest or index, with the annotations that it shall have.
    pub root: Value,
    /// The digest of the root that it was made from. Of several entries with its name in a layout it replaces that one.
    pub origin: String,
    /// Every blob reachable from the root, the root's own included, each once: layers and configs before the manifests
    /// that name them, manifests before indexes.
    pub blobs: Vec<OutputBlob>,
}

impl OutputImage {
    /// What the root names, once every document reads well and every layer is there.
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

/// Reads every document that the root reaches and looks for every layer and every artifact's blob, but for those that
/// are fetched from elsewhere (image-spec descriptor.md, "urls"). A blob of another size than its descriptor says is
/// an error, whatever it is.
pub(super) fn check_complete(store: &dyn BlobStore, root: &Value) -> Result<Node, TransportError> {
    check_complete_for(store, root, None)
}

/// The same of what a platform narrows the root to.
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
