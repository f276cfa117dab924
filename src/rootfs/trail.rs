//! Follows paths through the merged view.

use super::names::{NodeId, ROOT};
use super::tree::Rootfs;
use crate::path;

/// Maximum number of paths in the expansion of a pattern.
const MOST_MATCHES: usize = 10_000;

/// Maximum number of symlinks that one lookup may follow, as in Linux.
const MOST_SYMLINKS: usize = 40;

/// Maximum number of parts that the targets of those symlinks may have together. Linux has no such limit, but real
/// targets come nowhere near it. Forty of the longest targets would cost a lookup 80,000 steps.
const MOST_PARTS: usize = 512;

/// The state of following a path.
pub(super) struct Progress<'a> {
    /// The node reached so far.
    pub(super) node: NodeId,
    /// The remaining parts, the next one last. If following stops early, `node` lacks that part.
    pub(super) left: Vec<&'a [u8]>,
    pub(super) followed: Followed,
}

/// The symlinks that a lookup followed.
#[derive(Default, Clone, Copy)]
pub(super) struct Followed {
    pub(super) symlinks: usize,
    /// The parts of their targets.
    pub(super) parts: usize,
}

impl Followed {
    /// Whether one lookup may follow this much.
    pub(super) fn is_allowed(self) -> bool {
        self.symlinks <= MOST_SYMLINKS && self.parts <= MOST_PARTS
    }
}

impl Rootfs {
    /// The node at a path. Follows symlinks in all parts except the last.
    pub fn lookup(&self, path: &[u8]) -> Option<NodeId> {
        let parts = path::components(path).into_iter().rev().collect();
        self.walk_parts(parts, false, &mut |_| {})
    }

    /// The node at a path. Follows symlinks in all parts.
    pub fn follow(&self, path: &[u8]) -> Option<NodeId> {
        let parts = path::components(path).into_iter().rev().collect();
        self.walk_parts(parts, true, &mut |_| {})
    }

    /// Every node on the way along a path, the target last, as the kernel walks it. Symlinks are followed in all
    /// parts, and `..` is the directory above the actual place. `None` if the path does not exist.
    pub fn trail(&self, path: &[u8]) -> Option<Vec<NodeId>> {
        let mut parts = Vec::new();
        push_parts(&mut parts, path);
        let mut trail = vec![ROOT];
        self.walk_parts(parts, true, &mut |node| trail.push(node))?;
        Some(trail)
    }

    /// Walks along the parts, the next one last. Calls `visit` for every node on the way and for the final one.
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

    /// Continues as far as the parts exist. The meaning of `..` depends on where the parts before it lead.
    pub(super) fn progress<'a>(
        &'a self,
        mut progress: Progress<'a>,
        follow_last: bool,
        visit: &mut dyn FnMut(NodeId),
    ) -> Progress<'a> {
        while let Some(part) = progress.left.pop() {
            let child = match part {
                // Only directories have a `..`.
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

    /// The paths to which a shell would expand a pattern with `*`, `?` and `[…]`. A path without wildcards expands to
    /// itself. A bracket matches any one character.
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
        // Outside of a shell, a pattern is an ordinary name.
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

/// Pushes the parts of a path or symlink target in front of the pending ones, and returns their number. Keeps `..`.
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

/// Whether a name matches a pattern. Each `*` first matches as little as possible, and more if the rest fails.
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
