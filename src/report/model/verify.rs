//! What `verify` says.

use serde::Serialize;

/// Whether nothing but bytecode differs between two images.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// `pycull.verify/1`.
    pub schema: &'static str,
    /// The image before.
    pub before: String,
    /// The image after.
    pub after: String,
    /// The profile that the caches were held against.
    pub profile: Option<String>,
    /// One for each platform that both have.
    pub images: Vec<VerifyImage>,
    /// Platforms that only one of the two has: each is a difference.
    pub unmatched: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing differs that must not.
    pub fn is_same(&self) -> bool {
        let mut images = self.images.iter();
        self.unmatched.is_empty() && images.all(|image| image.verdict == Verdict::Same)
    }
}

/// What was found about one platform.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyImage {
    /// For example `linux/amd64`.
    pub platform: String,
    /// What it comes to.
    pub verdict: Verdict,
    /// How much was compared.
    pub checked: VerifyChecked,
    /// What became of the caches.
    pub caches: VerifyCaches,
    /// Every difference that is not allowed.
    pub differences: Vec<VerifyDifference>,
}

/// What comparing two images comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing but bytecode differs.
    Same,
    /// Something else does.
    Different,
}

/// How much was compared.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct VerifyChecked {
    /// Paths that either image has.
    pub paths: u64,
    /// Bytes of files other than caches that have the same content in both, an inode counted once.
    pub bytes: u64,
}

/// What became of caches.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct VerifyCaches {
    /// Only the image before has them.
    pub removed: u64,
    /// Only the image after has them.
    pub added: u64,
    /// Both have them, with other bytes.
    pub changed: u64,
    /// The profile asks for them, and the image after has them not; `None` without a profile that compiles.
    pub missing: Option<u64>,
}

/// A difference that is not allowed.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyDifference {
    /// `rootfs`, `config`, `manifest` or `index`.
    pub part: Part,
    /// In the rootfs a path, the root's is empty; in a document a JSON pointer.
    pub path: String,
    /// What differs.
    pub what: String,
}

/// What part of an image a difference is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The merged view.
    Rootfs,
    /// The config, its history included.
    Config,
    /// The manifest.
    Manifest,
    /// The index that names the image.
    Index,
}

impl Part {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rootfs => "rootfs",
            Self::Config => "config",
            Self::Manifest => "manifest",
            Self::Index => "index",
        }
    }
}
