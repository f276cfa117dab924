//! Warnings about an image that pycull wrote.

use std::sync::Arc;

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

/// The parts of an image that was written.
#[derive(Clone, Copy)]
pub(crate) struct Written<'a> {
    /// What happened to each layer of the original image.
    pub outcomes: &'a [LayerOutcome],
    /// The layer that was added on top, if any.
    pub appended: Option<&'a WrittenLayer>,
    /// The new config and manifest.
    pub documents: &'a NewDocuments,
    /// The family of the new media types, if they differ from the original ones.
    pub new_types: Option<Family>,
    /// The compression that was requested for layers.
    pub compression: CompressionSetting,
}

/// Returns all warnings about a written image.
pub(super) fn warnings(image: &Image, inventory: &Inventory, written: Written<'_>) -> Vec<String> {
    let mut warnings = lost_lazy_pulling(image, written.outcomes);
    if written.compression.keeps() {
        warnings.extend(grown_layers(inventory, written.outcomes));
    }
    let new_types = written.new_types.map(types_changed);
    warnings.extend(new_types.map(str::to_owned));
    if written.documents.history_is_misaligned {
        warnings.push(
            "the config's history does not have one entry for each layer; pycull counts entries from the lowest layer up, and adds none".to_owned(),
        );
    }
    warnings
}

/// Warns about layers whose blobs grew, although their content shrank.
fn grown_layers(inventory: &Inventory, outcomes: &[LayerOutcome]) -> Vec<String> {
    let layers = inventory.layers.iter().zip(outcomes).enumerate();
    let warning = |(index, (scan, outcome)): (usize, (&Arc<LayerScan>, &LayerOutcome))| {
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
                "layer {} grew from {} to {} compressed, although it has less content; `--compression {setting}` makes it smaller",
                index + 1,
                size::bytes(scan.layer.descriptor.size()),
                size::bytes(written.compressed_bytes),
            )
        })
    };
    layers.filter_map(warning).collect()
}

/// Warns about layers that can no longer be pulled lazily: the annotations that located their files described the old
/// bytes.
fn lost_lazy_pulling(image: &Image, outcomes: &[LayerOutcome]) -> Vec<String> {
    let descriptors = image.manifest.get("layers").and_then(Value::as_array);
    let descriptors = descriptors.into_iter().flatten().zip(outcomes).enumerate();
    let changed = descriptors.filter(|(_, (_, outcome))| !matches!(outcome, LayerOutcome::Kept));
    let mut lost: Vec<String> = changed
        .flat_map(|(index, (descriptor, _))| {
            let formats = lazy_formats(descriptor).into_iter();
            formats.map(move |format| {
                format!(
                    "layer {} can no longer be pulled lazily: pycull removed its {format} annotations, which described the old bytes",
                    index + 1
                )
            })
        })
        .collect();
    if are_layers_changed(outcomes) {
        lost.extend(lazy_formats(&image.manifest).into_iter().map(|format| {
            format!(
                "the image can no longer be pulled lazily: pycull removed the manifest's {format} annotations, which described the old layers"
            )
        }));
    }
    lost
}

/// Explains why the manifest's digest changed even if no layer changed.
fn types_changed(family: Family) -> &'static str {
    match family {
        Family::Oci => {
            "the manifest digest changes: the image had Docker media types, and an OCI layout or archive needs OCI's"
        }
        Family::Docker => {
            "the manifest digest changes: the image had OCI media types, and the output needs Docker's"
        }
    }
}
