//! The report of `compare`.

use serde::Serialize;

use super::{Count, Levels};

/// How the sizes of images differ from one image before.
#[derive(Debug, Clone, Serialize)]
pub struct CompareReport {
    /// `pycull.compare/1`.
    pub schema: &'static str,
    /// The reference of the image before.
    pub before: String,
    /// The reference of the image after: the first one, if there are several.
    pub after: String,
    /// The compared images, one for each platform that both sides have. Sorted by platform, then by the order of the
    /// images after.
    pub images: Vec<CompareImage>,
    /// Platforms that one of two compared images has and the other lacks.
    pub unmatched: Vec<UnmatchedPlatform>,
}

/// A platform that one of two images lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnmatchedPlatform {
    /// For example `linux/arm64`.
    pub platform: String,
    /// The image that has it.
    pub present_in: String,
    /// The image that lacks it.
    pub absent_from: String,
    /// Which side has the platform.
    pub side: CompareSide,
}

/// One of the two sides of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CompareSide {
    /// The image before.
    Before,
    /// The image after.
    After,
}

/// How two images of one platform differ.
#[derive(Debug, Clone, Serialize)]
pub struct CompareImage {
    /// For example `linux/amd64`.
    pub platform: String,
    /// The reference of the image after.
    pub after: String,
    /// The manifest digests of both images.
    pub manifests: CompareManifests,
    /// Layers side by side, lowest first. A layer is paired with the same layer, or else with one that shares most of
    /// the content of the smaller. With `--sizes`, other layers are paired by their position.
    pub layers: Vec<CompareLayer>,
    /// Sums over all layers.
    pub totals: CompareTotals,
    /// Bytecode by level over all layers, including hidden caches. None if pycull did not read the layers.
    pub levels: Option<CompareLevels>,
    /// The Python trees of both images, sorted by path. None if pycull did not read the layers.
    pub trees: Option<Vec<CompareTree>>,
    /// The modules that changed most. At most 50. None if pycull did not read the layers.
    pub modules: Option<Vec<CompareModule>>,
    /// The bytes that a host must fetch for the image after.
    pub pull: Pull,
}

/// The manifest digests of two images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CompareManifests {
    /// Digest of the image before.
    pub before: String,
    /// Digest of the image after.
    pub after: String,
}

/// A layer before and its counterpart after.
#[derive(Debug, Clone, Serialize)]
pub struct CompareLayer {
    /// The layer before. None if the layer was added.
    pub before: Option<ComparedLayer>,
    /// The layer after. None if the layer was dropped.
    pub after: Option<ComparedLayer>,
    /// Size of the blob after minus before, in bytes.
    pub compressed_difference: i64,
    /// Size of the tar archive after minus before, in bytes. None if pycull did not read the layers.
    pub uncompressed_difference: Option<i64>,
}

/// One side of a pair of layers.
#[derive(Debug, Clone, Serialize)]
pub struct ComparedLayer {
    /// The layer's number. The lowest layer is 1.
    pub index: usize,
    /// Digest of its blob.
    pub digest: String,
    /// Media type, from the manifest.
    pub media_type: String,
    /// Size of its blob in bytes.
    pub compressed_bytes: u64,
    /// Size of its tar archive in bytes. None if pycull did not read the layer.
    pub uncompressed_bytes: Option<u64>,
    /// Caches by level. None if pycull did not read the layer.
    pub levels: Option<Levels>,
}

/// Sums over all layers.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CompareTotals {
    /// Size of all blobs before, in bytes.
    pub compressed_before: u64,
    /// Size of all blobs after, in bytes.
    pub compressed_after: u64,
    /// `compressed_after` minus `compressed_before`.
    pub compressed_difference: i64,
    /// Size of all tar archives before, in bytes. None if pycull did not read the layers.
    pub uncompressed_before: Option<u64>,
    /// Size of all tar archives after, in bytes. None if pycull did not read the layers.
    pub uncompressed_after: Option<u64>,
    /// `uncompressed_after` minus `uncompressed_before`. None if pycull did not read the layers.
    pub uncompressed_difference: Option<i64>,
}

/// Bytecode by level in both images.
#[derive(Debug, Clone, Serialize)]
pub struct CompareLevels {
    /// Caches in the image before.
    pub before: Levels,
    /// Caches in the image after.
    pub after: Levels,
}

/// One Python tree in both images. Counts every file in every layer, hidden or not. A hardlink has no bytes.
#[derive(Debug, Clone, Serialize)]
pub struct CompareTree {
    /// The tree's directory. None for files that a later layer hides and that lie outside every tree.
    pub path: Option<String>,
    /// The Python version after, or else before. For example `3.11`. None if it is unknown.
    pub python: Option<String>,
    /// The tree in the image before.
    pub before: ComparedTree,
    /// The tree in the image after.
    pub after: ComparedTree,
    /// Bytes after minus bytes before.
    pub difference_bytes: i64,
}

/// One side of a tree. All zero if the image does not have the tree.
#[derive(Debug, Clone, Serialize)]
pub struct ComparedTree {
    /// Files named `*.py`.
    pub sources: Count,
    /// Caches by level.
    pub levels: Levels,
    /// Sourceless modules.
    pub sourceless: Count,
}

/// A module whose size differs between two images. Counts its source and its bytecode of all levels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CompareModule {
    /// The path of its source, even if the source is missing.
    pub path: String,
    /// Bytes before.
    pub before_bytes: u64,
    /// Bytes after.
    pub after_bytes: u64,
    /// Bytes after minus bytes before.
    pub difference_bytes: i64,
}

/// The bytes that a host must fetch for the image after: manifest, config and layers, each blob once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pull {
    /// On a host without any part of the image.
    pub cold_bytes: u64,
    /// On a host that has the image before.
    pub warm_bytes: u64,
}
