//! The size table: how large a tree, or the whole image, is and would be in each situation of
//! Fedora's proposal "Python: Optional Bytecode Cache".
//!
//! A size is the sum of regular files in the merged view, one inode counted once. Every row but
//! the first leaves out caches that Python would not use, as the built-in profiles do: the row of
//! a profile's levels is what that profile makes.

use std::collections::{BTreeMap, HashSet};

use crate::inventory::{Cache, Inventory};
use crate::plan::{Policy, verdict};
use crate::pyc::Level;
use crate::rootfs::InodeId;

/// A row of the size table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// Its name, for machines.
    pub name: &'static str,
    /// Bytes in that situation.
    pub bytes: u64,
}

/// All rows for the whole image, the status quo first.
pub fn of_image(inventory: &Inventory) -> Vec<Situation> {
    rows(&Table {
        inventory,
        files: regular_files(inventory),
        caches: inventory.caches.iter().collect(),
    })
}

/// All rows for each tree, in the order of the inventory's trees.
pub fn of_trees(inventory: &Inventory) -> Vec<Vec<Situation>> {
    let mut caches = vec![Vec::new(); inventory.trees.len()];
    for cache in &inventory.caches {
        if let Some(tree) = cache.tree {
            caches[tree].push(cache);
        }
    }
    let trees = inventory.trees.iter().zip(caches);
    trees
        .map(|(tree, caches)| {
            rows(&Table {
                inventory,
                files: tree.files.clone(),
                caches,
            })
        })
        .collect()
}

fn rows(table: &Table<'_>) -> Vec<Situation> {
    use Level::{One, Two, Zero};
    let row = |name, bytes| Situation { name, bytes };
    vec![
        row("status-quo", table.status_quo()),
        row("level-0", table.linked(&[Zero])),
        row("no-cache", table.linked(&[])),
        row("levels-0-1", table.linked(&[Zero, One])),
        row("levels-0-1-unlinked", table.unlinked(&[Zero, One])),
        row("all-unlinked", table.unlinked(&[Zero, One, Two])),
        row("sourceless", table.sourceless()),
    ]
}

/// What the size table is about: a tree, or the whole image.
struct Table<'a> {
    inventory: &'a Inventory,
    /// Regular files by inode, with the number of their names there.
    files: BTreeMap<InodeId, usize>,
    caches: Vec<&'a Cache>,
}

impl<'a> Table<'a> {
    fn size(&self, inode: InodeId) -> u64 {
        self.inventory.rootfs.inode(inode).size
    }

    fn status_quo(&self) -> u64 {
        self.files.keys().map(|inode| self.size(*inode)).sum()
    }

    /// Bytes once these names are gone: a file goes with the last of its names.
    fn without(&self, names: impl Iterator<Item = InodeId>) -> u64 {
        let mut left = self.files.clone();
        for inode in names {
            if let Some(count) = left.get_mut(&inode) {
                *count = count.saturating_sub(1);
            }
        }
        left.iter()
            .filter(|(_, names)| **names > 0)
            .map(|(inode, _)| self.size(*inode))
            .sum()
    }

    fn kept(&self, levels: &[Level]) -> (Vec<&'a Cache>, Vec<&'a Cache>) {
        let policy = Policy::keeping(levels);
        self.caches
            .iter()
            .copied()
            .partition(|cache| verdict(cache, &policy).is_none())
    }

    /// With identical levels of a module sharing one copy.
    fn linked(&self, levels: &[Level]) -> u64 {
        let (kept, dropped) = self.kept(levels);
        let bytes = self.without(dropped.iter().map(|cache| cache.inode));
        let mut inodes = HashSet::new();
        let mut contents = HashSet::new();
        let mut shared = 0;
        for cache in kept {
            let is_new = inodes.insert(cache.inode);
            if let (true, Some(content)) = (is_new, &cache.contents)
                && !contents.insert((&cache.source, cache.tag, content))
            {
                shared += cache.bytes;
            }
        }
        bytes.saturating_sub(shared)
    }

    /// With every cache a file of its own.
    fn unlinked(&self, levels: &[Level]) -> u64 {
        let others = self.without(self.caches.iter().map(|cache| cache.inode));
        let (kept, _) = self.kept(levels);
        others + kept.iter().map(|cache| cache.bytes).sum::<u64>()
    }

    /// With the level-0 cache of each module that has one in the place of its source, and no other cache.
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

fn regular_files(inventory: &Inventory) -> BTreeMap<InodeId, usize> {
    let rootfs = &inventory.rootfs;
    let mut files = BTreeMap::new();
    for inode in rootfs
        .walk()
        .filter_map(|(_, node)| rootfs.regular_file(node))
    {
        *files.entry(inode).or_default() += 1;
    }
    files
}
