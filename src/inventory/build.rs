//! Building the inventory from the merged view.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::trees::{self, FoundTree, PythonDirectory};
use super::{Cache, HiddenCache, Inventory, Sizes, Sourceless, Status, Tree, TreeKind};
use crate::pyc::{
    CacheName, CpythonTag, CpythonVersion, Freshness, Header, HeaderError, Magic, freshness,
    parse_cache_name,
};
use crate::rootfs::{Fate, InodeId, MemberId, NodeId, Rootfs, path};
use crate::scan::{Bytecode, LayerScan, SourceHashes};
use crate::tar::{Kind, Timestamp};

/// Takes stock of an image. `hashes` has what [`super::wanted_hashes`] asked for.
pub fn build(layers: Vec<LayerScan>, rootfs: Rootfs, hashes: &SourceHashes) -> Inventory {
    let index = SourceIndex::new(&rootfs);
    let found = trees::find(&index.directories(&layers));
    let locate = TreeLocator::new(&found);
    let interpreters = Interpreters::new(&found);
    let judge = Judge {
        layers: &layers,
        rootfs: &rootfs,
        hashes,
        interpreters: &interpreters,
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
    let trees = count_trees(found, &index, &locate, &caches, &sourceless, &rootfs);
    Inventory {
        layers,
        rootfs,
        trees,
        caches,
        hidden,
        sourceless,
    }
}

/// A regular file by path, name and inode.
struct NamedFile {
    path: Vec<u8>,
    node: NodeId,
    inode: InodeId,
}

/// A file that is a cache by its name.
pub(super) struct CacheFile {
    path: Vec<u8>,
    node: NodeId,
    inode: InodeId,
    /// The member with the file's data.
    pub(super) data: MemberId,
    source: Vec<u8>,
    pub(super) source_inode: Option<InodeId>,
    tag: CpythonTag,
    level: Option<crate::pyc::Level>,
}

/// The regular files of the merged view, sorted into what they are to Python.
pub(super) struct SourceIndex<'a> {
    rootfs: &'a Rootfs,
    files: Vec<NamedFile>,
    caches: Vec<CacheFile>,
    sourceless: Vec<NamedFile>,
    sources: Vec<Vec<u8>>,
}

impl<'a> SourceIndex<'a> {
    pub(super) fn new(rootfs: &'a Rootfs) -> Self {
        let mut index = Self {
            rootfs,
            files: Vec::new(),
            caches: Vec::new(),
            sourceless: Vec::new(),
            sources: Vec::new(),
        };
        for (path, node) in rootfs.walk() {
            if path.ends_with(b".py") && rootfs.leaf(node).is_some() {
                index.sources.push(path.clone());
            }
            let Some(inode) = rootfs.regular_file(node) else {
                continue;
            };
            if path.ends_with(b".pyc") {
                index.add_bytecode(&path, node, inode);
            }
            index.files.push(NamedFile { path, node, inode });
        }
        index
    }

    fn add_bytecode(&mut self, path: &[u8], node: NodeId, inode: InodeId) {
        let directory = path::parent(path);
        if path::file_name(directory) != b"__pycache__" {
            // A name with more points is not importable.
            if path::file_name(path)
                .iter()
                .filter(|byte| **byte == b'.')
                .count()
                == 1
            {
                self.sourceless.push(NamedFile {
                    path: path.to_vec(),
                    node,
                    inode,
                });
            }
            return;
        }
        let Some((name, tag)) = cpython_cache(path) else {
            return;
        };
        let source = path::join(path::parent(directory), &name.source_name());
        self.caches.push(CacheFile {
            path: path.to_vec(),
            node,
            inode,
            data: self.rootfs.inode(inode).data,
            source_inode: self
                .rootfs
                .follow(&source)
                .and_then(|node| self.rootfs.regular_file(node)),
            source,
            tag,
            level: name.level(),
        });
    }

    pub(super) fn cache_files(&self) -> &[CacheFile] {
        &self.caches
    }

    fn directories(&self, layers: &[LayerScan]) -> BTreeMap<Vec<u8>, PythonDirectory> {
        let mut directories: BTreeMap<Vec<u8>, PythonDirectory> = BTreeMap::new();
        for source in &self.sources {
            directories
                .entry(path::parent(source).to_vec())
                .or_default()
                .sources += 1;
        }
        for file in &self.sourceless {
            directories
                .entry(path::parent(&file.path).to_vec())
                .or_default()
                .sourceless += 1;
        }
        for cache in &self.caches {
            let directory = directories
                .entry(path::parent(&cache.source).to_vec())
                .or_default();
            let magics = directory.tags.entry(cache.tag).or_default();
            if let Some(Ok(header)) = bytecode(layers, cache.data).map(|bytecode| &bytecode.header)
            {
                *magics.entry(header.magic).or_default() += 1;
            }
        }
        for (directory, content) in &mut directories {
            content.is_stdlib = self.is_stdlib(directory);
        }
        directories
    }

