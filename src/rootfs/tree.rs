//! The merged view: names over a table of inodes, so that hardlinks are what they are, several names of one inode.

use std::collections::HashMap;

use super::names::{Names, NodeId, ROOT};
use crate::path;

/// A member by its place: layer and position in the layer, both from 0.
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
    /// Of what no member set.
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
    /// In place of an inode where there is none.
    const NONE: Self = Self(u32::MAX);
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A directory.
    Directory,
    /// Anything else.
    Leaf(InodeId),
}

/// What is known of a name.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The member that set this name; [`Place::NONE`] for a directory that only others' paths imply.
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

/// Something that names point at.
#[derive(Debug, Clone)]
pub struct Inode {
    pub(super) data: Place,
    /// What it is.
    pub kind: InodeKind,
    /// Bytes of a regular file; else 0.
    pub size: u64,
    pub(super) names: u32,
}

impl Inode {
    /// The member that carries the data.
    pub fn data(&self) -> MemberId {
        self.data.member()
    }

    /// Visible names.
    pub fn names(&self) -> usize {
        self.names as usize
    }
}

/// What an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InodeKind {
    /// A regular file.
    File,
    /// A symlink.
    Symlink,
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

/// A [`Fate`] in four bytes: the node that it set, or one of three that no image has. [`Rootfs::hidden`] has the member
/// that hides it.
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
    pub(super) names: Names,
    /// By the index of its name.
    pub(super) nodes: Vec<Node>,
    pub(super) inodes: Vec<Inode>,
    /// Targets of symlinks, as written.
    pub(super) symlinks: HashMap<InodeId, Box<[u8]>>,
    /// Hardlinks to an inode, in the order in which they are extracted, also those that are hidden later.
    pub(super) links: HashMap<InodeId, Vec<Place>>,
    pub(super) fates: Vec<Vec<SmallFate>>,
    /// Those that hide a member, by the member.
    pub(super) hidden: HashMap<Place, Place>,
    pub(super) markers: Vec<Marker>,
    /// For each hardlink member, the member that owned its target's name when it was applied.
    pub(super) link_targets: HashMap<Place, Place>,
    /// Paths of members that lie elsewhere than their name says, through symlinked directories.
    pub(super) moved: HashMap<Place, Vec<u8>>,
}

impl Rootfs {
    /// What a name stands for.
    pub fn content(&self, id: NodeId) -> Content {
        self.nodes[id.index()].content()
    }

    /// Whether a name is a directory.
    pub fn is_directory(&self, id: NodeId) -> bool {
        self.content(id) == Content::Directory
    }

    /// The member that set a name; `None` for a directory that only others' paths imply.
    pub fn origin(&self, id: NodeId) -> Option<MemberId> {
        let origin = self.nodes[id.index()].origin;
        (origin != Place::NONE).then(|| origin.member())
    }

    /// An inode.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.0 as usize]
    }

    /// The members whose headers are applied to an inode, in the order of extraction: the one with the data, then
    /// every hardlink to it, also those that are hidden later.
    pub fn headers(&self, id: InodeId) -> impl DoubleEndedIterator<Item = MemberId> + '_ {
        let links = self.links.get(&id).into_iter().flatten();
        let data = std::iter::once(self.inode(id).data());
        data.chain(links.map(|link| link.member()))
    }

    /// Whether an inode has hardlinks, also such as are hidden later.
    pub fn has_links(&self, id: InodeId) -> bool {
        self.links.contains_key(&id)
    }

    /// The member whose header says the mode, owner and time: engines apply that of a hardlink to the file.
    pub fn described_by(&self, id: InodeId) -> MemberId {
        let data = self.inode(id).data();
        self.headers(id).next_back().unwrap_or(data)
    }

    /// All inodes, also those that no visible name has.
    pub fn inodes(&self) -> impl Iterator<Item = InodeId> + use<> {
        (0..self.inodes.len() as u32).map(InodeId)
    }

    /// What became of a member.
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

    /// All whiteouts, in order of layers and members.
    pub fn markers(&self) -> &[Marker] {
        &self.markers
    }

    /// For a hardlink, the member that owned its target's name when it was applied.
    pub fn link_target(&self, member: MemberId) -> Option<MemberId> {
        let target = self.link_targets.get(&Place::of(member))?;
        Some(target.member())
    }

    /// All hardlink members with their targets, in no order.
    pub fn links(&self) -> impl Iterator<Item = (MemberId, MemberId)> + '_ {
        self.link_targets
            .iter()
            .map(|(link, target)| (link.member(), target.member()))
    }

    /// Where a member named `raw` lies: its clean name, or elsewhere where its directory is a symlink.
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

    /// The directory that a node lies in; none for the root.
    pub fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.names.parent(id)
    }

    /// The child of a directory; `None` also where `directory` is none.
    pub fn child(&self, directory: NodeId, name: &[u8]) -> Option<NodeId> {
        self.names.child(directory, name)
    }

    /// The node that has that path: no symlink is followed. The root's path is empty.
    pub fn named(&self, path: &[u8]) -> Option<NodeId> {
        let mut parts = path.split(|byte| *byte == b'/').filter(|it| !it.is_empty());
        parts.try_fold(ROOT, |directory, part| self.child(directory, part))
    }

    /// What is in a directory, sorted by name; nothing where it is none.
    pub fn children(&self, directory: NodeId) -> Vec<NodeId> {
        let mut children: Vec<NodeId> = self.names.children(directory).collect();
        children.sort_unstable_by(|a, b| self.name(*a).cmp(self.name(*b)));
        children
    }

    /// The inode of a node that is no directory.
    pub fn leaf(&self, id: NodeId) -> Option<InodeId> {
        match self.content(id) {
            Content::Leaf(inode) => Some(inode),
            Content::Directory => None,
        }
    }

    /// The target of a symlink.
    pub fn symlink(&self, id: NodeId) -> Option<&[u8]> {
        let inode = self.leaf(id)?;
        match self.inode(inode).kind {
            InodeKind::Symlink => self.symlinks.get(&inode).map(|target| &**target),
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
        self.names.walk()
    }

    /// Every node but the root, in no order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.below(ROOT)
    }

    /// Everything below a directory, in no order.
    pub fn below(&self, directory: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let mut pending: Vec<NodeId> = self.names.children(directory).collect();
        std::iter::from_fn(move || {
            let node = pending.pop()?;
            pending.extend(self.names.children(node));
            Some(node)
        })
    }
}
