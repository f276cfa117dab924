//! The merged view of an image's layers, as a container sees it (image-spec layer.md, "Applying Changesets"). It
//! resolves whiteouts, opaque directories, hardlinks, replaced types, duplicate names and symlinked directories. Each
//! path refers to the member that it comes from.

mod attributes;
mod error;
mod names;
mod squash;
mod trail;
pub mod tree;

pub use attributes::Attributes;
pub use error::RootfsError;
pub use names::NodeId;
pub use squash::squash;
pub use tree::{Content, Fate, Inode, InodeId, InodeKind, Marker, MemberId, Rootfs};