    /// CPython itself finds its standard library by `os.py` (or `.pyc`), and cannot start without
    /// `encodings`; `site` tells it from other directories that have both.
    fn is_stdlib(&self, directory: &[u8]) -> bool {
        let has = |name: &[u8]| self.rootfs.follow(&path::join(directory, name)).is_some();
        let has_module = |name: &str| {
            has(format!("{name}.py").as_bytes()) || has(format!("{name}.pyc").as_bytes())
        };
        has_module("os") && has_module("site") && has_module("encodings/__init__")
    }
}

/// A cache's name and tag, where it is one of CPython's; others' caches are left alone.
fn cpython_cache(path: &[u8]) -> Option<(CacheName<'_>, CpythonTag)> {
    let name = parse_cache_name(path::file_name(path))?;
    let tag = CpythonTag::parse(name.cache_tag)?;
    Some((name, tag))
}

fn bytecode(layers: &[LayerScan], data: MemberId) -> Option<&Bytecode> {
    layers[data.layer].bytecode.get(&data.index)
}

/// Finds the innermost tree of a path.
struct TreeLocator {
    trees: HashMap<Vec<u8>, usize>,
}

impl TreeLocator {
    fn new(trees: &[FoundTree]) -> Self {
        Self {
            trees: trees
                .iter()
                .enumerate()
                .map(|(index, tree)| (tree.path.clone(), index))
                .collect(),
        }
    }

    fn tree(&self, file: &[u8]) -> Option<usize> {
        let mut current = file;
        while !current.is_empty() {
            current = path::parent(current);
            if let Some(tree) = self.trees.get(current) {
                return Some(*tree);
            }
        }
        None
    }
}

/// The interpreters of an image, by their standard libraries.
struct Interpreters {
    magics: BTreeMap<CpythonVersion, Magic>,
    known: bool,
}

impl Interpreters {
    fn new(trees: &[FoundTree]) -> Self {
        let stdlibs = || trees.iter().filter(|tree| tree.kind == TreeKind::Stdlib);
        let versions = stdlibs().filter_map(|tree| Some((tree.version?, tree.magic?)));
        Self {
            magics: versions.collect(),
            known: stdlibs().next().is_some() && stdlibs().all(|tree| tree.version.is_some()),
        }
    }

    /// Why no interpreter of the image has that cache tag. In an image without any, such as one
    /// that only adds to a base, nobody can say.
    fn foreign_tag(&self, tag: CpythonTag) -> Option<String> {
        let version = CpythonVersion::new(tag.major, tag.minor);
        (self.known && !self.magics.contains_key(&version))
            .then(|| format!("the image has no Python {}", tag.version()))
    }

    fn foreign_magic(&self, tag: CpythonTag, magic: Magic) -> Option<String> {
        let version = CpythonVersion::new(tag.major, tag.minor);
        let expected = self
            .magics
            .get(&version)
            .copied()
            .or_else(|| Magic::final_for(tag.major, tag.minor))?;
        (magic != expected).then(|| {
            format!(
                "its magic number is {}, the interpreter's is {}",
                magic.0, expected.0
            )
        })
    }
}

struct Judge<'a> {
    layers: &'a [LayerScan],
    rootfs: &'a Rootfs,
    hashes: &'a SourceHashes,
    interpreters: &'a Interpreters,
}

