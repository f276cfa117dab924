//! What `minimize` says.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Count, Levels};

/// What `minimize` did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct MinimizeReport {
    /// `pycull.minimize/1`.
    pub schema: &'static str,
    /// The image that was read.
    pub reference: String,
    /// The image that was written; `None` for a dry run.
    pub output: Option<String>,
    /// What holds it: `OCI image layout`, `OCI archive` or `docker archive`; `None` for a dry run.
    pub output_form: Option<String>,
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
    /// What it is.
    pub kind: LeftOutKind,
}

/// What was left out of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOutKind {
    /// BuildKit's, about how an image was built.
    Attestation,
    /// Anything else.
    Artifact,
}

impl LeftOutKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Attestation => "attestation",
            Self::Artifact => "artifact",
        }
    }
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
    /// Files that the profile would remove, and that something else needs.
    #[serde(skip)]
    pub kept: usize,
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
    /// Its caches by level, visible or not; before it is written without those that are to be compiled.
    pub levels: Levels,
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
    /// Whether it could read what its user can: neither Landlock nor namespaces are there to keep it from that.
    #[serde(skip)]
    pub sees_files: bool,
}

/// A step of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepRow {
    /// The layer.
    pub layer: usize,
    /// The member.
    pub path: String,
    /// What is done to it.
    pub action: StepAction,
    /// Why.
    pub reason: String,
}

/// What a step does to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepAction {
    /// It goes.
    Drop,
    /// A link takes the data of a member that goes.
    Promote,
    /// It becomes a link to another.
    Link,
    /// Its bytecode header is written anew.
    Header,
}

impl StepAction {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Promote => "promote",
            Self::Link => "link",
            Self::Header => "header",
        }
    }
}
