//! The merged view by path, with what the comparison asks of each.

use std::collections::{BTreeMap, HashMap};

use super::caches::Name;
use crate::inventory::{Cache, Inventory};
use crate::rootfs::{Attributes, Content, InodeId, MemberId, NodeId};
use crate::tar::{Kind, Member};

/// An image's merged view by path.
pub(super) struct View<'a> {
    pub(super) inventory: &'a Inventory,
    /// Every path; the root's is empty.
    pub(super) nodes: BTreeMap<Vec<u8>, NodeId>,
    /// The caches among them.
    pub(super) caches: HashMap<&'a [u8], &'a Cache>,
    /// What the headers of files that have hardlinks make of them, looked at once for all their names.
    linked: HashMap<InodeId, Option<Attributes<'a>>>,
}

impl<'a> View<'a> {
    pub(super) fn new(inventory: &'a Inventory) -> Self {
        // What a cache is, the inventory does not decide alone.
        let is_cache = |cache: &&Cache| {
            Name::of(&cache.path).is_some() && inventory.rootfs.regular_file(cache.node).is_some()
        };
        let caches = inventory.caches.iter().filter(is_cache);
        let rootfs = &inventory.rootfs;
        let linked = rootfs.inodes().filter(|inode| rootfs.has_links(*inode));
        Self {
            inventory,
            linked: linked
                .map(|inode| (inode, attributes(inventory, inode)))
                .collect(),
            nodes: inventory.rootfs.walk().collect(),
            caches: caches.map(|cache| (&*cache.path, cache)).collect(),
        }
    }

    pub(super) fn is_cache(&self, path: &[u8]) -> bool {
        self.caches.contains_key(path)
    }

    pub(super) fn inode(&self, path: &[u8]) -> Option<InodeId> {
        self.inventory.rootfs.leaf(*self.nodes.get(path)?)
    }

    /// The member with the data of a regular file.
    pub(super) fn file(&self, node: NodeId) -> Option<MemberId> {
        let inode = self.inventory.rootfs.regular_file(node)?;
        Some(self.inventory.rootfs.inode(inode).data())
    }

    /// What a node is.
    pub(super) fn kind(&self, node: NodeId) -> Kind {
        match self.inventory.rootfs.content(node) {
            Content::Directory => Kind::Directory,
            Content::Leaf(inode) => self.inventory.member(self.data(inode)).kind,
        }
    }

    /// The member that says what a node is; `None` for a directory that only others' paths imply.
    pub(super) fn metadata(&self, node: NodeId) -> Option<&'a Member> {
        let member = match self.inventory.rootfs.content(node) {
            Content::Directory => self.inventory.rootfs.origin(node)?,
            Content::Leaf(inode) => self.data(inode),
        };
        Some(self.inventory.member(member))
    }

    /// The attributes of what is not a directory or only implied: those that engines give it.
    pub(super) fn attributes(&self, node: NodeId) -> Option<Attributes<'a>> {
        let rootfs = &self.inventory.rootfs;
        match rootfs.content(node) {
            Content::Directory => Attributes::of(self.metadata(node)),
            Content::Leaf(inode) => match self.linked.get(&inode) {
                Some(attributes) => attributes.clone(),
                None => attributes(self.inventory, inode),
            },
        }
    }

    /// The member that set a name: of a hardlink it is another than that with the data.
    pub(super) fn name_member(&self, node: NodeId) -> Option<&'a Member> {
        let origin = self.inventory.rootfs.origin(node)?;
        Some(self.inventory.member(origin))
    }

    /// Paths of files that have several names, by file.
    pub(super) fn linked(&self) -> BTreeMap<InodeId, Vec<&[u8]>> {
        let mut groups: BTreeMap<InodeId, Vec<&[u8]>> = BTreeMap::new();
        for (path, node) in &self.nodes {
            let inode = self.inventory.rootfs.leaf(*node);
            if let Some(inode) = inode.filter(|it| self.inventory.rootfs.inode(*it).names() > 1) {
                groups.entry(inode).or_default().push(path);
            }
        }
        groups
    }

    fn data(&self, inode: InodeId) -> MemberId {
        self.inventory.rootfs.inode(inode).data()
    }
}

/// The attributes that all headers of a file give it.
fn attributes(inventory: &Inventory, inode: InodeId) -> Option<Attributes<'_>> {
    let headers = inventory.rootfs.headers(inode);
    Attributes::of(headers.map(|id| inventory.member(id)))
}
