//! The merged view as names over a table of inodes. A file with hardlinks is one inode with several names.

use std::collections::HashMap;

use super::names::{Names, NodeId, ROOT};
use crate::path;

/// Identifies a member by its layer and its position in the layer, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId {
    /// Index of the layer, lowest first.
    pub layer: usize,
    /// Index of the member in its layer.
    pub index: usize,
}

/// A [`MemberId`] in half the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    layer: u32,
    index: u32,
}

impl Place {
    /// The place of a name that no member set.
    pub(super) const NONE: Self = Self {
        layer: u32::MAX,
        index: u32::MAX,
    };

    pub(super) fn of(member: MemberId) -> Self {
        Self {
            layer: member.layer as u32,
            index: member.index as u32,
        }
    }

    pub(super) fn member(self) -> MemberId {
        MemberId {
            layer: self.layer as usize,
            index: self.index as usize,
        }
    }
}

/// Index of an inode in its [`Rootfs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(pub(super) u32);

impl InodeId {
    /// Marks the absence of an inode.
    const NONE: Self = Self(u32::MAX);
}

/// What a name refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A directory.
    Directory,
    /// Anything else.
    Leaf(InodeId),
}

/// The data of a name.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The member that set the name; [`Place::NONE`] for a directory that exists only in the paths of others.
    pub(super) origin: Place,
    /// [`InodeId::NONE`] for a directory.
    leaf: InodeId,
}

impl Node {
    pub(super) fn new(origin: Place, content: Content) -> Self {
        let leaf = match content {
            Content::Directory => InodeId::NONE,
            Content::Leaf(inode) => inode,
        };
        Self { origin, leaf }
    }

    fn content(&self) -> Content {
        match self.leaf {
            InodeId::NONE => Content::Directory,
            inode => Content::Leaf(inode),
        }
    }
}

/// A file, symlink, device or pipe, which one or more names refer to.
#[derive(Debug, Clone)]
pub struct Inode {
    pub(super) data: Place,
    /// The type.
    pub kind: InodeKind,
    /// The size of a regular file in bytes; 0 for other types.
    pub size: u64,
    pub(super) names: u32,
}

impl Inode {
    /// The member that has the data.
    pub fn data(&self) -> MemberId {
        self.data.member()
    }

    /// The number of visible names.
    pub fn names(&self) -> usize {
        self.names as usize
    }
}

/// The type of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InodeKind {
    /// A regular file.
    File,
    /// A symlink.
    Symlink,
    /// A device or pipe.
    Special,
}

/// The result for a member in the merged view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The member set the name of this node, which is visible.
    Visible(NodeId),
    /// A later member overwrote or deleted the name.
    Hidden {
        /// The later member.
        by: MemberId,
    },
    /// A whiteout; see [`Rootfs::markers`].
    Marker,
    /// Not a file: a pax global header, AUFS bookkeeping, or a member of unknown type.
    Ignored,
}

/// A [`Fate`] in four bytes: the visible node, or one of three numbers that no node has. [`Rootfs::hidden`] names the
/// member that hides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SmallFate(NodeId);

impl SmallFate {
    pub(super) const HIDDEN: Self = Self(NodeId::last(1));
    pub(super) const MARKER: Self = Self(NodeId::last(2));
    pub(super) const IGNORED: Self = Self(NodeId::last(3));

    pub(super) fn visible(node: NodeId) -> Self {
        Self(node)
    }
}

/// A whiteout or opaque whiteout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The whiteout's member.
    pub member: MemberId,
    /// The path that the whiteout deletes. An opaque whiteout deletes the contents of this directory.
    pub target: Vec<u8>,
    /// Whether it is an opaque whiteout.
    pub opaque: bool,
}

impl Marker {
    /// The directory of the whiteout.
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
    pub(super) names: Names,
    /// Indexed by [`NodeId`].
    pub(super) nodes: Vec<Node>,
    pub(super) inodes: Vec<Inode>,
    /// Targets of symlinks, exactly as written.
    pub(super) symlinks: HashMap<InodeId, Box<[u8]>>,
    /// The hardlinks to each inode in the order of extraction, including links that are hidden later.
    pub(super) links: HashMap<InodeId, Vec<Place>>,
    pub(super) fates: Vec<Vec<SmallFate>>,
    /// For each hidden member, the member that hides it.
    pub(super) hidden: HashMap<Place, Place>,
    pub(super) markers: Vec<Marker>,
    /// For each hardlink member, the member that owned its target's name when it was applied.
    pub(super) link_targets: HashMap<Place, Place>,
    /// Paths of members in symlinked directories, which differ from the members' names.
    pub(super) moved: HashMap<Place, Vec<u8>>,
}

impl Rootfs {
    /// What a name refers to.
    pub fn content(&self, id: NodeId) -> Content {
        self.nodes[id.index()].content()
    }

    /// Whether a name is a directory.
    pub fn is_directory(&self, id: NodeId) -> bool {
        self.content(id) == Content::Directory
    }

    /// The member that set a name; `None` for a directory that exists only in the paths of others.
    pub fn origin(&self, id: NodeId) -> Option<MemberId> {
        let origin = self.nodes[id.index()].origin;
        (origin != Place::NONE).then(|| origin.member())
    }

