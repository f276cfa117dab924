//! The Python in an image: trees of modules, and every cache with its level, its layer, and whether Python would use
//! it.

mod build;
mod files;
mod hashes;
mod judge;
mod layers;
mod missing;
mod others;
mod readers;
mod trees;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

pub(crate) use build::{Known, build};
pub(crate) use files::cache_from_source;
pub(crate) use hashes::wanted_hashes;
pub(crate) use layers::{layer_levels, leveled_members};
pub(crate) use missing::{MissingCache, missing_caches};
pub(crate) use others::other_pythons;
pub(crate) use readers::Reader;
pub(crate) use trees::innermost_tree;

use crate::entrypoint::Reading;
use crate::layers::{Contents, LayerScan, SourceHashes};
use crate::pyc::{Level, Magic, Runtime, StaleReason};
use crate::rootfs::{Fate, InodeId, MemberId, NodeId, Rootfs};

/// The versions that the user chose for trees.
#[derive(Clone, Copy)]
pub(crate) struct ChosenVersions<'a> {
    /// The version of a tree, by its path. It has precedence over the tree's caches.
    pub of_tree: &'a dyn Fn(&[u8]) -> Option<Runtime>,
    /// The version of trees whose version nothing else determines.
    pub otherwise: Option<Runtime>,
}

/// The Python in an image.
#[derive(Debug)]
pub struct Inventory {
    /// The scanned layers, lowest first.
    pub layers: Vec<Arc<LayerScan>>,
    /// The merged view.
    pub rootfs: Rootfs,
    /// Directories with Python modules, sorted by path.
    pub trees: Vec<Tree>,
    /// Visible caches, sorted by path.
    pub caches: Vec<Cache>,
    /// Caches in a layer that a later member overwrites or deletes.
    pub hidden: Vec<HiddenCache>,
    /// Sourceless modules, sorted by path.
    pub sourceless: Vec<Sourceless>,
    /// Sources that Python could import, sorted by path.
    pub sources: Vec<Source>,
    /// Paths of directories that a symlink or the config leads to or through.
    pub named_directories: BTreeSet<Vec<u8>>,
    /// The hashes of sources, if they were needed.
    pub source_hashes: SourceHashes,
    /// What the image runs.
    pub launch: Reading,
}

impl Inventory {
    /// The member with this ID.
    pub fn member(&self, id: MemberId) -> &crate::tar::Member {
        &self.layers[id.layer].members[id.index]
    }

    /// Every member of every layer, in order.
    pub fn members(&self) -> impl Iterator<Item = (MemberId, &crate::tar::Member)> {
        let layers = self.layers.iter().enumerate();
        layers.flat_map(|(layer, scan)| {
            let members = scan.members.iter().enumerate();
            members.map(move |(index, member)| (MemberId { layer, index }, member))
        })
    }

    /// The members that a later member hides, in order.
    pub fn hidden_members(&self) -> impl Iterator<Item = (MemberId, &crate::tar::Member)> {
        let is_hidden = |id| matches!(self.rootfs.fate(id), Fate::Hidden { .. });
        self.members().filter(move |(id, _)| is_hidden(*id))
    }

    /// The path of a member in the merged view.
    pub fn path_of(&self, member: MemberId) -> Vec<u8> {
        self.rootfs.member_path(member, &self.member(member).path)
    }

    /// The source with this ID.
    pub fn source(&self, id: SourceId) -> &Source {
        &self.sources[id.0 as usize]
    }

    /// Every source with its ID, in order.
    pub fn numbered_sources(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        let ids = (0..).map(SourceId);
        ids.zip(&self.sources)
    }

    /// The tree with this ID.
    pub fn tree(&self, id: TreeId) -> &Tree {
        &self.trees[id.index()]
    }

    /// Every tree with its ID, in order.
    pub fn numbered_trees(&self) -> impl Iterator<Item = (TreeId, &Tree)> {
        let ids = (0..).map(TreeId);
        ids.zip(&self.trees)
    }

    /// The tree of a source.
    pub fn tree_of(&self, source: &Source) -> &Tree {
        self.tree(source.tree)
    }

    /// The path of a source.
    pub fn source_path(&self, source: &Source) -> Vec<u8> {
        self.rootfs.path(source.node)
    }

    /// For each file with caches among its names, the number of its other names, if any. Each of them keeps the
    /// bytes.
    pub fn other_names(&self) -> BTreeMap<InodeId, usize> {
        let files = self.caches_by_file();
        let others = files.into_iter().map(|(inode, caches)| {
            let names = self.rootfs.inode(inode).names();
            (inode, names.saturating_sub(caches.len()))
        });
        others.filter(|(_, names)| *names > 0).collect()
    }

