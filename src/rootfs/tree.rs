//! The merged view as a tree of directories over a table of inodes, so that hardlinks are what
//! they are: several names of one inode.

use std::collections::{BTreeMap, HashMap};

use super::path;

/// A member by its place: layer and position in the layer, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId {
    /// Index of the layer, lowest first.
    pub layer: usize,
    /// Index of the member in its layer.
    pub index: usize,
}

/// Index of a node in its [`Rootfs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) usize);

/// Index of an inode in its [`Rootfs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(pub(super) usize);

/// One name in the merged view.
#[derive(Debug, Clone)]
pub struct Node {
    pub(super) parent: Option<NodeId>,
    pub(super) name: Box<[u8]>,
    /// The member that set this name; `None` for a directory that only others' paths imply.
    pub origin: Option<MemberId>,
    /// What the name stands for.
    pub content: Content,
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub enum Content {
    /// A directory and the names in it.
    Directory(BTreeMap<Box<[u8]>, NodeId>),
    /// Anything else.
    Leaf(InodeId),
}

/// Something that names point at.
#[derive(Debug, Clone)]
pub struct Inode {
    /// The member that carries the data.
    pub data: MemberId,
    /// Hardlinks to it, in the order in which they are extracted, also those that are hidden later.
    pub links: Vec<MemberId>,
    /// What it is.
    pub kind: InodeKind,
    /// Bytes of a regular file; else 0.
    pub size: u64,
    /// Visible names.
    pub names: usize,
}

impl Inode {
    /// The member whose header says the mode, owner and time: engines apply that of a hardlink to the file.
    pub fn described_by(&self) -> MemberId {
        self.links.last().copied().unwrap_or(self.data)
    }
}

/// What an inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InodeKind {
    /// A regular file.
    File,
    /// A symlink with its target as written.
    Symlink(Box<[u8]>),
    /// A device or pipe.
    Special,
}

/// What became of a member in the merged view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its name is visible, and set by it.
    Visible(NodeId),
    /// Its name was overwritten or deleted by a later member.
    Hidden {
        /// The member that did so.
        by: MemberId,
    },
    /// A whiteout, see [`Rootfs::markers`].
    Marker,
    /// No file: a pax global header, AUFS bookkeeping, or a type that nobody knows.
    Ignored,
}

/// A whiteout or opaque whiteout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The member.
    pub member: MemberId,
    /// The path that it deletes, or whose content it deletes where it is opaque.
    pub target: Vec<u8>,
    /// Whether it is an opaque whiteout.
    pub opaque: bool,
}

impl Marker {
    /// The directory that it lies in.
    pub fn directory(&self) -> &[u8] {
        match self.opaque {
            true => &self.target,
            false => path::parent(&self.target),
        }
    }
}

/// The merged view.
#[derive(Debug, Clone)]
pub struct Rootfs {
    pub(super) nodes: Vec<Node>,
    pub(super) inodes: Vec<Inode>,
    pub(super) fates: Vec<Vec<Fate>>,
    pub(super) markers: Vec<Marker>,
    /// For each hardlink member, the member that owned its target's name when it was applied.
    pub(super) link_targets: HashMap<MemberId, MemberId>,
    /// Paths of members that lie elsewhere than their name says, through symlinked directories.
    pub(super) moved: HashMap<MemberId, Vec<u8>>,
}

pub(super) const ROOT: NodeId = NodeId(0);

/// Symlinks that one lookup may follow, as in Linux.
pub(super) const MOST_SYMLINKS: usize = 40;

