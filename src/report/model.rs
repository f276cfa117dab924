//! What each command has to say, as data. The JSON of a report is this, field by field: sizes are
//! bytes, layers count from 1, paths have no leading slash (docs/schema has the contract).

use std::collections::BTreeMap;

use serde::Serialize;

/// What `inspect` found.
#[derive(Debug, Clone, Serialize)]
pub struct InspectReport {
    /// `pycull.inspect/1`.
    pub schema: &'static str,
    /// The image reference, as it was given.
    pub reference: String,
    /// One for each platform.
    pub images: Vec<InspectImage>,
}

/// The findings of one image.
#[derive(Debug, Clone, Serialize)]
pub struct InspectImage {
    /// For example `linux/amd64`.
    pub platform: String,
    /// Digest of the manifest.
    pub manifest_digest: String,
    /// Bytes of all layers' blobs.
    pub compressed_bytes: u64,
    /// Bytes of all layers' tar archives.
    pub uncompressed_bytes: u64,
    /// Layers, lowest first.
    pub layers: Vec<InspectLayer>,
    /// Python trees, by path.
    pub trees: Vec<InspectTree>,
    /// The size table of the whole image.
    pub situations: Vec<SituationRow>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Files and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Files, every name counted.
    pub files: u64,
    /// Bytes, one inode counted once.
    pub bytes: u64,
}

/// Counts by level: the keys are `"0"`, `"1"` and `"2"`, all always there.
pub type Levels = BTreeMap<String, Count>;

/// A layer and the bytecode in it, hidden caches included.
#[derive(Debug, Clone, Serialize)]
pub struct InspectLayer {
    /// Its number, the lowest is 1.
    pub index: usize,
    /// Digest of its blob.
    pub digest: String,
    /// Digest of its tar archive.
    pub diff_id: String,
    /// From the manifest.
    pub media_type: String,
    /// Bytes of its blob.
    pub compressed_bytes: u64,
    /// Bytes of its tar archive.
    pub uncompressed_bytes: u64,
    /// Caches by level; a hardlink counts as a file without bytes.
    pub levels: Levels,
    /// The command that made it, from the config's history, where that is known.
    pub created_by: Option<String>,
}

/// A Python tree.
#[derive(Debug, Clone, Serialize)]
pub struct InspectTree {
    /// Its directory.
    pub path: String,
    /// For example `3.11`, where it is known.
    pub python: Option<String>,
    /// For example `cpython-311`, where it is known.
    pub cache_tag: Option<String>,
    /// The magic number of its interpreter's caches, where it is known.
    pub magic: Option<u16>,
    /// `stdlib` or `packages`.
    pub kind: String,
    /// Sources.
    pub sources: Count,
    /// Caches by level, one inode counted once in each.
    pub levels: Levels,
    /// Sourceless modules.
    pub sourceless: Count,
    /// The size table of the tree, trees inside it left out.
    pub situations: Vec<SituationRow>,
}

/// A row of the size table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SituationRow {
    /// Its name.
    pub name: String,
    /// Bytes in that situation.
    pub bytes: u64,
    /// Bytes more than in the status quo; negative where it is smaller.
    pub difference_bytes: i64,
    /// The same as a percentage of the status quo, to two places.
    pub difference_percent: f64,
}

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// The source changed after it was compiled; Python compiles it at every start.
    Stale,
    /// A cache without a source.
    Orphan,
    /// A cache for an interpreter that the image does not have.
    Foreign,
    /// A file that is no bytecode, though its name says so.
    Malformed,
    /// A cache in a layer that a later one overwrites or deletes.
    Hidden,
    /// A sourceless module beside a source, which Python takes instead.
    Shadowed,
    /// A hash-based cache whose source has another hash.
    HashMismatch,
}

impl FindingKind {
    /// All kinds, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Malformed,
        Self::Stale,
        Self::HashMismatch,
        Self::Orphan,
        Self::Foreign,
        Self::Shadowed,
        Self::Hidden,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Orphan => "orphan",
            Self::Foreign => "foreign",
            Self::Malformed => "malformed",
            Self::Hidden => "hidden",
            Self::Shadowed => "shadowed",
            Self::HashMismatch => "hash-mismatch",
        }
    }

    /// What it means, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Stale => "source changed since; Python compiles it at every start",
            Self::Orphan => "no source; Python does not import it",
            Self::Foreign => "for a Python that is not in the image",
            Self::Malformed => "no bytecode to its end; importing it can fail",
            Self::Hidden => "overwritten or deleted by a later layer, and still shipped",
            Self::Shadowed => "a source beside it wins",
            Self::HashMismatch => "its source has another hash",
        }
    }
}

/// Something wrong with a bytecode file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// The file.
    pub path: String,
    /// The layer that it lies in.
    pub layer: usize,
    /// Its bytes.
    pub bytes: u64,
    /// More about it.
    pub detail: String,
}

