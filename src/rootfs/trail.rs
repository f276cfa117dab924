//! The way that a path takes through the merged view.

use super::names::{NodeId, ROOT};
use super::tree::Rootfs;
use crate::path;

/// Paths that a pattern is expanded to at most.
const MOST_MATCHES: usize = 10_000;

/// Symlinks that one lookup may follow, as in Linux.
const MOST_SYMLINKS: usize = 40;

/// Parts that the targets of those symlinks may have together. Linux has no such bound, but real targets come
/// nowhere near it, and forty of the longest would cost a lookup 80,000 steps.
const MOST_PARTS: usize = 512;

/// How far a path was followed.
pub(super) struct Progress<'a> {
    /// Where it led.
    pub(super) node: NodeId,
    /// Parts that are left, the next one last: the next one is not in `node`.
    pub(super) left: Vec<&'a [u8]>,
    pub(super) followed: Followed,
}

/// What symlinks a lookup followed.
#[derive(Default, Clone, Copy)]
pub(super) struct Followed {
    pub(super) symlinks: usize,
    /// Parts of their targets.
    pub(super) parts: usize,
}

impl Followed {
    /// Whether one lookup may do so.
    pub(super) fn is_allowed(self) -> bool {
        self.symlinks <= MOST_SYMLINKS && self.parts <= MOST_PARTS
    }
}

impl Rootfs {
    /// The node at a path, following symlinks in all parts but the last.
    pub fn lookup(&self, path: &[u8]) -> Option<NodeId> {
        let parts = path::components(path).into_iter().rev().collect();
        self.walk_parts(parts, false, &mut |_| {})
    }

    /// The node at a path, following symlinks in all parts.
    pub fn follow(&self, path: &[u8]) -> Option<NodeId> {
        let parts = path::components(path).into_iter().rev().collect();
        self.walk_parts(parts, true, &mut |_| {})
    }

    /// Every node on the way to where a path leads, that last, as the kernel walks it: symlinks are followed
    /// in all parts, and `..` is the directory above wherever the parts before it led. None where it leads nowhere.
    pub fn trail(&self, path: &[u8]) -> Option<Vec<NodeId>> {
        let mut parts = Vec::new();
        push_parts(&mut parts, path);
        let mut trail = vec![ROOT];
        self.walk_parts(parts, true, &mut |node| trail.push(node))?;
        Some(trail)
    }

    /// Walks parts, the next one last, and tells of every node: those on the way, and where they lead.
    fn walk_parts<'a>(
        &'a self,
        parts: Vec<&'a [u8]>,
        follow_last: bool,
        visit: &mut dyn FnMut(NodeId),
    ) -> Option<NodeId> {
        let start = Progress {
            node: ROOT,
            left: parts,
            followed: Followed::default(),
        };
        let progress = self.progress(start, follow_last, visit);
        visit(progress.node);
        (progress.left.is_empty() && progress.followed.is_allowed()).then_some(progress.node)
    }

    /// Goes on as far as the parts are there. What `..` means depends on where the parts before it lead.
    pub(super) fn progress<'a>(
        &'a self,
        mut progress: Progress<'a>,
        follow_last: bool,
        visit: &mut dyn FnMut(NodeId),
    ) -> Progress<'a> {
        while let Some(part) = progress.left.pop() {
            let child = match part {
                // Only a directory has one.
                b".." => self
                    .is_directory(progress.node)
                    .then(|| self.parent(progress.node).unwrap_or(ROOT)),
                _ => self
                    .child(progress.node, part)
                    .inspect(|child| visit(*child)),
            };
            let Some(child) = child else {
                progress.left.push(part);
                return progress;
            };
            let target = self
                .symlink(child)
                .filter(|_| follow_last || !progress.left.is_empty());
            let Some(target) = target else {
                progress.node = child;
                continue;
            };
            if target.starts_with(b"/") {
                progress.node = ROOT;
            }
            progress.followed.symlinks += 1;
            progress.followed.parts += push_parts(&mut progress.left, target);
            if !progress.followed.is_allowed() {
                return progress;
            }
        }
        progress
    }

    /// The paths that a shell would put in the place of a pattern with `*`, `?` and `[…]`; a path without
    /// is itself. A bracket is taken for any one character.
    pub fn matching(&self, pattern: &[u8]) -> Vec<Vec<u8>> {
        if !has_wildcard(pattern) {
            return vec![pattern.to_vec()];
        }
        let mut found = vec![Vec::new()];
        for part in pattern
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty())
        {
            let expanded = found
                .iter()
                .flat_map(|directory| self.step(directory, part));
            found = expanded.take(MOST_MATCHES).collect();
        }
        // Outside of a shell, it is a name like any other.
        if self.trail(pattern).is_some() {
            found.push(pattern.to_vec());
        }
        found
    }

    fn step(&self, directory: &[u8], part: &[u8]) -> Vec<Vec<u8>> {
        if !has_wildcard(part) {
            return vec![path::join(directory, part)];
        }
        let trail = self.trail(directory).unwrap_or_default();
        let children = trail.last().map(|node| self.children(*node));
        let names = children.unwrap_or_default().into_iter();
        let names = names.map(|child| self.name(child));
        let matching = names.filter(|name| is_match(part, name));
        matching.map(|name| path::join(directory, name)).collect()
    }
}

/// Puts the parts of a path or of a symlink's target before those that wait, `..` kept, and says how many they are.
fn push_parts<'a>(pending: &mut Vec<&'a [u8]>, target: &'a [u8]) -> usize {
    let before = pending.len();
    let parts = target
        .rsplit(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".");
    pending.extend(parts);
    pending.len() - before
}

fn has_wildcard(pattern: &[u8]) -> bool {
    pattern.iter().any(|byte| b"*?[".contains(byte))
}

/// Whether a name fits a pattern. Each `*` takes as little as it can, and more once the rest does not fit.
fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while place < name.len() {
        let next = match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, place));
                at += 1;
                continue;
            }
            Some(b'?') => Some(at + 1),
            Some(b'[') => {
                let end = pattern[at..].iter().position(|byte| *byte == b']');
                Some(end.map_or(at + 1, |end| at + end + 1))
            }
            Some(byte) if *byte == name[place] => Some(at + 1),
            _ => None,
        };
        match (next, star) {
            (Some(next), _) => (at, place) = (next, place + 1),
            (None, Some((after, taken))) => {
                star = Some((after, taken + 1));
                (at, place) = (after, taken + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns_as_a_shell_has_it() {
        for (pattern, name, expected) in [
            ("*.pyc", "bot.cpython-311.pyc", true),
            ("bot.*.pyc", "bot.cpython-311.pyc", true),
            ("bot.*", "bots.pyc", false),
            ("b?t", "bot", true),
            ("b?t", "bt", false),
            ("b[aeo]t", "bot", true),
            ("*a*b", "xaxab", true),
            ("*a*b", "xaxac", false),
            ("*", "", true),
            ("", "a", false),
        ] {
            let found = is_match(pattern.as_bytes(), name.as_bytes());
            assert_eq!(found, expected, "{pattern} {name}");
        }
    }
}
