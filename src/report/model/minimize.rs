//! The report of `minimize`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Count, Levels};

/// The result of `minimize`: what it did, or what it would do in a dry run.
#[derive(Debug, Clone, Serialize)]
pub struct MinimizeReport {
    /// `pycull.minimize/1`.
    pub schema: &'static str,
    /// The reference of the image that was read.
    pub reference: String,
    /// The reference of the image that was written. `None` in a dry run.
    pub output: Option<String>,
    /// The medium of the output: `OCI image layout`, `OCI archive`, `docker archive` or `registry`. `None` in a dry run.
    pub output_form: Option<String>,
    /// The digest of the manifest or index that was written. `None` in a dry run, and for an old docker
    /// archive, which has none.
    pub output_digest: Option<String>,
    /// Whether this was a dry run, which writes nothing.
    pub dry_run: bool,
    /// The images, one for each platform.
    pub images: Vec<MinimizeImage>,
    /// The image that had the output's name before, if it still exists.
    pub replaced: Option<ReplacedImage>,
    /// Manifests that were left out because they refer to a manifest that the new image does not have.
    pub left_out: Vec<LeftOut>,
}

impl MinimizeReport {
    /// The report of a dry run.
    pub(crate) fn of(reference: &str, images: Vec<MinimizeImage>) -> Self {
        Self {
            schema: "pycull.minimize/1",
            reference: reference.to_owned(),
            output: None,
            output_form: None,
            output_digest: None,
            dry_run: true,
            images,
            replaced: None,
            left_out: Vec::new(),
        }
    }
}

/// An image that lost its name to the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplacedImage {
    /// A digest in a registry, or an engine's ID.
    pub id: String,
    /// The command that gives the image its name back.
    pub restore: String,
}

/// A manifest that was left out of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Digest of the manifest that was left out.
    pub manifest_digest: String,
    /// Digest of the manifest that it refers to.
    pub subject: Option<String>,
    /// The kind of manifest.
    pub kind: LeftOutKind,
}

/// The kind of manifest that was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOutKind {
    /// A signature.
    Signature,
    /// An attestation about how an image was built.
    Attestation,
    /// A list of the software in an image.
    Sbom,
    /// Any other artifact.
    Artifact,
}

impl LeftOutKind {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Attestation => "attestation",
            Self::Sbom => "SBOM",
            Self::Artifact => "artifact",
        }
    }
}

/// The result for one image.
#[derive(Debug, Clone, Serialize)]
pub struct MinimizeImage {
    /// For example `linux/amd64`.
    pub platform: String,
    /// The profile's name.
    pub profile: String,
    /// The levels that the profile keeps.
    pub levels: Vec<u8>,
    /// The image before.
    pub before: ImageSize,
    /// The image after. A dry run knows neither its digest nor its compressed size.
    pub after: ImageSize,
    /// Layers before and after, lowest first.
    pub layers: Vec<MinimizeLayer>,
    /// Removed caches, and the bytes of data that the layers lost with them.
    pub removed: Count,
    /// The compiled caches.
    pub compiled: Compiled,
    /// Files that became hardlinks, and the bytes that this saved.
    pub relinked: Count,
    /// Number of members for each kind of reason in the plan. A member with several reasons counts once for each.
    pub reasons: BTreeMap<String, u64>,
    /// Every step of the plan, if the user asked for steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepRow>>,
    /// What was left alone, and other facts to know.
    pub warnings: Vec<String>,
    /// Number of files that the profile would remove but that something else needs.
    #[serde(skip)]
    pub kept: usize,
}

/// An image's identity and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageSize {
    /// Digest of the manifest. `None` if it is not written yet.
    pub manifest_digest: Option<String>,
    /// Size of all blobs of layers, in bytes. `None` if they are not written yet.
    pub compressed_bytes: Option<u64>,
    /// Size of all tar archives of layers, in bytes.
    pub uncompressed_bytes: u64,
}

/// A layer's digest and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerSize {
    /// Digest of the blob. `None` if it is not written yet.
    pub digest: Option<String>,
    /// Size of the blob in bytes. `None` if it is not written yet.
    pub compressed_bytes: Option<u64>,
    /// Size of the tar archive in bytes.
    pub uncompressed_bytes: u64,
    /// The layer's caches by level, hidden ones included. A layer that is not written yet lacks the caches to be
    /// compiled.
    pub levels: Levels,
}

/// What happened to a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerAction {
    /// The layer keeps its blob.
    Kept,
    /// The layer has a new blob.
    Rewritten,
    /// The layer was added.
    Appended,
    /// The layer became empty and was removed.
    Dropped,
}

/// A layer before and after.
#[derive(Debug, Clone, Serialize)]
pub struct MinimizeLayer {
    /// The layer before. None if it was added.
    pub before: Option<LayerSize>,
    /// The layer after. None if it was dropped.
    pub after: Option<LayerSize>,
    /// What happened to the layer.
    pub action: LayerAction,
}

/// The result of compiling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Compiled {
    /// Number of caches written. In a dry run, the number to write if all sources compile.
    pub files: u64,
    /// Bytes of the caches, with linked ones counted once. 0 in a dry run, which compiles nothing.
    pub bytes: u64,
    /// Number of sources that do not compile.
    pub failed: u64,
    /// The sources that do not compile, sorted by path.
    pub failures: Vec<CompileFailure>,
    /// The interpreters that compiled the caches.
    pub interpreters: Vec<InterpreterRow>,
}

/// A source that does not compile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CompileFailure {
    /// Path of the source.
    pub path: String,
    /// Why it does not compile.
    pub detail: String,
}

/// An interpreter that compiled caches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InterpreterRow {
    /// The Python version, for example `3.11`.
    pub python: String,
    /// Path of the interpreter, in the image or on this machine.
    pub path: String,
    /// Whether the interpreter comes from the image.
    pub from_image: bool,
    /// The sandbox layers around the interpreter.
    pub sandbox: String,
    /// Whether the interpreter could read every file that the user can. True if neither Landlock nor namespaces
    /// prevented it.
    #[serde(skip)]
    pub sees_files: bool,
}

/// A step of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepRow {
    /// Number of the layer.
    pub layer: usize,
    /// Path of the member.
    pub path: String,
    /// The action on the member.
    pub action: StepAction,
    /// The reason for the step.
    pub reason: String,
}

/// The action of a step on a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepAction {
    /// The member is removed.
    Drop,
    /// A link takes over the data of a removed member.
    Promote,
    /// The member becomes a link to another one.
    Link,
    /// The header of the bytecode is rewritten.
    Header,
}

impl StepAction {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Promote => "promote",
            Self::Link => "link",
            Self::Header => "header",
        }
    }
}
