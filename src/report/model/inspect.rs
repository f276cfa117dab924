//! What `inspect` says.

use serde::Serialize;

use super::{Advice, Area, Count, Levels};

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
    /// What else decides what can be saved, and what pycull does not handle in the image.
    pub notes: Vec<String>,
    /// What profile fits, where that was asked for.
    pub advice: Option<Advice>,
    /// Where the bytes are, where a map was asked for; not in JSON.
    #[serde(skip)]
    pub map: Option<Area>,
}

/// Fewer modules without a cache are not worth compiling: they may be what does not compile.
pub const MANY_MISSING: usize = 20;

impl InspectImage {
    /// Modules without a cache.
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
    /// What it holds.
    pub kind: TreeKind,
    /// Sources.
    pub sources: Count,
    /// Caches by level, one inode counted once in each.
    pub levels: Levels,
    /// Sourceless modules.
    pub sourceless: Count,
    /// The size table of the tree, trees inside it left out.
    pub situations: Vec<SituationRow>,
}

/// What a tree holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TreeKind {
    /// A standard library.
    Stdlib,
    /// Anything else: site-packages, or an application.
    Packages,
}

impl TreeKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdlib => "stdlib",
            Self::Packages => "packages",
        }
    }
}

/// What a row of the size table is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SituationName {
    /// As it is.
    StatusQuo,
    /// Level 0 alone.
    #[serde(rename = "level-0")]
    LevelZero,
    /// No caches.
    NoCache,
    /// Levels 0 and 1, identical ones linked.
    #[serde(rename = "levels-0-1")]
    LevelsZeroOne,
    /// Levels 0 and 1, each a file of its own.
    #[serde(rename = "levels-0-1-unlinked")]
    LevelsZeroOneUnlinked,
    /// All levels, each a file of its own.
    AllUnlinked,
    /// Level 0 in place of sources.
    Sourceless,
}

/// A row of the size table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SituationRow {
    /// Its name.
    pub name: SituationName,
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
    /// A cache for an interpreter that the image does not have, or that does not look there.
    Foreign,
    /// A file that is no bytecode, though its name says so.
    Malformed,
    /// A cache in a layer that a later one overwrites or deletes.
    Hidden,
    /// A sourceless module beside a source, which Python takes instead.
    Shadowed,
    /// A source without a cache at the level that the image's config runs Python at.
    Missing,
    /// A hash-based cache whose source has another hash.
    HashMismatch,
}

impl FindingKind {
    /// All kinds, in the order in which they are shown.
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

    /// Its name.
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

    /// What it means, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Stale => "source changed since; Python compiles it at every start",
            Self::Orphan => "no source; Python does not import it",
            Self::Foreign => "for a Python that the image does not have, or not in that directory",
            Self::Malformed => "no bytecode to its end; importing it can fail",
            Self::Hidden => "overwritten or deleted by a later layer, and still shipped",
            Self::Shadowed => "a source beside it wins",
            Self::Missing => "no cache at the level that the image runs at; importing compiles it",
            Self::HashMismatch => "its source has another hash",
        }
    }
}

/// Something wrong with a bytecode file, or a source that has none.
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
