//! Compares the size of an image with the size of one before: pairs of layers, bytecode by tree and level, the modules
//! that changed most, and gates. [`compare_sizes`] compares what the manifests alone say.

mod gates;
mod layer_pairs;
mod modules;
mod pull;
mod size_or_share;

use crate::inventory::{Inventory, Sizes, layer_levels};
use crate::oci::image::Layer;
use crate::oci::{Image, Platform};

use layer_pairs::{LayerContent, Row, align, pair_by_position};
use modules::{ModuleFile, changed_modules, module_files, trees};

pub use gates::Gates;
pub use modules::{ModuleDifference, TreeDifference, TreeSizes};
pub use pull::Pull;
pub use size_or_share::Limit;

/// A value of the image before and of the image after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Both<T> {
    /// The value of the image before.
    pub before: T,
    /// The value of the image after.
    pub after: T,
}

impl<T> Both<Vec<T>> {
    fn each<U>(&self, value: impl Fn(&[T]) -> U) -> Both<U> {
        Both {
            before: value(&self.before),
            after: value(&self.after),
        }
    }
}

/// The sizes of a layer.
#[derive(Debug, Clone)]
pub struct LayerSizes {
    /// The layer's number. The lowest layer is 1.
    pub number: usize,
    /// Digest of its blob.
    pub digest: String,
    /// Media type, from the manifest.
    pub media_type: String,
    /// Size of its blob in bytes.
    pub compressed: u64,
    /// What reading the layer shows. None if nobody read it.
    pub content: Option<LayerContentSizes>,
}

/// The sizes that only reading a layer shows.
#[derive(Debug, Clone, Default)]
pub struct LayerContentSizes {
    /// Size of its tar archive in bytes.
    pub uncompressed: u64,
    /// Its caches by level.
    pub levels: [Sizes; 3],
}

/// The differences between an image before and an image after.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The platform of the image after.
    pub platform: Platform,
    /// The digests of the manifests.
    pub manifests: Both<String>,
    /// Pairs of layers, lowest first. A layer that was added or removed is alone.
    pub layers: Vec<Both<Option<LayerSizes>>>,
    /// Size of all blobs of layers, in bytes. A blob counts once for every layer that uses it.
    pub compressed: Both<u64>,
    /// The bytes that a host must fetch.
    pub pull: Pull,
    /// What reading the layers shows. None if nobody read them.
    pub content: Option<ContentDifference>,
}

/// The differences that only reading the layers shows.
#[derive(Debug, Clone)]
pub struct ContentDifference {
    /// Size of all layers without compression, in bytes.
    pub uncompressed: Both<u64>,
    /// Caches in all layers by level, including hidden ones.
    pub levels: Both<[Sizes; 3]>,
    /// The trees of both images, sorted by path.
    pub trees: Vec<TreeDifference>,
    /// The modules that changed most.
    pub modules: Vec<ModuleDifference>,
}

/// One side of a comparison.
pub struct Side<'a> {
    image: &'a Image,
    inventory: Inventory,
    contents: Vec<LayerContent>,
    modules: Vec<ModuleFile>,
}

impl<'a> Side<'a> {
    /// Prepares an image for comparisons.
    pub fn new(image: &'a Image, inventory: Inventory) -> Self {
        Self {
            image,
            contents: (inventory.layers.iter())
                .map(|scan| LayerContent::new(scan))
                .collect(),
            modules: module_files(&inventory),
            inventory,
        }
    }

    fn layers(&self) -> Vec<LayerSizes> {
        let levels = layer_levels(&self.inventory);
        let layers = self.inventory.layers.iter().zip(levels).enumerate();
        let sizes = layers.map(|(index, (scan, levels))| LayerSizes {
            content: Some(LayerContentSizes {
                uncompressed: scan.uncompressed_bytes,
                levels,
            }),
            ..LayerSizes::from_manifest(index, &scan.layer)
        });
        sizes.collect()
    }
}

impl LayerSizes {
    fn from_manifest(index: usize, layer: &Layer) -> Self {
        Self {
            number: index + 1,
            digest: layer.descriptor.digest().to_string(),
            media_type: layer.descriptor.media_type().to_string(),
            compressed: layer.descriptor.size(),
            content: None,
        }
    }
}

/// Compares two images.
pub fn compare(before: &Side<'_>, after: &Side<'_>) -> Comparison {
    let layers = Both {
        before: before.layers(),
        after: after.layers(),
    };
    let rows = align(&before.contents, &after.contents);
    Comparison {
        content: Some(content_difference(before, after, &layers)),
        ..compared(before.image, after.image, &layers, rows)
    }
}

/// Compares two images by their manifests and configs alone.
pub fn compare_sizes(before: &Image, after: &Image) -> Comparison {
    let contents = |image: &Image| image.layers.iter().map(LayerContent::unread).collect();
    let [old, new]: [Vec<LayerContent>; 2] = [before, after].map(contents);
    let sizes = |image: &Image| {
        let layers = image.layers.iter().enumerate();
        let sizes = layers.map(|(index, layer)| LayerSizes::from_manifest(index, layer));
        sizes.collect()
    };
    let layers = Both {
        before: sizes(before),
        after: sizes(after),
    };
    compared(before, after, &layers, pair_by_position(align(&old, &new)))
}

fn compared(
    before: &Image,
    after: &Image,
    layers: &Both<Vec<LayerSizes>>,
    rows: Vec<Row>,
) -> Comparison {
    let side = |layers: &[LayerSizes], place: Option<usize>| Some(layers[place?].clone());
    let compressed = |layers: &[LayerSizes]| layers.iter().map(|layer| layer.compressed).sum();
    Comparison {
        platform: after.platform.clone(),
        manifests: Both {
            before: before.manifest_digest().to_owned(),
            after: after.manifest_digest().to_owned(),
        },
        compressed: layers.each(compressed),
        layers: rows
            .into_iter()
            .map(|(before, after)| Both {
                before: side(&layers.before, before),
                after: side(&layers.after, after),
            })
            .collect(),
        pull: Pull::of(before, after),
        content: None,
    }
}

fn content_difference(
    before: &Side<'_>,
    after: &Side<'_>,
    layers: &Both<Vec<LayerSizes>>,
) -> ContentDifference {
    let uncompressed = |layers: &[LayerSizes]| contents(layers).map(|it| it.uncompressed).sum();
    ContentDifference {
        uncompressed: layers.each(uncompressed),
        levels: layers.each(sum),
        trees: trees(
            (&before.inventory, &before.modules),
            (&after.inventory, &after.modules),
        ),
        modules: changed_modules(&before.modules, &after.modules),
    }
}

fn contents(layers: &[LayerSizes]) -> impl Iterator<Item = &LayerContentSizes> {
    layers.iter().filter_map(|layer| layer.content.as_ref())
}

/// Sums the caches of all layers by level.
fn sum(layers: &[LayerSizes]) -> [Sizes; 3] {
    let sizes = |level: usize| contents(layers).map(move |it| it.levels[level]);
    std::array::from_fn(|level| Sizes {
        files: sizes(level).map(|sizes| sizes.files).sum(),
        bytes: sizes(level).map(|sizes| sizes.bytes).sum(),
    })
}
