//! `compare`: how two images differ in size.

mod align;

use std::collections::HashMap;

use super::pairs::{pairs, unmatched};
use super::summary;
use super::{Options, PipelineError, open, survey};
use crate::inventory::{Inventory, Sizes};
use crate::oci::Image;
use crate::report::model::{
    CompareImage, CompareLayer, CompareLevels, CompareReport, CompareTotals, ComparedLayer, Pull,
};
use crate::transport::Source;
use align::{LayerContent, align};

/// Compares the images of each platform that both sources have. Each source comes with its
/// reference as the user wrote it.
///
/// # Errors
/// [`PipelineError`] where an image cannot be read, or there is no pair.
pub fn compare(
    before: (&Source, &str),
    after: (&Source, &str),
    options: &Options<'_>,
) -> Result<CompareReport, PipelineError> {
    let (before_root, after_root) = (open(before.0, options)?, open(after.0, options)?);
    let pairs = pairs(&before_root, &after_root)?;
    let mut images = Vec::new();
    for (old, new) in &pairs {
        let old_inventory = survey(&*before.0.store, old, false, options)?;
        let new_inventory = survey(&*after.0.store, new, false, options)?;
        images.push(compare_images((old, &old_inventory), (new, &new_inventory)));
    }
    Ok(CompareReport {
        schema: "pycull.compare/1",
        before: before.1.to_owned(),
        after: after.1.to_owned(),
        images,
        unmatched: unmatched(&before_root, &after_root, &pairs),
    })
}

type Side<'a> = (&'a Image, &'a Inventory);

fn compare_images(before: Side<'_>, after: Side<'_>) -> CompareImage {
    let sum = |side: Side<'_>| {
        let layers = summary::levels_by_layer(side.1).into_iter();
        let total = layers.fold([Sizes::default(); 3], |sum, layer| {
            std::array::from_fn(|level| Sizes {
                files: sum[level].files + layer[level].files,
                bytes: sum[level].bytes + layer[level].bytes,
            })
        });
        summary::levels(total)
    };
    CompareImage {
        platform: after.0.platform.to_string(),
        totals: totals(before, after),
        layers: side_by_side(before.1, after.1),
        levels: CompareLevels {
            before: sum(before),
            after: sum(after),
        },
        pull: pull(before.0, after.0),
    }
}

fn compared_layers(inventory: &Inventory) -> Vec<ComparedLayer> {
    let levels = summary::levels_by_layer(inventory);
    let layers = inventory.layers.iter().zip(levels).enumerate();
    layers
        .map(|(index, (scan, levels))| ComparedLayer {
            index: index + 1,
            digest: scan.layer.descriptor.digest().to_string(),
            compressed_bytes: scan.layer.descriptor.size(),
            uncompressed_bytes: scan.uncompressed_bytes,
            levels: summary::levels(levels),
        })
        .collect()
}

fn side_by_side(before: &Inventory, after: &Inventory) -> Vec<CompareLayer> {
    let (old, new) = (compared_layers(before), compared_layers(after));
    let contents = |inventory: &Inventory| {
        let layers = inventory.layers.iter();
        layers.map(LayerContent::new).collect::<Vec<_>>()
    };
    align(&contents(before), &contents(after))
        .into_iter()
        .map(|(before, after)| {
            let (before, after) = (before.map(|at| &old[at]), after.map(|at| &new[at]));
            let difference = |bytes: fn(&ComparedLayer) -> u64| {
                signed_difference(before.map_or(0, bytes), after.map_or(0, bytes))
            };
            CompareLayer {
                compressed_difference: difference(|layer| layer.compressed_bytes),
                uncompressed_difference: difference(|layer| layer.uncompressed_bytes),
                before: before.cloned(),
                after: after.cloned(),
            }
        })
        .collect()
}

fn totals(before: Side<'_>, after: Side<'_>) -> CompareTotals {
    let compressed = (
        summary::compressed_bytes(before.0),
        summary::compressed_bytes(after.0),
    );
    let uncompressed = (
        summary::uncompressed_bytes(before.1),
        summary::uncompressed_bytes(after.1),
    );
    CompareTotals {
        compressed_before: compressed.0,
        compressed_after: compressed.1,
        compressed_difference: signed_difference(compressed.0, compressed.1),
        uncompressed_before: uncompressed.0,
        uncompressed_after: uncompressed.1,
        uncompressed_difference: signed_difference(uncompressed.0, uncompressed.1),
    }
}

fn signed_difference(before: u64, after: u64) -> i64 {
    after.cast_signed() - before.cast_signed()
}

fn pull(before: &Image, after: &Image) -> Pull {
    let old = blobs(before);
    let new = blobs(after);
    let warm = new.iter().filter(|(digest, _)| !old.contains_key(*digest));
    Pull {
        cold_bytes: new.values().sum(),
        warm_bytes: warm.map(|(_, bytes)| bytes).sum(),
    }
}

/// Every blob of an image once.
fn blobs(image: &Image) -> HashMap<String, u64> {
    let mut blobs = summary::documents(image);
    blobs.extend(image.layers.iter().map(|layer| {
        (
            layer.descriptor.digest().to_string(),
            layer.descriptor.size(),
        )
    }));
    blobs
}
