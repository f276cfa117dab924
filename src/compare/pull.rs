//! The bytes that a host fetches to pull an image: whole blobs, each once.

use std::collections::HashMap;

use serde_json::Value;

use crate::oci::Image;

/// The bytes that a host must fetch for the image after: manifest, config and layers, each blob once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pull {
    /// On a host without any part of the image.
    pub cold: u64,
    /// On a host that has the image before.
    pub warm: u64,
}

impl Pull {
    pub(super) fn of(before: &Image, after: &Image) -> Self {
        let old = blobs(before);
        let new = blobs(after);
        let warm = new.iter().filter(|(digest, _)| !old.contains_key(*digest));
        Self {
            cold: new.values().sum(),
            warm: warm.map(|(_, bytes)| bytes).sum(),
        }
    }
}

/// The size of every blob of an image in bytes, by digest.
fn blobs(image: &Image) -> HashMap<String, u64> {
    let manifest_bytes = image.descriptor.get("size").and_then(Value::as_u64);
    let manifest = (
        image.manifest_digest().to_owned(),
        manifest_bytes.unwrap_or(0),
    );
    let layers = image.layers.iter().map(|layer| &layer.descriptor);
    let others = layers.chain([&image.config_descriptor]);
    let others = others.map(|blob| (blob.digest().to_string(), blob.size()));
    others.chain([manifest]).collect()
}