impl Rootfs {
    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// An inode.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.0]
    }

    /// All inodes, also those that no visible name has.
    pub fn inodes(&self) -> impl Iterator<Item = &Inode> {
        self.inodes.iter()
    }

    /// What became of a member.
    pub fn fate(&self, member: MemberId) -> Fate {
        self.fates[member.layer][member.index]
    }

    /// All whiteouts, in order of layers and members.
    pub fn markers(&self) -> &[Marker] {
        &self.markers
    }

    /// For a hardlink, the member that owned its target's name when it was applied.
    pub fn link_target(&self, member: MemberId) -> Option<MemberId> {
        self.link_targets.get(&member).copied()
    }

    /// All hardlink members with their targets, in no order.
    pub fn links(&self) -> impl Iterator<Item = (MemberId, MemberId)> + '_ {
        self.link_targets
            .iter()
            .map(|(link, target)| (*link, *target))
    }

    /// Where a member named `raw` lies: its clean name, or elsewhere where its directory is a symlink.
    pub fn member_path(&self, member: MemberId, raw: &[u8]) -> Vec<u8> {
        self.moved
            .get(&member)
            .cloned()
            .unwrap_or_else(|| path::clean(raw))
    }

    /// The path of a node, without a leading slash.
    pub fn path(&self, id: NodeId) -> Vec<u8> {
        let mut parts = Vec::new();
        let mut current = id;
        while let Some(parent) = self.node(current).parent {
            parts.push(&*self.node(current).name);
            current = parent;
        }
        parts.reverse();
        parts.join(&b'/')
    }

    /// The node at a path, following symlinks in all parts but the last.
    pub fn lookup(&self, path: &[u8]) -> Option<NodeId> {
        self.resolve(path, false)
    }

    /// The node at a path, following symlinks in all parts.
    pub fn follow(&self, path: &[u8]) -> Option<NodeId> {
        self.resolve(path, true)
    }

    fn resolve(&self, path: &[u8], follow_last: bool) -> Option<NodeId> {
        let pending: Vec<Vec<u8>> = path::components(path)
            .into_iter()
            .rev()
            .map(<[u8]>::to_vec)
            .collect();
        self.walk_parts(pending, follow_last, &mut |_| {})
    }

    /// The child of a directory; `None` also where `directory` is none.
    pub fn child(&self, directory: NodeId, name: &[u8]) -> Option<NodeId> {
        match &self.node(directory).content {
            Content::Directory(children) => children.get(name).copied(),
            Content::Leaf(_) => None,
        }
    }

    /// The inode of a node that is no directory.
    pub fn leaf(&self, id: NodeId) -> Option<InodeId> {
        match self.node(id).content {
            Content::Leaf(inode) => Some(inode),
            Content::Directory(_) => None,
        }
    }

    /// The target of a symlink.
    pub fn symlink(&self, id: NodeId) -> Option<&[u8]> {
        match &self.inode(self.leaf(id)?).kind {
            InodeKind::Symlink(target) => Some(target),
            _ => None,
        }
    }

    /// The inode of a node that is a regular file.
    pub fn regular_file(&self, id: NodeId) -> Option<InodeId> {
        self.leaf(id)
            .filter(|inode| self.inode(*inode).kind == InodeKind::File)
    }

    /// The inode of the regular file at a path, symlinks followed.
    pub fn file_at(&self, path: &[u8]) -> Option<InodeId> {
        self.regular_file(self.follow(path)?)
    }

    /// Every path with its node, directories before what is in them, names sorted.
    pub fn walk(&self) -> impl Iterator<Item = (Vec<u8>, NodeId)> + '_ {
        let mut pending = vec![(Vec::new(), ROOT)];
        std::iter::from_fn(move || {
            let (path, id) = pending.pop()?;
            if let Content::Directory(children) = &self.node(id).content {
                pending.extend(
                    children
                        .iter()
                        .rev()
                        .map(|(name, child)| (path::join(&path, name), *child)),
                );
            }
            Some((path, id))
        })
    }
}

/// Puts the parts of a symlink's target before those that wait, `..` kept: what it means depends
/// on where the parts before it lead.
pub(super) fn push_parts(pending: &mut Vec<Vec<u8>>, target: &[u8]) {
    let parts = target
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".");
    pending.extend(parts.map(<[u8]>::to_vec).rev());
}
