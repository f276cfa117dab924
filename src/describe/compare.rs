//! Turns comparisons into the report of `compare`.

use super::summary;
use crate::compare::{Both, Comparison, LayerSizes, ModuleDifference, TreeDifference, TreeSizes};
use crate::path;
use crate::report::input_name;
use crate::report::model::{
    CompareImage, CompareLayer, CompareLevels, CompareManifests, CompareModule, CompareTotals,
    CompareTree, ComparedLayer, ComparedTree, Pull, UnmatchedPlatform,
};
use crate::size::bytes_more;

/// Makes the report for one comparison. `reference` is the image after.
pub(crate) fn compare(comparison: Comparison, reference: &str) -> CompareImage {
    let content = comparison.content.as_ref();
    CompareImage {
        platform: comparison.platform.to_string(),
        after: reference.to_owned(),
        manifests: CompareManifests {
            before: comparison.manifests.before,
            after: comparison.manifests.after,
        },
        totals: totals(comparison.compressed, content.map(|it| it.uncompressed)),
        layers: comparison.layers.into_iter().map(layer).collect(),
        levels: content.map(|it| CompareLevels {
            before: summary::levels(it.levels.before),
            after: summary::levels(it.levels.after),
        }),
        trees: content.map(|it| it.trees.iter().map(tree).collect()),
        modules: content.map(|it| it.modules.iter().map(module).collect()),
        pull: Pull {
            cold_bytes: comparison.pull.cold,
            warm_bytes: comparison.pull.warm,
        },
    }
}

/// Prefixes each failed gate with the name and platform of the image after, which is called `reference`.
pub(crate) fn refusals(
    comparison: &Comparison,
    reference: &str,
    failures: Vec<String>,
) -> impl Iterator<Item = String> {
    let name = format!("{} ({})", input_name(reference), comparison.platform);
    let failures = failures.into_iter();
    failures.map(move |failure| format!("{name} {failure}"))
}

/// The message for a platform to which no gate can be applied, because one image lacks it.
pub(crate) fn no_gate(unmatched: &UnmatchedPlatform) -> String {
    format!(
        "cannot apply gates to {}: {} has this platform, and {} does not",
        unmatched.platform,
        input_name(&unmatched.present_in),
        input_name(&unmatched.absent_from)
    )
}

fn totals(compressed: Both<u64>, uncompressed: Option<Both<u64>>) -> CompareTotals {
    let difference = |bytes: Both<u64>| bytes_more(bytes.before, bytes.after);
    CompareTotals {
        compressed_before: compressed.before,
        compressed_after: compressed.after,
        compressed_difference: difference(compressed),
        uncompressed_before: uncompressed.map(|it| it.before),
        uncompressed_after: uncompressed.map(|it| it.after),
        uncompressed_difference: uncompressed.map(difference),
    }
}

fn layer(layer: Both<Option<LayerSizes>>) -> CompareLayer {
    let before = layer.before.map(one_layer);
    let after = layer.after.map(one_layer);
    // A layer that is alone grew from nothing, or shrank to nothing.
    let compressed = |layer: &Option<ComparedLayer>| match layer {
        Some(layer) => layer.compressed_bytes,
        None => 0,
    };
    let uncompressed = |layer: &Option<ComparedLayer>| match layer {
        Some(layer) => layer.uncompressed_bytes,
        None => Some(0),
    };
    let unpacked = uncompressed(&before).zip(uncompressed(&after));
    CompareLayer {
        compressed_difference: bytes_more(compressed(&before), compressed(&after)),
        uncompressed_difference: unpacked.map(|(before, after)| bytes_more(before, after)),
        before,
        after,
    }
}

fn one_layer(layer: LayerSizes) -> ComparedLayer {
    let content = layer.content;
    ComparedLayer {
        index: layer.number,
        digest: layer.digest,
        media_type: layer.media_type,
        compressed_bytes: layer.compressed,
        uncompressed_bytes: content.as_ref().map(|it| it.uncompressed),
        levels: content.map(|it| summary::levels(it.levels)),
    }
}

fn tree(tree: &TreeDifference) -> CompareTree {
    let Both { before, after } = tree.sizes;
    CompareTree {
        path: tree.path.as_deref().map(path::text),
        python: tree.version.map(|version| version.to_string()),
        before: one_tree(&before),
        after: one_tree(&after),
        difference_bytes: bytes_more(before.bytes(), after.bytes()),
    }
}

fn one_tree(sizes: &TreeSizes) -> ComparedTree {
    ComparedTree {
        sources: summary::count(sizes.sources),
        levels: summary::levels(sizes.levels),
        sourceless: summary::count(sizes.sourceless),
    }
}

fn module(module: &ModuleDifference) -> CompareModule {
    let Both { before, after } = module.bytes;
    CompareModule {
        path: path::text(&module.path),
        before_bytes: before,
        after_bytes: after,
        difference_bytes: bytes_more(before, after),
    }
}
