//! `compare`: how images differ in size from one before.

mod align;
mod modules;

use std::collections::HashMap;

use super::pairs::{self, Pair};
use super::summary;
use super::{Options, PipelineError, open, survey};
use crate::inventory::{Inventory, Sizes};
use crate::oci::{Image, Node};
use crate::report::model::{
    CompareImage, CompareLayer, CompareLevels, CompareManifests, CompareReport, CompareSide,
    CompareTotals, ComparedLayer, Pull, UnmatchedPlatform,
};
use crate::report::size;
use crate::transport::Source;
use align::{LayerContent, align};
use modules::{ModuleFile, changed_modules, module_files, trees};

/// Compares the images of the source before with those of each source after, platform by platform.
/// Each source comes with its reference as the user wrote it.
///
/// # Errors
/// [`PipelineError`] where an image cannot be read, or a source after has none to compare.
pub fn compare(
    before: (&Source, &str),
    afters: &[(&Source, &str)],
    options: &Options<'_>,
) -> Result<CompareReport, PipelineError> {
    let before_root = open(before.0, options)?;
    let mut roots = Vec::new();
    for (source, _) in afters {
        roots.push(open(source, options)?);
    }
    let paired = pair_up(&before_root, &roots, afters)?;
    // By platform, so that the image before is read once and not kept.
    let mut images = Vec::new();
    for old in before_root.images() {
        let partners: Vec<_> = paired
            .iter()
            .zip(afters)
            .filter_map(|(pairs, after)| Some((partner(pairs, old)?, after)))
            .collect();
        if partners.is_empty() {
            continue;
        }
        let old_side = Side::new(old, survey(&*before.0.store, old, false, options)?);
        for (new, (source, reference)) in partners {
            let new_side = Side::new(new, survey(&*source.store, new, false, options)?);
            images.push(compare_images(&old_side, &new_side, reference));
        }
    }
    let references = afters.iter().map(|(_, reference)| *reference);
    let named: Vec<(&Node, &str)> = roots.iter().zip(references).collect();
    Ok(CompareReport {
        schema: "pycull.compare/1",
        before: before.1.to_owned(),
        after: afters.first().map_or("", |after| after.1).to_owned(),
        images,
        unmatched: unmatched((&before_root, before.1), &named, &paired),
    })
}

/// The pairs that each source after makes with the one before.
fn pair_up<'a>(
    before: &'a Node,
    roots: &'a [Node],
    afters: &[(&Source, &str)],
) -> Result<Vec<Vec<Pair<'a>>>, PipelineError> {
    let both = roots.iter().zip(afters);
    both.map(|(root, (_, reference))| pairs::pairs(before, root, reference))
        .collect()
}

fn partner<'a>(pairs: &[Pair<'a>], image: &Image) -> Option<&'a Image> {
    let found = pairs.iter().find(|(old, _)| std::ptr::eq(*old, image));
    found.map(|(_, new)| *new)
}

/// Platforms that the image before or one after has and the other lacks, each once.
fn unmatched(
    before: (&Node, &str),
    afters: &[(&Node, &str)],
    paired: &[Vec<Pair<'_>>],
) -> Vec<UnmatchedPlatform> {
    let mut unmatched = Vec::new();
    for (after, pairs) in afters.iter().zip(paired) {
        let sides = [
            (before, after.1, CompareSide::Before),
            (*after, before.1, CompareSide::After),
        ];
        for ((root, reference), other, side) in sides {
            unmatched.extend(pairs::unpaired(root, pairs).map(|image| UnmatchedPlatform {
                platform: image.platform.to_string(),
                present_in: reference.to_owned(),
                absent_from: other.to_owned(),
                side,
            }));
        }
    }
    unmatched
}

/// One of the two images.
struct Side<'a> {
    image: &'a Image,
    inventory: Inventory,
    layers: Vec<LayerContent>,
    modules: Vec<ModuleFile>,
}

impl<'a> Side<'a> {
    fn new(image: &'a Image, inventory: Inventory) -> Self {
        Self {
            image,
            layers: inventory.layers.iter().map(LayerContent::new).collect(),
            modules: module_files(&inventory),
            inventory,
        }
    }

    fn levels(&self) -> [Sizes; 3] {
        let layers = summary::levels_by_layer(&self.inventory).into_iter();
        layers.fold([Sizes::default(); 3], |sum, layer| {
            std::array::from_fn(|level| Sizes {
                files: sum[level].files + layer[level].files,
                bytes: sum[level].bytes + layer[level].bytes,
            })
        })
    }
}

fn compare_images(before: &Side<'_>, after: &Side<'_>, reference: &str) -> CompareImage {
    CompareImage {
        platform: after.image.platform.to_string(),
        after: reference.to_owned(),
        manifests: CompareManifests {
            before: before.image.manifest_digest().to_owned(),
            after: after.image.manifest_digest().to_owned(),
        },
        totals: totals(before, after),
        layers: side_by_side(before, after),
        levels: CompareLevels {
            before: summary::levels(before.levels()),
            after: summary::levels(after.levels()),
        },
        trees: trees(
            (&before.inventory, &before.modules),
            (&after.inventory, &after.modules),
        ),
        modules: changed_modules(&before.modules, &after.modules),
        pull: pull(before.image, after.image),
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

fn side_by_side(before: &Side<'_>, after: &Side<'_>) -> Vec<CompareLayer> {
    let old = compared_layers(&before.inventory);
    let new = compared_layers(&after.inventory);
    align(&before.layers, &after.layers)
        .into_iter()
        .map(|(before, after)| {
            let (before, after) = (before.map(|at| &old[at]), after.map(|at| &new[at]));
            let difference = |bytes: fn(&ComparedLayer) -> u64| {
                size::bytes_more(before.map_or(0, bytes), after.map_or(0, bytes))
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

fn totals(before: &Side<'_>, after: &Side<'_>) -> CompareTotals {
    let compressed = [before, after].map(|side| summary::compressed_bytes(side.image));
    let uncompressed = [before, after].map(|side| summary::uncompressed_bytes(&side.inventory));
    CompareTotals {
        compressed_before: compressed[0],
        compressed_after: compressed[1],
        compressed_difference: size::bytes_more(compressed[0], compressed[1]),
        uncompressed_before: uncompressed[0],
        uncompressed_after: uncompressed[1],
        uncompressed_difference: size::bytes_more(uncompressed[0], uncompressed[1]),
    }
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