    /// The caches of each file.
    pub fn caches_by_file(&self) -> BTreeMap<InodeId, Vec<&Cache>> {
        let mut files: BTreeMap<InodeId, Vec<&Cache>> = BTreeMap::new();
        for cache in &self.caches {
            files.entry(cache.inode).or_default().push(cache);
        }
        files
    }
}

/// The kind of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeKind {
    /// A standard library.
    Stdlib,
    /// Any other modules: site-packages, or an application.
    Packages,
}

impl fmt::Display for TreeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdlib => "stdlib",
            Self::Packages => "packages",
        })
    }
}

/// A tree of an [`Inventory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeId(u32);

impl TreeId {
    /// Its place in [`Inventory::trees`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A source of an [`Inventory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub(crate) u32);

/// A directory with Python modules in and below it. A file belongs to the innermost tree.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The path of the directory, without a leading slash; empty for the root.
    pub path: Vec<u8>,
    /// The kind of the tree.
    pub kind: TreeKind,
    /// The version of CPython that uses the tree, if known.
    pub version: Option<Runtime>,
    /// The magic number that the caches should have.
    pub magic: Option<Magic>,
    /// The sources: files named `*.py`.
    pub sources: Sizes,
    /// The caches by level. Each level counts an inode's bytes once.
    pub levels: [Sizes; 3],
    /// The sourceless modules.
    pub sourceless: Sizes,
    /// The inodes of regular files, each with the number of its names in the tree; sorted.
    pub files: Vec<(InodeId, u32)>,
}

/// A number of files and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The number of names.
    pub files: u64,
    /// The sum of the sizes in bytes.
    pub bytes: u64,
}

impl Sizes {
    /// Counts one more file.
    pub fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// A cache: a `.pyc` in `__pycache__`, visible in the merged view.
#[derive(Debug, Clone)]
pub struct Cache {
    /// The path.
    pub path: Vec<u8>,
    /// The name in the merged view.
    pub node: NodeId,
    /// The member that set the name.
    pub member: MemberId,
    /// The inode of the name.
    pub inode: InodeId,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The path of the cache's source, even if that does not exist.
    pub source: Vec<u8>,
    /// The inode of the source, if it exists.
    pub source_inode: Option<InodeId>,
    /// The tree of the cache.
    pub tree: Option<TreeId>,
    /// The interpreter of the cache tag in the name.
    pub runtime: Runtime,
    /// The level; `None` for an optimization above 2, which only an interpreter started with it reads.
    pub level: Option<Level>,
    /// Whether Python would use it.
    pub status: Status,
    /// The content of the file, if it was examined.
    pub contents: Option<Contents>,
    /// The reader that uses the cache by its path, in addition to `import`.
    pub reader: Option<Reader>,
}

/// Whether Python would use a cache, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Python would use it.
    Fresh,
    /// Python would use it although its source changed: it has an unchecked hash.
    UncheckedMismatch,
    /// Python would not use it, because the source changed.
    Stale(StaleReason),
    /// Python would not use it, because the source's hash differs.
    HashMismatch,
    /// The cache has no source. Python cannot import a cache alone.
    Orphan,
    /// No interpreter of the image would look for the cache or accept it, for this reason.
    Foreign(String),
    /// The file is not valid bytecode, for this reason.
    Malformed(String),
    /// Unknown for this reason, so pycull leaves the cache alone.
    Unknown(String),
}

impl Status {
    /// Whether Python would use the cache, as far as pycull knows.
    pub fn is_useful(&self) -> bool {
        matches!(
            self,
            Self::Fresh | Self::UncheckedMismatch | Self::Unknown(_)
        )
    }
}

/// A source in a tree: a regular file named `module.py`, or a symlink to one.
#[derive(Debug, Clone)]
pub struct Source {
    /// The name in the merged view.
    pub node: NodeId,
    /// The file, after following a symlink.
    pub inode: InodeId,
    /// The tree of the source.
    pub tree: TreeId,
}

/// A cache in a layer that no container sees.
#[derive(Debug, Clone)]
pub struct HiddenCache {
    /// The path.
    pub path: Vec<u8>,
    /// The member of the cache.
    pub member: MemberId,
    /// The member that overwrote or deleted it.
    pub by: MemberId,
    /// The level; `None` for an optimization above 2.
    pub level: Option<Level>,
    /// Bytes of its data in the layer; 0 for a hardlink.
    pub bytes: u64,
}

/// A `.pyc` in place of its source, or beside it.
#[derive(Debug, Clone)]
pub struct Sourceless {
    /// The path.
    pub path: Vec<u8>,
    /// The member that set the name.
    pub member: MemberId,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The tree of the module.
    pub tree: Option<TreeId>,
    /// Whether a source with the same name is beside it, which Python uses instead.
    pub shadowed: bool,
    /// The reason why the file is malformed, if it is.
    pub malformed: Option<String>,
    /// The reader that uses the file by its path, in addition to `import`.
    pub reader: Option<Reader>,
}
