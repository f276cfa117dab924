//! What Python there is in an image: trees of modules, and every cache with its level, its layer,
//! and whether Python would use it.

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

pub(crate) use build::{Known, build};
pub(crate) use files::cache_path;
pub(crate) use hashes::wanted_hashes;
pub(crate) use layers::{layer_levels, leveled_members};
pub(crate) use missing::{MissingCache, missing_caches};
pub(crate) use others::other_pythons;
pub(crate) use readers::Reader;
pub(crate) use trees::innermost_tree;

use crate::entrypoint::Reading;
use crate::layers::{Contents, LayerScan, SourceHashes};
use crate::pyc::{CpythonTag, CpythonVersion, Level, Magic, StaleReason};
use crate::rootfs::{InodeId, MemberId, NodeId, Rootfs};

/// The versions of trees that the user chose.
#[derive(Clone, Copy)]
pub(crate) struct ChosenVersions<'a> {
    /// That of a tree, by its path; it counts more than what the tree's caches say.
    pub of_tree: &'a dyn Fn(&[u8]) -> Option<CpythonVersion>,
    /// That of trees of which nothing else tells the version.
    pub otherwise: Option<CpythonVersion>,
}

/// What Python there is in an image.
#[derive(Debug)]
pub struct Inventory {
    /// Every layer, read; lowest first.
    pub layers: Vec<LayerScan>,
    /// The merged view.
    pub rootfs: Rootfs,
    /// Directories with Python modules, sorted by path.
    pub trees: Vec<Tree>,
    /// Caches that are visible, sorted by path.
    pub caches: Vec<Cache>,
    /// Caches that ship in a layer, but that a later member overwrites or deletes.
    pub hidden: Vec<HiddenCache>,
    /// Sourceless modules, sorted by path.
    pub sourceless: Vec<Sourceless>,
    /// Sources that Python could import, sorted by path.
    pub sources: Vec<Source>,
    /// Paths of directories that a symlink or the config names, or names something through.
    pub named_directories: BTreeSet<Vec<u8>>,
    /// The hashes of sources, where they were needed.
    pub source_hashes: SourceHashes,
    /// What the image runs.
    pub launch: Reading,
}

impl Inventory {
    /// The member with that place.
    pub fn member(&self, id: MemberId) -> &crate::tar::Member {
        &self.layers[id.layer].members[id.index]
    }

    /// The tree that a source lies in.
    pub fn tree_of(&self, source: &Source) -> &Tree {
        &self.trees[source.tree as usize]
    }

    /// The path of a source.
    pub fn source_path(&self, source: &Source) -> Vec<u8> {
        self.rootfs.path(source.node)
    }

    /// How many names of a cache's file are not caches: its bytes stay as long as one of them does.
    pub fn other_names(&self) -> BTreeMap<InodeId, usize> {
        let files = self.caches_by_file();
        let others = files.into_iter().map(|(inode, caches)| {
            let names = self.rootfs.inode(inode).names();
            (inode, names.saturating_sub(caches.len()))
        });
        others.filter(|(_, names)| *names > 0).collect()
    }

    /// The names that each file has among the caches.
    pub fn caches_by_file(&self) -> BTreeMap<InodeId, Vec<&Cache>> {
        let mut files: BTreeMap<InodeId, Vec<&Cache>> = BTreeMap::new();
        for cache in &self.caches {
            files.entry(cache.inode).or_default().push(cache);
        }
        files
    }
}

/// What a tree holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeKind {
    /// A standard library.
    Stdlib,
    /// Anything else: site-packages, or an application.
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

/// A directory with Python modules in and below it. A file belongs to the innermost tree.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The directory, without a leading slash; empty for the root.
    pub path: Vec<u8>,
    /// What it holds.
    pub kind: TreeKind,
    /// The CPython that it is for, where that is known.
    pub version: Option<CpythonVersion>,
    /// The magic number that its caches should have.
    pub magic: Option<Magic>,
    /// Sources: files named `*.py`.
    pub sources: Sizes,
    /// Caches by level, one inode counted once in each level.
    pub levels: [Sizes; 3],
    /// Sourceless modules.
    pub sourceless: Sizes,
    /// Inodes of its regular files, each with the number of its names in the tree; sorted.
    pub files: Vec<(InodeId, u32)>,
}

/// A number of files and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Names.
    pub files: u64,
    /// Bytes.
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
    /// Its path.
    pub path: Vec<u8>,
    /// Its name in the merged view.
    pub node: NodeId,
    /// The member that set that name.
    pub member: MemberId,
    /// What the name points at.
    pub inode: InodeId,
    /// Bytes of the file.
    pub bytes: u64,
    /// The path of the source that it is a cache of, whether that exists or not.
    pub source: Vec<u8>,
    /// The source's inode, where it exists.
    pub source_inode: Option<InodeId>,
    /// Index of the tree that it lies in.
    pub tree: Option<usize>,
    /// The interpreter that it is for, by its name.
    pub tag: CpythonTag,
    /// Its level; `None` for an optimization beyond 2, which only an interpreter started for it reads.
    pub level: Option<Level>,
    /// Whether Python would use it.
    pub status: Status,
    /// What the file is, where it was examined.
    pub contents: Option<Contents>,
    /// Who else than `import` reads it, by its path.
    pub reader: Option<Reader>,
}

/// Whether Python would use a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It would.
    Fresh,
    /// It would, though the source is another: an unchecked hash.
    UncheckedMismatch,
    /// It would not: the source changed.
    Stale(StaleReason),
    /// It would not: the source's hash is another.
    HashMismatch,
    /// There is no source, and a cache alone is not importable.
    Orphan,
    /// It is for an interpreter that the image does not have; the reason says how that shows.
    Foreign(String),
    /// It is no bytecode; the reason says what is wrong with it.
    Malformed(String),
    /// Not known, and so left alone; the reason says why.
    Unknown(String),
}

impl Status {
    /// Whether Python would use the cache, as far as is known.
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
    /// Its name in the merged view.
    pub node: NodeId,
    /// The file; where the name is a symlink, what that leads to.
    pub inode: InodeId,
    /// Index of the tree that it lies in.
    pub tree: u32,
}

/// A cache that ships in a layer and is never seen.
#[derive(Debug, Clone)]
pub struct HiddenCache {
    /// Its path.
    pub path: Vec<u8>,
    /// The member.
    pub member: MemberId,
    /// The member that overwrote or deleted it.
    pub by: MemberId,
    /// Its level.
    pub level: Option<Level>,
    /// Bytes of its data in the layer; 0 for a hardlink.
    pub bytes: u64,
}

/// A `.pyc` in the place of its source, or beside it.
#[derive(Debug, Clone)]
pub struct Sourceless {
    /// Its path.
    pub path: Vec<u8>,
    /// The member that set its name.
    pub member: MemberId,
    /// Bytes of the file.
    pub bytes: u64,
    /// Index of the tree that it lies in.
    pub tree: Option<usize>,
    /// Whether a source of the same name lies beside it, which Python takes instead.
    pub shadowed: bool,
    /// What is wrong with it, where something is.
    pub malformed: Option<String>,
    /// Who else than `import` reads it, by its path.
    pub reader: Option<Reader>,
}
