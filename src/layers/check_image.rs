//! What must be true of any image, whoever wrote it: every blob is what its descriptor says, every
//! layer is a tar archive with the diff_id of the config, the layers apply one upon the other, and
//! history and layers are aligned.

use serde_json::Value;

use super::{Access, LayerError, LayerScan, scan_layers};
use crate::limits::Limits;
use crate::oci::image::{ImageError, is_empty_layer};
use crate::oci::{BlobStore, Image, load};
use crate::progress::Unobserved;
use crate::rootfs::{RootfsError, squash};
use crate::tar::{Kind, size_field};

/// A post-condition that an image breaks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A document is missing, damaged or malformed.
    #[error(transparent)]
    Document(#[from] ImageError),
    /// A layer is missing, damaged, or not the one of the config.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// No engine extracts the layers.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// History entries that are not empty are as many as the layers, where there is a history.
    #[error("the config has {entries} history entries with a layer, but {layers} layers")]
    History {
        /// Entries not marked as empty.
        entries: usize,
        /// Layers.
        layers: usize,
    },
    /// A hardlink's size field is 0: docker refuses to push it otherwise.
    #[error("layer {layer}: the size field of hardlink `{path}` is {size}")]
    HardlinkSize {
        /// The layer, counted from 1.
        layer: usize,
        /// The hardlink.
        path: String,
        /// Its size field.
        size: u64,
    },
}

/// Checks every image that `root` leads to.
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

/// Checks what is left to check of an image whose layers were read and applied one upon the other.
///
/// # Errors
/// The first [`Violation`].
pub fn check_read(image: &Image, scans: &[LayerScan]) -> Result<(), Violation> {
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
