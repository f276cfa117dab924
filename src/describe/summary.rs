//! Figures that several reports share.

use serde_json::Value;

use crate::inventory::{Inventory, Sizes};
use crate::oci::Image;
use crate::oci::image::is_empty_layer;
use crate::pyc::Level;
use crate::report::model::{Count, Levels};

pub(super) fn count(sizes: Sizes) -> Count {
    Count {
        files: sizes.files,
        bytes: sizes.bytes,
    }
}

/// Converts counts to a map by level. All three levels are present.
pub(super) fn levels(sizes: [Sizes; 3]) -> Levels {
    Level::ALL
        .iter()
        .map(|level| (level.to_string(), count(sizes[level.index()])))
        .collect()
}

/// Size of all blobs of layers, in bytes. A blob counts once for every layer that uses it.
pub(super) fn compressed_bytes(image: &Image) -> u64 {
    image
        .layers
        .iter()
        .map(|layer| layer.descriptor.size())
        .sum()
}

/// Size of all layers without compression, in bytes.
pub(super) fn uncompressed_bytes(inventory: &Inventory) -> u64 {
    inventory
        .layers
        .iter()
        .map(|layer| layer.uncompressed_bytes)
        .sum()
}

/// The command that made each layer. All `None` if the config's history does not match the layers.
pub(super) fn created_by(image: &Image) -> Vec<Option<String>> {
    let history = image
        .config
        .get("history")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let commands: Vec<Option<String>> = history
        .iter()
        .filter(|entry| !is_empty_layer(entry))
        .map(|entry| {
            entry
                .get("created_by")
                .and_then(Value::as_str)
                .map(str::to_owned)
        })
        .collect();
    if commands.len() == image.layers.len() {
        commands
    } else {
        vec![None; image.layers.len()]
    }
}
