//! Sorts the Python files of the merged view into sources, caches and sourceless modules.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::trees::PythonDirectory;
use crate::layers::{Bytecode, LayerScan};
use crate::path;
use crate::pyc::{CacheName, Implementation, Level, Runtime, cache_file_name, parse_cache_name};
use crate::rootfs::{InodeId, MemberId, NodeId, Rootfs};

/// A regular file with its path, name and inode.
pub(super) struct NamedFile {
    pub(super) path: Vec<u8>,
    pub(super) node: NodeId,
    pub(super) inode: InodeId,
}

/// A file with the name of a cache.
pub(super) struct CacheFile {
    pub(super) path: Vec<u8>,
    pub(super) node: NodeId,
    pub(super) inode: InodeId,
    /// The member with the file's data.
    pub(super) data: MemberId,
    pub(super) source: Vec<u8>,
    pub(super) source_inode: Option<InodeId>,
    pub(super) runtime: Runtime,
    pub(super) level: Option<Level>,
}

/// The Python files of the merged view, sorted by kind.
pub(super) struct SourceIndex<'a> {
    pub(super) rootfs: &'a Rootfs,
    pub(super) caches: Vec<CacheFile>,
    pub(super) sourceless: Vec<NamedFile>,
    pub(super) sources: Vec<NodeId>,
    /// For the target directory of symlinks named `__pycache__`, the directories of those symlinks.
    lent: HashMap<NodeId, Vec<Vec<u8>>>,
}

impl<'a> SourceIndex<'a> {
    pub(super) fn new(rootfs: &'a Rootfs) -> Self {
        let mut index = Self {
            rootfs,
            caches: Vec::new(),
            sourceless: Vec::new(),
            sources: Vec::new(),
            lent: lent_directories(rootfs),
        };
        for (path, node) in rootfs.walk() {
            if path.ends_with(b".py") && rootfs.leaf(node).is_some() {
                index.sources.push(node);
            }
            let Some(inode) = rootfs.regular_file(node) else {
                continue;
            };
            if path.ends_with(b".pyc") {
                index.add_bytecode(&path, node, inode);
            }
        }
        index
    }

    fn add_bytecode(&mut self, path: &[u8], node: NodeId, inode: InodeId) {
        let directory = path::parent(path);
        if path::file_name(directory) != b"__pycache__" {
            if has_stem(path) {
                self.sourceless.push(NamedFile {
                    path: path.to_vec(),
                    node,
                    inode,
                });
            }
            return;
        }
        let Some((name, runtime)) = cpython_cache(path) else {
            return;
        };
        let source = self.source(directory, &name.source_name());
        self.caches.push(CacheFile {
            path: path.to_vec(),
            node,
            inode,
            data: self.rootfs.inode(inode).data(),
            source_inode: self.rootfs.file_at(&source),
            source,
            runtime,
            level: name.level(),
        });
    }

    /// The source of a cache in `directory`. It is beside that directory, or beside a symlink that leads there.
    fn source(&self, directory: &[u8], name: &[u8]) -> Vec<u8> {
        let beside = path::join(path::parent(directory), name);
        let exists = |source: &Vec<u8>| self.rootfs.file_at(source).is_some();
        if exists(&beside) {
            return beside;
        }
        let lent = self
            .rootfs
            .lookup(directory)
            .and_then(|node| self.lent.get(&node));
        let borrowed = lent
            .into_iter()
            .flatten()
            .map(|other| path::join(other, name));
        borrowed.clone().find(exists).unwrap_or(beside)
    }

    pub(super) fn cache_files(&self) -> &[CacheFile] {
        &self.caches
    }

    pub(super) fn directories(
        &self,
        layers: &[Arc<LayerScan>],
    ) -> BTreeMap<Vec<u8>, PythonDirectory> {
        let mut directories: BTreeMap<Vec<u8>, PythonDirectory> = BTreeMap::new();
        for source in &self.sources {
            let directory = path::parent(&self.rootfs.path(*source)).to_vec();
            directories.entry(directory).or_default().sources += 1;
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
            let magics = directory.tags.entry(cache.runtime).or_default();
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

    /// CPython finds its standard library by `os.py` (or `.pyc`) and cannot start without `encodings`. `site`
    /// distinguishes it from other directories with both.
    fn is_stdlib(&self, directory: &[u8]) -> bool {
        let has = |name: &[u8]| self.rootfs.follow(&path::join(directory, name)).is_some();
        let has_module = |name: &str| {
            has(format!("{name}.py").as_bytes()) || has(format!("{name}.pyc").as_bytes())
        };
        has_module("os") && has_module("site") && has_module("encodings/__init__")
    }
}

fn lent_directories(rootfs: &Rootfs) -> HashMap<NodeId, Vec<Vec<u8>>> {
    let mut lent: HashMap<NodeId, Vec<Vec<u8>>> = HashMap::new();
    for (path, node) in rootfs.walk() {
        if path::file_name(&path) == b"__pycache__"
            && rootfs.symlink(node).is_some()
            && let Some(directory) = rootfs.follow(&path)
        {
            lent.entry(directory)
                .or_default()
                .push(path::parent(&path).to_vec());
        }
    }
    lent
}

/// Whether a file's name has text before its suffix. A bare `.py` is a hidden file, not a module.
pub(super) fn has_stem(file: &[u8]) -> bool {
    path::file_name(file)
        .iter()
        .rposition(|byte| *byte == b'.')
        .is_some_and(|dot| dot > 0)
}

/// The name of a CPython cache and the CPython in its tag. `None` for other files: pycull does not touch caches of
/// other interpreters.
pub(super) fn cpython_cache(path: &[u8]) -> Option<(CacheName<'_>, Runtime)> {
    let name = parse_cache_name(path::file_name(path))?;
    let runtime = Runtime::from_cache_tag(name.cache_tag)?;
    (runtime.implementation == Implementation::CPython).then_some((name, runtime))
}

/// The path of a source's cache, as in `importlib.util.cache_from_source` (PEP 3147, PEP 488).
pub(crate) fn cache_from_source(source: &[u8], runtime: Runtime, level: Level) -> Vec<u8> {
    let name = path::file_name(source);
    let module = name.strip_suffix(b".py").unwrap_or(name);
    let file = cache_file_name(module, runtime.cache_tag().as_bytes(), level);
    let directory = path::join(path::parent(source), b"__pycache__");
    path::join(&directory, &file)
}

pub(super) fn bytecode(layers: &[Arc<LayerScan>], data: MemberId) -> Option<&Bytecode> {
    layers[data.layer].bytecode.get(&data.index)
}
