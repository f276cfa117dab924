//! How images differ in size from one before: layers lined up, bytecode by tree and level, the modules that changed
//! most, and whether that keeps to gates.

mod align;
mod gates;
mod modules;
mod pull;
mod size_or_share;

use crate::inventory::{Inventory, Sizes, layer_levels};
use crate::oci::{Image, Platform};

use align::{LayerContent, align};
use modules::{ModuleFile, changed_modules, module_files, trees};

pub use gates::Gates;
pub use modules::{ModuleDifference, TreeDifference, TreeSizes};
pub use pull::Pull;
pub use size_or_share::Limit;

/// Something of the image before, and of the one after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Both<T> {
    /// Of the image before.
    pub before: T,
    /// Of the image after.
    pub after: T,
}

/// Sizes of a layer in bytes.
#[derive(Debug, Clone)]
pub struct LayerSizes {
    /// Its number, the lowest is 1.
    pub number: usize,
    /// Digest of its blob.
    pub digest: String,
    /// Of its blob.
    pub compressed: u64,
    /// Of its tar archive.
    pub uncompressed: u64,
    /// Of its caches, by level.
    pub levels: [Sizes; 3],
}

/// How an image differs from one before.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// That of the image after.
    pub platform: Platform,
    /// Digests of the manifests.
    pub manifests: Both<String>,
    /// Layers side by side, lowest first; one alone came or went.
    pub layers: Vec<Both<Option<LayerSizes>>>,
    /// Bytes of all blobs of layers, one that several layers share counted as often as it is named.
    pub compressed: Both<u64>,
    /// Bytes of all layers without compression.
    pub uncompressed: Both<u64>,
    /// Caches of all layers by level, hidden ones included.
    pub levels: Both<[Sizes; 3]>,
    /// The trees of both, by path.
    pub trees: Vec<TreeDifference>,
    /// The modules that changed most.
    pub modules: Vec<ModuleDifference>,
    /// What a node must fetch.
    pub pull: Pull,
}

/// One of two images.
pub struct Side<'a> {
    image: &'a Image,
    inventory: Inventory,
    contents: Vec<LayerContent>,
    modules: Vec<ModuleFile>,
}

impl<'a> Side<'a> {
    /// An image, with what is in it.
    pub fn new(image: &'a Image, inventory: Inventory) -> Self {
        Self {
            image,
            contents: inventory.layers.iter().map(LayerContent::new).collect(),
            modules: module_files(&inventory),
            inventory,
        }
    }

    fn layers(&self) -> Vec<LayerSizes> {
        let levels = layer_levels(&self.inventory);
        let layers = self.inventory.layers.iter().zip(levels).enumerate();
        let sizes = layers.map(|(index, (scan, levels))| LayerSizes {
            number: index + 1,
            digest: scan.layer.descriptor.digest().to_string(),
            compressed: scan.layer.descriptor.size(),
            uncompressed: scan.uncompressed_bytes,
            levels,
        });
        sizes.collect()
    }
}

/// Holds two images against each other.
pub fn compare(before: &Side<'_>, after: &Side<'_>) -> Comparison {
    let old = before.layers();
    let new = after.layers();
    let side = |layers: &[LayerSizes], place: Option<usize>| Some(layers[place?].clone());
    let rows = align(&before.contents, &after.contents).into_iter();
    Comparison {
        platform: after.image.platform.clone(),
        manifests: Both {
            before: before.image.manifest_digest().to_owned(),
            after: after.image.manifest_digest().to_owned(),
        },
        layers: rows
            .map(|(before, after)| Both {
                before: side(&old, before),
                after: side(&new, after),
            })
            .collect(),
        compressed: Both {
            before: old.iter().map(|layer| layer.compressed).sum(),
            after: new.iter().map(|layer| layer.compressed).sum(),
        },
        uncompressed: Both {
            before: old.iter().map(|layer| layer.uncompressed).sum(),
            after: new.iter().map(|layer| layer.uncompressed).sum(),
        },
        levels: Both {
            before: sum(&old),
            after: sum(&new),
        },
        trees: trees(
            (&before.inventory, &before.modules),
            (&after.inventory, &after.modules),
        ),
        modules: changed_modules(&before.modules, &after.modules),
        pull: Pull::of(before.image, after.image),
    }
}

/// The caches of all layers by level.
fn sum(layers: &[LayerSizes]) -> [Sizes; 3] {
    std::array::from_fn(|level| Sizes {
        files: layers.iter().map(|layer| layer.levels[level].files).sum(),
        bytes: layers.iter().map(|layer| layer.levels[level].bytes).sum(),
    })
}
