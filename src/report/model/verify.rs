//! The report of `verify`.

use serde::Serialize;

/// Whether only bytecode differs between two images.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// `pycull.verify/1`.
    pub schema: &'static str,
    /// The reference of the image before.
    pub before: String,
    /// The reference of the image after.
    pub after: String,
    /// The profile that the caches were checked against.
    pub profile: Option<String>,
    /// The results, one for each platform that both images have.
    pub images: Vec<VerifyImage>,
    /// Platforms that only one of the images has. Each is a difference.
    pub unmatched: Vec<String>,
}

impl VerifyReport {
    /// Whether the images differ only in bytecode, on all platforms.
    pub fn is_same(&self) -> bool {
        let mut images = self.images.iter();
        self.unmatched.is_empty() && images.all(|image| image.verdict == Verdict::Same)
    }
}

/// The result for one platform.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyImage {
    /// For example `linux/amd64`.
    pub platform: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The amount that was compared.
    pub checked: VerifyChecked,
    /// What happened to the caches.
    pub caches: VerifyCaches,
    /// Every difference that is not allowed.
    pub differences: Vec<VerifyDifference>,
}

/// The result of comparing two images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Only bytecode differs.
    Same,
    /// Something else differs too.
    Different,
}

/// The amount that was compared.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct VerifyChecked {
    /// Number of paths that exist in either image.
    pub paths: u64,
    /// Bytes of files, other than caches, with the same content in both images. An inode counts once.
    pub bytes: u64,
}

/// What happened to the caches.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct VerifyCaches {
    /// Number of caches that only the image before has.
    pub removed: u64,
    /// Number of caches that only the image after has.
    pub added: u64,
    /// Number of caches that both images have with different bytes.
    pub changed: u64,
    /// Number of caches that the profile asks for and AFTER lacks. `None` unless a profile that compiles was
    /// given.
    pub missing: Option<u64>,
}

/// A difference that is not allowed.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyDifference {
    /// The part of the image: `rootfs`, `config`, `manifest` or `index`.
    pub part: Part,
    /// In the rootfs, a path: empty for the root itself. In a document, a JSON pointer.
    pub path: String,
    /// What differs, in words.
    pub what: String,
}

/// The part of an image that has a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The merged file system.
    Rootfs,
    /// The config, including its history.
    Config,
    /// The manifest.
    Manifest,
    /// The index that lists the image.
    Index,
}

impl Part {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rootfs => "rootfs",
            Self::Config => "config",
            Self::Manifest => "manifest",
            Self::Index => "index",
        }
    }
}