impl Judge<'_> {
    fn cache(&self, file: &CacheFile, locate: &TreeLocator) -> Cache {
        let bytecode = bytecode(self.layers, file.data);
        Cache {
            path: file.path.clone(),
            node: file.node,
            member: self.origin(file.node, file.data),
            inode: file.inode,
            bytes: self.rootfs.inode(file.inode).size,
            source: file.source.clone(),
            source_inode: file.source_inode,
            tree: locate.tree(&file.source),
            tag: file.tag,
            level: file.level,
            status: self.status(file, bytecode),
            sha256: bytecode.map(|bytecode| bytecode.sha256),
        }
    }

    fn origin(&self, node: NodeId, data: MemberId) -> MemberId {
        self.rootfs.node(node).origin.unwrap_or(data)
    }

    /// What Python would do with the cache, in the order in which its import system asks.
    fn status(&self, file: &CacheFile, bytecode: Option<&Bytecode>) -> Status {
        let Some(source) = file.source_inode else {
            return Status::Orphan;
        };
        if let Some(reason) = self.interpreters.foreign_tag(file.tag) {
            return Status::Foreign(reason);
        }
        let Some(bytecode) = bytecode else {
            return Status::Unknown("it was not examined: it is sparse, larger than 64 MiB, or a link to a file of another kind".to_owned());
        };
        let header = match &bytecode.header {
            Ok(header) => header,
            Err(error) => return malformed_header(error),
        };
        if let Some(reason) = self.interpreters.foreign_magic(file.tag, header.magic) {
            return Status::Foreign(reason);
        }
        let status = self.freshness(header, source);
        match &bytecode.body {
            // Python opens the body only once the header fits.
            Err(error) if status.is_useful() => Status::Malformed(error.to_string()),
            _ => status,
        }
    }

    fn freshness(&self, header: &Header, source: InodeId) -> Status {
        let inode = self.rootfs.inode(source);
        let Timestamp {
            seconds,
            nanoseconds,
        } = self.layers[inode.data.layer].members[inode.data.index].mtime;
        let hash = self.hashes.get(&(inode.data, header.magic)).copied();
        match freshness(header, (seconds, nanoseconds), inode.size, hash) {
            Freshness::Fresh => Status::Fresh,
            Freshness::Unchecked => unchecked(header, hash),
            Freshness::Stale(reason) => Status::Stale(reason),
            Freshness::HashMismatch => Status::HashMismatch,
            Freshness::HashNeeded => Status::Unknown("its source was not hashed".to_owned()),
        }
    }

    fn sourceless(&self, file: &NamedFile, locate: &TreeLocator) -> Sourceless {
        let data = self.rootfs.inode(file.inode).data;
        let bytecode = bytecode(self.layers, data);
        let source = &file.path[..file.path.len() - 1];
        let python2 = bytecode.is_some_and(
            |bytecode| matches!(&bytecode.header, Ok(header) if header.magic.is_python2()),
        );
        let malformed = bytecode.and_then(|bytecode| match (&bytecode.header, &bytecode.body) {
            (Err(error), _) => match malformed_header(error) {
                Status::Malformed(reason) => Some(reason),
                _ => None,
            },
            (Ok(_), Err(error)) => Some(error.to_string()),
            (Ok(_), Ok(())) => None,
        });
        Sourceless {
            path: file.path.clone(),
            member: self.origin(file.node, data),
            bytes: self.rootfs.inode(file.inode).size,
            tree: locate.tree(&file.path),
            // Python 2 keeps its caches there.
            shadowed: !python2
                && self
                    .rootfs
                    .follow(source)
                    .is_some_and(|node| self.rootfs.regular_file(node).is_some()),
            malformed,
        }
    }
}

fn unchecked(header: &Header, hash: Option<[u8; 8]>) -> Status {
    match (&header.invalidation, hash) {
        (crate::pyc::Invalidation::UncheckedHash(stored), Some(hash)) if *stored != hash => {
            Status::UncheckedMismatch
        }
        _ => Status::Fresh,
    }
}

/// A magic number that no CPython has is somebody else's bytecode, not a broken file.
fn malformed_header(error: &HeaderError) -> Status {
    match error {
        HeaderError::UnknownMagic(_) => Status::Foreign(error.to_string()),
        _ => Status::Malformed(error.to_string()),
    }
}

fn find_hidden(layers: &[LayerScan], rootfs: &Rootfs) -> Vec<HiddenCache> {
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
                    bytes: member.stored_bytes,
                });
            }
        }
    }
    hidden
}

fn count_trees(
    found: Vec<FoundTree>,
    index: &SourceIndex<'_>,
    locate: &TreeLocator,
    caches: &[Cache],
    sourceless: &[Sourceless],
    rootfs: &Rootfs,
) -> Vec<Tree> {
    let mut trees: Vec<Tree> = found.into_iter().map(empty_tree).collect();
    for file in &index.files {
        let Some(tree) = locate.tree(&file.path) else {
            continue;
        };
        *trees[tree].files.entry(file.inode).or_default() += 1;
        if file.path.ends_with(b".py") {
            trees[tree].sources.add(rootfs.inode(file.inode).size);
        }
    }
    let mut seen = HashSet::new();
    for cache in caches {
        let (Some(tree), Some(level)) = (cache.tree, cache.level) else {
            continue;
        };
        let first = seen.insert((tree, level, cache.inode));
        trees[tree].levels[level.index()].add(if first { cache.bytes } else { 0 });
    }
    for module in sourceless {
        if let Some(tree) = module.tree.filter(|_| !module.shadowed) {
            trees[tree].sourceless.add(module.bytes);
        }
    }
    trees
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
        files: BTreeMap::new(),
    }
}
