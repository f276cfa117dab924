//! The report of `inspect`.

use serde::Serialize;

use super::{Advice, Area, Count, Levels};

/// The result of `inspect` for all platforms of an image.
#[derive(Debug, Clone, Serialize)]
pub struct InspectReport {
    /// `pycull.inspect/1`.
    pub schema: &'static str,
    /// The image reference as the user wrote it.
    pub reference: String,
    /// The images, one for each platform.
    pub images: Vec<InspectImage>,
}

/// The result for one image.
#[derive(Debug, Clone, Serialize)]
pub struct InspectImage {
    /// For example `linux/amd64`.
    pub platform: String,
    /// Digest of the manifest.
    pub manifest_digest: String,
    /// Size of all blobs of layers, in bytes.
    pub compressed_bytes: u64,
    /// Size of all tar archives of layers, in bytes.
    pub uncompressed_bytes: u64,
    /// Layers, lowest first.
    pub layers: Vec<InspectLayer>,
    /// Python trees, sorted by path.
    pub trees: Vec<InspectTree>,
    /// The size table of the whole image.
    pub situations: Vec<SituationRow>,
    /// Problems with bytecode.
    pub findings: Vec<Finding>,
    /// Other facts that affect what can be saved, and features of the image that pycull does not handle.
    pub notes: Vec<String>,
    /// The recommended profile, if the user asked for advice.
    pub advice: Option<Advice>,
    /// The distribution of bytes, if the user asked for a map. Not part of JSON.
    #[serde(skip)]
    pub map: Option<Area>,
}

/// pycull suggests compiling only if at least this many modules lack a cache. A few modules may simply not compile.
pub const MANY_MISSING: usize = 20;

impl InspectImage {
    /// Number of modules without a cache.
    pub fn missing(&self) -> usize {
        self.findings_of(FindingKind::Missing).count()
    }

    /// Bytes of the caches that a later layer hides.
    pub fn hidden_bytes(&self) -> u64 {
        let hidden = self.findings_of(FindingKind::Hidden);
        hidden.map(|finding| finding.bytes).sum()
    }

    fn findings_of(&self, kind: FindingKind) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |finding| finding.kind == kind)
    }
}

/// A layer and its bytecode, including hidden caches.
#[derive(Debug, Clone, Serialize)]
pub struct InspectLayer {
    /// The layer's number. The lowest layer is 1.
    pub index: usize,
    /// Digest of its blob.
    pub digest: String,
    /// Digest of its tar archive.
    pub diff_id: String,
    /// Media type, from the manifest.
    pub media_type: String,
    /// Size of its blob in bytes.
    pub compressed_bytes: u64,
    /// Size of its tar archive in bytes.
    pub uncompressed_bytes: u64,
    /// Caches by level. A hardlink counts as a file without bytes.
    pub levels: Levels,
    /// The command that made the layer, from the history in the config. None if it is unknown.
    pub created_by: Option<String>,
}

/// A Python tree: a directory of modules.
#[derive(Debug, Clone, Serialize)]
pub struct InspectTree {
    /// Its directory.
    pub path: String,
    /// The Python version, for example `3.11`. None if it is unknown.
    pub python: Option<String>,
    /// The cache tag, for example `cpython-311`. None if it is unknown.
    pub cache_tag: Option<String>,
    /// The magic number of the interpreter's caches. None if it is unknown.
    pub magic: Option<u16>,
    /// The kind of modules in the tree.
    pub kind: TreeKind,
    /// Sources.
    pub sources: Count,
    /// Caches by level. In each level an inode counts once.
    pub levels: Levels,
    /// Sourceless modules.
    pub sourceless: Count,
    /// The size table of the tree, without the trees inside it.
    pub situations: Vec<SituationRow>,
}

/// The kind of modules in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TreeKind {
    /// A standard library.
    Stdlib,
    /// Other modules: site-packages, or an application.
    Packages,
}

impl TreeKind {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdlib => "stdlib",
            Self::Packages => "packages",
        }
    }
}

/// The situation that a row of the size table describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SituationName {
    /// The image as it is.
    StatusQuo,
    /// Only level 0.
    #[serde(rename = "level-0")]
    LevelZero,
    /// No caches at all.
    NoCache,
    /// Levels 0 and 1, with identical files hardlinked.
    #[serde(rename = "levels-0-1")]
    LevelsZeroOne,
    /// Levels 0 and 1, all as separate files.
    #[serde(rename = "levels-0-1-unlinked")]
    LevelsZeroOneUnlinked,
    /// All levels, all as separate files.
    AllUnlinked,
    /// Bytecode of level 0 instead of sources.
    Sourceless,
}

/// A row of the size table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SituationRow {
    /// The situation.
    pub name: SituationName,
    /// Bytes in that situation.
    pub bytes: u64,
    /// Difference from the status quo in bytes. Negative if the situation is smaller.
    pub difference_bytes: i64,
    /// The difference as a percentage of the status quo, to two decimal places.
    pub difference_percent: f64,
}

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A cache whose source changed after it was compiled. Python compiles that source at every start.
    Stale,
    /// A cache without a source.
    Orphan,
    /// A cache for an interpreter that the image lacks, or that does not look in this place.
    Foreign,
    /// A file that has the name of bytecode but is not bytecode.
    Malformed,
    /// A cache in a layer that a later layer overwrites or deletes.
    Hidden,
    /// A sourceless module beside a source. Python uses the source.
    Shadowed,
    /// A source without a cache at the level at which the image's config runs Python.
    Missing,
    /// A hash-based cache whose source has a different hash.
    HashMismatch,
}

impl FindingKind {
    /// All kinds, in display order.
    pub const ALL: [Self; 8] = [
        Self::Malformed,
        Self::Stale,
        Self::HashMismatch,
        Self::Missing,
        Self::Orphan,
        Self::Foreign,
        Self::Shadowed,
        Self::Hidden,
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Orphan => "orphan",
            Self::Foreign => "foreign",
            Self::Malformed => "malformed",
            Self::Hidden => "hidden",
            Self::Shadowed => "shadowed",
            Self::Missing => "missing",
            Self::HashMismatch => "hash-mismatch",
        }
    }

    /// The meaning of the finding in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Stale => "its source changed, so Python compiles the source",
            Self::Orphan => "no source; Python does not import it",
            Self::Foreign => "for a Python that the image does not have, or not in that directory",
            Self::Malformed => "not valid bytecode; importing it can fail",
            Self::Hidden => "overwritten or deleted by a later layer, and still shipped",
            Self::Shadowed => "Python imports the source beside it instead",
            Self::Missing => {
                "no cache at the level at which the image runs Python, so Python compiles the source"
            }
            Self::HashMismatch => "its source has a different hash",
        }
    }
}

/// A problem with a bytecode file, or a source that has no bytecode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The kind of problem.
    pub kind: FindingKind,
    /// Path of the file.
    pub path: String,
    /// Number of the layer that has the file.
    pub layer: usize,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Details of the problem.
    pub detail: String,
}