/// What `minimize` did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct MinimizeReport {
    /// `pycull.minimize/1`.
    pub schema: &'static str,
    /// The image that was read.
    pub reference: String,
    /// The image that was written; `None` for a dry run.
    pub output: Option<String>,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// One for each platform.
    pub images: Vec<MinimizeImage>,
    /// Manifests that were left out since they speak of one that is gone.
    pub left_out: Vec<LeftOut>,
}

/// A manifest that was left out of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its digest.
    pub manifest_digest: String,
    /// The manifest that it speaks of.
    pub subject: Option<String>,
    /// `attestation` or another word for what it is.
    pub kind: String,
}

/// What was done to one image.
#[derive(Debug, Clone, Serialize)]
pub struct MinimizeImage {
    /// For example `linux/amd64`.
    pub platform: String,
    /// The profile's name.
    pub profile: String,
    /// The levels that it kept.
    pub levels: Vec<u8>,
    /// As it was.
    pub before: ImageSize,
    /// As it is now; for a dry run without digest and compressed size, which only writing tells.
    pub after: ImageSize,
    /// Layers as they were, lowest first.
    pub layers: Vec<MinimizeLayer>,
    /// Caches that are gone, and the bytes of data that the layers have less for it.
    pub removed: Count,
    /// Caches that were compiled.
    pub compiled: Compiled,
    /// Files that became hardlinks, and the bytes that this saved.
    pub relinked: Count,
    /// What the plan consists of: members by the kind of reason, once for each reason of theirs.
    pub reasons: BTreeMap<String, u64>,
    /// Every step; only where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepRow>>,
    /// What was left alone, and other things to know.
    pub warnings: Vec<String>,
}

/// An image's identity and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageSize {
    /// Digest of the manifest.
    pub manifest_digest: Option<String>,
    /// Bytes of all layers' blobs.
    pub compressed_bytes: Option<u64>,
    /// Bytes of all layers' tar archives.
    pub uncompressed_bytes: u64,
}

/// A layer's digest and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerSize {
    /// Digest of the blob; `None` before it is written.
    pub digest: Option<String>,
    /// Bytes of the blob; `None` before it is written.
    pub compressed_bytes: Option<u64>,
    /// Bytes of the tar archive.
    pub uncompressed_bytes: u64,
}

/// What was done to a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerAction {
    /// It keeps its blob.
    Kept,
    /// It has a new blob.
    Rewritten,
    /// It was added.
    Appended,
    /// It became empty and is gone.
    Dropped,
}

/// A layer before and after.
#[derive(Debug, Clone, Serialize)]
pub struct MinimizeLayer {
    /// As it was.
    pub before: Option<LayerSize>,
    /// As it is now.
    pub after: Option<LayerSize>,
    /// What was done to it.
    pub action: LayerAction,
}

/// Caches that were compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Compiled {
    /// Caches written; for a dry run those that would be, if their sources compile.
    pub files: u64,
    /// Their bytes, linked ones counted once; 0 for a dry run, which compiles nothing.
    pub bytes: u64,
    /// Sources that do not compile.
    pub failed: u64,
    /// These, by path.
    pub failures: Vec<CompileFailure>,
    /// What compiled them.
    pub interpreters: Vec<InterpreterRow>,
}

/// A source that does not compile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CompileFailure {
    /// The source.
    pub path: String,
    /// Why.
    pub detail: String,
}

/// An interpreter that compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InterpreterRow {
    /// Its version, for example `3.11`.
    pub python: String,
    /// Its path, in the image or on this machine.
    pub path: String,
    /// Whether it is the image's own.
    pub from_image: bool,
    /// The layers of defence around it.
    pub sandbox: String,
}

/// A step of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepRow {
    /// The layer.
    pub layer: usize,
    /// The member.
    pub path: String,
    /// `drop`, `promote`, `link` or `header`.
    pub action: &'static str,
    /// Why.
    pub reason: String,
}

/// How two images differ in size.
#[derive(Debug, Clone, Serialize)]
pub struct CompareReport {
    /// `pycull.compare/1`.
    pub schema: &'static str,
    /// The image before.
    pub before: String,
    /// The image after.
    pub after: String,
    /// One for each platform that both have.
    pub images: Vec<CompareImage>,
    /// Platforms that only one of the two has.
    pub unmatched: Vec<String>,
}

/// How two images of one platform differ.
#[derive(Debug, Clone, Serialize)]
pub struct CompareImage {
    /// For example `linux/amd64`.
    pub platform: String,
    /// Layers side by side, lowest first.
    pub layers: Vec<CompareLayer>,
    /// All layers together.
    pub totals: CompareTotals,
    /// Bytecode by level over all layers, hidden caches included.
    pub levels: CompareLevels,
    /// What a node must fetch.
    pub pull: Pull,
}

/// A layer of each image, side by side.
#[derive(Debug, Clone, Serialize)]
pub struct CompareLayer {
    /// The layer of the image before.
    pub before: Option<ComparedLayer>,
    /// The layer of the image after.
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

/// What a node must fetch to have the image after: manifest, config and layers, each blob once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pull {
    /// With nothing of it.
    pub cold_bytes: u64,
    /// With the image before.
    pub warm_bytes: u64,
}
