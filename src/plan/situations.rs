//! The size table of Fedora's proposal "Python: Optional Bytecode Cache". It gives the size of a tree, or of the whole
//! image, in each situation.
//!
//! A size is the sum of the regular files in the merged view, and counts each inode once. Like the built-in profiles,
//! every row except the first leaves out caches that Python would not use. So the row with a profile's levels is the
//! size that this profile gives.

use std::collections::{HashMap, HashSet};

use super::verdict;
use crate::inventory::{Cache, Inventory, Tree};
use crate::profile::{Policy, Profile};
use crate::pyc::Level;
use crate::rootfs::{InodeId, InodeKind};

/// A row of the size table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Situation {
    pub kind: SituationKind,
    /// The size in this situation, in bytes.
    pub bytes: u64,
}

/// The caches that an image keeps in a situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SituationKind {
    /// All caches, as they are.
    StatusQuo,
    /// Only level 0.
    LevelZero,
    /// No caches.
    NoCache,
    /// Levels 0 and 1. Identical levels of a module are hardlinks.
    LevelsZeroOne,
    /// Levels 0 and 1. Each cache is a separate file.
    LevelsZeroOneUnlinked,
    /// All levels. Each cache is a separate file.
    AllUnlinked,
    /// Level 0 in place of the sources.
    Sourceless,
}

/// All rows for the whole image. The status quo comes first.
pub(crate) fn of_image(inventory: &Inventory) -> Vec<Situation> {
    let rootfs = &inventory.rootfs;
    let names = |inode| rootfs.inode(inode).names();
    let is_file = |inode: &InodeId| rootfs.inode(*inode).kind == InodeKind::File;
    let files = rootfs.inodes().filter(is_file);
    let visible = files.filter(|inode| names(*inode) > 0);
    rows(&Table {
        inventory,
        bytes: visible.map(|inode| rootfs.inode(inode).size).sum(),
        names: &names,
        caches: inventory.caches.iter().collect(),
    })
}

/// All rows for each tree, in the order of the inventory's trees.
pub(crate) fn of_trees(inventory: &Inventory) -> Vec<Vec<Situation>> {
    let mut caches = vec![Vec::new(); inventory.trees.len()];
    for cache in &inventory.caches {
        if let Some(tree) = cache.tree {
            caches[tree.index()].push(cache);
        }
    }
    let trees = inventory.trees.iter().zip(caches);
    trees
        .map(|(tree, caches)| {
            let inodes = tree.files.iter();
            rows(&Table {
                inventory,
                bytes: inodes.map(|(it, _)| inventory.rootfs.inode(*it).size).sum(),
                names: &|inode| names_in(tree, inode),
                caches,
            })
        })
        .collect()
}

/// The number of names that a file has in a tree.
fn names_in(tree: &Tree, inode: InodeId) -> usize {
    let place = tree.files.binary_search_by_key(&inode, |(inode, _)| *inode);
    place.map_or(0, |place| tree.files[place].1 as usize)
}

fn rows(table: &Table<'_>) -> Vec<Situation> {
    use Level::{One, Two, Zero};
    use SituationKind as Kind;
    let row = |kind, bytes| Situation { kind, bytes };
    vec![
        row(Kind::StatusQuo, table.bytes),
        row(Kind::LevelZero, table.linked(&[Zero])),
        row(Kind::NoCache, table.linked(&[])),
        row(Kind::LevelsZeroOne, table.linked(&[Zero, One])),
        row(Kind::LevelsZeroOneUnlinked, table.unlinked(&[Zero, One])),
        row(Kind::AllUnlinked, table.unlinked(&[Zero, One, Two])),
        row(Kind::Sourceless, table.sourceless()),
    ]
}

/// The subject of a size table: a tree, or the whole image.
struct Table<'a> {
    inventory: &'a Inventory,
    /// Size of all its regular files.
    bytes: u64,
    /// The number of names that a regular file has in it.
    names: &'a dyn Fn(InodeId) -> usize,
    caches: Vec<&'a Cache>,
}

impl<'a> Table<'a> {
    /// The size without these names. A file goes with the last of its names.
    fn without(&self, names: impl Iterator<Item = InodeId>) -> u64 {
        let mut gone: HashMap<InodeId, usize> = HashMap::new();
        for inode in names {
            *gone.entry(inode).or_default() += 1;
        }
        let files = gone.into_iter().filter(|(inode, gone)| {
            let names = (self.names)(*inode);
            names > 0 && *gone >= names
        });
        let bytes = files.map(|(inode, _)| self.inventory.rootfs.inode(inode).size);
        self.bytes - bytes.sum::<u64>()
    }

    fn kept(&self, levels: &[Level]) -> (Vec<&'a Cache>, Vec<&'a Cache>) {
        let profile = &Profile::keeping(levels);
        let policy = Policy { profile, levels };
        self.caches
            .iter()
            .copied()
            .partition(|cache| verdict(cache, &policy).is_none())
    }

    /// The size if identical levels of a module share one copy.
    fn linked(&self, levels: &[Level]) -> u64 {
        let (kept, dropped) = self.kept(levels);
        let bytes = self.without(dropped.iter().map(|cache| cache.inode));
        let mut inodes = HashSet::new();
        let mut contents = HashSet::new();
        let mut shared = 0;
        for cache in kept {
            let is_new = inodes.insert(cache.inode);
            if let (true, Some(content)) = (is_new, &cache.contents)
                && !contents.insert((&cache.source, cache.runtime, content))
            {
                shared += cache.bytes;
            }
        }
        bytes.saturating_sub(shared)
    }

    /// The size if every cache is a separate file.
    fn unlinked(&self, levels: &[Level]) -> u64 {
        let others = self.without(self.caches.iter().map(|cache| cache.inode));
        let (kept, _) = self.kept(levels);
        others + kept.iter().map(|cache| cache.bytes).sum::<u64>()
    }

    /// The size if level-0 caches replace their sources and all other caches go. Sources without such a cache stay.
    fn sourceless(&self) -> u64 {
        let (kept, dropped) = self.kept(&[Level::Zero]);
        let rootfs = &self.inventory.rootfs;
        let sources: HashSet<&[u8]> = kept
            .iter()
            .filter(|cache| cache.level == Some(Level::Zero))
            .map(|cache| &*cache.source)
            .collect();
        let sources = sources
            .into_iter()
            .filter_map(|path| rootfs.regular_file(rootfs.lookup(path)?));
        self.without(dropped.iter().map(|cache| cache.inode).chain(sources))
    }
}
