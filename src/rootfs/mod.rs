//! The merged view of an image's layers, as a container sees it: whiteouts, opaque directories,
//! hardlinks, replaced types, duplicate names and symlinked directories resolved, each path
//! knowing the member that it comes from (image-spec layer.md, "Applying Changesets").

mod attributes;
mod names;
mod squash;
mod trail;
pub mod tree;

pub use attributes::Attributes;
pub use names::NodeId;
pub use squash::{RootfsError, squash};
pub use tree::{Content, Fate, Inode, InodeId, InodeKind, Marker, MemberId, Rootfs};
