//! Names in directories, stored in few bytes because images have up to millions of them. 32-bit numbers replace
//! pointers, one buffer has all text, and one table finds the names of all directories.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// Index of a name in its [`Rootfs`](super::Rootfs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// One of the highest numbers. No node has them, because allowances end before them.
    pub(super) const fn last(number: u32) -> Self {
        Self(u32::MAX - number)
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The root directory, which has no name.
pub(super) const ROOT: NodeId = NodeId(0);

/// Marks the absence of a node.
const NONE: NodeId = NodeId(u32::MAX);

#[derive(Debug, Clone)]
struct Name {
    parent: NodeId,
    /// The start of its text in [`Names::text`]. The text ends where the next name's text begins.
    start: u32,
    first_child: NodeId,
    previous: NodeId,
    next: NodeId,
}

/// A tree of names. It has room for 2^32 names and bytes of text, and the caller must count them first.
#[derive(Debug, Clone)]
pub(super) struct Names {
    names: Vec<Name>,
    text: Vec<u8>,
    /// The names that have a parent, by parent and text.
    table: HashTable<NodeId>,
    hasher: RandomState,
}

impl Names {
    /// A tree with only the root.
    pub(super) fn new() -> Self {
        let root = Name {
            parent: NONE,
            start: 0,
            first_child: NONE,
            previous: NONE,
            next: NONE,
        };
        Self {
            names: vec![root],
            text: Vec::new(),
            table: HashTable::new(),
            hasher: RandomState::new(),
        }
    }

    fn at(&self, node: NodeId) -> &Name {
        &self.names[node.index()]
    }

    /// Adds a name to a directory that does not have it yet.
    pub(super) fn attach(&mut self, parent: NodeId, name: &[u8]) -> NodeId {
        let node = NodeId(self.names.len() as u32);
        let next = self.at(parent).first_child;
        self.names.push(Name {
            parent,
            start: self.text.len() as u32,
            first_child: NONE,
            previous: NONE,
            next,
        });
        self.text.extend_from_slice(name);
        self.names[parent.index()].first_child = node;
        if next != NONE {
            self.names[next.index()].previous = node;
        }
        let (names, text, hasher) = (&self.names, &self.text, &self.hasher);
        self.table
            .insert_unique(hash(hasher, parent, name), node, |node| {
                let parent = names[node.index()].parent;
                hash(hasher, parent, text_of(names, text, *node))
            });
        node
    }

    /// Removes a name from its directory. The names below it stay below it.
    pub(super) fn detach(&mut self, node: NodeId) {
        let name = self.at(node);
        let (parent, previous, next) = (name.parent, name.previous, name.next);
        let hash = hash(&self.hasher, parent, self.name(node));
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == node) {
            entry.remove();
        }
        match previous {
            NONE => self.names[parent.index()].first_child = next,
            previous => self.names[previous.index()].next = next,
        }
        if next != NONE {
            self.names[next.index()].previous = previous;
        }
    }

    /// The child with this name.
    pub(super) fn child(&self, directory: NodeId, name: &[u8]) -> Option<NodeId> {
        let is_it = |node: &NodeId| self.at(*node).parent == directory && self.name(*node) == name;
        let hash = hash(&self.hasher, directory, name);
        self.table.find(hash, is_it).copied()
    }

    /// The children of a directory, in no particular order.
    pub(super) fn children(&self, directory: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let existing = |node: NodeId| (node != NONE).then_some(node);
        let first = existing(self.at(directory).first_child);
        std::iter::successors(first, move |node| existing(self.at(*node).next))
    }

    /// The last part of a node's path; empty for the root.
    pub(super) fn name(&self, node: NodeId) -> &[u8] {
        text_of(&self.names, &self.text, node)
    }

    /// The directory of a node; `None` for the root.
    pub(super) fn parent(&self, node: NodeId) -> Option<NodeId> {
        Some(self.at(node).parent).filter(|parent| *parent != NONE)
    }

    /// Bytes of the path of a name in a directory.
    pub(super) fn path_bytes_in(&self, directory: NodeId, name: &[u8]) -> u64 {
        let parts = self.with_parents(directory);
        let above: usize = parts.map(|node| self.name(node).len() + 1).sum();
        (above + name.len()) as u64
    }

    /// The path of a node, without a leading slash.
    pub(super) fn path(&self, node: NodeId) -> Vec<u8> {
        let parts: Vec<&[u8]> = self.with_parents(node).map(|it| self.name(it)).collect();
        let mut path = Vec::new();
        for part in parts.into_iter().rev() {
            path.extend_from_slice(part);
            path.push(b'/');
        }
        path.pop();
        path
    }

    /// A node and the directories above it, except the root.
    fn with_parents(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let not_root = |node: NodeId| (node != ROOT).then_some(node);
        std::iter::successors(not_root(node), move |node| not_root(self.at(*node).parent))
    }

    /// Every path with its node. Directories precede their contents, and names are sorted.
    pub(super) fn walk(&self) -> impl Iterator<Item = (Vec<u8>, NodeId)> + '_ {
        // Nodes, each with the length of its directory's path and slash.
        let mut pending = vec![(ROOT, 0)];
        let mut path = Vec::new();
        std::iter::from_fn(move || {
            let (node, directory_bytes) = pending.pop()?;
            path.truncate(directory_bytes);
            path.extend_from_slice(self.name(node));
            let whole = path.clone();
            if node != ROOT {
                path.push(b'/');
            }
            let start = pending.len();
            pending.extend(self.children(node).map(|child| (child, path.len())));
            pending[start..].sort_unstable_by(|(a, _), (b, _)| self.name(*b).cmp(self.name(*a)));
            Some((whole, node))
        })
    }
}

fn text_of<'a>(names: &[Name], text: &'a [u8], node: NodeId) -> &'a [u8] {
    let next = names.get(node.index() + 1);
    let end = next.map_or(text.len(), |next| next.start as usize);
    &text[names[node.index()].start as usize..end]
}

fn hash(hasher: &RandomState, parent: NodeId, name: &[u8]) -> u64 {
    hasher.hash_one((parent, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &Names) -> Vec<String> {
        let paths = names.walk().skip(1);
        paths
            .map(|(path, node)| {
                assert_eq!(names.path(node), path);
                String::from_utf8(path).unwrap()
            })
            .collect()
    }

    #[test]
    fn names_are_found_listed_and_taken_away() {
        let mut names = Names::new();
        let b = names.attach(ROOT, b"b");
        let a = names.attach(ROOT, b"a");
        let [x, y, z] = [&b"x"[..], b"y", b"z"].map(|name| names.attach(b, name));
        assert_eq!(paths(&names), ["a", "b", "b/x", "b/y", "b/z"]);
        assert_eq!(names.child(b, b"y"), Some(y));
        assert_eq!(names.child(a, b"y"), None);
        // In the middle, at the end, and at the start of the list.
        for (node, left) in [
            (y, &["a", "b", "b/x", "b/z"][..]),
            (x, &["a", "b", "b/z"]),
            (z, &["a", "b"]),
        ] {
            names.detach(node);
            assert_eq!(paths(&names), left);
        }
        assert_eq!(names.child(b, b"y"), None);
        let again = names.attach(b, b"y");
        assert_eq!(names.child(b, b"y"), Some(again));
        names.detach(b);
        assert_eq!(paths(&names), ["a"]);
        assert_eq!(names.children(b).collect::<Vec<_>>(), [again]);
    }
}
