//! The merged view of an image, with the questions that the comparison asks about each path.

use std::collections::{BTreeMap, HashMap};

use super::cache_name::CacheName;
use crate::inventory::{Cache, Inventory};
use crate::rootfs::{Attributes, Content, InodeId, MemberId, NodeId};
use crate::tar::{Kind, Member};

pub(super) struct View<'a> {
    pub(super) inventory: &'a Inventory,
    /// The caches of the image by path.
    pub(super) caches: HashMap<&'a [u8], &'a Cache>,
    /// Attributes of files with hardlinks, computed once for all names of a file.
    linked: HashMap<InodeId, Option<Attributes<'a>>>,
}

impl<'a> View<'a> {
    pub(super) fn new(inventory: &'a Inventory) -> Self {
        // The inventory alone does not decide what is a cache.
        let is_cache = |cache: &&Cache| {
            CacheName::of(&cache.path).is_some()
                && inventory.rootfs.regular_file(cache.node).is_some()
        };
        let caches = inventory.caches.iter().filter(is_cache);
        let rootfs = &inventory.rootfs;
        let linked = rootfs.inodes().filter(|inode| rootfs.has_links(*inode));
        Self {
            inventory,
            linked: linked
                .map(|inode| (inode, attributes(inventory, inode)))
                .collect(),
            caches: caches.map(|cache| (&*cache.path, cache)).collect(),
        }
    }

    pub(super) fn is_cache(&self, path: &[u8]) -> bool {
        self.caches.contains_key(path)
    }

    pub(super) fn node(&self, path: &[u8]) -> Option<NodeId> {
        self.inventory.rootfs.named(path)
    }

    pub(super) fn inode(&self, path: &[u8]) -> Option<InodeId> {
        self.inventory.rootfs.leaf(self.node(path)?)
    }

    /// The member with the data of a regular file; `None` for other nodes.
    pub(super) fn file(&self, node: NodeId) -> Option<MemberId> {
        let inode = self.inventory.rootfs.regular_file(node)?;
        Some(self.inventory.rootfs.inode(inode).data())
    }

    /// The type of a node.
    pub(super) fn kind(&self, node: NodeId) -> Kind {
        match self.inventory.rootfs.content(node) {
            Content::Directory => Kind::Directory,
            Content::Leaf(inode) => self.inventory.member(self.data(inode)).kind,
        }
    }

    /// The member that describes a node; `None` for a directory that exists only in the paths of others.
    pub(super) fn metadata(&self, node: NodeId) -> Option<&'a Member> {
        let member = match self.inventory.rootfs.content(node) {
            Content::Directory => self.inventory.rootfs.origin(node)?,
            Content::Leaf(inode) => self.data(inode),
        };
        Some(self.inventory.member(member))
    }

    /// The attributes that engines give a node; `None` for a directory that exists only in the paths of others.
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

    /// The member that set a name. For a hardlink, this is not the member with the data.
    pub(super) fn name_member(&self, node: NodeId) -> Option<&'a Member> {
        let origin = self.inventory.rootfs.origin(node)?;
        Some(self.inventory.member(origin))
    }

    /// For each file with several names, the paths of all its names, sorted.
    pub(super) fn linked(&self) -> BTreeMap<InodeId, Vec<Vec<u8>>> {
        let rootfs = &self.inventory.rootfs;
        let mut groups: BTreeMap<InodeId, Vec<Vec<u8>>> = BTreeMap::new();
        for (path, node) in rootfs.walk() {
            let inode = rootfs.leaf(node);
            if let Some(inode) = inode.filter(|it| rootfs.inode(*it).names() > 1) {
                groups.entry(inode).or_default().push(path);
            }
        }
        for names in groups.values_mut() {
            names.sort_unstable();
        }
        groups
    }

    fn data(&self, inode: InodeId) -> MemberId {
        self.inventory.rootfs.inode(inode).data()
    }
}

/// A path of either view, with its node in each.
pub(super) struct Pair {
    pub(super) path: Vec<u8>,
    pub(super) before: Option<NodeId>,
    pub(super) after: Option<NodeId>,
}

/// All paths of either view: those of the first, and then those that only the second has.
pub(super) fn pairs<'a>(
    before: &'a View<'_>,
    after: &'a View<'_>,
) -> impl Iterator<Item = Pair> + 'a {
    let [old, new] = [before, after].map(|view| view.inventory.rootfs.walk());
    let old = old.map(|(path, node)| Pair {
        before: Some(node),
        after: after.node(&path),
        path,
    });
    let new = new.filter(|(path, _)| before.node(path).is_none());
    old.chain(new.map(|(path, node)| Pair {
        before: None,
        after: Some(node),
        path,
    }))
}

/// The attributes that the headers of all names give a file.
fn attributes(inventory: &Inventory, inode: InodeId) -> Option<Attributes<'_>> {
    let headers = inventory.rootfs.headers(inode);
    Attributes::of(headers.map(|id| inventory.member(id)))
}
