//! Figures that several reports share.

use std::collections::HashMap;

use serde_json::Value;

use crate::inventory::{Inventory, Sizes};
use crate::oci::Image;
use crate::oci::image::is_empty_layer;
use crate::pyc::Level;
use crate::report::model::{Count, Levels};
use crate::rootfs::MemberId;

/// A path as reports write it: as it is where it is UTF-8, else with `%` and all bytes outside
/// ASCII percent-encoded.
pub(super) fn path_text(path: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(path) {
        return text.to_owned();
    }
    path.iter().fold(String::new(), |mut text, byte| {
        match byte {
            b'%' | 0x80.. => text.push_str(&format!("%{byte:02X}")),
            _ => text.push(char::from(*byte)),
        }
        text
    })
}

/// An error with what caused it, on one line; a message may hold its cause's already.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

pub(super) fn count(sizes: Sizes) -> Count {
    Count {
        files: sizes.files,
        bytes: sizes.bytes,
    }
}

/// Counts by level, all three always there.
pub(super) fn levels(sizes: [Sizes; 3]) -> Levels {
    Level::ALL
        .iter()
        .map(|level| (level.to_string(), count(sizes[level.index()])))
        .collect()
}

/// The caches of each layer by level, visible or not. A hardlink is a file without bytes.
pub(super) fn levels_by_layer(inventory: &Inventory) -> Vec<[Sizes; 3]> {
    let mut layers = vec![[Sizes::default(); 3]; inventory.layers.len()];
    for (member, level) in leveled_members(inventory) {
        layers[member.layer][level.index()].add(inventory.member(member).stored_bytes());
    }
    layers
}

/// Every cache that has a level, visible or not.
pub(super) fn leveled_members(inventory: &Inventory) -> impl Iterator<Item = (MemberId, Level)> {
    let visible = inventory.caches.iter();
    let visible = visible.map(|cache| (cache.member, cache.level));
    let hidden = inventory.hidden.iter();
    let hidden = hidden.map(|cache| (cache.member, cache.level));
    let all = visible.chain(hidden);
    all.filter_map(|(member, level)| Some((member, level?)))
}

/// Bytes of an image's blobs, one that several layers share counted as often as it is named.
pub(super) fn compressed_bytes(image: &Image) -> u64 {
    image
        .layers
        .iter()
        .map(|layer| layer.descriptor.size())
        .sum()
}

/// Bytes of an image's layers without compression.
pub(super) fn uncompressed_bytes(inventory: &Inventory) -> u64 {
    inventory
        .layers
        .iter()
        .map(|layer| layer.uncompressed_bytes)
        .sum()
}

/// The command that made each layer, where the config's history is aligned with the layers.
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

/// Descriptors of an image's blobs other than layers: bytes by digest.
pub(super) fn documents(image: &Image) -> HashMap<String, u64> {
    let manifest_bytes = image
        .descriptor
        .get("size")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    HashMap::from([
        (image.manifest_digest().to_owned(), manifest_bytes),
        (
            image.config_descriptor.digest().to_string(),
            image.config_descriptor.size(),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded_only_where_they_are_not_utf8() {
        assert_eq!(path_text("usr/100%/é".as_bytes()), "usr/100%/é");
        assert_eq!(path_text(b"usr/100%/\xff"), "usr/100%25/%FF");
    }
}