    /// The inode with this ID.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.0 as usize]
    }

    /// The members whose headers apply to an inode, in the order of extraction. The member with the data comes first,
    /// followed by every hardlink to it, including links that are hidden later.
    pub fn headers(&self, id: InodeId) -> impl DoubleEndedIterator<Item = MemberId> + '_ {
        let links = self.links.get(&id).into_iter().flatten();
        let data = std::iter::once(self.inode(id).data());
        data.chain(links.map(|link| link.member()))
    }

    /// Whether an inode has hardlinks, including links that are hidden later.
    pub fn has_links(&self, id: InodeId) -> bool {
        self.links.contains_key(&id)
    }

    /// The member whose header sets mode, owner and time. Engines apply the header of a hardlink to the file.
    pub fn described_by(&self, id: InodeId) -> MemberId {
        let data = self.inode(id).data();
        self.headers(id).next_back().unwrap_or(data)
    }

    /// All inodes, including those without a visible name.
    pub fn inodes(&self) -> impl Iterator<Item = InodeId> + use<> {
        (0..self.inodes.len() as u32).map(InodeId)
    }

    /// The result for a member.
    pub fn fate(&self, member: MemberId) -> Fate {
        match self.fates[member.layer][member.index] {
            SmallFate::HIDDEN => Fate::Hidden {
                by: self.hidden[&Place::of(member)].member(),
            },
            SmallFate::MARKER => Fate::Marker,
            SmallFate::IGNORED => Fate::Ignored,
            SmallFate(node) => Fate::Visible(node),
        }
    }

    /// All whiteouts, in the order of layers and members.
    pub fn markers(&self) -> &[Marker] {
        &self.markers
    }

    /// For a hardlink, the member that owned its target's name when it was applied.
    pub fn link_target(&self, member: MemberId) -> Option<MemberId> {
        let target = self.link_targets.get(&Place::of(member))?;
        Some(target.member())
    }

    /// All hardlink members with their targets, in no particular order.
    pub fn links(&self) -> impl Iterator<Item = (MemberId, MemberId)> + '_ {
        self.link_targets
            .iter()
            .map(|(link, target)| (link.member(), target.member()))
    }

    /// The path of a member named `raw`: its clean name, unless its directory is a symlink.
    pub fn member_path(&self, member: MemberId, raw: &[u8]) -> Vec<u8> {
        self.moved
            .get(&Place::of(member))
            .cloned()
            .unwrap_or_else(|| path::clean(raw))
    }

    /// The path of a node, without a leading slash.
    pub fn path(&self, id: NodeId) -> Vec<u8> {
        self.names.path(id)
    }

    /// The last part of a node's path; empty for the root.
    pub fn name(&self, id: NodeId) -> &[u8] {
        self.names.name(id)
    }

    /// The directory of a node; `None` for the root.
    pub fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.names.parent(id)
    }

    /// The child of a directory with this name; `None` too if `directory` is not a directory.
    pub fn child(&self, directory: NodeId, name: &[u8]) -> Option<NodeId> {
        self.names.child(directory, name)
    }

    /// The node at exactly this path, without following symlinks. The root's path is empty.
    pub fn named(&self, path: &[u8]) -> Option<NodeId> {
        let mut parts = path.split(|byte| *byte == b'/').filter(|it| !it.is_empty());
        parts.try_fold(ROOT, |directory, part| self.child(directory, part))
    }

    /// The children of a directory, sorted by name; empty if the node is not a directory.
    pub fn children(&self, directory: NodeId) -> Vec<NodeId> {
        let mut children: Vec<NodeId> = self.names.children(directory).collect();
        children.sort_unstable_by(|a, b| self.name(*a).cmp(self.name(*b)));
        children
    }

    /// The inode of a node; `None` for a directory.
    pub fn leaf(&self, id: NodeId) -> Option<InodeId> {
        match self.content(id) {
            Content::Leaf(inode) => Some(inode),
            Content::Directory => None,
        }
    }

    /// The target of a symlink; `None` for other nodes.
    pub fn symlink(&self, id: NodeId) -> Option<&[u8]> {
        let inode = self.leaf(id)?;
        match self.inode(inode).kind {
            InodeKind::Symlink => self.symlinks.get(&inode).map(|target| &**target),
            _ => None,
        }
    }

    /// The inode of a regular file; `None` for other nodes.
    pub fn regular_file(&self, id: NodeId) -> Option<InodeId> {
        self.leaf(id)
            .filter(|inode| self.inode(*inode).kind == InodeKind::File)
    }

    /// The inode of the regular file at a path. Follows symlinks.
    pub fn file_at(&self, path: &[u8]) -> Option<InodeId> {
        self.regular_file(self.follow(path)?)
    }

    /// Every path with its node. Directories precede their contents, and names are sorted.
    pub fn walk(&self) -> impl Iterator<Item = (Vec<u8>, NodeId)> + '_ {
        self.names.walk()
    }

    /// Every node except the root, in no particular order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.below(ROOT)
    }

    /// Every node below a directory, in no particular order.
    pub fn below(&self, directory: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let mut pending: Vec<NodeId> = self.names.children(directory).collect();
        std::iter::from_fn(move || {
            let node = pending.pop()?;
            pending.extend(self.names.children(node));
            Some(node)
        })
    }
}
