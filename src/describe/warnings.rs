//! Warnings about an image that pycull wrote.

use serde_json::Value;

use crate::inventory::Inventory;
use crate::layers::LayerScan;
use crate::oci::layer_writer::WrittenLayer;
use crate::oci::media_type::Family;
use crate::oci::{Compression, CompressionSetting, Image};
use crate::rewrite::annotations::lazy_formats;
use crate::rewrite::documents::{LayerOutcome, NewDocuments, are_layers_changed};
use crate::rewrite::grew;
use crate::size;

/// What was written for an image.
#[derive(Clone, Copy)]
pub(crate) struct Written<'a> {
    /// What became of each layer.
    pub outcomes: &'a [LayerOutcome],
    /// The layer that came above the others.
    pub appended: Option<&'a WrittenLayer>,
    /// Its new documents.
    pub documents: &'a NewDocuments,
    /// The media types that it has now, where it had others.
    pub new_types: Option<Family>,
    /// How layers were to be compressed.
    pub compression: CompressionSetting,
}

/// Warnings about an image that was written.
pub(super) fn warnings(image: &Image, inventory: &Inventory, written: Written<'_>) -> Vec<String> {
    let mut warnings = lost_lazy_pulling(image, written.outcomes);
    if written.compression == CompressionSetting::Keep {
        warnings.extend(grown_layers(inventory, written.outcomes));
    }
    let new_types = written.new_types.map(types_changed);
    warnings.extend(new_types.map(str::to_owned));
    if written.documents.history_is_misaligned {
        warnings.push(
            "the config's history does not have one entry for each layer; entries stay with the layers that they are about".to_owned(),
        );
    }
    warnings
}

/// Layers that became larger, though there is less in them.
fn grown_layers(inventory: &Inventory, outcomes: &[LayerOutcome]) -> Vec<String> {
    let layers = inventory.layers.iter().zip(outcomes).enumerate();
    let warning = |(index, (scan, outcome)): (usize, (&LayerScan, &LayerOutcome))| {
        let LayerOutcome::Rewritten(written) = outcome else {
            return None;
        };
        let setting = match written.compression {
            Compression::Zstd => "zstd:22",
            Compression::Gzip => "gzip:9",
            Compression::None => return None,
        };
        grew(scan, written).then(|| {
            format!(
                "layer {} grew from {} to {} compressed, though less is in it; `--compression {setting}` writes it smaller",
                index + 1,
                size::bytes(scan.layer.descriptor.size()),
                size::bytes(written.compressed_bytes),
            )
        })
    };
    layers.filter_map(warning).collect()
}

/// Layers that can no longer be pulled in part: what said where their files are was about the old bytes.
fn lost_lazy_pulling(image: &Image, outcomes: &[LayerOutcome]) -> Vec<String> {
    let descriptors = image.manifest.get("layers").and_then(Value::as_array);
    let descriptors = descriptors.into_iter().flatten().zip(outcomes).enumerate();
    let changed = descriptors.filter(|(_, (_, outcome))| !matches!(outcome, LayerOutcome::Kept));
    let mut lost: Vec<String> = changed
        .flat_map(|(index, (descriptor, _))| {
            let formats = lazy_formats(descriptor).into_iter();
            formats.map(move |format| {
                format!(
                    "layer {} can no longer be pulled lazily: its {format} annotations described the old bytes and are gone",
                    index + 1
                )
            })
        })
        .collect();
    if are_layers_changed(outcomes) {
        lost.extend(lazy_formats(&image.manifest).into_iter().map(|format| {
            format!(
                "the image can no longer be pulled lazily: the manifest's {format} annotations described the old layers and are gone"
            )
        }));
    }
    lost
}

/// Why a manifest has another digest, though no layer need have changed.
fn types_changed(family: Family) -> &'static str {
    match family {
        Family::Oci => {
            "the manifest digest changes: the image had Docker media types, and an OCI layout or archive has OCI's"
        }
        Family::Docker => {
            "the manifest digest changes: the image had OCI media types, and a docker archive has Docker's"
        }
    }
}
