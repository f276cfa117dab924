//! Builds the inventory from the merged view.

use std::collections::HashSet;
use std::sync::Arc;

use super::files::{SourceIndex, cpython_cache, has_stem};
use super::judge::{Interpreters, Judge};
use super::readers::Readers;
use super::trees::{self, FoundTree, TreeLocator};
use super::{Cache, ChosenVersions, HiddenCache, Inventory, Sizes, Source, Sourceless, Tree};
use crate::entrypoint::Reading;
use crate::layers::{LayerScan, SourceHashes};
use crate::path;
use crate::rootfs::{Fate, InodeId, MemberId, Rootfs};
use crate::tar::Kind;

/// The known data of an image.
pub(crate) struct Known {
    /// The scanned layers.
    pub layers: Vec<Arc<LayerScan>>,
    /// The merged view of the layers.
    pub rootfs: Rootfs,
    /// The hashes that [`super::wanted_hashes`] asked for.
    pub hashes: SourceHashes,
    /// The paths that the config and the scripts may name.
    pub named: Vec<String>,
    /// What the image runs.
    pub launch: Reading,
}

pub(crate) fn build(known: Known, chosen: ChosenVersions<'_>) -> Inventory {
    let Known {
        layers,
        rootfs,
        hashes,
        named,
        launch,
    } = known;
    let index = SourceIndex::new(&rootfs);
    let found = trees::find(&index.directories(&layers), &launch.programs(), chosen);
    let locate = TreeLocator::new(&found);
    let interpreters = Interpreters::new(&found, &rootfs);
    let readers = Readers::find(&rootfs, &named);
    let judge = Judge {
        layers: &layers,
        rootfs: &rootfs,
        hashes: &hashes,
        interpreters: &interpreters,
        readers: &readers,
        trees: &found,
    };
    let caches: Vec<Cache> = index
        .cache_files()
        .iter()
        .map(|file| judge.cache(file, &locate))
        .collect();
    let sourceless: Vec<Sourceless> = index
        .sourceless
        .iter()
        .map(|file| judge.sourceless(file, &locate))
        .collect();
    let hidden = find_hidden(&layers, &rootfs);
    let sources = find_sources(&index, &locate);
    let trees = count_trees(found, &rootfs, &locate, &caches, &sourceless);
    let named = readers.directories.iter();
    let named_directories = named.map(|node| rootfs.path(*node)).collect();
    Inventory {
        layers,
        rootfs,
        trees,
        caches,
        hidden,
        sourceless,
        sources,
        named_directories,
        source_hashes: hashes,
        launch,
    }
}

/// Files in a `bin` directory are scripts, which Python runs and does not import. Such a file is a source only if it
/// has a cache.
fn find_sources(index: &SourceIndex<'_>, locate: &TreeLocator) -> Vec<Source> {
    let cached: HashSet<&[u8]> = index.caches.iter().map(|cache| &*cache.source).collect();
    let mut sources = Vec::new();
    for node in &index.sources {
        let path = &index.rootfs.path(*node);
        let directory = path::file_name(path::parent(path));
        let is_script = matches!(directory, b"bin" | b"sbin") && !cached.contains(&**path);
        if !has_stem(path) || is_script {
            continue;
        }
        let inode = index.rootfs.file_at(path);
        if let (Some(inode), Some(tree)) = (inode, locate.tree(path)) {
            sources.push(Source {
                node: *node,
                inode,
                tree,
            });
        }
    }
    sources
}

fn find_hidden(layers: &[Arc<LayerScan>], rootfs: &Rootfs) -> Vec<HiddenCache> {
    let mut hidden = Vec::new();
    for (layer, scan) in layers.iter().enumerate() {
        for (index, member) in scan.members.iter().enumerate() {
            let id = MemberId { layer, index };
            let (Fate::Hidden { by }, Kind::File | Kind::Hardlink) = (rootfs.fate(id), member.kind)
            else {
                continue;
            };
            let path = rootfs.member_path(id, &member.path);
            if path::file_name(path::parent(&path)) != b"__pycache__" {
                continue;
            }
            if let Some((name, _)) = cpython_cache(&path) {
                let level = name.level();
                hidden.push(HiddenCache {
                    path,
                    member: id,
                    by,
                    level,
                    bytes: member.stored_bytes(),
                });
            }
        }
    }
    hidden
}

fn count_trees(
    found: Vec<FoundTree>,
    rootfs: &Rootfs,
    locate: &TreeLocator,
    caches: &[Cache],
    sourceless: &[Sourceless],
) -> Vec<Tree> {
    let mut trees: Vec<Tree> = found.into_iter().map(empty_tree).collect();
    let mut names = vec![Vec::new(); trees.len()];
    for (path, node) in rootfs.walk() {
        let Some(inode) = rootfs.regular_file(node) else {
            continue;
        };
        let Some(tree) = locate.tree(&path) else {
            continue;
        };
        names[tree.index()].push(inode);
        if path.ends_with(b".py") {
            trees[tree.index()].sources.add(rootfs.inode(inode).size);
        }
    }
    for (tree, names) in trees.iter_mut().zip(names) {
        tree.files = counted(names);
    }
    let mut seen = HashSet::new();
    for cache in caches {
        let (Some(tree), Some(level)) = (cache.tree, cache.level) else {
            continue;
        };
        let first = seen.insert((tree, level, cache.inode));
        trees[tree.index()].levels[level.index()].add(if first { cache.bytes } else { 0 });
    }
    for module in sourceless {
        if let Some(tree) = module.tree.filter(|_| !module.shadowed) {
            trees[tree.index()].sourceless.add(module.bytes);
        }
    }
    trees
}

/// The files that these names refer to, each with the number of its names; sorted.
fn counted(mut names: Vec<InodeId>) -> Vec<(InodeId, u32)> {
    names.sort_unstable();
    let files = names.chunk_by(|a, b| a == b);
    files.map(|names| (names[0], names.len() as u32)).collect()
}

fn empty_tree(found: FoundTree) -> Tree {
    Tree {
        path: found.path,
        kind: found.kind,
        version: found.version,
        magic: found.magic,
        sources: Sizes::default(),
        levels: [Sizes::default(); 3],
        sourceless: Sizes::default(),
        files: Vec::new(),
    }
}
