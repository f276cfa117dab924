//! What `compare` says.

use serde::Serialize;

use super::{Count, Levels};

/// How images differ in size from one before.
#[derive(Debug, Clone, Serialize)]
pub struct CompareReport {
    /// `pycull.compare/1`.
    pub schema: &'static str,
    /// The image before.
    pub before: String,
    /// The image after; of several the first.
    pub after: String,
    /// One for each platform that the image before and one after have, by platform, then in the order of the images after.
    pub images: Vec<CompareImage>,
    /// Platforms that the image before or one after has and the other lacks.
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
    /// Which of them has it.
    pub side: CompareSide,
}

/// One of two images that are compared.
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
    /// The image after.
    pub after: String,
    /// Digests of the manifests of both.
    pub manifests: CompareManifests,
    /// Layers side by side, lowest first: the same ones, else those that share most of what is in the smaller.
    pub layers: Vec<CompareLayer>,
    /// All layers together.
    pub totals: CompareTotals,
    /// Bytecode by level over all layers, hidden caches included.
    pub levels: CompareLevels,
    /// The Python trees of both, by path.
    pub trees: Vec<CompareTree>,
    /// The modules that changed most, at most 50.
    pub modules: Vec<CompareModule>,
    /// What a node must fetch.
    pub pull: Pull,
}

/// Digests of the manifests of two images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CompareManifests {
    /// Of the image before.
    pub before: String,
    /// Of the image after.
    pub after: String,
}

/// A layer of each image, side by side.
#[derive(Debug, Clone, Serialize)]
pub struct CompareLayer {
    /// The layer of the image before; none where the other was inserted.
    pub before: Option<ComparedLayer>,
    /// The layer of the image after; none where the other was dropped.
    pub after: Option<ComparedLayer>,
    /// Bytes more in the blob.
    pub compressed_difference: i64,
    /// Bytes more in the tar archive.
    pub uncompressed_difference: i64,
}

/// One side of a pair of layers.
#[derive(Debug, Clone, Serialize)]
pub struct ComparedLayer {
    /// Its number, the lowest is 1.
    pub index: usize,
    /// Digest of its blob.
    pub digest: String,
    /// Bytes of its blob.
    pub compressed_bytes: u64,
    /// Bytes of its tar archive.
    pub uncompressed_bytes: u64,
    /// Caches by level.
    pub levels: Levels,
}

/// Sums over all layers.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CompareTotals {
    /// Bytes of all blobs, before.
    pub compressed_before: u64,
    /// Bytes of all blobs, after.
    pub compressed_after: u64,
    /// Their difference.
    pub compressed_difference: i64,
    /// Bytes of all tar archives, before.
    pub uncompressed_before: u64,
    /// Bytes of all tar archives, after.
    pub uncompressed_after: u64,
    /// Their difference.
    pub uncompressed_difference: i64,
}

/// Bytecode by level on both sides.
#[derive(Debug, Clone, Serialize)]
pub struct CompareLevels {
    /// Before.
    pub before: Levels,
    /// After.
    pub after: Levels,
}

/// What two images have in one Python tree. All that ships counts, hidden or not; a hardlink has no bytes.
#[derive(Debug, Clone, Serialize)]
pub struct CompareTree {
    /// Its directory; none for what a later layer hides outside of every tree.
    pub path: Option<String>,
    /// For example `3.11`, where it is known; after, or else before.
    pub python: Option<String>,
    /// In the image before.
    pub before: ComparedTree,
    /// In the image after.
    pub after: ComparedTree,
    /// Bytes more.
    pub difference_bytes: i64,
}

/// One side of a tree; zeros where that image does not have it.
#[derive(Debug, Clone, Serialize)]
pub struct ComparedTree {
    /// Files named `*.py`.
    pub sources: Count,
    /// Caches by level.
    pub levels: Levels,
    /// Sourceless modules.
    pub sourceless: Count,
}

/// A module that two images have in different sizes: its source and its bytecode of all levels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CompareModule {
    /// The path that its source has or would have.
    pub path: String,
    /// Bytes before.
    pub before_bytes: u64,
    /// Bytes after.
    pub after_bytes: u64,
    /// Bytes more.
    pub difference_bytes: i64,
}

/// What a node must fetch to have the image after: manifest, config and layers, each blob once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pull {
    /// With nothing of it.
    pub cold_bytes: u64,
    /// With the image before.
    pub warm_bytes: u64,
}
