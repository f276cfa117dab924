//! Layers that cannot be merged.

use crate::limits::LimitError;
use crate::tar::Kind;

/// Maximum number of parts of symlink targets that all members of an image may lead through. Following all symlinks
/// afterwards has the same limit. Real images need a thousandth of it.
pub(super) const MOST_PARTS: usize = 20_000_000;

/// Layers that no engine can extract.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RootfsError {
    /// A hardlink to a missing file or to a directory.
    #[error(
        "layer {layer}: hardlink `{path}` points to `{target}`, but no earlier member and no lower layer has this file"
    )]
    LinkTarget {
        /// The layer, counted from 1.
        layer: usize,
        /// The hardlink.
        path: String,
        /// The target of the hardlink.
        target: String,
    },
    /// A file named exactly `.wh.`.
    #[error("layer {layer}: `{path}` is an invalid whiteout: it names nothing to delete")]
    Whiteout {
        /// The layer, counted from 1.
        layer: usize,
        /// The member's name.
        path: String,
    },
    /// The image has more names than the allowance.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Following the image's symlinks would take too long.
    #[error(
        "following the image's symlinks takes more than {MOST_PARTS} steps, which is the limit"
    )]
    Symlinks,
    /// Symlinked directories form a loop, or a path has too many symlinks.
    #[error("layer {layer}: too many symlinks on the way to `{path}`")]
    SymlinkLoop {
        /// The layer, counted from 1.
        layer: usize,
        /// The member's name.
        path: String,
    },
    /// A member replaces the root directory with something else.
    #[error("layer {layer}: a {kind} replaces the root directory")]
    Root {
        /// The layer, counted from 1.
        layer: usize,
        /// The member's type.
        kind: Kind,
    },
}
