//! Checks that any valid image passes. Every blob matches its descriptor. Every layer is a tar archive with the
//! config's diff_id. The layers can be merged, and history and layers are aligned.

use std::sync::Arc;

use serde_json::Value;

use super::{Access, LayerError, LayerScan, scan_layers};
use crate::limits::Limits;
use crate::oci::image::{ImageError, is_empty_layer};
use crate::oci::{BlobStore, Image, load};
use crate::progress::Unobserved;
use crate::rootfs::{RootfsError, squash};
use crate::tar::{Kind, size_field};

/// A check that an image fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A document is missing, damaged or malformed.
    #[error(transparent)]
    Document(#[from] ImageError),
    /// A layer is missing or damaged, or its diff_id is not the config's.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// No engine can extract the layers.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// A history has another number of non-empty entries than there are layers.
    #[error("the config has {entries} history entries with a layer, but {layers} layers")]
    History {
        /// History entries that are not marked as empty.
        entries: usize,
        /// The number of layers.
        layers: usize,
    },
    /// The size field of a hardlink is not 0, so docker refuses to push the layer.
    #[error("layer {layer}: the size field of hardlink `{path}` is {size}")]
    HardlinkSize {
        /// The layer, counted from 1.
        layer: usize,
        /// The path of the hardlink.
        path: String,
        /// The size field.
        size: u64,
    },
}

/// Checks every image at and below `root`.
///
/// # Errors
/// The first [`Violation`].
pub fn check_image(store: &dyn BlobStore, root: &Value) -> Result<(), Violation> {
    for image in load(store, root, None)?.images() {
        check_one(store, image)?;
    }
    Ok(())
}

fn check_one(store: &dyn BlobStore, image: &Image) -> Result<(), Violation> {
    let allowances = Limits::NONE.of_layers(0);
    let access = Access {
        store,
        jobs: 1,
        observer: &Unobserved,
    };
    let scans = scan_layers(access, &image.layers, &allowances)?;
    squash(scans.iter().map(|scan| &*scan.members), &allowances)?;
    check_read(image, &scans)
}

/// Runs the remaining checks of an image whose layers were read and merged.
///
/// # Errors
/// The first [`Violation`].
pub fn check_read(image: &Image, scans: &[Arc<LayerScan>]) -> Result<(), Violation> {
    for (index, scan) in scans.iter().enumerate() {
        check_hardlinks(index, scan)?;
    }
    check_history(image)
}

fn check_hardlinks(index: usize, scan: &LayerScan) -> Result<(), Violation> {
    for (position, member) in scan.members.iter().enumerate() {
        let raw = scan
            .raw_headers
            .get(&position)
            .filter(|_| member.kind == Kind::Hardlink);
        let size = raw.map_or(0, |raw| size_field(raw));
        if size != 0 {
            return Err(Violation::HardlinkSize {
                layer: index + 1,
                path: member.path_lossy(),
                size,
            });
        }
    }
    Ok(())
}

fn check_history(image: &Image) -> Result<(), Violation> {
    let Some(history) = image.config.get("history").and_then(Value::as_array) else {
        return Ok(());
    };
    let entries = history
        .iter()
        .filter(|entry| !is_empty_layer(entry))
        .count();
    if entries != 0 && entries != image.layers.len() {
        return Err(Violation::History {
            entries,
            layers: image.layers.len(),
        });
    }
    Ok(())
}
