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
    let content = &comparison.content;
    CompareImage {
        platform: comparison.platform.to_string(),
        after: reference.to_owned(),
        manifests: CompareManifests {
            before: comparison.manifests.before,
            after: comparison.manifests.after,
        },
        totals: totals(comparison.compressed, content.uncompressed),
        layers: comparison.layers.into_iter().map(layer).collect(),
        levels: CompareLevels {
            before: summary::levels(content.levels.before),
            after: summary::levels(content.levels.after),
        },
        trees: content.trees.iter().map(tree).collect(),
        modules: content.modules.iter().map(module).collect(),
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

fn totals(compressed: Both<u64>, uncompressed: Both<u64>) -> CompareTotals {
    CompareTotals {
        compressed_before: compressed.before,
        compressed_after: compressed.after,
        compressed_difference: bytes_more(compressed.before, compressed.after),
        uncompressed_before: uncompressed.before,
        uncompressed_after: uncompressed.after,
        uncompressed_difference: bytes_more(uncompressed.before, uncompressed.after),
    }
}

fn layer(layer: Both<Option<LayerSizes>>) -> CompareLayer {
    let difference = |bytes: fn(&LayerSizes) -> u64| {
        let bytes = |layer: &Option<LayerSizes>| layer.as_ref().map_or(0, bytes);
        bytes_more(bytes(&layer.before), bytes(&layer.after))
    };
    CompareLayer {
        compressed_difference: difference(|layer| layer.compressed),
        uncompressed_difference: difference(|layer| layer.content.uncompressed),
        before: layer.before.map(one_layer),
        after: layer.after.map(one_layer),
    }
}

fn one_layer(layer: LayerSizes) -> ComparedLayer {
    ComparedLayer {
        index: layer.number,
        digest: layer.digest,
        media_type: layer.media_type,
        compressed_bytes: layer.compressed,
        uncompressed_bytes: layer.content.uncompressed,
        levels: summary::levels(layer.content.levels),
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
