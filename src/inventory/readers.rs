//! Finds caches that are read by their path: a command in the config names them, or a symlink leads to them.

use std::collections::{BTreeMap, BTreeSet};

use crate::rootfs::{Content, NodeId, Rootfs};

/// What reads a cache by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reader {
    /// The entrypoint, command, health check or environment of the config.
    Command,
    /// The symlink with this path.
    Symlink(Vec<u8>),
}

/// The files and directories that are read by their paths.
#[derive(Debug, Default)]
pub(super) struct Readers {
    pub(super) files: BTreeMap<NodeId, Reader>,
    /// Directories that a path leads to or through.
    pub(super) directories: BTreeSet<NodeId>,
}

impl Readers {
    /// `named` has paths that the config may name, with wildcards.
    pub(super) fn find(rootfs: &Rootfs, named: &[String]) -> Self {
        let mut readers = Self::default();
        for pattern in named {
            for path in rootfs.matching(pattern.as_bytes()) {
                // A bare `*` does not name the directories that it matches.
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
