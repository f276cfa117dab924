//! Who else than `import` reads a cache: a command of the config that names it, or a symlink.

use std::collections::{BTreeMap, BTreeSet};

use crate::rootfs::{Content, NodeId, Rootfs};

/// Who reads a cache by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reader {
    /// Entrypoint, command, health check or environment of the config.
    Command,
    /// The symlink with this path.
    Symlink(Vec<u8>),
}

/// What is read by its path.
#[derive(Debug, Default)]
pub(super) struct Readers {
    pub(super) files: BTreeMap<NodeId, Reader>,
    /// Directories that a path leads to, or through.
    pub(super) directories: BTreeSet<NodeId>,
}

impl Readers {
    /// `named`: paths that the config may name, with wildcards.
    pub(super) fn find(rootfs: &Rootfs, named: &[String]) -> Self {
        let mut readers = Self::default();
        for pattern in named {
            for path in rootfs.matching(pattern.as_bytes()) {
                // A bare `*` is not about the directories that it happens to fit.
                if path == pattern.as_bytes() || rootfs.file_at(&path).is_some() {
                    readers.add(rootfs, &path, || Reader::Command);
                }
            }
        }
        for (path, node) in rootfs.walk() {
            if rootfs.symlink(node).is_some() {
                readers.add(rootfs, &path, || Reader::Symlink(path.clone()));
            }
        }
        readers
    }

    fn add(&mut self, rootfs: &Rootfs, path: &[u8], reader: impl Fn() -> Reader) {
        for node in rootfs.trail(path).unwrap_or_default() {
            match rootfs.content(node) {
                Content::Directory => {
                    self.directories.insert(node);
                }
                Content::Leaf(_) => {
                    self.files.entry(node).or_insert_with(&reader);
                }
            }
        }
    }
}
